"""One replica as a process: asks COUNT questions through the user's own services, each ROUNDS times.

    python tests/fakes/replica.py (journal | engine) COUNT ROUNDS

Settings come from the environment. It waits for a line on stdin, then asks; its last line is JSON.

    with replicas(folder, 2, "engine", 500, urls=(upstream.url, redis.url)) as running:
        found = finish(running)
"""

from __future__ import annotations

import json
import os
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

import anyio
import anyio.to_thread

from fanout_mcp.edge.opening import open_services
from fanout_mcp.engine.run import Plan, run
from fanout_mcp.journal import Question, open_journal
from fanout_mcp.state import settings
from fanout_mcp.tools.services import Services
from fanout_mcp.types import Job, Outcome, Prompt, no_progress

PLAN = Plan(deadline_s=300)


async def main(way: str, count: int, rounds: int) -> None:
    numbers = list(range(count)) * rounds
    random.shuffle(numbers)
    jobs = [Job(str(place), Prompt("s", f"question {number}.")) for place, number in enumerate(numbers)]
    async with open_services(settings.read()) as services:
        sys.stdout.write("ready\n")
        sys.stdout.flush()
        await anyio.to_thread.run_sync(sys.stdin.readline)
        began = time.monotonic()
        outcomes, problem = await ask(services, way, jobs)
    found = {
        "statuses": Counter(outcome.status for outcome in outcomes),
        "calls": sum(outcome.calls for outcome in outcomes),
        "seconds": time.monotonic() - began,
        "problem": problem,
        "reasons": [outcome.reason for outcome in outcomes if outcome.reason][:3],
    }
    sys.stdout.write(json.dumps(found) + "\n")


async def ask(services: Services, way: str, jobs: list[Job]) -> tuple[list[Outcome], str]:
    if way == "engine":
        return await run(jobs, services.backend.ask, PLAN, services.limits), ""
    async with open_journal(
        services.settings,
        services.backend,
        services.limits,
        no_progress,
        len(jobs),
        opens=services.open_cache,
    ) as journal:
        return await journal.ask([Question(job) for job in jobs], PLAN), journal.problem


def environment(home: Path, url: str, redis_url: str, limit: str) -> dict[str, str]:
    """Make the home of a replica's user, as on a machine of its own but with the same `cache.key`."""
    config = home / ".config" / "fanout"
    config.mkdir(parents=True)
    (config / "cache.key").write_bytes(b"k" * 32)
    (config / "providers.toml").write_text(f'[mine]\nbase_url = "{url}"\n{limit}\n')
    kept = {name: os.environ[name] for name in ("PATH", "LANG", "TMPDIR") if name in os.environ}
    own = {"HOME": str(home), "FANOUT_BASE_URL": url, "FANOUT_MODEL": "m"}
    return {**kept, **own, **({"FANOUT_REDIS_URL": redis_url} if redis_url else {})}


@contextmanager
def replicas(
    folder: Path, many: int, way: str, count: int, *, urls: tuple[str, str], limit: str = "", rounds: int = 1
) -> Iterator[list[subprocess.Popen[str]]]:
    """Start so many replicas and let them ask at the same moment.

    `urls`: of the provider and of Redis, "" for none. `limit`: a line of the provider's row.
    """
    words = [sys.executable, "-P", __file__, way, str(count), str(rounds)]
    with ExitStack() as stack:
        running = []
        for number in range(many):
            home = folder / f"replica{number}"
            env = environment(home, *urls, limit)
            pipe = subprocess.PIPE
            process = subprocess.Popen(words, env=env, cwd=home, stdin=pipe, stdout=pipe, text=True)
            one = stack.enter_context(process)
            stack.callback(one.kill)
            running.append(one)
        for one in running:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
        for one in running:
            assert one.stdin is not None
            one.stdin.write("\n")
            one.stdin.flush()
        yield running


def finish(running: list[subprocess.Popen[str]], seconds: float = 240) -> list[dict[str, Any]]:
    return [json.loads(one.communicate(timeout=seconds)[0]) for one in running]


def busiest(times: list[float]) -> int:
    """Return the most that came within one second, wherever that second begins."""
    ordered, first, most = sorted(times), 0, 0
    for place, at in enumerate(ordered):
        while at - ordered[first] >= 1.0:
            first += 1
        most = max(most, place - first + 1)
    return most


def steady(times: list[float]) -> float:
    """Return how many came a second, without the first and the last second."""
    ordered = sorted(times)
    inner = [at for at in ordered if ordered[0] + 1 <= at <= ordered[-1] - 1]
    return (len(inner) - 1) / (inner[-1] - inner[0])


if __name__ == "__main__":
    anyio.run(main, sys.argv[1], int(sys.argv[2]), int(sys.argv[3]))
