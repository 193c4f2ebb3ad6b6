"""Answers that were paid for once: kept on disk by what was asked, shared by all processes of a project.

Theory of operation. One SQLite file (WAL) in the user's own folder for the project, with two tables: `answer`
holds what came back, under a hash of what was asked; `lease` says who is asking right now. The first to claim
a key asks; all others wait for the answer, or for the lease to end. A thread renews the leases that we hold,
so that a process that was killed or stopped loses its lease within LEASE_S, and a call may take as long as it
needs.

Rules:
1. A repository can ship a cache file: it is not looked at. Ours is checked when it is opened (cache.py),
   and keys and values are sealed with a secret of the user's: nothing is believed that this user's fanout did
   not write.
2. A cache that can't be had (read-only, disk full, locked, damaged, newer) costs calls, never an answer: the
   run goes on without it, and `problem` says why.
3. JSON, no pickle. Only whole answers are kept; failures are asked again.
4. Clocks: leases count CLOCK_MONOTONIC, which all processes of a machine share and nothing can set.
"""

from __future__ import annotations

import hashlib
import hmac
import json
import os
import secrets
import sqlite3
import stat
import threading
import time
import zlib
from collections.abc import Callable, Sequence
from contextlib import closing, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, NamedTuple, TypeVar

from fanout_mcp.errors import why
from fanout_mcp.types import Answer, Json
from fanout_mcp.usage import Usage

# --- database -----------------------------------------------------------------------------------------------
# An SQLite file that can be made again, in the user's own folder; one that is not ours is set aside.
# Rules:
# 1. Nothing of a project is opened: callers give a folder of the user's (settings.py). It is made for its
#    owner alone, and one that others may write to is refused.
# 2. Before anything is read, the file must be regular, this user's and within its size; then its application
#    id and its schema must be exactly ours: no trigger, view, index or generated column that we did not
#    make. Once a process its pages are checked too.
# 3. What fails is renamed to `.broken`, one of a kind, and begun again: all of it can be computed or asked
#    for once more. What a newer fanout wrote is left as it is.
# 4. A value is unpacked up to a bound, whatever it claims.

APPLICATION: Final = 0x46414E4F
"""SQLite's application id of our files: FANO."""
MAX_VALUE: Final = 32 << 20
"""Bytes of a value, packed or not. An answer is at most 4 MB."""
SLACK: Final = 2
"""The file may be so many times its size before it is trimmed: then SQLite itself refuses to let it grow."""
BESIDE: Final = ("-wal", "-shm", "-journal")

_checked_file: set[tuple[str, int, int]] = set()
"""Files whose pages this process has checked: path, device, inode."""
_opening: Final = threading.Lock()
"""One opening at a time in a process: two that make the same file lock each other out."""
AGAIN_S: Final = 0.01


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
    """Open or make a file that others may hold for `wait_s` at most. Raises OSError and sqlite3.Error."""
    own_folder(path.parent)
    until = time.monotonic() + wait_s
    while True:
        try:
            with _opening:
                try:
                    return _opened_once(path, form, wait_s)
                except sqlite3.OperationalError:  # locked, full, read-only or newer: it is not broken
                    raise
                except sqlite3.DatabaseError:
                    set_aside(path)
                    return _opened_once(path, form, wait_s)
        except sqlite3.OperationalError as error:
            # SQLite does not wait for another process that is about to change the journal's mode.
            is_busy = getattr(error, "sqlite_errorcode", None) == sqlite3.SQLITE_BUSY
            if not is_busy or time.monotonic() > until:
                raise
            time.sleep(AGAIN_S)


def _opened_once(path: Path, form: Form, wait_s: float) -> sqlite3.Connection:
    _must_be_a_file(path)
    connection = sqlite3.connect(path, timeout=wait_s, isolation_level=None, check_same_thread=False)
    try:
        _prepare(connection, path, form)
    except BaseException:
        connection.close()
        raise
    return connection


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
    """Make the file, for its owner alone, or see that it is one. Raises OSError.

    A file that is there is not opened: to close it would end the locks that this process's other connections
    hold on it.
    """
    with suppress(FileExistsError):
        os.close(os.open(path, os.O_RDWR | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600))
    status = path.lstat()
    if stat.S_ISLNK(status.st_mode):
        raise OSError(f"{path} is a symlink; remove it")
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid() or status.st_nlink != 1:
        raise OSError(f"{path} is not a file of this user's own; remove it")
    if status.st_mode & 0o777 != 0o600:
        path.chmod(0o600)


