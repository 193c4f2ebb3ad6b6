"""What changed since a git ref, without letting git run anything of the repository's.

A worktree diff runs filters and text conversions that the repository names. So the ref's tree is listed,
each file's blob id is computed from bytes that we read ourselves, and only blobs that differ are compared.

Rules:
1. A file that is new is compared with what it was renamed or copied from: the same bytes anywhere in the
   tree, else the most similar file that is gone, of at least half its lines.
2. White space is no change: neither an indent nor a line end is.
3. A block of three lines or more that stood elsewhere in what changed has moved, and is no change either.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from hashlib import sha1, sha256
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.git import BARE, git
from fanout_mcp.source.read import MAX_BYTES, decode, lines_of
from fanout_mcp.state import policy
from fanout_mcp.types import Json

COMPARE = "fanout_mcp.review.changes:compare"
CONTEXT: Final = 5
"""Unchanged lines around a change that a reviewer sees."""
BLOCK: Final = 3
"""Lines in a row that make a block recognisable where it has moved to."""
SIMILAR: Final = 0.5
"""Share of its lines from which a file counts as renamed, as git has it."""
MAX_CANDIDATES: Final = 300
MAX_LINES = 20_000
"""A longer stretch that differs counts as changed as a whole."""
DEEPEST: Final = 5
"""Submodules within submodules."""


class Old(NamedTuple):
    """A file as it was: git's name for its content, and the folder whose repository holds it."""

    blob: str
    folder: Path


class Tree(NamedTuple):
    """Every file of a commit below a root; `unknown`: submodules whose commit is not there to compare."""

    files: dict[str, Old]
    unknown: tuple[str, ...] = ()


def resolve(root: Path, ref: str) -> str:
    """Return the commit where the work in `root` left the ref's history.

    Lines that the ref's branch gained since then are no changes of ours. Raises InvalidInput, with the
    nearest ref that exists.
    """
    if not ref.strip() or ref.startswith("-") or any(ord(c) < 33 for c in ref):
        raise InvalidInput(
            f"`base` is {ref[:80]!r}; it must be a branch, tag or commit, and not begin with -."
        )
    readable = git(root, "rev-parse", "--is-shallow-repository")
    if readable.problem == BARE:
        raise InvalidInput("`base` compares files with a commit, and a bare repository has no files.")
    if readable.problem:
        raise InvalidInput(
            f"`base` needs a git repository that can be read, but {readable.problem}; leave it out to review "
            "all."
        )
    commit = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if commit.problem:
        listed = git(root, "for-each-ref", "--count=2000", "--format=%(refname:short)").output
        near = get_close_matches(ref, listed.decode("utf-8", "replace").split("\n"), 1)
        shallow = readable.output.strip() == b"true"
        hint = (
            f" Nearest: {near[0]}." if near else " The clone is shallow: fetch it first." if shallow else ""
        )
        raise InvalidInput(f"There is no commit {ref[:80]!r} here.{hint}")
    named = commit.output.decode("ascii").strip()
    # None without a common past, and in a shallow clone that doesn't reach it: then the ref itself counts.
    left = git(root, "merge-base", "HEAD", named)
    return named if left.problem else left.output.decode("ascii").split()[0]


def tree_at(root: Path, commit: str, depth: int = 0) -> Tree | str:
    """Return the files of a commit, those of its submodules too; a sentence when they can't be listed."""
    listed = git(root, "ls-tree", "-r", "-z", commit)
    if listed.problem:
        return listed.problem
    top = os.path.realpath(root)
    files: dict[str, Old] = {}
    unknown: list[str] = []
    for row in listed.output.split(b"\0"):
        head, tab, name = row.partition(b"\t")
        fields = head.split()
        if not tab or len(fields) != 3:
            continue
        path, named = name.decode("utf-8", "surrogateescape"), fields[2].decode("ascii")
        if fields[1] == b"blob" and not policy.kept_in(f"{top}/{path}"):
            files[path] = Old(named, root)
        elif fields[1] == b"commit":
            inner = root / path
            is_inside = inner.resolve() == root.resolve() / path
            below = tree_at(inner, named, depth + 1) if is_inside and depth < DEEPEST else ""
            if isinstance(below, str):
                unknown.append(f"{path}/")
                continue
            files |= {f"{path}/{name}": old for name, old in below.files.items()}
            unknown += [f"{path}/{name}" for name in below.unknown]
    return Tree(files, tuple(unknown))


