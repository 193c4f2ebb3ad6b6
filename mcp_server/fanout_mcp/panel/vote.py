"""What a panel decides: a stated rule over verdicts, pure, and printed with every decision.

Rules:
1. Only positions count: PROCEED, SIMPLIFY, STOP. An abstention, a failure and an unreadable answer are none.
2. Fewer positions than the quorum (more than half of the panel unless given) are NO_VERDICT.
3. The most frequent verdict wins; ties go to the more cautious: STOP, then SIMPLIFY.
4. Stakes `critical`: one STOP stops (a STOP has a blocker and the smallest change
   that would clear it, else it was counted as SIMPLIFY, and the printed rule says so). Stakes
   `exploration`: a STOP counts as SIMPLIFY unless two thirds of the positions are STOP.
5. Confidence is shown and never weighed: self-reported confidence is not calibrated.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Literal

Verdict = Literal["PROCEED", "SIMPLIFY", "STOP", "ABSTAIN"]
Decision = Literal["PROCEED", "SIMPLIFY", "STOP", "NO_VERDICT"]
Stakes = Literal["exploration", "production", "critical"]
VERDICTS: tuple[Verdict, ...] = ("PROCEED", "SIMPLIFY", "STOP", "ABSTAIN")
CAUTION: tuple[Literal["STOP", "SIMPLIFY", "PROCEED"], ...] = ("STOP", "SIMPLIFY", "PROCEED")
"""The more cautious first: the order in which ties are broken."""


@dataclass(frozen=True, slots=True)
class Ballot:
    """The rule of one consultation."""

    members: int
    quorum: int
    stakes: Stakes = "production"

    @property
    def rule(self) -> str:
        stakes = {
            "production": "",
            "critical": "; stakes critical: one STOP with a blocker stops",
            "exploration": "; stakes exploration: STOP needs two thirds, else it counts as SIMPLIFY",
        }[self.stakes]
        return (
            f"most frequent of at least {self.quorum} positions of {self.members} members, "
            f"ties to the more cautious{stakes}"
        )

    def applied(self, demoted: int) -> str:
        """The rule as it was applied; `demoted`: how many STOPs were counted as SIMPLIFY (answer.py)."""
        if not demoted:
            return self.rule
        return (
            f"{self.rule}; a STOP without a blocker and a smallest change counts as SIMPLIFY: {demoted} did"
        )


@dataclass(frozen=True, slots=True)
class Result:
    """What was decided, and by which share of the positions."""

    decision: Decision
    agreement: float
    tied: tuple[Verdict, ...] = ()
    """The verdicts that as many chose, where the decision is one of several."""


def default_quorum(members: int) -> int:
    return members // 2 + 1


def decide(counts: Mapping[str, int], ballot: Ballot) -> Result:
    votes = {verdict: counts.get(verdict, 0) for verdict in CAUTION}
    positions = sum(votes.values())
    if positions < ballot.quorum or not positions:
        return Result("NO_VERDICT", 0.0)
    if ballot.stakes == "critical" and votes["STOP"]:
        return Result("STOP", round(votes["STOP"] / positions, 2))
    if ballot.stakes == "exploration" and 3 * votes["STOP"] < 2 * positions:
        votes = {"STOP": 0, "SIMPLIFY": votes["SIMPLIFY"] + votes["STOP"], "PROCEED": votes["PROCEED"]}
    winner = max(CAUTION, key=lambda verdict: votes[verdict])  # max keeps the first of equals: the cautious
    tied = tuple(verdict for verdict in CAUTION if votes[verdict] == votes[winner])
    return Result(winner, round(votes[winner] / positions, 2), tied if len(tied) > 1 else ())


def in_words(counts: Mapping[str, int], ballot: Ballot) -> str:
    """Return the decision as one line for a person; a tie is shown as the split that it is."""
    result = decide(counts, ballot)
    positions = sum(counts.get(verdict, 0) for verdict in CAUTION)
    if result.decision == "NO_VERDICT" and not sum(counts.values()):
        return "NO_VERDICT: no member answered"
    if result.decision == "NO_VERDICT":
        return f"NO_VERDICT: {positions} of {ballot.members} took a position, {ballot.quorum} are needed"
    agreeing = round(result.agreement * positions)
    if result.tied:
        sides = " and ".join(filter(None, (", ".join(result.tied[:-1]), result.tied[-1])))
        return (
            f"{result.decision} by the rule, a split: {agreeing} of {positions} each for {sides}; "
            "the most cautious counts"
        )
    return f"{result.decision}: {agreeing} of {positions} agree"


def is_decided(counts: Mapping[str, int], outstanding: int, ballot: Ballot) -> bool:
    """Say whether no answer that is still out changes the decision, whatever it says, if ever."""
    decision = decide(counts, ballot).decision
    if decision == "NO_VERDICT":
        return False
    possible: Iterator[Mapping[str, int]] = (
        {verdict: counts.get(verdict, 0) + extra for verdict, extra in zip(CAUTION, more, strict=True)}
        for more in _completions(outstanding)
    )
    return all(decide(one, ballot).decision == decision for one in possible)


def _completions(outstanding: int) -> Iterator[tuple[int, int, int]]:
    """Every way in which the rest may vote, abstentions and failures included."""
    for stop in range(outstanding + 1):
        for simplify in range(outstanding - stop + 1):
            for proceed in range(outstanding - stop - simplify + 1):
                yield stop, simplify, proceed
