"""How an event's hooks will run: each one's way, who waits for whom, what starts together, what is locked.

Each hook has a way to run:
  warm    plain Python, known to be fast and clean: one after another in one seat, in configuration order
  trial   plain Python not known yet: the same chain, but a seat of its own
  alone   plain Python that is slow, starts processes or leaves things behind: a seat of its own, side by side
  lane    everything else: the command itself, side by side
Warm and trial hooks form one chain, so among them configuration order holds by itself, but where `after`
turns it around; the others wait only for hooks that they conflict with. What a hook is known to write is
locked across events while it runs.

Units never wait for one another in a circle: hooks are put in an order in which everybody comes after those
it waits for, and one joins a unit only when it waits for nobody but its members and those before its first.
So each unit waits for units that begin before it does.

A plan stands until what it was made from changes: a script's file, what is known of it, the environment. So
it is made once for many events, and only looked over for each (`is_still_good`).
"""

from __future__ import annotations

import os
from collections.abc import Sequence
from typing import NamedTuple

from fanout_hooks import conflicts
from fanout_hooks.command import Program, plain_python
from fanout_hooks.config import Hook
from fanout_hooks.conflicts import Footprint, Wait, Writers
from fanout_hooks.memory import Memory
from fanout_hooks.record import version_of


class Planned(NamedTuple):
    """A hook and how it will run."""

    hook: Hook
    way: str
    program: Program | None
    file: str
    """The script's path, by which it is remembered."""


class Unit(NamedTuple):
    """Hooks that are started together, by their places in configuration order, in the order they run."""

    places: tuple[int, ...]
    before: tuple[int, ...]
    """Places of other units' hooks that must have ended."""
    locks: dict[str, bool]
    """What is locked across events; True: for writing."""


class Plan(NamedTuple):
    """The hooks of an event, ready to run."""

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
) -> Plan:
    """Plan the hooks of one event; `declared` is what hooks of any event say that they write."""
    planned = tuple(_planned(hook, cwd, env, memory) for hook in hooks)
    footprints = tuple(_footprint(one, project, memory) for one in planned)
    waits = tuple(conflicts.waits(footprints))
    levels = conflicts.levels(len(hooks), [wait for wait in waits if wait.why != conflicts.IN_TURN])
    files = dict.fromkeys(one.file for one in planned if one.file)
    written = memory.written.union(declared, *(one.writes for one in footprints))
    return Plan(
        planned,
        footprints,
        waits,
        tuple(levels),
        tuple(_units(planned, footprints, waits, Writers.of(written))),
        memory,
        memory.revision,
        tuple((file, version_of(file)) for file in files),
    )


def _planned(hook: Hook, cwd: str, env: dict[str, str], memory: Memory) -> Planned:
    if hook.type != "command" or hook.isolate:
        return Planned(hook, "lane", None, "")
    program = plain_python(hook.command, hook.args, env, cwd)
    if program is None:
        return Planned(hook, "lane", None, "")
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
    itself = frozenset({f"hook {planned.file or hook.command or hook.url}"})
    shares: frozenset[str] = frozenset()
    if planned.way == "trial" or (planned.way == "lane" and not (reads or writes or resources)):
        resources |= itself  # not known: at least never beside itself
    elif planned.file and writes:
        shares = itself  # a session that planned it before it was known may still have it on trial
    in_turn = planned.way in ("warm", "trial")
    return Footprint(hook.name, reads, writes, resources, shares, hook.after, in_turn)


def _absolute(paths: Sequence[str], project: str) -> frozenset[str]:
    return frozenset(os.path.realpath(os.path.join(project, os.path.expanduser(path))) for path in paths)


def _units(
    planned: Sequence[Planned],
    footprints: Sequence[Footprint],
    waits: Sequence[Wait],
    written: Writers,
) -> list[Unit]:
    """Join warm hooks that follow one another; every other hook is a unit."""
    direct: list[set[int]] = [set() for _ in planned]
    for wait in waits:
        direct[wait.later].add(wait.earlier)
    groups: list[list[int]] = []
    chain: list[int] | None = None
    before: list[set[int]] = [set() for _ in planned]
    """Per hook everybody who ends before it starts."""
    for place in _in_order(direct):
        before[place] = direct[place].union(*(before[earlier] for earlier in direct[place]))
        if planned[place].way != "warm":
            groups.append([place])
        elif (
            chain is not None
            and direct[place] <= before[chain[0]].union(chain)
            and _fits(planned[place], planned[chain[0]])
        ):
            chain.append(place)
        else:
            chain = [place]
            groups.append(chain)
    return [_unit(group, footprints, waits, written) for group in groups]


def _in_order(direct: Sequence[set[int]]) -> list[int]:
    """Return all places, each after those it waits for, else in configuration order."""
    ordered: list[int] = []
    done: set[int] = set()
    while len(ordered) < len(direct):
        place = next(one for one, earlier in enumerate(direct) if one not in done and earlier <= done)
        ordered.append(place)
        done.add(place)
    return ordered


def _fits(one: Planned, first: Planned) -> bool:
    """Say whether two programs run in the same interpreter."""
    ours, theirs = one.program, first.program
    return ours is not None and theirs is not None and (ours.exe, ours.flags) == (theirs.exe, theirs.flags)


def _unit(group: list[int], footprints: Sequence[Footprint], waits: Sequence[Wait], written: Writers) -> Unit:
    before = {wait.earlier for wait in waits if wait.later in group} - set(group)
    locks: dict[str, bool] = {}
    for place in group:
        for key, writes in conflicts.lock_keys(footprints[place], written).items():
            locks[key] = locks.get(key, False) or writes
    return Unit(tuple(group), tuple(sorted(before)), locks)
