"""Takes the hooks of a settings file over: into the hooks.json of its scope, our entries in their place.

    plan = plan_adoption(place, server)       # pure but for reading: what would become of each file
    perform(plan, place)                      # writes; hooks.json first, so that no entry leads to nothing

What only the client can do stays where it is (native.py). hooks.json keeps the `hooks` of the settings as
they were written, so that `restore` can put them back byte for byte, on any machine.

Adopting again takes what was added since, and writes our entries anew: after a change of hooks.json (a new
guard, another timeout), of the interpreter, or of the server's registration.
"""

from __future__ import annotations

import json
import os
from contextlib import suppress
from typing import NamedTuple

from fanout_hooks import config, copies, entries, hooks_object, json_text, launch, native, regular, settings
from fanout_hooks.entries import Registration
from fanout_hooks.native import Hooks, Left
from fanout_hooks.place import IGNORED, Place, must_stay_in_project

NO_FILE = "null"
"""Stands in `warm` for `hooks` where there was no file of the user's own before fanout came."""


class Adoption(NamedTuple):
    """What would be written. `None` for a file that isn't touched."""

    settings: settings.File
    settings_text: str
    hooks: settings.File
    hooks_text: str
    beside: settings.File | None
    beside_text: str
    taken: tuple[str, ...]
    """Newly taken hooks, "event: name"."""
    held: tuple[config.Hook, ...]
    """The hooks that are in hooks.json afterwards."""
    left: tuple[Left, ...]
    server: str

    @property
    def is_change(self) -> bool:
        """Say whether a file would be written."""
        is_anything = bool(self.held) or self.hooks.raw is not None
        beside = self.beside.text if self.beside is not None else self.beside_text
        return is_anything and (
            self.settings_text != self.settings.text
            or self.hooks_text != self.hooks.text
            or self.beside_text != beside
        )


def plan_adoption(place: Place, server: str) -> Adoption:
    """Read a scope's files and say what adopting would make of them. Raises settings.Refused."""
    file, known = settings.read(place.settings), settings.read(place.hooks)
    before = hooks_of(file)
    is_own = native.owned_by(place.scope)
    registered = any(is_own(entry) for _, _, entry in hooks_object.each(before))
    if registered:
        must_be_there(known, place)
    if known.data.get("version", config.VERSION) != config.VERSION:
        raise settings.Refused(f"{known.path} was written by another version of fanout; use that one")
    taken, stay = native.split(hooks_object.without(before, is_own))
    held = hooks_of(known) if registered else native.still_there(hooks_of(known), taken)
    held = native.with_new(held, taken)
    parsed = _parsed(held, place)
    held = native.with_guards_named(held, [hook.name for hook in parsed])
    to = Registration(place.scope, None if place.scope == "shared" else launch.Launch.own(), server)
    made = entries.adopted(parsed, to)
    own = entries.sentinels_only(made) if place.beside else made
    after = hooks_object.joined(stay, own) if taken else hooks_object.replaced(before, is_own, own)
    _must_be_good(after, place)
    original = _original(place, file, known, registered=registered, taken=bool(taken))
    beside, beside_text = _beside(place, made)
    plan = Adoption(
        file,
        json_text.with_value(file.text, "hooks", after) if after != before else file.text,
        known,
        _hooks_text(known, held, original),
        beside,
        beside_text,
        tuple(native.names(taken)),
        parsed,
        tuple(native.left(stay)),
        server,
    )
    if plan.is_change:
        must_stay_in_project(place)
    return plan


def perform(plan: Adoption, place: Place) -> str:
    """Write what was planned; return where the old settings are kept. Raises settings.Refused, OSError."""
    _ignore(place)
    settings.replace(place.originals, standalone_originals().encode(), 0o644)
    launch.write(place.state, launch.Launch.own())
    if plan.hooks_text != plan.hooks.text:
        settings.write(plan.hooks, plan.hooks_text, place.state)
    if plan.beside is not None:
        if plan.beside_text != plan.beside.text:
            settings.write(plan.beside, plan.beside_text, place.state)
        _tell_sentinels(plan, place)
    if plan.settings_text == plan.settings.text:
        return ""
    return settings.write(plan.settings, plan.settings_text, place.state)


# --- checking and reading ---------------------------------------------------------------------------------


def hooks_of(file: settings.File) -> Hooks:
    """Return the `hooks` of a settings file. Raises Refused where Claude Code would."""
    hooks = file.data.get("hooks", {})
    wrong = hooks_object.problems(hooks)
    if wrong:
        raise settings.Refused(
            f"{file.path}: {wrong[0]}. Claude Code reads nothing of such a file, so none of its hooks run. "
            "Fix it first; nothing was changed"
        )
    return dict(hooks)


def must_be_there(known: settings.File, place: Place) -> None:
    """Refuse to write on when the adopted hooks are gone: what is left would go with the entries."""
    what = "is gone" if known.raw is None else "" if "hooks" in known.data else 'has no "hooks"'
    if what:
        where = f"{known.path} {what}, and {place.settings} leads to it"
        raise settings.Refused(f"{where}. {copies.way_back(place)}")


