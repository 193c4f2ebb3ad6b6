"""Lines of the hook log, counted into a tally.

Theory of operation. A log has millions of hook rows, and `json.loads` takes 2 to 3 us a row. But our own
lines have a fixed order of fields, durations have two decimals, and a hook's rows repeat: so a line is cut
into rows without their waiting times, a `Counter` counts equal ones in C, and only different ones are looked
at in Python. A line that is not of that form is read as JSON, and what is no JSON is counted as damaged.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fanout_hooks.digest import bucket_of
from fanout_hooks.tally import SAMPLES, EventTally, Tally, hook_of, keep_samples

MOST_DIFFERENT = 40_000
"""Different rows kept apart before they go into digests: about 10 MB."""
SAMPLE_EVERY = 1000
MOST_SESSIONS = 200

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


def count(lines: Iterable[bytes]) -> Tally:
    """Count lines without their ends. Nothing is raised: what can't be read is counted as damaged."""
    counting = _Counting()
    counting.add(lines)
    return counting.tally


class _Counting:
    """A tally in the making."""

    def __init__(self) -> None:
        self.tally = Tally()
        self._places: dict[tuple[bytes, bytes], tuple[EventTally, Counter[bytes]]] = {}
        """Where rows of a day and event are counted until they are folded."""

    def add(self, lines: Iterable[bytes]) -> None:
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
                keep_samples(event, [json.loads(line)])
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
            self.tally.damaged += 1
            return
        if not _DAY.fullmatch(stamp[:10]):
            self.tally.damaged += 1
            return
        event, counter = self._place(stamp[:10].encode(), phase.encode())
        _count(event, stamp[11:13], elapsed, sequential, failures, path)
        counter.update(rows)
        _count_waits(event, waits)
        if len(event.samples) < SAMPLES:
            keep_samples(event, [record])
        self.tally.notes.update(str(note)[:200] for note in record.get("notes") or ())
        self._count_gate(record)

    def _count_gate(self, record: dict[str, Any]) -> None:
        gate = record.get("gate")
        if not isinstance(gate, dict):
            return
        session = str(record.get("session_id"))
        if session not in self.tally.gates and len(self.tally.gates) >= MOST_SESSIONS:
            session = "others"
        counts = self.tally.gates.setdefault(session, Counter())
        verdict = gate.get("verdict")
        if isinstance(gate.get("wave"), int):
            counts[f"wave {gate['wave']}"] += 1
        elif isinstance(verdict, str):
            counts[verdict] += 1

    def _place(self, day: bytes, phase: bytes) -> tuple[EventTally, Counter[bytes]]:
        place = self._places.get((day, phase))
        if place is None:
            event = self.tally.event(day.decode(), phase.decode())
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
                    self.tally.damaged += times
                    continue
                name, ms, bucket, counted = parsed
                hook = event.hooks.get(name) or hook_of(event.hooks, name)
                hook.ms.add_to(bucket, ms, times)
                for what in counted:
                    hook.counts[what] += times
        self._places.clear()


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
        hook_of(event.hooks, _name(raw)).wait_ms.add(float(wait))


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
