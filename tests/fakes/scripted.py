"""A backend that answers from a script: for tests of tools and of whatever is built on them.

    backend = Scripted({"judge": Reply(verdict("STOP")), "critic": [Reply(error=busy), Reply()]})

A rule's name is found in a job's key, its model or its prompts, in the order of the rules. A list gives one
reply a call, the last one for ever. Delays use the event loop's clock, so a virtual clock makes them exact.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final

import anyio

from fanout_mcp.errors import BackendError
from fanout_mcp.types import Answer, Backend, Job, Json, ModelPrice, Route
from fanout_mcp.usage import Usage


def verdict(decision: str = "PROCEED", confidence: int = 80, summary: str = "It holds.", **more: Json) -> str:
    """Return a panel member's answer in its JSON form."""
    answer = {"verdict": decision, "confidence": confidence, "summary": summary, "reasons": ["It was asked."]}
    return json.dumps({**answer, **more})


USAGE: Final = Usage(tokens_in=100, tokens_out=20, cost_usd=0.001)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer, or the error in its place."""

    text: str = field(default_factory=verdict)
    delay_s: float = 0.0
    error: BackendError | None = None
    usage: Usage = USAGE
    data: Json = None
    truncated: bool = False


@dataclass(slots=True)
class Scripted(Backend):
    """Keeps what it was asked in `asked`, and counts calls in flight and cancelled ones."""

    rules: Mapping[str, Reply | Sequence[Reply]] = field(default_factory=dict)
    default: Reply = field(default_factory=Reply)
    name: str = "scripted"
    provider: str = "scripted"
    prices: Mapping[str, ModelPrice] = field(default_factory=dict)
    fallbacks: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    elsewhere: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    asked: list[Job] = field(default_factory=list)
    in_flight: int = 0
    peak: int = 0
    cancelled: int = 0
    _used: dict[str, int] = field(default_factory=dict)

    def default_model(self, purpose: str) -> str | None:
        return f"model-of-{purpose}"

    def route(self, model: str | None) -> Route:
        return Route(self.provider, self.fallbacks.get(model or "", ()), self.elsewhere.get(model or "", ()))

    async def price(self, model: str | None) -> ModelPrice | None:
        return self.prices.get(model or "")

    async def ask(self, job: Job) -> Answer:
        self.asked.append(job)
        reply = self._reply(job)
        self.in_flight += 1
        self.peak = max(self.peak, self.in_flight)
        try:
            await anyio.sleep(reply.delay_s)
        except anyio.get_cancelled_exc_class():
            self.cancelled += 1
            raise
        finally:
            self.in_flight -= 1
        if reply.error is not None:
            raise reply.error
        return Answer(reply.text, job.model or "scripted-model", reply.usage, reply.data, reply.truncated)

    def _reply(self, job: Job) -> Reply:
        places = (job.key, job.model or "", job.prompt.system, job.prompt.user)
        for name, replies in self.rules.items():
            if not any(name in place for place in places):
                continue
            if isinstance(replies, Reply):
                return replies
            turn = self._used.get(name, 0)
            self._used[name] = turn + 1
            return replies[min(turn, len(replies) - 1)]
        return self.default
