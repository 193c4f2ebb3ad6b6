"""Move the hooks of a settings file into the hooks.json of its scope, and put our entries in their place.

    plan = plan_adoption(place, server)       # pure but for reading: what would become of each file
    perform(plan, place)                      # writes; hooks.json first, so that no entry leads to nothing

What only the client can do stays where it is (native.py), and so do the hooks of an event that would get no
faster, unless they are asked for (`with_gain`). hooks.json keeps the `hooks` of the settings as
they were written, so that `restore` can put them back byte for byte, on any machine.

Adopting again takes what was added since, and rewrites our entries: after a change of hooks.json (a new
guard, another timeout), of the interpreter, or of the server's registration.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import time
from collections import Counter
from collections.abc import Callable, Container, Iterator, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from fanout_hooks.adoption import entries, native
from fanout_hooks.adoption.consent import OK, add_scopes, confirm, places, say, say_diff, say_wrapped, some
from fanout_hooks.adoption.entries import Registration
from fanout_hooks.adoption.native import Hooks, StaysNative
from fanout_hooks.client import config, events, files, json_edit, settings
from fanout_hooks.client.places import IGNORED, SERVER, Place, find, must_stay_in_project, server_of
from fanout_hooks.client.settings import Edit, File, Refused
from fanout_hooks.run import launch
from fanout_hooks.run.launch import Launch
from fanout_hooks.run.plan import WORTH_A_START
from fanout_hooks.warm.command import launcher, python_of, words_of
from fanout_hooks.warm.node import node_of
from fanout_hooks.warm.uv import uv_of

# --- The way back when a hooks.json is gone or broken: kept copies that still hold the adopted hooks. -------
# Two kinds do: an earlier hooks.json of the scope, and the settings file as it was before it was adopted.
# Which is the right one only its owner knows, so they are named and none is taken unasked.

MAX_NAMED = 3


def way_back(place: Place) -> str:
    kept = sorted(usable(place), key=os.path.getmtime, reverse=True)
    if not kept:
        return f"No copy of its hooks is in {place.state}/backups"
    lines = [
        f"  fanout-hooks restore --scope {place.scope} --from {shlex.quote(path)}"
        for path in kept[:MAX_NAMED]
    ]
    first = time.strftime("%Y-%m-%d %H:%M", time.localtime(os.path.getmtime(kept[0])))
    return "\n".join([f"Its hooks, as they were kept (the first on {first}), come back by", *lines])


def usable(place: Place) -> list[str]:
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
    wrong = ["is not there"] if copy.raw is None else entries.problems(hooks)
    if wrong:
        raise Refused(f"{path}: {wrong[0]}")
    if native.is_adopted(hooks, place.scope):
        raise Refused(f"{path} only leads to {place.hooks}; take a copy from before it was adopted")
    data = copy.data
    if "version" not in data:
        original = json_edit.value_text(copy.text, "hooks")
        data = {"version": config.VERSION, "hooks": native.runnable(hooks), "adopted": {"hooks": original}}
    target = os.path.realpath(place.hooks)
    return File(place.hooks, target, settings.on_disk(target), copy.text, data)


# --- Doing it -----------------------------------------------------------------------------------------------

NO_FILE = "null"
"""Stands in `warm` for `hooks` where there was no file of the user's own before fanout came."""


class Adoption(NamedTuple):
    """What would be written."""

    settings: Edit
    hooks: Edit
    beside: Edit | None
    """The user's own settings file, for the calls of a committed one."""
    taken: tuple[str, ...]
    """Newly taken hooks, "event: name"."""
    held: tuple[config.Hook, ...]
    """The hooks that are in hooks.json afterwards."""
    left: tuple[StaysNative, ...]
    server: str
    programs: dict[str, str]
    """By path the programs beside hooks.json that are missing, or aren't what this version writes."""

    @property
    def is_change(self) -> bool:
        is_anything = bool(self.held) or self.hooks.file.raw is not None
        edits = (self.settings, self.hooks, self.beside)
        is_any = any(edit is not None and edit.is_change for edit in edits)
        return is_anything and (is_any or bool(self.programs))


