"""What installing or taking out would write, decided before anything is written.

gather: `look` reads the files; plan: `installing` and `uninstalling` return changes and what to remember;
perform: `perform` writes the changes, each whole or not at all, the old file kept.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import fanout_mcp
from fanout_hooks.adoption.adopt import beside_original, hand_over, hooks_of, is_made_for_calls
from fanout_hooks.adoption.entries import log_and_gate_entries, without_log_and_gate
from fanout_hooks.client import json_edit
from fanout_hooks.client import places as where
from fanout_hooks.client import settings as files
from fanout_hooks.client.settings import Edited, with_hooks
from fanout_hooks.crash import system_refusal
from fanout_mcp.errors import InvalidInput
from fanout_mcp.registration.places import (
    Addition,
    Installed,
    JsonFile,
    Keys,
    Made,
    Places,
    add,
    find,
    take_out,
)
from fanout_mcp.state.settings import with_setting
from fanout_mcp.types import Json

# --- The user's agreement that `claude` may spend their subscription: one line of config.toml. --------------

AGREED: Final = "claude_agreed"


def taken_back(text: str, line: str) -> str:
    """Return config.toml as it was before it was agreed, whatever else changed since; `line`: stood there."""
    own = f"{AGREED} = true"
    return text.replace(own, line, 1) if line else text.replace(f"{own}\n", "", 1)


# --- What an installation consists of: the server's entry, the permission, the hooks, the skill. ------------

ALLOW: Final = ("permissions", "allow")
RULE: Final = "mcp__fanout"
PLUGIN_RULE: Final = "mcp__plugin_fanout_fanout"
"""All tools of the server; none of them changes the project."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Choices:
    """What the user wants of it. Spending and permissions are never implied by anything else."""

    server: bool = True
    log: bool = True
    gate: bool = True
    skill: bool = True
    allow_tools: bool = False
    claude_backend: bool = False

    @property
    def beside_the_plugin(self) -> Choices:
        """The plugin brings server, hooks and skill; a second set would be one too many."""
        return replace(self, server=False, log=False, gate=False, skill=False)


def server_entry() -> Json:
    """Return the server's entry: this very environment, by absolute path and isolated from the project."""
    if any(part.startswith("archive-v") for part in Path(sys.prefix).parts):
        raise InvalidInput(
            f"fanout runs from uvx's cache ({sys.prefix}), which may vanish. Install it first, with "
            "`uv tool install` or pip, and run `fanout install` again."
        )
    return {"type": "stdio", "command": sys.executable, "args": ["-I", "-m", "fanout_mcp", "serve"]}


def is_server_entry(entry: Json) -> bool:
    """Return whether an entry starts our server, by any author: this command, or a clone's launcher."""
    words = entry.get("args") if isinstance(entry, dict) else None
    text = " ".join(map(str, words)) if isinstance(words, list) else ""
    return "-m fanout_mcp serve" in text or "mcp_server/launch.py" in text


def for_settings(choices: Choices) -> list[Addition]:
    rule = RULE if choices.server else PLUGIN_RULE
    wanted = [Addition(keys=ALLOW, value=rule, is_item=True)] if choices.allow_tools else []
    entries = log_and_gate_entries(with_log=choices.log, with_gate=choices.gate)
    wanted += [
        Addition(keys=("hooks", event), value=group, is_item=True)
        for event, groups in entries.items()
        for group in groups
    ]
    return wanted


def skill_text() -> str:
    """Return the skill: beside the package where it was installed, at the top of a checkout."""
    package = Path(fanout_mcp.__file__).parent
    for path in (package / "skill" / "SKILL.md", package.parents[1] / "skills" / "fanout" / "SKILL.md"):
        if path.is_file():
            return path.read_text(encoding="utf-8")
    raise InvalidInput("this installation has no skill in it; use --no-skill.")


# --- plan ------------------------------------------------------------------------------------------

STATE: Final = "state"
"""Below the user's own folder: locks, and the files as they were before."""

LOCAL: Final = "settings.local.json"
"""May hold the calls for committed hooks (`fanout-hooks adopt --shared`), too."""
MAX_LINE: Final = 400
"""Of a diff that is read before agreeing to it."""


