"""Connections to one origin for many calls at once: what a call costs does not grow with the open ones.

The stock pool looks at every connection on each call and each release; from about 100 calls in flight its
own work shows in the wall time. Here idle connections are a stack: take the one used last (its TLS session is
the warmest), put it back when its answer was read to the end, else close it; putting one back closes
those at the bottom that are too old or that the server has left. A semaphore caps the connections. Foreign
errors pass as they are: openai_http maps them by name.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
from collections import deque
from collections.abc import AsyncGenerator, AsyncIterable, AsyncIterator, Iterable, Iterator, Mapping
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Any, Final, Self, cast

import anyio
import httpcore2
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from fanout_mcp.errors import BackendError, BadAnswer, DeadlineExceeded, Rejected, Unreachable

# --- The sockets below httpcore2's connections, with less to do for each call than its own. -----------------
# Its own start a timer for each read and write, and send the head and the body of a request apart. A call of
# ours has one deadline around it already, so only connecting has a timer here; and what is written waits for
# the read that always follows, so that a request is one packet and one system call.

MAX: Final = 2**18
"""Bytes a read, as asyncio gives them; a smaller read leaves some behind where no poll sees them."""
BROKEN: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError)


class Sockets(httpcore2.AsyncNetworkBackend):
    """Opens them, on asyncio and trio alike."""

    async def connect_tcp(
        self,
        host: str,
        port: int,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
        local_address: str | None = None,
        socket_options: Iterable[Any] | None = None,  # noqa: ARG002 - we set none
    ) -> httpcore2.AsyncNetworkStream:
        with _connecting(timeout):
            return Socket(await anyio.connect_tcp(host, port, local_host=local_address))


class Socket(httpcore2.AsyncNetworkStream):
    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._unsent: list[bytes] = []
        self._poll = select.poll()
        self._poll.register(stream.extra(SocketAttribute.raw_socket), select.POLLIN)  # noqa: S610 - no Django

    async def read(self, max_bytes: int, timeout: float | None = None) -> bytes:  # noqa: ARG002, ASYNC109
        try:
            if self._unsent:
                await self._send()
            return await self._stream.receive(MAX)
        except anyio.EndOfStream:
            return b""
        except BROKEN as error:
            raise httpcore2.ReadError(str(error)) from error

    async def write(self, buffer: bytes, timeout: float | None = None) -> None:  # noqa: ARG002, ASYNC109
        self._unsent.append(buffer)

    async def _send(self) -> None:
        """Send what was written. A server that stops listening may have answered first: reading tells."""
        whole = b"".join(self._unsent)
        self._unsent.clear()
        with suppress(*BROKEN):
            await self._stream.send(whole)

    async def aclose(self) -> None:
        await self._stream.aclose()

    async def start_tls(
        self,
        ssl_context: ssl.SSLContext,
        server_hostname: str | None = None,
        timeout: float | None = None,  # noqa: ASYNC109 - httpcore2's signature
    ) -> httpcore2.AsyncNetworkStream:
        try:
            with _connecting(timeout):
                wrapped = await TLSStream.wrap(
                    self._stream, hostname=server_hostname, ssl_context=ssl_context, standard_compatible=False
                )
        except BaseException:
            await anyio.aclose_forcefully(self._stream)
            raise
        return Socket(wrapped)

    def get_extra_info(self, info: str) -> Any:
        if info == "ssl_object":
            return self._stream.extra(TLSAttribute.ssl_object, None)  # noqa: S610 - as above
        if info == "is_readable":  # of an idle one: it ended, or sent unrequested bytes
            return bool(self._poll.poll(0))
        return None


@contextmanager
def _connecting(seconds: float | None) -> Iterator[None]:
    try:
        with anyio.fail_after(seconds):
            yield
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(str(error)) from error
    except (OSError, anyio.EndOfStream, *BROKEN) as error:  # the other end may close in the handshake
        raise httpcore2.ConnectError(str(error)) from error


# --- pool ------------------------------------------------------------------------------------------

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

    What comes later still, when the next question is already out, can't be distinguished from its answer.
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


# --- What errors of the HTTP library mean: each becomes the most specific of ours, without the request. -----

FOREIGN: Final[Mapping[str, type[BackendError]]] = {
    "ConnectError": Unreachable,
    "ConnectTimeout": Unreachable,
    "ReadError": Unreachable,
    "WriteError": Unreachable,
    "WriteTimeout": Unreachable,
    "ProxyError": Unreachable,
    "ReadTimeout": DeadlineExceeded,
    "RemoteProtocolError": BadAnswer,
    "DecodingError": BadAnswer,
    "LocalProtocolError": Rejected,
}
"""By name: httpcore2 nests its classes otherwise than we do."""

CORE_ERRORS: Final = (
    httpcore2.ProtocolError,
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
)

SAID: Final[Mapping[type[BackendError], str]] = {
    Unreachable: "no connection, or it broke before the answer was whole",
    DeadlineExceeded: "nothing came for too long",
    BadAnswer: "what came is no HTTP answer",
    Rejected: "the request could not be written",
}


@contextmanager
def mapped(host: str) -> Iterator[None]:
    """Turn errors of the HTTP client into ours. `from None`: theirs carry the request, and it the key."""
    try:
        yield
    except CORE_ERRORS as error:
        name = type(error).__name__
        leaf = FOREIGN.get(name, Unreachable)
        if name == "RemoteProtocolError" and any(word in str(error) for word in ("disconnected", "closed")):
            leaf = Unreachable
        cause = f" ({found})" if (found := cause_of(error)) else ""
        raise leaf(f"{host}: {SAID.get(leaf, 'the connection failed')}{cause}.") from None


def cause_of(error: BaseException) -> str:
    """Return what the system or TLS gave as the reason, in words that name what to look at; else ""."""
    for inner in _chain(error):
        if isinstance(inner, ssl.SSLCertVerificationError):
            return f"TLS: its certificate is not trusted: {inner.verify_message}"
        if isinstance(inner, ssl.SSLError):
            what = inner.reason or "the handshake failed"
            return f"TLS: {what.replace('_', ' ').lower()}; does it serve https on this port?"
        if isinstance(inner, socket.gaierror):
            return "its name can't be resolved"
        if isinstance(inner, TimeoutError) or "ConnectTimeout" in type(inner).__name__:
            return "connecting took too long"
        if isinstance(inner, anyio.EndOfStream):
            return "TLS: the connection was closed in the handshake; does it serve https on this port?"
        if isinstance(inner, OSError) and inner.errno:
            return os.strerror(inner.errno).lower()
    return ""


def _chain(error: BaseException) -> Iterator[BaseException]:
    """Yield the root causes first: what is raised around them says less."""
    below = error.__cause__ or error.__context__
    if below is not None:
        yield from _chain(below)
    if isinstance(error, BaseExceptionGroup):
        for inner in error.exceptions:
            yield from _chain(inner)
    yield error
