"""Undoes an adoption: the hooks are Claude Code's own again, and hooks.json is gone.

If nothing but our entries changed since, the `hooks` of the settings are put back as they were written, byte
for byte; entries of the log and the gate are put in or cut out as they came and went meanwhile. Else the
adopted hooks, as they now stand in hooks.json, come back beside what was added meanwhile.
Entries of other scopes, of the log and of the gate stay.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import NamedTuple

from fanout_hooks import copies, hooks_object, hooks_text, json_text, native, regular, settings
from fanout_hooks.adopt import (
    beside_original,
    forget_beside,
    hooks_of,
    is_made_for_calls,
    keep_beside,
    must_be_there,
    original_in,
)
from fanout_hooks.hooks_text import Edited
from fanout_hooks.native import Hooks
from fanout_hooks.place import IGNORED, Place, must_stay_in_project


class Restoration(NamedTuple):
    """What would be written."""

    settings: settings.File
    settings_text: str
    hooks: settings.File
    beside: settings.File | None
    beside_text: str
    is_exact: bool
    """The old bytes, not only the old meaning."""
    back: tuple[str, ...]
    """The hooks that come back, "event: name"."""


def plan_restoration(place: Place, copy: str = "") -> Restoration | None:
    """Say what restoring would write; None when nothing is adopted. Raises settings.Refused.

    `copy` is a file to take the hooks from where hooks.json is gone or broken (copies.py).
    """
    file = settings.read(place.settings)
    before = hooks_of(file)
    is_own = native.owned_by(place.scope)
    if not any(is_own(entry) for _, _, entry in hooks_object.each(before)):
        return None
    must_stay_in_project(place)
    known = copies.as_hooks_json(place, copy) if copy else _known(place)
    rest = hooks_object.without(before, is_own)
    text, is_exact = _restored(file, known, rest)
    beside, beside_text = without_calls(place)
    names = tuple(native.names(hooks_of(known)))
    return Restoration(file, text, known, beside, beside_text, is_exact, names)


def perform(plan: Restoration, place: Place) -> str:
    """Write what was planned, settings first; return where the old ones are kept. Raises Refused, OSError."""
    _tell_sentinels(place, original_in(plan.hooks))
    kept = settings.write(plan.settings, plan.settings_text, place.state)
    if plan.beside is not None:
        take_out_calls(place, plan.beside, plan.beside_text)
    settings.remove(plan.hooks, place.state)
    _tidy(place)
    return kept


def take_out_calls(place: Place, file: settings.File, text: str) -> None:
    """Write what `without_calls` returned: the committed sentinels run the hooks from then on."""
    if text != file.text and (json.loads(text) or not is_made_for_calls(place)):
        settings.write(file, text, place.state)
    elif text != file.text:
        settings.remove(file, place.state)
    forget_beside(place)


def _known(place: Place) -> settings.File:
    try:
        known = settings.read(place.hooks)
    except settings.Refused as broken:
        raise settings.Refused(f"{broken}. {copies.way_back(place)}") from None
    must_be_there(known, place)
    return known


def _restored(file: settings.File, known: settings.File, rest: Hooks) -> Edited:
    """Return the settings' text with the hooks back in it, and whether those have their old bytes."""
    held, original = native.plain(hooks_of(known)), original_in(known)
    was: Hooks = json.loads(original) if original else {}
    text = json_text.with_text(file.text, "hooks", original) if original else file.text
    taken, stay = native.split(was)
    if not original or _others(rest) != _others(stay) or held != taken:
        return hooks_text.with_hooks(text, hooks_object.joined(held, rest))._replace(is_exact=False)
    if hooks_object.only_ours(rest) == hooks_object.only_ours(was):
        return Edited(text, is_exact=True)
    # Entries of another scope, or of the gate, came or went since.
    merged = hooks_object.joined(hooks_object.without_ours(was), hooks_object.only_ours(rest))
    return hooks_text.with_hooks(text, merged)


def _others(hooks: Hooks) -> Hooks:
    """Return what isn't ours; an event without hooks says nothing."""
    return {event: groups for event, groups in hooks_object.without_ours(hooks).items() if groups}


def without_calls(place: Place) -> tuple[settings.File | None, str]:
    """Return the user's own settings file and its text less the calls for a committed file's hooks."""
    if not place.beside:
        return None, ""
    file = settings.read(place.beside)
    before = hooks_of(file)
    after = hooks_object.without(before, native.owned_by(place.scope))
    if after == before:
        return file, file.text
    written = "" if is_made_for_calls(place) else beside_original(place)
    text = json_text.with_text(file.text, "hooks", written) if written else file.text
    if written and json.loads(written) == after:
        return file, text
    return file, hooks_text.with_hooks(text, after).text


def _tell_sentinels(place: Place, original: str) -> None:
    """Have committed sentinels run their hooks themselves; or, restoring beside them, note the old bytes."""
    committed = place._replace(scope="shared")
    if place.scope == "shared":
        with suppress(FileNotFoundError):
            os.replace(place.warm, place.was_warm)
    elif place.settings == committed.beside:
        with suppress(FileNotFoundError):
            kind = regular.read(committed.warm).decode().partition("\n")[0]
            keep_beside(committed, kind, original)


def _tidy(place: Place) -> None:
    """Remove what only the adopted hooks needed, and folders that are empty then."""
    if os.path.exists(place.originals):
        os.unlink(place.originals)
    ignore = os.path.join(place.folder, ".gitignore")
    if place.scope != "user" and sorted(os.listdir(place.folder)) in (
        [".gitignore"],
        [".gitignore", "state"],
    ):
        is_ours = sorted(regular.read(ignore).decode().split()) == sorted(IGNORED)
        if is_ours and not _entries(os.path.join(place.folder, "state")):
            os.unlink(ignore)
    for folder in (os.path.dirname(place.originals), place.folder):
        if os.path.isdir(folder):
            settings.sweep(folder)
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)


def _entries(folder: str) -> list[str]:
    return os.listdir(folder) if os.path.isdir(folder) else []
