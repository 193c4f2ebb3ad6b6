"""A server whose tools do everything that takes a plain one down; run as a program by the tests."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, Literal, cast

import anyio
from pydantic import BaseModel, ConfigDict, Field

from fanout_mcp.edge.process import main
from fanout_mcp.edge.server import Seams
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import FanoutError, InvalidInput
from fanout_mcp.state import settings
from fanout_mcp.state.settings import Settings
from fanout_mcp.tools.services import Services, Tool, ToolResult
from fanout_mcp.types import Backend, Progress

JOURNAL = Path(os.environ.get("HOSTILE_JOURNAL", os.devnull))


class Nothing(BaseModel):
    model_config = ConfigDict(extra="forbid")


class Order(BaseModel):
    """A bit of everything."""

    model_config = ConfigDict(extra="forbid")

    question: str = Field(default="?", max_length=1000)
    stakes: Literal["exploration", "production", "critical"] = "production"
    count: int = Field(default=1, ge=0)
    weight: float | None = None
    names: list[str] | None = None


Body = Callable[[Services, Any, Progress], Awaitable[ToolResult]]


def note(text: str) -> None:
    with JOURNAL.open("a") as file:
        file.write(text + "\n")


async def echo(_: Services, order: Order, __: Progress) -> ToolResult:
    return ToolResult(order.model_dump())


async def surrogate(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    return ToolResult(
        {"text": "a\ud83db\x00c\x1b]0;title\x07 \u202e", "bad": [float("nan"), float("inf")], 3: b"x"}
    )


async def foreign_cancel(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    raise asyncio.CancelledError


async def cancelled_future(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    future.cancel()
    await future
    return ToolResult({})


async def system_exit(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    sys.exit(3)


async def task_exit(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(_exit)
    return ToolResult({})


async def _exit() -> None:
    raise SystemExit(4)


async def interrupt(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    raise KeyboardInterrupt


async def recursion(services: Services, nothing: Nothing, progress: Progress) -> ToolResult:
    return await recursion(services, nothing, progress)


async def memory(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    raise MemoryError


async def group(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    raise ExceptionGroup("two", [ValueError("x"), InvalidInput("Name a file that exists.")])


async def defect(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    raise ValueError(os.environ.get("HOSTILE_API_KEY", "?"))


async def deep(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    value: Any = "bottom"
    for _level in range(100_000):
        value = [value]
    return ToolResult({"deep": value})


async def huge(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    return ToolResult({"text": "x" * 60_000})


async def prints(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    print('{"jsonrpc":"2.0","id":1,"result":{}}')  # noqa: T201  # the stray print is the test
    os.write(1, b"garbage\n")
    subprocess.run(  # noqa: ASYNC221  # as a careless tool would
        ["sh", "-c", "cat; echo from a child"], check=True
    )
    return ToolResult({"printed": True})


async def noisy(_: Services, __: Nothing, ___: Progress) -> ToolResult:
    for _line in range(5_000):
        sys.stderr.write("x" * 1_000 + "\n")
    return ToolResult({"noisy": True})


async def hang(_: Services, __: Nothing, progress: Progress) -> ToolResult:
    """Wait for ever with a child of its own, and say so in the journal when it is over."""
    child = await asyncio.create_subprocess_exec("sleep", "60", start_new_session=True)
    note(f"child {child.pid}")
    progress(0, 1, "hanging")
    try:
        await anyio.sleep_forever()
    finally:
        note("flushed")
    return ToolResult({})


async def stubborn(_: Services, __: Nothing, progress: Progress) -> ToolResult:
    """Refuse to be cancelled for far longer than the client waits."""
    progress(0, 1, "hanging")
    try:
        await anyio.sleep_forever()
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.sleep(30)
    return ToolResult({})


async def members(_: Services, __: Nothing, progress: Progress) -> ToolResult:
    for number in range(1, 200):
        progress(number, 200, f"member {number}")
        await anyio.sleep(0.002)
    progress(200, 200, "the last member")
    return ToolResult({"done": 200})


BODIES: dict[str, tuple[type[BaseModel], Body]] = {
    "echo": (Order, echo),
    **{
        body.__name__: (Nothing, cast("Body", body))
        for body in (
            surrogate,
            foreign_cancel,
            cancelled_future,
            system_exit,
            task_exit,
            interrupt,
            recursion,
            memory,
            group,
            defect,
            deep,
            huge,
            prints,
            noisy,
            hang,
            stubborn,
            members,
        )
    },
}


def load(name: str) -> Tool[Any]:
    arguments, body = BODIES[name]
    return Tool(name=name, title=name, description=name, arguments=arguments, call=body)


class NoBackend:
    """Nothing of these tools asks a model."""


class Bridge:
    async def handle(self, arguments: dict[str, Any]) -> str:
        if arguments.get("raise"):
            raise FanoutError("the hooks' process is gone")
        return f'{{"event":"{arguments.get("hook_event_name")}"}}'

    async def get_ready(self) -> None:
        pass

    async def close(self) -> None:
        note("bridge closed")


opened: list[Settings] = []


@asynccontextmanager
async def services(chosen: Settings) -> AsyncIterator[Services]:
    opened.append(chosen)
    if os.environ.get("HOSTILE_BACKEND") == "broken" and len(opened) == 1:
        raise OSError("no such backend")
    try:
        yield Services(chosen, cast("Backend", NoBackend()), Limits(chosen.max_parallel))
    finally:
        note("services closed")


if __name__ == "__main__":
    signal.signal(signal.SIGPIPE, signal.SIG_IGN)
    main(
        Seams(
            read_settings=settings.read,
            open=services,
            names=lambda: list(BODIES),
            load=load,
            bridge=Bridge,
        )
    )
