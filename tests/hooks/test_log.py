"""A full log becomes a segment: every line is in exactly one file, however many write and whoever renames."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from fanout_hooks import perflog, rollup

WRITERS, LINES = 4, 300


def _write(path: str, writer: int) -> None:
    perflog.ROTATE_BYTES = 1000
    for number in range(LINES):
        perflog.append(path, {"writer": writer, "number": number})


def kept(path: Path) -> list[dict[str, int]]:
    files = [*rollup.segments(str(path)), str(path)]
    lines = [line for one in files if Path(one).exists() for line in Path(one).read_text().splitlines()]
    return [json.loads(line) for line in lines]


@pytest.fixture
def log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Return the path of a log that is full with its first line."""
    monkeypatch.setattr(perflog, "ROTATE_BYTES", 1)
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
        perflog.append(str(log), {"number": number})
    assert len(rollup.segments(str(log))) == 3
    assert [row["number"] for row in kept(log)] == [0, 1, 2]


def test_while_one_writer_renames_the_others_only_write(log: Path) -> None:
    log.touch()
    with log.open("rb") as renaming:
        fcntl.flock(renaming, fcntl.LOCK_EX)
        perflog.append(str(log), {"number": 0})
        assert rollup.segments(str(log)) == []
    perflog.append(str(log), {"number": 1})
    assert len(rollup.segments(str(log))) == 1
    assert [row["number"] for row in kept(log)] == [0, 1]


def test_a_writer_that_comes_late_leaves_the_log_alone_that_another_has_begun(
    log: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Between its line and its look at the size, another has renamed the file and begun a new one."""
    write = os.write

    def overtaken(fd: int, data: bytes) -> int:
        written = write(fd, data)
        log.rename(perflog.segment_name(str(log), 0.0, 1))
        log.write_text('{"number":1}\n')
        return written

    monkeypatch.setattr(os, "write", overtaken)
    perflog.append(str(log), {"number": 0})
    assert log.read_text() == '{"number":1}\n'
    assert [row["number"] for row in kept(log)] == [0, 1]
