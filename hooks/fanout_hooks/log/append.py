"""The performance log: one line of JSON an event, `<project>/.claude/memory/hook_performance.jsonl`.

One `os.write` on O_APPEND a line, under the file's lock, after the answer is out, no fsync. SIGKILL can cut a
write where it crosses a page; who has the lock next takes such a tail away, for its writer never returned.
docs/hooks.md says what each key holds; run/dispatch.py writes them.

At 64 MB the writer that has the lock renames the file into a dated segment (a rename loses nothing under
writers, copy and truncate does). A writer that opened the file before looks after it has the lock whether it
still is the log, so no segment is written to.
"""

from __future__ import annotations

import json
import os
import stat
import sys
import time
from typing import TYPE_CHECKING, Any

from fanout_hooks.client.files import NEW, flags, folder_in, last_line_end, lock, own
from fanout_hooks.learn import memory

if TYPE_CHECKING:
    import subprocess


FOLDER = (".claude", "memory")
NAME = os.path.join(*FOLDER, "hook_performance.jsonl")
ROTATE_BYTES = 64 << 20
MAX_SEGMENTS = 1000
"""Of a day."""
LOCK_S = 1.0
LOCK_LOOK_S = 0.0005
FLAGS = flags("O_RDWR", "O_APPEND", "O_CREAT", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC")
IGNORED = "hook_performance*\n.gitignore\n"


class Unwritable(Exception):
    """The log can't be written; the text says why. The hooks' answer holds all the same."""


def path_of(project: str) -> str:
    return os.path.join(project, NAME)


def stamp(now: float | None = None) -> str:
    now = time.time() if now is None else now
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(now)) + f".{int(now % 1 * 1000):03d}Z"


def append(path: str, record: dict[str, Any]) -> None:
    """Append one record as one line. Raises Unwritable."""
    line = json.dumps(record, ensure_ascii=True, separators=(",", ":")).encode() + b"\n"
    try:
        fd, is_locked = _locked_log(path)
    except OSError as error:
        raise Unwritable(f"{path}: {error.strerror or error}") from error
    try:
        if is_locked:
            _cut_half_line(fd)
        about = os.fstat(fd)
        if not is_locked and about.st_size and os.pread(fd, 1, about.st_size - 1) != b"\n":
            line = b"\n" + line  # readers pass over an empty line, and a half one is lost alone
        written = os.write(fd, line)
        if written != len(line):
            if is_locked:
                os.ftruncate(fd, about.st_size)
            raise Unwritable(f"{path}: the disk is full")
        if is_locked and about.st_size + len(line) > ROTATE_BYTES and _is_at(path, about):
            _rotate(path)
    except OSError as error:
        raise Unwritable(f"{path}: {error.strerror or error}") from error
    finally:
        os.close(fd)


def _locked_log(path: str) -> tuple[int, bool]:
    """Return a descriptor of the file that is the log now, and whether we have its lock.

    A stopped process may hold the lock: after LOCK_S the line is written without it. Raises OSError or
    Unwritable.
    """
    until = time.monotonic() + LOCK_S
    while True:
        fd = _open(path)
        try:
            about = _must_be_ours(path, fd)
            is_locked = lock(fd, until, LOCK_LOOK_S)
            if not is_locked or _is_at(path, about):
                return fd, is_locked
        except BaseException:
            os.close(fd)
            raise
        os.close(fd)  # renamed while we waited: what is written to a segment no one would look after


def _must_be_ours(path: str, fd: int) -> os.stat_result:
    about = os.fstat(fd)
    if not stat.S_ISREG(about.st_mode) or about.st_uid != os.getuid():
        raise Unwritable(f"{path} is not a regular file of this user")
    return about


def _is_at(path: str, about: os.stat_result) -> bool:
    try:
        now = os.lstat(path)
    except OSError:
        return False
    return (now.st_dev, now.st_ino) == (about.st_dev, about.st_ino)


