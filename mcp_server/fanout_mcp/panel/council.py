"""A council before its first call, with its highest price, and after its last, with what was wasted."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fanout_mcp.panel import consult, crossread, prompts, synthesis
from fanout_mcp.panel.consult import Terms
from fanout_mcp.panel.consultation import Consultation
from fanout_mcp.panel.deliberation import Closed, Judged, Standing
from fanout_mcp.panel.events import Tell
from fanout_mcp.panel.ledger import Entry, Ledger, Waste
from fanout_mcp.panel.synthesis import Synthesis
from fanout_mcp.types import Job

Ended = Literal["converged", "rounds", "no quorum", "deadline", "budget"]


@dataclass(frozen=True, slots=True)
class Council:
    """Who deliberates on what, how long, and who is told of it."""

    asked: Consultation
    terms: Terms
    rounds: int
    speculate: bool
    synthesis_model: str | None
    tell: Tell

    def longest_jobs(self, terms: Terms) -> list[Job]:
        """Every call of all rounds with prompts as long as they can get: what the price is checked with."""
        held = {member.key: Standing(crossread.longest(), 1) for member in self.asked.members}
        asked = self.asked
        jobs = []
        for n in range(1, self.rounds + 1):
            for member in asked.members:
                first = prompts.first(member, asked.question, asked.material, asked.ballot.stakes)
                prompt = first if n == 1 else crossread.again(member, asked, n, held)
                jobs.append(consult.job(member, prompt, terms, key=f"{member.key} in round {n}"))
            if self.rounds > 1:
                told = synthesis.Told(n, held, tuple(held), synthesis.longest())
                jobs.append(synthesis.job(asked, told, self.synthesis_model, terms.provider))
        return jobs


@dataclass(frozen=True, slots=True)
class Written:
    """A synthesis, or why there is none; the vote stands either way."""

    synthesis: Synthesis | None
    reason: str
    elapsed_s: float


@dataclass(frozen=True, slots=True)
class Round:
    """A round that counts."""

    closed: Closed
    judged: Judged
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
        """What was thrown away in a round, or in all."""
        return self.ledger.waste(self._is_used, n)

    def _is_used(self, entry: Entry) -> bool:
        if entry.leg.discarded or entry.state == "cut":
            return False
        return entry.leg.kind == "synthesis" or (entry.leg.n, entry.job.key) in self.counted
