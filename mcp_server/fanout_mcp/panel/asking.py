"""Asking a member: one call, one repair where the answer can't be read, then it is lost."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import replace

from fanout_mcp.engine.retry import ONCE, larger_budget, rule_for
from fanout_mcp.errors import BackendError, UnreadableAnswer
from fanout_mcp.panel.answer import Position, Unreadable, parse
from fanout_mcp.panel.prompts import repair
from fanout_mcp.panel.vote import Ballot, is_decided
from fanout_mcp.types import Answer, Ask, Job, Outcome
from fanout_mcp.usage import Usage

DECIDED = "the vote was decided without it"


class Asking:
    """The `ask` of one round: reads each answer, and repairs it once."""

    def __init__(self, ask: Ask) -> None:
        self._ask = ask
        self._began: dict[str, str | None] = {}
        """The model that each member was asked with first."""
        self._failed: dict[str, str] = {}
        self._unread: dict[tuple[str, str | None], tuple[Answer, Unreadable]] = {}
        """By member and model: an answer that could not be read, to be asked for again."""
        self.positions: dict[str, Position] = {}
        self.answers: dict[str, str] = {}
        """What each member wrote, word for word, readable or not."""

    async def __call__(self, job: Job, /) -> Answer:
        own = self._began.setdefault(job.key, job.model)
        place, usage = (job.key, job.model), Usage()
        if place not in self._unread:
            answer, read = await self._once(job)
            usage = answer.usage
            if isinstance(read, Unreadable):
                self._unread[place] = answer, read
        if place in self._unread:
            answer, read = await self._again(job, *self._unread[place], usage)
        if isinstance(read, Unreadable):
            lost = UnreadableAnswer(f"the answer could not be read, also when asked again: {read.why}")
            raise lost.billed(answer.usage)
        if job.model != own:
            read = replace(read, model=job.model or "", instead=self._failed.get(job.key, ""))
        self.positions[job.key] = read
        return answer

    async def _again(
        self, job: Job, unread: Answer, problem: Unreadable, usage: Usage
    ) -> tuple[Answer, Position | Unreadable]:
        """Ask for the form once more; `usage`: of the unread answer, where it is this call's."""
        wanted = larger_budget(job.max_tokens) if unread.truncated else job.max_tokens
        prompt = repair(job.prompt, "" if unread.truncated else unread.text, problem.why)
        try:
            second, read = await self._once(replace(job, prompt=prompt, max_tokens=wanted))
        except BackendError as error:
            told = f"the answer could not be read, and the second try failed: {error}"
            if rule_for(error) is ONCE:
                raise UnreadableAnswer(told).billed(usage + error.usage) from error
            error.args = (told,)  # the engine tries it again, and comes straight here
            error.billed(usage)
            raise
        return replace(second, usage=usage + second.usage), read

    async def _once(self, job: Job) -> tuple[Answer, Position | Unreadable]:
        try:
            answer = await self._ask(job)
        except BackendError as error:
            self._failed[job.key] = str(error)
            raise
        self.answers[job.key] = answer.text
        return answer, parse(answer.text, answer.data, is_cut=answer.truncated)

    def counts(self, outcomes: Sequence[Outcome]) -> dict[str, int]:
        """Count the verdicts of the members that have answered."""
        found: dict[str, int] = {}
        for outcome in outcomes:
            position = self.positions.get(outcome.key) if outcome.is_answered else None
            if position is not None:
                found[position.verdict] = found.get(position.verdict, 0) + 1
        return found


class Decided:
    """The stop rule of a panel: the rest doesn't matter once it can't change the decision."""

    def __init__(self, asking: Asking, ballot: Ballot) -> None:
        self._asking, self._ballot = asking, ballot

    def __call__(self, outcomes: Sequence[Outcome], outstanding: Collection[str]) -> str:
        counts = self._asking.counts(outcomes)
        decided = is_decided(counts, len(outstanding), self._ballot)
        return DECIDED if decided else ""
