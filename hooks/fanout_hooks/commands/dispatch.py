"""`fanout-hooks dispatch`: run an event's hooks by hand, as the cold path does, and print the answer."""

from __future__ import annotations

import argparse
import os
import sys

from fanout_hooks import check
from fanout_hooks import event as events
from fanout_hooks.commands.common import add_project, project_of
from fanout_hooks.config import SCOPES
from fanout_hooks.dispatch import Request, run_event
from fanout_hooks.house import House
from fanout_hooks.loop import Loop
from fanout_hooks.matching import NoSuchGuard
from fanout_hooks.memory import state_folder
from fanout_hooks.settings import Refused


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument(
        "--scope", choices=SCOPES, action="append", help="whose hooks (default: all that are adopted)"
    )
    parser.add_argument("--only", metavar="NAME", default="", help="one guard alone")


def run(args: argparse.Namespace) -> int:
    raw = sys.stdin.buffer.read()
    event = events.from_stdin(raw)
    if event is None:
        raise Refused("what came on stdin is no hook event")
    project = project_of(args)
    env = {**os.environ, "CLAUDE_PROJECT_DIR": project}
    scopes = args.scope or [own.scope for own in check.adopted_scopes(project, env)]
    request = Request(event, tuple(scopes), env, args.only, "", "cold", raw)
    house = House(Loop(), state_folder(env))
    try:
        return run_event(house, request)
    except NoSuchGuard as error:
        raise Refused(str(error)) from None
    finally:
        house.close()
