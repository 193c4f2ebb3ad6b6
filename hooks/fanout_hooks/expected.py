"""Will this session's hooks call this very server? Then it can be ready, and say so, before they do.

Sentinels stand down for a server's mark, so it must be sure that the entries call this one: a second server,
registered under another name, is never called. So either the plugin started us, whose entries and server have
fixed names; or what is registered under the name that all other entries call is our own command line. For
whom neither holds (a launcher in between, `--mcp-config`), the first call is the proof.
"""

from __future__ import annotations

import json
import os
from collections.abc import Sequence

from fanout_hooks import place, registered

PLUGIN = "fanout"


def is_expected(env: dict[str, str], words: Sequence[str]) -> bool:
    """Say so for the server with this environment and this command line."""
    root = env.get("CLAUDE_PLUGIN_ROOT")
    if root:
        return _is_our_plugin(root)
    project = env.get("CLAUDE_PROJECT_DIR") or os.getcwd()
    own = place.find("local", project, env)
    return registered.calls(project, env) and any(
        _is_started_by(entry.get("command"), entry.get("args", []), words) for entry in place.registered(own)
    )


def _is_our_plugin(root: str) -> bool:
    try:
        with open(os.path.join(root, ".claude-plugin", "plugin.json"), "rb") as file:
            about = json.load(file)
    except (OSError, ValueError):
        return False
    return isinstance(about, dict) and about.get("name") == PLUGIN


def _is_started_by(command: object, args: object, words: Sequence[str]) -> bool:
    if not isinstance(command, str) or not isinstance(args, list):
        return False
    own = list(words[len(words) - len(args) - 1 :]) if len(words) > len(args) else []
    return bool(own) and os.path.basename(own[0]) == os.path.basename(command) and own[1:] == args
