"""Connections to one origin for many calls at once: what a call costs does not grow with the open ones.

The stock pool looks at every connection on each call and each release; from about 100 calls in flight its
own work shows in the wall time. Here idle connections are a stack: take the one used last (its TLS session is
the warmest), put it back when its answer was read to the end, else close it; putting one back closes
those at the bottom that are too old or that the server has left. A semaphore caps the connections.
"""

from __future__ import annotations

import os
import select
import socket
import ssl
import time
from collections import deque
from collections.abc import AsyncGenerator, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from types import TracebackType
from typing import Final, Protocol, Self, cast

import anyio
import h11
import httpcore2
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

from fanout_mcp.errors import BackendError, BadAnswer, DeadlineExceeded, Rejected, Unreachable

# --- One connection: h11 knows the protocol, what is here moves its bytes. ----------------------------------
# httpcore2's own starts a timer for each read and write, takes locks, and sends the head and the body of a
# request apart. A call of ours has one deadline around it already and its connection to itself, so only
# connecting has a timer, and a request is one packet and one system call.

MAX: Final = 2**18
"""Bytes a read, as asyncio gives them; a smaller read leaves some behind where no poll sees them."""
MAX_HEAD: Final = 100 * 1024
BROKEN: Final = (anyio.BrokenResourceError, anyio.ClosedResourceError, ssl.SSLError)
KEEP_S: Final = 60.0
"""Idle connections are reused so long: rounds of a council and retries find them warm."""
CLOSE_S: Final = 0.5
"""For a polite TLS end; a peer that does not answer it must not hold a cancelled call."""


class Connection:
    def __init__(self, stream: ByteStream) -> None:
        self._stream = stream
        self._h11 = h11.Connection(h11.CLIENT, MAX_HEAD)
        self._poll = select.poll()
        self._poll.register(stream.extra(SocketAttribute.raw_socket), select.POLLIN)  # noqa: S610 - no Django
        self._until = 0.0

    async def ask(self, request: httpcore2.Request) -> h11.Response:
        """Send a request and return the head of its answer."""
        head = h11.Request(method=request.method, target=request.url.target, headers=request.headers)
        content = map(h11.Data, cast("Iterable[bytes]", request.stream))
        data = b"".join([self._h11.send(event) or b"" for event in (head, *content, h11.EndOfMessage())])
        with suppress(*BROKEN):  # a server that stops listening may have answered first: reading tells
            await self._stream.send(data)
        while not isinstance(event := await self._event(), h11.Response):
            pass  # hints before the answer; h11 refuses an upgrade
        return event

    async def parts(self) -> AsyncGenerator[bytes]:
        while isinstance(event := await self._event(), h11.Data):
            yield bytes(event.data)

    async def _event(self) -> h11.Event | type[h11.PAUSED]:
        while True:
            event = self._h11.next_event()
            if event is not h11.NEED_DATA:
                return cast("h11.Event | type[h11.PAUSED]", event)
            data = b""
            with suppress(anyio.EndOfStream):
                data = await self._stream.receive(MAX)
            if not data and self._h11.their_state is h11.SEND_RESPONSE:
                raise h11.RemoteProtocolError("disconnected without an answer")
            self._h11.receive_data(data)

    def rest(self) -> bool:
        """Get ready for the next request; False where this answer was not read to its end.

        Nor where bytes came after it: they would become the next one's answer. What comes later still, when
        the next question is already out, can't be distinguished from its answer.
        """
        if (self._h11.our_state, self._h11.their_state) != (h11.DONE, h11.DONE) or self._h11.trailing_data[0]:
            return False
        if not self._is_tls_empty():
            return False
        self._h11.start_next_cycle()
        self._until = time.monotonic() + KEEP_S
        return True

    def _is_tls_empty(self) -> bool:
        """Whether no record is left that was received but not read: neither h11 nor the poll sees those.

        A byte that this takes is not missed: the connection is closed then.
        """
        tls = self._stream.extra(TLSAttribute.ssl_object, None)  # noqa: S610 - no Django
        if tls is None:
            return True
        try:
            tls.read(1)
        except ssl.SSLWantReadError:
            return True
        except ssl.SSLError:
            return False
        return False  # data, or the end of the session

    def is_stale(self) -> bool:
        """Whether it waited for too long, or the server ended it or sent unrequested bytes."""
        return time.monotonic() > self._until or bool(self._poll.poll(0))

    async def close(self) -> None:
        with anyio.move_on_after(CLOSE_S, shield=True):
            await self._stream.aclose()


