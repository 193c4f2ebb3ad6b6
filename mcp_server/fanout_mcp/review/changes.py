"""What changed since a git ref, without letting git run anything of the repository's.

A worktree diff runs filters and text conversions that the repository names. So the ref's tree is listed,
each file's blob id is computed from bytes that we read ourselves, and only blobs that differ are compared.
"""

from __future__ import annotations

from collections.abc import Mapping
from difflib import SequenceMatcher, get_close_matches
from hashlib import sha1, sha256
from pathlib import Path

from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.git import git
from fanout_mcp.types import Json

CHANGED_LINES = "fanout_mcp.review.changes:changed_lines"
MOST_LINES = 20_000
"""A longer stretch that differs counts as changed as a whole."""


def resolve(root: Path, ref: str) -> str:
    """Return the commit that a ref means. Raises InvalidInput, with the nearest ref that exists."""
    if not ref.strip() or ref.startswith("-") or any(ord(c) < 33 for c in ref):
        raise InvalidInput(
            f"`base` is {ref[:80]!r}; it must be a branch, tag or commit, and not begin with -."
        )
    if git(root, "rev-parse", "--git-dir") is None:
        raise InvalidInput(
            "`base` needs a git repository that git agrees to read; leave it out to review all."
        )
    commit = git(root, "rev-parse", "--verify", "--quiet", "--end-of-options", f"{ref}^{{commit}}")
    if commit is None:
        listed = git(root, "for-each-ref", "--count=2000", "--format=%(refname:short)") or b""
        near = get_close_matches(ref, listed.decode("utf-8", "replace").split("\n"), 1)
        shallow = (git(root, "rev-parse", "--is-shallow-repository") or b"").strip() == b"true"
        hint = (
            f" Nearest: {near[0]}." if near else " The clone is shallow: fetch it first." if shallow else ""
        )
        raise InvalidInput(f"There is no commit {ref[:80]!r} here.{hint}")
    return commit.decode("ascii").strip()


def blobs(root: Path, commit: str) -> dict[str, str]:
    """Return path below `root` -> blob id in that commit."""
    listed = git(root, "ls-tree", "-r", "-z", commit) or b""
    result = {}
    for row in listed.split(b"\0"):
        head, tab, name = row.partition(b"\t")
        fields = head.split()
        if tab and len(fields) == 3 and fields[1] == b"blob":
            result[name.decode("utf-8", "surrogateescape")] = fields[2].decode("ascii")
    return result


def blob_id(data: bytes, like: str) -> str:
    """Return git's name for these bytes, with the hash that `like` was made with."""
    whole = b"blob %d\0" % len(data) + data
    return sha256(whole).hexdigest() if len(like) == 64 else sha1(whole, usedforsecurity=False).hexdigest()


def old_text(root: Path, blob: str) -> str:
    return (git(root, "cat-file", "blob", blob) or b"").decode("utf-8", "replace")


def changed_lines(item: Mapping[str, Json]) -> list[int]:
    """`{old, new}` -> the numbers of the new text's lines that the old one has not; for a worker."""
    old, new = (str(item[name]).replace("\r\n", "\n").split("\n") for name in ("old", "new"))
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