def plan_adoption(place: Place, server: str, *, takes_all: bool = False) -> Adoption:
    """Read a scope's files and say what adopting would make of them. Raises settings.Refused."""
    file, known = settings.read(place.settings), settings.read(place.hooks)
    before = hooks_of(file)
    is_own = native.owned_by(place.scope)
    registered = native.is_adopted(before, place.scope)
    if registered:
        must_be_there(known, place)
    if known.data.get("version", config.VERSION) != config.VERSION:
        raise settings.Refused(f"{known.path} was written by another version of fanout; use that one")
    rest = entries.without(before, is_own)
    taken = native.runnable(rest)
    held = hooks_of(known) if registered else native.still_there(hooks_of(known), taken)
    slow = {} if takes_all else without_gain(taken, held, server, place.project)
    taken = entries.without(taken, lambda entry: id(entry) in slow)
    stay = entries.less(rest, (entry for _, _, entry in entries.each(taken)))
    held = native.with_new(held, taken)
    parsed = _parsed(held, place)
    held = native.with_guards_named(held, [hook.name for hook in parsed])
    to = Registration(place.scope, None if place.scope == "shared" else Launch.own(), server)
    made = entries.adopted(parsed, to)
    # In a committed file a call to a missing server would be an error at each event.
    own = entries.of_type(made, "command") if place.beside else made
    after = entries.joined(stay, own) if taken else entries.replaced(before, is_own, own)
    if wrong := entries.problems(after):
        raise settings.Refused(f"{place.settings} would be refused by Claude Code: {wrong[0]} (our mistake)")
    original = _original(place, file, known, registered=registered, taken=bool(taken))
    data = {**known.data, "version": config.VERSION, "hooks": held, "adopted": {"hooks": original}}
    plan = Adoption(
        Edit(file, json_edit.with_value(file.text, "hooks", after) if after != before else file.text),
        Edit(known, known.text if data == known.data else json_edit.formatted_file(data)),
        _beside(place, made) if place.beside else None,
        tuple(native.names(taken)),
        parsed,
        tuple(native.left(stay, slow)),
        server,
        {path: text for path, text in _programs(place).items() if files.text(path) != text},
    )
    if plan.is_change:
        must_stay_in_project(place)
    return plan


def perform(plan: Adoption, place: Place) -> str:
    """Write what was planned; return where the old settings are kept. Raises settings.Refused, OSError."""
    _ignore(place)
    for path, text in plan.programs.items():
        settings.replace(path, text.encode(), 0o755 if path == place.run else 0o644)
    launch.write(place.state, Launch.own())
    plan.hooks.write(place.state)
    if plan.beside is not None:
        plan.beside.write(place.state)
        _update_sentinels(plan.beside.file, plan.server, place)
    return plan.settings.write(place.state)


# --- checking and reading ---------------------------------------------------------------------------------


def hooks_of(file: settings.File) -> Hooks:
    """Return the `hooks` of a settings file. Raises Refused where Claude Code would."""
    hooks = file.data.get("hooks", {})
    wrong = entries.problems(hooks)
    if wrong:
        raise settings.Refused(
            f"{file.path}: {wrong[0]}. Claude Code reads nothing of such a file, so none of its hooks run. "
            "Fix it first; nothing was changed"
        )
    return dict(hooks)


def registered(project: str, env: dict[str, str]) -> Iterator[tuple[Place, Hooks, str]]:
    """Yield each scope with the hooks of its settings, {} and why where Claude Code reads none of them."""
    for scope in config.SCOPES:
        own = find(scope, project, env)
        try:
            yield own, hooks_of(settings.read(own.settings)), ""
        except Refused as refused:
            yield own, {}, str(refused)


def must_be_there(known: settings.File, place: Place) -> None:
    """Refuse to write on when the adopted hooks are gone: what is left would go with the entries."""
    what = "is gone" if known.raw is None else "" if "hooks" in known.data else 'has no "hooks"'
    if what:
        where = f"{known.path} {what}, and {place.settings} leads to it"
        raise settings.Refused(f"{where}. {way_back(place)}")


def _parsed(held: Hooks, place: Place) -> tuple[config.Hook, ...]:
    found = config.parse({"hooks": held}, place.scope)
    found = config.named(list(found.hooks), list(found.problems))
    if found.problems:
        raise settings.Refused(f"{place.hooks}: {found.problems[0]}")
    return found.hooks


def _programs(place: Place) -> dict[str, str]:
    own = {place.originals: standalone_originals()}
    return own | {place.run: entries.RUN} if place.scope == "shared" else own


def standalone_originals() -> str:
    """Return originals.py with the modules that it imports from here written into it."""
    package = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    lines = []
    for line in _source(package, "adoption", "originals.py").splitlines(keepends=True):
        own, _, rest = line.partition("from fanout_hooks.client.")
        is_ours = not own and bool(rest)
        source = _source(package, "client", f"{rest.split()[0]}.py") if is_ours else line
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
        bare = entries.without(hooks_of(file), native.owned_by("shared"))
        if written and json.loads(written) == bare:
            return written
        return json_edit.value_text(file.text, "hooks") or "{}"
    kept = original_in(known)
    if kept and not taken:
        return kept
    # Hooks were added since: what is put back never was the file's text.
    rest = entries.without_ours(hooks_of(file))
    return json_edit.formatted(file.text, entries.joined(native.plain(hooks_of(known)), rest))


