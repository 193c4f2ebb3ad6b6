"""Outlines of many files: from the cache where a file is unchanged, from worker processes where it is not.

A file is unchanged when its device, inode, size and times (modified, and changed as the kernel says) are:
not its content's hash, which would have to be read to be known. The cache lies in the user's own folder for
the project; what a repository ships as one is not looked at.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from pathlib import Path
from typing import Final

import anyio.to_thread

from fanout_mcp.database import Form, opened, trim, unpacked
from fanout_mcp.source.outline import VERSION, Outline, from_json
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.types import Json

CHUNK: Final = 2_000
"""Files at once: bounds what is in memory on the way."""

FILE: Final = "outlines.sqlite"
MAX_ROWS: Final = 200_000
MAX_BYTES: Final = 256 << 20
BUSY_S: Final = 2.0
FORM: Final = Form(
    1,
    ("CREATE TABLE outline (key TEXT PRIMARY KEY, value BLOB NOT NULL)",),
    MAX_BYTES,
    synchronous="OFF",  # lost with the power, made again: it is a cache
)

FIELDS: Final = len(Outline.__slots__)

FUNCTION: Final = "fanout_mcp.source.outline:outline_file"

OnDone = Callable[[int, int], None]
"""Told how many files are done, and how many of them came from the cache; from a thread of ours."""


async def outlines(
    workers: Workers,
    root: Path,
    paths: Sequence[str],
    cache: Path | None = None,
    on_done: OnDone | None = None,
) -> list[Outline]:
    """Return an outline for each path, in order; one that has none says why in `skipped`."""
    stop = threading.Event()
    try:
        return await anyio.to_thread.run_sync(
            lambda: outlines_now(workers, root, paths, cache, on_done, stop=stop),
            abandon_on_cancel=True,
        )
    finally:
        stop.set()


def outlines_now(
    workers: Workers,
    root: Path,
    paths: Sequence[str],
    cache: Path | None = None,
    on_done: OnDone | None = None,
    *,
    stop: threading.Event | None = None,
) -> list[Outline]:
    """The same for a thread that may wait."""
    stop = stop or threading.Event()
    found: list[Outline] = []
    cached = 0
    with _shelf(cache) as shelf:
        for start in range(0, len(paths), CHUNK):
            chunk = paths[start : start + CHUNK]
            keys = {path: _key(root, path) for path in chunk}
            known = {path: from_json(fields) for path, fields in _known(shelf, keys).items()}
            cached += len(known)
            missing = [path for path in chunk if path not in known]
            before = len(found) + len(known)

            def tell(done: int, before: int = before, cached: int = cached) -> None:
                if on_done is not None:
                    on_done(before + done, cached)

            tell(0)
            items = [[str(root), path] for path in missing]
            fresh = dict(zip(missing, workers.map_now(FUNCTION, items, on_done=tell, stop=stop), strict=True))
            _keep(shelf, {keys[path]: result for path, (_, result) in fresh.items()})
            found += [known[path] if path in known else _outline(path, fresh[path][1]) for path in chunk]
            if stop.is_set():
                break
    return found


def _outline(path: str, result: Json | Failure) -> Outline:
    if isinstance(result, Failure):
        return Outline(path, skipped=f"not analysed: {result.reason}")
    return from_json(result)


def _key(root: Path, path: str) -> str:
    try:
        status = os.lstat(f"{root}/{path}")
    except (OSError, ValueError):
        return ""
    times = f"{status.st_mtime_ns}-{status.st_ctime_ns}"
    return f"{VERSION}-{status.st_dev}-{status.st_ino}-{status.st_size}-{times}-{path!r}"


@contextmanager
def _shelf(cache: Path | None) -> Iterator[sqlite3.Connection | None]:
    """Open the cache; None, and the work is done again, when it can't be had."""
    connection = None
    if cache is not None:
        with suppress(OSError, sqlite3.Error):
            connection = opened(cache / FILE, FORM, BUSY_S)
    if connection is None:
        yield None
        return
    with closing(connection):
        yield connection


def _known(shelf: sqlite3.Connection | None, keys: dict[str, str]) -> dict[str, Json]:
    found: dict[str, Json] = {}
    if shelf is None:
        return found
    wanted = {key: path for path, key in keys.items() if key}
    names = list(wanted)
    with suppress(sqlite3.Error, zlib.error, ValueError):
        for start in range(0, len(names), 500):
            part = names[start : start + 500]
            query = f"SELECT key, value FROM outline WHERE key IN ({','.join('?' * len(part))})"  # noqa: S608 - only question marks are put in
            for key, value in shelf.execute(query, part):
                fields = json.loads(unpacked(value))
                if isinstance(fields, list) and len(fields) == FIELDS and fields[0] == wanted[key]:
                    found[wanted[key]] = fields
    return found


def _keep(shelf: sqlite3.Connection | None, results: dict[str, Json | Failure]) -> None:
    if shelf is None:
        return
    rows = [
        (key, zlib.compress(json.dumps(result, separators=(",", ":")).encode(), 1))
        for key, result in results.items()
        if key and not isinstance(result, Failure)
    ]
    with suppress(sqlite3.Error):
        shelf.execute("BEGIN IMMEDIATE")
        shelf.executemany("INSERT OR REPLACE INTO outline VALUES (?, ?)", rows)
        shelf.execute("COMMIT")
        trim(shelf, "outline", MAX_ROWS, MAX_BYTES)
