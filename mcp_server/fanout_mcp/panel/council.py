"""A council: rounds of answers, each read blind before the next, the next one begun before it is certain.

Theory of operation. The plain loop asks the panel, waits, has the round synthesised, waits, and goes on:
R rounds take R(P + S). But the next round reads raw answers, never the synthesis, and what the rules
(deliberation.py) make of the answers is known at once. So round N+1 starts the moment round N closes,
while N is synthesised; syntheses follow one another, as each reports what changed since the one before. R
rounds take P + S + (R - 1) max(P, S).

A round closes when all that it asked have answered or failed, or, with a quorum there, after a patience of
a third of the time that the quorum took: a straggler does not hold up a council, its call goes on, its
answer joins the next round, and until then it is not asked again. If the answers that are there agree, but
one that is out could still decide otherwise, round N stays open and N+1 is a bet: when the late answers
complete the agreement, N has converged, and N+1 is cancelled with its streams.

Rules:
1. What is decided follows from the closed rounds alone, by pure functions; speculation moves only time.
2. An answer counts in one round: the open one that it completes, else the one under way when it came.
3. Without speculation an open round waits for its stragglers, and the next one for the synthesis.
4. A council of one round is an oracle_batch: its stop rule, no patience, no synthesis.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Final, Literal

import anyio

from fanout_mcp.engine.budget import Budget, Purse
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan, Started, background
from fanout_mcp.engine.run import Start as StartRun
from fanout_mcp.panel import deliberation
from fanout_mcp.panel.asking import Asking, Decided, first_prompt
from fanout_mcp.panel.consult import Consultation, Entry, Ledger, Leg, Terms, Waste, member_job
from fanout_mcp.panel.personas import Member
from fanout_mcp.source.workers import Workers
from fanout_mcp.types import Ask, Job, Outcome, Prompt

# --- A council before its first call, with its highest price, and after its last, with what was wasted. -----

Ended = Literal["converged", "rounds", "no quorum", "deadline", "budget"]


@dataclass(frozen=True, slots=True)
class Council:
    """Who deliberates on what and for how long, and who is called with its events."""

    asked: Consultation
    terms: Terms
    rounds: int
    speculate: bool
    synthesis_model: str | None
    on_event: deliberation.OnEvent
    workers: Workers | None = None
    """Where long answers are read."""

    def largest_jobs(self, terms: Terms) -> list[Job]:
        """Every call of all rounds with prompts as long as they can get: what the price is checked with."""
        asked, written = self.asked, deliberation.max_synthesis()
        longest = {member.key: deliberation.max_position() for member in asked.members}
        jobs = []
        for n in range(1, self.rounds + 1):
            closed = [deliberation.Closed(n, longest, late=dict.fromkeys(longest, 1))]
            held = deliberation.standing(closed)
            for member in asked.members:
                prompt = _prompt(asked, member, n, held)
                jobs.append(member_job(member, prompt, terms, key=f"{member.key} in round {n}"))
            if self.rounds > 1:
                jobs.append(deliberation.synthesis_job(asked, closed, written, self.synthesis_model))
        return jobs


def _prompt(asked: Consultation, member: Member, n: int, held: Mapping[str, deliberation.Standing]) -> Prompt:
    """Return what a member is asked in round n, over what was held before it."""
    if n > 1:
        return deliberation.again(member, asked, n, held)
    return first_prompt(member, asked.question, asked.material, asked.ballot.stakes)


@dataclass(frozen=True, slots=True)
class Written:
    """A synthesis, or why there is none; the vote stands either way."""

    synthesis: deliberation.Synthesis | None
    reason: str
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Round:
    """A round that counts."""

    closed: deliberation.Closed
    judged: deliberation.Judged
    speculative: bool
    leg_s: float
    texts: Mapping[str, str]
    """What each member wrote, word for word."""
    written: Written | None


@dataclass(frozen=True, slots=True)
class Deliberation:
    """What a council came to."""

    rounds: tuple[Round, ...]
    discarded: tuple[int, ...]
    """Numbers of speculative rounds that were cancelled; none of their answers is used."""
    ended: Ended
    elapsed_s: float
    ledger: Ledger
    counted: frozenset[tuple[int, str]]
    """Round and member of the answers and failures that count."""

    @property
    def plain_s(self) -> float:
        """What the plain loop would have taken with the very legs of this council."""
        return sum(one.leg_s + (one.written.elapsed_s if one.written else 0) for one in self.rounds)

    def waste(self, n: int | None = None) -> Waste:
        return self.ledger.waste(self._is_used, n)

    def _is_used(self, entry: Entry) -> bool:
        if entry.leg.discarded or entry.state == "cut":
            return False
        return entry.leg.kind == "synthesis" or (entry.leg.n, entry.job.key) in self.counted


# --- writing ------------------------------------------------------------------------------------------------
# The syntheses of a council's rounds, written one after another: each reports what changed since the last.


Start = Callable[[tuple[Job, ...], Ask, Callable[[Outcome], None]], Started]
"""Starts calls in the background, within the council's deadline and budget."""


