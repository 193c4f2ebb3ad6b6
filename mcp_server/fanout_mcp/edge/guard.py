"""No call can take the server down: whatever a tool raises becomes an error result that says what to do.

| what a tool does | what the caller reads |
|---|---|
| raises FanoutError | its sentence |
| is really cancelled (the client, a signal, end of input) | nothing: the cancellation goes on |
| lets a foreign CancelledError escape | "cancelled from inside" |
| runs out of memory or stack | that, and that the server goes on |
| raises an OSError | what the system refused, and on which file |
| raises an ExceptionGroup | the first FanoutError in it, else as any defect |
| raises anything else, SystemExit too | that it is a defect, and the file that holds its trace |

No exception's name reaches the model; the trace goes to stderr and into that file (fanout_hooks/crash.py).
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections import deque
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager, suppress
from typing import TYPE_CHECKING, Final, TypeVar

import anyio

from fanout_hooks.crash import explain
from fanout_mcp.errors import FanoutError
from fanout_mcp.text import clean, compact, printable
from fanout_mcp.tools.services import ToolResult
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from pathlib import Path

    from mcp.types import CallToolResult


log = logging.getLogger("fanout")

E = TypeVar("E", bound=BaseException)


async def guarded(name: str, call: Callable[[], Awaitable[ToolResult]]) -> ToolResult:
    """Await the call; only a real cancellation passes."""
    before = _cancellations()
    try:
        return await call()
    except anyio.get_cancelled_exc_class():
        if _cancellations() > before:
            raise
        log.exception("%s: a foreign cancellation escaped", name)
        return error(f"{name} was cancelled from inside, which is a defect; calling it again may work.")
    except BaseException as problem:  # the edge: nothing of a call may end the server
        if find(problem, asyncio.CancelledError) is not None and _cancellations() > before:
            raise
        return _explain(name, problem)


def error(sentence: str) -> ToolResult:
    return ToolResult({"error": sentence}, is_error=True)


def _explain(name: str, problem: BaseException) -> ToolResult:
    ours = find(problem, FanoutError)
    if ours is not None:
        return error(str(ours))
    log.error("%s failed", name, exc_info=problem)
    return error(f"{explain(name, _leaf(problem), os.environ)} The server goes on.")


def find(problem: BaseException, kind: type[E]) -> E | None:
    """Return the first error of that kind, inside groups too."""
    if isinstance(problem, kind):
        return problem
    if isinstance(problem, BaseExceptionGroup):
        return next((found for inner in problem.exceptions if (found := find(inner, kind))), None)
    return None


def _leaf(problem: BaseException) -> BaseException:
    while isinstance(problem, BaseExceptionGroup):
        problem = problem.exceptions[0]
    return problem


def _cancellations() -> int:
    """How often the current task was asked to stop. A CancelledError without a request is foreign.

    On trio every cancellation is a request: it has no foreign ones.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return -1
    return task.cancelling() if task is not None else 0


# --- Progress: reported from any thread without waiting, sent to the client at most ten times a second. -----

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
        if not self._has_news:
            return
        self._has_news = False  # before the look: what is reported meanwhile is sent in the next gap
        said = [self._messages.popleft() for _ in range(len(self._messages))]
        message = printable(" \u00b7 ".join(dict.fromkeys(said)))
        if len(message) > MAX_MESSAGE:
            message = "\u2026" + message[1 - MAX_MESSAGE :]
        self._sent = max(float(self._done), self._sent + STEP)
        await self._send(self._sent, self._total, message or None)


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


# --- results ------------------------------------------------------------------------------------------------
# From a tool's result to what goes over the wire: compact, clean, and never longer than the client takes.

MAX_CHARACTERS: Final = 50_000
"""The client shows at most so many of one result, then 2 kB of preview (docs/operations.md)."""

PREVIEW: Final = 2_000


def wire(name: str, result: ToolResult, state: Path | None) -> CallToolResult:
    """Build the SDK's result: one compact JSON, as text and as structure, so that either may be shown.

    A refusal is its sentence alone: the client shows the text of an error, and JSON around it is noise.
    """
    from mcp.types import CallToolResult, TextContent

    data = clean(result.data)
    if result.is_error and isinstance(data, dict) and set(data) == {"error"}:
        return CallToolResult(content=[TextContent(type="text", text=str(data["error"]))], is_error=True)
    if isinstance(data, dict) and "headline" in data:
        data = {"headline": data["headline"], **data}  # the client folds a call to its first line
    text = compact(data)
    if len(text) > MAX_CHARACTERS:
        data = _refused(name, text, state)
        text = compact(data)
    structured = data if isinstance(data, dict) else {"result": data}
    return CallToolResult(
        content=[TextContent(type="text", text=text)], structured_content=structured, is_error=result.is_error
    )


def _refused(name: str, text: str, state: Path | None) -> dict[str, Json]:
    """The last line: tools bound themselves. The work is done and paid for, so the rest is kept in a file."""
    from fanout_mcp.state.folder import write_report

    size = f"The result has {len(text):,} characters, more than the {MAX_CHARACTERS:,} that can be shown."
    report: dict[str, Json] = {}
    do = "It could not be written to a file; ask for less."
    with suppress(OSError):
        if state is not None:
            report = {"report": str(write_report(state, name, "json", text))}
            do = "The report has all of it; read it in parts."
    return {"headline": size, "too_long": f"{size} {do}", **report, "start": text[:PREVIEW]}
