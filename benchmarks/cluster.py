"""Large calls through the queue on Redis: what workers cost and lose, and whom a big batch keeps waiting.

make bench-cluster

Two worker processes, a real Redis on loopback, and a scripted model that takes 50 ms: the figures are those
of the queue, the engine and the cache, without an HTTP client.
"""

from __future__ import annotations

import asyncio
import os
import tempfile
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import AbstractAsyncContextManager, ExitStack, asynccontextmanager, contextmanager
from pathlib import Path
from typing import Final, NamedTuple

import anyio

from benchmarks import _cluster
from benchmarks.table import Row
from fakes.queued import (
    LASTING,
    PLAN,
    Questions,
    ask,
    asked,
    opened,
    process,
    questions,
    settings_in,
    until,
    worker,
)
from fakes.redis_server import MISSING, PROGRAM, RedisServer, redis_server
from fakes.scripted import Reply, Scripted
from fanout_mcp.engine.limits import Limits
from fanout_mcp.journal import open_journal
from fanout_mcp.scale.queue import Queue
from fanout_mcp.state import audit
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Outcome, no_progress

UNITS: Final = 10_000
SOME: Final = 2_000
MANY: Final = 100_000
DELAY_S: Final = 0.05
AT_ONCE: Final = 50
"""Of a worker; the plain engine has twice as many, as two workers have."""
LEASE_S: Final = 5.0
AWAY_S: Final = 4.0


def run() -> Iterator[Row]:
    if PROGRAM is None:
        yield Row("the queue on Redis", f"not measured: {MISSING}")
        return
    yield from _speed()
    yield from _killed("killed with SIGKILL at 40 %", 0.4, DELAY_S)
    yield from _killed("killed with SIGKILL at the tail", 1.0, 0.5)
    yield from _redis_killed()
    yield from _replica_killed()
    yield from _fairness()


class Place(NamedTuple):
    folder: Path
    server: RedisServer
    settings: Settings

    def pids(self) -> list[int]:
        return [int(log.name.partition("-")[2]) for log in self.folder.glob("asked-*")]


@contextmanager
def placed(workers: int, delay_s: float = DELAY_S) -> Iterator[tuple[Place, list[Callable[[], None]]]]:
    """Yield a place with workers, and what kills each of them."""
    with tempfile.TemporaryDirectory() as name, ExitStack() as stack:
        folder = Path(name)
        (folder / "redis").mkdir()
        server = stack.enter_context(redis_server(folder / "redis", appends=True))
        made = [
            stack.enter_context(worker(folder, server.url, delay_s, LEASE_S, AT_ONCE)) for _ in range(workers)
        ]
        place = Place(folder, server, settings_in(folder, server.url, AT_ONCE))
        yield place, [one.kill for one in made]


def cpu_s(pids: list[int]) -> float:
    fields = [Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split() for pid in pids]
    return sum(int(one[11]) + int(one[12]) for one in fields) / os.sysconf("SC_CLK_TCK")


def answered(outcomes: list[Outcome]) -> int:
    return sum(outcome.is_answered for outcome in outcomes)


def _speed() -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        plain_s, plain_ms = asyncio.run(_plain(settings_in(Path(name), None)))
    with placed(2) as (place, _):
        seconds, ms, lost = asyncio.run(_queued(place))
    yield Row(f"{UNITS:,} units, one process", f"{plain_s:.1f} s, {plain_ms:.2f} ms CPU a unit")
    ratio = seconds / plain_s
    yield Row(
        f"{UNITS:,} units, 2 workers over Redis",
        f"{seconds:.1f} s, {ratio:.2f} x, {lost} lost",
        f"{plain_s:.1f} s",
        "1.5 x, 0 lost",
        ratio <= 1.5 and not lost,
    )
    yield Row(
        "CPU a unit of workers, Redis and caller", f"{ms:.2f} ms", f"{plain_ms:.2f} ms", "2 ms", ms <= 2
    )


async def _plain(settings: Settings) -> tuple[float, float]:
    began, cpu = time.monotonic(), time.process_time()
    backend, given = Scripted(default=Reply("fine", DELAY_S)), questions(UNITS)
    async with open_journal(settings, backend, Limits(2 * AT_ONCE), no_progress, UNITS) as journal:
        assert answered(await journal.ask(given, PLAN)) == UNITS
    return time.monotonic() - began, (time.process_time() - cpu) / UNITS * 1e3


async def _queued(place: Place) -> tuple[float, float, int]:
    async with opened(place.settings) as queue:
        await ask(place.settings, queue, questions(AT_ONCE + 1, "warm"))  # whose logs name the workers
        assert place.server.process is not None
        pids = [*place.pids(), place.server.process.pid, os.getpid()]
        began, cpu = time.monotonic(), cpu_s(pids)
        outcomes = await ask(place.settings, queue, questions(UNITS))
        seconds, used = time.monotonic() - began, cpu_s(pids) - cpu
    return seconds, used / UNITS * 1e3, UNITS - answered(outcomes)


class Fault(NamedTuple):
    """What a fault cost. `at`: when it came, by the wall clock; `after_s`: how long the call then took."""

    lost: int
    at: float
    after_s: float