def blob_id(data: bytes, like: str) -> str:
    """Return git's name for these bytes, with the hash that `like` was made with."""
    whole = b"blob %d\0" % len(data) + data
    return sha256(whole).hexdigest() if len(like) == 64 else sha1(whole, usedforsecurity=False).hexdigest()


def old_texts(files: Sequence[Old]) -> list[str | None]:
    """Return the texts, two processes a repository for all of them; None for what git can't give.

    "" for what is larger than files are read. Of both every line counts as changed.
    """
    texts: dict[Old, str | None] = {}
    for folder in dict.fromkeys(old.folder for old in files):
        here = dict.fromkeys(old.blob for old in files if old.folder == folder)
        sizes = git(folder, "cat-file", "--batch-check", stdin=_lines(here)).output
        heads = [head for line in sizes.splitlines() if (head := _Head.of(line))]
        large = [head.blob for head in heads if head.size > MAX_BYTES]
        wanted = [head.blob for head in heads if head.size <= MAX_BYTES]
        given = git(folder, "cat-file", "--batch", stdin=_lines(wanted)).output
        texts |= {Old(blob, folder): "" for blob in large}
        texts |= {Old(blob, folder): decode(data)[0] for blob, data in _blobs(given)}
    return [texts.get(old) for old in files]


def _lines(blobs: Iterable[str]) -> bytes:
    return "".join(f"{blob}\n" for blob in blobs).encode()


class _Head(NamedTuple):
    """What git says of a blob: its name and how many bytes it has."""

    blob: str
    size: int

    @classmethod
    def of(cls, line: bytes) -> _Head | None:
        fields = line.split()
        return cls(fields[0].decode(), int(fields[2])) if len(fields) == 3 and fields[1] == b"blob" else None


def _blobs(given: bytes) -> Iterator[tuple[str, bytes]]:
    """Read a batch: a head's line, its bytes, a line end; a line alone for what is missing."""
    position = 0
    while (end := given.find(b"\n", position)) >= 0:
        head = _Head.of(given[position:end])
        position = end + 1
        if head:
            yield head.blob, given[position : position + head.size]
            position += head.size + 1


class Compared(NamedTuple):
    """How a file's new text differs from its old one; lines are those of the new text, from 1."""

    added: list[int]
    """Lines that the old text has not."""
    beside: list[int]
    """Lines next to where some were removed."""
    removed: list[str]
    diff: str
    """Unified, with its context; "" where nothing but white space differs."""


def compare(item: Mapping[str, Json]) -> dict[str, Json]:
    """`{old, new}` -> the fields of Compared; for a worker."""
    old, new = (lines_of(str(item[name])) for name in ("old", "new"))
    return _compared(old, new)._asdict()


def _compared(old: list[str], new: list[str]) -> Compared:
    one, other = [_bare(line) for line in old], [_bare(line) for line in new]
    start = 0
    while start < min(len(one), len(other)) and one[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(one), len(other)) - start and one[-1 - end] == other[-1 - end]:
        end += 1
    before, after = one[start : len(one) - end], other[start : len(other) - end]
    if len(before) + len(after) > MAX_LINES:
        rows = list(range(start + 1, start + len(after) + 1))
        return Compared(rows, [], before, f"@@ {len(before):,} lines became {len(after):,} @@")
    added: list[int] = []
    beside: list[int] = []
    removed: list[str] = []
    changes: list[tuple[int, int, int, int]] = []
    for kind, i1, i2, j1, j2 in SequenceMatcher(None, before, after).get_opcodes():
        if kind == "equal":
            continue
        first, last = start + j1, start + j2
        added += range(first + 1, last + 1)
        removed += before[i1:i2]
        if i2 > i1:
            beside += [n for n in (first, last + 1) if 1 <= n <= len(new)]
        changes.append((start + i1, start + i2, first, last))
    return Compared(added, sorted(set(beside) - set(added)), removed, "\n".join(_hunks(old, new, changes)))


