"""Fakes of the engine's tests: upstreams that answer after a time, and count."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping

import anyio

from fanout_mcp.engine.run import Plan
from fanout_mcp.errors import BackendError
from fanout_mcp.types import Answer, Job, Prompt

Step = tuple[float, str | Exception]
"""After so many seconds, this answer or this error."""


def job(key: str, provider: str = "p") -> Job:
    return Job(key, Prompt("", key), provider=provider)


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
