"""A hook log counted: per day and event, and per hook of each event, as digests that merge by adding.

Kept by day (UTC), because periods are compared. counting.py makes one from lines, rollup.py from files.
"""

from __future__ import annotations

from collections import Counter
from typing import Any, NamedTuple

from fanout_hooks.digest import Digest

FORM = 1
"""Of what `to_json` writes; another form is counted anew from the log."""
SAMPLES = 5
"""Whole records kept of each event and day, so that a typical one can be drawn."""
MOST_NOTES = 100
PAID_LANES = ("lane", "alone")
"""Where a hook has a process of its own."""


class HookTally(NamedTuple):
    """One hook of one event on one day."""

    ms: Digest
    wait_ms: Digest
    """Of runs in a lane: a warm hook's waiting is the running of those before it."""
    counts: Counter[str]
    """`failures`, `timeouts`, and `exit N`, `decision D`, `lane L` by what they were."""


class EventTally(NamedTuple):
    """One event on one day."""

    elapsed: Digest
    counts: Counter[str]
    """`failures` (of hooks), `failed` (events with one), `sequential_us` (the hooks' times summed), `path P`
    (events by path) and `us P` (their time)."""
    hours: Counter[str]
    """Events by hour, "00" to "23", and `us HH`, the time they took together."""
    hooks: dict[str, HookTally]
    samples: list[dict[str, Any]]


def empty_hook() -> HookTally:
    return HookTally(Digest(), Digest(), Counter())


def empty_event() -> EventTally:
    return EventTally(Digest(), Counter(), Counter(), {}, [])


class Tally:
    """What a log holds. `days[day][event]`; `gates[session]` counts the gate's verdicts and waves."""

    def __init__(self) -> None:
        self.days: dict[str, dict[str, EventTally]] = {}
        self.gates: dict[str, Counter[str]] = {}
        self.notes: Counter[str] = Counter()
        self.damaged = 0

    def event(self, day: str, phase: str) -> EventTally:
        """Return the tally of an event on a day, empty when it is the first."""
        events = self.days.setdefault(day, {})
        if phase not in events:
            events[phase] = empty_event()
        return events[phase]

    def merge(self, other: Tally) -> None:
        """Add what another tally counted."""
        self.damaged += other.damaged
        self.notes.update(other.notes)
        for session, counts in other.gates.items():
            self.gates.setdefault(session, Counter()).update(counts)
        for day, events in other.days.items():
            for phase, event in events.items():
                merge_event(self.event(day, phase), event)

    def to_json(self) -> dict[str, Any]:
        return {
            "form": FORM,
            "damaged": self.damaged,
            "notes": dict(self.notes.most_common(MOST_NOTES)),
            "gates": self.gates,
            "days": {
                day: {phase: _event_json(event) for phase, event in events.items()}
                for day, events in self.days.items()
            },
        }

    @classmethod
    def from_json(cls, data: Any) -> Tally:
        """Read what to_json wrote. Raises ValueError, KeyError, TypeError or AttributeError."""
        if data["form"] != FORM:
            raise ValueError("a tally of another form")
        tally = cls()
        tally.damaged = int(data["damaged"])
        tally.notes = Counter(data["notes"])
        tally.gates = {session: Counter(counts) for session, counts in data["gates"].items()}
        for day, events in data["days"].items():
            tally.days[day] = {phase: _event_of(event) for phase, event in events.items()}
        return tally


def merge_event(into: EventTally, event: EventTally) -> None:
    """Add one event's tally to another's."""
    into.elapsed.merge(event.elapsed)
    into.counts.update(event.counts)
    into.hours.update(event.hours)
    for name, hook in event.hooks.items():
        merge_hook(hook_of(into.hooks, name), hook)
    keep_samples(into, event.samples)


def merge_hook(into: HookTally, hook: HookTally) -> None:
    """Add one hook's tally to another's."""
    into.ms.merge(hook.ms)
    into.wait_ms.merge(hook.wait_ms)
    into.counts.update(hook.counts)


def keep_samples(event: EventTally, samples: list[dict[str, Any]]) -> None:
    """Keep the newest few."""
    event.samples.extend(samples)
    del event.samples[:-SAMPLES]


def hook_of(hooks: dict[str, HookTally], name: str) -> HookTally:
    """Return the tally of a hook, empty when it is the first."""
    hook = hooks.get(name)
    if hook is None:
        hook = hooks[name] = empty_hook()
    return hook


def _event_json(event: EventTally) -> dict[str, Any]:
    hooks = {
        name: [hook.ms.to_json(), hook.wait_ms.to_json(), hook.counts] for name, hook in event.hooks.items()
    }
    return {**event._asdict(), "elapsed": event.elapsed.to_json(), "hooks": hooks}


def _event_of(data: Any) -> EventTally:
    hooks = {
        name: HookTally(Digest.from_json(ms), Digest.from_json(wait), Counter(counts))
        for name, (ms, wait, counts) in data["hooks"].items()
    }
    samples = [sample for sample in data["samples"] if isinstance(sample, dict)]
    counts, hours = Counter(data["counts"]), Counter(data["hours"])
    return EventTally(Digest.from_json(data["elapsed"]), counts, hours, hooks, samples)
