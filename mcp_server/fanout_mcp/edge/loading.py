"""Load the server in a thread, and let a hook event go meanwhile where another process runs its hooks.

Each event has two entries in the settings, and the client waits for both: a call to the server, and a line of
`sh` that runs the hooks itself as long as there is no server (hooks/fanout_hooks/run/claims.py). Right after
its start the server would only find out, a second later, that the line has run them.
"""

from __future__ import annotations

import os
import sys
import threading
import time

from fanout_mcp.edge.first import HOOKS_TOOL, NO_OPINION, First, Message, Waiting

TICK_S = 0.01
"""Between two looks at what waits."""
AHEAD_S = 5.0
"""So much sooner than the call the line may have come: the client starts both at once."""


class Loading:
    """Whether the server is loaded; loads it from the first time on that it is asked."""

    def __init__(self) -> None:
        self._thread: threading.Thread | None = None

    def __call__(self, first: First) -> bool:
        if self._thread is None:
            sys.stdout = sys.stderr  # what an imported module prints is no message to the client
            self._thread = threading.Thread(target=_load, daemon=True)
            self._thread.start()
        for call in [one for one in first.waiting if one.params.get("name") == HOOKS_TOOL]:
            if is_run_elsewhere(call):
                first.answer_text(call.id, NO_OPINION, is_error=False)
                first.waiting.remove(call)
        return not self._thread.is_alive()


def _load() -> None:
    import fanout_mcp.edge.server  # noqa: F401 - half a second for the SDK


def is_run_elsewhere(call: Waiting) -> bool:
    """Say whether another process has claimed the event since it came; take note there that we came too."""
    from fanout_hooks.client import hook_input
    from fanout_hooks.client.home import state_folder
    from fanout_hooks.run import claims

    arguments: Message = call.params.get("arguments") or {}
    try:
        name = hook_input.claim_name(
            hook_input.from_input(arguments), str(arguments.get("fanout_scopes", ""))
        )
        where = claims.folder(state_folder(dict(os.environ)))
        age_s = time.time() - claims.came(where, name)
    except Exception:  # noqa: BLE001 - no event, or no claim: the server will see
        return False
    if age_s > time.monotonic() - call.since + AHEAD_S:
        return False  # of an event before, in the same words
    if not claims.claim(where, name, claims.of_call(os.getpid(), arguments)):
        return True
    claims.drop(where, name)
    return False
