"""A small event loop: coroutines, timers and descriptors in one thread, without asyncio's 38 ms of import.

What is here is what the hooks' own processes need: `Future` (set once, awaited by any number), `Loop.spawn`,
`sleep`, `watch`, `Channel` for messages over a socket, and how a process to start, one at work and one that
has ended are described. There is no cancelling: what must end early is killed, and its end is an event like
any other. What somebody waits for is started with `spawn`, which hands an error on to them; what nothing
waits for with `leave`, so that its error is reported.
"""

from __future__ import annotations

import array
import contextlib
import heapq
import json
import os
import select
import signal
import socket
import time
from collections import deque
from collections.abc import Callable, Coroutine, Generator
from typing import Any, Generic, NamedTuple, TypeVar

from fanout_hooks.client.files import fcntl

T = TypeVar("T")
HEAD = 4
MAX_MESSAGE = 256 << 20
MAX_WAIT_S = 3600.0
"""`poll` counts milliseconds in 32 bits, and people write their time limits in milliseconds, too."""


class Future(Generic[T]):
    """A value that comes later. Setting it again changes nothing."""

    __slots__ = ("_calls", "_value", "done", "error")

    def __init__(self) -> None:
        self.done = False
        self._value: T
        self.error: BaseException | None = None
        self._calls: list[Callable[[], None]] = []

    def set(self, value: T) -> None:
        if not self.done:
            self._value = value
            self._finish()

    def fail(self, error: BaseException) -> None:
        if not self.done:
            self.error = error
            self._finish()

    def _finish(self) -> None:
        self.done = True
        calls, self._calls = self._calls, []
        for call in calls:
            call()

    def result(self) -> T:
        if self.error is not None:
            raise self.error
        return self._value

    def then(self, call: Callable[[], None]) -> None:
        if self.done:
            call()
        else:
            self._calls.append(call)

    def __await__(self) -> Generator[Future[T], None, T]:
        if not self.done:
            yield self
        return self.result()


class Loop:
    def __init__(self) -> None:
        self._poll = select.poll()
        self._readers: dict[int, Callable[[], None]] = {}
        self._timers: list[tuple[float, int, Future[bool]]] = []
        self._number = 0
        self._ready: deque[Callable[[], None]] = deque()
        self.complain: Callable[[str], None] = on_stderr
        """Where the errors go that nobody waits for."""

    def spawn(self, coroutine: Coroutine[Any, Any, T]) -> Future[T]:
        """Start a coroutine; the future ends with it, error included."""
        ended: Future[T] = Future()

        def step() -> None:
            try:
                waiting = coroutine.send(None)
            except StopIteration as stop:
                ended.set(stop.value)
            except Exception as error:  # noqa: BLE001 - handed to whoever awaits the coroutine
                ended.fail(error)
            else:
                waiting.then(lambda: self._ready.append(step))

        self._ready.append(step)
        return ended

    def leave(self, coroutine: Coroutine[Any, Any, Any]) -> None:
        """Start a coroutine that nobody waits for."""
        ended = self.spawn(coroutine)

        def look() -> None:
            if ended.error is not None:
                from fanout_hooks.crash import explain

                self.complain(explain("work in the background", ended.error, os.environ))

        ended.then(look)

    def timer(self, seconds: float) -> Future[bool]:
        """Return a future that is set to True after a time; set it to False to call it off."""
        future: Future[bool] = Future()
        self._number += 1
        heapq.heappush(self._timers, (time.monotonic() + seconds, self._number, future))
        return future

    async def sleep(self, seconds: float) -> None:
        await self.timer(seconds)

    async def first(self, future: Future[T], seconds: float) -> T | None:
        """Wait for a future, but only for a time; None when the time is over."""
        if future.done:
            return future.result()
        either: Future[bool] = Future()
        timer = self.timer(seconds)
        future.then(lambda: either.set(True))
        timer.then(lambda: either.set(False))
        in_time = await either
        timer.set(False)
        return future.result() if in_time else None

    def watch(self, fd: int, call: Callable[[], None]) -> None:
        self._readers[fd] = call
        self._poll.register(fd, select.POLLIN)

    def unwatch(self, fd: int) -> None:
        if self._readers.pop(fd, None) is not None:
            self._poll.unregister(fd)

    def run(self, main: Coroutine[Any, Any, T]) -> T:
        ended = self.spawn(main)
        while not ended.done:
            self._turn(ended)
        return ended.result()

    def _turn(self, goal: Future[Any]) -> None:
        while self._ready:
            self._ready.popleft()()
        if goal.done or self._due():
            return
        wait = None
        if self._timers:
            wait = min(max(0.0, self._timers[0][0] - time.monotonic()), MAX_WAIT_S) * 1000 + 0.5
        for fd, _ in self._poll.poll(wait):
            call = self._readers.get(fd)
            if call is not None:
                call()
        self._due()

    def _due(self) -> bool:
        now = time.monotonic()
        any_due = False
        while self._timers and (self._timers[0][2].done or self._timers[0][0] <= now):
            future = heapq.heappop(self._timers)[2]
            any_due = any_due or not future.done
            future.set(True)
        return any_due


