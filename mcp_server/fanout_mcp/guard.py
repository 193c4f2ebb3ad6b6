"""No call can take the server down: whatever a tool raises becomes an error result that says what to do.

| what a tool does | what the caller reads |
|---|---|
| raises FanoutError | its sentence |
| is really cancelled (the client, a signal, end of input) | nothing: the cancellation goes on |
| lets somebody else's CancelledError escape | "cancelled from inside" |
| runs out of memory or stack | that, and that the server goes on |
| raises an OSError | what the system refused, and on which file |
| raises an ExceptionGroup | the first FanoutError in it, else as any defect |
| raises anything else, SystemExit too | that it is a defect, and the file that holds its trace |

No exception's name reaches the model; the trace goes to stderr and into that file (fanout_hooks/crash.py).

A plain SDK server dies of the second half of this table.
"""

from __future__ import annotations

import asyncio
import logging
import os
from collections.abc import Awaitable, Callable
from typing import TypeVar

import anyio

from fanout_hooks.crash import explain
from fanout_mcp.errors import FanoutError
from fanout_mcp.services import ToolResult

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
        if _is_real_cancellation(problem, before):
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


def _is_real_cancellation(problem: BaseException, before: int) -> bool:
    return find(problem, asyncio.CancelledError) is not None and _cancellations() > before


def _cancellations() -> int:
    """How often somebody asked the current task to stop. A CancelledError without a request is foreign.

    On trio every cancellation is a request: it has no foreign ones.
    """
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return -1
    return task.cancelling() if task is not None else 0
