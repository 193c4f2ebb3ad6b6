"""An SQLite file that can be made again, in the user's own folder; one that is not ours is set aside.

Rules:
1. Nothing of a project is opened: callers give a folder of the user's (settings.py). It is made for its owner
   alone, and one that others may write to is refused.
2. Before anything is read, the file must be regular, this user's and within its size; then its application id
   and its schema must be exactly ours: no trigger, view, index or generated column that we did not make. Once
   a process its pages are checked too.
3. What fails is renamed to `.broken`, one of a kind, and begun again: all of it can be computed or asked for
   once more. What a newer fanout wrote is left as it is.
4. A value is unpacked up to a bound, whatever it claims.
"""

from __future__ import annotations

import os
import sqlite3
import stat
import zlib
from collections.abc import Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Final, NamedTuple

APPLICATION: Final = 0x46414E4F
"""SQLite's application id of our files: FANO."""
MAX_VALUE: Final = 32 << 20
"""Bytes of a value, packed or not. An answer is at most 4 MB."""
SLACK: Final = 2
"""The file may be so many times its size before it is trimmed: then SQLite itself refuses to let it grow."""
BESIDE: Final = ("-wal", "-shm", "-journal")

_checked: set[tuple[str, int, int]] = set()
"""Files whose pages this process has checked: path, device, inode."""


class NewerFile(sqlite3.OperationalError):
    """A newer fanout wrote the file: it is left as it is."""


class NotOurs(sqlite3.DatabaseError):
    """The file is not one that this fanout wrote, or it is damaged."""


class Form(NamedTuple):
    """What a file of ours looks like. `tables`: the statements that make it; `max_bytes`: trimmed to that."""

    version: int
    tables: Sequence[str]
    max_bytes: int
    synchronous: str = "NORMAL"


def opened(path: Path, form: Form, wait_s: float) -> sqlite3.Connection:
    """Open a file, made when it is not there. Raises OSError and sqlite3.Error.

    `wait_s`: how long another process may hold the file.
    """
    own_folder(path.parent)
    for attempt in (1, 2):
        _must_be_a_file(path)
        connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None, check_same_thread=False)
        try:
            _prepare(connection, path, form)
        except sqlite3.OperationalError:  # locked, full, read-only or newer: it is not broken
            connection.close()
            raise
        except sqlite3.DatabaseError:
            connection.close()
            if attempt == 2:
                raise
            set_aside(path)
        else:
            return connection
    raise AssertionError("one of the two attempts returns or raises")


def own_folder(folder: Path) -> Path:
    """Make a folder for this user's eyes, and refuse one that is a link or another's. Raises OSError."""
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    status = folder.lstat()
    if not stat.S_ISDIR(status.st_mode):
        raise OSError(f"{folder} is a symlink or a file; remove it")
    if status.st_uid != os.geteuid():
        raise OSError(f"{folder} belongs to another user")
    if status.st_mode & 0o022:
        folder.chmod(0o700)
    return folder


def set_aside(path: Path) -> None:
    """Rename a file that can't be used, and remove what belongs to it. Raises OSError."""
    path.replace(path.with_suffix(".broken"))
    for end in BESIDE:
        with suppress(FileNotFoundError):
            path.with_name(path.name + end).unlink()


def trim(connection: sqlite3.Connection, table: str, max_rows: int, max_bytes: int) -> None:
    """Forget the oldest rows of a table down to its bounds. Raises sqlite3.Error."""
    forget, count, nth = (
        text.format(table)
        for text in (
            "DELETE FROM {0} WHERE rowid <= (SELECT max(rowid) FROM {0}) - ?",
            "SELECT count(*) FROM {0}",
            "DELETE FROM {0} WHERE rowid <= (SELECT rowid FROM {0} ORDER BY rowid LIMIT 1 OFFSET ?)",
        )
    )
    connection.execute(forget, (max_rows,))
    while _used(connection) > max_bytes:
        [(rows,)] = connection.execute(count)
        if not rows:
            return
        connection.execute(nth, (rows // 4,))


def unpacked(value: bytes) -> bytes:
    """Undo zlib.compress up to MAX_VALUE. Raises zlib.error for more, and for what is damaged."""
    unpacking = zlib.decompressobj()
    data = unpacking.decompress(value, MAX_VALUE)
    if not unpacking.eof:
        raise zlib.error("cut, or larger than a value may be")
    return data


def _used(connection: sqlite3.Connection) -> int:
    count, free, size = (
        connection.execute(f"PRAGMA {name}").fetchone()[0]
        for name in ("page_count", "freelist_count", "page_size")
    )
    return int((count - free) * size)


def _must_be_a_file(path: Path) -> None:
    """Make the file, for its owner alone, or see that it is one. Raises OSError."""
    flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    if path.is_symlink():
        raise OSError(f"{path} is a symlink; remove it")
    descriptor = os.open(path, flags, 0o600)
    try:
        status = os.fstat(descriptor)
        if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
            raise OSError(f"{path} is not a file of this user's own; remove it")
        os.fchmod(descriptor, 0o600)
    finally:
        os.close(descriptor)


def _prepare(connection: sqlite3.Connection, path: Path, form: Form) -> None:
    """Check the file, or make its tables when it is new. Raises sqlite3.Error."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    if path.stat().st_size > SLACK * form.max_bytes + (1 << 20):
        raise NotOurs(f"{path.name} is larger than it can have become")
    connection.execute("BEGIN IMMEDIATE")
    found = _schema(connection)
    application, version = (
        connection.execute(f"PRAGMA {name}").fetchone()[0] for name in ("application_id", "user_version")
    )
    if not found and application == version == 0:
        for statement in form.tables:
            connection.execute(statement)
        connection.execute(f"PRAGMA application_id = {APPLICATION}")
        connection.execute(f"PRAGMA user_version = {form.version}")
    elif application != APPLICATION:
        raise NotOurs(f"{path.name} was not written by fanout")
    elif version > form.version:
        raise NewerFile(f"its file is of version {version}, this fanout knows {form.version}")
    elif version < form.version or found != _expected(tuple(form.tables)):
        raise NotOurs(f"{path.name} does not have the tables that fanout makes")
    connection.execute("COMMIT")
    status = path.stat()
    if (seen := (str(path), status.st_dev, status.st_ino)) not in _checked:
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise NotOurs(f"{path.name} is damaged")
        _checked.add(seen)
    connection.execute("PRAGMA journal_mode = WAL")
    # Survives a killed process; a power cut may lose the last rows, never the file.
    connection.execute(f"PRAGMA synchronous = {form.synchronous}")
    connection.execute("PRAGMA journal_size_limit = 16777216")
    [(size,)] = connection.execute("PRAGMA page_size")
    connection.execute(f"PRAGMA max_page_count = {SLACK * form.max_bytes // size}")


def _schema(connection: sqlite3.Connection) -> list[tuple[str, ...]]:
    rows = connection.execute("SELECT type, name, tbl_name, sql FROM sqlite_master ORDER BY type, name")
    return [tuple(row) for row in rows]


def _expected(tables: tuple[str, ...]) -> list[tuple[str, ...]]:
    with closing(sqlite3.connect(":memory:")) as model:
        for statement in tables:
            model.execute(statement)
        return _schema(model)
