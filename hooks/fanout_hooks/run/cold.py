"""The cold path: one event in one process, for events and people without a server, and as the fallback.

    python -I -S run.py cold --scopes "user local" [--only NAME] [--gate MODE] [--from plugin]

Reads the event from stdin as a native hook would, runs its hooks through the same code as the warm path,
prints the answer. Whatever is wrong with our input, the event goes on (exit 0), unless it is for a guard
(`--only`): then it is denied (exit 2).

What the hooks' interpreter needs as well is imported first; then it is forked (ahead.py), and what only we
need is imported while it gets ready on another core.
"""

from __future__ import annotations

import argparse
import os
import select
import sys
import time
from typing import Any

from fanout_hooks.adoption import check
from fanout_hooks.adoption.consent import add_project, project_of
from fanout_hooks.client import hook_input as events
from fanout_hooks.client import places
from fanout_hooks.client.settings import Refused
from fanout_hooks.learn.memory import Memory, path_of, state_folder
from fanout_hooks.run import claims
from fanout_hooks.run.choose import NoSuchGuard
from fanout_hooks.run.config import SCOPES
from fanout_hooks.run.dispatch import Request, run_event
from fanout_hooks.run.loop import Loop
from fanout_hooks.run.state import RuntimeState
from fanout_hooks.warm import ahead

STDIN_S = 5.0
"""The client writes the event at once; a stdin that stays open is not the client."""

Event = dict[str, Any]
Options = dict[str, str]


def read_stdin(fd: int, limit_s: float = STDIN_S) -> bytes | None:
    """Return everything up to the end of stdin; None when it doesn't come.

    A stdin that is still open at the limit counts as ended after an object's line.
    """
    data = bytearray()
    until = time.monotonic() + limit_s
    while len(data) <= events.MAX_BYTES:
        ready, _, _ = select.select([fd], [], [], max(0.0, until - time.monotonic()))
        if not ready:
            return bytes(data) if data.endswith(b"}\n") else None
        more = os.read(fd, 1 << 16)
        if not more:
            return bytes(data)
        data += more
    return None


def main(argv: list[str]) -> int:
    """Run one event; return the exit code for the client."""
    options = _options(argv)
    env = dict(os.environ)
    raw = read_stdin(0)
    event = events.from_stdin(raw) if raw is not None else None
    only = options.get("only", "")
    if raw is None or event is None:
        sys.stderr.write("fanout: what came on stdin is no hook event\n")
        return 2 if only else 0
    project = env.get("CLAUDE_PROJECT_DIR") or str(event.get("cwd", ""))
    if options.get("from") == "plugin" and places.by_settings(project, env):
        return 0
    scopes = options.get("scopes", "")
    if not only and not claims.claim(
        claims.folder(state_folder(env)), events.claim_name(event, scopes), f"cold {sys.orig_argv}"
    ):
        return 0
    try:
        return answer(event, raw, env, options)
    except Exception as error:  # noqa: BLE001 - the edge: our own mistake denies for guards, else lets go on
        from fanout_hooks.crash import explain

        sys.stderr.write(f"fanout: {explain('running the hooks of this event', error, env)}\n")
        return 2 if only else 0


def answer(event: Event, raw: bytes, env: dict[str, str], options: Options) -> int:
    """Run the event's hooks and print their answer."""
    state = state_folder(env)
    project = env.get("CLAUDE_PROJECT_DIR") or str(event.get("cwd") or os.getcwd())
    known = Memory(path_of(state, project))
    forked = ahead.fork(known, env)

    from fanout_hooks.run.dispatch import Request, run_event
    from fanout_hooks.run.loop import Loop
    from fanout_hooks.run.state import RuntimeState

    scopes, gate = tuple(options.get("scopes", "").split()), options.get("gate", "")
    is_logged = options.get("log") != "off"
    runtime = RuntimeState(Loop(), state)
    runtime.expect(project, known, forked)
    return run_event(
        runtime, Request(event, scopes, env, options.get("only", ""), gate, "cold", raw, is_logged)
    )


def _options(argv: list[str]) -> Options:
    """Read `--name value` pairs; argparse alone would cost more than all the rest."""
    pairs = iter(argv)
    return {name[2:]: next(pairs, "") for name in pairs if name.startswith("--")}


# --- dispatch -----------------------------------------------------------------------------------------------
# `fanout-hooks dispatch`: run an event's hooks by hand, as the cold path does, and print the answer.


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
    runtime = RuntimeState(Loop(), state_folder(env))
    try:
        return run_event(runtime, request)
    except NoSuchGuard as error:
        raise Refused(str(error)) from None
    finally:
        runtime.close()
