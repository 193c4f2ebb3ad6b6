"""Worker processes for everything that parses: a hostile file costs a worker, never the server.

    async with Workers() as workers:
        for item, result in await workers.map("fanout_mcp.structure.outline:outline_file", items):
            ...                                  # result: what the function returned, or a Failure

Theory of operation: hook events pass through the server's loop, so nothing slow may run there, and some files
make parsers loop for a minute, eat gigabytes or overflow the stack. Workers are our own interpreter,
exec'ed (never forked from a process with threads), and are told one JSON line per item. They answer item by
item, in order; so when a worker dies, the item it died of is the first unanswered one, and no bisection is
needed: that item is tried once more, alone (a worker may be shot for somebody else's memory), the others go
to a new worker.

One thread per `map` call drives all its workers' pipes with a selector: no tasks, and cancelling the call
kills the workers that it holds. Calls share the pool in the order in which they came for a worker: one that
holds several gives way to one that has none, and one that has had its only worker for SLICE_S queues again.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import threading
import time
from collections import deque
from collections.abc import Callable, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from types import TracebackType
from typing import Final, Self, TypeVar

import anyio.to_thread

from fanout_mcp.types import Json

# --- One worker process, as its owner sees it: two pipes, what it has not answered yet, and its end. --------


@dataclass(slots=True, eq=False)
class Worker:
    process: subprocess.Popen[bytes]
    input: int
    output: int
    """Descriptors of its pipes."""
    pending: deque[int] = field(default_factory=deque)
    buffer: bytes = b""
    outgoing: bytes = b""
    last_answer: float = 0.0

    def write_some(self) -> None:
        """Write what the pipe takes; a worker that is gone is noticed at its output."""
        try:
            written = os.write(self.input, self.outgoing[: 1 << 16])
        except BlockingIOError:
            return
        except OSError:
            self.outgoing = b""
            return
        self.outgoing = self.outgoing[written:]

    def end(self) -> int:
        """Kill and reap; return how it ended."""
        if self.process.poll() is None:
            self.process.kill()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                with suppress(OSError):  # what it still had to say is of no use
                    pipe.close()
        return self.process.wait()


def start() -> Worker:
    # A repository can set PYTHON* variables: through PYTHONPATH its sitecustomize.py would run here.
    command = [sys.executable, "-E", "-P", "-m", "fanout_mcp.source.workers_main"]
    environment = {k: v for k, v in os.environ.items() if not k.endswith(("_KEY", "_TOKEN"))}
    process = subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=environment,
        start_new_session=True,
        cwd="/",
        bufsize=0,
    )
    assert process.stdin is not None  # noqa: S101 - opened with pipes; tells mypy so
    assert process.stdout is not None  # noqa: S101 - as above
    # Both pipes may be full at once when items and results are large: neither side may block on the other.
    os.set_blocking(process.stdin.fileno(), False)
    return Worker(process, process.stdin.fileno(), process.stdout.fileno())


def ending(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit {code}"
    except ValueError:
        return f"signal {-code}"


# --- workers ------------------------------------------------------------------------------------------

ITEM_TIMEOUT_S: Final = 10.0
BACKSTOP_S: Final = 5.0
"""A worker that outlives its own alarm by so much is killed by us."""

BATCH: Final = 16
"""Items sent at once: enough that a worker never waits for us, few enough that calls can share."""

SLICE_S: Final = 0.25
"""How long a call may keep its last worker while others wait: most calls are done by then, and so end in the
order in which they came; a long one shares."""

OnDone = Callable[[int], None]
"""Called with how many items are done, from a thread of ours."""


@dataclass(frozen=True, slots=True)
class Failure:
    """Why an item has no result: it was not analysed, which is not the same as clean."""

    reason: str


T = TypeVar("T")


async def in_own_thread(work: Callable[[threading.Event], T]) -> T:
    """Run what may wait for a worker; a cancel leaves the thread behind at once, and sets its event.

    A thread outside of anyio's common forty: waiting there, calls would hold up all that need a thread for a
    moment.
    """
    stop = threading.Event()
    try:
        return await anyio.to_thread.run_sync(
            lambda: work(stop), abandon_on_cancel=True, limiter=anyio.CapacityLimiter(1)
        )
    finally:
        stop.set()


class Workers:
    """The pool of a server process or shell command; empty until it is first used."""

    def __init__(self, size: int | None = None) -> None:
        # A core each: they give way to the hooks and the loop (`nice`). Three workers are about 120 MB.
        self._size = size or min(3, os.cpu_count() or 1)
        self._idle: list[Worker] = []
        self._out = 0
        self._queue: deque[object] = deque()
        self._free = threading.Condition()
        self._closed = False

    async def map(
        self,
        function: str,
        items: Sequence[Json],
        *,
        timeout_s: float = ITEM_TIMEOUT_S,
        on_done: OnDone | None = None,
    ) -> list[tuple[Json, Json | Failure]]:
        """Call `function` ("fanout_mcp.module:name") on each item; results in the order of the items."""
        return await in_own_thread(
            lambda stop: self.map_now(function, items, timeout_s=timeout_s, on_done=on_done, stop=stop)
        )

    def map_now(
        self,
        function: str,
        items: Sequence[Json],
        *,
        timeout_s: float = ITEM_TIMEOUT_S,
        on_done: OnDone | None = None,
        stop: threading.Event | None = None,
    ) -> list[tuple[Json, Json | Failure]]:
        """The same for a thread that may wait; `stop` ends it early, with Failures for the rest."""
        stop = stop or threading.Event()
        return _Call(self, function, items, timeout_s, on_done, stop).run()

    def lease(self, held: int, stop: threading.Event) -> Worker | None:
        """Hand out a worker; None when there is none for this call now. A call without any waits its turn."""
        with self._free:
            if held and (self._queue or not (self._idle or self._out < self._size)):
                return None
            turn = object()
            self._queue.append(turn)
            try:
                while self._queue[0] is not turn or (not self._idle and self._out >= self._size):
                    if stop.is_set() or self._closed:
                        return None
                    self._free.wait(0.1)
            finally:
                self._queue.remove(turn)
                self._free.notify_all()
            if self._closed:
                return None
            self._out += 1
            worker = self._idle.pop() if self._idle else None
        if worker is not None and worker.process.poll() is not None:
            worker.end()
            worker = None
        try:
            return worker or start()
        except OSError:
            self.give_back(None)
            raise

    def give_back(self, worker: Worker | None) -> None:
        """Take a worker back, None for one that was ended."""
        with self._free:
            self._out -= 1
            keep = worker is not None and not self._closed
            if worker is not None and keep:
                self._idle.append(worker)
            self._free.notify_all()
        if worker is not None and not keep:
            worker.end()

    @property
    def is_wanted(self) -> bool:
        """Some call has no worker at all."""
        return bool(self._queue)

    def close(self) -> None:
        """End idle workers now and busy ones when their call comes back; safe to call twice."""
        with self._free:
            self._closed = True
            idle, self._idle = self._idle, []
            self._free.notify_all()
        for worker in idle:
            worker.end()

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()


@dataclass(slots=True, eq=False)
class _Call:
    """One map: its queue, its workers, its results."""

    pool: Workers
    function: str
    items: Sequence[Json]
    timeout_s: float
    on_done: OnDone | None
    stop: threading.Event
    results: dict[int, Json | Failure] = field(default_factory=dict)
    queue: deque[int] = field(default_factory=deque)
    alone: deque[int] = field(default_factory=deque)
    tried: set[int] = field(default_factory=set)
    workers: list[Worker] = field(default_factory=list)
    since: float = 0.0
    """When this call got the worker that it has had longest."""
    selector: selectors.BaseSelector = field(default_factory=selectors.DefaultSelector)

    def run(self) -> list[tuple[Json, Json | Failure]]:
        self.queue.extend(range(len(self.items)))
        try:
            while len(self.results) < len(self.items) and not self.stop.is_set():
                self._staff()
                if not self.workers:
                    break  # the pool was closed
                self._listen()
        finally:
            for worker in list(self.workers):
                self._let_go(worker, keep=not worker.pending)
            self.selector.close()
        cut = Failure("the call ended before it was its turn")
        return [(item, self.results.get(number, cut)) for number, item in enumerate(self.items)]

    def _staff(self) -> None:
        """Give every worker something to do, and get workers while there is more."""
        for worker in list(self.workers):
            if worker.pending:
                continue
            is_over = len(self.workers) > 1 or time.monotonic() - self.since > SLICE_S
            if self.pool.is_wanted and is_over:
                self._let_go(worker, keep=True)
            else:
                self._feed(worker)
        while self.queue or self.alone:
            leased = self.pool.lease(len(self.workers), self.stop)
            if leased is None:
                return
            if not self.workers:
                self.since = time.monotonic()
            self.workers.append(leased)
            self.selector.register(leased.output, selectors.EVENT_READ, leased)
            self._feed(leased)

    def _feed(self, worker: Worker) -> None:
        numbers = self._next()
        if not numbers:
            self._let_go(worker, keep=True)
            return
        worker.pending.extend(numbers)
        worker.last_answer = time.monotonic()
        worker.outgoing = b"".join(self._question(number) for number in numbers)
        self._write(worker)

    def _write(self, worker: Worker) -> None:
        """Write, and go on when the pipe has room again."""
        was_full = bool(worker.outgoing) and worker.input in self.selector.get_map()
        worker.write_some()
        if worker.outgoing and not was_full:
            self.selector.register(worker.input, selectors.EVENT_WRITE, worker)
        elif was_full and not worker.outgoing:
            self.selector.unregister(worker.input)

    def _next(self) -> list[int]:
        if self.queue:
            # Near the end smaller portions, so that all workers finish together.
            portion = max(1, min(BATCH, len(self.queue) // (2 * max(1, len(self.workers))) or 1))
            return [self.queue.popleft() for _ in range(portion)]
        return [self.alone.popleft()] if self.alone else []

    def _question(self, number: int) -> bytes:
        item, timeout_s = self.items[number], self.timeout_s
        question = {"n": number, "call": self.function, "item": item, "timeout_s": timeout_s}
        return json.dumps(question, separators=(",", ":")).encode("ascii") + b"\n"

    def _listen(self) -> None:
        for key, events in self.selector.select(timeout=0.1):
            worker: Worker = key.data
            if worker not in self.workers:
                continue  # reaped a moment ago
            if events & selectors.EVENT_WRITE:
                self._write(worker)
                continue
            chunk = os.read(worker.output, 1 << 18)
            if chunk:
                self._take(worker, chunk)
            else:
                self._reap(worker)
        now = time.monotonic()
        for worker in list(self.workers):
            if worker.pending and now - worker.last_answer > self.timeout_s + BACKSTOP_S:
                self._reap(worker, timed_out=True)

    def _take(self, worker: Worker, chunk: bytes) -> None:
        *lines, worker.buffer = (worker.buffer + chunk).split(b"\n")
        worker.last_answer = time.monotonic()
        for line in lines:
            answer = json.loads(line)
            worker.pending.popleft()
            self._settle(answer["n"], answer["ok"] if "ok" in answer else Failure(answer["error"]))

    def _settle(self, number: int, result: Json | Failure) -> None:
        self.results[number] = result
        if self.on_done is not None:
            self.on_done(len(self.results))

    def _reap(self, worker: Worker, *, timed_out: bool = False) -> None:
        """A worker died. What it died of is the first item that it did not answer."""
        pending = list(worker.pending)
        ended = self._let_go(worker, keep=False)
        if not pending:
            return
        culprit, *others = pending
        self.queue.extendleft(reversed(others))
        if timed_out or ended == -signal.SIGALRM:
            self._settle(culprit, Failure(f"took longer than {self.timeout_s:g} s"))
        elif culprit in self.tried:
            self._settle(culprit, Failure(f"the parser crashed ({ending(ended)})"))
        else:
            self.tried.add(culprit)
            self.alone.append(culprit)

    def _let_go(self, worker: Worker, *, keep: bool) -> int:
        for descriptor in (worker.output, worker.input):
            if descriptor in self.selector.get_map():
                self.selector.unregister(descriptor)
        self.workers.remove(worker)
        ended = 0 if keep else worker.end()
        self.pool.give_back(worker if keep else None)
        return ended
