"""What benchmarks stand on: a fake provider in a process of its own, the real server, a real client."""

from __future__ import annotations

import json
import os
import queue
import statistics
import subprocess
import sys
import tempfile
import threading
import time
import urllib.request
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Sequence
from contextlib import asynccontextmanager, contextmanager
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, TypeVar

import anyio
import httpx2
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from fakes.upstream import Rule
from fanout_mcp.types import Json

ROOT = Path(__file__).parents[1]
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR")
T = TypeVar("T")

SERVE = ("-P", "-m", "fanout_mcp", "serve")


@dataclass(frozen=True)
class Provider:
    """The fake OpenAI-compatible upstream (tests/fakes/upstream.py), asked over HTTP."""

    port: int

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}/v1"

    def rules(self, *rules: Rule) -> None:
        plain = [{**asdict(rule), "data": ""} for rule in rules]  # JSON has no bytes; no benchmark sends any
        self._ask("/_rules", json.dumps(plain).encode())

    def log(self) -> list[dict[str, Any]]:
        """Every request it saw; times are of the machine's monotonic clock."""
        seen: list[dict[str, Any]] = self._ask("/_log")
        return seen

    def _ask(self, path: str, body: bytes | None = None) -> Json:
        with urllib.request.urlopen(f"http://127.0.0.1:{self.port}{path}", body, timeout=10) as answer:
            return json.load(answer)


@contextmanager
def provider(delay: float, allows: int = 0) -> Iterator[Provider]:
    """Run a fake provider that answers after `delay` seconds, and so many times a second (0: any number)."""
    command = [sys.executable, str(ROOT / "tests" / "fakes" / "upstream.py"), "--delay", str(delay)]
    command += ["--allows", str(allows)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        try:
            yield Provider(json.loads(process.stdout.readline())["port"])
        finally:
            process.kill()


def environment(folder: Path, **more: str) -> dict[str, str]:
    """A user's environment without keys and settings, at home in `folder`."""
    kept = {name: os.environ[name] for name in KEPT if name in os.environ}
    return {**kept, "HOME": str(folder), "FANOUT_STATE_DIR": str(folder / ".claude" / "fanout"), **more}


@asynccontextmanager
async def server(**env: str) -> AsyncIterator[Client]:
    """Run the server as a client starts it, in an empty project, warmed by one dry run."""
    with tempfile.TemporaryDirectory(prefix="fanout-bench-") as name:
        folder = Path(name)
        command = StdioServerParameters(
            command=sys.executable, args=list(SERVE), env=environment(folder, **env), cwd=folder
        )
        async with Client(command) as client:
            await client.call_tool("oracle_batch", {"question": "Are you there?", "dry_run": True})
            yield client


async def seconds(work: Callable[[], Awaitable[object]]) -> float:
    began = time.perf_counter()
    await work()
    return time.perf_counter() - began


@asynccontextmanager
async def bare(upstream: Provider, most: int) -> AsyncIterator[Callable[[int], Awaitable[None]]]:
    """Yield what sends so many raw requests at once from one warmed client: the least that can be had."""
    body = {"model": "m", "messages": [{"role": "user", "content": "Is it?"}], "stream": True}
    async with httpx2.AsyncClient(
        timeout=60,
        limits=httpx2.Limits(max_connections=None, max_keepalive_connections=None),
        trust_env=False,
    ) as client:

        async def one() -> None:
            answer = await client.post(f"{upstream.url}/chat/completions", json=body)
            answer.raise_for_status()

        async def many(count: int) -> None:
            async with anyio.create_task_group() as tasks:
                for _ in range(count):
                    tasks.start_soon(one)

        await many(most)
        yield many


async def in_turn(times: int, works: Sequence[Callable[[], Awaitable[object]]]) -> list[float]:
    """Measure several works by turns, so that noise meets all of them; return the median of each.

    A first turn warms everything up and is not counted.
    """
    found: list[list[float]] = [[] for _ in works]
    for number in range(times + 1):
        for place, work in enumerate(works):
            took = await seconds(work)
            if number:
                found[place].append(took)
    return [statistics.median(each) for each in found]


def stream(rows: Callable[[], AsyncIterator[T]]) -> Iterator[T]:
    """Run an asynchronous generator in a thread of its own, and yield what it yields as it comes."""
    found: queue.SimpleQueue[T | BaseException | None] = queue.SimpleQueue()

    async def collect() -> None:
        async for row in rows():
            found.put(row)

    def work() -> None:
        try:
            anyio.run(collect)
        except BaseException as error:  # noqa: BLE001 - raised again where the rows are wanted
            found.put(error)
        else:
            found.put(None)

    threading.Thread(target=work, daemon=True).start()
    while (item := found.get()) is not None:
        if isinstance(item, BaseException):
            raise item
        yield item
