"""The simulation behind the table of sizes in docs/operations.md, where arithmetic knows the answer."""

from __future__ import annotations

import math
import random

import pytest
from benchmarks import sizing
from benchmarks.sizing import CALLS, HOUR_S, LARGE_S, in_flight, waited


@pytest.mark.parametrize("users", [500, 2_000])
def test_calls_in_flight_are_those_of_little_s_law_and_some_deviations(
    users: int, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(sizing, "SPREAD", 0.0)
    mean = users * CALLS / HOUR_S * sizing.MEMBER_S
    assert mean < in_flight(users, random.Random(1)) < mean + 5 * math.sqrt(mean)


def test_with_workers_enough_a_large_call_takes_as_long_as_it_would_alone() -> None:
    seconds, waiting = waited(100, 1_000, random.Random(1))
    assert seconds < 1
    assert waiting == pytest.approx(sizing.QUESTIONS * (1 - sizing.CACHED), rel=0.01)


def test_fewer_workers_keep_large_calls_waiting_longer() -> None:
    times = [waited(2_000, workers, random.Random(1))[0] for workers in (8, 4, 2)]
    assert times == sorted(times)
    assert times[0] < LARGE_S < times[-1]