async def connected(origin: httpcore2.Origin, context: ssl.SSLContext, seconds: float | None) -> Connection:
    host = origin.host.decode("ascii")
    try:
        with anyio.fail_after(seconds):
            stream: ByteStream = await anyio.connect_tcp(host, origin.port)
            if origin.scheme == b"https":
                try:
                    stream = await TLSStream.wrap(
                        stream, hostname=host, ssl_context=context, standard_compatible=False
                    )
                except BaseException:
                    await anyio.aclose_forcefully(stream)
                    raise
    except TimeoutError as error:
        raise httpcore2.ConnectTimeout(str(error)) from error
    except (OSError, anyio.EndOfStream, *BROKEN) as error:  # the other end may close in the handshake
        raise httpcore2.ConnectError(str(error)) from error
    return Connection(stream)


# --- pool ------------------------------------------------------------------------------------------


class Response(Protocol):
    """What is used of httpcore2's response, whose making takes time."""

    @property
    def status(self) -> int: ...
    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]: ...
    @property
    def stream(self) -> object:
        """Its bytes: an AsyncIterable where an asynchronous pool answered."""

    async def aclose(self) -> None: ...


class FastPool:
    """The same method as httpcore2's own pools."""

    def __init__(
        self, origin: httpcore2.Origin, ssl_context: ssl.SSLContext, max_connections: int = 1024
    ) -> None:
        self._origin = origin
        self._ssl_context = ssl_context
        ssl_context.set_alpn_protocols(["http/1.1"])
        self._slots = anyio.Semaphore(max_connections, fast_acquire=True)
        self._idle: deque[Connection] = deque()

    @property
    def idle(self) -> int:
        return len(self._idle)

    async def handle_async_request(self, request: httpcore2.Request) -> Response:
        await self._slots.acquire()
        connection: Connection | None = None
        try:
            connection = await self._take(request.extensions["timeout"]["connect"])
            head = await connection.ask(request)
        except BaseException:
            await self._put_back(connection)
            raise
        return _Answer(self, connection, head)

    async def _take(self, seconds: float | None) -> Connection:
        while self._idle:
            connection = self._idle.pop()
            if not connection.is_stale():
                return connection
            await connection.close()
        return await connected(self._origin, self._ssl_context, seconds)

    async def _put_back(self, connection: Connection | None) -> None:
        try:
            if connection is not None and connection.rest():
                self._idle.append(connection)
            elif connection is not None:
                await connection.close()
            while self._idle and self._idle[0].is_stale():
                await self._idle.popleft().close()
        finally:
            self._slots.release()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        while self._idle:
            await self._idle.pop().close()


class _Answer:
    """Closing it gives the connection back, at once also when the call is cancelled."""

    def __init__(self, pool: FastPool, connection: Connection, head: h11.Response) -> None:
        self._pool, self._connection = pool, connection
        self.status = head.status_code
        self.headers = head.headers.raw_items()
        self.stream = connection.parts()
        self._is_open = True

    async def aclose(self) -> None:
        if not self._is_open:
            return
        self._is_open = False
        try:
            await self.stream.aclose()
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
"""By name: h11 and httpcore2 nest their classes otherwise than we do. Any other error is Unreachable."""

CORE_ERRORS: Final = (
    httpcore2.ProtocolError,
    httpcore2.NetworkError,
    httpcore2.TimeoutException,
    httpcore2.ProxyError,
    httpcore2.UnsupportedProtocol,
    h11.ProtocolError,
    *BROKEN,
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
        found = cause_of(error)
        problem = leaf(f"{host}: {SAID[leaf]}{f' ({found})' if found else ''}.")
        problem.words = found
        raise problem from None


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
