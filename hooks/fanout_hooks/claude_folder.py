"""Where Claude Code's files are: the user's settings and transcripts, its memory of projects, their settings.

CLAUDE_CONFIG_DIR moves all of the user's own into one folder. Without it that is ~/.claude, and
`.claude.json` (servers, projects) lies beside it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping

FILES = {"user": "settings.json", "local": "settings.local.json", "shared": "settings.json"}


def claude_folder(env: Mapping[str, str]) -> str:
    """Return the folder of `settings.json` and `projects/`."""
    return env.get("CLAUDE_CONFIG_DIR") or os.path.join(_home(env), ".claude")


def servers_file(env: Mapping[str, str]) -> str:
    """Return the file in which the user's servers are registered."""
    return os.path.join(env.get("CLAUDE_CONFIG_DIR") or _home(env), ".claude.json")


def settings_file(scope: str, project: str, claude: str) -> str:
    """Return the settings of a scope: user, local (a project's, not committed) or shared (committed)."""
    return os.path.join(claude if scope == "user" else os.path.join(project, ".claude"), FILES[scope])


def _home(env: Mapping[str, str]) -> str:
    return env.get("HOME") or os.path.expanduser("~")
