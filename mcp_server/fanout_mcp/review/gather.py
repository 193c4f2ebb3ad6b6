"""Read what a review is about: files below the root, with a base only changed ones; the rest has reasons."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread

from fanout_mcp.errors import InvalidInput
from fanout_mcp.review import changes
from fanout_mcp.review.changes import Tree
from fanout_mcp.source.discover import discover
from fanout_mcp.source.read import Skipped, Source, lines_of, read, read_bytes
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.types import Json

PORTION: Final = 50
"""Files that are compared with the base at once."""

NOT_COMPARED: Final = "read, but every line counts as changed: git lacks what it was at the base"

MOST_BYTES: Final = 200_000_000
"""Of all files of a review: their texts are held until its result is drawn."""


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
    lines: set[tuple[str, int]] = set()
    skipped = gathered.skipped
    for start in range(0, len(gathered.files), PORTION):  # old texts are held for no more files than that
        files = gathered.files[start : start + PORTION]
        items, lost = await anyio.to_thread.run_sync(_pairs, files, old)
        skipped |= dict.fromkeys(lost, NOT_COMPARED)
        compared = await workers.map(changes.CHANGED_LINES, items)
        lines |= await anyio.to_thread.run_sync(_changed, compared)
    return Gathered(gathered.files, skipped, frozenset(lines), commit)


def _tree(root: Path, commit: str) -> Tree:
    tree = changes.tree(root, commit)
    if isinstance(tree, str):
        raise InvalidInput(
            f"git can't list the files of the base ({commit[:12]}): {tree}. Fetch what is missing, or leave "
            "`base` out to review all."
        )
    return tree


def _read_all(root: Path, patterns: Sequence[str], most_files: int, old: Tree | None) -> Gathered:
    found = discover(root, patterns)
    if old is None:
        _check(len(found.paths), sum(_size(root / path) for path in found.paths), most_files)
    skipped = dict(found.skipped)
    files: list[Source] = []
    size = 0
    for path in found.paths:
        if old is not None and path.startswith(old.unknown):
            skipped[path] = "in a submodule that lacks the base's commit"
        elif old is None or _differs(root, path, old):
            source = read(root, path)
            if isinstance(source, Skipped):
                skipped[path] = source.reason
            else:
                files.append(source)
                size += source.size
                _check(len(files), size, most_files)
    return Gathered(tuple(files), skipped)


def _check(count: int, size: int, most_files: int) -> None:
    """Raise InvalidInput for more than anybody may have meant, or than is held at once."""
    told = f"The patterns match {count:,} files ({_spoken(size)}, about {size // 4:,} tokens), more than "
    if count > most_files:
        raise InvalidInput(f"{told}max_files={most_files:,}. Narrow them, give a `base`, or raise max_files.")
    if size > MOST_BYTES:
        raise InvalidInput(
            f"{told}the {_spoken(MOST_BYTES)} of one review. Narrow them, or review folder by folder."
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


def _pairs(files: Sequence[Source], old: Tree) -> tuple[list[Json], list[str]]:
    """Return what is to be compared, and the paths whose old text git can't give."""
    known = [source.path for source in files if source.path in old.files]
    before = dict(zip(known, changes.old_texts([old.files[path] for path in known]), strict=True))
    items = [
        {"path": source.path, "old": before.get(source.path) or "", "new": source.text} for source in files
    ]
    return items, [path for path, text in before.items() if text is None]


def _changed(compared: Sequence[tuple[Json, Json | Failure]]) -> set[tuple[str, int]]:
    lines: set[tuple[str, int]] = set()
    for item, result in compared:
        count = len(lines_of(item["new"]))
        numbers = range(1, count + 1) if isinstance(result, Failure) else result
        lines.update((item["path"], number) for number in numbers)
    return lines
