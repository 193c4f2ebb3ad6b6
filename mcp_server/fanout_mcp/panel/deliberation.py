"""What follows from the answers of a council's rounds, as pure functions.

So the plain loop and the speculative one can differ in time only.

Rules:
1. A member is its key. Its latest answer stands: one that fails in a later round keeps the earlier one,
   marked with its round. An answer that came after its round had closed counts in the round it came in.
2. A round has a quorum when that many members took a position in it; without one the council ends.
3. Agreeing: in round 1 all positions are the same; later no answer's verdict differs from the same member's
   before. A first answer in a later round differs: nobody has read it yet. More abstentions than
   positions never agree.
4. Converged: agreeing, and no answer that is still out could change the decision.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from fanout_mcp.panel.answer import Position
from fanout_mcp.panel.vote import Ballot, Decision, decide, is_decided


@dataclass(frozen=True, slots=True)
class Closed:
    """What was there when a round closed."""

    n: int
    answers: Mapping[str, Position]
    """By member: to this round's question, or late ones to an earlier round's."""
    late: Mapping[str, int] = field(default_factory=dict)
    """Member -> the round whose question its answer belongs to, where that is not this one."""
    failed: Mapping[str, str] = field(default_factory=dict)
    cut: frozenset[str] = frozenset()
    """Of the failed, those that were not waited for: the vote was decided."""
    out: frozenset[str] = frozenset()
    """Members whose answer had not come yet."""


@dataclass(frozen=True, slots=True)
class Standing:
    """A member's latest answer, and the round whose question it belongs to."""

    position: Position
    n: int


@dataclass(frozen=True, slots=True)
class Judged:
    """What the rules say of a round."""

    decision: Decision
    agreement: float
    has_quorum: bool
    is_agreeing: bool
    is_converged: bool

    @property
    def is_open(self) -> bool:
        """An answer that is still out may make it converge, or decide otherwise."""
        return self.has_quorum and self.is_agreeing and not self.is_converged


def standing(rounds: Sequence[Closed]) -> dict[str, Standing]:
    """Return the latest answer of each member that has given any."""
    latest: dict[str, Standing] = {}
    for one in rounds:
        for key, position in one.answers.items():
            latest[key] = Standing(position, one.late.get(key, one.n))
    return latest


def judge(rounds: Sequence[Closed], ballot: Ballot) -> Judged:
    """Apply the rules to the last of these rounds."""
    last, before, now = rounds[-1], standing(rounds[:-1]), standing(rounds)
    result = decide(_counts(now), ballot)
    has_quorum = positions(last) >= ballot.quorum
    is_agreeing = _is_agreeing(last, before)
    settled = {key: held for key, held in now.items() if key not in last.out}
    is_certain = not last.out or is_decided(_counts(settled), len(last.out), ballot)
    return Judged(
        result.decision,
        result.agreement,
        has_quorum,
        is_agreeing,
        has_quorum and is_agreeing and is_certain,
    )


def positions(closed: Closed) -> int:
    """Count the members that took a position: an abstention is none."""
    return sum(said.verdict != "ABSTAIN" for said in closed.answers.values())


def changed(last: Closed, before: Mapping[str, Standing]) -> list[str]:
    """Name the members whose verdict is not the one that they gave before."""
    return [
        key
        for key, said in last.answers.items()
        if key not in before or before[key].position.verdict != said.verdict
    ]


def _is_agreeing(last: Closed, before: Mapping[str, Standing]) -> bool:
    taken = positions(last)
    if not taken or len(last.answers) - taken > taken:
        return False
    if last.n == 1:
        return len({said.verdict for said in last.answers.values()} - {"ABSTAIN"}) == 1
    return not changed(last, before)


def _counts(held: Mapping[str, Standing]) -> Counter[str]:
    return Counter(one.position.verdict for one in held.values())
