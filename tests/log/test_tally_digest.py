"""A digest answers for the durations that went into it, within 1 %, however it was put together."""

from __future__ import annotations

import json
import math
import random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.records import digest_of
from fanout_hooks.log import tally

DURATIONS = st.lists(st.floats(0.001, 1e6), min_size=1, max_size=200)


@given(DURATIONS, st.sampled_from([0.0, 0.25, 0.5, 0.95, 0.99, 1.0]))
def test_every_quantile_is_within_one_per_cent_of_an_exact_one(values: list[float], share: float) -> None:
    exact = sorted(values)[max(0, math.ceil(share * len(values)) - 1)]
    assert digest_of(values).quantile(share) == pytest.approx(exact, rel=0.0101)


@given(DURATIONS, DURATIONS)
def test_merged_digests_equal_the_digest_of_all(one: list[float], two: list[float]) -> None:
    merged = digest_of(one)
    merged.merge(digest_of(two))
    whole = digest_of(one + two)
    assert merged.buckets == whole.buckets
    assert (merged.count, merged.least, merged.greatest) == (whole.count, whole.least, whole.greatest)
    assert merged.mean == pytest.approx(whole.mean)


@given(DURATIONS)
def test_a_digest_comes_back_from_json_as_it_was(values: list[float]) -> None:
    before = digest_of(values)
    after = tally.Digest.from_json(json.loads(json.dumps(before.to_json())))
    assert after.buckets == before.buckets
    assert after.quantile(0.95) == before.quantile(0.95)


@pytest.mark.parametrize(
    ("values", "median", "p95", "p99"),
    [
        ([6.0, 9.0], 6.0, 9.0, 9.0),
        ([1.0] * 9 + [500.0], 1.0, 500.0, 500.0),
        ([1.0] * 99 + [500.0], 1.0, 1.0, 1.0),
    ],
    ids=["two", "a stall among ten", "one of a hundred"],
)
def test_the_high_percentiles_of_few_durations_are_the_greatest(
    values: list[float], median: float, p95: float, p99: float
) -> None:
    got = digest_of(values)
    assert [got.quantile(share) for share in (0.5, 0.95, 0.99)] == pytest.approx([median, p95, p99], rel=0.01)


def test_a_million_log_normal_values_keep_their_percentiles() -> None:
    source = random.Random(7)
    values = sorted(source.lognormvariate(1, 0.6) for _ in range(100_000))
    got = digest_of(values)
    for share in (0.5, 0.95, 0.99):
        assert got.quantile(share) == pytest.approx(values[int(share * (len(values) - 1))], rel=0.01)


@pytest.mark.parametrize("nonsense", [math.nan, math.inf, -1.0])
def test_what_is_no_duration_is_not_counted(nonsense: float) -> None:
    assert digest_of([nonsense, 1.0]).count == 1


def test_nothing_counted_has_no_quantile_and_no_mean() -> None:
    empty = tally.Digest.from_json(tally.Digest().to_json())
    assert (empty.quantile(0.5), empty.mean, empty.count) == (0.0, 0.0, 0)


@pytest.mark.parametrize(
    "data", [{"n": 2, "total": 1, "least": 1, "greatest": 1, "b": {"0": 1}}, {"b": {}}, {"b": 3}]
)
def test_a_damaged_digest_is_refused(data: dict[str, object]) -> None:
    with pytest.raises((ValueError, KeyError, TypeError, AttributeError)):
        tally.Digest.from_json(data)
