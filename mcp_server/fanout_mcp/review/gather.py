"""Read what a review is about: files below the root, with a base only changed ones; the rest has reasons.

What changed is found without letting git run anything of the repository's: a worktree diff runs filters
and text conversions that it names. So the ref's tree is listed, each file's blob id is computed from bytes
that we read ourselves, and only blobs that differ are compared.

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
from dataclasses import dataclass, field
from difflib import SequenceMatcher, get_close_matches
from hashlib import sha1, sha256
from pathlib import Path, PurePosixPath
from typing import Final, NamedTuple

from anyio.to_thread import run_sync as in_thread

from fanout_mcp.errors import InvalidInput
from fanout_mcp.review.static.grammars import language_of
from fanout_mcp.review.static.patterns import format_of
from fanout_mcp.source.discover import discover
from fanout_mcp.source.git import BARE, git
from fanout_mcp.source.read import MAX_BYTES, Skipped, Source, decode, lines_of, read, read_bytes
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.state import policy
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
    commit = await in_thread(resolve, root, base) if base is not None else None
    old = await in_thread(_tree, root, commit) if commit is not None else None
    gathered = await in_thread(_read_all, root, patterns, most_files, old)
    if old is None or commit is None:
        return gathered
    pairs, before, lost = await in_thread(_pairs, root, gathered.files, old)
    compared: dict[str, Compared] = {}
    for start in range(0, len(pairs), PORTION):
        for item, result in await workers.map(COMPARE, pairs[start : start + PORTION]):
            if isinstance(result, Failure):  # all of it counts as new
                numbers = list(range(1, len(lines_of(item["new"])) + 1))
                compared[item["path"]] = Compared(numbers, [], [], "")
            else:
                compared[item["path"]] = Compared(**result)
    gathered.skipped.update(dict.fromkeys(lost, NOT_COMPARED))
    return await in_thread(_against, gathered, commit, compared, before)


def _against(
    gathered: Gathered, commit: str, compared: Mapping[str, Compared], before: Mapping[str, str]
) -> Gathered:
    texts = {source.path: source.text for source in gathered.files}
    gone = [text for path, text in before.items() if path not in texts]
    lines = unmoved(compared, texts, gone)
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
    tree = tree_at(root, commit)
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
    return isinstance(data, Skipped) or blob_id(data, was.blob) != was.blob


def _pairs(root: Path, files: Sequence[Source], old: Tree) -> tuple[list[Json], dict[str, str], list[str]]:
    """Return what to compare with what, all old texts by their old path, and the paths that git lacks."""
    fresh = {}
    for source in files:
        if source.path not in old.files:
            data = read_bytes(root, source.path)
            if not isinstance(data, Skipped):
                fresh[source.path] = data
    texts = (path for path in old.files if language_of(path) or format_of(path))
    gone = sorted(path for path in texts if not os.path.lexists(root / path))
    came = origins(fresh, old, gone)
    known = [*(source.path for source in files if source.path in old.files), *came.values(), *gone[:MAX_GONE]]
    names = list(dict.fromkeys(known))
    given = dict(zip(names, old_texts([old.files[path] for path in names]), strict=True))
    before = {path: text for path, text in given.items() if text is not None}
    pairs: list[Json] = [
        {"path": source.path, "old": before.get(came.get(source.path, source.path), ""), "new": source.text}
        for source in files
    ]
    return pairs, before, [path for path in names if path not in before]


# --- What changed since a git ref, in trees and in texts. ---------------------------------------------------

COMPARE = "fanout_mcp.review.gather:compare"
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
    old, new = (lines_of(str(item[name])) for name in ("old", "new"))
    return _compared(old, new)._asdict()


def _compared(old: list[str], new: list[str]) -> Compared:
    one, other = [_bare(line) for line in old], [_bare(line) for line in new]
    head = _alike(one, other)
    tail = _alike(one[head:][::-1], other[head:][::-1])
    before, after = one[head : len(one) - tail], other[head : len(other) - tail]
    if len(before) + len(after) > MAX_LINES:
        rows = list(range(head + 1, head + len(after) + 1))
        return Compared(rows, [], before, f"@@ {len(before):,} lines became {len(after):,} @@")
    start, end = max(0, head - CONTEXT), max(0, tail - CONTEXT)  # of what is the same, no more than is shown
    matcher = SequenceMatcher(None, one[start : len(one) - end], other[start : len(other) - end])
    added: list[int] = []
    beside: list[int] = []
    removed: list[str] = []
    diff: list[str] = []
    for hunk in matcher.get_grouped_opcodes(CONTEXT):
        diff.append(f"@@ -{start + hunk[0][1] + 1} +{start + hunk[0][3] + 1} @@")
        for kind, *bounds in hunk:
            i1, i2, j1, j2 = (start + bound for bound in bounds)
            if kind == "equal":
                diff += [f" {line}" for line in new[j1:j2]]
                continue
            diff += [*(f"-{line}" for line in old[i1:i2]), *(f"+{line}" for line in new[j1:j2])]
            added += range(j1 + 1, j2 + 1)
            removed += one[i1:i2]
            if i2 > i1:
                beside += [n for n in (j1, j2 + 1) if 1 <= n <= len(new)]
    return Compared(added, sorted(set(beside) - set(added)), removed, "\n".join(diff))


def _alike(one: Sequence[str], other: Sequence[str]) -> int:
    """Count the lines that are the same from the head on."""
    pairs = enumerate(zip(one, other, strict=False))
    return next((n for n, (mine, its) in pairs if mine != its), min(len(one), len(other)))


def _bare(line: str) -> str:
    return " ".join(line.split())


def unmoved(
    compared: Mapping[str, Compared], texts: Mapping[str, str], gone: Iterable[str]
) -> set[tuple[str, int]]:
    """Return the lines that were added and not removed elsewhere; `gone`: texts of files that are no more."""
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
    """Return new path -> the old one that it was made from; `gone`: old paths that are no more."""
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
