"""A council's upstream in virtual time: each member's answers by round, with delays; it logs every call."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import anyio
import trio

from fakes.scripted import USAGE, verdict
from fakes.virtual import virtually
from fanout_mcp.engine.budget import Budget, Estimate, Purse
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import Rejected
from fanout_mcp.panel.asking import Material
from fanout_mcp.panel.consult import Consultation, Terms
from fanout_mcp.panel.council import Council, Deliberation, deliberate
from fanout_mcp.panel.deliberation import Event
from fanout_mcp.panel.personas import Member, Persona
from fanout_mcp.panel.vote import Ballot, Stakes, default_quorum
from fanout_mcp.types import Answer, Job, ModelPrice

Turn = tuple[float, str]
"""After so many seconds, this verdict; "fail" fails."""

SYNTHESIS = json.dumps(
    {"agreement": "All want it.", "dissent": "", "changed": "", "would_change": "A faster way."}
)
PRICE = ModelPrice(1.0, 2.0)
BOTTOMLESS = Purse(Budget(), Estimate(0, 0, 0, 0.0), lambda _: 0, lambda _: None)


@dataclass
class Seen:
    """One call: a member's (`key`, round `n`) or a synthesis (`synthesis-n`)."""

    key: str
    n: int
    prompt: str
    began: float
    ended: float | None = None
    is_cut: bool = False

    @property
    def is_synthesis(self) -> bool:
        return self.key.startswith("synthesis")


@dataclass
class Upstream:
    """`answers`: member -> its turns by round, the last one for ever."""

    answers: Mapping[str, Sequence[Turn]]
    synthesis: Turn = (1.0, SYNTHESIS)
    log: list[Seen] = field(default_factory=list)
    in_flight: int = 0

    async def ask(self, job: Job) -> Answer:
        seen = self._seen(job)
        self.log.append(seen)
        delay, said = self.synthesis if seen.is_synthesis else self._turn(job.key, seen.n)
        self.in_flight += 1
        try:
            await anyio.sleep(delay)
        except anyio.get_cancelled_exc_class():
            seen.is_cut = True
            raise
        finally:
            self.in_flight -= 1
            seen.ended = anyio.current_time()
        if said == "fail":
            raise Rejected("it was refused")
        text = said if seen.is_synthesis else _answer(said, job.key, seen.n)
        return Answer(text, job.model or "m", USAGE)

    def _turn(self, key: str, n: int) -> Turn:
        turns = self.answers[key]
        return turns[min(n, len(turns)) - 1]

    @staticmethod
    def _seen(job: Job) -> Seen:
        prompt = f"{job.prompt.system}\n{job.prompt.user}"
        if job.key.startswith("synthesis-"):
            return Seen(job.key, int(job.key.removeprefix("synthesis-")), prompt, anyio.current_time())
        found = re.search(r"^Round (\d+) of a discussion", prompt, re.MULTILINE)
        return Seen(job.key, int(found[1]) if found else 1, prompt, anyio.current_time())

    def asked(self, n: int) -> list[str]:
        return sorted(seen.key for seen in self.log if seen.n == n and not seen.is_synthesis)


def _answer(said: str, key: str, n: int) -> str:
    stops = said == "STOP"
    return verdict(
        said,
        summary=f"said in round {n}",
        reasons=[f"Reason {key}-{n}."],
        blocker="It loses data." if stops else None,
        smallest_change="Keep a copy." if stops else None,
    )


def council(
    keys: Sequence[str],
    *,
    rounds: int = 3,
    speculate: bool = True,
    stakes: Stakes = "production",
    quorum: int | None = None,
    deadline_s: float = 100.0,
    max_cost_usd: float = 10.0,
    told: list[Event] | None = None,
) -> Council:
    members = [Member(key, Persona(key, f"Title of {key}", "You weigh."), None) for key in keys]
    ballot = Ballot(len(keys), quorum or default_quorum(len(keys)), stakes)
    asked = Consultation("Shall we?", members, Material(), ballot)
    terms = Terms(deadline_s, max_cost_usd, {None: PRICE, "writer": PRICE})
    events = told if told is not None else []
    return Council(asked, terms, rounds, speculate, "writer", events.append)


def hold(upstream: Upstream, plan: Council | None = None, **options: object) -> tuple[Deliberation, float]:
    """Hold a council in virtual time; return what it came to and the seconds it took."""

    async def main() -> tuple[Deliberation, float]:
        one = plan or council(list(upstream.answers), **options)  # type: ignore[arg-type] # as the test gives them
        held = await deliberate(one, upstream.ask, Limits(50), BOTTOMLESS)
        assert upstream.in_flight == 0, "a stream was still open at the end"
        return held, trio.current_time()

    return virtually(main)


def never(count: int, seconds: float = 1.0) -> dict[str, list[Turn]]:
    """Members who change their verdicts in every round."""
    one = [(seconds, said) for said in ("PROCEED", "SIMPLIFY") * 3]
    return {f"m{number}": one[number % 2 :] for number in range(count)}
