"""A plan that costs more than its budget is refused before the first call."""

from __future__ import annotations

import pytest

from engine.fakes_engine import jobs
from fanout_mcp.engine.budget import Budget, Estimate, check, estimate
from fanout_mcp.errors import BudgetExceeded
from fanout_mcp.types import ModelPrice

PRICE = ModelPrice(3.0, 15.0)


def test_an_estimate_counts_prompts_as_they_are_and_answers_at_their_limit() -> None:
    got = estimate(jobs(2), lambda prompt: 1000, lambda job: PRICE)
    assert (got.calls, got.tokens_in, got.tokens_out) == (2, 2000, 3000)
    assert got.cost_usd == pytest.approx(2 * (0.003 + 0.0225))


def test_one_unknown_price_makes_the_cost_unknown_and_never_zero() -> None:
    got = estimate(jobs(2), lambda prompt: 1000, lambda job: PRICE if job.key == "0" else None)
    assert got.cost_usd is None


def test_too_dear_a_plan_is_refused_with_both_figures() -> None:
    with pytest.raises(BudgetExceeded, match=r"\$0\.051,.*\$0\.01\."):
        check(Estimate(2, 2000, 3000, 0.051), Budget(max_cost_usd=0.01))
    check(Estimate(2, 2000, 3000, 0.051), Budget(max_cost_usd=0.06))


def test_without_a_price_the_token_budget_holds() -> None:
    with pytest.raises(BudgetExceeded, match="5,000 tokens"):
        check(Estimate(2, 2000, 3000, None), Budget(max_cost_usd=0.01, max_tokens=4000))


def test_a_budget_too_small_for_one_call_is_told_in_plain_figures() -> None:
    with pytest.raises(BudgetExceeded, match=r"^This call may .* the budget is \$0\.00001\. "):
        check(Estimate(1, 2000, 3000, 0.051), Budget(max_cost_usd=0.00001))
