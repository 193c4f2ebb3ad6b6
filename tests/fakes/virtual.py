"""Virtual time: a clock that jumps to the next event; a test of minutes takes milliseconds and is exact."""

from __future__ import annotations

import math
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio.to_thread
import trio
from trio.testing import MockClock

T = TypeVar("T")


class _StillWhileThreadsWork(trio.abc.Instrument):
    """A thread's work takes no virtual time: without this the clock jumps on while one reads a file."""

    def __init__(self, clock: MockClock, threads: anyio.CapacityLimiter) -> None:
        self.clock, self.threads = clock, threads

    def after_task_step(self, task: trio.lowlevel.Task) -> None:
        self.clock.autojump_threshold = math.inf if self.threads.borrowed_tokens else 0


def virtually(main: Callable[[], Awaitable[T]]) -> T:
    """Run an asynchronous function on a clock that starts at 0 and jumps whenever all tasks wait."""
    clock = MockClock(autojump_threshold=0)

    async def stilled() -> T:
        threads = anyio.to_thread.current_default_thread_limiter()
        trio.lowlevel.add_instrument(_StillWhileThreadsWork(clock, threads))
        return await main()

    return trio.run(stilled, clock=clock)
