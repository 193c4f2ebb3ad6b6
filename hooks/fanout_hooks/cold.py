"""The cold path: one event in one process, for events and people without a server, and as the fallback.

    python -I -S run.py cold --scopes "user local" [--only NAME] [--gate MODE] [--from plugin]

Reads the event from stdin as a native hook would, runs its hooks through the same code as the warm path,
prints the answer. Whatever is wrong with our input, the event goes on (exit 0), unless it is for a guard
(`--only`): then it is denied (exit 2).
"""

from __future__ import annotations

import os
import select
import sys
import time

from fanout_hooks import claims, registered
from fanout_hooks import event as events
from fanout_hooks.dispatch import Request, main_json, run_event
from fanout_hooks.memory import state_folder

STDIN_S = 5.0
"""The client writes the event at once; a stdin that stays open is not the client."""


def read_stdin(fd: int, limit_s: float = STDIN_S) -> bytes | None:
    """Return everything up to the end of stdin or the end of an object's line; None when it doesn't come."""
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
    state = state_folder(env)
    scopes = options.get("scopes", "")
    project = env.get("CLAUDE_PROJECT_DIR") or str(event.get("cwd", ""))
    if options.get("from") == "plugin" and registered.by_settings(project, env.get("HOME", "")):
        return 0
    if not only and not claims.claim(
        claims.folder(state), events.claim_name(event, scopes, only), f"cold {sys.orig_argv}"
    ):
        return 0
    gate, is_logged = options.get("gate", ""), options.get("log") != "off"
    request = Request(event, tuple(scopes.split()), env, only, gate, "cold", raw, is_logged)
    try:
        return main_json(run_event(request, state))
    except Exception as error:  # noqa: BLE001 - the edge: our own mistake denies for guards, else lets go on
        sys.stderr.write(f"fanout: {type(error).__name__}: {error}\n")
        return 2 if only else 0


def _options(argv: list[str]) -> dict[str, str]:
    """Read `--name value` pairs; argparse alone would cost more than all the rest."""
    pairs = iter(argv)
    return {name[2:]: next(pairs, "") for name in pairs if name.startswith("--")}
