"""A full log becomes a segment: every line is in exactly one file, however many write and rename."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
import random
import signal
import time
from pathlib import Path

import pytest

from fanout_hooks.log import append as log_append
from fanout_hooks.log import rollup

WRITERS, LINES = 4, 300
PAGE = 4096


def _write(path: str, writer: int) -> None:
    log_append.ROTATE_BYTES = 1000
    for number in range(LINES):
        log_append.append(path, {"writer": writer, "number": number})


def kept(path: Path) -> list[dict[str, int]]:
    files = [*rollup.segments(str(path)), str(path)]
    lines = [line for one in files if Path(one).exists() for line in Path(one).read_text().splitlines()]
    return [json.loads(line) for line in lines]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a log that is full with its first line."""
    monkeypatch.setattr(log_append, "ROTATE_BYTES", 1)
    return tmp_path / "hook_performance.jsonl"


def test_writers_that_rename_at_once_lose_and_double_no_line(tmp_path: Path) -> None:
    path = tmp_path / "hook_performance.jsonl"
    started = [
        multiprocessing.get_context("spawn").Process(target=_write, args=(str(path), n))
        for n in range(WRITERS)
    ]
    for process in started:
        process.start()
    for process in started:
        process.join()
    rows = sorted((row["writer"], row["number"]) for row in kept(path))
    assert rows == [(writer, number) for writer in range(WRITERS) for number in range(LINES)]
    assert len(rollup.segments(str(path))) > WRITERS


def test_a_full_log_is_renamed_where_the_file_system_has_no_hard_links(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: object) -> None:
        raise PermissionError(1, "Operation not permitted")

    monkeypatch.setattr(os, "link", refuse)
    for number in range(3):
        log_append.append(str(log), {"number": number})
    assert len(rollup.segments(str(log))) == 3
    assert [row["number"] for row in kept(log)] == [0, 1, 2]


def test_while_one_writer_renames_the_others_only_write(log: Path) -> None:
    log.touch()
    with log.open("rb") as renaming:
        fcntl.flock(renaming, fcntl.LOCK_EX)
        log_append.append(str(log), {"number": 0})
        assert rollup.segments(str(log)) == []
    log_append.append(str(log), {"number": 1})
    assert len(rollup.segments(str(log))) == 1
    assert [row["number"] for row in kept(log)] == [0, 1]


def test_a_writer_that_comes_late_leaves_the_log_alone_that_another_has_begun(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its line and its look at the size, another has renamed the file and begun a new one."""
    write = os.write

    def overtaken(fd: int, data: bytes) -> int:
        written = write(fd, data)
        log.rename(log_append.segment_name(str(log), 0.0, 1))
        log.write_text('{"number":1}\n')
        return written

    monkeypatch.setattr(os, "write", overtaken)
    log_append.append(str(log), {"number": 0})
    assert log.read_text() == '{"number":1}\n'
    assert [row["number"] for row in kept(log)] == [0, 1]


def test_the_half_line_of_a_killed_writer_is_taken_away_by_the_next_one(tmp_path: Path) -> None:
    log = tmp_path / "hook_performance.jsonl"
    log.write_text('{"number":0}\n{"number":1,"fill":"' + "x" * 3 * PAGE)
    log_append.append(str(log), {"number": 2})
    assert [row["number"] for row in kept(log)] == [0, 2]


def test_a_file_that_holds_nothing_but_half_a_line_begins_again(tmp_path: Path) -> None:
    log = tmp_path / "hook_performance.jsonl"
    log.write_text('{"number":0')
    log_append.append(str(log), {"number": 1})
    assert [row["number"] for row in kept(log)] == [1]


def test_who_gets_no_lock_keeps_its_line_apart_from_a_half_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log = tmp_path / "hook_performance.jsonl"
    log.write_text('{"number":1}\n{"num')
    monkeypatch.setattr(log_append, "LOCK_S", 0.0)
    with log.open() as holder:
        fcntl.flock(holder, fcntl.LOCK_EX)
        log_append.append(str(log), {"number": 2})
        log_append.append(str(log), {"number": 3})
    assert log.read_text().splitlines() == ['{"number":1}', '{"num', '{"number":2}', '{"number":3}']


def test_a_writer_that_waited_while_the_log_was_renamed_writes_to_the_new_one(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    log.write_text('{"number":0}\n')
    flock, renamed = fcntl.flock, False

    def overtaken(fd: int, how: int) -> None:
        nonlocal renamed
        if not renamed:
            log.rename(log_append.segment_name(str(log), 0.0, 1))
            renamed = True
        flock(fd, how)

    monkeypatch.setattr(log_append, "ROTATE_BYTES", 1000)
    monkeypatch.setattr(fcntl, "flock", overtaken)
    log_append.append(str(log), {"number": 1})
    assert log.read_text() == '{"number":1}\n'


@pytest.mark.parametrize(
    "kills", [pytest.param(10, id="short"), pytest.param(200, id="whole", marks=pytest.mark.slow)]
)
def test_kills_in_mid_write_and_mid_rotation_lose_no_acknowledged_line_and_damage_none(
    kills: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_append, "ROTATE_BYTES", 200 * PAGE)
    chance = random.Random(332)
    log = tmp_path / "hook_performance.jsonl"
    at_work: dict[int, int] = {}
    for writer in range(kills + WRITERS - 1):
        at_work[_started(log, tmp_path / f"acknowledged {writer}", writer)] = writer
        if len(at_work) == WRITERS:
            time.sleep(chance.uniform(0.0, 0.02))  # the moment of the kill is the point
            pid = chance.choice(sorted(at_work))
            _killed(pid)
            del at_work[pid]
    for pid in at_work:
        _killed(pid)
    log_append.append(str(log), {"writer": -1, "number": 0})
    rows = [(row["writer"], row["number"]) for row in kept(log)]
    acknowledged = [
        (writer, number)
        for writer in range(kills + WRITERS - 1)
        for number in range(_size(tmp_path / f"acknowledged {writer}"))
    ]
    assert len(acknowledged) > kills
    assert len(rollup.segments(str(log))) > kills // 10
    assert sorted(set(acknowledged) - set(rows)) == []
    assert len(rows) == len(set(rows))


def _started(log: Path, acknowledged: Path, writer: int) -> int:
    """Start a process that appends lines of several pages and acknowledges each by a byte."""
    pid = os.fork()
    if pid:
        return pid
    fd = os.open(acknowledged, os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
    chance = random.Random(writer)
    number = 0
    while True:
        log_append.append(
            str(log), {"writer": writer, "number": number, "fill": "x" * chance.randrange(30 * PAGE)}
        )
        os.write(fd, b".")
        number += 1


def _killed(pid: int) -> None:
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)


def _size(path: Path) -> int:
    return path.stat().st_size if path.exists() else 0