@dataclass(frozen=True, slots=True)
class Change:
    """One file, before and after; None where there is no such file."""

    path: Path
    before: str | None
    after: str | None
    file: files.File
    """As it was read; what is on disk is compared with it before it is replaced."""
    is_json: bool = True
    is_left: bool = False
    """A file that we made stays, for something else of fanout is in it."""
    is_exact: bool = True
    """All that stays keeps its bytes."""

    @property
    def is_real(self) -> bool:
        return self.before != self.after

    @property
    def diff(self) -> str:
        """The change for a person: where a file stands on one line, its values are compared a line each."""
        before, after = self.before or "", self.after or ""
        if self.is_json and max(map(len, f"{before}\n{after}".split("\n"))) > MAX_LINE:
            before, after = (text and json_edit.formatted_file(json.loads(text)) for text in (before, after))
        return json_edit.diff(str(self.path), before, after)


@dataclass(frozen=True, slots=True)
class Plan:
    changes: tuple[Change, ...]
    installed: Installed | None
    """What to remember of this scope; None: nothing is left of it."""
    notes: tuple[str, ...] = ()


# --- installing ------------------------------------------------------------------------------------------


def installing(places: Places, choices: Choices, old: Installed, config: Path) -> Plan:
    """Plan what is missing. Raises InvalidInput or Refused for a file that can't be added to."""
    server, notes = _server(places, old) if choices.server else ([], [])
    made = [one for record in old.json_files.values() for one in record.made.additions]
    if any(one.keys == ALLOW for one in made):  # what was once agreed stays agreed until `uninstall`
        choices = replace(choices, allow_tools=True)
    wanted = {places.servers: server, places.settings: for_settings(choices)}
    results = {
        str(path): _adding(path, additions, old)
        for path, additions in wanted.items()
        if additions or str(path) in old.json_files
    }
    changes = [change for change, _ in results.values()]
    json_files = {path: record for path, (_, record) in results.items() if record.made.additions}
    installed = old.model_copy(update={"json_files": json_files})
    if choices.skill:
        change = _whole_file(places.skill, skill_text(), old)
        changes.append(change)
        installed = installed.model_copy(update={"whole_files": {str(places.skill): change.after}})
    if choices.claude_backend and old.agreed_line is None:
        after, line = with_setting(files.read_text(str(config)).text, AGREED, value=True)
        change = _text(config, after)
        changes.append(change)
        installed = installed.model_copy(update={"agreed_line": line if change.is_real else None})
    return Plan(tuple(change for change in changes if change.is_real), installed, tuple(notes))


def _server(places: Places, old: Installed) -> tuple[list[Addition], list[str]]:
    server = Addition(keys=places.server_keys, value=server_entry())
    found = find(files.read(str(places.servers)).data, places.server_keys)
    recorded = old.json_files.get(str(places.servers), JsonFile()).made.additions
    if not is_server_entry(found) or found in [one.value for one in recorded]:
        return [server], []
    note = f"{places.servers} registers the server already; its entry stays as it is."
    return [server.model_copy(update={"value": found})], [note]


def _adding(path: Path, wanted: Sequence[Addition], old: Installed) -> tuple[Change, JsonFile]:
    file = files.read(str(path))
    hooks_of(file)  # refuses what Claude Code would refuse: it runs none of the hooks in such a file
    known = old.json_files.get(str(path))
    kept, gone = (known or JsonFile()).made.split(wanted)
    try:
        text, made = add(take_out(file.text, gone), wanted)
    except InvalidInput as error:
        raise InvalidInput(f"{path}: {error}") from None
    made = made + Made(containers=_made_for_calls(path, wanted))
    record = JsonFile(made=kept + made, was_there=known.was_there if known else _is_theirs(file))
    if file.raw is None:  # what isn't there, and is given nothing, stays away
        return Change(path, None, None if text == file.text else text, file), record
    return Change(path, file.text, text, file), record


def _is_theirs(file: files.File) -> bool:
    """Whether the file was there before us; `fanout-hooks adopt --shared` may have made it a moment ago."""
    path = Path(file.path)
    if file.raw is None or path.name != LOCAL:
        return file.raw is not None
    return not is_made_for_calls(_shared_beside(path))


def _made_for_calls(path: Path, wanted: Sequence[Addition]) -> tuple[Keys, ...]:
    """Return what is there for the calls of committed hooks alone: it goes with the last one in it."""
    original = beside_original(_shared_beside(path)) if path.name == LOCAL else None
    if original is None:
        return ()
    before = json.loads(original or "null")
    ways = [one.keys[:depth] for one in wanted if one.keys[0] == "hooks" for depth in (1, 2)]
    return tuple(
        keys for keys in dict.fromkeys(ways) if before is None or (len(keys) > 1 and keys[1] not in before)
    )


