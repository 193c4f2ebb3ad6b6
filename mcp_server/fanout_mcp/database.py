"""An SQLite file that can be made again: never through a symlink, for its owner's eyes, new when damaged."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable
from pathlib import Path


class NewerFile(sqlite3.OperationalError):
    """A newer fanout wrote the file: it is left as it is."""


def opened(path: Path, prepare: Callable[[sqlite3.Connection], None], wait_s: float) -> sqlite3.Connection:
    """Open and `prepare` it; a damaged one is set aside, once. Raises OSError and sqlite3.Error.

    `wait_s`: how long another process may hold the file.
    """
    if path.is_symlink():
        raise OSError(f"{path} is a symlink")
    for attempt in (1, 2):
        connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None, check_same_thread=False)
        try:
            connection.execute("PRAGMA trusted_schema = OFF")
            prepare(connection)
        except sqlite3.OperationalError:  # locked, full, read-only or newer: it is not broken
            connection.close()
            raise
        except sqlite3.DatabaseError:
            connection.close()
            if attempt == 2:
                raise
            path.replace(path.with_suffix(".broken"))
        else:
            path.chmod(0o600)
            return connection
    raise AssertionError("one of the two attempts returns or raises")
