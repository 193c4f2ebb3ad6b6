"""One batch of hooks in one worker: what it was asked, the files it writes into, what it has reported so far.

The worker sends a row before each hook and one after it, over a socket that only we read. What has been
sent can't be taken back, but a hook may send bytes too: what doesn't begin with the worker's stamp, or isn't
the row that has to come next, is *unreadable*. It is the loss of the hook that had begun, and of no other:
the rows before it were written before it ran, and nothing after it is believed.

A row: the stamp, three lengths of four bytes, then JSON, stdout and stderr. JSON is one of

    {"begin": place, "last": whether the process may not be used after this hook, "at": monotonic seconds}
    {"i": place, "exit", "ms", "taint", "spoilt", "at", "effects", "kept": true where it printed much}
"""

from __future__ import annotations

import json
import os
import socket
import struct
import time
from typing import Any, NamedTuple, Self

from fanout_hooks.command import Program
from fanout_hooks.loop import memory_file
from fanout_hooks.on_demand import HEAD, asked_for

MAX_OUTPUT = 16 << 20
MAX_ROW = 8 << 20
_LENGTHS = struct.Struct(">III")
UNREADABLE = "wrote into fanout's own channel"
SILENT = "kept fanout's own code from answering"
EFFECTS = {"reads": list, "writes": list, "spawns": bool, "opaque": bool}


class Task(NamedTuple):
    """A hook to be run in a worker."""

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
    lost: str = ""
    """Why what it answered is not known."""


class Sitting:
    """Use it as a context: its files are closed at the end."""

    def __init__(self, tasks: list[Task], stamp: bytes) -> None:
        self.left = list(tasks)
        self.out, self.err = (memory_file(name) for name in ("out", "err"))
        self._ours, self.results = socket.socketpair()
        self._ours.setblocking(False)
        self.timed_out = False
        self.spoilt = False
        """The process can't be used for what is left."""
        self.is_last = False
        """The hook that has begun could make the process say anything."""
        self.unreadable = False
        self._stamp = stamp
        self._received = bytearray()
        self._begun = False
        self._since = time.monotonic()
        self._ran: list[Ran] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sent()
        self._ours.close()
        for fd in (self.out, self.err):
            os.close(fd)

    def sent(self) -> None:
        """Close the worker's end here: it has its own."""
        self.results.close()

    def is_over(self) -> bool:
        """Say whether this process has run what it will."""
        return self.spoilt or not self.left

    def time_left(self) -> float:
        """Return the seconds that the hook which runs now may still take."""
        self._take_in()
        if not self.left or self.unreadable:
            return 1.0
        return self._since + self.left[0].timeout_s - time.monotonic()

    def news(self) -> list[Ran]:
        """Take in the results that were not reported yet."""
        self._take_in()
        found, self._ran = self._ran, []
        return found

    def asked_for(self) -> float | None:
        """Return for how long the hook that runs asks to be left alone."""
        return asked_for(os.pread(self.out, HEAD, 0))

    def let_go(self) -> Ran:
        """Return the result of the hook that runs: no one waits for it any more."""
        stdout = _content(self.out)
        return Ran(self.left.pop(0).place, 0, self._ms(), stdout, b"", taint="worked on after its answer")

    def died(self, status: int) -> Ran | None:
        """Return the result of the hook that was running when the process ended; None when none was."""
        self._take_in()
        if self.unreadable:
            return self.lost(UNREADABLE)
        if not self._begun:
            return None
        stdout, stderr = _content(self.out), _content(self.err)
        place = self.left.pop(0).place
        return Ran(place, status, self._ms(), stdout, stderr, self.timed_out, "ended the process")

    def lost(self, why: str) -> Ran | None:
        """Return the result of the hook whose answer can't be known; None when none had begun.

        What one that has ended left running may write, too: its own answer is here, the next one is innocent.
        """
        if not self._begun:
            return None
        place = self.left.pop(0).place
        return Ran(place, 1, self._ms(), b"", _content(self.err), taint=why, lost=why)

    def _ms(self) -> float:
        return round((time.monotonic() - self._since) * 1000, 3)

    # --- rows ------------------------------------------------------------------------------------------

    def _take_in(self) -> None:
        """Read what has come. After the last row that counts nothing does."""
        while not (self.unreadable or self.spoilt):
            try:
                data = self._ours.recv(1 << 18)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                return
            self._received += data
            while self._row():
                pass

    def _row(self) -> bool:
        """Take in the next row if it is whole and counts; say whether there may be another."""
        head = len(self._stamp)
        if not self._stamp.startswith(self._received[:head]):
            self.unreadable = True
            return False
        begin = head + _LENGTHS.size
        if len(self._received) < begin:
            return False
        body, out, err = _LENGTHS.unpack_from(self._received, head)
        end = begin + body + out + err
        if end > MAX_ROW:
            self.unreadable = True
            return False
        if len(self._received) < end:
            return False
        row = self._received[begin : begin + body]
        stdout = bytes(self._received[begin + body : end - err]) if out else b""
        stderr = bytes(self._received[end - err : end]) if err else b""
        del self._received[:end]
        try:
            self._believe(json.loads(row), stdout, stderr)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            self.unreadable = True
        return not (self.unreadable or self.spoilt)

    def _believe(self, row: dict[str, Any], stdout: bytes, stderr: bytes) -> None:
        """Take in a row that has to come now. Raises what shows that it is none."""
        if "begin" in row:
            if self._begun or row["begin"] != self.left[0].place:
                raise ValueError("another hook than the next has begun")
            self._begun, self.is_last, self._since = True, bool(row["last"]), _number(row["at"])
            return
        if not self._begun or row["i"] != self.left[0].place:
            raise ValueError("a result of another hook than the one that has begun")
        if row.get("kept"):
            stdout, stderr = _content(self.out), _content(self.err)
        taint = str(row["taint"])
        effects = row["effects"]
        if effects is not None and not all(isinstance(effects[name], kind) for name, kind in EFFECTS.items()):
            raise ValueError("effects of another form")
        place = self.left[0].place
        self._ran.append(
            Ran(place, int(row["exit"]), _number(row["ms"]), stdout, stderr, False, taint, effects)
        )
        del self.left[0]
        self._begun, self._since = False, _number(row["at"])
        self.spoilt = bool(taint or row["spoilt"] or self.is_last)


def _number(value: Any) -> float:
    return float(value)


def _content(fd: int) -> bytes:
    return os.pread(fd, min(os.fstat(fd).st_size, MAX_OUTPUT), 0)