def _bare(line: str) -> str:
    return " ".join(line.split())


def _hunks(old: list[str], new: list[str], changes: Sequence[tuple[int, int, int, int]]) -> Iterator[str]:
    """Yield a unified diff, changes nearer than twice the context in one hunk."""
    hunks: list[list[tuple[int, int, int, int]]] = []
    for change in changes:
        if hunks and change[2] - hunks[-1][-1][3] <= 2 * CONTEXT:
            hunks[-1].append(change)
        else:
            hunks.append([change])
    for hunk in hunks:
        first, last = hunk[0], hunk[-1]
        lead = min(CONTEXT, first[2])
        trail = min(CONTEXT, len(new) - last[3])
        yield f"@@ -{first[0] - lead + 1} +{first[2] - lead + 1} @@"
        at = first[2] - lead
        for i1, i2, j1, j2 in hunk:
            yield from (f" {line}" for line in new[at:j1])
            yield from (f"-{line}" for line in old[i1:i2])
            yield from (f"+{line}" for line in new[j1:j2])
            at = j2
        yield from (f" {line}" for line in new[at : at + trail])


def unmoved(
    compared: Mapping[str, Compared], texts: Mapping[str, str], gone: Iterable[str]
) -> set[tuple[str, int]]:
    """Return the lines that are new: added, and no block that was removed elsewhere.

    `gone`: the whole texts of files that are no more.
    """
    pool: set[tuple[str, ...]] = set()
    for removed in [
        *(one.removed for one in compared.values()),
        *([_bare(x) for x in lines_of(t)] for t in gone),
    ]:
        full = [line for line in removed if line]
        pool.update(tuple(full[at : at + BLOCK]) for at in range(len(full) - BLOCK + 1))
    lines: set[tuple[str, int]] = set()
    for path, one in compared.items():
        rows = lines_of(texts[path])
        added = [(n, words) for n in one.added if n <= len(rows) and (words := _bare(rows[n - 1]))]
        moved: set[int] = set()
        for at in range(len(added) - BLOCK + 1):
            if pool and tuple(words for _, words in added[at : at + BLOCK]) in pool:
                moved.update(number for number, _ in added[at : at + BLOCK])
        lines.update((path, number) for number in one.added if number not in moved)
    return lines


def origins(new: Mapping[str, bytes], old: Tree, gone: Sequence[str]) -> dict[str, str]:
    """Return new path -> the old one that it was renamed or copied from.

    `gone`: old paths that are no more.
    """
    by_blob: dict[str, str] = {}
    for path in [*gone, *sorted(old.files)]:  # renamed sooner than copied
        by_blob.setdefault(old.files[path].blob, path)
    like = next((one.blob for one in old.files.values()), "")
    found = {path: by_blob[blob] for path, data in new.items() if (blob := blob_id(data, like)) in by_blob}
    left = [path for path in new if path not in found]
    candidates = [path for path in gone if path not in found.values()][:MAX_CANDIDATES]
    if not left or not candidates:
        return found
    texts = dict(zip(candidates, old_texts([old.files[path] for path in candidates]), strict=True))
    counts = {path: Counter(filter(None, map(_bare, lines_of(text or "")))) for path, text in texts.items()}
    for path in left:
        mine = Counter(filter(None, map(_bare, lines_of(decode(new[path])[0]))))
        scored = [
            (2 * (mine & theirs).total() / max(1, mine.total() + theirs.total()), name)
            for name, theirs in counts.items()
            if PurePosixPath(name).suffix == PurePosixPath(path).suffix
        ]
        best = max(scored, default=(0.0, ""))
        if best[0] >= SIMILAR:
            found[path] = best[1]
    return found
