"""A batch across two replicas, two workers, Redis and nginx on loopback, of which one of each kind is killed.

make cluster

The model is scripted and answers after a second; everything else is what a company runs. The call is made
again when its connection breaks, and joins its batch: what was answered is not asked again.
"""

from __future__ import annotations

import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final, NamedTuple
from urllib.parse import urlsplit

sys.path.append(str(Path(__file__).parents[1] / "tests"))  # as __main__ does: this is also run by itself

import anyio
import httpx2
from mcp import Client, MCPError
from mcp.client.streamable_http import streamable_http_client

from benchmarks._stage import Provider, provider
from fakes import proxy, redis_server
from fakes.queued import opened
from fakes.replica import environment
from fakes.service import TOKENS, Service, running
from fakes.upstream import Rule
from fanout_mcp.scale.queue import Counts, Queue
from fanout_mcp.state import audit
from fanout_mcp.state.settings import Settings

FILES: Final = 400
AT_ONCE: Final = 16
"""Calls in flight of a worker."""
DELAY_S: Final = 1.0
BAR_S: Final = 60
"""From the kill of the replica to the answer of the other one; a worker's lease is 30 s of it."""
LIMIT_S: Final = 240
AGAIN_S: Final = 0.5
USER: Final = "alice"
SUMMARY: Final = '{"purpose": "Adds a number.", "notes": []}'
MISSING: Final = "; ".join(
    why
    for program, why in ((redis_server.PROGRAM, redis_server.MISSING), (proxy.NGINX, proxy.MISSING))
    if program is None
)


class Figures(NamedTuple):
    files: int
    lost: int
    """Files without the model's answer."""
    upstream: int
    """Calls that the model saw."""
    made: int
    """How often the tool was called until it answered."""
    other: bool
    """Whether the replica that was left answered."""
    seconds: float
    after_s: float
    """From the kill of the replica to the answer."""

    @property
    def is_met(self) -> bool:
        again = self.upstream - self.files
        return not self.lost and self.other and self.after_s <= BAR_S and 0 <= again <= AT_ONCE

    def __str__(self) -> str:
        return (
            f"{self.files} files in {self.seconds:.1f} s, {self.after_s:.1f} s after the replica was killed; "
            f"{self.upstream} calls upstream, {self.upstream - self.files} repeated; tool called "
            f"{self.made} times, lost {self.lost}"
        )


class Cluster(NamedTuple):
    files: int
    url: str
    """Of nginx."""
    replicas: list[Service]
    workers: list[subprocess.Popen[str]]
    upstream: Provider
    redis: redis_server.RedisServer
    watching: Settings
    """Of one more machine, which sees the queue."""


@contextmanager
def started(files: int, others: Sequence[str] = ("", "")) -> Iterator[Cluster]:
    """`others`: the base URL that each of the two machines asks where its provider refuses the key."""
    with tempfile.TemporaryDirectory(prefix="fanout-cluster-") as name, ExitStack() as stack:
        folder = Path(name)
        write_project(folder / "project", files)
        upstream = stack.enter_context(provider(DELAY_S))
        redis = stack.enter_context(redis_server.redis_server(folder, appends=True))

        def at_home(who: str, other: str) -> dict[str, str]:
            row = f'[other]\nbase_url = "{other}"\nmodels.strong = ["m"]' if other else ""
            own = environment(folder / who, upstream.url, redis.url, row)
            config = Path(own["HOME"]) / ".config" / "fanout" / "config.toml"
            config.write_text('enabled = ["other"]\n' if other else "")
            return {**own, "FANOUT_MAX_PARALLEL": str(AT_ONCE)}

        machines = list(enumerate(others, 1))
        replicas = [
            stack.enter_context(
                running(folder, "--allow-host", "127.0.0.1", env=at_home(f"replica{number}", other))
            )
            for number, other in machines
        ]
        workers = [
            stack.enter_context(worker(at_home(f"worker{number}", other))) for number, other in machines
        ]
        port = redis_server.free_port()
        config = proxy.configuration(port, [urlsplit(one.url).netloc for one in replicas])
        stack.enter_context(proxy.nginx(folder, config))
        home = Path(at_home("watcher", "")["HOME"])
        watching = Settings(folder, home / ".config" / "fanout", redis_url=redis.url)
        anyio.run(_ready, watching, urlsplit(upstream.url).netloc, len(workers))
        url = f"http://127.0.0.1:{port}/mcp"
        yield Cluster(files, url, replicas, workers, upstream, redis, watching)


