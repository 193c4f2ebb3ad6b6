"""Where Claude Code reads servers, settings and skills, by scope.

    user       this user, every project:   ~/.claude.json, ~/.claude/settings.json, ~/.claude/skills/
    local      this user, this project:    ~/.claude.json, .claude/settings.local.json, .claude/skills/
    project    everyone who works in it:      .mcp.json, .claude/settings.json, .claude/skills/

With CLAUDE_CONFIG_DIR the user's own files are all in that folder.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final, Literal

from pydantic import BaseModel, ValidationError

from fanout_hooks.client import files, json_edit
from fanout_hooks.client.places import claude_folder, servers_file
from fanout_hooks.client.settings import replace
from fanout_mcp.errors import InvalidInput, SettingsError
from fanout_mcp.source.git import repository
from fanout_mcp.types import Json

# --- What we add to the text of the user's JSON file, and how exactly that is taken out again. --------------
# Rules:
# 1. An addition is one value under a key, or one item of a list. What is there already is not added, and so
#    not taken out either: a rule that the user wrote stays.
# 2. Objects and lists that had to be made for it are noted, and go with it when they are empty then.
# 3. Taking out looks for the value itself, so whatever the user changed around it stays.
# 4. Text is put in and cut out (client/json_edit.py): every byte of an unchanged file comes
#    back.

Keys = tuple[str, ...]


class Addition(BaseModel, frozen=True):
    """One value of ours: under the last key, or (`is_item`) in the list that is under it."""

    keys: Keys
    value: Any
    is_item: bool = False


class Made(BaseModel, frozen=True):
    """What was really added."""

    additions: tuple[Addition, ...] = ()
    containers: tuple[Keys, ...] = ()

    def __add__(self, other: Made) -> Made:
        # Once each: what an installation that was killed had recorded, the next one makes.
        additions = tuple(one for one in other.additions if one not in self.additions)
        containers = tuple(keys for keys in other.containers if keys not in self.containers)
        return Made(additions=self.additions + additions, containers=self.containers + containers)

    def split(self, wanted: Iterable[Addition]) -> tuple[Made, Made]:
        """Return what is still wanted, with the containers, and what isn't any more."""
        stays = list(wanted)
        kept = tuple(one for one in self.additions if one in stays)
        gone = tuple(one for one in self.additions if one not in stays)
        return Made(additions=kept, containers=self.containers), Made(additions=gone)


def add(text: str, wanted: Sequence[Addition]) -> tuple[str, Made]:
    """Return the text with the additions, and what was added. Raises InvalidInput where one can't be."""
    made: list[Addition] = []
    containers: list[Keys] = []
    for one in wanted:
        data = json.loads(text)
        missing = _missing(data, one)
        found = None if missing else find(data, one.keys)
        if one.is_item and not (isinstance(found, list) and one.value in found):
            text = json_edit.with_item(text, one.keys, one.value)
        elif not one.is_item and one.keys in missing:
            text = json_edit.with_member(text, one.keys, one.value)
        elif not one.is_item and found != one.value:
            raise InvalidInput(f"{'.'.join(one.keys)} is already there and isn't ours; remove or rename it.")
        else:
            continue
        made.append(one)
        containers += [keys for keys in missing if one.is_item or keys != one.keys]
    return text, Made(additions=tuple(made), containers=tuple(containers))


def _missing(data: Json, one: Addition) -> list[Keys]:
    """Return the keys on the way to it, and its own, that aren't there. Raises InvalidInput."""
    for depth in range(1, len(one.keys) + 1):
        keys = one.keys[:depth]
        holder = find(data, keys[:-1])
        if keys[-1] not in holder:
            return [one.keys[:more] for more in range(depth, len(one.keys) + 1)]
        is_last = depth == len(one.keys)
        if not is_last and not isinstance(holder[keys[-1]], dict):
            raise InvalidInput(f"{'.'.join(keys)} should be an object; fix it first.")
        if is_last and one.is_item and not isinstance(holder[keys[-1]], list):
            raise InvalidInput(f"{'.'.join(keys)} should be a list; fix it first.")
    return []