@dataclass(slots=True, eq=False)
class _Draft:
    rounds: tuple[deliberation.Closed, ...]
    leg: Leg
    run: Started | None = None
    began: float = 0.0
    written: Written | None = None

    @property
    def n(self) -> int:
        return self.leg.n


class SynthesisWriter:
    """Writes one synthesis at a time, in the order of the rounds; `go_on` starts the next one due."""

    def __init__(
        self, council: Council, ask: Callable[[Leg], Ask], start: Start, spent: Callable[[], str]
    ) -> None:
        """`spent` says why nothing more may be started, "" while it may."""
        self._council, self._ask, self._start, self._spent = council, ask, start, spent
        self._drafts: list[_Draft] = []

    @property
    def is_through(self) -> bool:
        """Nothing is being written or waits for it."""
        return all(draft.written is not None for draft in self._drafts)

    def of(self, n: int) -> Written | None:
        return next((draft.written for draft in self._drafts if draft.n == n), None)

    def write(self, rounds: Sequence[deliberation.Closed]) -> None:
        self._drafts.append(_Draft(tuple(rounds), Leg(rounds[-1].n, "synthesis")))
        self.go_on()

    def discard(self, n: int) -> None:
        """Cancel the synthesis of a round that is to be written again."""
        for draft in [draft for draft in self._drafts if draft.n == n]:
            self._drafts.remove(draft)
            draft.leg.discarded = True
            if draft.run is not None:
                draft.run.cancel()

    def go_on(self) -> None:
        for draft in self._drafts:
            if draft.written is None and draft.run is None:
                self._begin(draft)
            if draft.written is None:
                return

    def _begin(self, draft: _Draft) -> None:
        if why := self._spent():
            self._settle(draft, Written(None, f"not started: {why}", 0.0))
            return
        written = [one.written.synthesis for one in reversed(self._drafts) if one.written is not None]
        last, council = next(filter(None, written), None), self._council
        job = deliberation.synthesis_job(council.asked, draft.rounds, last, council.synthesis_model)
        draft.began = anyio.current_time()
        draft.run = self._start((job,), self._ask(draft.leg), partial(self._end, draft))

    def _end(self, draft: _Draft, outcome: Outcome) -> None:
        found = deliberation.read_synthesis(outcome.answer) if outcome.answer is not None else None
        reason = outcome.reason or ("" if found else "the writer's answer could not be read")
        self._settle(draft, Written(found, reason, anyio.current_time() - draft.began))

    def _settle(self, draft: _Draft, written: Written) -> None:
        draft.written = written
        self._council.on_event(deliberation.Synthesised(draft.n, written.reason))


# --- council ------------------------------------------------------------------------------------------

PATIENCE_SHARE: Final = 1 / 3
PATIENCE_MIN_S: Final = 0.2
"""Less than the half that a decided vote gives: there a straggler's answer is lost, here it is only late."""


async def deliberate(council: Council, ask: Ask, limits: Limits, purse: Purse) -> Deliberation:
    """Hold a council. Raises nothing but cancellation, which closes every stream."""
    ledger = Ledger(ask, council.terms.prices)
    began = anyio.current_time()
    async with background() as start:
        session = _Session(council, ledger, start, limits, purse)
        ended = await session.hold()
    discarded, counted = tuple(session.discarded), frozenset(session.counted)
    took_s = anyio.current_time() - began
    return Deliberation(session.record(), discarded, ended, took_s, ledger, counted)


