"""Write into hooks.json what real runs were seen to read and write, where people can review and change it.

The runs are watched anyway (learn/observe.py), and what was learned counts without this. Written down it also
holds for a hook that was edited, every reader of the file sees it, and it can be committed. Declared paths
are never taken away.
"""

from __future__ import annotations

import argparse
import os
from typing import Any, NamedTuple

from fanout_hooks.adoption import adopt, check, native
from fanout_hooks.adoption.consent import NONE_ADOPTED, OK, add_project, confirm, project_of, say, say_diff
from fanout_hooks.client import config, json_edit, settings
from fanout_hooks.client.places import Place
from fanout_hooks.learn import memory
from fanout_hooks.learn.memory import Memory, Record
from fanout_hooks.run import plan

MAX_PATHS = 40
"""A hook that touches more is better declared by hand, with patterns."""


class Learned(NamedTuple):
    """What is known of one hook. Paths as they are written: relative to the project where they lie in it."""

    event: str
    name: str
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    note: str
    """Why it isn't known, or not all of it."""


def plan_lesson(place: Place, env: dict[str, str]) -> tuple[settings.Edit, list[Learned]]:
    """Return what a scope's hooks.json would become, and what was learned. Raises settings.Refused."""
    file = settings.read(place.hooks)
    held = adopt.hooks_of(file)
    learned = _learned(place, env | {"CLAUDE_PROJECT_DIR": place.project})
    names = iter(learned)
    changed = native.changed(held, lambda _, entry: _declared(entry, next(names)))
    text = file.text if changed == held else json_edit.formatted_file({**file.data, "hooks": changed})
    return settings.Edit(file, text), learned


def _learned(place: Place, env: dict[str, str]) -> list[Learned]:
    """Return what is known of each hook, in the file's order. Raises settings.Refused."""
    found = []
    held = place.held()
    if held.problems:
        raise settings.Refused(f"{held.problems[0]}; fix it first, `fanout-hooks check` has the details")
    known = Memory(memory.path_of(place.state, place.project))
    for event in dict.fromkeys(hook.event for hook in held.hooks):
        own = [hook for hook in held.hooks if hook.event == event]
        for planned in plan.make(own, place.project, place.project, env, known).planned:
            record = known.of(planned.file) if planned.file else None
            found.append(_of(planned.hook, record, place))
    return found


def _of(hook: config.Hook, record: Record | None, place: Place) -> Learned:
    learned = Learned(hook.event, hook.name, (), (), "")
    if record is None:
        why = "no plain Python, so it can't be watched: declare what it reads and writes"
        return learned._replace(note=why)
    if not record.is_learned:
        return learned._replace(note=f"seen {record.runs} times; twice is needed")
    if len(record.reads) + len(record.writes) > MAX_PATHS:
        return learned._replace(note=f"touches more than {MAX_PATHS} files: declare patterns")
    reads, writes = (
        tuple(sorted(_short(path, place) for path in some)) for some in (record.reads, record.writes)
    )
    is_hidden = record.spawns or record.opaque
    note = "starts programs or uses libraries whose files can't be seen" if is_hidden else ""
    return learned._replace(reads=reads, writes=writes, note=note)


def _short(path: str, place: Place) -> str:
    for root, prefix in ((place.project, ""), (place.home, "~/")):
        if path.startswith(root + os.sep):
            return prefix + path[len(root) + 1 :]
    return path


def _declared(entry: dict[str, Any], learned: Learned) -> dict[str, Any]:
    more = {}
    for key, paths in (("reads", learned.reads), ("writes", learned.writes)):
        known = entry.get(key) or []
        if new := [path for path in paths if path not in known]:
            more[key] = [*known, *new]
    return {**entry, **more}


# --- `fanout-hooks learn`: what was seen of each hook; with consent it is written into hooks.json. ----------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--yes", action="store_true", help="don't ask")


def run(args: argparse.Namespace) -> int:
    env = dict(os.environ)
    scopes = check.adopted_scopes(project_of(args), env)
    if not scopes:
        say(NONE_ADOPTED)
        return OK
    changes = []
    for own in scopes:
        edit, learned = plan_lesson(own, env)
        _show(own, edit, learned)
        changes += [(own, edit)] if edit.is_change else []
    if not changes:
        say("Nothing new to write.")
    elif confirm(args):
        for own, edit in changes:
            edit.write(own.state)
            say(f"{own.hooks}: written")
    return OK


def _show(own: Place, edit: settings.Edit, learned: list[Learned]) -> None:
    say(f"{own.scope}: {own.hooks}")
    for one in learned:
        say(f"  {one.event}: {one.name}" + (f": {one.note}" if one.note else ""))
        for word, paths in (("reads", one.reads), ("writes", one.writes)):
            if paths:
                say(f"    {word} {', '.join(paths)}")
    say_diff(edit, "full")
