"""Virtual time: a clock that jumps to the next event; a test of minutes takes milliseconds and is exact."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

import trio
from trio.testing import MockClock

T = TypeVar("T")


def virtually(main: Callable[[], Awaitable[T]]) -> T:
    """Run an asynchronous function on a clock that starts at 0 and jumps whenever all tasks wait."""
    return trio.run(main, clock=MockClock(autojump_threshold=0))
