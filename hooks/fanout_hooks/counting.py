"""Lines of the hook log, counted into a tally.

Theory of operation. A log has millions of hook rows, and `json.loads` takes 2 to 3 us a row. But our own
lines have a fixed order of fields, durations have two decimals, and a hook's rows repeat: so a line is cut
into rows without their waiting times, a `Counter` counts equal ones in C, and only different ones are looked
at in Python. A line that is not of that form is read whole (logline.py), and what is none counts as damaged.

Numbers have a bounded form in the patterns, so that nothing a log may hold raises here.
"""

from __future__ import annotations

import json
import re
from collections import Counter
from collections.abc import Iterable
from functools import lru_cache
from typing import Any

from fanout_hooks import logline
from fanout_hooks.digest import bucket_of
from fanout_hooks.tally import PAID_LANES, SAMPLES, EventTally, Tally, empty_event, hook_of, keep_samples

MOST_DIFFERENT = 40_000
"""Different rows kept apart before they go into digests: about 10 MB."""
SAMPLE_EVERY = 1000

FAILED = b'"error":'
"""A hook failed and said why: few lines have that."""
END = b"}]}"
"""A line that says nothing beyond its hooks ends so."""
_NUMBER = rb"(\d{1,9}(?:\.\d{1,9})?)"
_HEAD = re.compile(
    rb'\{"timestamp":"(\d{4}-(?:0[1-9]|1[0-2])-[0-3]\d)T([01]\d|2[0-3]):[^"\\]*","phase":"(\w{1,60})",'
    rb'"total_hooks":(\d{1,6}),"batches":\d{1,6},"elapsed_ms":' + _NUMBER + rb',"failures":(\d{1,6}),'
    rb'"session_id":(?:"[^"\\]*"|null),"sequential_ms":' + _NUMBER + rb',"path":"(\w{1,60})","hooks":\[\{'
)
_DAY = re.compile(rb'\{"timestamp":"(\d{4}-\d\d-\d\d)T')
_WAIT = re.compile(rb'"wait_ms":[0-9.]+,')
_ROW = re.compile(
    rb'"name":"((?:[^"\\]|\\.)*)","batch":\d{1,6},"ms":' + _NUMBER + rb',"exit":(-?\d{1,9}),'
    rb'"decision":"(\w{1,60})","lane":"(\w{1,60})"(,"timed_out":true)?'
)
_WAITED = re.compile(
    rb'"name":"([^"\\]*)","batch":\d{1,6},"ms":[\d.]+,"wait_ms":' + _NUMBER + rb',"exit":-?\d{1,9},'
    rb'"decision":"\w{1,60}","lane":"(?:lane|alone)"'
)


NOWHERE: tuple[EventTally, Counter[bytes]] = (empty_event(), Counter())
"""Where an event is counted that was not met yet: its first line is looked at whole."""


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
        day = b""
        for line in lines:
            head = _HEAD.match(line)
            if head is None or not line.endswith(END) or FAILED in line:
                day = self._add_odd(line, day)
                continue
            rows = _WAIT.sub(b"", line[head.end() : -len(END)]).split(b"},{")
            day, hour, phase, total, elapsed, failures, sequential, path = head.groups()
            if len(rows) != int(total):
                day = self._add_odd(line, day)
                continue
            event, counter = self._places.get((day, phase), NOWHERE)
            if len(event.samples) < SAMPLES or not (event.elapsed.count + 1) % SAMPLE_EVERY:
                try:
                    sample = logline.read(line).sample
                except logline.Damaged:
                    self._add_damage(line, day)
                    continue
                self._fold_many()
                event, counter = self._place(day, phase)
                keep_samples(event, [sample])
            _count(event, _text(hour), float(elapsed), float(sequential), int(failures), _text(path))
            counter.update(rows)
            if b'"lane":"lane"' in line or b'"lane":"alone"' in line:
                _count_waits(event, _WAITED.findall(line, head.end()))
        self.fold()
        undated = self.tally.damaged.pop("", 0)
        if undated:  # of the first day that is told, if any is
            self.tally.damaged[next(iter(self.tally.days), "")] += undated

    def _add_odd(self, line: bytes, before: bytes) -> bytes:
        """Count a line that is in no hurry: of another form, or with something beside its hooks.

        Return its day, that of the line before it when it has none.
        """
        if not line.strip():
            return before
        try:
            record = logline.read(line)
        except logline.Damaged:
            self._add_damage(line, before)
            return before
        day = record.day.encode()
        event, counter = self._place(day, record.phase.encode())
        _count(
            event,
            record.hour,
            record.elapsed_ms,
            record.sequential_ms,
            record.failures,
            record.path,
        )
        counter.update(map(_plain_row, record.hooks))
        for hook in record.hooks:
            if "error" in hook:
                hook_of(event.hooks, hook["name"]).last["error"] = hook["error"]
            if hook["lane"] in PAID_LANES:
                hook_of(event.hooks, hook["name"]).wait_ms.add(hook["wait_ms"])
        if len(event.samples) < SAMPLES:
            keep_samples(event, [record.sample])
        if record.notes:
            self.tally.note(record.day, record.notes)
        if record.gate:
            self.tally.gate(record.day, record.session, {record.gate: 1})
        return day

    def _add_damage(self, line: bytes, before: bytes) -> None:
        own = _DAY.match(line)
        self.tally.damaged[(own[1] if own else before).decode()] += 1

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
        for (day, _), (event, counter) in self._places.items():
            for row, times in counter.items():
                parsed = _parsed(row)
                if parsed is None:
                    self.tally.damaged[day.decode()] += times
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
        hook_of(event.hooks, raw.decode("utf-8", "replace")).wait_ms.add(float(wait))


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
    try:
        return _name(raw), float(ms), bucket_of(float(ms)), tuple(counted)
    except (ValueError, RecursionError):
        return None


@lru_cache(1000)
def _text(raw: bytes) -> str:
    """Decode what comes again and again."""
    return raw.decode()


def _plain_row(hook: dict[str, Any]) -> bytes:
    """Write a checked row in the form that `_ROW` reads."""
    row = {name: value for name, value in hook.items() if name not in {"wait_ms", "error"}}
    return json.dumps(row | {"ms": round(hook["ms"], 2)}, separators=(",", ":")).encode()[1:-1]


def _name(raw: bytes) -> str:
    """Return a name. Raises ValueError when what is escaped in it is no JSON."""
    name = raw.decode("utf-8", "replace")
    return logline.text(json.loads(f'"{name}"')) if "\\" in name else name
