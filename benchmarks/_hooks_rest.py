"""The hooks beside other work, at rest, and their log under many writers."""

from __future__ import annotations

import json
import logging
import multiprocessing
import os
import shutil
import statistics
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import anyio
from mcp import Client
from mcp.client.stdio import StdioServerParameters

from benchmarks._hooks_lost import arguments_of
from benchmarks._packages import from_pypi
from benchmarks._stage import SERVE, environment, provider, stream
from benchmarks.table import Row
from fakes.sandbox import PYTHON, Sandbox, pre_tool_use
from fanout_hooks.log import append as log_append
from fanout_hooks.run import claims

WRITERS, LINES = 8, 10_000
EVENTS = 100
STREAMS = 50
CORPUS = Path(__file__).parent / "corpus" / "python"
REST_S = 5.0


def rows(top: Path) -> Iterator[Row]:
    yield log(top / "log")
    yield from stream(lambda: beside_other_work(top / "load"))


# --- the log ------------------------------------------------------------------------------------------------


def _write(path: str, writer: int) -> None:
    for number in range(LINES):
        log_append.append(path, {"writer": writer, "number": number, "fill": "x" * 300})


def log(folder: Path) -> Row:
    path = folder / "hook_performance.jsonl"
    context = multiprocessing.get_context("spawn")
    started = [context.Process(target=_write, args=(str(path), writer)) for writer in range(WRITERS)]
    for process in started:
        process.start()
    for process in started:
        process.join()
    whole = {(row["writer"], row["number"]) for row in map(json.loads, path.read_text().splitlines())}
    figure = f"{len(whole):,} whole lines of {WRITERS * LINES:,}"
    return Row(
        f"log: {WRITERS} writers x {LINES:,} lines", figure, "", "all whole", len(whole) == WRITERS * LINES
    )


# --- a server with hooks ------------------------------------------------------------------------------------


async def beside_other_work(folder: Path) -> AsyncIterator[Row]:
    """Measure events through the server: at rest, then while it reviews Django with 50 streams open."""
    logging.getLogger("client").setLevel(logging.ERROR)  # it calls a tool that is not listed
    sandbox = Sandbox(folder)
    hooks = [{"type": "command", "command": f"{PYTHON} {path}"} for path in sorted(CORPUS.iterdir())]
    sandbox.hooks("PreToolUse", *hooks)
    shutil.copytree(from_pypi("django", "5.2.8") / "django", sandbox.project / "django")
    with provider(30.0) as upstream:
        env = environment(folder, CLAUDE_PROJECT_DIR=str(sandbox.project), FANOUT_BASE_URL=upstream.url)
        command = StdioServerParameters(
            command=sys.executable, args=list(SERVE), env=env, cwd=sandbox.project
        )
        async with Client(command) as client:
            idle = await _events(client, sandbox, 0)
            yield await _rest()
            async with anyio.create_task_group() as tasks:
                for number in range(STREAMS):
                    asked = {"question": f"Is it {number}?", "personas": ["oracle"]}
                    tasks.start_soon(client.call_tool, "oracle_batch", asked)
                tasks.start_soon(_review_again_and_again, client)
                await anyio.sleep(1.0)
                busy = await _events(client, sandbox, EVENTS)
                streams = len(upstream.log())
                tasks.cancel_scope.cancel()
    one, other = (statistics.quantiles(some, n=20)[-1] * 1000 for some in (idle, busy))
    what = f"warm event, p95, during a review of Django and {streams} open streams"
    yield Row(what, f"{other:.1f} ms", f"idle {one:.1f} ms", "<= 2 x idle", other <= 2 * one)


async def _review_again_and_again(client: Client) -> None:
    while True:
        done = await client.call_tool("batch_review", {"patterns": ["django"], "engine": "static"})
        assert not done.is_error, done.content


async def _events(client: Client, sandbox: Sandbox, first: int) -> list[float]:
    """Return the seconds of warm events, but for the first ones."""
    return (await some_events(client, sandbox, EVENTS, first))[5:]


async def some_events(client: Client, sandbox: Sandbox, count: int, first: int = 0) -> list[float]:
    """Run events through a server and return the seconds of each."""
    took = []
    for number in range(count):
        event = sandbox.here(pre_tool_use(f"echo {number}", tool_use_id=f"toolu_{first + number}"))
        began = time.perf_counter()
        await client.call_tool("run_hooks", arguments_of(event))
        took.append(time.perf_counter() - began)
    return took


async def _rest() -> Row:
    """Return what the supervisor, the zygote and the worker hold, and what they use when nothing happens."""
    held, count, used = await held_by()
    figure = f"{held:.0f} MB in {count} processes, {used * 1000:.0f} ms of CPU in {REST_S:.0f} s"
    return Row(
        "supervisor, zygote and one worker at rest", figure, "", "< 40 MB, no CPU", held < 40 and used == 0
    )


async def held_by() -> tuple[float, int, float]:
    """Return what the hooks' processes hold at rest: megabytes, their number, CPU seconds in REST_S."""
    await anyio.sleep(claims.WARM_CLAIM_S + 2)  # what follows an event is over
    pids = [pid for server in _children(os.getpid()) for pid in _descendants(server)]
    before = sum(map(_ticks, pids))
    await anyio.sleep(REST_S)
    used = (sum(map(_ticks, pids)) - before) / os.sysconf("SC_CLK_TCK")
    return sum(map(_pss_mb, pids)), len(pids), used


def _children(pid: int) -> list[int]:
    found: list[int] = []
    for thread in Path(f"/proc/{pid}/task").glob("*/children"):
        found += map(int, thread.read_text().split())
    return found


def _descendants(pid: int) -> list[int]:
    own = [
        child for child in _children(pid) if b"fanout_hooks" in Path(f"/proc/{child}/cmdline").read_bytes()
    ]
    return own + [one for child in own for one in _descendants(child)]


def _ticks(pid: int) -> int:
    return sum(map(int, Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[11:13]))


def _pss_mb(pid: int) -> float:
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return sum(int(one.split()[1]) for one in lines if one.startswith("Pss:")) / 1024
