"""A repository's structure, gathered for the modules that a call is about."""

from __future__ import annotations

import gc
import json
import os
import re
import sqlite3
import threading
import zlib
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, closing, contextmanager, nullcontext, suppress
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import anyio.to_thread

from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.discover import VENDORED, discover
from fanout_mcp.source.git import MAX_COMMITS, MAX_SUBJECTS, History, history
from fanout_mcp.source.kinds import kind_of
from fanout_mcp.source.receipt import Receipt
from fanout_mcp.source.workers import Failure, Workers, in_own_thread
from fanout_mcp.state.cache import Form, opened, trim, unpacked
from fanout_mcp.structure import rank
from fanout_mcp.structure.graph import Facts, Graph, Module, facts, graph, mapped, named
from fanout_mcp.structure.outline import VERSION, Outline, from_json
from fanout_mcp.types import Json, Progress

# --- outlines -----------------------------------------------------------------------------------------------
# Outlines of many files: from the cache where a file is unchanged, from worker processes where it is not.
# A file is unchanged when its device, inode, size and times (modified, and changed as the kernel says) are:
# not its content's hash, which would have to be read to be known. The cache lies in the user's own folder for
# the project; what a repository ships as one is not looked at.

CHUNK: Final = 1_000
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

FUNCTION: Final = "fanout_mcp.structure.outline:outline_file"

OnDone = Callable[[int, int], None]
"""Called with how many files are done, and how many of them came from the cache; from a thread of ours."""


def telling(progress: Progress, total: int, before: int = 0) -> OnDone:
    """Return what reports how far the outlines of `total` files are, a hundred at a time."""

    def tell(done: int, cached: int) -> None:
        done += before
        if done % 100 == 0 or done == total:
            progress(done, total, f"outlined {done} files, {cached} unchanged")

    return tell


async def outlines(
    workers: Workers,
    root: Path,
    paths: Sequence[str],
    cache: Path | None = None,
    on_done: OnDone | None = None,
) -> list[Outline]:
    """Return an outline for each path, in order; one that has none says why in `skipped`."""
    return await in_own_thread(lambda stop: outlines_now(workers, root, paths, cache, on_done, stop=stop))


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
            known = {path: from_json(path, fields) for path, fields in _known(shelf, keys).items()}
            cached += len(known)

            def tell(done: int, before: int = len(found) + len(known), cached: int = cached) -> None:
                if on_done is not None:
                    on_done(before + done, cached)

            tell(0)
            items = [[str(root), path] for path in chunk if path not in known]
            results = workers.map_now(FUNCTION, items, on_done=tell, stop=stop)
            fresh = {path: result for (_, path), result in results}
            _keep(shelf, {keys[path]: result for path, result in fresh.items()})
            found += [known[path] if path in known else _outline(path, fresh[path]) for path in chunk]
            if stop.is_set():
                break
    return found


def _outline(path: str, result: Json | Failure) -> Outline:
    if isinstance(result, Failure):
        return Outline(path, skipped=f"not analysed: {result.reason}")
    return from_json(path, result)


def _key(root: Path, path: str) -> str:
    try:
        status = os.lstat(f"{root}/{path}")
    except (OSError, ValueError):
        return ""
    times = f"{status.st_mtime_ns}-{status.st_ctime_ns}"
    return f"{VERSION}-{status.st_dev}-{status.st_ino}-{status.st_size}-{times}-{path!r}"


def _shelf(cache: Path | None) -> AbstractContextManager[sqlite3.Connection | None]:
    """Open the cache; None, and the work is done again, when it can't be had."""
    if cache is not None:
        with suppress(OSError, sqlite3.Error):
            return closing(opened(cache / FILE, FORM, BUSY_S))
    return nullcontext()


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


# --- survey ------------------------------------------------------------------------------------------

MAX_FILES_SCANNED: Final = 3_000


@dataclass(frozen=True, slots=True)
class Gathered:
    """`ranked`: the files that matter for the question, best first; empty without one."""

    graph: Graph
    modules: list[Module]
    facts: dict[str, Facts]
    history: History
    ranked: Sequence[rank.Ranked] = ()
    folded: Sequence[str] = ()
    """A line for each tree of a map that is in no module."""
    is_map: bool = False

    @property
    def paths(self) -> list[str]:
        return list(dict.fromkeys(path for module in self.modules for path in module.paths))


