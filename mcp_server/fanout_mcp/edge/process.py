"""The server as a process: its pipes taken over first, and an end within 0.4 s however it comes.

The client sends SIGINT, SIGTERM 0.1 s later, and kills at 0.5 s. So every end (a signal, end of input, a
closed output) is the same: calls are cancelled, which closes streams and kills children; what is flushed on
cancellation is flushed; and a timer ends the process if anything of that hangs.
"""

from __future__ import annotations

import asyncio
import io
import logging
import os
import signal
import stat
import sys
import threading
from contextlib import suppress
from pathlib import Path
from types import FrameType
from typing import TYPE_CHECKING, Final

from fanout_hooks.crash import blanked, secrets_of
from fanout_mcp.edge.first import is_pipe

if TYPE_CHECKING:
    from fanout_mcp.edge.server import Seams


LAST_CALL_S: Final = 0.35
"""Seconds until the process ends, clean or not; the client would kill it and leave its children."""

SIGNALS: Final = [*{signal.SIGTERM, signal.SIGINT, getattr(signal, "SIGHUP", signal.SIGTERM)}]

log = logging.getLogger("fanout")


def take_pipes() -> tuple[int, int]:
    """Return copies of stdin and stdout: no print, import or child writes into the protocol, or reads it."""
    stdin, stdout = map(os.dup, (0, 1))  # 0 to 2 are open, and what `dup` returns is not inherited
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)
    os.dup2(2, 1)
    return stdin, stdout


class Stderr(io.TextIOBase):
    """Writes what fits, drops the rest (a client that does not read must not stop us), and blanks secrets."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor
        self._secrets = secrets_of(os.environ)

    def write(self, text: str) -> int:
        shown = blanked(text, self._secrets)
        with suppress(OSError):
            os.write(self._descriptor, shown.encode("utf-8", errors="backslashreplace"))
        return len(text)

    def writable(self) -> bool:
        return True

    def fileno(self) -> int:
        return self._descriptor


def unblock_stderr() -> None:
    """Make writing to stderr never block, for us and for children that inherit it.

    A pipe is opened again, so that others who hold the same one keep theirs as it was.
    """
    mode = os.fstat(2).st_mode
    with suppress(OSError):
        if stat.S_ISFIFO(mode):
            fresh = os.open("/proc/self/fd/2", os.O_WRONLY | os.O_NONBLOCK | os.O_CLOEXEC)
            os.dup2(fresh, 2)
            os.close(fresh)
        elif stat.S_ISSOCK(mode):
            os.set_blocking(2, False)
    sys.stderr = Stderr(2)
    sys.stdout = sys.stderr
    logging.basicConfig(stream=sys.stderr, level=logging.WARNING, format="%(name)s: %(message)s", force=True)


class Ending:
    """Turns the first signal into a cancellation of the main task, and remembers which it was."""

    def __init__(self) -> None:
        self.status = 0
        self._task: asyncio.Task[None] | None = None

    def watch(self, task: asyncio.Task[None]) -> None:
        self._task = task
        for number in SIGNALS:
            # Not loop.add_signal_handler: this one also comes through while the loop is busy.
            signal.signal(number, self._on_signal)

    def _on_signal(self, number: int, _: FrameType | None) -> None:
        if self.status:
            return
        self.status = 128 + number
        last_call(self.status)
        if self._task is not None:
            self._task.get_loop().call_soon_threadsafe(self._task.cancel)


def last_call(status: int) -> None:
    """From now on the process has LAST_CALL_S to end by itself."""
    timer = threading.Timer(LAST_CALL_S, leave, [status])
    timer.daemon = True
    timer.start()


def leave(status: int) -> None:
    """End at once, and take along whatever child is left. Never sys.exit: a stuck thread would hold it up."""
    for child in children():
        with suppress(OSError):
            os.killpg(child, signal.SIGKILL) if os.getpgid(child) == child else os.kill(child, signal.SIGKILL)
    os._exit(status)


def children() -> list[int]:
    """Return the direct children as Linux lists them; on other systems none, and their owners end them."""
    found: list[int] = []
    for thread in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError, ValueError):
            found += map(int, thread.read_text().split())
    return found


async def serve(stdin: int, stdout: int, seams: Seams | None = None, begun: bytes = b"") -> None:
    """Serve one client until it closes its end; `begun` is read first (first.py)."""
    from fanout_mcp.edge.server import build  # the SDK takes half a second; the pipes are safe by now
    from fanout_mcp.edge.stdio import pipes

    server = build(seams)
    options = server.create_initialization_options()
    if is_pipe(stdin) and is_pipe(stdout):
        async with pipes(stdin, stdout, lambda: last_call(0), begun) as (read, write):
            await server.run(read, write, options)
    else:
        import anyio
        from mcp.server.stdio import stdio_server

        source = anyio.wrap_file(os.fdopen(stdin, encoding="utf-8", errors="replace"))
        sink = anyio.wrap_file(os.fdopen(stdout, "w", encoding="utf-8", errors="replace"))
        async with stdio_server(source, sink) as (slow_read, slow_write):
            await server.run(slow_read, slow_write, options)


def main(seams: Seams | None = None, begun: bytes = b"") -> int:
    """Run the server; does not return."""
    stdin, stdout = take_pipes()
    unblock_stderr()
    ending = Ending()
    loop = asyncio.new_event_loop()
    task = loop.create_task(serve(stdin, stdout, seams, begun))
    ending.watch(task)
    while not task.done():
        try:
            loop.run_until_complete(task)
        except (SystemExit, KeyboardInterrupt):
            # A task of a tool let it escape; asyncio stops the loop for it, and nothing else is wrong.
            log.exception("a tool tried to end the server")
        except asyncio.CancelledError:
            break
        except Exception:
            log.exception("the server ends")
            ending.status = ending.status or 1
    leave(ending.status)
    return 0
