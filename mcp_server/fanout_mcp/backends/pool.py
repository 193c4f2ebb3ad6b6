"""Connections to one origin for many calls at once: what a call costs does not grow with the open ones.

The stock pool looks at every connection on each call and each release; from about 100 calls in flight its
own work shows in the wall time. Here idle connections are a stack: take the one used last (its TLS session is
the warmest), put it back when its answer was read to the end, else close it; whoever puts one back closes
those at the bottom that are too old or that the server has left. A semaphore caps the connections. Foreign
errors pass as they are: openai_http maps them by name.
"""

from __future__ import annotations

import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator
from types import TracebackType
from typing import Final, Self, cast

import anyio
import httpcore2

from fanout_mcp.backends.sockets import Sockets

KEEP_S: Final = 60.0
"""Idle connections are reused so long: rounds of a council and retries find them warm."""

CLOSE_S: Final = 0.5
"""For a polite TLS end; a peer that does not answer it must not hold a cancelled call."""


class FastPool:
    """The same two methods as httpcore2's own pools."""

    def __init__(
        self, origin: httpcore2.Origin, ssl_context: ssl.SSLContext, max_connections: int = 1024
    ) -> None:
        self._origin = origin
        self._ssl_context = ssl_context
        self._slots = anyio.Semaphore(max_connections, fast_acquire=True)
        self._idle: deque[httpcore2.AsyncHTTPConnection] = deque()
        self._sockets = Sockets()

    @property
    def idle(self) -> int:
        """Connections that wait for a call."""
        return len(self._idle)

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        await self._slots.acquire()
        try:
            connection = await self._take()
        except BaseException:
            self._slots.release()
            raise
        try:
            response = await connection.handle_async_request(request)
        except BaseException:
            await self._put_back(connection)
            raise
        return httpcore2.Response(
            response.status, headers=response.headers, content=_Body(self, connection, response)
        )

    async def _take(self) -> httpcore2.AsyncHTTPConnection:
        while self._idle:
            connection = self._idle.pop()
            if connection.is_idle() and not connection.has_expired() and not _has_unread(connection):
                return connection
            await _close(connection)
        return httpcore2.AsyncHTTPConnection(
            origin=self._origin,
            ssl_context=self._ssl_context,
            keepalive_expiry=KEEP_S,
            network_backend=self._sockets,
        )

    async def _put_back(self, connection: httpcore2.AsyncHTTPConnection) -> None:
        try:
            if connection.is_idle():
                self._idle.append(connection)
            else:
                await _close(connection)
            while self._idle and self._idle[0].has_expired():
                await _close(self._idle.popleft())
        finally:
            self._slots.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._idle:
            await _close(self._idle.pop())


def _has_unread(connection: httpcore2.AsyncHTTPConnection) -> bool:
    """Whether bytes came after the answer: they would become the answer to the next question.

    What comes later still, when the next question is already out, nobody can tell from its answer.
    """
    inner = getattr(connection, "_connection", None)
    state = getattr(inner, "_h11_state", None)
    return state is not None and bool(state.trailing_data[0])


async def _close(connection: httpcore2.AsyncHTTPConnection) -> None:
    with anyio.move_on_after(CLOSE_S, shield=True):
        await connection.aclose()


class _Body:
    """The answer's bytes; closing it gives the connection back, at once also when the call is cancelled."""

    def __init__(
        self, pool: FastPool, connection: httpcore2.AsyncHTTPConnection, response: httpcore2.Response
    ) -> None:
        self._pool = pool
        self._connection = connection
        self._response = response
        # Not through the response: that is one more generator for every part.
        self._parts = cast("AsyncGenerator[bytes]", aiter(cast("AsyncIterable[bytes]", response.stream)))
        self._is_open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts

    async def aclose(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        try:
            # Neither waits: what was not read to its end shields its own closing. When we are cancelled just
            # here, the connection is not idle, and is closed below.
            await self._parts.aclose()
            await self._response.aclose()
        finally:
            await self._pool._put_back(self._connection)  # noqa: SLF001 - one idea, two classes
