"""Where files are: Claude Code's settings, servers and transcripts, and what fanout keeps beside them.

CLAUDE_CONFIG_DIR moves all of the user's own into one folder. Without it that is ~/.claude, and
`.claude.json` (servers, projects) lies beside it.
"""

from __future__ import annotations

import json
import os
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from fanout_hooks.client import config, files
from fanout_hooks.client.home import home, state_folder

SERVER = "fanout"
PLUGIN_SERVER = "plugin:fanout:fanout"
"""The names under which our server is registered: by the user, and by the plugin."""
TOOL = "run_hooks"
MARK = ": fanout "
"""Our commands begin so (`:` does nothing): for people who read the file, and to recognize them."""
SHOWN = "fanout hooks"
"""What Claude Code calls our line while it runs, in transcripts, and to Claude when it blocks a Stop."""
FILES = {"user": "settings.json", "local": "settings.local.json", "shared": "settings.json"}


def claude_folder(env: Mapping[str, str]) -> str:
    return env.get("CLAUDE_CONFIG_DIR") or os.path.join(home(env), ".claude")


def servers_file(env: Mapping[str, str]) -> str:
    return os.path.join(env.get("CLAUDE_CONFIG_DIR") or home(env), ".claude.json")


def settings_file(scope: str, project: str, claude: str) -> str:
    """Return the settings of a scope: user, local (a project's, not committed) or shared (committed)."""
    return os.path.join(claude if scope == "user" else os.path.join(project, ".claude"), FILES[scope])


# --- Do the settings hold what the plugin registers, too? Then the plugin's entries stand down. -------------
# Looked at on every event of the plugin, so no JSON is read: our own word in the file is enough.

SIGN = '"fanout_gate"'
CALL = '"run_hooks"'
OPTIONS = ("CLAUDE_PLUGIN_OPTION_GATE", "FANOUT_PLUGIN_GATE")
"""The plugin's option, as the client gives it to hooks and as the plugin gives it to its server."""


def plugin_stands_down(project: str, env: Mapping[str, str]) -> bool:
    """Say whether the plugin's entries do nothing: its option is off, or settings hold the same entries."""
    return any(env.get(name) == "false" for name in OPTIONS) or by_settings(project, env)


def by_settings(project: str, env: Mapping[str, str]) -> bool:
    """Say whether a settings file of the user or the project registers the log and the gate."""
    return _is_in_settings(SIGN, project, env)


def calls(project: str, env: Mapping[str, str]) -> bool:
    """Say whether a settings file of the user or the project has hooks that call a server of ours."""
    return _is_in_settings(CALL, project, env)


def _is_in_settings(sign: str, project: str, env: Mapping[str, str]) -> bool:
    return any(sign in files.text(settings_file(scope, project, claude_folder(env))) for scope in FILES)


# --- Where the files of one scope lie, and which server its entries can call. -------------------------------

IGNORED = ("reports/", "state/", "cache/", ".gitignore", "hooks.local.json")
"""In `.claude/fanout/.gitignore`, itself included: an adopted hooks.json beside them is committed."""


class Place(NamedTuple):
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

    def held(self) -> config.Config:
        return config.load((self.scope,), self.project, self.claude)

    @property
    def folder(self) -> str:
        return os.path.dirname(self.hooks)

    @property
    def originals(self) -> str:
        """What runs the hooks where fanout isn't: committed with a committed hooks.json only."""
        below = ("state",) if self.scope == "local" else ()
        return os.path.join(self.folder, *below, "originals.py")

    @property
    def run(self) -> str:
        """The program that a committed file's entries start."""
        return os.path.join(self.folder, "run")

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
    return Place(scope, project, home(env), claude_folder(env), servers_file(env), state_folder(env))


def must_stay_in_project(place: Place) -> None:
    """Refuse to write where a link, which a repository may have planted, leads. Raises settings.Refused.

    The user's own folder, and settings files, may be links: they are written where they lead.
    """
    if place.scope == "user":
        return
    from fanout_hooks.client.settings import Refused  # expensive, and hardly any reader of this file writes

    try:
        files.folder_in(place.project, ".claude", "fanout", "state")
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
    plugged = any(key.startswith("fanout@") and on for key, on in enabled_plugins(place).items())
    return PLUGIN_SERVER if plugged else ""


def enabled_plugins(place: Place) -> dict[str, Any]:
    """Return which plugins the settings of this scope's sessions turn on or off, by name."""
    return _merged(place, "enabledPlugins")


def _merged(place: Place, key: str) -> dict[str, Any]:
    """Return an object of the settings of this scope's sessions, the nearest file's fields last."""
    found: dict[str, Any] = {}
    for scope in ("user",) if place.scope == "user" else ("user", "shared", "local"):
        found |= dict_in(json_of(settings_file(scope, place.project, place.claude)), key)
    return found


def registered(place: Place) -> list[dict[str, Any]]:
    """Return what is registered under our server's name wherever this scope's sessions look for servers."""
    user = json_of(place.servers)
    holders = [user]
    if place.scope != "user":
        holders += [
            dict_in(user, "projects", place.project),
            json_of(os.path.join(place.project, ".mcp.json")),
        ]
    return [dict_in(file, "mcpServers", SERVER) for file in holders if SERVER in dict_in(file, "mcpServers")]


def settings_env(place: Place) -> dict[str, str]:
    """Return the variables that the settings of this project's sessions set, the nearest file's last."""
    return {name: str(value) for name, value in _merged(place._replace(scope="local"), "env").items()}


def json_of(path: str) -> dict[str, Any]:
    """Return the object that a file holds, {} where there is none."""
    try:
        data = json.loads(files.read(path, follow=True))
    except (OSError, ValueError, RecursionError):
        return {}
    return data if isinstance(data, dict) else {}


def dict_in(data: dict[str, Any], *keys: str) -> dict[str, Any]:
    """Return the object under these keys, {} where there is none."""
    for key in keys:
        found = data.get(key)
        data = found if isinstance(found, dict) else {}
    return data


# --- Will this session's hooks call this very server? Then it can be ready, and say so, before they do. -----
# Sentinels stand down for a server's mark, so it must be sure that the entries call this one: a second
# server, registered under another name, is never called. So either the plugin started us, whose entries and
# server have fixed names; or what is registered under the name that all other entries call is our own
# command line. For whom neither holds (a launcher in between, `--mcp-config`), the first call is the proof.

PLUGIN = "fanout"


def is_expected(env: dict[str, str], words: Sequence[str]) -> bool:
    root = env.get("CLAUDE_PLUGIN_ROOT")
    if root:
        return json_of(os.path.join(root, ".claude-plugin", "plugin.json")).get("name") == PLUGIN
    project = env.get("CLAUDE_PROJECT_DIR") or os.getcwd()
    own = find("local", project, env)
    return calls(project, env) and any(
        _is_started_by(entry.get("command"), entry.get("args", []), words) for entry in registered(own)
    )


def _is_started_by(command: object, args: object, words: Sequence[str]) -> bool:
    if not isinstance(command, str) or not isinstance(args, list):
        return False
    own = list(words[len(words) - len(args) - 1 :]) if len(words) > len(args) else []
    return bool(own) and os.path.basename(own[0]) == os.path.basename(command) and own[1:] == args
