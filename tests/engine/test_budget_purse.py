"""What a plan may cost at most is what it costs at most: every further call asks first."""

from __future__ import annotations

import anyio
import pytest

from engine.fakes_engine import job
from fanout_mcp.engine.budget import Budget, Estimate, Purse
from fanout_mcp.errors import BackendError, BadAnswer, OverBudget, ServerFault
from fanout_mcp.types import Answer, Ask, Job, ModelPrice
from fanout_mcp.usage import Usage

pytestmark = pytest.mark.both_loops

DEAR = Usage(100, 1_500, 0.16)
"""As much as a job's call may use at a dollar for ten thousand tokens."""
CHEAP = Usage(100, 100, 0.02)


def purse(max_cost_usd: float | None = None, max_tokens: int | None = None, *, priced: bool = True) -> Purse:
    """For one planned call."""
    price = ModelPrice(100.0, 100.0) if priced else None
    planned = Estimate(1, 100, 1_500, 0.16 if priced else None)
    return Purse(Budget(max_cost_usd, max_tokens), planned, lambda _: 100, lambda _: price)


def bills(*said: Usage | BackendError) -> Ask:
    left = list(said)

    async def ask(_: Job) -> Answer:
        now = left.pop(0)
        if isinstance(now, BackendError):
            raise now
        return Answer("x", "m", now)

    return ask


async def test_a_planned_call_is_never_refused_and_another_one_only_where_money_is_short() -> None:
    ask = purse(0.20).leg(bills(DEAR, DEAR))
    await ask(job("a"))
    with pytest.raises(OverBudget, match=r"may cost \$0.16, and \$0.04 of the budget are left"):
        await ask(job("a"))


async def test_what_a_call_did_not_need_is_there_for_the_next() -> None:
    ask = purse(0.20).leg(bills(CHEAP, DEAR))
    await ask(job("a"))
    await ask(job("a"))


async def test_without_a_price_the_tokens_are_what_holds() -> None:
    ask = purse(1.0, 2_000, priced=False).leg(bills(Usage(100, 1_500), DEAR))
    await ask(job("a"))
    with pytest.raises(OverBudget, match="may use 1,600 tokens, and 400 of the budget are left"):
        await ask(job("a"))


async def test_a_provider_that_counts_more_tokens_than_we_do_costs_nobody_a_repair() -> None:
    """Claude Code counts its own frame: thousands of cached tokens a call."""
    ask = purse(1.0, 3_200, priced=False).leg(bills(Usage(20_000, 300), Usage(20_000, 300)))
    await ask(job("a"))
    await ask(job("a"))


async def test_a_failure_without_a_bill_costs_nothing() -> None:
    ask = purse(0.16).leg(bills(ServerFault("500"), DEAR))
    with pytest.raises(ServerFault):
        await ask(job("a"))
    await ask(job("a"))


async def test_a_refused_retry_says_what_went_wrong_before() -> None:
    ask = purse(0.20).leg(bills(BadAnswer("It sent no text.").billed(DEAR)))
    with pytest.raises(BadAnswer):
        await ask(job("a"))
    with pytest.raises(OverBudget, match=r"^It sent no text\. \(not asked again: "):
        await ask(job("a"))


async def test_a_cancelled_call_gives_nothing_back() -> None:
    async def hang(_: Job) -> Answer:
        await anyio.sleep_forever()
        raise AssertionError

    ask = purse(0.20).leg(hang)
    with anyio.move_on_after(0.01):
        await ask(job("a"))
    with pytest.raises(OverBudget):
        await ask(job("a"))


async def test_each_run_has_planned_calls_of_its_own() -> None:
    one = purse(0.16)
    await one.leg(bills(DEAR))(job("a"))
    await one.leg(bills(DEAR))(job("a"))
