"""Count the hook log and its segments into one tally; what was counted once is not read again.

Beside each file lies a digest of it: what it holds up to a byte, and which file (by its inode, which a rename
keeps: the open log becomes a segment). A report reads the digests and what came since. The digest is a cache:
damaged, foreign or of another form it is thrown away, and a folder that can't be written only costs time.

Files of many megabytes are counted by one process per core, each a range of whole lines.
"""

from __future__ import annotations

import json
import os
import re
import stat
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from contextlib import suppress
from functools import lru_cache
from typing import TYPE_CHECKING, Any, NamedTuple

from fanout_hooks.client import files
from fanout_hooks.log.tally import (
    PAID_LANES,
    SAMPLES,
    EventTally,
    Tally,
    bucket_of,
    empty_event,
    hook_of,
    keep_samples,
)

if TYPE_CHECKING:
    import subprocess


# --- Reading one line of the log ----------------------------------------------------------------------------
# It is checked: a repository may bring a log of its own, and a disk may damage ours.
# What is read from a line is counted and shown, so it is plain: numbers are finite and bounded, names can be
# encoded, words are words. Whatever else is in a line makes it a damaged one.

MAX_MS = 1e9
"""Eleven days; also the most digits that the patterns below take."""
MAX_NOTE = 200
MAX_NOTES = 100
"""Of one line."""
_STAMP = re.compile(r"([0-9]{4}-(?:0[1-9]|1[0-2])-[0-3][0-9])T((?:[01][0-9]|2[0-3])):.*", re.DOTALL)
_WORD = re.compile(r"\w{1,60}", re.ASCII)
_VERDICT = re.compile(r"[\w-]{1,60}", re.ASCII)


class Damaged(ValueError):
    """What was read is not a line of a hook log."""


class Head(NamedTuple):
    day: str
    hour: str
    phase: str
    elapsed_ms: float
    failures: int
    sequential_ms: float
    own_ms: float | None
    """None in lines of versions that didn't say."""
    path: str


class LogLine(NamedTuple):
    """One event. `hooks` are plain: name, batch, ms, wait_ms, exit, decision, lane, timed_out, error."""

    head: Head
    hooks: tuple[dict[str, Any], ...]
    gate: str
    """What the gate did: a verdict, or `wave N`."""
    notes: tuple[str, ...]

    @property
    def sample(self) -> dict[str, Any]:
        """What a typical event is drawn from."""
        return {"elapsed_ms": self.head.elapsed_ms, "hooks": list(self.hooks)}


