"""Plan an event's hooks: how each runs, which wait for which, what runs together, what is locked.

Each hook has a way to run:
  warm    plain Python, known to be fast and clean: one after another in one worker, in configuration order
  trial   plain Python not known yet: a worker of its own, side by side as natively, watched
  alone   plain Python that is slow, starts processes or leaves things behind: a worker of its own
  spare   Node: a process started ahead where there is one, else a lane
  lane    everything else: the command itself, side by side
Warm hooks form one chain, so among them configuration order holds by itself, but where `after` turns it
around; the others wait only for hooks that they conflict with. What a hook is known to write is
locked across events while it runs.

Units never wait for one another in a circle: hooks are put in an order in which each comes after those
it waits for, and one joins a unit only when it waits only for its members and those before its first.
So each unit waits for units that begin before it does.

A plan holds until what it was made from changes: a script's file, what is known of it, the environment. So
it is made once for many events, and only looked over for each (`is_still_good`).
"""

from __future__ import annotations

import fnmatch
import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fanout_hooks.client.config import Hook
from fanout_hooks.client.files import upwards
from fanout_hooks.learn.memory import Memory, version_of
from fanout_hooks.warm.command import Program, launcher, python_of, words_of

if TYPE_CHECKING:
    from fanout_hooks.warm.node import NodeProgram
    from fanout_hooks.warm.uv import Answers

# --- Which hooks must wait for which: two conflict when one writes what the other reads or writes. ----------
# Rules:
# 1. Order is configuration order: of two that conflict, the earlier runs first. `after` may add to it, and
#    can turn it around for the two it names. The order is fixed before anything runs, so answers don't vary.
# 2. Listing a folder reads it; writing below it conflicts with that.
# 3. One resource, one hook at a time.
# 4. A hook starts when its own predecessors have ended: no waves, no hook waits for an unrelated one.
# 5. Across events there is no order, but no two run at once that would wait in one event: a path is locked
#    with the folders above it shared, a pattern or a listing locks its folder.
#
# Pure: footprints in, predecessors and locks out.

IN_TURN = "the same worker"
"""Why a Python hook waits for the one before it when nothing else makes it."""


class Footprint(NamedTuple):
    """What a hook touches, as far as is known: real paths or patterns with `*`."""

    name: str
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    resources: frozenset[str] = frozenset()
    shares: frozenset[str] = frozenset()
    """Resources of other events that it may use beside others who share them."""
    after: tuple[str, ...] = ()
    in_turn: str = ""
    """The chain of Python hooks that it runs in: it follows the one before it there."""


class Wait(NamedTuple):
    earlier: int
    later: int
    why: str


def waits_for(hooks: Sequence[Footprint]) -> tuple[list[Wait], list[set[int]]]:
    """Return who waits for whom in an event, each pair once, with the reason; never in a circle.

    The second is, per hook, all that end before it starts.

    The declared order is kept first. What conflicts, then what shares a worker, is added in configuration
    order: one pair is turned around where it would close a circle with what is kept, and none is lost.
    """
    found: dict[tuple[int, int], str] = {}
    before: list[set[int]] = [set() for _ in hooks]

    def keep(earlier: int, later: int, why: str) -> None:
        found[earlier, later] = why
        for place, known in enumerate(before):
            if place == later or later in known:
                known |= {earlier, *before[earlier]}

    for (earlier, later), why in _after(hooks).items():
        # Circles in `after` itself are a mistake that config.py reports by name; nothing may hang on one.
        if later not in before[earlier]:
            keep(earlier, later, why)
    for later in range(len(hooks)):
        for earlier in range(later):
            pair = (later, earlier) if later in before[earlier] else (earlier, later)
            if pair not in found and (why := clash(hooks[pair[0]], hooks[pair[1]])):
                keep(*pair, why)
    for later, hook in enumerate(hooks):
        # The nearest first: those before it are then mostly ordered with `later`, too.
        for earlier in reversed(range(later) if hook.in_turn else ()):
            is_ordered = later in before[earlier] or earlier in before[later]
            if hooks[earlier].in_turn == hook.in_turn and not is_ordered:
                keep(earlier, later, IN_TURN)
    return [Wait(earlier, later, why) for (earlier, later), why in found.items()], before


def _after(hooks: Sequence[Footprint]) -> dict[tuple[int, int], str]:
    places = {hook.name: place for place, hook in enumerate(hooks)}
    return {
        (places[name], later): f'"{hook.name}" says after "{name}"'
        for later, hook in enumerate(hooks)
        for name in hook.after
        if places.get(name, later) != later
    }


def in_order(before: Sequence[set[int]]) -> list[int]:
    """Return all places, each after those it waits for, else in configuration order."""
    ordered: list[int] = []
    left, done = list(range(len(before))), set[int]()
    while left:
        place = next(one for one in left if before[one] <= done)
        left.remove(place)
        ordered.append(place)
        done.add(place)
    return ordered


