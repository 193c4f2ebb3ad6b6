"""Read files that a repository may have planted (regular, bounded, never blocking); replace and lock our own.

    read(path, at_most)                 OSError for a FIFO, a device, a link, what is larger
    read(path, at_most, follow=True)    a link counts as what it leads to: settings files may be links
    replace(path, data)                 readers find the old or the new; a link is replaced, not followed
    own(path)                           a descriptor of a file of ours, whose folder is made with it
    lock(fd, until, look_s)             one writer at a time
    digest(text)                        a name for a file that is about a text

A FIFO opened without O_NONBLOCK holds its reader up for ever. What lies below a project's root and is read as
source goes through fanout_mcp.source.read, which follows no link on the way either.

Windows, where no hook runs, has no locks and not all flags: one user's reports and settings are used there.
"""

from __future__ import annotations

import errno
import os
import stat
import time
from collections.abc import Iterator
from typing import BinaryIO

try:
    from _blake2 import blake2b  # hashlib loads OpenSSL first, 3 ms of each cold event
except ImportError:
    from hashlib import blake2b

try:
    import fcntl as fcntl  # noqa: PLC0414 - for others to import
except ImportError:
    from types import SimpleNamespace

    names = ("LOCK_EX", "LOCK_SH", "LOCK_NB", "LOCK_UN")
    fcntl = SimpleNamespace(  # type: ignore[assignment]
        **dict.fromkeys(names, 0), flock=lambda *_: None, lockf=lambda *_: None
    )


def digest(text: str, size: int = 16) -> bytes:
    """Return so many bytes that stand for a text."""
    return blake2b(text.encode("utf-8", "surrogatepass"), digest_size=size).digest()


def flags(*names: str) -> int:
    """Return the flags of `os.open` by name, without those that the system doesn't have."""
    value = 0
    for name in names:
        value |= getattr(os, name, 0)
    return value


FLAGS = flags("O_RDONLY", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY")
NO_LINK = flags("O_NOFOLLOW")
OWN = flags("O_RDWR", "O_CREAT", "O_NOFOLLOW", "O_CLOEXEC")
"""A file of ours that may be there: a lock."""
NEW = OWN | os.O_EXCL
MAX_BYTES = 8 << 20
TEMPORARY = ".fanout-"
"""With the process behind it: how a file begins that is to replace another."""
BLOCK = 1 << 16


def read(path: str | os.PathLike[str], at_most: int = MAX_BYTES, *, follow: bool = False) -> bytes:
    """Return the whole of a file. Raises OSError."""
    with opened(path, follow=follow) as file:
        data = file.read(at_most + 1)
    if len(data) > at_most:
        raise OSError(errno.EFBIG, f"larger than {at_most:,} bytes", os.fspath(path))
    return data


def text(path: str | os.PathLike[str], at_most: int = MAX_BYTES) -> str:
    """Return a file's text, "" where it can't be read; links are followed."""
    try:
        return read(path, at_most, follow=True).decode("utf-8", "replace")
    except (OSError, ValueError):  # the latter: a path with a NUL or a lone surrogate
        return ""


def opened(path: str | os.PathLike[str], *, follow: bool = False) -> BinaryIO:
    """Open a regular file for reading. Raises OSError."""
    fd = os.open(path, FLAGS if follow else FLAGS | NO_LINK)
    if stat.S_ISREG(os.fstat(fd).st_mode):
        return os.fdopen(fd, "rb")
    os.close(fd)
    raise OSError(errno.EINVAL, "not a regular file", os.fspath(path))


def replace(path: str, data: bytes, mode: int = 0o600, *, is_synced: bool = False) -> None:
    """Replace a file, in a folder that is made with it. Raises OSError, and leaves the old one then.

    One that is not synced may be empty after a power cut, which its readers must treat as missing.
    """
    folder, name = os.path.split(path)
    beside = os.path.join(folder, f"{TEMPORARY}{os.getpid()}-{name}.tmp")  # by its end no one reads it
    remove(beside)  # a process of the same number died over it, or it was planted
    try:
        with os.fdopen(own(beside, NEW), "wb") as file:
            file.write(data)
            if is_synced:
                file.flush()
                os.fsync(file.fileno())
        if mode != 0o600:
            os.chmod(beside, mode)
        os.replace(beside, path)
    except OSError:
        remove(beside)
        raise


def own(path: str, how: int = OWN) -> int:
    """Open a file that only this user can read, in a folder that is made with it. Raises OSError."""
    try:
        return os.open(path, how, 0o600)
    except FileNotFoundError:
        folder = os.path.dirname(path)
        try:
            os.makedirs(folder, mode=0o700, exist_ok=True)
        except FileExistsError:  # of a link that leads nowhere; of the file itself it would mean "taken"
            raise NotADirectoryError(errno.ENOTDIR, os.strerror(errno.ENOTDIR), folder) from None
        return os.open(path, how, 0o600)


def last_line_end(fd: int, size: int) -> int:
    """Return the offset after the last whole line: a writer may be at work behind it, or was killed."""
    end = size
    while end > 0:
        begin = max(0, end - BLOCK)
        found = os.pread(fd, end - begin, begin).rfind(b"\n")
        if found >= 0:
            return begin + found + 1
        end = begin
    return 0


def remove(path: str) -> None:
    """Remove a file, if it is there and can be removed."""
    try:
        os.unlink(path)
    except OSError:
        return


def lock(fd: int, until: float, look_s: float) -> bool:
    """Take a file's lock, by `until` on the monotonic clock at the latest; say whether it was to be had."""
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(look_s)
        except OSError:
            return False  # a file system without locks
        else:
            return True


def folder_in(project: str, *names: str) -> str:
    """Return a folder of the project to write into. Raises OSError when a link on the way leads elsewhere."""
    folder = os.path.join(project, *names)
    if os.path.realpath(folder) != os.path.join(os.path.realpath(project), *names):
        raise OSError(f"{folder} leads out of the project: a link is on the way; remove it")
    return folder


def upwards(folder: str) -> Iterator[str]:
    """Yield a folder and all above it, the nearest first."""
    yield folder
    while (above := os.path.dirname(folder)) != folder:
        folder = above
        yield folder


def is_running(pid: str) -> bool:
    """Say whether a text names a process that runs; any text may come."""
    try:
        number = int(pid)
        if number > 0:
            os.kill(number, 0)
    except PermissionError:
        return True
    except (ValueError, OverflowError, ProcessLookupError):
        return False
    return number > 0
