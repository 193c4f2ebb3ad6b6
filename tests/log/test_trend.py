"""A trend is named when there is one, and not when there is none."""

from __future__ import annotations

import itertools
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.records import digest_of
from fanout_hooks.log import tally as trend
from fanout_hooks.log.tally import Digest

HOOKS = 21
EVENTS = 200
SIGMA = 0.3


def period(source: random.Random, slowed: str = "", factor: float = 1.2) -> dict[str, Digest]:
    return {
        name: digest_of(
            source.lognormvariate(0.5 + 0.1 * number, SIGMA) * (factor if name == slowed else 1)
            for _ in range(EVENTS)
        )
        for number, name in enumerate(f"hook{n}" for n in range(HOOKS))
    }


def named(source: random.Random, slowed: str = "") -> set[str]:
    judged = trend.compare(period(source), period(source, slowed))
    return {name for name, found in judged.items() if found.direction != "steady"}


@pytest.mark.slow
def test_a_planted_regression_of_a_fifth_is_found_in_at_least_95_of_100_trials() -> None:
    source = random.Random(1)
    assert sum("hook7" in named(source, "hook7") for _ in range(100)) >= 95


@pytest.mark.slow
def test_without_a_change_at_most_5_of_100_reports_name_anything() -> None:
    source = random.Random(2)
    assert sum(bool(named(source)) for _ in range(100)) <= 5


def test_the_direction_and_size_of_a_change_are_told() -> None:
    source = random.Random(3)
    found = trend.compare(period(source), period(source, "hook7"))["hook7"]
    assert found.direction == "slower"
    assert found.change == pytest.approx(0.2, abs=0.08)
    found = trend.compare(period(source, "hook7"), period(source))["hook7"]
    assert found.direction == "faster"


def test_too_few_events_or_a_new_hook_are_unknown() -> None:
    few, many = digest_of([1.0] * 5), digest_of([2.0] * 50)
    assert trend.compare({"a": few}, {"a": many, "b": many}) == {"a": trend.UNKNOWN, "b": trend.UNKNOWN}


def test_a_change_nobody_would_feel_is_steady() -> None:
    before, now = digest_of([1.0, 1.02] * 5000), digest_of([1.02, 1.04] * 5000)
    assert trend.compare({"a": before}, {"a": now})["a"].direction == "steady"


def test_the_rank_test_agrees_with_a_known_example() -> None:
    one, two = digest_of([1, 2, 3, 4, 5, 6, 7, 8, 9, 10]), digest_of([11, 12, 13, 14, 15, 16, 17, 18, 19, 20])
    assert trend.rank_test(one, two) == pytest.approx(
        0.000183, rel=0.02
    )  # scipy.stats.mannwhitneyu, asymptotic
    assert trend.rank_test(one, one) == pytest.approx(1.0)


@given(st.dictionaries(st.text(max_size=3), st.floats(0, 1), max_size=8))
def test_corrected_p_values_are_never_smaller_and_keep_their_order(raw: dict[str, float]) -> None:
    corrected = trend.holm(raw)
    assert corrected.keys() == raw.keys()
    assert all(raw[name] <= corrected[name] <= 1 for name in raw)
    order = sorted(raw, key=raw.__getitem__)
    assert all(corrected[a] <= corrected[b] for a, b in itertools.pairwise(order))


def test_a_limit_is_exceeded_only_beyond_the_noise() -> None:
    source = random.Random(4)
    fast = digest_of(source.lognormvariate(0, 0.3) for _ in range(300))
    assert trend.exceeds(fast, 2.0, 0.95) > 0.05
    slow = digest_of(source.lognormvariate(0.8, 0.3) for _ in range(300))
    assert trend.exceeds(slow, 2.0, 0.95) < 1e-6
    assert trend.exceeds(digest_of([3.0]), 2.0, 0.5) > 0.05, "one event proves nothing"
