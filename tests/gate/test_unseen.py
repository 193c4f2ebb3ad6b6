"""The pairs that were held out: nothing legitimate is sent back, and all that was needless is."""

from __future__ import annotations

import pytest

from gate.unseen import Unseen, second_of, unseen

EVERY = unseen()
NEEDLESS = [pair for pair in EVERY if pair.needless]
LEGITIMATE = [pair for pair in EVERY if not pair.needless]


def _id(pair: Unseen) -> str:
    return f"{pair.name} -> {pair.then}"


def test_there_are_more_than_a_hundred_and_half_of_them_are_legitimate() -> None:
    assert len(EVERY) > 100
    assert len(LEGITIMATE) * 2 >= len(EVERY)
    assert len({_id(pair) for pair in EVERY}) == len(EVERY)


@pytest.mark.parametrize("pair", LEGITIMATE, ids=_id)
def test_what_had_to_wait_passes(pair: Unseen) -> None:
    assert second_of(pair).kind == "pass"


@pytest.mark.parametrize("pair", NEEDLESS, ids=_id)
def test_what_could_have_gone_together_is_sent_back(pair: Unseen) -> None:
    assert second_of(pair).kind == "deny"
