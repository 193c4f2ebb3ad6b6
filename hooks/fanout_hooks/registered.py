"""Do the settings hold what the plugin registers, too? Then the plugin's entries stand down.

Looked at on every event of the plugin, so no JSON is read: our own word in the file is enough.

calls(project, env)   whether some settings of the user or the project call a server, by the same look
"""

from __future__ import annotations

import os
from collections.abc import Mapping

from fanout_hooks import regular
from fanout_hooks.claude_folder import claude_folder

PLACES = ("settings.json", "settings.local.json")
SIGN = b'"fanout_gate"'
CALL = b'"run_hooks"'
MAX_BYTES = 8 << 20


def by_settings(project: str, env: Mapping[str, str]) -> bool:
    """Say whether a settings file of the user or the project registers the log and the gate."""
    return any(_holds(path, SIGN) for path in _files(project, env))


def calls(project: str, env: Mapping[str, str]) -> bool:
    """Say whether a settings file of the user or the project has hooks that call a server of ours."""
    return any(_holds(path, CALL) for path in _files(project, env))


def _files(project: str, env: Mapping[str, str]) -> list[str]:
    return [os.path.join(claude_folder(env), PLACES[0])] + [
        os.path.join(project, ".claude", name) for name in PLACES
    ]


def _holds(path: str, sign: bytes) -> bool:
    try:
        return sign in regular.read(path, MAX_BYTES, follow=True)
    except OSError:
        return False