def clash(one: Footprint, other: Footprint) -> str:
    shared = one.resources & other.resources
    if shared:
        return f"both use {min(shared)}"
    for path in _common(one.writes, other.writes):
        return f"both write {path}"
    for path in _common(one.writes, other.reads):
        return f'"{one.name}" writes {path}, "{other.name}" reads it'
    for path in _common(one.reads, other.writes):
        return f'"{one.name}" reads {path}, "{other.name}" writes it'
    return ""


def _common(some: frozenset[str], others: frozenset[str]) -> Iterable[str]:
    exact = some & others
    if exact:
        return [min(exact)]
    return sorted(
        written
        for written in some
        for other in others
        if _same_place(written, other) or _same_place(other, written)
    )[:1]


def _same_place(one: str, other: str) -> bool:
    if "*" in other and (fnmatch.fnmatchcase(one, other) or ("*" in one and _may_meet(one, other))):
        return True
    return os.path.dirname(one) == other


def _may_meet(one: str, other: str) -> bool:
    """Say whether one file may match both patterns: `*` crosses folders, so only the beginnings say."""
    begin, other_begin = one.partition("*")[0], other.partition("*")[0]
    return begin.startswith(other_begin) or other_begin.startswith(begin)


def batch_levels(count: int, found: Iterable[Wait]) -> list[int]:
    """Return how many hooks each one has to wait for in a row, plus one: the longest chain is the maximum."""
    direct: list[set[int]] = [set() for _ in range(count)]
    for wait in found:
        direct[wait.later].add(wait.earlier)
    levels = [1] * count
    for place in in_order(direct):
        levels[place] += max((levels[earlier] for earlier in direct[place]), default=0)
    return levels


class Writers(NamedTuple):
    """Everything that some hook of any event writes: reading it has to be locked."""

    paths: frozenset[str]
    patterns: tuple[str, ...]
    folders: frozenset[str]
    """Whose listing changes."""

    @classmethod
    def of(cls, written: frozenset[str]) -> Writers:
        patterns = tuple(path for path in written if "*" in path)
        return cls(written, patterns, frozenset(map(os.path.dirname, written)))

    def touch(self, read: str) -> bool:
        if read in self.paths or read in self.folders or os.path.dirname(read) in self.paths:
            return True
        if any(_same_place(read, pattern) for pattern in self.patterns):
            return True
        return "*" in read and any(_same_place(path, read) for path in self.paths)


def lock_keys(hook: Footprint, written: Writers) -> dict[str, bool]:
    """Return what to lock across events, and whether for writing; reading counts where a hook writes."""
    keys = {_folder_of(path) if "*" in path else path: True for path in hook.writes}
    for path in filter(written.touch, hook.reads):
        if "*" in path:
            keys[_folder_of(path)] = True
        elif path in written.folders:
            keys[path] = True
        else:
            keys.setdefault(path, False)
    for path in list(keys):
        for folder in upwards(os.path.dirname(path)):
            keys.setdefault(folder, False)
    keys |= {f"resource {name}": False for name in hook.shares}
    return keys | {f"resource {name}": True for name in hook.resources}


def _folder_of(pattern: str) -> str:
    return os.path.dirname(pattern.partition("*")[0])


# --- The plan of one event ----------------------------------------------------------------------------------

WORTH_A_START = 4
"""Python hooks for which a cold event starts an interpreter of ours: fewer start as fast by themselves."""


class Planned(NamedTuple):
    hook: Hook
    way: str
    program: Program | None = None
    file: str = ""
    """The script's path, by which it is remembered."""
    node: NodeProgram | None = None
    given: dict[str, str] | None = None
    """The variables that its launcher sets, where it has one that does."""
    watched: tuple[str, ...] = ()
    """Files that its way depends on beside its script."""


class Unit(NamedTuple):
    """Hooks that are started together, by their places in configuration order, in the order they run."""

    places: tuple[int, ...]
    before: tuple[int, ...]
    """Places of other units' hooks that must have ended."""
    locks: dict[str, bool]
    """What is locked across events; True: for writing."""


class Plan(NamedTuple):
    planned: tuple[Planned, ...]
    footprints: tuple[Footprint, ...]
    waits: tuple[Wait, ...]
    levels: tuple[int, ...]
    """Per hook the length of the longest chain of conflicts that it ends."""
    units: tuple[Unit, ...]
    memory: Memory
    revision: int
    versions: tuple[tuple[str, str], ...]

    @property
    def is_still_good(self) -> bool:
        return self.memory.revision == self.revision and all(
            version_of(file) == version for file, version in self.versions
        )


def declared(hooks: Sequence[Hook], project: str) -> frozenset[str]:
    """Return what hooks of any event say that they write."""
    return frozenset(path for hook in hooks for path in _absolute(hook.writes, project))


