"""A connection pool whose answers come from a script, in virtual time: the HTTP backend without sockets."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass, field
from typing import Any, Final

import anyio
import httpcore2

from fanout_mcp.backends.http import HttpBackend, row_of
from fanout_mcp.state.settings import Settings

STREAM: Final = "text/event-stream"


@dataclass(frozen=True)
class Sent:
    """One answer: after so many seconds, these parts, a moment apart."""

    parts: Sequence[bytes] = ()
    status: int = 200
    kind: str = STREAM
    delay_s: float = 0.0
    headers: Sequence[tuple[bytes, bytes]] = ()
    error: type[Exception] | None = None
    """Raised after the parts, or instead of an answer where there are none."""


@dataclass
class WirePool:
    """Answers each request by `script`, which gets its body."""

    script: Callable[[dict[str, Any]], Sent]
    asked: list[dict[str, Any]] = field(default_factory=list)

    async def handle_async_request(self, request: httpcore2.Request) -> httpcore2.Response:
        body = json.loads(b"".join([part async for part in request.stream]) or b"{}")  # type: ignore[union-attr]
        if not body:  # the list of models
            return httpcore2.Response(200, headers=[], content=_parts(Sent([b'{"data": []}'])))
        self.asked.append(body)
        sent = self.script(body)
        await anyio.sleep(sent.delay_s)
        if sent.error is not None and not sent.parts:
            raise sent.error("scripted")
        headers = [(b"Content-Type", sent.kind.encode()), *sent.headers]
        return httpcore2.Response(sent.status, headers=headers, content=_parts(sent))


async def _parts(sent: Sent) -> AsyncIterator[bytes]:
    for part in sent.parts:
        await anyio.sleep(0.001)
        yield part
    if sent.error is not None:
        raise sent.error("scripted")


def wired(settings: Settings, pool: WirePool) -> HttpBackend:
    """Return the HTTP backend over this pool."""
    return HttpBackend(settings, pool, [], row_of("http://provider.test/v1"))  # type: ignore[arg-type]
