"""What errors of the HTTP library mean: each becomes the most specific of ours, with no request in it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

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
        raise leaf(f"{self.host}: {SAID.get(leaf, 'the connection failed')} ({name}).") from None
