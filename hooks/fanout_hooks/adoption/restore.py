"""Undo an adoption: put the hooks back into the settings file and remove hooks.json.

If nothing but our entries changed since, the `hooks` of the settings are put back as they were written, byte
for byte; entries of the log and the gate are put in or cut out as they came and went meanwhile. Else the
adopted hooks, as they now are in hooks.json, come back beside what was added meanwhile.
Entries of other scopes, of the log and of the gate stay.
"""

from __future__ import annotations

import argparse
import json
import os
from contextlib import suppress
from typing import NamedTuple

from fanout_hooks.adoption import adopt, entries, native
from fanout_hooks.adoption.adopt import hooks_of, original_in
from fanout_hooks.adoption.consent import OK, add_scopes, confirm, places, say, say_diff, say_wrapped, some
from fanout_hooks.adoption.native import Hooks
from fanout_hooks.client import files, json_edit, settings
from fanout_hooks.client.config import SCOPES
from fanout_hooks.client.places import IGNORED, Place, must_stay_in_project
from fanout_hooks.client.settings import Edit, Edited, Refused


class Restoration(NamedTuple):
    settings: Edit
    hooks: settings.File
    beside: Edit | None
    is_exact: bool
    """The old bytes, not only the old meaning."""
    back: tuple[str, ...]
    """The hooks that come back, "event: name"."""


def plan_restoration(place: Place, copy: str = "") -> Restoration | None:
    """Say what restoring would write; None when nothing is adopted. Raises settings.Refused.

    `copy` is a file to take the hooks from where hooks.json is gone or broken (adopt.py).
    """
    file = settings.read(place.settings)
    before = hooks_of(file)
    if not native.is_adopted(before, place.scope):
        return None
    must_stay_in_project(place)
    known = adopt.as_hooks_json(place, copy) if copy else _known(place)
    rest = entries.without(before, native.owned_by(place.scope))
    text, is_exact = _restored(file, known, rest)
    names = tuple(native.names(hooks_of(known)))
    return Restoration(Edit(file, text), known, without_calls(place), is_exact, names)


def perform(plan: Restoration, place: Place) -> str:
    """Write what was planned, settings first; return where the old ones are kept. Raises Refused, OSError."""
    _update_sentinels(place, original_in(plan.hooks))
    kept = plan.settings.write(place.state)
    if plan.beside is not None:
        take_out_calls(place, plan.beside)
    settings.remove(plan.hooks, place.state)
    _tidy(place)
    return kept


def unfinished(place: Place) -> Restoration | None:
    """Return the rest of a restoration that was killed when all hooks of its hooks.json were back already."""
    try:
        file, known = settings.read(place.settings), settings.read(place.hooks)
        before, held = hooks_of(file), hooks_of(known)
    except Refused:
        return None
    if not any(entries.each(held)) or native.still_there(held, before) != held:
        return None
    must_stay_in_project(place)
    return Restoration(Edit(file, file.text), known, without_calls(place), is_exact=True, back=())


def take_out_calls(place: Place, edit: Edit) -> None:
    """Write what `without_calls` returned: the committed sentinels run the hooks from then on."""
    if json.loads(edit.text) or not adopt.is_made_for_calls(place):
        edit.write(place.state)
    elif edit.is_change:
        settings.remove(edit.file, place.state)
    adopt.forget_beside(place)


def _known(place: Place) -> settings.File:
    try:
        known = settings.read(place.hooks)
    except settings.Refused as broken:
        raise settings.Refused(f"{broken}. {adopt.way_back(place)}") from None
    adopt.must_be_there(known, place)
    return known


def _restored(file: settings.File, known: settings.File, rest: Hooks) -> Edited:
    """Return the settings' text with the hooks back in it, and whether those have their old bytes."""
    held, original = native.plain(hooks_of(known)), original_in(known)
    was: Hooks = json.loads(original) if original else {}
    text = json_edit.with_text(file.text, "hooks", original) if original else file.text
    taken = native.still_there(native.runnable(was), held)
    stay = entries.less(was, (entry for _, _, entry in entries.each(taken)))
    if not original or _others(rest) != _others(stay) or held != native.plain(taken):
        return settings.with_hooks(text, entries.joined(held, rest))._replace(is_exact=False)
    if entries.only_ours(rest) == entries.only_ours(was):
        return Edited(text, is_exact=True)
    # Entries of another scope, or of the gate, came or went since.
    merged = entries.joined(entries.without_ours(was), entries.only_ours(rest))
    return settings.with_hooks(text, merged)


