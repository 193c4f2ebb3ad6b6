"""What a run may cost: checked before the first call, and watched while it runs.

An unknown price is never 0: where no price is known, the token budget is what holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fanout_mcp.errors import BudgetExceeded
from fanout_mcp.types import Job, Json, ModelPrice, Prompt
from fanout_mcp.usage import Usage


def dollars(usd: float) -> str:
    """A sum in plain figures, however small: `$0.00001`, never `$1e-05`."""
    places = 4 if usd >= 0.01 else 10
    return "$" + f"{usd:.{places}f}".rstrip("0").rstrip(".")


def cost(spent: Mapping[str, Json]) -> str:
    """The money of a receipt in words; what nobody told the price of is said, never 0."""
    usd = spent["cost_usd"]
    if not isinstance(usd, int | float):
        return "unknown"
    return f"at least {dollars(usd)}" if spent.get("cost_is_at_least") else dollars(usd)


@dataclass(frozen=True, slots=True)
class Budget:
    """Bounds of one run; None: unbounded."""

    max_cost_usd: float | None = None
    max_tokens: int | None = None

    def within(self, expected: Estimate) -> Budget:
        """The tighter of both bounds."""
        costs = [cost for cost in (self.max_cost_usd, expected.cost_usd) if cost is not None]
        counts = [count for count in (self.max_tokens, expected.tokens) if count is not None]
        return Budget(min(costs, default=None), min(counts, default=None))

    def spent(self, usage: Usage) -> str:
        """Return what is used up, "" while there is some left. Of a cost known in part, that part counts."""
        if (
            self.max_cost_usd is not None
            and usage.cost_usd is not None
            and usage.cost_usd >= self.max_cost_usd
        ):
            return f"the budget of {dollars(self.max_cost_usd)} is used up"
        if self.max_tokens is not None and usage.total_tokens >= self.max_tokens:
            return f"the budget of {self.max_tokens:,} tokens is used up"
        return ""


@dataclass(frozen=True, slots=True)
class Estimate:
    """What calls may cost at most: prompts as counted, answers at their limit."""

    calls: int
    tokens_in: int
    tokens_out: int
    cost_usd: float | None
    """None when the price of any model is unknown."""

    @property
    def tokens(self) -> int:
        return self.tokens_in + self.tokens_out

    def __add__(self, other: Estimate) -> Estimate:
        is_known = self.cost_usd is not None and other.cost_usd is not None
        return Estimate(
            self.calls + other.calls,
            self.tokens_in + other.tokens_in,
            self.tokens_out + other.tokens_out,
            (self.cost_usd or 0) + (other.cost_usd or 0) if is_known else None,
        )


def estimate(
    jobs: Iterable[Job], count: Callable[[Prompt], int], price: Callable[[Job], ModelPrice | None]
) -> Estimate:
    """Add up jobs before any of them is started."""
    calls = tokens_in = tokens_out = 0
    cost: float | None = 0.0
    for job in jobs:
        calls += 1
        given = count(job.prompt)
        tokens_in, tokens_out = tokens_in + given, tokens_out + job.max_tokens
        known = price(job)
        if known is None or cost is None:
            cost = None
        else:
            cost += known.of(given, job.max_tokens)
    return Estimate(calls, tokens_in, tokens_out, cost)


def _these(calls: int) -> str:
    return "This call" if calls == 1 else f"These {calls} calls"


def check(expected: Estimate, allowed: Budget) -> None:
    """Raise BudgetExceeded when the plan may cost more than its budget; nothing has been started then."""
    if (
        allowed.max_cost_usd is not None
        and expected.cost_usd is not None
        and expected.cost_usd > allowed.max_cost_usd
    ):
        raise BudgetExceeded(
            f"{_these(expected.calls)} may cost up to {dollars(expected.cost_usd)}, the budget is "
            f"{dollars(allowed.max_cost_usd)}. Nothing was started: raise max_cost_usd or ask for less."
        )
    if allowed.max_tokens is not None and expected.tokens > allowed.max_tokens:
        raise BudgetExceeded(
            f"{_these(expected.calls)} may use up to {expected.tokens:,} tokens, the budget is "
            f"{allowed.max_tokens:,}. "
            "Nothing was started: ask for less."
        )