def read(line: bytes) -> LogLine:
    """Read a line. Raises Damaged."""
    try:
        record = json.loads(line)
        stamp = _STAMP.fullmatch(record["timestamp"])
        if stamp is None:
            raise Damaged("its timestamp is none")
        head = Head(
            stamp[1],
            stamp[2],
            word(record["phase"]),
            number(record["elapsed_ms"]),
            int(number(record["failures"])),
            number(record["sequential_ms"]),
            number(record["own_ms"]) if "own_ms" in record else None,
            word(record["path"]),
        )
        return LogLine(
            head,
            tuple(map(hook, record["hooks"])),
            _gate(record.get("gate")),
            tuple(text(note)[:MAX_NOTE] for note in (record.get("notes") or ())[:MAX_NOTES]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(str(error)) from None


def hook(data: dict[str, Any]) -> dict[str, Any]:
    """Return a hook's row, plain. Raises Damaged, KeyError or TypeError."""
    row: dict[str, Any] = {
        "name": text(data["name"]),
        "batch": int(number(data["batch"])),
        "ms": number(data["ms"]),
        "wait_ms": number(data["wait_ms"]),
        "exit": int(number(abs(data["exit"]))) * (-1 if data["exit"] < 0 else 1),
        "decision": word(data["decision"]),
        "lane": word(data["lane"]),
    }
    if data.get("timed_out"):
        row["timed_out"] = True
    if data.get("error"):
        row["error"] = text(data["error"])[:MAX_NOTE]
    return row


def number(value: object) -> float:
    """Return a number that can be added up. Raises Damaged."""
    if not isinstance(value, int | float) or not 0 <= value < MAX_MS:
        raise Damaged("what should be a number is none, or out of bounds")
    return float(value)


def word(value: object) -> str:
    found = str(value)
    if not _WORD.fullmatch(found):
        raise Damaged("what should be a word is none")
    return found


def text(value: object) -> str:
    """Return any text as one that can be written: half a surrogate pair can't."""
    return str(value).encode("utf-8", "replace").decode()


def _gate(data: object) -> str:
    if not isinstance(data, dict):
        return ""
    wave, verdict = data.get("wave"), data.get("verdict")
    if isinstance(wave, int):
        return f"wave {int(number(wave))}"
    return verdict if isinstance(verdict, str) and _VERDICT.fullmatch(verdict) else ""


# --- Lines of the hook log, counted into a tally. -----------------------------------------------------------
# Theory of operation. A log has millions of hook rows, and `json.loads` takes 2 to 3 us a row. But our own
# lines have a fixed order of fields, durations have two decimals, and a hook's rows repeat: so a line is cut
# into rows without their waiting times, a `Counter` counts equal ones in C, and only different ones are
# looked at in Python. A line that is not of that form is read whole, and what is none counts as damaged.
# Numbers have a bounded form in the patterns, so that nothing a log may hold raises here.

MAX_DIFFERENT = 40_000
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
    rb'"session_id":(?:"[^"\\]*"|null),"sequential_ms":'
    + _NUMBER
    + rb'(?:,"own_ms":'
    + _NUMBER
    + rb')?,"path":"(\w{1,60})","hooks":\[\{'
)
_DAY = re.compile(rb'\{"timestamp":"(\d{4}-\d\d-\d\d)T')
_PAID = tuple(f'"lane":"{lane}"'.encode() for lane in PAID_LANES)
_WAIT = re.compile(rb'"wait_ms":[0-9.]+,')
_ROW = re.compile(
    rb'"name":"((?:[^"\\]|\\.)*)","batch":\d{1,6},"ms":' + _NUMBER + rb',"exit":(-?\d{1,9}),'
    rb'"decision":"(\w{1,60})","lane":"(\w{1,60})"(,"timed_out":true)?'
)
_WAITED = re.compile(
    rb'"name":"([^"\\]*)","batch":\d{1,6},"ms":[\d.]+,"wait_ms":' + _NUMBER + rb',"exit":-?\d{1,9},'
    rb'"decision":"\w{1,60}","lane":"(?:lane|alone|spare)"'
)


NOWHERE: tuple[EventTally, Counter[bytes]] = (empty_event(), Counter())
"""Where an event is counted that was not met yet: its first line is looked at whole."""


def count(lines: Iterable[bytes]) -> Tally:
    """Count lines without their ends. Nothing is raised: what can't be read is counted as damaged."""
    counting = _Counting()
    counting.add(lines)
    return counting.tally


class _Counting:
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
            day, hour, phase, total, elapsed, failures, sequential, own, path = head.groups()
            if len(rows) != int(total):
                day = self._add_odd(line, day)
                continue
            event, counter = self._places.get((day, phase), NOWHERE)
            if len(event.samples) < SAMPLES or not (event.elapsed.count + 1) % SAMPLE_EVERY:
                try:
                    sample = read(line).sample
                except Damaged:
                    self._add_damage(line, day)
                    continue
                if sum(len(counter) for _, counter in self._places.values()) > MAX_DIFFERENT:
                    self.fold()
                event, counter = self._place(day, phase)
                keep_samples(event, [sample])
            own_ms = None if own is None else float(own)
            figures = (float(elapsed), int(failures), float(sequential), own_ms)
            _add_event(event, Head("", _text(hour), "", *figures, _text(path)))
            counter.update(rows)
            if any(lane in line for lane in _PAID):
                for raw, wait in _WAITED.findall(line, head.end()):
                    hook_of(event.hooks, raw.decode("utf-8", "replace")).wait_ms.add(float(wait))
        self.fold()
        undated = self.tally.damaged.pop("", 0)
        if undated:  # of the first day that is reported, if any is
            self.tally.damaged[next(iter(self.tally.days), "")] += undated

    def _add_odd(self, line: bytes, before: bytes) -> bytes:
        """Count a line that is in no hurry: of another form, or with something beside its hooks.

        Return its day, that of the line before it when it has none.
        """
        if not line.strip():
            return before
        try:
            record = read(line)
        except Damaged:
            self._add_damage(line, before)
            return before
        day = record.head.day.encode()
        event, counter = self._place(day, record.head.phase.encode())
        _add_event(event, record.head)
        counter.update(map(_plain_row, record.hooks))
        for hook in record.hooks:
            if "error" in hook:
                hook_of(event.hooks, hook["name"]).last["error"] = hook["error"]
            if hook["lane"] in PAID_LANES:
                hook_of(event.hooks, hook["name"]).wait_ms.add(hook["wait_ms"])
        if len(event.samples) < SAMPLES:
            keep_samples(event, [record.sample])
        if record.notes:
            self.tally.note(record.head.day, record.notes)
        if record.gate:
            self.tally.gates.setdefault(record.head.day, Counter())[record.gate] += 1
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


def _add_event(event: EventTally, head: Head) -> None:
    event.elapsed.add(head.elapsed_ms)
    if head.own_ms is not None:
        event.own.add(head.own_ms)
    counts, us = event.counts, round(head.elapsed_ms * 1000)
    if head.failures:
        counts["failures"] += head.failures
        counts["failed"] += 1
    counts["sequential_us"] += round(head.sequential_ms * 1000)
    counts["path " + head.path] += 1
    counts["us " + head.path] += us
    event.hours[head.hour] += 1
    event.hours["us " + head.hour] += us


@lru_cache(MAX_DIFFERENT)
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
    return text(json.loads(f'"{name}"')) if "\\" in name else name


# --- Segments and what was counted of them ------------------------------------------------------------------

BLOCK = 1 << 20
SHARE_BYTES = 16 << 20
"""Below this a second process costs more than it saves."""
MAX_PROCESSES = 4
SAVE_FROM = 256 << 10
"""New bytes from which the digest is written again."""
ENDING = ".digest.json"


def segments(path: str) -> list[str]:
    folder, name = os.path.split(path)
    stem, extension = os.path.splitext(name)
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [one for one in names if one.startswith(stem + ".") and one.endswith(extension) and one != name]
    return [os.path.join(folder, one) for one in sorted(found, key=_order)]


def _order(name: str) -> tuple[str, int]:
    date, _, number = os.path.splitext(name)[0].partition(".")[2].partition(".")
    return date, int(number) if number.isdigit() else 0


def gather(path: str, since: str = "") -> Tally:
    """Tally the log at `path` and its segments that may hold a day from `since` ("2026-11-24") on.

    Missing files count as empty. Raises OSError when the log is there and can't be read.
    """
    tally = Tally()
    for segment in segments(path):
        if _order(os.path.basename(segment))[0] >= since:
            tally.merge(_counted(segment, path))
    tally.merge(_counted(path, path))
    return tally


def _counted(path: str, log: str) -> Tally:
    try:
        fd = os.open(path, files.FLAGS | files.NO_LINK)
    except FileNotFoundError:
        return Tally()
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(f"{path} is not a regular file")
        kept = _digest_of(path)
        done, tally = _recall(kept, about)
        if not done:  # a segment: what was counted of it while it was the log lies with the log
            done, tally = _recall(_digest_of(log), about)
        end = files.last_line_end(fd, about.st_size)
        if end > done:
            tally.merge(_count(fd, done, end))
        if end - done >= SAVE_FROM or (done and not os.path.lexists(kept)):
            data = {"inode": about.st_ino, "end": end, "tally": tally.to_json()}
            with suppress(OSError):  # it only costs time
                files.replace(kept, json.dumps(data, separators=(",", ":")).encode())
        return tally
    finally:
        os.close(fd)


def _digest_of(path: str) -> str:
    return os.path.splitext(path)[0] + ENDING


def _recall(kept: str, about: os.stat_result) -> tuple[int, Tally]:
    """Return up to where a file was counted, and what; nothing when the digest isn't of this file."""
    try:
        data = json.loads(files.read(kept))
        if data["inode"] == about.st_ino and data["end"] <= about.st_size:
            return int(data["end"]), Tally.from_json(data["tally"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return 0, Tally()


# --- Counting a large log in several processes --------------------------------------------------------------

COUNT = """
import json, sys
sys.path.insert(0, sys.argv[1])
from fanout_hooks.log import rollup
print(json.dumps(rollup.count(rollup.lines(*map(int, sys.argv[2:]))).to_json()))
"""
"""Counts a range, and ends by itself, whatever becomes of us: no pool's process would."""


def _count(fd: int, begin: int, end: int) -> Tally:
    first, *rest = _ranges(fd, begin, end)
    parts = [(_started(fd, *one), one) for one in rest]
    tally = count(lines(fd, *first))
    for process, one in parts:
        counted = None if process is None else _result(process)
        tally.merge(count(lines(fd, *one)) if counted is None else counted)
    return tally


def _ranges(fd: int, begin: int, end: int) -> list[tuple[int, int]]:
    count = max(1, min(MAX_PROCESSES, os.cpu_count() or 1, (end - begin) // SHARE_BYTES))
    cuts = [begin]
    for number in range(1, count):
        wanted = begin + (end - begin) * number // count
        cut = files.last_line_end(fd, wanted)
        if cut > cuts[-1]:
            cuts.append(cut)
    return list(zip(cuts, [*cuts[1:], end], strict=True))


def _started(fd: int, begin: int, end: int) -> subprocess.Popen[bytes] | None:
    """Count a range in its own process; None when there can't be one."""
    import subprocess  # 3 ms that only large logs need

    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    line = [sys.executable, "-I", "-S", "-c", COUNT, ours, *map(str, (fd, begin, end))]
    try:
        return subprocess.Popen(line, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, pass_fds=(fd,))
    except OSError:
        return None


def _result(process: subprocess.Popen[bytes]) -> Tally | None:
    """Return what it counted; None when it was killed, for its memory perhaps."""
    printed, _ = process.communicate()
    try:
        return Tally.from_json(json.loads(printed))
    except ValueError:
        return None


def lines(fd: int, begin: int, end: int) -> Iterator[bytes]:
    rest = b""
    while begin < end:
        block = os.pread(fd, min(BLOCK, end - begin), begin)
        if not block:
            return
        begin += len(block)
        *whole, rest = (rest + block).split(b"\n")
        yield from whole
