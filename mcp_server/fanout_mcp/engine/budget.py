"""What a run may cost: checked before the first call, and watched while it runs.

An unknown price is never 0: where no price is known, the token budget is what holds.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, replace
from typing import Final, NamedTuple

from fanout_mcp.errors import BackendError, BudgetExceeded, OverBudget
from fanout_mcp.types import Answer, Ask, Job, Json, ModelPrice, Prompt
from fanout_mcp.usage import Usage


def dollars(usd: float) -> str:
    """A sum in plain figures, however small: `$0.00001`, never `$1e-05`."""
    places = 4 if usd >= 0.01 else 10
    return "$" + f"{usd:.{places}f}".rstrip("0").rstrip(".")


def cost(spent: Mapping[str, Json]) -> str:
    """The money of a receipt in words; an unknown price is `unknown`, never 0."""
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
        costs = [cost for cost in (self.max_cost_usd, expected.cost_usd) if cost is not None]
        counts = [count for count in (self.max_tokens, expected.tokens) if count is not None]
        return Budget(min(costs, default=None), min(counts, default=None))

    def spent(self, usage: Usage) -> str:
        """Return what is used up, "" while there is some left. Of a cost known in part, that part counts."""
        most, spent = self.max_cost_usd, usage.cost_usd
        if most is not None and spent is not None and spent >= most:
            return f"the budget of {dollars(most)} is used up"
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
    total = Estimate(0, 0, 0, 0.0)
    for job in jobs:
        given, known = count(job.prompt), price(job)
        cost = None if known is None else known.of(given, job.max_tokens)
        total += Estimate(1, given, job.max_tokens, cost)
    return total


def check(expected: Estimate, allowed: Budget) -> None:
    """Raise BudgetExceeded when the plan may cost more than its budget; nothing has been started then."""
    these = "This call" if expected.calls == 1 else f"These {expected.calls} calls"
    most, cost = allowed.max_cost_usd, expected.cost_usd
    if most is not None and cost is not None and cost > most:
        raise BudgetExceeded(
            f"{these} may cost up to {dollars(cost)}, the budget is {dollars(most)}. Nothing was started: "
            "raise max_cost_usd or ask for less."
        )
    if allowed.max_tokens is not None and expected.tokens > allowed.max_tokens:
        raise BudgetExceeded(
            f"{these} may use up to {expected.tokens:,} tokens, the budget is {allowed.max_tokens:,}. "
            "Nothing was started: ask for less."
        )


# --- purse --------------------------------------------------------------------------------------------------
# Money and tokens set aside before each call, so that what a plan may cost at most is what it costs at
# most.
# Rules:
# 1. The first call of each job is planned: its price was in the plan that was checked, so it is never
#    refused.
# 2. Every other call of a job (a retry, a hedge's twin, a repair) asks first, and is refused where what is
#    left might not do.
# 3. What a call did not need of what was set aside for it goes back once its bill has come. The bill of a
#    cancelled call never comes, so nothing goes back.
# 4. Money spent beyond what was set aside is gone for all; tokens are not, since providers count their own
#    frame around a question, which no other call can save.

WORTH: Final = 1.5
"""A second try with less than so many times the first output budget would end as the first did."""


class _Amount(NamedTuple):
    usd: float
    """0 where the price is unknown: then the tokens are what holds."""
    tokens: int


class Purse:
    """What one plan may still spend beyond its planned calls."""

    def __init__(
        self,
        allowed: Budget,
        planned: Estimate,
        count: Callable[[Prompt], int],
        price: Callable[[Job], ModelPrice | None],
    ) -> None:
        """`count`: the most tokens that a prompt may have."""
        self.allowed = allowed
        self._count, self._price = count, price
        most_usd, most_tokens = allowed.max_cost_usd, allowed.max_tokens
        self._usd = float("inf") if most_usd is None else most_usd - (planned.cost_usd or 0)
        self._tokens = float("inf") if most_tokens is None else most_tokens - planned.tokens

    def leg(self, ask: Ask) -> Ask:
        """Return the way to the models for one run, whose jobs have keys of their own."""
        planned: dict[str, int] = {}
        """Of each job that has begun, the output budget of its first call."""
        failed: dict[str, str] = {}

        async def asked(job: Job, /) -> Answer:
            job = self._affordable(job, planned.get(job.key, job.max_tokens))
            aside = self._amount(job)
            if job.key in planned:
                self._take(aside, failed.get(job.key, ""))
            planned.setdefault(job.key, job.max_tokens)
            try:
                answer = await ask(job)
            except BackendError as error:
                failed[job.key] = str(error)
                self._give_back(aside, error.usage)
                raise
            self._give_back(aside, answer.usage)
            return answer

        return asked

    def _affordable(self, job: Job, first: int) -> Job:
        """Lower an output budget that was raised after the first call to what is left, if that is more."""
        if job.max_tokens <= first:
            return job
        given, price = self._count(job.prompt), self._price(job)
        most = max(0.0, self._tokens - given)
        if price is not None and price.usd_per_mtok_out > 0:
            left = max(0.0, self._usd) - price.of(given, 0)
            most = min(most, left * 1e6 / price.usd_per_mtok_out)
        is_worth_it = WORTH * first <= most < job.max_tokens
        return replace(job, max_tokens=int(most)) if is_worth_it else job

    def _amount(self, job: Job) -> _Amount:
        given, price = self._count(job.prompt), self._price(job)
        usd = 0.0 if price is None else price.of(given, job.max_tokens)
        return _Amount(usd, given + job.max_tokens)

    def _take(self, wanted: _Amount, before: str) -> None:
        usd, tokens = max(0.0, self._usd), max(0, self._tokens)
        if wanted.usd > usd:
            why = f"it may cost {dollars(wanted.usd)}, and {dollars(usd)} of the budget are left"
        elif wanted.tokens > tokens:
            why = f"it may use {wanted.tokens:,} tokens, and {tokens:,} of the budget are left"
        else:
            self._usd, self._tokens = self._usd - wanted.usd, self._tokens - wanted.tokens
            return
        raise OverBudget(f"{before} (not asked again: {why})" if before else f"not asked again: {why}")

    def _give_back(self, aside: _Amount, used: Usage) -> None:
        is_unpriced = used.cost_usd is None and used != Usage()
        self._usd += aside.usd - (aside.usd if is_unpriced else used.cost_usd or 0.0)
        self._tokens += max(0, aside.tokens - used.total_tokens)
