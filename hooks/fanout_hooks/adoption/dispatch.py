"""`fanout-hooks dispatch`: run an event's hooks by hand, as the cold path does, and print the answer."""

from __future__ import annotations

import argparse
import os
import sys

from fanout_hooks.adoption import check
from fanout_hooks.adoption.consent import add_project, project_of
from fanout_hooks.client import hook_input
from fanout_hooks.client.config import SCOPES
from fanout_hooks.client.home import state_folder
from fanout_hooks.client.settings import Refused
from fanout_hooks.log.append import after_event
from fanout_hooks.run.choose import NoSuchGuard
from fanout_hooks.run.dispatch import Request, run_event
from fanout_hooks.run.state import RuntimeState
from fanout_hooks.warm.loop import Loop


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument(
        "--scope",
        choices=SCOPES,
        action="append",
        help="scope whose hooks to run (default: all that are adopted)",
    )
    parser.add_argument("--only", metavar="NAME", default="", help="only this guard")


def run(args: argparse.Namespace) -> int:
    raw = sys.stdin.buffer.read()
    event = hook_input.from_stdin(raw)
    if event is None:
        raise Refused("what came on stdin is not a hook event")
    project = project_of(args)
    env = {**os.environ, "CLAUDE_PROJECT_DIR": project}
    scopes = args.scope or [own.scope for own in check.adopted_scopes(project, env)]
    request = Request(event, tuple(scopes), env, args.only, "", "cold", raw)
    runtime = RuntimeState(Loop(), state_folder(env), write_log=after_event)
    try:
        return run_event(runtime, request)
    except NoSuchGuard as error:
        raise Refused(str(error)) from None
    finally:
        runtime.close()
