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
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial
from typing import Final, Literal

import anyio

from fanout_mcp.engine.budget import Budget, Purse
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan, Start, Started, StopRule, background
from fanout_mcp.panel import deliberation
from fanout_mcp.panel.asking import Asking, first_prompt, until_decided
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


@dataclass(slots=True, eq=False)
class Writing:
    """A synthesis that is due, being written, or done; or why there is none. The vote stands either way."""

    leg: Leg
    run: Started | None = None
    began: float = 0.0
    is_done: bool = False
    synthesis: deliberation.Synthesis | None = None
    reason: str = ""
    elapsed_s: float = 0.0


@dataclass(slots=True, eq=False)
class Round:
    """A round from its first question on; `closed` and `judged` once it has closed."""

    n: int
    asked: tuple[str, ...]
    leg: Leg
    asking: Asking
    run: Started
    began: float
    speculative: bool
    patient_until: float = math.inf
    closed_at: float = math.nan
    closed: deliberation.Closed = field(init=False)
    judged: deliberation.Judged = field(init=False)
    writing: Writing | None = None

    @property
    def leg_s(self) -> float:
        return self.closed_at - self.began

    @property
    def texts(self) -> Mapping[str, str]:
        """What each member wrote, word for word."""
        return self.asking.answers

    @property
    def written(self) -> Writing | None:
        return self.writing if self.writing and self.writing.is_done else None


@dataclass(frozen=True, slots=True)
class Deliberation:
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
    rounds, discarded, counted = tuple(session.rounds), tuple(session.discarded), frozenset(session.counted)
    return Deliberation(rounds, discarded, ended, anyio.current_time() - began, ledger, counted)


