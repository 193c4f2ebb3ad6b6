"""Read what a review is about: files below the root, with a base only changed ones; the rest has reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path

import anyio.to_thread

from fanout_mcp.errors import InvalidInput
from fanout_mcp.review import changes
from fanout_mcp.source.discover import discover
from fanout_mcp.source.read import Skipped, Source, read
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.types import Json


@dataclass(frozen=True, slots=True)
class Gathered:
    files: tuple[Source, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    """Path to reason."""
    changed: frozenset[tuple[str, int]] | None = None
    """The lines that changed since the base; None: no base was given, every line counts."""


async def gather(
    root: Path, patterns: Sequence[str], base: str | None, workers: Workers, most_files: int
) -> Gathered:
    """Find and read. Raises InvalidInput for what matches nothing, too much, or no commit."""
    old = await anyio.to_thread.run_sync(partial(_old_blobs, root, base)) if base is not None else None
    gathered = await anyio.to_thread.run_sync(partial(_read_all, root, patterns, most_files, old))
    if old is None:
        return gathered
    items: list[Json] = await anyio.to_thread.run_sync(partial(_pairs, root, gathered.files, old))
    lines: set[tuple[str, int]] = set()
    for item, result in await workers.map(changes.CHANGED_LINES, items):
        count = item["new"].count("\n") + 1
        numbers = range(1, count + 1) if isinstance(result, Failure) else result
        lines.update((item["path"], number) for number in numbers)
    return Gathered(gathered.files, gathered.skipped, frozenset(lines))


def _old_blobs(root: Path, base: str) -> dict[str, str]:
    return changes.blobs(root, changes.resolve(root, base))


def _read_all(root: Path, patterns: Sequence[str], most_files: int, old: dict[str, str] | None) -> Gathered:
    found = discover(root, patterns)
    if len(found.paths) > most_files and old is None:
        size = sum(_size(root / path) for path in found.paths)
        raise InvalidInput(
            f"The patterns match {len(found.paths):,} files ({size / 1e6:,.0f} MB, about {size // 4:,} "
            f"tokens), more than max_files={most_files:,}. Narrow them, give a `base`, or raise max_files."
        )
    skipped = dict(found.skipped)
    files = []
    for path in found.paths:
        source = read(root, path)
        if isinstance(source, Skipped):
            skipped[path] = source.reason
        elif old is None or _differs(root, source, old):
            files.append(source)
    return Gathered(tuple(files), skipped)


def _size(path: Path) -> int:
    try:
        return path.lstat().st_size
    except OSError:
        return 0


def _differs(root: Path, source: Source, old: dict[str, str]) -> bool:
    from fanout_mcp.source.read import read_bytes

    blob = old.get(source.path)
    if blob is None:
        return True
    data = read_bytes(root, source.path)
    return isinstance(data, Skipped) or changes.blob_id(data, blob) != blob


def _pairs(root: Path, files: Sequence[Source], old: dict[str, str]) -> list[Json]:
    pairs: list[Json] = []
    for source in files:
        blob = old.get(source.path)
        before = changes.old_text(root, blob) if blob else ""
        pairs.append({"path": source.path, "old": before, "new": source.text})
    return pairs
