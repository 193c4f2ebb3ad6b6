"""What replicas share through one Redis: answers, limits and cool-downs, also while Redis is away.

python -m benchmarks shared
"""

from __future__ import annotations

import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import anyio

from benchmarks._stage import Provider, provider
from benchmarks.table import Row
from fakes.redis_server import MISSING, PROGRAM, RedisServer, redis_server, settings_of
from fakes.replica import busiest, finish, replicas, steady
from fanout_mcp.scale.shared import open_shared
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Rate

KEYS, ROUNDS, ASKING = 200, 5, 4
RATE, JOBS = 100, 1_200
ALLOWED, REFUSABLE = 50, 600
AWAY_S = 4.0


def run() -> Iterator[Row]:
    if PROGRAM is None:
        yield Row("nothing was measured", MISSING)
        return
    for topic in (_answers, _limit, _learned, _known, _away, _hanging):
        with tempfile.TemporaryDirectory(prefix="fanout-bench-") as name:
            folder = Path(name)
            with redis_server(folder) as redis:
                yield from topic(folder, redis)


def _times(upstream: Provider) -> list[float]:
    return [seen["started"] for seen in upstream.log()]


def _answers(folder: Path, redis: RedisServer) -> Iterator[Row]:
    with provider(0.05) as upstream:
        urls = (upstream.url, redis.url)
        with replicas(folder, ASKING, "journal", KEYS, urls=urls, rounds=ROUNDS) as running:
            found = finish(running)
        calls = len(upstream.log())
    asks = sum(sum(one["statuses"].values()) for one in found)
    what = f"calls upstream, {ASKING} processes asking the same {KEYS} questions {asks:,} times"
    yield Row(what, str(calls), bar=f"exactly {KEYS}", met=calls == KEYS)
    yield Row("the slowest of these processes", f"{max(one['seconds'] for one in found):.1f} s")


def _limit(folder: Path, redis: RedisServer) -> Iterator[Row]:
    with provider(0.1) as upstream:
        row = f"requests_per_second = {RATE}"
        urls = (upstream.url, redis.url)
        with replicas(folder, 2, "engine", JOBS // 2, urls=urls, limit=row) as running:
            finish(running)
        times = _times(upstream)
    rate, most = steady(times), busiest(times)
    what = f"two replicas against a limit of {RATE}/s"
    yield Row(f"{what}, steady", f"{rate:.1f}/s", bar="95 to 101/s", met=95 <= rate <= 101)
    yield Row(f"{what}, busiest second", str(most), bar="110", met=most <= 110)


def _learned(folder: Path, redis: RedisServer) -> Iterator[Row]:
    yield from _refusing(folder, redis, 1, "")


def _known(folder: Path, redis: RedisServer) -> Iterator[Row]:
    yield from _refusing(folder, redis, 2, f"requests_per_second = {ALLOWED}")


def _refusing(folder: Path, redis: RedisServer, many: int, row: str) -> Iterator[Row]:
    with provider(0.05, ALLOWED) as upstream:
        urls = (upstream.url, redis.url)
        with replicas(folder, many, "engine", REFUSABLE // many, urls=urls, limit=row) as running:
            found = finish(running)
        tries = len(upstream.log()) / REFUSABLE
    answered = sum(one["statuses"].get("answered", 0) for one in found)
    took, ideal = max(one["seconds"] for one in found), REFUSABLE / ALLOWED
    known = "set in its row" if row else "not known to it"
    who = "one replica" if many == 1 else "two replicas"
    what = f"{REFUSABLE} jobs of {who}, upstream of {ALLOWED}/s, {known}"
    yield Row(
        f"{what}: time",
        f"{took:.1f} s, {took / ideal:.2f} x",
        f"{ideal:.0f} s",
        "1.2 x",
        took <= 1.2 * ideal and answered == REFUSABLE,
    )
    yield Row(f"{what}: attempts per success", f"{tries:.2f}", bar="1.1", met=tries <= 1.1)


def _away(folder: Path, redis: RedisServer) -> Iterator[Row]:
    with provider(0.1) as upstream:
        row = f"requests_per_second = {RATE}"
        urls = (upstream.url, redis.url)
        with replicas(folder, 2, "journal", JOBS, urls=urls, limit=row) as running:
            time.sleep(3)
            redis.kill()
            time.sleep(AWAY_S)
            redis.start()
            found = finish(running)
        times = _times(upstream)
    lost = 2 * JOBS - sum(one["statuses"].get(name, 0) for one in found for name in ("answered", "cached"))
    what = f"Redis killed for {AWAY_S:.0f} s, two replicas asking the same {JOBS:,} questions"
    yield Row(f"{what}: lost", str(lost), bar="0", met=not lost)
    yield Row(f"{what}: asked twice", str(len(times) - JOBS))
    most = busiest(times)
    yield Row(f"{what}: busiest second of {RATE}/s", str(most), bar="110", met=most <= 110)
    reported = sum("went on without the shared Redis" in one["problem"] for one in found)
    yield Row(f"{what}: replicas that report it", str(reported), bar="2", met=reported == 2)


def _hanging(folder: Path, redis: RedisServer) -> Iterator[Row]:
    settings = settings_of(folder, redis.url)
    healthy = anyio.run(_slowest, settings, lambda: None)
    hung = anyio.run(_slowest, settings, redis.hang)
    redis.go_on()
    yield Row(
        "Redis that hangs: slowest of 200 calls, 50 at once",
        f"{1e3 * hung:.0f} ms",
        f"{1e3 * healthy:.0f} ms",
        "200 ms more",
        hung - healthy <= 0.2,
    )


async def _slowest(settings: Settings, happens: Callable[[], None]) -> float:
    waits: list[float] = []

    async def four() -> None:
        for _ in range(4):
            began = time.perf_counter()
            await shared.meter.reserve("model", "provider", Rate(), 100)
            waits.append(time.perf_counter() - began)

    async with open_shared(settings) as shared:
        await shared.meter.reserve("model", "provider", Rate(), 100)
        happens()
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(four)
    return max(waits)
