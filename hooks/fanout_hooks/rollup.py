"""The hook log with its segments as one tally; what was counted once is not read again.

Beside each file lies a digest of it: what it holds up to a byte, and which file (by its inode, which a rename
keeps: the open log becomes a segment). A report reads the digests and what came since. The digest is a cache:
damaged, foreign or of another form it is thrown away, and a folder that can't be written only costs time.

Files of many megabytes are counted by one process per core, each a range of whole lines.
"""

from __future__ import annotations

import json
import os
import stat
from collections.abc import Iterator
from typing import TYPE_CHECKING, Any, NamedTuple

from fanout_hooks import regular
from fanout_hooks.counting import count
from fanout_hooks.tally import Tally

if TYPE_CHECKING:
    import multiprocessing.process
    from multiprocessing.connection import Connection

BLOCK = 1 << 20
SHARE_BYTES = 16 << 20
"""Below this a second process costs more than it saves."""
MOST_PROCESSES = 4
SAVE_FROM = 256 << 10
"""New bytes from which the digest is written again."""
ENDING = ".digest.json"


def segments(path: str) -> list[str]:
    """List the log's closed segments, oldest first."""
    folder, name = os.path.split(path)
    stem, extension = os.path.splitext(name)
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    found = [one for one in names if one.startswith(stem + ".") and one.endswith(extension) and one != name]
    return [os.path.join(folder, one) for one in sorted(found, key=_order)]


def _order(name: str) -> tuple[str, int]:
    date, _, number = os.path.splitext(name)[0].partition(".")[2].partition(".")
    return date, int(number) if number.isdigit() else 0


def gather(path: str, since: str = "") -> Tally:
    """Tally the log at `path` and its segments that may hold a day from `since` ("2026-11-24") on.

    Missing files count as empty. Raises OSError when the log is there and can't be read.
    """
    tally = Tally()
    for segment in segments(path):
        if _order(os.path.basename(segment))[0] >= since:
            tally.merge(_counted(segment, path))
    tally.merge(_counted(path, path))
    return tally


def _counted(path: str, log: str) -> Tally:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return Tally()
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode):
            raise OSError(f"{path} is not a regular file")
        kept = _digest_of(path)
        done, tally = _recall(kept, about)
        if not done:  # a segment: what was counted of it while it was the log lies with the log
            done, tally = _recall(_digest_of(log), about)
        end = _last_line_end(fd, about.st_size)
        if end > done:
            tally.merge(_count(path, fd, done, end))
        if end - done >= SAVE_FROM or (done and not os.path.lexists(kept)):
            _save(kept, {"inode": about.st_ino, "end": end, "tally": tally.to_json()})
        return tally
    finally:
        os.close(fd)


def _digest_of(path: str) -> str:
    return os.path.splitext(path)[0] + ENDING


def _recall(kept: str, about: os.stat_result) -> tuple[int, Tally]:
    """Return up to where a file was counted, and what; nothing when the digest isn't of this file."""
    try:
        data = json.loads(regular.read(kept))
        if data["inode"] == about.st_ino and data["end"] <= about.st_size:
            return int(data["end"]), Tally.from_json(data["tally"])
    except (OSError, ValueError, KeyError, TypeError, AttributeError, RecursionError):
        pass
    return 0, Tally()


def _save(kept: str, data: dict[str, Any]) -> None:
    try:
        regular.replace(kept, json.dumps(data, separators=(",", ":")).encode())
    except OSError:
        return  # it only costs time


def _last_line_end(fd: int, size: int) -> int:
    """Return the offset after the last whole line: a writer may be at work behind it."""
    end = size
    while end > 0:
        begin = max(0, end - 65536)
        found = os.pread(fd, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


# --- counting, by several processes ---------------------------------------------------------------


def _count(path: str, fd: int, begin: int, end: int) -> Tally:
    first, *rest = _ranges(fd, begin, end)
    parts = [(_started(path, *one), one) for one in rest]
    tally = count(_lines(fd, *first))
    for part, one in parts:
        counted = part.result() if part is not None else None
        tally.merge(count(_lines(fd, *one)) if counted is None else counted)
    return tally


def _ranges(fd: int, begin: int, end: int) -> list[tuple[int, int]]:
    count = max(1, min(MOST_PROCESSES, os.cpu_count() or 1, (end - begin) // SHARE_BYTES))
    cuts = [begin]
    for number in range(1, count):
        wanted = begin + (end - begin) * number // count
        cut = _last_line_end(fd, wanted)
        if cut > cuts[-1]:
            cuts.append(cut)
    return list(zip(cuts, [*cuts[1:], end], strict=True))


class _Part(NamedTuple):
    """A process that counts a range. It ends by itself, whatever becomes of us: no pool's process would."""

    process: multiprocessing.process.BaseProcess
    pipe: Connection

    def result(self) -> Tally | None:
        """Return what it counted; None when it was killed, for its memory perhaps."""
        with self.pipe:
            try:
                found = self.pipe.recv()
            except (EOFError, OSError):
                found = None
        self.process.join()
        return found if isinstance(found, Tally) else None


def _started(path: str, begin: int, end: int) -> _Part | None:
    """Count a range in a process of its own; None when there can't be one."""
    import multiprocessing  # 30 ms that only large logs need

    context = multiprocessing.get_context("fork")
    try:
        ours, theirs = context.Pipe(duplex=False)
    except OSError:
        return None
    with theirs:
        process = context.Process(target=_send_count, args=(theirs, path, begin, end), daemon=True)
        try:
            process.start()
        except OSError:
            ours.close()
            return None
    return _Part(process, ours)


def _send_count(pipe: Connection, path: str, begin: int, end: int) -> None:
    fd = os.open(path, os.O_RDONLY | os.O_CLOEXEC)  # its own: it may outlive ours
    pipe.send(count(_lines(fd, begin, end)))


def _lines(fd: int, begin: int, end: int) -> Iterator[bytes]:
    rest = b""
    while begin < end:
        block = os.pread(fd, min(BLOCK, end - begin), begin)
        if not block:
            return
        begin += len(block)
        *lines, rest = (rest + block).split(b"\n")
        yield from lines