async def _with_fault(place: Place, share: float, fault: Callable[[], Awaitable[None]]) -> Fault:
    outcomes: list[Outcome] = []

    async def call() -> None:
        async with opened(place.settings) as queue:
            outcomes.extend(await ask(place.settings, queue, questions(SOME)))

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        await until(lambda: len(asked(place.folder)) >= share * SOME, 240)
        at = time.time()
        await fault()
    return Fault(SOME - answered(outcomes), at, time.time() - at)


def _killed(what: str, share: float, delay_s: float) -> Iterator[Row]:
    with placed(2, delay_s) as (place, kills):

        async def fault() -> None:
            kills[0]()

        found = asyncio.run(_with_fault(place, share, fault))
        times = asked(place.folder)
    again = len(times) - SOME
    counts = Counter(key for key, _ in times)
    late = max((at - found.at for key, at in times if counts[key] > 1 and at > found.at), default=0.0)
    yield Row(
        f"a worker of 2 {what}: units lost of {SOME:,}",
        f"{found.lost}, {again} repeated",
        f"{AT_ONCE} in flight",
        "0 lost, repeats only what was in flight",
        not found.lost and again <= AT_ONCE,
    )
    bar_s = 1.3 * LEASE_S
    yield Row(
        f"... repeated after, lease {LEASE_S:g} s", f"{late:.1f} s", bar=f"{bar_s:g} s", met=late <= bar_s
    )


def _redis_killed() -> Iterator[Row]:
    with placed(2) as (place, _):

        async def fault() -> None:
            place.server.kill()
            await anyio.sleep(AWAY_S)
            place.server.start()

        found = asyncio.run(_with_fault(place, 0.3, fault))
        again = len(asked(place.folder)) - SOME
    yield Row(
        f"Redis killed for {AWAY_S:g} s: units lost of {SOME:,}",
        f"{found.lost}, {again} repeated, done {found.after_s:.1f} s after the kill",
        bar="0 lost, goes on by itself",
        met=not found.lost,
    )


def _replica_killed() -> Iterator[Row]:
    what = "a replica, and a worker before it, killed in mid-batch behind nginx"
    if _cluster.MISSING:
        yield Row(what, f"not measured: {_cluster.MISSING}")
        return
    figures = _cluster.play()
    bar = f"{_cluster.BAR_S} s, 0 lost, asked from the other one"
    yield Row(what, str(figures), bar=bar, met=figures.is_met)


Big = Callable[[Place, Queue], AbstractAsyncContextManager[None]]
"""Makes alice's call of MANY units, and goes on beside it."""


@asynccontextmanager
async def _elsewhere(place: Place, _: Queue) -> AsyncIterator[None]:
    with process("call", place.folder, place.server.url, "alice", MANY, AT_ONCE):
        yield


@asynccontextmanager
async def _here(place: Place, queue: Queue) -> AsyncIterator[None]:
    async def call() -> None:
        audit.who.set("alice")
        await ask(place.settings, queue, Questions(MANY, "alice-"), LASTING)

    async with anyio.create_task_group() as tasks:
        tasks.start_soon(call)
        yield


def _fairness() -> Iterator[Row]:
    ways: tuple[tuple[str, Big], ...] = (("another process", _elsewhere), ("the same process", _here))
    for where, big in ways:
        with placed(2) as (place, _):
            found = asyncio.run(_beside(place, big))
        yield Row(f"{MANY:,} units put into the queue from {where}", f"{found.put_s:.1f} s")
        for what, waits in (("while they are put", found.meanwhile), ("afterwards", found.afterwards)):
            yield Row(
                f"{AT_ONCE + 1} units of another user beside them, {what}: worst of {len(waits)}",
                f"{max(waits):.2f} s",
                f"{found.alone_s:.2f} s alone",
                "5 s",
                max(waits) <= 5,
            )
        yield Row(
            "cancelled: until the last call in flight ended",
            f"{found.cancel_s:.2f} s",
            bar="2 s",
            met=found.cancel_s <= 2,
        )


class Beside(NamedTuple):
    """What small calls took, alone and beside a big one; its filling, and its cancel."""

    alone_s: float
    meanwhile: list[float]
    afterwards: list[float]
    put_s: float
    cancel_s: float


async def _beside(place: Place, big: Big) -> Beside:
    async with opened(place.settings) as queue:
        alone_s = await _small(place, queue, 0)
        async with big(place, queue):
            began = time.monotonic()
            meanwhile = [await _small(place, queue, n) for n in (1, 2)]
            audit.who.set("alice")
            handle = await _cluster.reached(queue, MANY, "total")
            put_s = time.monotonic() - began
            afterwards = [await _small(place, queue, n) for n in range(3, 8)]
            audit.who.set("alice")
            cancelled = time.time()
            await queue.cancel(handle)
            await anyio.sleep(3)
    last = max(at for _, at in asked(place.folder)) + DELAY_S
    return Beside(alone_s, meanwhile, afterwards, put_s, max(0.0, last - cancelled))


async def _small(place: Place, queue: Queue, n: int) -> float:
    audit.who.set("bob")
    began = time.monotonic()
    given = questions(AT_ONCE + 1, f"small{n}-")
    assert answered(await ask(place.settings, queue, given)) == len(given)
    return time.monotonic() - began
