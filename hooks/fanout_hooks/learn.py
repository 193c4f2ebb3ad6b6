"""Writes what real runs were seen to read and write into hooks.json, where people can read and change it.

The runs are watched anyway (observe.py), and what was learned counts without this. Written down it also holds
for a hook that was edited, is shown to whoever reads the file, and can be committed. Declared paths are never
taken away.
"""

from __future__ import annotations

import os
from typing import NamedTuple

from fanout_hooks import adopt, config, json_text, memory, plan, settings
from fanout_hooks.memory import Memory
from fanout_hooks.place import Place
from fanout_hooks.record import Record

MOST_PATHS = 40
"""A hook that touches more is better declared by hand, with patterns."""


class Learned(NamedTuple):
    """What is known of one hook. Paths as they are written: relative to the project where they lie in it."""

    event: str
    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    note: str
    """Why it isn't known, or not all of it."""


class Lesson(NamedTuple):
    """What a scope's hooks.json would become."""

    hooks: settings.File
    text: str
    learned: tuple[Learned, ...]


def plan_lesson(place: Place, env: dict[str, str]) -> Lesson:
    """Read what was learned of a scope's hooks. Raises settings.Refused."""
    file = settings.read(place.hooks)
    held = adopt.hooks_of(file)
    learned = _learned(place, env | {"CLAUDE_PROJECT_DIR": place.project})
    names = iter(learned)
    changed = {
        event: [
            {**group, "hooks": [_declared(entry, next(names)) for entry in group["hooks"]]}
            for group in groups
        ]
        for event, groups in held.items()
    }
    text = file.text if changed == held else json_text.formatted_file({**file.data, "hooks": changed})
    return Lesson(file, text, tuple(learned))


def _learned(place: Place, env: dict[str, str]) -> list[Learned]:
    """Return what is known of each hook, in the file's order. Raises settings.Refused."""
    found = []
    held = config.load((place.scope,), place.project, place.claude)
    if held.problems:
        raise settings.Refused(f"{held.problems[0]}; mend it first, `fanout-hooks check` tells more")
    known = Memory(memory.path_of(place.state, place.project))
    for event in dict.fromkeys(hook.event for hook in held.hooks):
        own = [hook for hook in held.hooks if hook.event == event]
        for planned in plan.make(own, place.project, place.project, env, known).planned:
            record = known.of(planned.file) if planned.file else None
            found.append(_of(planned.hook, record, place))
    return found


def _of(hook: config.Hook, record: Record | None, place: Place) -> Learned:
    if record is None:
        note = "no plain Python, so it can't be watched: declare what it reads and writes"
        return Learned(hook.event, hook.name, (), (), note)
    if not record.is_learned:
        return Learned(hook.event, hook.name, (), (), f"seen {record.runs} times; twice is needed")
    note = (
        "starts programs or uses libraries whose files can't be seen"
        if record.spawns or record.opaque
        else ""
    )
    if len(record.reads) + len(record.writes) > MOST_PATHS:
        return Learned(
            hook.event, hook.name, (), (), f"touches more than {MOST_PATHS} files: declare patterns"
        )
    reads, writes = (
        tuple(sorted(_short(path, place) for path in some)) for some in (record.reads, record.writes)
    )
    return Learned(hook.event, hook.name, reads, writes, note)


def _short(path: str, place: Place) -> str:
    for root, prefix in ((place.project, ""), (place.home, "~/")):
        if path.startswith(root + os.sep):
            return prefix + path[len(root) + 1 :]
    return path


def _declared(entry: dict[str, object], learned: Learned) -> dict[str, object]:
    more = {}
    for key, paths in (("reads", learned.reads), ("writes", learned.writes)):
        known = entry.get(key) or []
        new = [path for path in paths if isinstance(known, list) and path not in known]
        if new:
            more[key] = [*(known if isinstance(known, list) else []), *new]
    return {**entry, **more}
