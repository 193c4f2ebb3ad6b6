"""Where the user's own files of Claude Code are: settings, hooks and transcripts, and what it remembers.

CLAUDE_CONFIG_DIR moves all of them into one folder. Without it the folder is ~/.claude, and `.claude.json`
(servers, projects) lies beside it.
"""

from __future__ import annotations

import os
from collections.abc import Mapping


def claude_folder(env: Mapping[str, str]) -> str:
    """Return the folder of `settings.json` and `projects/`."""
    return env.get("CLAUDE_CONFIG_DIR") or os.path.join(_home(env), ".claude")


def servers_file(env: Mapping[str, str]) -> str:
    """Return the file in which the user's servers are registered."""
    return os.path.join(env.get("CLAUDE_CONFIG_DIR") or _home(env), ".claude.json")


def _home(env: Mapping[str, str]) -> str:
    return env.get("HOME") or os.path.expanduser("~")
