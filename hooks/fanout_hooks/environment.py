"""The environment of a hook on the warm path: what the client itself would have given it.

The server was started by the same client process, so its environment is the hooks' own but for what the
client sets for each event, and for what it gave to the server alone.
"""

from __future__ import annotations

from typing import Any

SERVERS_OWN = ("CLAUDE_PLUGIN_ROOT", "CLAUDE_PLUGIN_DATA", "CLAUDE_CODE_LAUNCHED_BY_SESSION_IDS")
SERVERS_OWN_PREFIX = "CLAUDE_PLUGIN_OPTION_"


def for_event(base: dict[str, str], event: dict[str, Any], client: int) -> dict[str, str]:
    """Return the variables of one event's hooks. `client` is the client's process."""
    env = {
        name: value
        for name, value in base.items()
        if name not in SERVERS_OWN and not name.startswith(SERVERS_OWN_PREFIX)
    }
    cwd = str(event.get("cwd") or "")
    env.setdefault("CLAUDE_PROJECT_DIR", cwd)
    attended = "1" if env.get("CLAUDE_CODE_ENTRYPOINT") == "cli" else "0"
    env.setdefault("CLAUDE_CODE_SESSION_ATTENDED", attended)
    env |= {
        "CLAUDECODE": "1",
        "CLAUDE_CODE_CHILD_SESSION": "1",
        "CLAUDE_CODE_SESSION_ID": str(event.get("session_id") or ""),
        "CLAUDE_PID": str(client),
    }
    if cwd:
        env["PWD"] = cwd  # the shell that starts a hook sets it
    effort = event.get("effort")
    if isinstance(effort, dict) and isinstance(effort.get("level"), str):
        env["CLAUDE_EFFORT"] = effort["level"]
    else:
        env.pop("CLAUDE_EFFORT", None)
    return env
