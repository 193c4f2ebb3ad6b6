"""Fakes of the engine's tests: upstreams that answer after a time, and count."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence

import anyio
import trio

from fakes.virtual import virtually
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan, run
from fanout_mcp.errors import BackendError
from fanout_mcp.types import Answer, Job, Outcome, Prompt

Step = tuple[float, str | Exception]
"""After so many seconds, this answer or this error."""


def job(key: str) -> Job:
    return Job(key, Prompt("", key))


def jobs(count: int) -> list[Job]:
    return [job(str(number)) for number in range(count)]


def plan(deadline_s: float = 100.0, chance: Callable[[], float] = lambda: 1.0, **more: object) -> Plan:
    return Plan(deadline_s, chance=chance, **more)  # type: ignore[arg-type] # options as the test gives them


class Upstream:
    """Answers each key by its script, step by step (the last one repeats); unscripted keys after `delay`."""

    def __init__(
        self, delay: float = 1.0, scripts: Mapping[str, Iterable[Step]] | None = None, **more: Iterable[Step]
    ) -> None:
        self.delay = delay
        self.scripts = {key: list(steps) for key, steps in {**(scripts or {}), **more}.items()}
        self.started: list[tuple[float, str]] = []
        self.closed: list[tuple[float, str]] = []
        """Calls that were cancelled, with the time."""
        self.in_flight = self.most = 0

    async def ask(self, job: Job) -> Answer:
        self.started.append((anyio.current_time(), job.key))
        self.in_flight += 1
        self.most = max(self.most, self.in_flight)
        try:
            return await self._answer(job.key)
        except anyio.get_cancelled_exc_class():
            self.closed.append((anyio.current_time(), job.key))
            raise
        finally:
            self.in_flight -= 1

    async def _answer(self, key: str) -> Answer:
        steps = self.scripts.get(key)
        delay, result = (steps.pop(0) if len(steps) > 1 else steps[0]) if steps else (self.delay, key)
        await anyio.sleep(delay)
        if isinstance(result, Exception):
            raise result
        return Answer(result, "m")


class Boom(BackendError):
    """A failure that no rule tries again."""


def perform(
    upstream: Upstream, todo: Sequence[Job], how: Plan | None = None, limits: Limits | None = None
) -> tuple[list[Outcome], float]:
    """Run in virtual time; return outcomes and the seconds they took."""

    async def main() -> tuple[list[Outcome], float]:
        got = await run(todo, upstream.ask, how or plan(), limits or Limits(50))
        return got, trio.current_time()

    return virtually(main)


def two_agree(outcomes: Sequence[Outcome], outstanding: Collection[str]) -> str:
    said = [outcome.answer.text for outcome in outcomes if outcome.answer]
    return "two agree" if any(said.count(text) >= 2 for text in said) else ""