def _prepare(connection: sqlite3.Connection, path: Path, form: Form) -> None:
    """Check the file, or make its tables when it is new. Raises sqlite3.Error."""
    connection.execute("PRAGMA trusted_schema = OFF")
    connection.execute("PRAGMA cell_size_check = ON")
    connection.execute("PRAGMA mmap_size = 0")
    # Survives a killed process; a power cut may lose the last rows, never the file.
    connection.execute(f"PRAGMA synchronous = {form.synchronous}")
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
    if (seen := (str(path), status.st_dev, status.st_ino)) not in _checked_file:
        if connection.execute("PRAGMA quick_check(1)").fetchone() != ("ok",):
            raise NotOurs(f"{path.name} is damaged")
        _checked_file.add(seen)
    connection.execute("PRAGMA journal_mode = WAL")
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


# --- cache ------------------------------------------------------------------------------------------

T = TypeVar("T")

VERSION: Final = 2
"""Part of every key, and of the file: a newer file is left alone, an older one begun again."""

LEASE_S: Final = 5.0
BUSY_S: Final = 5.0
"""How long another process may hold the file before we go on without it."""

FILE: Final = "answers.sqlite"
MAX_ROWS: Final = 100_000
MAX_BYTES: Final = 256 << 20
TRIM_EVERY: Final = 500
"""Answers kept before the file's size is looked at again."""
SEAL_BYTES: Final = 16
FORM: Final = Form(
    VERSION,
    (
        "CREATE TABLE answer (key TEXT PRIMARY KEY, value BLOB NOT NULL)",
        "CREATE TABLE lease (key TEXT PRIMARY KEY, owner TEXT NOT NULL, until REAL NOT NULL)",
    ),
    MAX_BYTES,
)
# A lease that ends later than any can was written before the machine was restarted.
_CLAIM: Final = """
INSERT INTO lease VALUES (:key, :owner, :until)
ON CONFLICT (key) DO UPDATE SET owner = excluded.owner, until = excluded.until
WHERE lease.until < :now OR lease.until > :now + 2 * :length
"""

_TAKEN: Final = "SELECT 1 FROM lease WHERE key = :key AND until BETWEEN :now AND :now + 2 * :length"

Claimed = Answer | Literal["mine", "theirs"]
"""The answer, or who is to ask."""


