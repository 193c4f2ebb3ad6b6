"""What asking about sources may cost at most: checked before the first call, whatever is known already."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated, Final, NamedTuple

from pydantic import Field

from fanout_mcp.backends.base import Backend
from fanout_mcp.engine.budget import Budget, Estimate, check
from fanout_mcp.source.tokens import MARGIN

MOST_TOKENS: Final = 5_000_000
"""Holds where no price is known."""

FRAME_TOKENS: Final = 1_500
"""A prompt's rules and its list of symbols, beside the sources themselves."""

MaxCost = Annotated[float, Field(ge=0)]
"""Dollars that a call may cost."""


class Wanted(NamedTuple):
    """Calls of one model, the tokens of source that go into all of them, and the most that each answers."""

    model: str | None
    calls: int
    tokens: int
    answer_tokens: int


async def check_price(backend: Backend, wanted: Sequence[Wanted], budget: Budget) -> None:
    """Raise BudgetExceeded when what is wanted may cost more than the budget."""
    expected = Estimate(0, 0, 0, 0.0)
    for one in wanted:
        given = int(one.tokens * MARGIN) + one.calls * FRAME_TOKENS
        said = one.calls * one.answer_tokens
        price = await backend.price(one.model)
        expected += Estimate(one.calls, given, said, price.of(given, said) if price else None)
    check(expected, budget)
