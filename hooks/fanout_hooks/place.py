"""Where the files of one scope lie, and which server its entries can call."""

from __future__ import annotations

import json
import os
from typing import Any, NamedTuple

from fanout_hooks import config, regular
from fanout_hooks.claude_folder import claude_folder, servers_file, settings_file
from fanout_hooks.entries import PLUGIN_SERVER, SERVER
from fanout_hooks.memory import state_folder

IGNORED = ("reports/", "state/", "cache/", ".gitignore", "hooks.local.json")
"""In `.claude/fanout/.gitignore`, itself included: an adopted hooks.json beside them is committed."""


class Place(NamedTuple):
    """One scope's files."""

    scope: str
    project: str
    home: str
    claude: str
    """The user's own folder of Claude Code."""
    servers: str
    """Where the user's servers are registered."""
    state: str

    @property
    def settings(self) -> str:
        return settings_file(self.scope, self.project, self.claude)

    @property
    def hooks(self) -> str:
        return config.path_of(self.scope, self.project, self.claude)

    @property
    def folder(self) -> str:
        return os.path.dirname(self.hooks)

    @property
    def originals(self) -> str:
        """What runs the hooks where fanout isn't: committed with a committed hooks.json only."""
        below = ("state",) if self.scope == "local" else ()
        return os.path.join(self.folder, *below, "originals.py")

    @property
    def warm(self) -> str:
        """Tells a committed file's sentinels that this user's settings hold the calls, and to which server.

        Its first line is how the server's mark ends; after it, those settings' `hooks` as they were written.
        """
        return os.path.join(self.folder, "state", "warm")

    @property
    def was_warm(self) -> str:
        """What `warm` was, while `restore` takes the calls out: sentinels run the hooks already."""
        return self.warm + ".was"

    @property
    def beside(self) -> str:
        """Where the calls to the server stand for a committed file: in the user's own settings."""
        return settings_file("local", self.project, self.claude) if self.scope == "shared" else ""


def find(scope: str, project: str, env: dict[str, str]) -> Place:
    home = env.get("HOME") or os.path.expanduser("~")
    return Place(scope, project, home, claude_folder(env), servers_file(env), state_folder(env))


def must_stay_in_project(place: Place) -> None:
    """Refuse to write where a link, which a repository may have planted, leads. Raises settings.Refused.

    The user's own folder, and settings files, may be links: they are written where they lead.
    """
    if place.scope == "user":
        return
    from fanout_hooks.settings import Refused  # a dear import, and this file is read where nothing is written

    try:
        regular.folder_in(place.project, ".claude", "fanout", "state")
    except OSError as error:
        raise Refused(str(error)) from None
    if os.path.islink(place.hooks):
        raise Refused(f"{place.hooks} is a link, and the project's hooks are no place to follow one")


def project_of(folder: str, home: str) -> str:
    """Return the nearest folder from here upwards that has settings of its own, else this one."""
    at = folder
    while at not in (home, os.path.dirname(at)):
        if any(os.path.exists(settings_file(scope, at, "")) for scope in ("shared", "local")):
            return at
        at = os.path.dirname(at)
    return folder


def server_of(place: Place) -> str:
    """Return the name of the server that this scope's sessions have, "" where none is registered."""
    if registered(place):
        return SERVER
    plugged = [_json(settings_file("user", place.project, place.claude))]
    if place.scope != "user":
        plugged += [_json(settings_file(scope, place.project, place.claude)) for scope in ("shared", "local")]
    enabled: dict[str, Any] = {}
    for file in plugged:
        enabled |= _dict(file, "enabledPlugins")
    return PLUGIN_SERVER if any(key.startswith("fanout@") and on for key, on in enabled.items()) else ""


def registered(place: Place) -> list[dict[str, Any]]:
    """Return what stands under our server's name wherever this scope's sessions look for servers."""
    user = _json(place.servers)
    files = [user]
    if place.scope != "user":
        files += [_dict(user, "projects", place.project), _json(os.path.join(place.project, ".mcp.json"))]
    return [_dict(file, "mcpServers", SERVER) for file in files if SERVER in _dict(file, "mcpServers")]


def settings_env(place: Place) -> dict[str, str]:
    """Return the variables that the settings of this project's sessions set, the nearest file's last."""
    found: dict[str, str] = {}
    for scope in ("user", "shared", "local"):
        own = _dict(_json(settings_file(scope, place.project, place.claude)), "env")
        found |= {name: str(value) for name, value in own.items()}
    return found


def _json(path: str) -> dict[str, Any]:
    try:
        data = json.loads(regular.read(path, follow=True))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def _dict(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    for key in keys:
        found = data.get(key)
        data = found if isinstance(found, dict) else {}
    return data
