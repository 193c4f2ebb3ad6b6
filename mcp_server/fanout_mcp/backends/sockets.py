"""The sockets below httpcore2's connections, with less to do for each call than its own.

Its own start a timer for each read and write, and send the head and the body of a request apart. A call of
ours has one deadline around it already, so only connecting has a timer here; and what is written waits for
the read that always follows, so that a request is one packet and one system call.
"""

from __future__ import annotations

import select
import ssl
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from typing import Any, Final

import anyio
import httpcore2
from anyio.abc import ByteStream, SocketAttribute
from anyio.streams.tls import TLSAttribute, TLSStream

MOST: Final = 2**18
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
            return await self._stream.receive(MOST)
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
        if info == "is_readable":  # of an idle one: it ended, or sent what nobody asked for
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
