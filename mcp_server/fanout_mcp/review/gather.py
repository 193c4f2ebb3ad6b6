"""Read what a review is about: files below the root, with a base only changed ones; the rest has reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio.to_thread

from fanout_mcp.errors import InvalidInput
from fanout_mcp.review import changes
from fanout_mcp.review.changes import Tree
from fanout_mcp.source.discover import discover
from fanout_mcp.source.read import Skipped, Source, read, read_bytes
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.types import Json


@dataclass(frozen=True, slots=True)
class Gathered:
    files: tuple[Source, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    """Path to reason."""
    changed: frozenset[tuple[str, int]] | None = None
    """The lines that changed since the base; None: no base was given, every line counts."""
    base: str | None = None
    """The commit they are compared with."""


async def gather(
    root: Path, patterns: Sequence[str], base: str | None, workers: Workers, most_files: int
) -> Gathered:
    """Find and read. Raises InvalidInput for what matches nothing, too much, or no commit."""
    commit = (
        await anyio.to_thread.run_sync(partial(changes.resolve, root, base)) if base is not None else None
    )
    old = await anyio.to_thread.run_sync(partial(_tree, root, commit)) if commit is not None else None
    gathered = await anyio.to_thread.run_sync(partial(_read_all, root, patterns, most_files, old))
    if old is None:
        return gathered
    items: list[Json] = await anyio.to_thread.run_sync(partial(_pairs, gathered.files, old))
    lines: set[tuple[str, int]] = set()
    for item, result in await workers.map(changes.CHANGED_LINES, items):
        count = item["new"].count("\n") + 1
        numbers = range(1, count + 1) if isinstance(result, Failure) else result
        lines.update((item["path"], number) for number in numbers)
    return Gathered(gathered.files, gathered.skipped, frozenset(lines), commit)


def _tree(root: Path, commit: str) -> Tree:
    tree = changes.tree(root, commit)
    if tree is None:
        raise InvalidInput(f"git can't list the files of the base ({commit[:12]}); is the clone whole?")
    return tree


def _read_all(root: Path, patterns: Sequence[str], most_files: int, old: Tree | None) -> Gathered:
    found = discover(root, patterns)
    if old is None:
        _check_count(root, found.paths, most_files)
    skipped = dict(found.skipped)
    files = []
    for path in found.paths:
        if old is not None and path.startswith(old.unknown):
            skipped[path] = "in a submodule that lacks the base's commit"
        elif old is None or _differs(root, path, old):
            source = read(root, path)
            if isinstance(source, Skipped):
                skipped[path] = source.reason
            else:
                files.append(source)
    _check_count(root, [source.path for source in files], most_files)
    return Gathered(tuple(files), skipped)


def _check_count(root: Path, paths: Sequence[str], most_files: int) -> None:
    if len(paths) > most_files:
        size = sum(_size(root / path) for path in paths)
        raise InvalidInput(
            f"The patterns match {len(paths):,} files ({_spoken(size)}, about {size // 4:,} "
            f"tokens), more than max_files={most_files:,}. Narrow them, give a `base`, or raise max_files."
        )


def _spoken(size: int) -> str:
    return f"{size / 1e6:,.0f} MB" if size >= 10**7 else f"{size / 1e3:,.1f} kB"


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _differs(root: Path, path: str, old: Tree) -> bool:
    """Tell whether a file is new or has other bytes; one that can't be read is left to say so itself."""
    was = old.files.get(path)
    if was is None:
        return True
    data = read_bytes(root, path)
    return isinstance(data, Skipped) or changes.blob_id(data, was.blob) != was.blob


def _pairs(files: Sequence[Source], old: Tree) -> list[Json]:
    pairs: list[Json] = []
    for source in files:
        was = old.files.get(source.path)
        before = changes.old_text(was) if was else ""
        pairs.append({"path": source.path, "old": before, "new": source.text})
    return pairs
