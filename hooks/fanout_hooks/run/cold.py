"""The cold path: one event in its own process, where no server can answer it.

    python -I -S run.py cold --scopes "user local" [--only NAME] [--gate MODE] [--from plugin]

Reads the event from stdin as a native hook would, runs its hooks through the same code as the warm path,
prints the answer. Whatever is wrong with our input, the event goes on (exit 0), unless it is for a guard
(`--only`): then it is denied (exit 2).
"""

from __future__ import annotations

import os
import sys

from fanout_hooks.client import hook_input as events
from fanout_hooks.client import places
from fanout_hooks.client.home import state_folder
from fanout_hooks.run import claims
from fanout_hooks.run.dispatch import Request, run_event
from fanout_hooks.run.state import AskGate, RuntimeState, WriteLog
from fanout_hooks.warm import prestart
from fanout_hooks.warm.loop import Loop
from fanout_hooks.warm.prestart import Started

SWEEPS = tuple("01")
"""One event in eight, by its claim's name, sweeps: where no server runs, nothing else does."""


def main(
    options: dict[str, str],
    raw: bytes | None,
    ask_gate: AskGate | None = None,
    write_log: WriteLog | None = None,
    started_ms: float = 0.0,
    started: Started | None = None,
) -> int:
    """Run the event of stdin's `raw` by the command's options; return the exit code for the client.

    `started_ms`: what our start took. `started`: the interpreter that was started ahead.
    """
    env = dict(os.environ)
    event = events.from_stdin(raw) if raw is not None else None
    only, scopes = options.get("only", ""), options.get("scopes", "")
    if raw is None or event is None:
        sys.stderr.write("fanout: what came on stdin is not a hook event\n")
        return 2 if only else 0
    project = env.get("CLAUDE_PROJECT_DIR") or str(event.get("cwd", ""))
    if options.get("from") == "plugin" and places.plugin_stands_down(project, env):
        return 0
    state = state_folder(env)
    # Guards make no claim: each has one entry, and one that runs twice only denies twice.
    name = events.claim_name(event, scopes)
    if not only and not claims.claim(claims.folder(state), name, f"cold {sys.orig_argv}"):
        return 0
    is_logged, gate = options.get("log") != "off", options.get("gate", "")
    request = Request(event, tuple(scopes.split()), env, only, gate, "cold", raw, is_logged, started_ms)
    runtime = RuntimeState(Loop(), state, ask_gate, write_log, is_for_one=True, started=started)
    try:
        return run_event(runtime, request)
    except Exception as error:  # noqa: BLE001 - the edge: our own mistake denies for guards, else lets go on
        from fanout_hooks.crash import explain

        sys.stderr.write(f"fanout: {explain('running the hooks of this event', error, env)}\n")
        return 2 if only else 0
    finally:
        if not only:
            prestart.remember(raw, scopes, *runtime.used())
        if name.startswith(SWEEPS):
            claims.sweep(claims.folder(state))