def take_out(text: str, made: Made) -> str:
    """Return the text without what was added; what the user has removed or changed since is left alone."""
    for one in reversed(made.additions):
        holder = find(json.loads(text), one.keys if one.is_item else one.keys[:-1])
        if one.is_item and isinstance(holder, list) and one.value in holder:
            last = max(number for number, item in enumerate(holder) if item == one.value)
            text = json_edit.without(text, (*one.keys, last))
        elif not one.is_item and isinstance(holder, dict) and _is_ours(holder.get(one.keys[-1]), one.value):
            text = json_edit.without(text, one.keys)
    for keys in sorted(made.containers, key=len, reverse=True):
        if find(json.loads(text), keys) in ({}, []):
            text = json_edit.without(text, keys)
    return text


def _is_ours(now: Json, value: Json) -> bool:
    """An object that the user has only added to (a timeout, say) is still ours."""
    if isinstance(now, dict) and isinstance(value, dict):
        return all(key in now and now[key] == part for key, part in value.items())
    return bool(now == value)


def find(data: Json, keys: Keys) -> Json:
    for key in keys:
        data = data.get(key) if isinstance(data, dict) else None
    return data


# --- places ------------------------------------------------------------------------------------------

Scope = Literal["user", "local", "project"]
SCOPES: Final[tuple[Scope, ...]] = ("user", "local", "project")
SERVER: Final = "fanout"


@dataclass(frozen=True, slots=True)
class Places:
    """The files of one scope."""

    scope: Scope
    servers: Path
    server_keys: Keys
    """The keys in `servers` that lead to our entry."""
    settings: Path
    skill: Path

    @property
    def name(self) -> str:
        """What an installation in this scope is remembered by."""
        return self.scope if self.scope == "user" else f"{self.scope} {self.settings.parents[1]}"


def places(scope: Scope, project: Path, env: Mapping[str, str] | None = None) -> Places:
    env = os.environ if env is None else env
    folder = Path(claude_folder(env)) if scope == "user" else project / ".claude"
    servers = project / ".mcp.json" if scope == "project" else Path(servers_file(env))
    below = ("projects", str(project)) if scope == "local" else ()
    return Places(
        scope,
        servers,
        (*below, "mcpServers", SERVER),
        folder / ("settings.local.json" if scope == "local" else "settings.json"),
        folder / "skills" / "fanout" / "SKILL.md",
    )


def project_of(folder: Path) -> Path:
    """Return the project a folder is in, as Claude Code identifies projects: by their git repository."""
    found = repository(folder)
    return folder if isinstance(found, str) else found.top


# --- Whether the repository's plugin is on: it brings server, skill and hooks by itself. --------------------


def plugin_in(project: Path) -> str | None:
    """Return the plugin's id where any settings file of this project or of the user turns it on."""
    for scope in SCOPES:
        enabled = value_in(places(scope, project).settings, ("enabledPlugins",))
        for name, is_on in enabled.items() if isinstance(enabled, dict) else ():
            if name.startswith("fanout@") and is_on is True:
                return str(name)
    return None


def value_in(path: Path, keys: Keys) -> Json:
    """Return what a JSON file has below these keys, None where there is no such thing."""
    try:
        return find(json.loads(files.read(path, follow=True)), keys)
    except (OSError, ValueError, RecursionError):
        return None  # the step that writes the file reports what is wrong with it


# --- record -------------------------------------------------------------------------------------------------
# What was installed where: `installed.json` in the user's own folder, so that exactly that goes again.

NAME: Final = "installed.json"


class JsonFile(BaseModel, frozen=True):
    """One JSON file that was added to."""

    made: Made = Made()
    was_there: bool = True


class Installed(BaseModel, frozen=True):
    """One scope's installation, by path."""

    json_files: dict[str, JsonFile] = {}
    whole_files: dict[str, str] = {}
    """Files that are ours alone, with their text."""
    agreed_line: str | None = None
    """The line of config.toml that said otherwise before the user agreed; "" when there was none."""


class Record(BaseModel):
    scopes: dict[str, Installed] = {}


def read(config_dir: Path) -> Record:
    path = config_dir / NAME
    try:
        return Record.model_validate_json(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return Record()
    except (OSError, UnicodeDecodeError, ValidationError) as error:
        raise SettingsError(f"{path} can't be read. Remove it, and take fanout out by hand.") from error


def write(config_dir: Path, record: Record) -> None:
    path = config_dir / NAME
    if record.scopes:
        replace(str(path), json.dumps(record.model_dump(), indent=1).encode() + b"\n", 0o600)
    else:
        path.unlink(missing_ok=True)