@dataclass(slots=True, eq=False)
class _Panel:
    """A round under way."""

    n: int
    asked: tuple[str, ...]
    leg: Leg
    asking: Asking
    run: Started
    began: float
    speculative: bool
    patient_until: float = math.inf
    closed_at: float = math.nan


class _Session:
    """One council's state: its panels, what they came to, and the bell that its runs ring."""

    def __init__(
        self, council: Council, ledger: Ledger, start: StartRun, limits: Limits, purse: Purse
    ) -> None:
        self.council, self.ledger, self.purse = council, ledger, purse
        self.start_run, self.limits = start, limits
        self.asked, self.ballot, self.on_event = council.asked, council.asked.ballot, council.on_event
        self.panels: list[_Panel] = []
        self.closed: list[deliberation.Closed] = []
        self.judged: list[deliberation.Judged] = []
        self.discarded: list[int] = []
        self.counted: dict[tuple[int, str], int] = {}
        """Round asked and member -> the round in which the answer, or the failure, counts."""
        self.deadline = anyio.current_time() + council.terms.deadline_s
        self.writer = SynthesisWriter(council, self._ask, self._start, self._spent)
        self._bell = anyio.Event()

    async def hold(self) -> Ended:
        ended: Ended | None = None
        while ended is None:
            self._open()
            full = await self._until_over()
            if full is None:
                self._close()
            else:
                self._reopen(full)
            ended = self._ended()
            for straggler in self.panels if ended is not None else ():
                straggler.run.cancel()
            while not self.writer.is_through and (ended is not None or not self.council.speculate):
                await self._news(math.inf)
        return ended

    def record(self) -> tuple[Round, ...]:
        return tuple(
            Round(
                closed,
                judged,
                panel.speculative,
                panel.closed_at - panel.began,
                dict(panel.asking.answers),
                self.writer.of(panel.n),
            )
            for panel, closed, judged in zip(self.panels, self.closed, self.judged, strict=True)
        )

    # --- a round ---------------------------------------------------------------------------------------

    def _open(self) -> None:
        n, out = len(self.panels) + 1, self.closed[-1].out if self.closed else frozenset()
        held = deliberation.standing(self.closed)
        members = [member for member in self.asked.members if member.key not in out]
        leg = Leg(n, "panel")
        asking = Asking(self._ask(leg), self.council.workers)
        jobs = tuple(
            member_job(member, _prompt(self.asked, member, n, held), self.council.terms) for member in members
        )
        asked = tuple(member.key for member in members)
        speculative = n > 1 and (bool(out) or not self.writer.is_through)
        self.on_event(deliberation.Opened(n, asked, speculative))

        def on_outcome(outcome: Outcome) -> None:
            position = asking.positions.get(outcome.key) if outcome.is_answered else None
            self.on_event(deliberation.Answered(n, outcome.key, position, outcome.reason))

        alone = Decided(asking, self.ballot) if self.council.rounds == 1 else None
        run = self._start(jobs, asking, on_outcome, alone)
        self.panels.append(_Panel(n, asked, leg, asking, run, anyio.current_time(), speculative))

    def _is_over(self, panel: _Panel) -> bool:
        seen = self._seen(panel)
        has_quorum = deliberation.positions(seen) >= self.ballot.quorum
        if seen.out.isdisjoint(panel.asked):
            return has_quorum or not seen.out or self.council.rounds == 1
        if self.council.rounds == 1 or not has_quorum:
            return False
        now = anyio.current_time()
        if panel.patient_until == math.inf:
            panel.patient_until = now + max(PATIENCE_MIN_S, PATIENCE_SHARE * (now - panel.began))
        if now < panel.patient_until:
            return False
        can_bet = self.council.speculate or panel.n == self.council.rounds
        return can_bet or not deliberation.judge([*self.closed, seen], self.ballot).is_open

    def _seen(self, panel: _Panel) -> deliberation.Closed:
        """Return the round as it would close now: its own answers, and late ones that count in it."""
        answers, late, failed, cut, out = {}, {}, {}, set[str](), set[str]()
        for earlier in self.panels[: panel.n]:
            out |= set(earlier.asked) - earlier.run.outcomes.keys()
            for key, outcome in earlier.run.outcomes.items():
                if self.counted.get((earlier.n, key), panel.n) != panel.n:
                    continue
                if outcome.is_answered:
                    answers[key] = earlier.asking.positions[key]
                else:
                    failed[key] = outcome.reason
                    cut |= {key} if outcome.cause == "decided" else set()
                if earlier is not panel:
                    late[key] = earlier.n
        return deliberation.Closed(panel.n, answers, late, failed, frozenset(cut), frozenset(out))

    def _close(self) -> None:
        seen = self._seen(self.panels[-1])
        self.closed.append(seen)
        self.judged.append(deliberation.judge(self.closed, self.ballot))
        self._count(self.panels[-1], seen)

    def _reopen(self, full: deliberation.Closed) -> None:
        """Take the last round back: the one before has converged with answers that came since."""
        unneeded = self.panels.pop()
        unneeded.leg.discarded = True
        unneeded.run.cancel()
        self.discarded.append(unneeded.n)
        self.on_event(deliberation.Discarded(unneeded.n))
        self.writer.discard(self.panels[-1].n)
        self.closed[-1] = full
        self.judged[-1] = deliberation.judge(self.closed, self.ballot)
        self._count(self.panels[-1], full)

    def _count(self, panel: _Panel, seen: deliberation.Closed) -> None:
        panel.closed_at = anyio.current_time()
        for key in (*seen.answers, *seen.failed):
            self.counted.setdefault((seen.late.get(key, panel.n), key), panel.n)
        judged = self.judged[-1]
        self.on_event(
            deliberation.RoundClosed(
                panel.n, judged.decision, judged.agreement, judged.is_converged, seen.out
            )
        )
        if self.council.rounds > 1 and judged.decision != "NO_VERDICT":
            self.writer.write(self.closed)

    def _ended(self) -> Ended | None:
        judged, panel = self.judged[-1], self.panels[-1]
        if judged.is_converged:
            return "converged"
        if not judged.has_quorum:
            return "no quorum"
        if len(self.panels) == self.council.rounds:
            return "rounds"
        if self._left() < panel.closed_at - panel.began:  # as long as the last round: it would be cut
            return "deadline"
        return "budget" if self._spent() else None

    # --- waiting, starting, cancelling -------------------------------------------------------------------

    async def _until_over(self) -> deliberation.Closed | None:
        """Wait for the last round's end, or for the one before to be complete and converged: return that."""
        panel = self.panels[-1]
        while True:
            full = self._completed()
            if full is not None or self._is_over(panel):
                return full
            is_patient = anyio.current_time() < panel.patient_until
            await self._news(panel.patient_until if is_patient else math.inf)

    def _completed(self) -> deliberation.Closed | None:
        if not self.judged or not self.judged[-1].is_open:
            return None
        full = self._seen(self.panels[-2])
        return full if deliberation.judge([*self.closed[:-1], full], self.ballot).is_converged else None

    async def _news(self, until: float) -> None:
        with anyio.move_on_at(until):
            await self._bell.wait()
        self._bell = anyio.Event()
        self.writer.go_on()

    def _start(
        self,
        jobs: tuple[Job, ...],
        ask: Ask,
        on_outcome: Callable[[Outcome], None],
        stop: Decided | None = None,
    ) -> Started:
        def ring(outcome: Outcome) -> None:
            on_outcome(outcome)
            self._bell.set()

        spent, allowed = self.ledger.usage, self.council.terms.budget
        budget = Budget(
            None if allowed.max_cost_usd is None else allowed.max_cost_usd - (spent.cost_usd or 0),
            None if allowed.max_tokens is None else allowed.max_tokens - spent.tokens_in - spent.tokens_out,
        )
        plan = Plan(self._left(), stop=stop, budget=budget, on_outcome=ring)
        return self.start_run(jobs, ask, plan, self.limits)

    def _ask(self, leg: Leg) -> Ask:
        return self.purse.leg(self.ledger.of(leg))

    def _left(self) -> float:
        return max(0.0, self.deadline - anyio.current_time())

    def _spent(self) -> str:
        """Return why nothing more may be started, "" while it may."""
        if self._left() <= 0:
            return f"the deadline of {self.council.terms.deadline_s:.3g} s passed"
        return self.council.terms.budget.spent(self.ledger.usage)
