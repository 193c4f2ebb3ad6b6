"""One worker process, as its owner sees it: two pipes, what it has not answered yet, and its end."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field


@dataclass(slots=True, eq=False)
class Worker:
    process: subprocess.Popen[bytes]
    pending: deque[int] = field(default_factory=deque)
    buffer: bytes = b""
    outgoing: bytes = b""
    last_answer: float = 0.0

    @property
    def output(self) -> int:
        assert self.process.stdout is not None  # noqa: S101 - opened with a pipe; tells mypy so
        return self.process.stdout.fileno()

    @property
    def input(self) -> int:
        assert self.process.stdin is not None  # noqa: S101 - as above
        return self.process.stdin.fileno()

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
    worker = Worker(process)
    # Both pipes may be full at once when items and results are large: neither side may block on the other.
    os.set_blocking(worker.input, False)
    return worker


def ending(code: int) -> str:
    try:
        return signal.Signals(-code).name if code < 0 else f"exit {code}"
    except ValueError:
        return f"signal {-code}"
