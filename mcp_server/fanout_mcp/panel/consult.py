"""One round of a consultation: members asked at once, their positions counted, the rule applied."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import cache
from typing import Final, NamedTuple

from fanout_mcp.engine.budget import Budget, Estimate, check, estimate
from fanout_mcp.engine.purse import Purse
from fanout_mcp.engine.retry import larger_budget
from fanout_mcp.engine.run import Plan
from fanout_mcp.errors import BudgetExceeded
from fanout_mcp.panel import prompts
from fanout_mcp.panel.answer import SCHEMA, Position
from fanout_mcp.panel.asking import Asking
from fanout_mcp.panel.members import Member
from fanout_mcp.panel.vote import Ballot, Decision, decide
from fanout_mcp.source import tokens
from fanout_mcp.types import Effort, Job, Json, ModelPrice, Outcome, Progress, Prompt

TOKENS_WITHOUT_PRICE = 600_000
"""What holds where no price is known: eight members with the largest attachments."""
MAX_TOKENS = 1_500
"""Of one answer; five reasons of a sentence each take about 300."""


@dataclass(frozen=True, slots=True)
class Terms:
    """What is the same for every call of a consultation."""

    provider: str
    deadline_s: float
    max_cost_usd: float
    prices: Mapping[str | None, ModelPrice | None]
    max_tokens: int = TOKENS_WITHOUT_PRICE
    fallbacks: Mapping[str | None, tuple[str, ...]] = field(default_factory=dict)
    """By model: which ones are asked in its place."""
    thinking: Mapping[str | None, int] = field(default_factory=dict)
    """By model: output tokens that its thinking takes beside the answer."""
    effort: Effort | None = None
    share: float = 1.0
    """Of the tokens for thinking, what the budget has room for."""

    @property
    def budget(self) -> Budget:
        return Budget(self.max_cost_usd, self.max_tokens)

    def price(self, one: Job) -> ModelPrice | None:
        return self.prices.get(one.model)


class Price(NamedTuple):
    """What a consultation may take: every member asked, and once more where its answer can't be read."""

    at_most: Estimate
    purse: Purse
    """Holds it to that: whoever asks once more has to ask it."""


@dataclass(frozen=True, slots=True)
class Ruling:
    """What a panel's answers come to by its rule."""

    decision: Decision
    agreement: float
    positions: Mapping[str, Position]
    """By member's key, those that answered."""
    failed: Mapping[str, str]
    cut: Sequence[str]


def job(member: Member, prompt: Prompt, terms: Terms, key: str | None = None) -> Job:
    model = member.model
    return Job(
        key or member.key,
        prompt,
        model,
        SCHEMA,
        MAX_TOKENS + int(terms.share * terms.thinking.get(model, 0)),
        provider=terms.provider,
        fallbacks=terms.fallbacks.get(model, ()),
        effort=terms.effort,
    )


SHARES: Final = (1.0, 0.5, 0.25, 0.0)


def affordable(terms: Terms, jobs: Callable[[Terms], Sequence[Job]]) -> tuple[Terms, Price]:
    """Return the terms with as many tokens for thinking as the budget has room for, and the price.

    A model that runs out of them is asked once more, as far as the budget goes. Raises BudgetExceeded where
    even the answers alone don't fit.
    """
    for share in SHARES:
        shared = replace(terms, share=share)
        with suppress(BudgetExceeded):
            return shared, priced(jobs(shared), shared)
        if not any(terms.thinking.values()):
            break
    return shared, priced(jobs(shared), shared)


def priced(jobs: Sequence[Job], terms: Terms) -> Price:
    """Say what these jobs may cost, and refuse what is over the budget. Raises BudgetExceeded."""
    count = cache(tokens.at_most)  # of panels whose members all read the same

    def of_prompt(prompt: Prompt) -> int:
        return count(prompt.system) + count(prompt.user)

    def of_repair(prompt: Prompt) -> int:
        return of_prompt(prompt) + repair

    repair = of_prompt(prompts.repair(Prompt("", ""), "words " * prompts.MOST_SHOWN, "why " * 50))
    planned = estimate(jobs, of_prompt, terms.price)
    check(planned, terms.budget)
    members = [replace(one, max_tokens=larger_budget(one.max_tokens)) for one in jobs if one.schema is SCHEMA]
    most = planned + estimate(members, of_repair, terms.price)
    allowed = terms.budget.within(most)
    return Price(
        replace(most, cost_usd=None if most.cost_usd is None else allowed.max_cost_usd),
        Purse(allowed, planned, lambda one: of_prompt(one.prompt), terms.price),
    )


def plan(terms: Terms, progress: Progress, asking: Asking, **more: Json) -> Plan:
    """How a round runs; `more` goes into the engine's Plan."""

    def describe(outcome: Outcome) -> str:
        position = asking.positions.get(outcome.key) if outcome.is_answered else None
        if position is None:
            return f"{outcome.key} {outcome.status}: {outcome.reason}"
        sure = "" if position.confidence is None else f" ({position.confidence} % sure)"
        return f"{outcome.key}: {position.verdict}{sure}"

    options = {"deadline_s": terms.deadline_s, **more}
    return Plan(progress=progress, describe=describe, budget=terms.budget, **options)


def close(outcomes: Sequence[Outcome], asking: Asking, ballot: Ballot) -> Ruling:
    """Apply the rule to what has arrived."""
    positions = {one.key: asking.positions[one.key] for one in outcomes if one.is_answered}
    result = decide(asking.counts(outcomes), ballot)
    cut = [one.key for one in outcomes if one.cause == "decided"]
    failed = {one.key: one.reason for one in outcomes if one.key not in {*positions, *cut}}
    return Ruling(result.decision, result.agreement, positions, failed, cut)
