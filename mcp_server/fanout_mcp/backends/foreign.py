"""What errors of the HTTP library mean: each becomes the most specific of ours, with no request in it."""

from __future__ import annotations

import os
import socket
import ssl
from collections.abc import Iterator, Mapping
from typing import Final

import anyio
import httpcore2

from fanout_mcp.errors import BackendError, BadAnswer, DeadlineExceeded, Rejected, Unreachable

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


class Mapped:
    """Turns errors of the HTTP client into ours. `from None`: theirs carry the request, and it the key."""

    def __init__(self, host: str) -> None:
        self.host = host

    def __enter__(self) -> None: ...

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, _: object) -> None:
        if not isinstance(error, CORE_ERRORS):
            return
        name = type(error).__name__
        leaf = FOREIGN.get(name, Unreachable)
        if name == "RemoteProtocolError" and any(word in str(error) for word in ("disconnected", "closed")):
            leaf = Unreachable
        cause = cause_of(error)
        raise leaf(
            f"{self.host}: {SAID.get(leaf, 'the connection failed')}{f' ({cause})' if cause else ''}."
        ) from None


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