def _parsed(held: Hooks, place: Place) -> tuple[config.Hook, ...]:
    found = config.parse({"hooks": held}, place.scope)
    found = config.named(list(found.hooks), list(found.problems))
    if found.problems:
        raise settings.Refused(f"{place.hooks}: {found.problems[0]}")
    return found.hooks


def _must_be_good(hooks: Hooks, place: Place) -> None:
    wrong = hooks_object.problems(hooks)
    if wrong:
        raise settings.Refused(f"{place.settings} would be refused by Claude Code: {wrong[0]} (our mistake)")


def standalone_originals() -> str:
    """Return originals.py with the modules that it imports from here written into it."""
    here = os.path.dirname(os.path.abspath(__file__))
    lines = []
    for line in _source(here, "originals.py").splitlines(keepends=True):
        own, _, rest = line.partition("from fanout_hooks.client.")
        is_ours = not own and bool(rest)
        source = _source(here, "client", f"{rest.split()[0]}.py") if is_ours else line
        lines.append(source.replace("from __future__ import annotations\n", "") if is_ours else line)
    return "".join(lines)


def _source(*path: str) -> str:
    with open(os.path.join(*path), encoding="utf-8") as file:
        return file.read()


# --- the other files ----------------------------------------------------------------------------------------


def _original(
    place: Place, file: settings.File, known: settings.File, *, registered: bool, taken: bool
) -> str:
    """Return the `hooks` as they were written before fanout came, to be put back."""
    if not registered:
        committed = place._replace(scope="shared")
        written = beside_original(committed) if place.settings == committed.beside else None
        bare = hooks_object.without(hooks_of(file), native.owned_by("shared"))
        if written and json.loads(written) == bare:
            return written
        return json_text.value_text(file.text, "hooks") or "{}"
    kept = original_in(known)
    if kept and not taken:
        return kept
    # Hooks were added since: what is put back is no text that ever stood there.
    rest = hooks_object.without_ours(hooks_of(file))
    return json_text.formatted(file.text, hooks_object.joined(native.plain(hooks_of(known)), rest))


def original_in(known: settings.File) -> str:
    """Return the `hooks` text that a hooks.json keeps for restoring, "" where there is none."""
    adopted = known.data.get("adopted")
    text = adopted.get("hooks") if isinstance(adopted, dict) else None
    try:
        return text if isinstance(text, str) and isinstance(json.loads(text), dict) else ""
    except ValueError:
        return ""


def _hooks_text(known: settings.File, held: Hooks, original: str) -> str:
    data = {**known.data, "version": config.VERSION, "hooks": held, "adopted": {"hooks": original}}
    return known.text if data == known.data else json_text.formatted_file(data)


def _beside(place: Place, made: dict[str, list[entries.Group]]) -> tuple[settings.File | None, str]:
    if not place.beside:
        return None, ""
    file = settings.read(place.beside)
    before = hooks_of(file)
    after = hooks_object.replaced(before, native.owned_by(place.scope), entries.calls_only(made))
    if after == before:
        return file, file.text
    return file, json_text.with_value(file.text, "hooks", after or None)


def _tell_sentinels(plan: Adoption, place: Place) -> None:
    written = beside_original(place)
    if not plan.server:
        forget_beside(place)
    elif plan.beside is not None:
        if written is None:
            written = json_text.value_text(plan.beside.text, "hooks") or ""
            written = NO_FILE if plan.beside.raw is None else written
        keep_beside(place, entries.kind_of(plan.server), written)


def keep_beside(place: Place, kind: str, written: str) -> None:
    settings.replace(place.warm, f"{kind}\n{written}".encode(), 0o600)
    with suppress(FileNotFoundError):
        os.unlink(place.was_warm)


def forget_beside(place: Place) -> None:
    for path in (place.warm, place.was_warm):
        with suppress(FileNotFoundError):
            os.unlink(path)


def beside_original(place: Place) -> str | None:
    """Return what the user's own settings had as `hooks` before the calls came; None: no calls are there."""
    for path in (place.warm, place.was_warm):
        with suppress(OSError, UnicodeDecodeError):
            return regular.read(path).decode().partition("\n")[2]
    return None


def hand_over(place: Place) -> None:
    """Have `restore` remove the user's own file with the calls: whoever made it has taken out all else."""
    with suppress(OSError, UnicodeDecodeError):
        kind = regular.read(place.warm).decode().partition("\n")[0]
        keep_beside(place, kind, NO_FILE)


def is_made_for_calls(place: Place) -> bool:
    """Say whether the user's own settings file beside a committed one is there for the calls alone."""
    return beside_original(place) == NO_FILE


def _ignore(place: Place) -> None:
    """Keep what is one user's out of the project's repository."""
    if place.scope == "user":
        return
    path = os.path.join(place.folder, ".gitignore")
    try:
        text = regular.read(path).decode()
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise settings.Refused(f"{path} can't be read: {why}; mend or remove it") from None
    missing = [line for line in IGNORED if line not in text.splitlines()]
    if missing:
        gap = "" if text.endswith("\n") or not text else "\n"
        settings.replace(path, (text + gap + "\n".join(missing) + "\n").encode(), 0o644)