def _others(hooks: Hooks) -> Hooks:
    """Return what isn't ours; an event without hooks says nothing."""
    return {event: groups for event, groups in entries.without_ours(hooks).items() if groups}


def without_calls(place: Place) -> Edit | None:
    """Return the user's own settings file less the calls for a committed file's hooks."""
    if not place.beside:
        return None
    file = settings.read(place.beside)
    before = hooks_of(file)
    after = entries.without(before, native.owned_by(place.scope))
    if after == before:
        return Edit(file, file.text)
    written = "" if adopt.is_made_for_calls(place) else adopt.beside_original(place)
    text = json_edit.with_text(file.text, "hooks", written) if written else file.text
    is_back = written and json.loads(written) == after
    return Edit(file, text if is_back else settings.with_hooks(text, after).text)


def _update_sentinels(place: Place, original: str) -> None:
    """Have committed sentinels run their hooks themselves; or, restoring beside them, note the old bytes."""
    committed = place._replace(scope="shared")
    if place.scope == "shared":
        with suppress(FileNotFoundError):
            os.replace(place.warm, place.was_warm)
    elif place.settings == committed.beside:
        with suppress(FileNotFoundError):
            kind = files.read(committed.warm).decode().partition("\n")[0]
            adopt.keep_beside(committed, kind, original)


def _tidy(place: Place) -> None:
    """Remove what only the adopted hooks needed, and folders that are empty then."""
    for own in (place.originals, *([place.run] if place.scope == "shared" else ())):
        if os.path.exists(own):
            os.unlink(own)
    ignore = os.path.join(place.folder, ".gitignore")
    if place.scope != "user" and sorted(os.listdir(place.folder)) in (
        [".gitignore"],
        [".gitignore", "state"],
    ):
        is_ours = sorted(files.read(ignore).decode().split()) == sorted(IGNORED)
        state = os.path.join(place.folder, "state")
        if is_ours and not (os.path.isdir(state) and os.listdir(state)):
            os.unlink(ignore)
    for folder in (os.path.dirname(place.originals), place.folder):
        if os.path.isdir(folder):
            settings.sweep(folder)
        if os.path.isdir(folder) and not os.listdir(folder):
            os.rmdir(folder)


# --- `fanout-hooks restore`: show what would come back, ask, do it. -----------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_scopes(parser)
    parser.add_argument(
        "--from",
        dest="copy",
        metavar="FILE",
        default="",
        help="restore one scope's hooks from this kept copy, if its hooks.json is gone or broken",
    )


def run(args: argparse.Namespace) -> int:
    chosen = places(args, default=SCOPES)
    if args.copy and len(chosen) != 1:
        raise Refused("--from goes with one --scope: it is the copy of one scope's hooks")
    plans = [(place, _planned(place, args.copy)) for place in chosen]
    found = [(place, plan) for place, plan in plans if plan is not None]
    if not found:
        say("Nothing is adopted in " + ", ".join(place.settings for place, _ in plans))
        return OK
    for place, plan in found:
        _show(place, plan, args.diff)
    if not confirm(args):
        return OK
    for place, _ in found:
        again = _planned(place, args.copy)  # a committed scope and the user's own share a file
        if again is not None and (kept := perform(again, place)):
            say_wrapped(f"{place.scope}: restored. What was there with fanout is kept in {kept}")
    return OK


def _planned(place: Place, copy: str) -> Restoration | None:
    return plan_restoration(place, copy) or unfinished(place)


def _show(place: Place, plan: Restoration, form: str) -> None:
    if not plan.settings.is_change:
        say_wrapped(f"{place.scope}: the hooks of {place.hooks} are back already; it goes")
        return
    say(f"{place.scope}: {place.settings}")
    say_wrapped(f"come back: {some(plan.back)}", 2)
    if plan.is_exact:
        say("  byte for byte as they were written")
    else:
        say_wrapped("as they now stand in hooks.json: hooks were added or changed since they were adopted", 2)
    say_diff(plan.settings, form)
