"""Redaction of foreign text away from the server's loop: in a worker process once it is over SMALL.

A hostile file or answer then costs a worker its time limit. Cancels, deadlines and hook events are obeyed
meanwhile, which a thread that holds the interpreter's lock would not allow.
"""

from __future__ import annotations

import threading
from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import anyio.to_thread

from fanout_mcp.source.secrets import redact
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.types import Json

SMALL: Final = 64_000
"""Characters that are redacted where they are: the slowest text that is known takes 0.3 s a megabyte."""

REDACT: Final = "fanout_mcp.source.scrub:redact_item"
T = TypeVar("T")
Scrubbed = tuple[str, int]
"""The text, and how many secrets were taken out."""


def redact_item(item: Json) -> Json:
    """`[path, text]` -> `[text, count]`; the function that workers are asked for."""
    path, text = item
    return list(redact(text, path))


def scrub(
    workers: Workers | None, texts: Sequence[tuple[str, str]], stop: threading.Event | None = None
) -> list[Scrubbed | Failure]:
    """Redact texts given as (path, text), in their order, for a thread that may wait; `stop` ends it early.

    A Failure's text must not leave. Without workers all is done where it is.
    """
    if workers is None or sum(len(text) for _, text in texts) <= SMALL:
        return [redact(text, path) for path, text in texts]
    results = workers.map_now(REDACT, [list(one) for one in texts], stop=stop)
    return [result if isinstance(result, Failure) else (result[0], result[1]) for _, result in results]


async def in_thread(work: Callable[[threading.Event], T]) -> T:
    """Run in a thread that a cancel leaves behind at once, with the event that stops its workers."""
    stop = threading.Event()
    try:
        return await anyio.to_thread.run_sync(lambda: work(stop), abandon_on_cancel=True)
    finally:
        stop.set()
