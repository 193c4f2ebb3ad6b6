"""The performance log: one line of JSON an event, `<project>/.claude/memory/hook_performance.jsonl`.

One `os.write` on O_APPEND a line (16 writers lost nothing up to 1 MB a line; two writes weld lines together),
after the answer is out, no fsync. Keys, in this order:

    timestamp    UTC, ISO 8601, milliseconds
    phase        the event's name
    total_hooks  how many hooks ran
    batches      the longest chain of hooks that had to wait for one another
    elapsed_ms   from event to answer
    failures     hooks that ended neither with 0 nor with 2, or were cut
    session_id, sequential_ms (the sum of the hooks), path (warm, cold)
    hooks        [{name, batch, ms, wait_ms, exit, decision, lane}], and where it applies
                 timed_out (true) and left (what it left changed behind it)
    gate         {verdict, why, call, after, wave}, where the sequential-agent gate had a say
    notes        what a reader should know: bad configuration, a hook's garbage, a conflict

At 64 MB the file is renamed into a dated segment (a rename loses nothing under writers, copy and truncate
does) by the one writer that gets its lock; the others go on writing, into the segment if need be.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
import time
from typing import Any

from fanout_hooks.regular import folder_in

FOLDER = (".claude", "memory")
NAME = os.path.join(*FOLDER, "hook_performance.jsonl")
ROTATE_BYTES = 64 << 20
MOST_SEGMENTS = 1000
"""Of a day."""
FLAGS = os.O_WRONLY | os.O_APPEND | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
IGNORED = "hook_performance*\n.gitignore\n"


class Unwritable(Exception):
    """The log can't be written; the text says why. The hooks' answer stands all the same."""


def path_of(project: str) -> str:
    return os.path.join(project, NAME)


def stamp(now: float | None = None) -> str:
    now = time.time() if now is None else now
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"


def append(path: str, record: dict[str, Any]) -> None:
    """Append one record as one line. Raises Unwritable."""
    line = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
    try:
        fd = _open(path)
    except OSError as error:
        raise Unwritable(f"{path}: {error.strerror or error}") from error
    try:
        about = os.fstat(fd)
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.getuid():
            raise Unwritable(f"{path} is not a regular file of this user")
        if os.write(fd, line) != len(line):
            raise Unwritable(f"{path}: the disk is full")
        if about.st_size + len(line) > ROTATE_BYTES:
            _rotate(path, fd, about.st_ino)
    except OSError as error:
        raise Unwritable(f"{path}: {error.strerror or error}") from error
    finally:
        os.close(fd)


def _open(path: str) -> int:
    if path.endswith(NAME):
        folder_in(path[: -len(NAME)] or ".", *FOLDER)
    try:
        return os.open(path, FLAGS, 0o600)
    except FileNotFoundError:
        folder = os.path.dirname(path)
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _ignore(os.path.join(folder, ".gitignore"))
        return os.open(path, FLAGS, 0o600)


def _ignore(path: str) -> None:
    """Keep the log out of the user's repository; a file that is there already is theirs."""
    try:
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o644)
    except OSError:
        return
    with os.fdopen(fd, "w") as file:
        file.write(IGNORED)


def segment_name(path: str, now: float, number: int) -> str:
    stem, extension = os.path.splitext(path)
    date = time.strftime("%Y-%m-%d", time.gmtime(now))
    return f"{stem}.{date}.{number}{extension}"


def _rotate(path: str, fd: int, inode: int) -> None:
    """Rename the full file, if it still is the log and nobody else is at it.

    Only who has the lock of the file that is the log renames, so nobody else takes the segment's name either.
    """
    try:
        fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        if os.lstat(path).st_ino != inode:
            return
        now = time.time()
        names = (segment_name(path, now, number) for number in range(1, MOST_SEGMENTS + 1))
        segment = next((name for name in names if not os.path.lexists(name)), None)
        if segment is not None:
            os.rename(path, segment)
    except OSError:
        return  # another is at it, or the folder is read-only: the log just grows