async def _ready(watching: Settings, provider: str, workers: int) -> None:
    with anyio.fail_after(LIMIT_S):
        async with opened(watching, provider) as queue:
            while len(await queue.docket.workers()) < workers:  # noqa: ASYNC110 - they are in Redis
                await anyio.sleep(0.1)


def play(files: int = FILES) -> Figures:
    with started(files) as cluster:
        cluster.upstream.rules(Rule(text=SUMMARY, delay=DELAY_S))
        return anyio.run(_play, cluster)


def write_project(root: Path, files: int) -> None:
    root.mkdir()
    for number in range(files - 1):  # the service's own has one file
        (root / f"part{number}.py").write_text(f"def add{number}(x: int) -> int:\n    return x + {number}\n")


@contextmanager
def worker(env: dict[str, str]) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-P", "-m", "fanout_mcp", "worker"]
    with subprocess.Popen(words, env=env, cwd=env["HOME"], stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr is not None
        try:
            line = process.stderr.readline()
            assert "calls at once" in line, line
            yield process
        finally:
            process.kill()


async def _play(cluster: Cluster) -> Figures:
    audit.who.set(USER)
    killed: list[tuple[Service, float]] = []
    with anyio.fail_after(LIMIT_S):
        async with opened(cluster.watching) as queue, anyio.create_task_group() as tasks:
            began = time.monotonic()
            tasks.start_soon(_kill, queue, cluster, killed)
            receipt, made = await _asked(cluster.url)
            ended = time.monotonic()
            tasks.cancel_scope.cancel()
    assert killed, "the batch was over before its replica was killed"
    [(service, at)] = killed
    [left] = [one for one in cluster.replicas if one is not service]
    answered = 'fanout_calls_total{tool="summarize_files",verdict="done"} 1' in left.get("/metrics")[1]
    lost = cluster.files - receipt["read"] + sum(one["count"] for one in receipt.get("failed", {}).values())
    calls = len(cluster.upstream.log())
    return Figures(cluster.files, lost, calls, made, answered, ended - began, ended - at)


async def _kill(queue: Queue, cluster: Cluster, killed: list[tuple[Service, float]]) -> None:
    await reached(queue, cluster.files // 4)
    say("a quarter is done: a worker is killed")
    cluster.workers[0].kill()
    await reached(queue, cluster.files // 2)
    [busy] = [one for one in cluster.replicas if "\nfanout_inflight 1\n" in one.get("/metrics")[1]]
    say("half is done: the replica that has the call is killed")
    busy.process.kill()
    killed.append((busy, time.monotonic()))


async def reached(queue: Queue, many: int, what: str = "done") -> str:
    """Wait until a batch has so many questions that are done, or in `total`; return its handle."""
    while True:
        for handle in await queue.batches():
            if getattr(await queue.counts(handle) or Counts(), what) >= many:
                return handle
        await anyio.sleep(0.05)


async def _asked(url: str) -> tuple[dict[str, Any], int]:
    """Call until it is answered; return the receipt, and how many calls that took."""
    made = 0
    while True:
        made += 1
        try:
            return await _call(url), made
        except (MCPError, httpx2.HTTPError, ExceptionGroup) as error:
            cause: Exception = error
            while isinstance(cause, ExceptionGroup):
                cause = cause.exceptions[0]
            say(f"the call broke: {cause}; it is made again")
            await anyio.sleep(AGAIN_S)


async def _call(url: str) -> dict[str, Any]:
    headers = {"Authorization": f"Bearer {TOKENS[USER]}"}
    arguments = {"paths": ["*.py"], "engine": "model"}
    async with (
        httpx2.AsyncClient(headers=headers, timeout=LIMIT_S, trust_env=False) as http,
        Client(streamable_http_client(url, http_client=http)) as client,
    ):
        result = await client.call_tool("summarize_files", arguments)
    assert not result.is_error, result.content
    assert result.structured_content is not None
    receipt: dict[str, Any] = result.structured_content["receipt"]
    return receipt


def say(line: str) -> None:
    sys.stderr.write(f"cluster: {line}\n")


def main() -> int:
    if MISSING:
        say(MISSING)
        return 1
    signal.signal(signal.SIGTERM, signal.default_int_handler)
    try:
        figures = play()
    except KeyboardInterrupt:
        say("interrupted; everything is stopped")
        return 130
    sys.stdout.write(f"{figures}\n")
    return int(not figures.is_met)


if __name__ == "__main__":
    raise SystemExit(main())
