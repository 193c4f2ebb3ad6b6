"""One batch of hooks in one seat: what it was asked, the files it writes into, what it has told so far.

The worker writes a line for each hook that has ended; whose line is missing is the one that runs, or the one
that took the process with it. Output and lines lie in memory files that outlive the worker.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, NamedTuple, Self

from fanout_hooks.command import Program
from fanout_hooks.loop import memory_file
from fanout_hooks.on_demand import HEAD, asked_for

MAX_OUTPUT = 16 << 20


class Task(NamedTuple):
    """A hook to be run in a seat."""

    place: int
    program: Program
    timeout_s: float


class Ran(NamedTuple):
    """What became of it. `exit` is negative for a signal, as in subprocess."""

    place: int
    exit: int
    ms: float
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    taint: str = ""
    effects: dict[str, Any] | None = None


class Sitting:
    """Use it as a context: its files are closed at the end."""

    def __init__(self, tasks: list[Task]) -> None:
        self.left = list(tasks)
        self.out, self.err, self.results = (memory_file(name) for name in ("out", "err", "results"))
        self.timed_out = False
        self.spoilt = False
        """The process can't be used for what is left."""
        self._read = 0
        self._spans = (0, 0)
        self._since = time.monotonic()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        for fd in (self.out, self.err, self.results):
            os.close(fd)

    def time_left(self) -> float:
        """Return the seconds that the hook which runs now may still take."""
        rows, _ = self._rows()
        since = rows[-1]["at"] if rows else self._since
        running = self.left[len(rows)] if len(rows) < len(self.left) else None
        return 1.0 if running is None else float(since + running.timeout_s - time.monotonic())

    def news(self) -> list[Ran]:
        """Take in the results that were not told yet."""
        found = []
        rows, self._read = self._rows()
        for row in rows:
            task = self.left.pop(0)
            stdout, stderr = _span(self.out, *row["out"]), _span(self.err, *row["err"])
            found.append(
                Ran(task.place, row["exit"], row["ms"], stdout, stderr, False, row["taint"], row["effects"])
            )
            self._since = row["at"]
            self._spans = (row["out"][1], row["err"][1])
            self.spoilt = self.spoilt or bool(row["taint"] or row["spoilt"])
        return found

    def asked_for(self) -> float | None:
        """Return for how long the hook that runs asks to be left alone."""
        return asked_for(os.pread(self.out, HEAD, self._spans[0]))

    def let_go(self) -> Ran:
        """Return the result of the hook that runs: nobody waits for it any more."""
        stdout = _span(self.out, self._spans[0], os.fstat(self.out).st_size)
        ms = round((time.monotonic() - self._since) * 1000, 3)
        return Ran(self.left.pop(0).place, 0, ms, stdout, b"", taint="worked on after its answer")

    def died(self, status: int) -> Ran:
        """Return the result of the hook that was running when the process ended."""
        stdout = _span(self.out, self._spans[0], os.fstat(self.out).st_size)
        stderr = _span(self.err, self._spans[1], os.fstat(self.err).st_size)
        ms = round((time.monotonic() - self._since) * 1000, 3)
        return Ran(self.left.pop(0).place, status, ms, stdout, stderr, self.timed_out, "ended the process")

    def _rows(self) -> tuple[list[dict[str, Any]], int]:
        """Return the whole lines that weren't read yet, and where they end."""
        size = os.fstat(self.results).st_size - self._read
        data = os.pread(self.results, size, self._read) if size > 0 else b""
        end = data.rfind(b"\n") + 1
        return [json.loads(line) for line in data[:end].splitlines()], self._read + end


def _span(fd: int, begin: int, end: int) -> bytes:
    return os.pread(fd, min(end - begin, MAX_OUTPUT), begin) if end > begin else b""
