"""The log and its segments are one; what was counted once is not read again, and damage costs only time."""

from __future__ import annotations

import itertools
import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

from fakes.records import DAY, NOW, line, record, row, write
from fanout_hooks.log import append as log_append
from fanout_hooks.log import rollup
from fanout_hooks.log.tally import Tally


def total(tally: Tally) -> int:
    return sum(event.elapsed.count for events in tally.days.values() for event in events.values())


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    """Everything is worth a digest and a second process."""
    monkeypatch.setattr(rollup, "SAVE_FROM", 1)
    monkeypatch.setattr(rollup, "SHARE_BYTES", 2000)


def test_no_log_is_an_empty_tally(tmp_path: Path) -> None:
    assert total(rollup.gather(log_append.path_of(str(tmp_path)))) == 0


@pytest.mark.usefixtures("small")
def test_a_second_report_reads_only_what_came_since(tmp_path: Path) -> None:
    path = write(tmp_path, *(record(row("a", 1.0)) for _ in range(40)))
    assert total(rollup.gather(str(path))) == 40
    data = path.read_bytes()
    path.write_bytes(b" " * len(data))  # same file: whoever reads it again finds nothing
    write(tmp_path, record(row("a", 2.0)))
    assert total(rollup.gather(str(path))) == 41


@pytest.mark.usefixtures("small")
def test_a_rotated_log_is_still_one_history(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(log_append, "ROTATE_BYTES", 3000)
    path = log_append.path_of(str(tmp_path))
    for number in range(40):
        log_append.append(path, record(row("a", number + 0.5)))
    assert len(rollup.segments(path)) >= 2
    assert total(rollup.gather(path)) == 40
    for segment in rollup.segments(path):
        assert Path(segment).with_suffix(rollup.ENDING).exists()
        Path(segment).write_bytes(b"")  # shorter than its digest says: not the file that was counted
    assert total(rollup.gather(path)) < 40


@pytest.mark.usefixtures("small")
def test_what_was_counted_of_the_log_is_not_counted_again_once_it_is_a_segment(tmp_path: Path) -> None:
    path = write(tmp_path, *(record(row("a", 1.0)) for _ in range(40)))
    assert total(rollup.gather(str(path))) == 40
    data = path.read_bytes()
    path.write_bytes(b" " * len(data))  # same file: whoever reads it again finds nothing
    write(tmp_path, record(row("a", 2.0)))
    path.rename(log_append.segment_name(str(path), NOW, 1))
    write(tmp_path, record(row("a", 3.0)))
    for _ in range(2):
        assert total(rollup.gather(str(path))) == 42


@pytest.mark.usefixtures("small")
def test_segments_of_an_older_period_are_not_read(tmp_path: Path) -> None:
    path = write(tmp_path, record(row("a", 1.0)))
    old = Path(log_append.segment_name(str(path), NOW - 30 * DAY, 1))
    old.write_bytes(line(record(row("a", 1.0), at=NOW - 30 * DAY)) + b"\n")
    assert total(rollup.gather(str(path))) == 2
    assert total(rollup.gather(str(path), since="2026-11-01")) == 1


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("content", [b"", b"{", b"null", b'{"inode": 1}', b'{"inode":0,"end":5,"tally":{}}'])
def test_a_damaged_digest_is_thrown_away(tmp_path: Path, content: bytes) -> None:
    path = write(tmp_path, record(row("a", 1.0)))
    (path.parent / "hook_performance.digest.json").write_bytes(content)
    assert total(rollup.gather(str(path))) == 1


@pytest.mark.usefixtures("small")
def test_a_digest_of_an_older_form_is_made_again(tmp_path: Path) -> None:
    path = write(tmp_path, record(row("a", 1.0), notes=["a note"]))
    rollup.gather(str(path))
    digest = path.parent / "hook_performance.digest.json"
    kept = json.loads(digest.read_bytes())
    kept["tally"] |= {"form": 1, "notes": {"a note": 7}, "gates": {"s1": {"deny": 1}}, "damaged": 5}
    digest.write_text(json.dumps(kept))
    tally = rollup.gather(str(path))
    assert (total(tally), tally.damaged.total()) == (1, 0)
    assert list(tally.notes.values()) == [{"a note": 1}]


def test_a_line_still_being_written_is_left_for_the_next_report(tmp_path: Path) -> None:
    path = write(tmp_path, record(row("a", 1.0)))
    with path.open("ab") as file:
        file.write(line(record(row("a", 1.0)))[:50])
    tally = rollup.gather(str(path))
    assert (total(tally), tally.damaged.total()) == (1, 0)


@pytest.mark.parametrize("kind", ["link", "fifo", "folder"])
def test_a_log_that_is_no_file_is_refused_at_once(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "hook_performance.jsonl"
    if kind == "link":
        path.symlink_to("/etc/passwd")
    elif kind == "fifo":
        os.mkfifo(path)
    else:
        path.mkdir()
    with pytest.raises(OSError, match=r"."):
        rollup.gather(str(path))


@pytest.mark.usefixtures("small")
def test_processes_that_share_a_file_count_every_line_once(tmp_path: Path) -> None:
    path = write(tmp_path, *(record(row("a", number / 100)) for number in range(500)))
    tally = rollup.gather(str(path))
    assert total(tally) == 500
    assert tally.damaged.total() == 0


@pytest.mark.usefixtures("small")
@pytest.mark.parametrize("failing", range(1, 4))
def test_a_process_that_cannot_be_started_costs_time_only(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, failing: int
) -> None:
    path = write(tmp_path, *(record(row("a", number / 100)) for number in range(500)))
    start, starts = subprocess.Popen, itertools.count(1)

    def full(*args: Any, **more: Any) -> subprocess.Popen[bytes]:
        if next(starts) >= failing:
            raise BlockingIOError(11, "Resource temporarily unavailable")
        return start(*args, **more)

    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    monkeypatch.setattr(subprocess, "Popen", full)
    assert total(rollup.gather(str(path))) == 500
    assert next(starts) > failing


@pytest.mark.usefixtures("small")
def test_a_process_that_is_killed_costs_time_only(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = write(tmp_path, *(record(row("a", number / 100)) for number in range(500)))
    monkeypatch.setattr(rollup, "COUNT", "import os; os.kill(os.getpid(), 9)")
    monkeypatch.setattr(os, "cpu_count", lambda: 4)
    assert total(rollup.gather(str(path))) == 500
