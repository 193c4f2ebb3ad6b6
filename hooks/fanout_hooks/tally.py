"""The hook log, counted: per day and event, and per hook of each event, as digests that merge by adding.

Theory of operation. A log has millions of hook rows, and `json.loads` takes 3 us a row. But our own lines
have a fixed order of fields, durations have two decimals, and a hook's rows repeat: so a line is cut into
rows without their waiting times, a `Counter` counts equal ones in C, and only different ones are looked at in
Python. A line that is not of that form is read as JSON, and what is no JSON is counted as damaged.

Everything is kept by day (UTC), because periods are compared; tallies of files and of days merge.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, NamedTuple

from fanout_hooks.digest import Digest, bucket_of

FORM = 1
"""Of what `to_json` writes; another form is counted anew from the log."""
MOST_DIFFERENT = 40_000
"""Different rows kept apart before they go into digests: about 10 MB."""
SAMPLES = 5
"""Whole lines kept of each event and day, so that a typical one can be drawn."""
SAMPLE_EVERY = 1000
MOST_SESSIONS = 200
MOST_NOTES = 100

END = b"}]}"
"""A line that says nothing beyond its hooks ends so."""
_HEAD = re.compile(
    rb'\{"timestamp":"(\d{4}-\d\d-\d\d)T(\d\d)[^"]*","phase":"(\w+)","total_hooks":(\d+),"batches":\d+,'
    rb'"elapsed_ms":([\d.]+),"failures":(\d+),"session_id":(?:"[^"\\]*"|null),"sequential_ms":([\d.]+),'
    rb'"path":"(\w+)","hooks":\[\{'
)
_WAIT = re.compile(rb'"wait_ms":[0-9.]+,')
_ROW = re.compile(
    rb'"name":"((?:[^"\\]|\\.)*)","batch":\d+,"ms":([\d.]+),"exit":(-?\d+),'
    rb'"decision":"(\w+)","lane":"(\w+)"(,"timed_out":true)?'
)
_WAITED = re.compile(
    rb'"name":"([^"\\]*)","batch":\d+,"ms":[\d.]+,"wait_ms":([\d.]+),"exit":-?\d+,"decision":"\w+",'
    rb'"lane":"(?:lane|alone)"'
)
_DAY = re.compile(r"\d{4}-\d\d-\d\d")


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
        self._places: dict[tuple[bytes, bytes], tuple[EventTally, Counter[bytes]]] = {}
        """Where rows of a day and event are counted until they are folded."""

    def add_lines(self, lines: Iterable[bytes]) -> None:
        """Count lines without their ends. Nothing is raised: what can't be read is counted as damaged."""
        for line in lines:
            head = _HEAD.match(line)
            if head is None or not line.endswith(END):
                self._add_odd(line)
                continue
            rows = _WAIT.sub(b"", line[head.end() : -len(END)]).split(b"},{")
            day, hour, phase, total, elapsed, failures, sequential, path = head.groups()
            if len(rows) != int(total):
                self._add_odd(line)
                continue
            event, counter = self._places.get((day, phase)) or self._place(day, phase)
            _count(event, _text(hour), float(elapsed), float(sequential), int(failures), _text(path))
            counter.update(rows)
            if b'"lane":"lane"' in line or b'"lane":"alone"' in line:
                _count_waits(event, _WAITED.findall(line, head.end()))
            if len(event.samples) < SAMPLES or not event.elapsed.count % SAMPLE_EVERY:
                _keep_samples(event, [json.loads(line)])
                self._fold_many()
        self.fold()

    def _add_odd(self, line: bytes) -> None:
        """Count a line that is in no hurry: of another form, or with something beside its hooks."""
        if not line.strip():
            return
        try:
            record = json.loads(line)
            stamp, phase, hooks = str(record["timestamp"]), str(record["phase"]), record["hooks"]
            rows = [_plain_row(hook) for hook in hooks]
            elapsed, sequential = float(record["elapsed_ms"]), float(record["sequential_ms"])
            failures, path = int(record["failures"]), str(record["path"])
            waits = [(_raw(hook), b"%f" % hook["wait_ms"]) for hook in hooks if hook["lane"] != "warm"]
        except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
            self.damaged += 1
            return
        if not _DAY.fullmatch(stamp[:10]):
            self.damaged += 1
            return
        event, counter = self._place(stamp[:10].encode(), phase.encode())
        _count(event, stamp[11:13], elapsed, sequential, failures, path)
        counter.update(rows)
        _count_waits(event, waits)
        if len(event.samples) < SAMPLES:
            _keep_samples(event, [record])
        self.notes.update(str(note)[:200] for note in record.get("notes") or ())
        self._count_gate(record)

    def _count_gate(self, record: dict[str, Any]) -> None:
        gate = record.get("gate")
        if not isinstance(gate, dict):
            return
        session = str(record.get("session_id"))
        if session not in self.gates and len(self.gates) >= MOST_SESSIONS:
            session = "others"
        counts = self.gates.setdefault(session, Counter())
        if isinstance(gate.get("verdict"), str):
            counts[gate["verdict"]] += 1
        if isinstance(gate.get("wave"), int):
            counts[f"wave {gate['wave']}"] += 1

    def _place(self, day: bytes, phase: bytes) -> tuple[EventTally, Counter[bytes]]:
        place = self._places.get((day, phase))
        if place is None:
            event = self._event(day.decode(), phase.decode())
            place = self._places[day, phase] = (event, Counter())
        return place

    def _fold_many(self) -> None:
        if sum(len(counter) for _, counter in self._places.values()) > MOST_DIFFERENT:
            self.fold()

    def fold(self) -> None:
        """Put the rows counted so far into digests."""
        for event, counter in self._places.values():
            for row, times in counter.items():
                parsed = _parsed(row)
                if parsed is None:
                    self.damaged += times
                    continue
                name, ms, bucket, counted = parsed
                hook = event.hooks.get(name) or _hook(event.hooks, name)
                hook.ms.add_to(bucket, ms, times)
                for what in counted:
                    hook.counts[what] += times
        self._places.clear()

    def _event(self, day: str, phase: str) -> EventTally:
        events = self.days.get(day)
        if events is None:
            events = self.days[day] = {}
        event = events.get(phase)
        if event is None:
            event = events[phase] = empty_event()
        return event

    def merge(self, other: Tally) -> None:
        """Add what another tally counted."""
        self.damaged += other.damaged
        self.notes.update(other.notes)
        for session, counts in other.gates.items():
            self.gates.setdefault(session, Counter()).update(counts)
        for day, events in other.days.items():
            for phase, event in events.items():
                merge_event(self._event(day, phase), event)

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
        merge_hook(_hook(into.hooks, name), hook)
    _keep_samples(into, event.samples)


