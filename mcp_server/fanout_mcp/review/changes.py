"""What changed since a git ref, without letting git run anything of the repository's.

A worktree diff runs filters and text conversions that the repository names. So the ref's tree is listed,
each file's blob id is computed from bytes that we read ourselves, and only blobs that differ are compared.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from difflib import SequenceMatcher, get_close_matches
from hashlib import sha1, sha256
from pathlib import Path
from typing import Final, NamedTuple

from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.git import BARE, git
from fanout_mcp.source.read import MOST_BYTES, decode, lines_of
from fanout_mcp.types import Json

CHANGED_LINES = "fanout_mcp.review.changes:changed_lines"
MOST_LINES = 20_000
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


def tree(root: Path, commit: str, depth: int = 0) -> Tree | str:
    """Return the files of a commit, those of its submodules too; a sentence when they can't be listed."""
    listed = git(root, "ls-tree", "-r", "-z", commit)
    if listed.problem:
        return listed.problem
    files: dict[str, Old] = {}
    unknown: list[str] = []
    for row in listed.output.split(b"\0"):
        head, tab, name = row.partition(b"\t")
        fields = head.split()
        if not tab or len(fields) != 3:
            continue
        path, named = name.decode("utf-8", "surrogateescape"), fields[2].decode("ascii")
        if fields[1] == b"blob":
            files[path] = Old(named, root)
        elif fields[1] == b"commit":
            inner = root / path
            is_inside = inner.resolve() == root.resolve() / path
            below = tree(inner, named, depth + 1) if is_inside and depth < DEEPEST else ""
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
        large = [head.blob for head in heads if head.size > MOST_BYTES]
        wanted = [head.blob for head in heads if head.size <= MOST_BYTES]
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


def changed_lines(item: Mapping[str, Json]) -> list[int]:
    """`{old, new}` -> the numbers of the new text's lines that the old one has not; for a worker."""
    old, new = (lines_of(str(item[name])) for name in ("old", "new"))
    start = 0
    while start < min(len(old), len(new)) and old[start] == new[start]:
        start += 1
    end = 0
    while end < min(len(old), len(new)) - start and old[-1 - end] == new[-1 - end]:
        end += 1
    one, other = old[start : len(old) - end], new[start : len(new) - end]
    if len(one) + len(other) > MOST_LINES:
        return list(range(start + 1, start + len(other) + 1))
    lines: list[int] = []
    for kind, _, _, first, last in SequenceMatcher(None, one, other).get_opcodes():
        if kind in {"replace", "insert"}:
            lines += range(start + first + 1, start + last + 1)
    return lines