def original_in(known: settings.File) -> str:
    """Return the `hooks` text that a hooks.json keeps for restoring, "" where there is none."""
    adopted = known.data.get("adopted")
    text = adopted.get("hooks") if isinstance(adopted, dict) else None
    try:
        return text if isinstance(text, str) and isinstance(json.loads(text), dict) else ""
    except ValueError:
        return ""


def _beside(place: Place, made: dict[str, list[entries.Group]]) -> Edit:
    file = settings.read(place.beside)
    before = hooks_of(file)
    after = entries.replaced(before, native.owned_by(place.scope), entries.of_type(made, "mcp_tool"))
    is_same = after == before
    return Edit(file, file.text if is_same else json_edit.with_value(file.text, "hooks", after or None))


def _update_sentinels(beside: settings.File, server: str, place: Place) -> None:
    written = beside_original(place)
    if not server:
        forget_beside(place)
        return
    if written is None:
        written = NO_FILE if beside.raw is None else json_edit.value_text(beside.text, "hooks") or ""
    keep_beside(place, entries.mark_of(server), written)


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
            return files.read(path).decode().partition("\n")[2]
    return None


def hand_over(place: Place) -> None:
    """Have `restore` remove the user's own file with the calls: what its owner had is taken out."""
    with suppress(OSError, UnicodeDecodeError):
        kind = files.read(place.warm).decode().partition("\n")[0]
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
        text = files.read(path).decode()
    except FileNotFoundError:
        text = ""
    except (OSError, UnicodeDecodeError) as error:
        why = getattr(error, "strerror", None) or "it is not UTF-8"
        raise settings.Refused(f"{path} can't be read: {why}; fix or remove it") from None
    missing = [line for line in IGNORED if line not in text.splitlines()]
    if missing:
        gap = "" if text.endswith("\n") or not text else "\n"
        settings.replace(path, (text + gap + "\n".join(missing) + "\n").encode(), 0o644)


# --- What it will mean for each event -----------------------------------------------------------------------
#     warm     what is kept ready (Python, Node, uv) gains its interpreter's start; what isn't gains nothing
#     cold     waits for a process of ours, which takes about as long as Claude Code needs to start
#              WORTH_A_START Python hooks at once; all others run as they do natively, after that wait
#     a guard  is always cold, an entry for each
#
# An event that gets no faster stays native, but where its owner asks for what else fanout gives: with
# `--all`, or with a key of hooks.json beside a hook in the settings (the client passes over keys that it
# doesn't know).

PRICE = (
    f"Slower: a cold event waits for a process of ours, about as long as natively for {WORTH_A_START} Python "
    "hooks. That buys order, isolation and the log. `fanout-hooks bench` measures it, `restore` undoes it."
)
ALL = "`adopt --all` takes it for order, isolation and the log"
NOT_WARM = f"it would get no faster, for nothing of this event can be kept ready; {ALL}"
NOT_COLD = f"cold, this event would take longer than natively; {ALL}"
NOT_SERVED = (
    "without a server this event would run cold, and take longer than natively: `fanout install` registers "
    f"one, then adopt again; {ALL}"
)
NOT_GUARD = f"what denies when it fails runs cold, and takes longer than natively; {ALL}"
ASKING = tuple(key for key in config.OUR_KEYS if key != "name")


def without_gain(taken: Hooks, held: Container[str], server: str, project: str) -> dict[int, str]:
    """Return why entries stay in the settings that would get no faster, by the entry's id().

    None of the events `held` is among them: fanout runs those.
    """
    env = {**os.environ, "CLAUDE_PROJECT_DIR": project}
    found: dict[int, str] = {}
    for event, groups in taken.items():
        own = [entry for group in groups for entry in group["hooks"]]
        if event in held or any(key in entry for entry in own for key in ASKING):
            continue
        guards = [entry for entry in own if native.is_guard(event, entry)]
        others = [entry for entry in own if entry not in guards]
        found |= dict.fromkeys(map(id, guards), NOT_GUARD)
        kinds = Counter(kind_of(entry, env, project) for entry in others)
        if not _is_gain(kinds, is_warm=bool(server) and event in events.WARM):
            found |= dict.fromkeys(map(id, others), _why_slow(event, server, kinds))
    return found


def _is_gain(kinds: Counter[str], *, is_warm: bool) -> bool:
    return kinds.total() > kinds[""] if is_warm else kinds["python"] >= WORTH_A_START