def make(
    hooks: Sequence[Hook],
    project: str,
    cwd: str,
    env: dict[str, str],
    memory: Memory,
    declared: frozenset[str] = frozenset(),
    uv: Answers | None = None,
    *,
    is_for_one: bool = False,
) -> Plan:
    """Plan the hooks of one event; `declared` is what hooks of any event say that they write.

    `is_for_one`: the process ends with this event, so few Python hooks run as they are written.
    """
    planned = tuple(_planned(hook, cwd, env, memory, uv, is_for_one=is_for_one) for hook in hooks)
    if is_for_one and sum(one.program is not None for one in planned) < WORTH_A_START:
        planned = tuple(one._replace(way="lane", program=None) for one in planned)
    footprints = tuple(_footprint(one, project, memory) for one in planned)
    waits, before = waits_for(footprints)
    levels = batch_levels(len(hooks), [wait for wait in waits if wait.why != IN_TURN])
    files = dict.fromkeys(file for one in planned for file in (one.file, *one.watched) if file)
    written = memory.written.union(declared, *(one.writes for one in footprints))
    return Plan(
        planned,
        footprints,
        tuple(waits),
        tuple(levels),
        tuple(_units(planned, footprints, waits, before, Writers.of(written))),
        memory,
        memory.revision,
        tuple((file, version_of(file)) for file in files),
    )


def _planned(
    hook: Hook, cwd: str, env: dict[str, str], memory: Memory, uv: Answers | None, *, is_for_one: bool
) -> Planned:
    if hook.isolate:
        return Planned(hook, "lane")
    words = words_of(hook.command, hook.args, env, cwd)
    kind = launcher(words)
    if kind == "node" and not is_for_one:
        from fanout_hooks.warm.node import node_of, shell_of  # what other hooks don't need costs them nothing

        node = node_of(words, env, cwd, shell_of(hook.command, hook.args))
        if node is not None:
            return Planned(hook, "spare", node=node, watched=(os.path.join(cwd, node.script),))
    if kind == "uv" and uv is not None:
        return _planned_uv(hook, words, cwd, env, memory, uv)
    program = python_of(words, env, cwd) if kind == "python" else None
    if program is None:
        return Planned(hook, "lane")
    return _planned_python(hook, program, cwd, memory)


def _planned_uv(
    hook: Hook, words: Sequence[str], cwd: str, env: dict[str, str], memory: Memory, uv: Answers
) -> Planned:
    from fanout_hooks.warm.uv import uv_of

    asked = uv_of(words, env, cwd)
    if asked is None:
        return Planned(hook, "lane")
    found = uv.find(asked, env, cwd)
    if found is None:
        return Planned(hook, "lane", watched=asked.watched)
    planned = _planned_python(hook, found.program, cwd, memory)
    return planned._replace(given=found.given, watched=found.watched)


def _planned_python(hook: Hook, program: Program, cwd: str, memory: Memory) -> Planned:
    file = os.path.join(cwd, program.script)
    record = memory.of(file)
    if not record.is_learned:
        return Planned(hook, "trial", program, file)
    return Planned(hook, "warm" if record.is_warm else "alone", program, file)


def _footprint(planned: Planned, project: str, memory: Memory) -> Footprint:
    hook = planned.hook
    reads, writes = (_absolute(paths, project) for paths in (hook.reads, hook.writes))
    resources = frozenset(hook.resources)
    if planned.file:
        record = memory.of(planned.file)
        reads, writes = reads | record.reads, writes | record.writes
    itself = frozenset({f"hook {planned.file or hook.command}"})
    shares: frozenset[str] = frozenset()
    if planned.way == "trial" or (planned.program is None and not (reads or writes or resources)):
        resources |= itself  # not known: at least never beside itself
    elif planned.file and writes:
        shares = itself  # a session that planned it before it was known may still have it on trial
    return Footprint(hook.name, reads, writes, resources, shares, hook.after, _chain(planned))


def _chain(planned: Planned) -> str:
    """Return the chain that a hook runs in: one for Python, and one for each interpreter of uv's."""
    if planned.way != "warm" or planned.program is None:
        return ""
    return "python" if planned.given is None else planned.program.interpreter


def _absolute(paths: Sequence[str], project: str) -> frozenset[str]:
    return frozenset(os.path.realpath(os.path.join(project, os.path.expanduser(path))) for path in paths)


def _units(
    planned: Sequence[Planned],
    footprints: Sequence[Footprint],
    waits: Sequence[Wait],
    before: Sequence[set[int]],
    written: Writers,
) -> list[Unit]:
    """Join warm hooks that follow one another; every other hook is a unit."""
    groups: list[list[int]] = []
    chain: list[int] = []
    for place in in_order(before):
        if planned[place].way != "warm":
            groups.append([place])
        elif (
            chain
            and before[place] <= before[chain[0]].union(chain)
            and _process_of(planned[place]) == _process_of(planned[chain[0]])
        ):
            chain.append(place)
        else:
            chain = [place]
            groups.append(chain)
    return [_unit(group, footprints, waits, written) for group in groups]


def _process_of(planned: Planned) -> tuple[object, ...]:
    """Return what programs have in common that run in one process."""
    own = planned.program
    return () if own is None else (own.interpreter, own.flags, planned.given is None)


def _unit(group: list[int], footprints: Sequence[Footprint], waits: Sequence[Wait], written: Writers) -> Unit:
    before = {wait.earlier for wait in waits if wait.later in group} - set(group)
    locks: dict[str, bool] = {}
    for place in group:
        for key, writes in lock_keys(footprints[place], written).items():
            locks[key] = locks.get(key, False) or writes
    return Unit(tuple(group), tuple(sorted(before)), locks)