@dataclass(slots=True)
class Cache:
    """All methods may block for BUSY_S: call them from threads. None of them raises."""

    _connection: sqlite3.Connection | None = None
    _secret: bytes = b""
    problem: str = ""
    """Why there is no cache; empty while there is one."""
    _owner: str = field(default_factory=lambda: secrets.token_hex(8))
    _held: set[str] = field(default_factory=set)
    _lock: threading.Lock = field(default_factory=threading.Lock)
    _closing: threading.Event = field(default_factory=threading.Event)
    _renewing: threading.Thread | None = None
    _kept: int = 0

    @property
    def is_on(self) -> bool:
        return self._connection is not None

    @property
    def is_away(self) -> bool:
        """Whether answers of other processes can't be read for the moment."""
        return False

    def key(self, asked: Json) -> str:
        """Hash what was asked: everything that may change the answer, and nothing that may not."""
        text = json.dumps([VERSION, asked], sort_keys=True, separators=(",", ":"))
        return hmac.new(self._secret, text.encode("utf-8", "surrogatepass"), hashlib.sha256).hexdigest()

    def known(self, keys: Sequence[str]) -> dict[str, Answer]:
        def look(connection: sqlite3.Connection) -> dict[str, Answer]:
            found: dict[str, Answer] = {}
            for start in range(0, len(keys), 500):
                part = keys[start : start + 500]
                query = f"SELECT key, value FROM answer WHERE key IN ({','.join('?' * len(part))})"  # noqa: S608 - only question marks are put in
                for key, value in connection.execute(query, part):
                    answer = self._opened(key, value)
                    if answer is not None:
                        found[key] = answer
            return found

        return self._with(look, {})

    def claim(self, key: str) -> Claimed:
        """Return the answer if it is there by now, else say who is to ask."""

        def take(connection: sqlite3.Connection) -> Claimed:
            now = time.monotonic()
            mine = {"key": key, "owner": self._owner, "until": now + LEASE_S, "now": now, "length": LEASE_S}
            if connection.execute(_TAKEN, mine).fetchone():  # a waiter only reads
                return "theirs"
            connection.execute("BEGIN IMMEDIATE")
            row = connection.execute("SELECT value FROM answer WHERE key = ?", (key,)).fetchone()
            answer = self._opened(key, row[0]) if row else None
            is_mine = answer is None and connection.execute(_CLAIM, mine).rowcount == 1
            connection.execute("COMMIT")
            return answer or ("mine" if is_mine else "theirs")

        without: Claimed = "mine"
        result = self._with(take, without)
        if result == "mine" and self.is_on:
            self._held.add(key)
            self._renew()
        return result

    def keep(self, key: str, answer: Answer) -> bool:
        """Store the answer, safe from a kill, and end the lease; return whether other processes find it."""
        value = self._sealed(key, answer)

        def put(connection: sqlite3.Connection) -> bool:
            connection.execute("BEGIN IMMEDIATE")
            connection.execute("INSERT OR REPLACE INTO answer VALUES (?, ?)", (key, value))
            connection.execute("DELETE FROM lease WHERE key = ?", (key,))
            connection.execute("COMMIT")
            self._kept += 1
            if self._kept % TRIM_EVERY == 0:
                trim(connection, "answer", MAX_ROWS, MAX_BYTES)
            return True

        self._held.discard(key)
        return self._with(put, otherwise=False)

    def release(self, key: str) -> None:
        """Give the lease up, so that another caller may ask: this call failed or was cancelled."""
        self._held.discard(key)
        self._with(
            lambda connection: connection.execute(
                "DELETE FROM lease WHERE key = ? AND owner = ?", (key, self._owner)
            ),
            None,
        )

    def close(self) -> None:
        self._closing.set()
        if self._renewing is not None:
            self._renewing.join()
        self._with(self._trim, None)
        with self._lock:
            connection, self._connection = self._connection, None
            if connection is not None:
                with suppress(sqlite3.Error):
                    connection.close()

    def _trim(self, connection: sqlite3.Connection) -> None:
        connection.execute("DELETE FROM lease WHERE owner = ?", (self._owner,))
        trim(connection, "answer", MAX_ROWS, MAX_BYTES)

    def _with(self, work: Callable[[sqlite3.Connection], T], otherwise: T) -> T:
        with self._lock:
            connection = self._connection
            if connection is None:
                return otherwise
            try:
                return work(connection)
            except sqlite3.Error as error:
                # No second try: each one would wait as long again, and every call goes through here.
                self.problem = f"went on without the cache: {error}"
                self._connection = None
                with suppress(sqlite3.Error):
                    connection.close()
                return otherwise

    def _renew(self) -> None:
        if self._renewing is None:
            self._renewing = threading.Thread(target=self._keep_leases, name="fanout leases", daemon=True)
            self._renewing.start()

    def _keep_leases(self) -> None:
        while not self._closing.wait(LEASE_S / 3):
            self._extend()

    def _extend(self) -> None:
        if not self._held:
            return
        until = time.monotonic() + LEASE_S
        renew = "UPDATE lease SET until = ? WHERE owner = ?"
        self._with(lambda connection: connection.execute(renew, (until, self._owner)), None)

    def _sealed(self, key: str, answer: Answer) -> bytes:
        usage = answer.usage
        fields = [answer.text, answer.model, answer.data, usage.tokens_in, usage.tokens_out, usage.cost_usd]
        packed = zlib.compress(json.dumps(fields, separators=(",", ":")).encode("ascii"), 1)
        return self._seal(key, packed) + packed

    def _opened(self, key: str, value: Json) -> Answer | None:
        """Return a kept answer, None for what we did not write or can't read."""
        if not isinstance(value, bytes) or not hmac.compare_digest(
            value[:SEAL_BYTES], self._seal(key, value[SEAL_BYTES:])
        ):
            return None
        try:
            fields = json.loads(unpacked(value[SEAL_BYTES:]))
            text, model, data, tokens_in, tokens_out, cost = fields
        except (ValueError, TypeError, zlib.error):
            return None
        return Answer(text, model, Usage(tokens_in, tokens_out, cost), data)

    def _seal(self, key: str, packed: bytes) -> bytes:
        return hmac.new(self._secret, key.encode() + packed, hashlib.sha256).digest()[:SEAL_BYTES]


OpenCache = Callable[[Path, Path], Cache]
"""Opens the cache: the user's folder for a project, and that of the settings."""


def open_cache(folder: Path, config_folder: Path, kind: Callable[..., Cache] = Cache) -> Cache:
    """Open the cache in the user's folder for a project; one that is off and says why if it can't be had."""
    secret = b""
    try:
        secret = own_secret(config_folder)
        return kind(opened(folder / FILE, FORM, BUSY_S), secret)
    except (OSError, sqlite3.Error) as error:
        return kind(None, secret, f"went on without the cache: {why(error)}")


def own_secret(folder: Path) -> bytes:
    """Return the user's secret, made at first use. Raises OSError."""
    path = folder / "cache.key"
    with suppress(FileNotFoundError):
        return _checked(path)
    folder.mkdir(parents=True, exist_ok=True, mode=0o700)
    draft = path.with_name(f".cache.key-{secrets.token_hex(4)}")
    descriptor = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW, 0o600)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(secrets.token_bytes(32))
        with suppress(FileExistsError):  # another process was first: its secret counts
            os.link(draft, path)
    finally:
        draft.unlink()
    return _checked(path)


def _checked(path: Path) -> bytes:
    secret = path.read_bytes()
    if len(secret) < 32:
        raise OSError(f"{path} is damaged; remove it")
    return secret