def _why_slow(event: str, server: str, kinds: Counter[str]) -> str:
    if event not in events.WARM:
        return NOT_COLD
    return NOT_WARM if server or not _is_gain(kinds, is_warm=True) else NOT_SERVED


READERS: dict[str, Callable[[Sequence[str], dict[str, str], str], object]] = {
    "python": python_of,
    "node": node_of,
    "uv": uv_of,
}


def kind_of(entry: dict[str, Any], env: dict[str, str], cwd: str) -> str:
    """Return what starts a hook, if fanout can have that ready: python, node, uv or ""."""
    args = entry.get("args")
    if entry.get("isolate"):
        return ""
    words = words_of(str(entry["command"]), None if args is None else tuple(args), env, cwd)
    kind = launcher(words)
    return kind if kind and READERS[kind](words, env, cwd) is not None else ""


SLOWER = "cold, slower than natively"
"""As far as the number of Python hooks says."""


def outlook(hooks: Sequence[config.Hook], server: str, project: str) -> list[str]:
    """Return a line for each event, and for each guard: it is a cold entry of its own."""
    env = {**os.environ, "CLAUDE_PROJECT_DIR": project}
    own: dict[tuple[str, str], list[config.Hook]] = {}
    for hook in hooks:
        own.setdefault((hook.event, hook.name if hook.guard else ""), []).append(hook)
    lines = []
    for (event, guard), held in own.items():
        kinds = Counter(kind_of(hook._asdict(), env, project) for hook in held)
        is_warm = bool(server) and event in events.WARM and not guard
        way = "warm" if is_warm else "cold" if _is_gain(kinds, is_warm=False) else SLOWER
        word = "guard" if guard else "hook" if len(held) == 1 else "hooks"
        lines.append(f"{event}: {len(held)} {word}, {way}: {', '.join(hook.name for hook in held)}")
    return lines


# --- `fanout-hooks adopt`: show what would change, ask, do it. ----------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_scopes(parser)
    parser.add_argument(
        "--all",
        action="store_true",
        help="also take events that get no faster, for order, isolation and the log",
    )
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--warm", action="store_true", help="call the server even if none is registered here")
    how.add_argument("--cold", action="store_true", help="never call the server")


def run(args: argparse.Namespace) -> int:
    chosen = places(args)
    plans = [(place, _planned(args, place)) for place in chosen]
    changes = [place for place, plan in plans if plan.is_change]
    for place, plan in plans:
        _show(place, plan, args.diff)
    if not any(place.scope == "shared" for place in chosen):
        _mention_shared(chosen[0])
    if not changes or not confirm(args):
        return OK
    for place in changes:
        # Planned again: a committed scope and the user's own share a file.
        kept = perform(_planned(args, place), place)
        say_wrapped(f"{place.scope}: done." + (f" What was there is kept in {kept}" if kept else ""))
    say_wrapped("Sessions that are running use it from the next event on. `fanout-hooks restore` undoes it.")
    return OK


def _planned(args: argparse.Namespace, place: Place) -> Adoption:
    server = SERVER if args.warm else "" if args.cold else server_of(place)
    return plan_adoption(place, server, takes_all=args.all)


def _show(place: Place, plan: Adoption, form: str) -> None:
    say(f"{place.scope}: {place.settings}")
    for left in plan.left:
        say_wrapped(f"stays: {left.event}: {left.name}: {left.why}", 2)
    if not plan.is_change:
        say("  already adopted, nothing to change" if plan.held else "  no hooks that fanout could run")
        return
    lines = outlook(plan.held, plan.server, place.project)
    for line in lines:
        say_wrapped(line, 2)
    if plan.taken:
        new = "" if len(plan.taken) == len(plan.held) else f"{some(plan.taken)}: "
        say_wrapped(f"{new}moves to {place.hooks}", 2)
    say_wrapped(_path(plan), 2)
    if any(SLOWER in line for line in lines):
        say_wrapped(PRICE, 2)
    for path in plan.programs:
        say_wrapped(f"writes {path}", 2)
    for edit in filter(None, (plan.settings, plan.beside)):
        say_diff(edit, form)


def _path(plan: Adoption) -> str:
    if plan.server:
        return f"warm by the server {plan.server!r}, cold where it isn't"
    return (
        "cold: no server `fanout` is registered for these sessions. `fanout install` registers it; "
        "adopt again after that"
    )


def _mention_shared(place: Place) -> None:
    shared = place._replace(scope="shared")
    names = native.names(native.runnable(hooks_of(settings.read(shared.settings))))
    if names:
        say_wrapped(f"shared: {shared.settings} has hooks, too ({some(names)}).")
        say_wrapped("It is the project's committed file; `fanout-hooks adopt --shared` takes them.", 2)
