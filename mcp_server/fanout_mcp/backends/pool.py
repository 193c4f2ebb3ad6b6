"""A transport for many calls at once: what it does per call does not grow with the connections it holds.

The stock pool looks at every connection on each call and each release; from about 100 calls in flight its
own work shows in the wall time. Here each origin has a stack of idle connections: take the one used last
(its TLS session is the warmest), put it back when its answer was read to the end, else close it. A semaphore
caps the connections. Foreign errors pass as they are: openai_http maps them by name.
"""

from __future__ import annotations

import ssl
from collections import defaultdict
from collections.abc import AsyncIterator
from typing import Final

import anyio
import httpcore2
import httpx2

KEEP_S: Final = 60.0
"""Idle connections are reused so long: rounds of a council and retries find them warm."""

CLOSE_S: Final = 0.5
"""For a polite TLS end; a peer that does not answer it must not hold a cancelled call."""


class FastPool(httpx2.AsyncBaseTransport):
    def __init__(self, ssl_context: ssl.SSLContext, max_connections: int = 1024) -> None:
        self._ssl_context = ssl_context
        self._slots = anyio.Semaphore(max_connections)
        self._idle: dict[str, list[httpcore2.AsyncHTTPConnection]] = defaultdict(list)

    async def handle_async_request(self, request: httpx2.Request) -> httpx2.Response:
        url = request.url
        core = httpcore2.Request(
            method=request.method,
            url=httpcore2.URL(scheme=url.raw_scheme, host=url.raw_host, port=url.port, target=url.raw_path),
            headers=request.headers.raw,
            content=request.stream,
            extensions=request.extensions,
        )
        await self._slots.acquire()
        try:
            connection = await self._take(core.url.origin)
        except BaseException:
            self._slots.release()
            raise
        try:
            response = await connection.handle_async_request(core)
        except BaseException:
            await self._put_back(core.url.origin, connection)
            raise
        stream = _Body(self, core.url.origin, connection, response)
        return httpx2.Response(
            response.status, headers=response.headers, stream=stream, extensions=response.extensions
        )

    async def _take(self, origin: httpcore2.Origin) -> httpcore2.AsyncHTTPConnection:
        idle = self._idle[str(origin)]
        while idle:
            connection = idle.pop()
            if connection.is_idle() and not connection.has_expired() and not _has_unread(connection):
                return connection
            await _close(connection)
        return httpcore2.AsyncHTTPConnection(
            origin=origin, ssl_context=self._ssl_context, keepalive_expiry=KEEP_S
        )

    async def _put_back(self, origin: httpcore2.Origin, connection: httpcore2.AsyncHTTPConnection) -> None:
        try:
            if connection.is_idle():
                self._idle[str(origin)].append(connection)
            else:
                await _close(connection)
        finally:
            self._slots.release()

    async def aclose(self) -> None:
        for idle in self._idle.values():
            while idle:
                await _close(idle.pop())


def _has_unread(connection: httpcore2.AsyncHTTPConnection) -> bool:
    """Whether bytes came after the answer: they would become the answer to the next question.

    What comes later still, when the next question is already out, nobody can tell from its answer.
    """
    inner = getattr(connection, "_connection", None)
    state = getattr(inner, "_h11_state", None)
    return state is not None and bool(state.trailing_data[0])


async def _close(connection: httpcore2.AsyncHTTPConnection) -> None:
    with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSE_S):
        await connection.aclose()


class _Body(httpx2.AsyncByteStream):
    """The answer's bytes; closing it gives the connection back, at once also when the call is cancelled."""

    def __init__(
        self,
        pool: FastPool,
        origin: httpcore2.Origin,
        connection: httpcore2.AsyncHTTPConnection,
        response: httpcore2.Response,
    ) -> None:
        self._pool = pool
        self._origin = origin
        self._connection = connection
        self._response = response
        self._parts = response.aiter_stream()
        self._is_open = True

    def __aiter__(self) -> AsyncIterator[bytes]:
        return self._parts

    async def aclose(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        with anyio.CancelScope(shield=True):
            try:
                with anyio.move_on_after(CLOSE_S):
                    await self._parts.aclose()
                    await self._response.aclose()
            finally:
                await self._pool._put_back(self._origin, self._connection)  # noqa: SLF001 - one idea, two classes