def _cut_half_line(fd: int) -> None:
    """Take away the beginning of a line whose writer was killed: the next line would be welded to it."""
    size = os.fstat(fd).st_size
    end = last_line_end(fd, size)
    if end != size:
        os.ftruncate(fd, end)


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
        fd = os.open(path, NEW, 0o644)
    except OSError:
        return
    with os.fdopen(fd, "w") as file:
        file.write(IGNORED)


def segment_name(path: str, now: float, number: int) -> str:
    stem, extension = os.path.splitext(path)
    date = time.strftime("%Y-%m-%d", time.gmtime(now))
    return f"{stem}.{date}.{number}{extension}"


def _rotate(path: str) -> None:
    """Rename the full log. Only who has its lock does, so no one else takes the segment's name either."""
    try:
        now = time.time()
        names = (segment_name(path, now, number) for number in range(1, MAX_SEGMENTS + 1))
        segment = next((name for name in names if not os.path.lexists(name)), None)
        if segment is not None:
            os.rename(path, segment)
    except OSError:
        return  # the folder is read-only: the log just grows


REPORTS_ON = ("UserPromptSubmit", "PostToolUse")
"""The daily report is looked at when a prompt is answered, and where PostToolUse hooks are adopted."""


def after_event(project: str, state: str, event: str, record: dict[str, Any] | None) -> str:
    """Log an event that had hooks, and start the daily report when it is due; return what went wrong, or "".

    `record`: the event's line without its timestamp. `state`: home.state_folder.
    """
    problem = ""
    if record is not None:
        try:
            append(path_of(project), {"timestamp": stamp(), **record})
        except Unwritable as error:
            problem = f"the hook log: {error}"
    if event in REPORTS_ON:
        # The supervisor lives on: a report that has ended is reaped when the next one starts.
        started = write_report_when_due(project, state)
        if started is not None:
            _reports[:] = [one for one in _reports if one.poll() is None] + [started]
    return problem


_reports: list[subprocess.Popen[bytes]] = []
"""Processes that write a report; held, for Python warns of a running process that it forgets."""


# --- Starts the daily report in its own process; nothing waits for it. --------------------------------------
# Looked at after a prompt (and after PostToolUse hooks), when the answer is out: the first one after 24 hours
# starts it, if there is a log. Cold, every event is its own process, so what was tried is remembered in the
# user's state folder.

REPORT_NAME = os.path.join(".claude", "memory", "hook_performance_report.md")
EVERY_S = 24 * 3600
AGAIN_S = 600
"""A report that fails, or takes long, is not tried at every event."""
WRITE = """
import os, sys
sys.path.insert(0, sys.argv[1])
os.nice(10)
from fanout_hooks.log import daily
daily.write_daily(sys.argv[2])
"""


def is_due(project: str, now: float) -> bool:
    """Say whether there is a log, and its report is a day old or missing."""
    report = os.path.join(project, REPORT_NAME)
    try:
        is_log = stat.S_ISREG(os.lstat(path_of(project)).st_mode)
        return is_log and now - os.lstat(report).st_mtime >= EVERY_S
    except FileNotFoundError as missing:
        return str(missing.filename) == report
    except OSError:
        return False


def write_report_when_due(
    project: str, state: str, now: float | None = None
) -> subprocess.Popen[bytes] | None:
    """Start the report's process when it is due; return it for tests. `state`: home.state_folder."""
    now = time.time() if now is None else now
    if not is_due(project, now) or not _is_first(project, state, now):
        return None
    import subprocess  # 3 ms that only one event a day needs

    ours = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WRITE, ours, project],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None


def _is_first(project: str, state: str, now: float) -> bool:
    """Say whether no process has tried it in these ten minutes; where that can't be kept, none does."""
    folder, name = os.path.join(state, "daily"), memory.name_of(project)
    slot = int(now // AGAIN_S)
    mark = f"{name}.{slot}"
    try:
        os.close(own(os.path.join(folder, mark), NEW))
        for other in os.listdir(folder):
            when = other.rpartition(".")[2]
            if other != mark and (other.startswith(name) or not when.isdecimal() or int(when) < slot):
                os.unlink(os.path.join(folder, other))
    except FileNotFoundError:
        return True  # another sweeps, too
    except OSError:
        return False
    return True