@dataclass(frozen=True, slots=True)
class Gathering:
    """Whatever reads files runs in the workers, whatever computes in threads: the loop stays free."""

    workers: Workers
    root: Path
    cache: Path

    async def gather(
        self, names: Sequence[str] | None, question: str | None, receipt: Receipt, progress: Progress
    ) -> Gathered:
        """Outline the repository and find the modules. Raises InvalidInput for names that mean none."""
        files = await anyio.to_thread.run_sync(listed, self.root, names)
        tell = telling(progress, len(files.read))
        with _growing():
            known = await outlines(self.workers, self.root, files.read, self.cache, tell)
            past = await anyio.to_thread.run_sync(
                history, self.root, MAX_SUBJECTS if question else MAX_COMMITS
            )
            gathered = await anyio.to_thread.run_sync(_structure, names, files, known, past, receipt)
        return await self._ranked(question, gathered) if question else gathered

    async def signals(self, focus: str, gathered: Gathered) -> dict[str, list[Json]]:
        """Look for the focus in the modules' files; architecture is structure alone."""
        if focus == "architecture":
            return {}
        items = [[str(self.root), path, focus] for path in gathered.paths[:MAX_FILES_SCANNED]]
        results = await self.workers.map("fanout_mcp.structure.signals:scan_file", items)
        return {item[1]: found for item, found in results if not isinstance(found, Failure) and found}

    async def _ranked(self, question: str, gathered: Gathered) -> Gathered:
        """Rank the files; of a map keep the modules that hold what was asked for, in its order."""
        wanted = rank.terms(rank.meant(question))
        known = gathered.graph.outlines
        paths = [path for path in known if known[path].lines] if gathered.is_map else gathered.paths
        items = [[str(self.root), path, wanted] for path in paths]
        results = await self.workers.map("fanout_mcp.structure.rank:count_file", items)

        def ranked() -> Gathered:
            bodies = {
                item[1]: (found[0], found[1]) for item, found in results if not isinstance(found, Failure)
            }
            changes = gathered.history.subjects
            best = rank.rank(question, paths, gathered.graph, bodies, changes=changes)
            modules = gathered.modules
            if gathered.is_map and best:
                holder = {path: module for module in modules for path in module.paths}
                holding = (holder[one.path] for one in best if one.path in holder)
                modules = list({module.name: module for module in holding}.values())
            return replace(gathered, ranked=best, modules=modules)

        return await anyio.to_thread.run_sync(ranked)


_calls: Final[list[object]] = []


@contextmanager
def _growing() -> Iterator[None]:
    """Keep Python from looking for circles in a million objects again and again while they grow.

    There are none, and each look stops the loop: it took half of the time that reading outlines took.
    """
    call = object()
    _calls.append(call)
    gc.disable()
    try:
        yield
    finally:
        _calls.remove(call)
        if not _calls:
            gc.enable()


@dataclass(frozen=True, slots=True)
class Listed:
    """The project's files: what is outlined, what is known by its name alone, what is left out and why."""

    read: list[str]
    apart: list[str]
    """What tests read as input: tens of thousands of files that no map shows one by one."""
    skipped: dict[str, str]


def listed(root: Path, names: Sequence[str] | None) -> Listed:
    """List what a call with these names is about; what they may mean is outlined, whatever it is."""
    found = discover(root)
    folders = tuple(f"{name.strip().removeprefix('./').rstrip('/')}/" for name in names or ())
    opened = {
        path for path, reason in found.skipped.items() if reason == VENDORED and path.startswith(folders)
    }
    tails = [re.split(r"[./:]+", name.strip(" /"))[-1] for name in names or ()]
    read: list[str] = []
    apart: list[str] = []
    for path in (*found.paths, *sorted(opened)):
        is_input = kind_of(path) == "fixture" and not any(tail in path for tail in tails)
        (apart if is_input else read).append(path)
    skipped = {path: reason for path, reason in found.skipped.items() if path not in opened}
    return Listed(read, apart, skipped)


def _structure(
    names: Sequence[str] | None,
    files: Listed,
    outlined: Sequence[Outline],
    past: History,
    receipt: Receipt,
) -> Gathered:
    skipped = files.skipped | {one.path: one.skipped for one in outlined if one.skipped}
    receipt.skip_all(skipped)
    if past.problem:
        receipt.skip(".git", f"history not read fully: {past.problem}")
    known = [one for one in outlined if not one.skipped]
    known += [Outline(path, "text", kind="fixture", how="name") for path in files.apart]
    receipt.name_only(one.path for one in known if one.how == "name")
    whole = graph(known)
    if names:
        modules = list({module.name: module for module in (named(name, whole) for name in names)}.values())
        folded: list[str] = []
    else:
        divided = mapped(whole, skipped)
        modules, folded = divided.modules, divided.folded
    if not modules and not folded:
        raise InvalidInput(
            "No module with code was found: the project's root holds no file that can be read. Begin in the "
            "project's folder, or set CLAUDE_PROJECT_DIR to it."
        )
    found = {module.name: facts(module, whole, past.commits) for module in modules}
    return Gathered(whole, modules, found, past, folded=folded, is_map=not names)
