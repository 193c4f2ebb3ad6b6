"""The hooks that an audit looks at: of the settings files, and of the hooks.json that they lead to.

Each with its place, its script, and what it touches: as learned by watching where fanout ran it, else as its
text tells, which is a guess and said to be one.
"""

from __future__ import annotations

import os
import shlex
from collections.abc import Iterator
from typing import Any, NamedTuple

from fanout_hooks import adopt, audit_source, check, config, hooks_object, memory, place, regular
from fanout_hooks.audit_source import Touches
from fanout_hooks.memory import Memory
from fanout_hooks.settings import Refused, read

MAX_BYTES = 1 << 20
ENDINGS = (".py", ".sh", ".bash", ".zsh", ".js", ".mjs", ".cjs", ".ts")


class Found(NamedTuple):
    """One command hook."""

    name: str
    """What the hook log calls it."""
    event: str
    matcher: str
    command: str
    place: str
    """`file:line` of its entry."""
    is_adopted: bool
    """fanout runs it: in order, and never beside one that touches the same."""
    script: str
    touches: Touches
    is_learned: bool

    @property
    def shown(self) -> str:
        return os.path.basename(self.script) or self.name


def find(project: str, env: dict[str, str]) -> tuple[list[Found], list[str]]:
    """Return a project's hooks and what could not be read, in words."""
    learned = Memory(memory.path_of(memory.state_folder(env), project))
    hooks: list[Found] = []
    problems: list[str] = []
    for scope in config.SCOPES:
        file = place.find(scope, project, env).settings
        try:
            native = adopt.hooks_of(read(file))
        except Refused as refused:
            problems.append(str(refused))
            continue
        hooks += _placed(file, native, project, learned, is_adopted=False)
    for own in check.adopted_scopes(project, env):
        try:
            adopted = adopt.hooks_of(read(own.hooks))
        except Refused as refused:
            problems.append(str(refused))
            continue
        hooks += _placed(own.hooks, adopted, project, learned, is_adopted=True)
    return hooks, problems


def _placed(
    file: str, hooks: dict[str, Any], project: str, learned: Memory, *, is_adopted: bool
) -> Iterator[Found]:
    lines = _lines(file)
    at = 0
    for event, group, entry in hooks_object.each(hooks):
        if hooks_object.is_ours(entry) or entry.get("type", "command") != "command":
            continue
        command = " ".join([str(entry.get("command") or ""), *map(str, entry.get("args") or ())])
        at = _line_of(lines, str(entry.get("command") or ""), at)
        script = script_of(command, project)
        touches, is_learned = _touches(command, script, project, learned)
        name = str(entry.get("name") or config.short_name(entry))
        matcher = str(group.get("matcher") or "")
        yield Found(name, event, matcher, command, f"{file}:{at}", is_adopted, script, touches, is_learned)


def script_of(command: str, project: str) -> str:
    """Return the script that a command names, "" when there is none to read."""
    for word in _split(command):
        path = word.replace("${CLAUDE_PROJECT_DIR}", project).replace("$CLAUDE_PROJECT_DIR", project)
        path = path.replace("${HOME}", "~").replace("$HOME", "~")
        path = os.path.join(project, os.path.expanduser(path))
        if path.endswith(ENDINGS) and os.path.isfile(path):
            return path
    return ""


def _touches(command: str, script: str, project: str, learned: Memory) -> tuple[Touches, bool]:
    words = _split(command)
    inline = audit_source.of_text(command, "")
    if "-c" in words[1:-1] and "python" in words[0]:
        inline = audit_source.of_text(words[words.index("-c") + 1], ".py")
    text = _text(script)
    told = audit_source.of_text(text, os.path.splitext(script)[1]) if text else Touches()
    record = learned.of(script) if script else None
    if record is not None and record.is_learned and not record.opaque:
        reads, writes = _below(record.reads, project), _below(record.writes, project)
        only_appends = told.appends - told.replaces
        told = Touches(reads, writes - only_appends, writes & only_appends, told.locks)
        return _joined(inline, told), True
    return _joined(inline, told), False


def _joined(one: Touches, other: Touches) -> Touches:
    return Touches(
        one.reads | other.reads,
        one.replaces | other.replaces,
        one.appends | other.appends,
        one.locks or other.locks,
    )


def _below(paths: frozenset[str], project: str) -> frozenset[str]:
    """Name paths as a source does: relative to the project."""
    start = project.rstrip("/") + "/"
    return frozenset(path.removeprefix(start) for path in paths)


def _split(command: str) -> list[str]:
    try:
        return shlex.split(command) or [""]
    except ValueError:
        return command.split() or [""]


def _text(script: str) -> str:
    try:
        with regular.opened(script, follow=True) as file:
            return file.read(MAX_BYTES).decode("utf-8", "replace")
    except OSError:
        return ""


def _lines(path: str) -> list[str]:
    return _text(path).splitlines()


def _line_of(lines: list[str], command: str, after: int) -> int:
    """Return the first line past `after` that holds a command as JSON writes it, else the first that does."""
    written = command.replace("\\", "\\\\").replace('"', '\\"')
    holding = [number for number, line in enumerate(lines, 1) if written and written in line]
    return next((number for number in holding if number > after), holding[0] if holding else 1)
