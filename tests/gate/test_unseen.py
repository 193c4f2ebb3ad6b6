"""The pairs that were held out: nothing legitimate is sent back, and most of what was needless is."""

from __future__ import annotations

import pytest

from gate.test_scenarios import MIN_CAUGHT
from gate.unseen import (
    Unseen,
    after_fit,
    blind,
    fresh,
    hard,
    held_out,
    of_doubts,
    of_one_verb,
    of_three,
    of_three_more,
    second_of,
    unseen,
)

EVERY = unseen()
NOT_READ = "its language is not read"
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


def test_most_of_what_could_have_gone_together_is_sent_back() -> None:
    """In English: no other language is read."""
    read = [verdict for pair in NEEDLESS if (verdict := second_of(pair)).note.get("why") != NOT_READ]
    assert sum(verdict.kind == "deny" for verdict in read) >= MIN_CAUGHT * len(read)


@pytest.mark.parametrize(
    "pair",
    [
        own
        for own in (*fresh(), *of_three(), *of_three_more(), *held_out(), *blind(), *after_fit(), *hard())
        if not own.needless
    ],
    ids=_id,
)
def test_what_had_to_wait_passes_in_every_author_s_pairs(pair: Unseen) -> None:
    assert second_of(pair).kind == "pass"


@pytest.mark.parametrize(
    ("pairs", "least"),
    [
        pytest.param(fresh(), 28, id="fresh"),
        pytest.param(of_three(), 46, id="three"),
        pytest.param(of_three_more(), 44, id="three more"),
        pytest.param(held_out(), 44, id="held out"),
        pytest.param(blind(), 40, id="blind"),
        pytest.param(after_fit(), 36, id="after the fit"),
        pytest.param(hard(), 13, id="hard"),
        pytest.param(of_doubts(), 33, id="doubts"),
    ],
)
def test_most_needless_pairs_that_are_worded_freely_are_sent_back(pairs: list[Unseen], least: int) -> None:
    verdicts = [second_of(pair).kind for pair in pairs if pair.needless]
    assert verdicts.count("deny") >= least


def test_hardly_any_pair_that_was_written_to_be_denied_is() -> None:
    odd = [pair for pair in (*of_doubts(), *of_one_verb()) if not pair.needless]
    denied = [_id(pair) for pair in odd if second_of(pair).kind == "deny"]
    assert len(denied) <= 2, denied
