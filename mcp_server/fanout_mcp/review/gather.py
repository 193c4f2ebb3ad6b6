"""Read what a review is about: files below the root, with a base only changed ones; the rest has reasons."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Final

import anyio.to_thread

from fanout_mcp.errors import InvalidInput
from fanout_mcp.review import changes
from fanout_mcp.review.changes import Tree
from fanout_mcp.review.static.grammars import language_of
from fanout_mcp.review.static.patterns import format_of
from fanout_mcp.source.discover import discover
from fanout_mcp.source.read import Skipped, Source, lines_of, read, read_bytes
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.types import Json

NEAR: Final = 10
"""Lines from a change within which a model's finding is about it."""

MAX_GONE: Final = 300
"""Deleted files that are read, to recognise what moved out of them."""

PORTION: Final = 50
"""Files that are compared with the base at once."""

NOT_COMPARED: Final = "read, but every line counts as changed: git lacks what it was at the base"

MAX_REVIEW_BYTES: Final = 200_000_000
"""Of all files of a review: their texts are held until its result is drawn."""


@dataclass(frozen=True, slots=True)
class Gathered:
    files: tuple[Source, ...]
    skipped: dict[str, str] = field(default_factory=dict)
    """Path to reason."""
    changed: frozenset[tuple[str, int]] | None = None
    """The lines that changed since the base; None: no base was given, every line counts."""
    near: frozenset[tuple[str, int]] = frozenset()
    """Lines beside a change, for what a model says of it: what was removed has no line any more."""
    old: Mapping[str, str] = field(default_factory=dict)
    """What changed as it was at the base, by its path there."""
    diffs: Mapping[str, str] = field(default_factory=dict)
    """Path to unified diff."""
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
    if old is None or commit is None:
        return gathered
    pairs, before, lost = await anyio.to_thread.run_sync(_pairs, root, gathered.files, old)
    compared: dict[str, changes.Compared] = {}
    for start in range(0, len(pairs), PORTION):
        for item, result in await workers.map(changes.COMPARE, pairs[start : start + PORTION]):
            compared[item["path"]] = _result(item, result)
    gathered.skipped.update(dict.fromkeys(lost, NOT_COMPARED))
    return await anyio.to_thread.run_sync(partial(_against, gathered, commit, compared, before))


def _result(item: Json, result: Json | Failure) -> changes.Compared:
    if not isinstance(result, Failure):
        return changes.Compared(**result)
    return changes.Compared(list(range(1, len(lines_of(item["new"])) + 1)), [], [], "")


def _against(
    gathered: Gathered, commit: str, compared: Mapping[str, changes.Compared], before: Mapping[str, str]
) -> Gathered:
    texts = {source.path: source.text for source in gathered.files}
    gone = [text for path, text in before.items() if path not in texts]
    lines = changes.unmoved(compared, texts, gone)
    around = {
        (path, n)
        for path, one in compared.items()
        for at in (*one.added, *one.beside)
        for n in range(at - NEAR, at + NEAR + 1)
    }
    diffs = {path: one.diff for path, one in compared.items() if one.diff}
    # A file that differs in white space alone, or was only renamed, is not reviewed at all.
    files = tuple(
        source for source in gathered.files if compared[source.path].added or compared[source.path].removed
    )
    return Gathered(files, gathered.skipped, frozenset(lines), frozenset(around), before, diffs, commit)


def _tree(root: Path, commit: str) -> Tree:
    tree = changes.tree_at(root, commit)
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
    """Raise InvalidInput for more than anyone may have meant, or than is held at once."""
    matched = f"The patterns match {count:,} files ({_spoken(size)}, about {size // 4:,} tokens), more than "
    if count > most_files:
        raise InvalidInput(
            f"{matched}max_files={most_files:,}. Narrow them, give a `base`, or raise max_files."
        )
    if size > MAX_REVIEW_BYTES:
        raise InvalidInput(
            f"{matched}the {_spoken(MAX_REVIEW_BYTES)} of one review. Narrow them; review by folder."
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


def _pairs(root: Path, files: Sequence[Source], old: Tree) -> tuple[list[Json], dict[str, str], list[str]]:
    """Return what to compare with what, all old texts by their old path, and the paths that git lacks."""
    fresh = {}
    for source in files:
        if source.path not in old.files:
            data = read_bytes(root, source.path)
            if not isinstance(data, Skipped):
                fresh[source.path] = data
    gone = sorted(path for path in old.files if _is_text(path) and not os.path.lexists(root / path))
    came = changes.origins(fresh, old, gone)
    known = [*(source.path for source in files if source.path in old.files), *came.values(), *gone[:MAX_GONE]]
    names = list(dict.fromkeys(known))
    given = dict(zip(names, changes.old_texts([old.files[path] for path in names]), strict=True))
    before = {path: text for path, text in given.items() if text is not None}
    pairs: list[Json] = [
        {"path": source.path, "old": before.get(came.get(source.path, source.path), ""), "new": source.text}
        for source in files
    ]
    return pairs, before, [path for path in names if path not in before]


def _is_text(path: str) -> bool:
    return bool(language_of(path) or format_of(path))
