"""A worker of the queue on Redis, in this process or as one that can be killed, over a scripted model."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator, Sequence
from contextlib import AbstractContextManager, asynccontextmanager, contextmanager, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final, cast

import anyio
import anyio.lowlevel

from fakes.scripted import Reply, Scripted
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan
from fanout_mcp.journal import Question, open_journal
from fanout_mcp.scale.queue import Queue
from fanout_mcp.scale.worker import Worker
from fanout_mcp.state import audit
from fanout_mcp.state.cache import open_cache
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Answer, Backend, Job, Outcome, Prompt, Route, no_progress

PLAN: Final = Plan(deadline_s=120)
LASTING: Final = Plan(deadline_s=3_600)


def settings_in(folder: Path, url: str | None, max_parallel: int = 4) -> Settings:
    (folder / "project").mkdir(exist_ok=True)
    return Settings(folder / "project", folder / "user", redis_url=url, max_parallel=max_parallel)


@dataclass(frozen=True)
class Questions:
    """Made portion by portion, as tools make them."""

    count: int
    text: str

    def __len__(self) -> int:
        return self.count

    def __getitem__(self, part: slice) -> list[Question]:
        named = [f"{self.text}{n}" for n in range(self.count)[part]]
        return [Question(Job(name, Prompt("system", f"what is {name}?"))) for name in named]


def questions(count: int, text: str = "file") -> list[Question]:
    return Questions(count, text)[:]


async def ask(
    settings: Settings,
    queue: Queue,
    given: Sequence[Question] | Questions,
    plan: Plan = PLAN,
    backend: Scripted | None = None,
) -> list[Outcome]:
    """Ask as a tool does: all portions are begun, then their ends are waited for."""
    limits, total = Limits(settings.max_parallel), len(given)
    here = backend or Scripted(default=Reply("asked from here"))
    async with open_journal(settings, here, limits, no_progress, total, remote=queue.call()) as journal:
        begun = [await journal.begin(given[at : at + 32], plan) for at in range(0, total, 32)]
        return [outcome for portion in begun for outcome in await portion.outcomes()]


@asynccontextmanager
async def opened(settings: Settings, provider: str = "") -> AsyncIterator[Queue]:
    queue = Queue(settings, provider)
    await queue.open()
    try:
        yield queue
    finally:
        await queue.close()


@dataclass(slots=True)
class Audited:
    """Asks a scripted backend as the product asks its providers: what it costs is in the audit's record."""

    scripted: Scripted

    def route(self, model: str | None) -> Route:
        return self.scripted.route(model)

    async def ask(self, job: Job) -> Answer:
        price = partial(self.scripted.price, job.model)
        async with audit.asking(job, price, self.scripted.provider) as answered:
            answer = await self.scripted.ask(job)
            answered(answer)
            return answer


@asynccontextmanager
async def working(
    settings: Settings,
    backend: Scripted,
    lease_s: float = 2.0,
    spent: audit.Spent | None = None,
    provider: str = "",
) -> AsyncIterator[Queue]:
    """Run a worker in this process; yield a caller's queue beside it."""
    cache = open_cache(settings.cache, settings.config_dir)
    async with opened(settings, provider) as own, opened(settings, provider) as queue:
        audited = cast("Backend", Audited(backend))  # what a worker uses of one
        worker = Worker(own, audited, Limits(settings.max_parallel), cache, spent)
        running = asyncio.create_task(worker.run(lease_s))
        try:
            with anyio.fail_after(30):
                while not await queue.has_workers():
                    await anyio.lowlevel.checkpoint()
            yield queue
        finally:
            running.cancel()
            with suppress(asyncio.CancelledError):
                await running
            cache.close()


# --- as a process -------------------------------------------------------------------------------------------


@dataclass
class Logging(Scripted):
    """Writes when it is asked which question; dies of those that are called poison."""

    log: int = -1
    """The descriptor of a file, opened for appending."""

    async def ask(self, job: Job) -> Answer:
        os.write(self.log, f"{job.key} {time.time()}\n".encode())
        if job.key.startswith("poison"):
            await anyio.sleep(0.05)
            os._exit(9)
        return await Scripted.ask(self, job)


def work(folder: str, url: str, delay_s: str, lease_s: str, max_parallel: str) -> None:
    async def until_killed() -> None:
        settings = settings_in(Path(folder), url, int(max_parallel))
        log = os.open(f"{folder}/asked-{os.getpid()}", os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
        backend = Logging(default=Reply("fine", float(delay_s)), log=log)
        async with working(settings, backend, float(lease_s)):
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await anyio.sleep_forever()

    asyncio.run(until_killed())


def call(folder: str, url: str, user: str, count: str, max_parallel: str) -> None:
    async def one() -> None:
        audit.who.set(user)
        settings = settings_in(Path(folder), url, int(max_parallel))
        async with opened(settings) as queue:
            sys.stdout.write("ready\n")
            sys.stdout.flush()
            await ask(settings, queue, Questions(int(count), f"{user}-"), LASTING)

    asyncio.run(one())


@contextmanager
def process(function: str, *words: object) -> Iterator[subprocess.Popen[str]]:
    """Run a function of this file as a process of its own, from where it says that it is ready."""
    place = str(Path(__file__).parents[1])
    program = (
        f"import sys; sys.path.insert(0, {place!r}); from fakes.queued import *; {function}(*sys.argv[1:])"
    )
    line = [sys.executable, "-P", "-c", program, *map(str, words)]
    with subprocess.Popen(line, stdout=subprocess.PIPE, text=True) as one:
        try:
            assert one.stdout is not None
            assert one.stdout.readline() == "ready\n"
            yield one
        finally:
            one.kill()


def worker(
    folder: Path, url: str, delay_s: float = 0.05, lease_s: float = 2.0, max_parallel: int = 16
) -> AbstractContextManager[subprocess.Popen[str]]:
    return process("work", folder, url, delay_s, lease_s, max_parallel)


def asked(folder: Path) -> list[tuple[str, float]]:
    """Return the key of each question that worker processes asked, and when, once for each time."""
    lines = (line.split() for log in folder.glob("asked-*") for line in log.read_text().splitlines())
    return [(line[0], float(line[1])) for line in lines if len(line) == 2]


async def until(is_so: Callable[[], bool], within_s: float = 60.0) -> None:
    end = time.monotonic() + within_s
    while not is_so():
        assert time.monotonic() < end
        await anyio.sleep(0.01)
