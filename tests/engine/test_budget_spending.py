"""Every call counts in what a run has spent, and a used-up budget starts nothing more."""

from __future__ import annotations

import anyio

from engine.fakes_engine import Upstream, job, jobs, perform, plan, two_agree
from fakes.virtual import virtually
from fanout_mcp.engine.budget import Budget
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan, run
from fanout_mcp.errors import (
    BackendError,
    BadAnswer,
    UnreadableAnswer,
)
from fanout_mcp.types import Answer, Ask, Job, Outcome
from fanout_mcp.usage import UNREPORTED, Usage


def test_a_used_up_budget_starts_no_further_call_and_says_so() -> None:
    async def ask(asked: Job) -> Answer:
        await anyio.sleep(1)
        return Answer("x", "m", Usage(10, 10, 0.4))

    async def main() -> list[Outcome]:
        return await run(jobs(6), ask, plan(budget=Budget(max_cost_usd=1.0)), Limits(1))

    outcomes = virtually(main)
    assert [outcome.status for outcome in outcomes] == ["answered"] * 3 + ["cut"] * 3
    assert "budget of $1 is used up" in outcomes[5].reason
    assert outcomes[5].cause == "budget"


def bills(*answers: Answer | BackendError) -> Ask:
    """Answers, or fails, in this order; the last one for ever."""
    left = list(answers)

    async def ask(_: Job) -> Answer:
        await anyio.sleep(1)
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, BackendError):
            raise type(said)(str(said)).billed(said.usage)
        return said

    return ask


def settle(ask: Ask, count: int, how: Plan, cap: int = 1) -> list[Outcome]:
    return virtually(lambda: run(jobs(count), ask, how, Limits(cap)))


HALF = Usage(10, 10, 0.5)


def test_answers_that_are_of_no_use_are_paid_for_all_the_same() -> None:
    useless = UnreadableAnswer("no JSON in it").billed(HALF)
    outcomes = settle(bills(useless), 60, plan(budget=Budget(max_cost_usd=1.0)))
    assert [outcome.status for outcome in outcomes] == ["failed"] * 2 + ["cut"] * 58
    assert sum((outcome.usage for outcome in outcomes), Usage()).cost_usd == 1.0


def test_an_answer_without_a_price_does_not_switch_the_budget_off() -> None:
    free = Answer("x", "m", Usage(10, 10))
    outcomes = settle(bills(free, Answer("x", "m", HALF)), 60, plan(budget=Budget(max_cost_usd=1.0)))
    assert [outcome.status for outcome in outcomes] == ["answered"] * 3 + ["cut"] * 57
    used = sum((outcome.usage for outcome in outcomes), Usage())
    assert (used.cost_usd, used.is_partial) == (1.0, True)


def test_a_failed_try_is_part_of_what_its_job_consumed() -> None:
    (outcome,) = settle(bills(BadAnswer("empty").billed(HALF), Answer("x", "m", HALF)), 1, plan())
    assert (outcome.calls, outcome.usage) == (2, Usage(20, 20, 1.0))


def test_a_used_up_budget_pays_for_no_second_try() -> None:
    (outcome,) = settle(bills(BadAnswer("empty").billed(HALF)), 1, plan(budget=Budget(max_cost_usd=0.5)))
    assert (outcome.calls, outcome.status) == (1, "failed")
    assert outcome.reason == "empty (not tried again: the budget of $0.5 is used up)"


def test_of_a_cancelled_call_nobody_knows_the_bill() -> None:
    upstream = Upstream(a=[(1.0, "yes")], b=[(1.0, "yes")], c=[(6.0, "no")])
    outcomes, _ = perform(upstream, [job("a"), job("b"), job("c")], plan(stop=two_agree))
    assert outcomes[2].usage == UNREPORTED
    assert (UNREPORTED + HALF).fields()["cost_is_at_least"]