def merge_hook(into: HookTally, hook: HookTally) -> None:
    """Add one hook's tally to another's."""
    into.ms.merge(hook.ms)
    into.wait_ms.merge(hook.wait_ms)
    into.counts.update(hook.counts)


def _count(event: EventTally, hour: str, elapsed: float, sequential: float, failures: int, path: str) -> None:
    event.elapsed.add(elapsed)
    counts, us = event.counts, round(elapsed * 1000)
    if failures:
        counts["failures"] += failures
        counts["failed"] += 1
    counts["sequential_us"] += round(sequential * 1000)
    counts["path " + path] += 1
    counts["us " + path] += us
    event.hours[hour] += 1
    event.hours["us " + hour] += us


def _count_waits(event: EventTally, waits: Iterable[tuple[bytes, bytes]]) -> None:
    for raw, wait in waits:
        _hook(event.hooks, _name(raw)).wait_ms.add(float(wait))


def _keep_samples(event: EventTally, samples: list[dict[str, Any]]) -> None:
    event.samples.extend(samples)
    del event.samples[:-SAMPLES]


def _hook(hooks: dict[str, HookTally], name: str) -> HookTally:
    hook = hooks.get(name)
    if hook is None:
        hook = hooks[name] = empty_hook()
    return hook


@lru_cache(MOST_DIFFERENT)
def _parsed(row: bytes) -> tuple[str, float, int, tuple[str, ...]] | None:
    """Return a row's name, ms, bucket and what else it counts as; the same rows come every day."""
    match = _ROW.match(row)
    if match is None:
        return None
    raw, ms, exit_code, decision, lane, timed_out = match.groups()
    counted = [f"lane {lane.decode()}"]
    if timed_out:
        counted.append("timeouts")
    if timed_out or exit_code not in {b"0", b"2"}:
        counted += ["failures", f"exit {exit_code.decode()}"]
    if decision != b"none":
        counted.append(f"decision {decision.decode()}")
    return _name(raw), float(ms), bucket_of(float(ms)), tuple(counted)


@lru_cache(1000)
def _text(raw: bytes) -> str:
    """Decode what comes again and again."""
    return raw.decode()


def _plain_row(hook: dict[str, Any]) -> bytes:
    """Write a row in the form that `_ROW` reads. Raises KeyError, ValueError or TypeError."""
    row: dict[str, Any] = {
        "name": str(hook["name"]),
        "batch": int(hook["batch"]),
        "ms": float(hook["ms"]),
        "exit": int(hook["exit"]),
        "decision": str(hook["decision"]),
        "lane": str(hook["lane"]),
    }
    if hook.get("timed_out"):
        row["timed_out"] = True
    return json.dumps(row, separators=(",", ":")).encode()[1:-1]


def _raw(hook: dict[str, Any]) -> bytes:
    return json.dumps(str(hook["name"])).encode()[1:-1]


def _name(raw: bytes) -> str:
    text = raw.decode("utf-8", "replace")
    return str(json.loads(f'"{text}"')) if "\\" in text else text


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
