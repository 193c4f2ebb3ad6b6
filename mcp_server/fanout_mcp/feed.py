"""Progress to the client: told from any thread, never waited for, sent at most ten times a second."""

from __future__ import annotations

from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable
from contextlib import asynccontextmanager
from typing import Final

import anyio

from fanout_mcp.clean import printable

GAP_S: Final = 0.1
"""A notification costs about 0.2 ms and the client shows one line: ten a second is what an eye can follow."""

STEP: Final = 0.001
"""The protocol wants `progress` to grow strictly; a message without a newly finished job adds this much."""

MAX_MESSAGE: Final = 200
MAX_MESSAGES: Final = 20
"""More in one gap than a line can show: the newest count."""

Send = Callable[[float, float | None, str | None], Awaitable[None]]


class Feed:
    """Collects what workers say, from any thread; `run` sends what a gap brought, at once.

    It looks at the clock instead of being woken: an event belongs to the loop, and a thread that sets it
    wakes nobody.
    """

    def __init__(self, send: Send) -> None:
        self._send = send
        self._sent = -1.0
        self._done = 0
        self._total: int | None = None
        self._messages: deque[str] = deque(maxlen=MAX_MESSAGES)
        self._has_news = False

    def __call__(self, done: int, total: int | None, message: str) -> None:
        self._done, self._total = max(done, self._done), total
        if message:
            self._messages.append(message)
        self._has_news = True

    async def run(self) -> None:
        while True:
            await anyio.sleep(GAP_S)
            await self.flush()

    async def flush(self) -> None:
        """Send what is new, if anything is."""
        if not self._has_news:
            return
        self._has_news = False  # before the look: what is said meanwhile is news for the next gap
        message = _joined([self._messages.popleft() for _ in range(len(self._messages))])
        self._sent = max(float(self._done), self._sent + STEP)
        await self._send(self._sent, self._total, message or None)


def _joined(messages: Iterable[str]) -> str:
    text = printable(" \u00b7 ".join(dict.fromkeys(messages)))
    return text if len(text) <= MAX_MESSAGE else "\u2026" + text[1 - MAX_MESSAGE :]


@asynccontextmanager
async def feeding(send: Send) -> AsyncIterator[Feed]:
    """Yield a feed whose news are sent while the block runs, the last of them before it ends."""
    feed = Feed(send)
    # The one task beside the engine's: it belongs to the client's pipe, which may be slow, not to the work.
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(feed.run)
        yield feed
        tasks.cancel_scope.cancel()
    await feed.flush()
