"""`make cluster` and the soak in their small forms: kills and faults in mid-batch, and nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from benchmarks import soak
from benchmarks._cluster import MISSING, play

pytestmark = [pytest.mark.slow, pytest.mark.skipif(bool(MISSING), reason=MISSING)]

ROOT = Path(__file__).parents[2]
SOME = 200


def test_a_batch_is_answered_by_the_other_replica_and_the_other_worker() -> None:
    figures = play(SOME)
    assert figures.is_met, str(figures)
    assert figures.made == 2


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_everything_is_stopped_when_it_is_interrupted(number: int) -> None:
    words = [sys.executable, "-m", "benchmarks._cluster"]
    with subprocess.Popen(
        words, cwd=ROOT, stderr=subprocess.PIPE, text=True, start_new_session=True
    ) as process:
        assert process.stderr is not None
        assert "a worker is killed" in process.stderr.readline()
        process.send_signal(number)
        process.stderr.read()  # ends with the last process that could write there
        assert process.wait(60) != 0
    with pytest.raises(ProcessLookupError):  # each of them was in its group
        os.killpg(process.pid, 0)


def test_a_provider_that_does_everything_wrong_loses_no_call_and_leaves_nothing_behind(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    # In so short a time pools and memory still fill.
    for name, value in {
        "MINUTES": 0.4,
        "REST_S": 0.0,
        "FILES": 40,
        "MORE_DESCRIPTORS": 50,
        "MORE_KB": 32_000,
    }.items():
        monkeypatch.setattr(soak, name, value)
    rows = list(soak.run())
    assert len(rows) == 10
    assert [row for row in rows if row.met is False] == []