class Channel:
    """Messages over a stream socket: four bytes of length, then JSON; descriptors may ride along.

    With a stamp every message that comes must begin with it: what doesn't is nonsense, and ends the channel.
    """

    def __init__(self, loop: Loop, sock: socket.socket, stamp: bytes = b"") -> None:
        sock.setblocking(False)
        self.stamp = stamp
        self.sock = sock
        self._loop = loop
        self._received = bytearray()
        self._arrived: deque[dict[str, Any]] = deque()
        self._waiting: Future[bool] | None = None
        self.closed = False
        loop.watch(sock.fileno(), self._read)

    def send(self, message: dict[str, Any], fds: tuple[int, ...] = ()) -> None:
        """Send a message at once. The other side reads as long as it lives; a dead one is seen by `get`."""
        if self.closed:
            return
        body = json.dumps(message).encode()
        data = memoryview(len(body).to_bytes(HEAD, "big") + body)
        try:
            if fds:
                rights = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))]
                data = data[self.sock.sendmsg([data], rights) :]
            self.sock.setblocking(True)
            self.sock.settimeout(5.0)
            self.sock.sendall(data)
        except OSError:
            self.close()
        finally:
            if not self.closed:
                self.sock.setblocking(False)

    async def get(self) -> dict[str, Any] | None:
        """Return the next message, or None when the other side is gone (or talks nonsense)."""
        while not self._arrived and not self.closed:
            self._waiting = Future()
            await self._waiting
        return self._arrived.popleft() if self._arrived else None

    def _read(self) -> None:
        try:
            data = self.sock.recv(1 << 16)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:
            data = b""
        if not data:
            self.close()
            return
        self._received += data
        begin = len(self.stamp) + HEAD
        while not self.closed and self._received:
            size = int.from_bytes(self._received[len(self.stamp) : begin], "big")
            if not self.stamp.startswith(self._received[: len(self.stamp)]) or size > MAX_MESSAGE:
                self.close()
                return
            if len(self._received) < begin or len(self._received) < begin + size:
                return
            self._take(bytes(self._received[begin : begin + size]))
            del self._received[: begin + size]

    def _take(self, body: bytes) -> None:
        try:
            message = json.loads(body)
        except (ValueError, RecursionError):
            self.close()
            return
        if isinstance(message, dict):
            self._arrived.append(message)
        self._wake()

    def _wake(self) -> None:
        if self._waiting is not None:
            self._waiting.set(True)

    def close(self) -> None:
        if not self.closed:
            self.closed = True
            self._loop.unwatch(self.sock.fileno())
            self.sock.close()
            self._wake()


def on_stderr(text: str) -> None:
    """Say something where the client keeps it for its debug log; without a stderr it is lost."""
    with contextlib.suppress(OSError):
        os.write(2, f"fanout hooks: {text}\n".encode("utf-8", "replace"))


def memory_file(name: str) -> int:
    """Return a descriptor of a file that no other process can open: output in it outlives its writer."""
    if hasattr(os, "memfd_create"):
        return os.memfd_create(name, os.MFD_CLOEXEC)
    import tempfile

    fd, path = tempfile.mkstemp(prefix="fanout-")
    os.unlink(path)
    return fd


def sealed_file(name: str, data: bytes) -> int:
    """Return a descriptor of a file with this content; no one can change it where the system can seal it."""
    can_seal = hasattr(os, "memfd_create") and hasattr(fcntl, "F_ADD_SEALS")
    fd = os.memfd_create(name, os.MFD_CLOEXEC | os.MFD_ALLOW_SEALING) if can_seal else memory_file(name)
    write_all(fd, data)
    if can_seal:
        seals = fcntl.F_SEAL_SEAL | fcntl.F_SEAL_SHRINK | fcntl.F_SEAL_GROW | fcntl.F_SEAL_WRITE
        with contextlib.suppress(OSError):
            fcntl.fcntl(fd, fcntl.F_ADD_SEALS, seals)
    return fd


def write_all(fd: int, data: bytes) -> None:
    """Write everything: one write may take less."""
    view = memoryview(data)
    while view:
        view = view[os.write(fd, view) :]


# --- Files and processes ------------------------------------------------------------------------------------

MAX_OUTPUT = 16 << 20
CONTROL = 200
"""Above what a program opens itself, so that it finds the numbers that it would find natively."""


class Command(NamedTuple):
    """What to start as a process (run/lanes.py)."""

    line: list[str]
    files: tuple[int, int, int]
    env: dict[str, str]
    cwd: str
    control: int | None = None
    """One more descriptor for it, which it finds as number CONTROL."""


class Holder:
    """A command at work, as seen from here: the process that waits for it and ends as it does."""

    __slots__ = ("ended", "pid", "returncode")

    def __init__(self, pid: int) -> None:
        self.pid = pid
        self.returncode: int | None = None
        self.ended: Future[bool] = Future()

    def poll(self, how: int = os.WNOHANG) -> int | None:
        """Return the exit status, negative for a signal; None while it is at work."""
        if self.returncode is None:
            try:
                pid, status = os.waitpid(self.pid, how)
            except ChildProcessError:
                pid, status = self.pid, 0
            if pid:
                self.returncode = os.waitstatus_to_exitcode(status)
        return self.returncode


class Ended(NamedTuple):
    """What a process left: `exit` is negative for a signal."""

    exit: int
    ms: float
    stdout: bytes
    stderr: bytes
    timed_out: bool = False


def content(fd: int) -> bytes:
    """Return what a process wrote into a file of ours."""
    return os.pread(fd, min(os.fstat(fd).st_size, MAX_OUTPUT), 0)


def is_stopped(pid: int) -> bool:
    """Say whether a process was stopped and nothing continues it; False where the system doesn't say."""
    try:
        with open(f"/proc/{pid}/stat", "rb") as file:
            return file.read().rpartition(b")")[2].split()[:1] in ([b"T"], [b"t"])
    except OSError:
        return False


def kill_group(pid: int) -> None:
    for end in (os.killpg, os.kill):
        try:
            end(pid, signal.SIGKILL)
        except OSError:
            continue