class _Session:
    """One council's state: its closed rounds, what counts in which, and the bell that its runs ring."""

    def __init__(self, council: Council, ledger: Ledger, start: Start, limits: Limits, purse: Purse) -> None:
        self.council, self.ledger, self.purse = council, ledger, purse
        self.start_run, self.limits = start, limits
        self.asked, self.ballot, self.on_event = council.asked, council.asked.ballot, council.on_event
        self.rounds: list[Round] = []
        self.discarded: list[int] = []
        self.counted: dict[tuple[int, str], int] = {}
        """Round asked and member -> the round in which the answer, or the failure, counts."""
        self.deadline = anyio.current_time() + council.terms.deadline_s
        self._bell = anyio.Event()

    @property
    def closed(self) -> list[deliberation.Closed]:
        return [one.closed for one in self.rounds]

    async def hold(self) -> Ended:
        ended: Ended | None = None
        while ended is None:
            opened = self._open()
            full = await self._until_over(opened)
            if full is None:
                self.rounds.append(opened)
                self._close(self._seen(opened))
            else:
                self._discard(opened)
                self._close(full)
            ended = self._ended()
            for straggler in self.rounds if ended is not None else ():
                straggler.run.cancel()
            while not self._is_written() and (ended is not None or not self.council.speculate):
                await self._news(math.inf)
        return ended

    # --- a round ---------------------------------------------------------------------------------------

    def _open(self) -> Round:
        n, out = len(self.rounds) + 1, self.rounds[-1].closed.out if self.rounds else frozenset()
        held = deliberation.standing(self.closed)
        members = [member for member in self.asked.members if member.key not in out]
        leg = Leg(n, "panel")
        asking = Asking(self._ask(leg), self.council.workers)
        jobs = tuple(
            member_job(member, _prompt(self.asked, member, n, held), self.council.terms) for member in members
        )
        asked = tuple(member.key for member in members)
        speculative = n > 1 and (bool(out) or not self._is_written())
        self.on_event(deliberation.Opened(n, asked, speculative))

        def on_outcome(outcome: Outcome) -> None:
            position = asking.positions.get(outcome.key) if outcome.is_answered else None
            self.on_event(deliberation.Answered(n, outcome.key, position, outcome.reason))

        alone = until_decided(asking, self.ballot) if self.council.rounds == 1 else None
        run = self._start(jobs, asking, on_outcome, alone)
        return Round(n, asked, leg, asking, run, anyio.current_time(), speculative)

    def _is_over(self, opened: Round) -> bool:
        seen = self._seen(opened)
        has_quorum = deliberation.positions(seen) >= self.ballot.quorum
        if seen.out.isdisjoint(opened.asked):
            return has_quorum or not seen.out or self.council.rounds == 1
        if self.council.rounds == 1 or not has_quorum:
            return False
        now = anyio.current_time()
        if opened.patient_until == math.inf:
            opened.patient_until = now + max(PATIENCE_MIN_S, PATIENCE_SHARE * (now - opened.began))
        if now < opened.patient_until:
            return False
        can_bet = self.council.speculate or opened.n == self.council.rounds
        return can_bet or not deliberation.judge([*self.closed, seen], self.ballot).is_open

    def _seen(self, last: Round) -> deliberation.Closed:
        """Return the round as it would close now: its own answers, and late ones that count in it."""
        answers, late, failed, cut, out = {}, {}, {}, set[str](), set[str]()
        for earlier in [*self.rounds[: last.n - 1], last]:
            out |= set(earlier.asked) - earlier.run.outcomes.keys()
            for key, outcome in earlier.run.outcomes.items():
                if self.counted.get((earlier.n, key), last.n) != last.n:
                    continue
                if outcome.is_answered:
                    answers[key] = earlier.asking.positions[key]
                else:
                    failed[key] = outcome.reason
                    cut |= {key} if outcome.cause == "decided" else set()
                if earlier is not last:
                    late[key] = earlier.n
        return deliberation.Closed(last.n, answers, late, failed, frozenset(cut), frozenset(out))

    def _discard(self, opened: Round) -> None:
        """Take a round back: the one before has converged with answers that came since."""
        opened.leg.discarded = True
        opened.run.cancel()
        self.discarded.append(opened.n)
        self.on_event(deliberation.Discarded(opened.n))
        if (writing := self.rounds[-1].writing) is not None:  # it is to be written again
            writing.leg.discarded = True
            if writing.run is not None:
                writing.run.cancel()

    def _close(self, seen: deliberation.Closed) -> None:
        """Close the last round, perhaps once more, with what was seen of it."""
        last = self.rounds[-1]
        last.closed, last.closed_at = seen, anyio.current_time()
        last.judged = judged = deliberation.judge(self.closed, self.ballot)
        for key in (*seen.answers, *seen.failed):
            self.counted.setdefault((seen.late.get(key, last.n), key), last.n)
        self.on_event(
            deliberation.RoundClosed(last.n, judged.decision, judged.agreement, judged.is_converged, seen.out)
        )
        last.writing = None
        if self.council.rounds > 1 and judged.decision != "NO_VERDICT":
            last.writing = Writing(Leg(last.n, "synthesis"))
            self._write()

    def _ended(self) -> Ended | None:
        last = self.rounds[-1]
        if last.judged.is_converged:
            return "converged"
        if not last.judged.has_quorum:
            return "no quorum"
        if last.n == self.council.rounds:
            return "rounds"
        if self._left() < last.leg_s:  # as long as the last round: it would be cut
            return "deadline"
        return "budget" if self._spent() else None

    # --- syntheses, one after another: each reports what changed since the last --------------------------

    def _is_written(self) -> bool:
        """Say whether no synthesis is being written or waits for it."""
        return all(one.writing is None or one.writing.is_done for one in self.rounds)

    def _write(self) -> None:
        """Begin the next synthesis that is due, unless one is being written."""
        for one in self.rounds:
            writing = one.writing
            if writing is not None and not writing.is_done:
                if writing.run is None:
                    self._begin(one, writing)
                if not writing.is_done:
                    return

    def _begin(self, one: Round, writing: Writing) -> None:
        writing.began = anyio.current_time()
        if why := self._spent():
            self._settle(writing, None, f"not started: {why}")
            return
        written = [earlier.written.synthesis for earlier in reversed(self.rounds) if earlier.written]
        last, model = next(filter(None, written), None), self.council.synthesis_model
        job = deliberation.synthesis_job(self.asked, self.closed[: one.n], last, model)
        writing.run = self._start((job,), self._ask(writing.leg), partial(self._end, writing))

    def _end(self, writing: Writing, outcome: Outcome) -> None:
        found = deliberation.read_synthesis(outcome.answer) if outcome.answer is not None else None
        self._settle(
            writing, found, outcome.reason or ("" if found else "the writer's answer could not be read")
        )

    def _settle(self, writing: Writing, synthesis: deliberation.Synthesis | None, reason: str) -> None:
        writing.is_done, writing.synthesis, writing.reason = True, synthesis, reason
        writing.elapsed_s = anyio.current_time() - writing.began
        self.on_event(deliberation.Synthesised(writing.leg.n, reason))

    # --- waiting, starting, cancelling -------------------------------------------------------------------

    async def _until_over(self, opened: Round) -> deliberation.Closed | None:
        """Wait for the round's end, or for the one before to be complete and converged: return that."""
        while True:
            full = self._completed()
            if full is not None or self._is_over(opened):
                return full
            is_patient = anyio.current_time() < opened.patient_until
            await self._news(opened.patient_until if is_patient else math.inf)

    def _completed(self) -> deliberation.Closed | None:
        if not self.rounds or not self.rounds[-1].judged.is_open:
            return None
        full = self._seen(self.rounds[-1])
        return full if deliberation.judge([*self.closed[:-1], full], self.ballot).is_converged else None

    async def _news(self, until: float) -> None:
        with anyio.move_on_at(until):
            await self._bell.wait()
        self._bell = anyio.Event()
        self._write()

    def _start(
        self,
        jobs: tuple[Job, ...],
        ask: Ask,
        on_outcome: Callable[[Outcome], None],
        stop: StopRule | None = None,
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
