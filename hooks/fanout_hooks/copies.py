"""The way back when a hooks.json is gone or broken: kept copies that still hold the adopted hooks.

Two kinds do: an earlier hooks.json of the scope, and the settings file as it was before it was adopted.
Which is the right one only its owner knows, so they are named and none is taken unasked.
"""

from __future__ import annotations

import os
import shlex
import time
from typing import Any

from fanout_hooks import config, hooks_object, json_text, native, regular, settings
from fanout_hooks.place import Place
from fanout_hooks.settings import File, Refused

MOST_NAMED = 3


def way_back(place: Place) -> str:
    """Say how the hooks come back by a command, newest copy first."""
    kept = sorted(usable(place), key=os.path.getmtime, reverse=True)
    if not kept:
        return f"No copy of its hooks is in {place.state}/backups"
    lines = [
        f"  fanout-hooks restore --scope {place.scope} --from {shlex.quote(path)}"
        for path in kept[:MOST_NAMED]
    ]
    first = time.strftime("%Y-%m-%d %H:%M", time.localtime(os.path.getmtime(kept[0])))
    return "\n".join([f"Its hooks, as they were kept (the first on {first}), come back by", *lines])


def usable(place: Place) -> list[str]:
    """Return the kept copies that hold a scope's hooks."""
    found = []
    for path in settings.copies(place.hooks, place.state) + settings.copies(place.settings, place.state):
        try:
            as_hooks_json(place, path)
        except Refused:
            continue
        found.append(path)
    return found


def as_hooks_json(place: Place, path: str) -> File:
    """Read a copy as if it were the scope's hooks.json. Raises Refused."""
    copy = settings.read(path)
    hooks: Any = copy.data.get("hooks")
    wrong = ["is not there"] if copy.raw is None else hooks_object.problems(hooks)
    if wrong:
        raise Refused(f"{path}: {wrong[0]}")
    is_own = native.owned_by(place.scope)
    if any(is_own(entry) for _, _, entry in hooks_object.each(hooks)):
        raise Refused(f"{path} only leads to {place.hooks}; take a copy from before it was adopted")
    data = copy.data
    if "version" not in data:
        taken, _ = native.split(hooks)
        original = json_text.value_text(copy.text, "hooks")
        data = {"version": config.VERSION, "hooks": taken, "adopted": {"hooks": original}}
    target = os.path.realpath(place.hooks)
    return File(place.hooks, target, _raw(target), copy.text, data)


def _raw(target: str) -> bytes | None:
    try:
        return regular.read(target)
    except FileNotFoundError:
        return None
