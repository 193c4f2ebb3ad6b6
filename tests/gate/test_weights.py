"""The weights reach pairs that they were not fitted to, and are those that the pairs give."""

from __future__ import annotations

import pytest
from benchmarks._gate_weights import ONE_HAND, common, every, fit, left_out

from fanout_hooks.gate import weights
from gate.test_scenarios import MIN_CAUGHT

pytestmark = pytest.mark.slow


def test_the_weights_are_those_that_the_pairs_give() -> None:
    asked = every()
    assert set(common(asked)) == weights.COMMON, "run python -m benchmarks._gate_weights"
    assert fit(asked) == weights.WEIGHTS, "run python -m benchmarks._gate_weights"


def test_an_author_who_is_left_out_is_denied_nothing_legitimate_and_most_that_is_needless() -> None:
    found = [own for author, own in left_out().items() if author not in ONE_HAND]
    needless, sent_back, _, denied = map(sum, zip(*found, strict=True))
    assert len(found) >= 10
    assert denied == 0
    assert sent_back >= MIN_CAUGHT * needless
