"""A sum of bills tells what is known of it, and that it is not all."""

from __future__ import annotations

from functools import reduce
from operator import add

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.usage import UNREPORTED, Usage

BILL = Usage(10, 5, 0.25)
UNPRICED = Usage(10, 5)


@pytest.mark.parametrize(
    ("parts", "told"),
    [
        pytest.param([BILL, BILL], {"cost_usd": 0.5}, id="all known"),
        pytest.param(
            [BILL, UNPRICED], {"cost_usd": 0.25, "cost_is_at_least": True}, id="one without a price"
        ),
        pytest.param([UNPRICED, UNPRICED], {"cost_usd": None}, id="nothing known"),
        pytest.param([UNPRICED, UNPRICED, BILL], {"cost_usd": 0.25, "cost_is_at_least": True}, id="the last"),
        pytest.param([BILL, UNREPORTED], {"cost_usd": 0.25, "cost_is_at_least": True}, id="one cancelled"),
        pytest.param([BILL, Usage()], {"cost_usd": 0.25}, id="one that used nothing"),
    ],
)
def test_a_cost_known_in_part_is_told_as_the_least(parts: list[Usage], told: dict[str, object]) -> None:
    assert reduce(add, parts).cost_fields() == told


@given(st.lists(st.sampled_from([BILL, UNPRICED, UNREPORTED, Usage()]), min_size=1, max_size=6), st.randoms())
def test_every_order_of_the_same_bills_has_the_same_sum(parts: list[Usage], chance: object) -> None:
    total = reduce(add, parts).cost_fields()
    chance.shuffle(parts)  # type: ignore[attr-defined] # hypothesis' Random
    assert reduce(add, parts).cost_fields() == total
