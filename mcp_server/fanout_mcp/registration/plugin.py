"""Whether the repository's plugin is on: it brings server, skill and hooks by itself."""

from __future__ import annotations

import json
from pathlib import Path

from fanout_hooks import regular
from fanout_mcp.registration.places import SCOPES, places


def plugin_in(project: Path) -> str | None:
    """Return the plugin's id where any settings file of this project or of the user turns it on."""
    for scope in SCOPES:
        for name, is_on in _enabled(places(scope, project).settings).items():
            if name.startswith("fanout@") and is_on is True:
                return name
    return None


def _enabled(path: Path) -> dict[str, object]:
    try:
        found = json.loads(regular.read(path, follow=True)).get("enabledPlugins")
    except (OSError, ValueError, AttributeError, RecursionError):
        return {}  # whoever has to write the file says what is wrong with it
    return found if isinstance(found, dict) else {}