def _shared_beside(path: Path) -> where.Place:
    return where.find("shared", str(path.parents[1]), dict(os.environ))


def _whole_file(path: Path, text: str, old: Installed) -> Change:
    change = _text(path, text)
    if change.before not in {None, text, old.whole_files.get(str(path))}:
        raise InvalidInput(f"{path} is there and isn't ours, or was edited; move it, or use --no-skill.")
    return change


def _text(path: Path, after: str | None) -> Change:
    file = files.read_text(str(path))
    return Change(path, None if file.raw is None else file.text, after, file, is_json=False)


# --- taking out ------------------------------------------------------------------------------------------


def uninstalling(old: Installed, config: Path) -> Plan:
    changes = [_removing(Path(path), record) for path, record in old.json_files.items()]
    notes = [
        f"{change.path}: entries were put among ours, so its hooks are written again, not byte for byte."
        for change in changes
        if not change.is_exact
    ]
    for name, text in old.whole_files.items():
        change = _text(Path(name), None)
        if change.before not in {None, text}:
            notes.append(f"{name} was edited since, and stays.")
        else:
            changes.append(change)
    if old.agreed_line is not None and config.is_file():
        after = taken_back(files.read_text(str(config)).text, old.agreed_line)
        changes.append(_text(config, after or None))
    return Plan(tuple(change for change in changes if change.is_real), None, tuple(notes))


def _removing(path: Path, record: JsonFile) -> Change:
    file = files.read(str(path))
    if file.raw is None:
        return Change(path, None, None, file)
    text, is_exact = _without_hooks(take_out(file.text, record.made), record)
    is_empty = json.loads(text) == {} and not record.was_there
    is_left = not is_empty and not record.was_there
    return Change(path, file.text, None if is_empty else text, file, is_left=is_left, is_exact=is_exact)


def _without_hooks(text: str, record: JsonFile) -> Edited:
    """Take out our hooks in whatever form they are by now: `fanout-hooks` may have rewritten them."""
    hooks = json.loads(text).get("hooks")
    if not isinstance(hooks, dict) or not any(one.keys[0] == "hooks" for one in record.made.additions):
        return Edited(text, is_exact=True)
    left = without_log_and_gate(hooks)
    if left == hooks:
        return Edited(text, is_exact=True)
    made = record.made.containers
    emptied: dict[str, Json] = {
        event: [] for event in hooks if event not in left and ("hooks", event) not in made
    }
    if left or emptied:
        return with_hooks(text, left | emptied)
    bare = json_edit.with_text(text, "hooks", None if ("hooks",) in made else "{}")
    return Edited(bare, is_exact=True)


# --- performing ------------------------------------------------------------------------------------------


def perform(plan: Plan, config_dir: Path) -> list[str]:
    """Write all changes or none; return where the files as they were before are kept. Raises Refused."""
    state, kept = str(config_dir / STATE), []
    done: list[Change] = []
    try:
        for change in plan.changes:
            if change.after is None:
                kept.append(files.remove(change.file, state))
                if not change.is_json:
                    _remove_if_empty(change.path.parent)
            else:
                write = files.write if change.is_json else files.write_text
                kept.append(write(change.file, change.after, state))
            done.append(change)
            if change.is_left and change.path.name == LOCAL:
                hand_over(_shared_beside(change.path))
    except (files.Refused, OSError) as error:
        left = [str(change.path) for change in reversed(done) if not _put_back(change)]
        reason = system_refusal(error) or str(error).rstrip(".")
        undone = f"{' and '.join(left)} could not be put back" if left else "nothing was written"
        raise files.Refused(reason if undone in reason else f"{reason}; {undone}") from None
    return [path for path in kept if path]


def _put_back(change: Change) -> bool:
    """Make a file what it was before; say whether that went well."""
    try:
        if change.file.raw is None:
            Path(change.file.target).unlink(missing_ok=True)
            _remove_if_empty(change.path.parent)
        else:
            files.replace(change.file.target, change.file.raw, change.file.mode)
    except (files.Refused, OSError):
        return False
    return True


def _remove_if_empty(folder: Path) -> None:
    """Remove the skill's folder, and the one for skills where it was the only one."""
    for name, at in (("fanout", folder), ("skills", folder.parent)):
        if at.name == name and at.is_dir() and not any(at.iterdir()):
            at.rmdir()
