"""Do the settings hold what the plugin registers, too? Then the plugin's entries stand down.

Looked at on every event of the plugin, so no JSON is read: our own word in the file is enough.
"""

from __future__ import annotations

import os

PLACES = ("settings.json", "settings.local.json")
SIGN = b'"fanout_gate"'
MAX_BYTES = 8 << 20


def by_settings(project: str, home: str) -> bool:
    """Say whether a settings file of the user or the project registers the log and the gate."""
    files = [os.path.join(home, ".claude", PLACES[0])]
    files += [os.path.join(project, ".claude", name) for name in PLACES]
    return any(_holds(path) for path in files)


def _holds(path: str) -> bool:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            return SIGN in file.read(MAX_BYTES)
    except OSError:
        return False
