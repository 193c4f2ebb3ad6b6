"""A swarm: many agents on one task, each through its lens; when enough have answered, and the result."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Final

from fanout_mcp.clean import quoted
from fanout_mcp.engine.budget import Budget, check, estimate
from fanout_mcp.engine.purse import Purse
from fanout_mcp.errors import UnreadableAnswer
from fanout_mcp.panel import ideas
from fanout_mcp.panel.alike import Group, merge
from fanout_mcp.panel.ideas import Idea
from fanout_mcp.panel.lenses import Chosen
from fanout_mcp.panel.shown import clip
from fanout_mcp.source import tokens
from fanout_mcp.types import Answer, Ask, Job, Json, ModelPrice, Outcome, Prompt

MAX_TOKENS: Final = 1_200
"""Of one agent's answer: five ideas of four sentences."""
MOST_TOKENS: Final = 2_000_000
"""What holds where no price is known: two hundred agents on a task of some 8,000 tokens."""
ENOUGH: Final = 0.9
"""Once so many have answered, the others get a grace: in a hundred calls there is always a slow one."""

MOST_SHOWN: Final = 25
MOST_DETAILED: Final = 10
MOST_NAMES: Final = 5
TITLE: Final = 160
DETAIL: Final = 240


@dataclass(frozen=True, slots=True)
class Swarm:
    """What a swarm came to."""

    chosen: Chosen
    groups: Sequence[Group]
    said: int
    """Ideas before near-duplicates were merged."""
    failed: Mapping[str, str]
    cut: Sequence[str]


def jobs(task: str, chosen: Chosen, model: str | None, provider: str) -> list[Job]:
    """One job a lens."""
    return [
        Job(
            lens.name,
            ideas.prompt(task, chosen, lens),
            model,
            ideas.SCHEMA,
            MAX_TOKENS,
            provider=provider,
        )
        for lens in chosen.lenses
    ]


def priced(todo: Sequence[Job], price: ModelPrice | None, max_cost_usd: float) -> Purse:
    """Return the purse of these jobs. Raises BudgetExceeded when they may cost more than the budget."""
    allowed = Budget(max_cost_usd, MOST_TOKENS)
    same = cache(tokens.at_most)  # of two hundred prompts with one system prompt it is counted once

    def count(prompt: Prompt) -> int:
        return same(prompt.system) + same(prompt.user)

    planned = estimate(todo, count, lambda _: price)
    check(planned, allowed)
    return Purse(allowed, planned, lambda one: count(one.prompt), lambda _: price)


class Enough:
    """The stop rule of a swarm of `count` agents."""

    def __init__(self, count: int) -> None:
        self._wanted = max(1, int(ENOUGH * count))

    def __call__(self, outcomes: Sequence[Outcome], outstanding: Collection[str]) -> str:  # noqa: ARG002 - the seam's
        answered = sum(outcome.is_answered for outcome in outcomes)
        return f"{answered} agents had answered" if answered >= self._wanted else ""


class Reading:
    """The `ask` of a swarm: reads each answer as it comes."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self.ideas: dict[str, list[Idea]] = {}

    async def __call__(self, job: Job, /) -> Answer:
        answer = await self._ask(job)
        read = ideas.read(job.key, answer)
        if read is None:
            raise UnreadableAnswer("its answer could not be read").billed(answer.usage)
        self.ideas[job.key] = read
        return answer


def gather(chosen: Chosen, outcomes: Sequence[Outcome], said: Mapping[str, Sequence[Idea]]) -> Swarm:
    """Merge what is alike of what was said, by job."""
    found = [idea for one in outcomes if one.is_answered for idea in said[one.key]]
    failed = {one.key: one.reason for one in outcomes if one.status == "failed"}
    cut = [one.key for one in outcomes if one.status == "cut"]
    return Swarm(chosen, merge(found), len(found), failed, cut)


def short(swarm: Swarm) -> dict[str, Json]:
    """The result as the model reads it: ranked and bounded, the rest is in the report."""
    more = len(swarm.groups) - MOST_SHOWN
    return {
        "lenses": swarm.chosen.kind,
        "agents": len(swarm.chosen.lenses),
        "answers": [_answer(group, place) for place, group in enumerate(swarm.groups[:MOST_SHOWN])],
        **({"more": f"{more} more in the report"} if more > 0 else {}),
        "merged": swarm.said - len(swarm.groups),
        "failed": _reasons(swarm.failed),
        "cut": len(swarm.cut),
    }


def report(task: str, swarm: Swarm) -> str:
    """Every idea, who had it, and in which words the others said it."""
    parts = [
        f"# {len(swarm.groups)} answers of {len(swarm.chosen.lenses)} agents",
        f"{swarm.said} ideas, {swarm.said - len(swarm.groups)} merged as near-duplicates.",
        f"## Task\n\n{quoted(task)}",
    ]
    for place, group in enumerate(swarm.groups, 1):
        lines = [
            f"## {place}. {group.first.title}",
            group.first.detail,
            f"Said by {', '.join(group.agents)}.",
        ]
        others = [f"- {one.agent}: {one.title} {one.detail}".rstrip() for one in group.ideas[1:]]
        parts += [*filter(None, lines), *(["\n".join(others)] if others else [])]
    silent = [f"- {name}: {why}" for name, why in swarm.failed.items()]
    silent += [f"- {name}: cut, enough had answered" for name in swarm.cut]
    return "\n\n".join([*parts, *(["## No answer\n\n" + "\n".join(silent)] if silent else [])]) + "\n"


def _answer(group: Group, place: int) -> dict[str, Json]:
    names, first = group.agents, group.first
    shown = names[:MOST_NAMES] + ([f"+{len(names) - MOST_NAMES}"] if len(names) > MOST_NAMES else [])
    detail = {"detail": clip(first.detail, DETAIL)} if first.detail and place < MOST_DETAILED else {}
    return {"title": clip(first.title, TITLE), **detail, "said_by": [clip(name, 40) for name in shown]}


def _reasons(failed: Mapping[str, str]) -> list[dict[str, Json]]:
    """Each reason once, with how many failed for it."""
    often: dict[str, int] = {}
    for why in failed.values():
        often[clip(why, TITLE)] = often.get(clip(why, TITLE), 0) + 1
    return [{"agents": times, "reason": why} for why, times in list(often.items())[:MOST_NAMES]]
