"""What a company of so many users needs at its busiest hour: replicas, workers, Redis and dollars.

python -m benchmarks sizing

What a call costs is measured first, on a real replica, worker and Redis with a scripted model. Then an hour
is simulated: calls come at random (Poisson), a model's answer takes a random time (log-normal), and large
calls wait for the workers in a queue.
"""

from __future__ import annotations

import math
import random
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from typing import Final, NamedTuple

from redis import Redis

from benchmarks._cluster import MISSING, SUMMARY, Cluster, started
from benchmarks.cluster import cpu_s
from benchmarks.table import Row
from fakes.crowd import most_memory_mb
from fakes.upstream import Rule
from fanout_mcp.scale.serve import MAX_AT_WORK

USERS: Final = (100, 500, 2_000, 10_000)
# Of a user in the busiest hour: calls to panels, and large calls, whose questions go to the workers.
CALLS, MEMBERS = 6.0, 5
LARGE, QUESTIONS, CACHED = 0.2, 300, 0.3
MEMBER_S, SPREAD = 10.0, 0.5  # of an answer: the median, and the standard deviation of the logarithm
TOKENS_IN, TOKENS_OUT, USD_IN, USD_OUT = 2_500, 400, 1e-6, 4e-6
WORKER_AT_ONCE, LARGE_S = 50, 300.0  # within LARGE_S, 99 % of large calls are to end
WAITING_MB = 0.003  # a question in the queue: a source of 10 kB, compressed
BUSY = 0.6  # of a core, at most
HOUR_S, KEPT_H = 3_600.0, 7 * 8  # busy hours within the days that an answer is kept
PANELS, AT_ONCE, FILES = 200, 20, 400  # of the measurement


class Costs(NamedTuple):
    """Measured: of a replica a call, of a worker and of Redis a question."""

    call_s: float
    call_mb: float
    question_s: float
    answer_mb: float


def measured(cluster: Cluster) -> Costs:
    front, redis = replace(cluster.replicas[0], url=cluster.url), Redis.from_url(cluster.redis.url)
    replicas, workers = [one.process.pid for one in cluster.replicas], [one.pid for one in cluster.workers]

    def ask(number: int) -> None:
        front.call("oracle_batch", {"question": f"Is {number} wise?", "preset": "comprehensive"})

    def used_mb() -> float:
        return float(redis.info("memory")["used_memory_dataset"]) / 1e6

    def resident_mb() -> float:
        return sum(most_memory_mb(one) for one in cluster.replicas)

    for number in (-2, -1):  # one a replica
        ask(number)
    memory, cpu = resident_mb(), cpu_s(replicas)
    with ThreadPoolExecutor(AT_ONCE) as threads:
        list(threads.map(ask, range(PANELS)))
    call_s, call_mb = (cpu_s(replicas) - cpu) / PANELS, (resident_mb() - memory) / AT_ONCE
    cluster.upstream.rules(Rule(text=SUMMARY, delay=0.1))
    before_mb, cpu = used_mb(), cpu_s(workers)
    front.call("summarize_files", {"paths": ["*.py"], "engine": "model"})
    question_s = (cpu_s(workers) - cpu) / FILES
    return Costs(call_s, call_mb, question_s, (used_mb() - before_mb) / FILES)


def in_flight(users: int, chance: random.Random) -> int:
    """Return how many calls to panels are at work, in 99.9 % of an hour's arrivals at most."""
    now, ends, seen = 0.0, list[float](), list[int]()
    while (now := now + chance.expovariate(users * CALLS / HOUR_S)) < HOUR_S:
        slowest = max(chance.lognormvariate(math.log(MEMBER_S), SPREAD) for _ in range(MEMBERS))
        ends = [end for end in ends if end > now] + [now + slowest]
        seen.append(len(ends))
    return sorted(seen)[int(0.999 * len(seen))]


def waited(users: int, workers: int, chance: random.Random) -> tuple[float, float]:
    """Return the seconds of 99 % of large calls at most, and the most questions that waited at once."""
    asked = QUESTIONS * (1 - CACHED)
    rate = workers * WORKER_AT_ONCE / (MEMBER_S * math.exp(SPREAD**2 / 2))
    now, backlog, times, most = 0.0, 0.0, list[float](), 0.0
    while (gap := chance.expovariate(users * LARGE / HOUR_S)) + now < HOUR_S:
        now, backlog = now + gap, max(0.0, backlog - gap * rate) + asked
        times.append(backlog / rate)
        most = max(most, backlog)
    return (sorted(times)[int(0.99 * len(times))], most) if times else (0.0, 0.0)


def run() -> Iterator[Row]:
    if MISSING:
        yield Row("what a call costs", f"not measured: {MISSING}")
        return
    with started(FILES) as cluster:
        costs = measured(cluster)
    of_call = f"{1e3 * costs.call_s:.1f} ms CPU of a replica, {costs.call_mb:.2f} MB in flight"
    yield Row(f"a call to {MEMBERS} members", of_call)
    in_redis = f"{1e3 * costs.answer_mb:.1f} kB in Redis once answered"
    of_question = f"{1e3 * costs.question_s:.1f} ms CPU of a worker, {in_redis}"
    yield Row("a question of a large call", of_question)
    for users in USERS:
        yield _sized(users, costs)


def _sized(users: int, costs: Costs) -> Row:
    calls, large = users * CALLS, users * LARGE * QUESTIONS * (1 - CACHED)
    at_work = in_flight(users, random.Random(1))
    cores = calls / HOUR_S * costs.call_s / BUSY
    replicas = max(2, math.ceil(at_work / MAX_AT_WORK), math.ceil(cores))
    workers = max(2, math.ceil(large / HOUR_S * costs.question_s / BUSY))
    while waited(users, workers, random.Random(2))[0] > LARGE_S:
        workers += 1
    _, waiting = waited(users, workers, random.Random(2))
    redis_mb = waiting * WAITING_MB + large * KEPT_H * costs.answer_mb
    usd = (calls * MEMBERS + large) * (TOKENS_IN * USD_IN + TOKENS_OUT * USD_OUT)
    sized = f"{at_work:,} calls in flight, {replicas} replicas, {workers} workers"
    return Row(f"{users:,} users", f"{sized}, {redis_mb / 1e3:.1f} GB in Redis, ${usd:,.0f} an hour")
