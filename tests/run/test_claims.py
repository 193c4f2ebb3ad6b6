"""Who runs an event, when the disk is full or the state folder holds what we didn't write there."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fanout_hooks.client import files
from fanout_hooks.run import claims

CLAIM = """
import sys
import time
from fanout_hooks.client import files
from fanout_hooks.run import claims
where, now, *owners = sys.argv[1:]
print(*[claims.claim(where, "e", owner, float(now)) for owner in owners])
"""


def _on_a_full_disk(where: str, *owners: str, now: float) -> list[str]:
    """Claim one event for several, one after another, where no file can grow."""
    line = ["/bin/sh", "-c", 'ulimit -f 0; exec "$@"', "sh", sys.executable, "-c", CLAIM, where, str(now)]
    return subprocess.run([*line, *owners], capture_output=True, text=True, check=True).stdout.split()


def test_on_a_full_disk_everybody_runs_the_event_for_twice_is_better_than_never(tmp_path: Path) -> None:
    where = str(tmp_path / "alive")
    assert _on_a_full_disk(where, "cold a", "server 1", now=time.time()) == ["True", "True"]
    assert list(Path(where).iterdir()) == []


def test_a_disk_that_is_full_since_the_last_event_does_not_cost_the_next_one(tmp_path: Path) -> None:
    where = str(tmp_path / "alive")
    assert claims.claim(where, "e", "cold a")
    later = time.time() + claims.COLD_CLAIM_S + 1
    assert _on_a_full_disk(where, "cold b", now=later) == ["True"]


@given(st.text() | st.integers().map(str) | st.sampled_from(["9" * 20, "-1", "0", " 1 x"]))
def test_every_text_is_a_process_that_runs_or_none(text: str) -> None:
    assert files.is_running(text) in (True, False)


def test_a_process_runs_until_it_is_reaped_and_a_group_is_none() -> None:
    process = subprocess.Popen([sys.executable, "-c", "input()"], stdin=subprocess.PIPE)
    assert files.is_running(str(process.pid))
    process.communicate(b"\n")
    assert not files.is_running(str(process.pid))
    assert not files.is_running("0")
    assert not files.is_running(f"-{os.getpgid(0)}")


def test_whatever_a_mark_holds_it_is_swept_and_so_are_those_after_it(tmp_path: Path) -> None:
    contents = [b"9" * 20, b"\xff\xfe", b"", b"0", b"-1", b"4194999"]
    for number, content in enumerate(contents):
        (tmp_path / f"server-{number}").write_bytes(content)
    claims.mark(str(tmp_path), ("mine",), os.getpid())
    claims.sweep(str(tmp_path))
    assert [path.name for path in tmp_path.iterdir()] == ["server-mine"]


def test_a_text_is_reported_once_a_session_and_forgotten_after_a_week(tmp_path: Path) -> None:
    where = str(tmp_path / "alive")
    assert claims.report_once(where, "s", "text")
    assert not claims.report_once(where, "s", "text")
    assert claims.report_once(where, "another", "text")
    claims.sweep(where)
    assert not claims.report_once(where, "s", "text")
    claims.sweep(where, now=time.time() + claims.KEPT_S["reported"] + 60)
    assert claims.report_once(where, "s", "text")


def test_where_nothing_can_be_kept_a_text_is_reported(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    assert claims.report_once(str(tmp_path / "file"), "s", "text")
