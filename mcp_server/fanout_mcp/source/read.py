"""Read one file of a repository that may be hostile: below the root, regular, bounded, decoded.

Rules:
1. Every component is opened relative to the one before it with O_NOFOLLOW, so that no symlink is followed,
   not even one that was swapped in after a check; and fstat of the open file decides what it is.
2. O_NONBLOCK: a FIFO can't hold us up. Only regular files are read, at most `at_most` bytes, whatever their
   size claims.
3. Text is what has no NUL in its first 8 KiB: byte order mark, then PEP 263, then UTF-8, then cp1252 with
   replacement. Nothing is guessed: detectors take accented French for Arabic. A notebook's text is its cells.
   Its line ends are made equal (`with_equal_ends`), so that every parser counts the same lines.
4. What can't be read is a value with its reason: the result says "not read", never nothing.
"""

from __future__ import annotations

import codecs
import errno
import hashlib
import json
import os
import re
import stat
from bisect import bisect_left
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from itertools import accumulate
from pathlib import Path
from typing import Final

from fanout_hooks.client.files import flags
from fanout_mcp.errors import why
from fanout_mcp.source.secrets import is_secret_path
from fanout_mcp.state import policy

MAX_BYTES: Final = 1_000_000
"""Larger files are data, generated or hostile; parsers need up to 200 times their size in memory."""

MAX_NOTEBOOK_BYTES: Final = 16_000_000
"""A notebook is read as its cells; plots in its outputs are most of its bytes."""

_FLAGS: Final = flags("O_RDONLY", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC", "O_NOCTTY")
_FOLDER: Final = flags("O_RDONLY", "O_NOFOLLOW", "O_DIRECTORY", "O_CLOEXEC")
_CODING: Final = re.compile(rb"^[ \t\f]*#.*?coding[:=][ \t]*([-\w.]+)")

_MARKS: Final = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
"""UTF-32 before UTF-16: the little-endian mark of the one begins with that of the other."""

_REASONS: Final = {
    errno.ENOENT: "not there",
    errno.ENOTDIR: "passes through a symlink or a file",
    errno.ELOOP: "symlink",
    errno.EACCES: "no permission",
    errno.EPERM: "no permission",
    errno.ENXIO: "not a regular file",
    errno.ENAMETOOLONG: "name too long",
    errno.EISDIR: "a folder",
}


@dataclass(frozen=True, slots=True)
class Source:
    """A text file as it was when it was read. `digest`: SHA-256 of its bytes."""

    path: str
    text: str
    size: int
    digest: str
    encoding: str


@dataclass(frozen=True, slots=True)
class Skipped:
    """A file that was not read, and why."""

    path: str
    reason: str


def read(root: Path, path: str, *, at_most: int = MAX_BYTES) -> Source | Skipped:
    """Read `path` (relative, with slashes) below `root`; never a secret file, never outside."""
    if is_secret_path(path):
        return Skipped(path, "secret file")
    is_notebook = path.endswith(".ipynb")
    data = read_bytes(root, path, at_most=max(at_most, MAX_NOTEBOOK_BYTES) if is_notebook else at_most)
    if isinstance(data, Skipped):
        return data
    if b"\0" in data[:8192] and not data.startswith(tuple(mark for mark, _ in _MARKS)):
        return Skipped(path, "binary")
    text, encoding = decode(data)
    if is_notebook:
        text = cells(text)
    return Source(path, text, len(data), hashlib.sha256(data).hexdigest(), encoding)


def read_to_parse(root: Path, path: str) -> Source | Skipped:
    """The same, without what a parser should not be given."""
    source = read(root, path)
    if isinstance(source, Source) and (why_not := problem(source.text.encode("utf-8", "replace"))):
        return Skipped(path, why_not)
    return source


def read_bytes(root: Path, path: str, *, at_most: int = MAX_BYTES) -> bytes | Skipped:
    """Read a file as it is, whatever it holds."""
    parts = path.split("/")
    if not path or "\0" in path or any(part in {"", ".", ".."} for part in parts):
        return Skipped(path, "not a path below the root")
    try:
        with _opened(root, parts) as descriptor:
            status = os.fstat(descriptor)
            if not stat.S_ISREG(status.st_mode):
                return Skipped(path, "a folder" if stat.S_ISDIR(status.st_mode) else "not a regular file")
            if status.st_size > at_most:
                return Skipped(path, f"larger than {at_most:,} bytes")
            if kept_in := policy.kept_in_file(descriptor):
                return Skipped(path, kept_in)
            data = _all(descriptor, at_most + 1)
    except (OSError, ValueError) as error:
        number = error.errno if isinstance(error, OSError) else None
        return Skipped(path, _REASONS.get(number or 0) or f"unreadable ({why(error)})")
    return data if len(data) <= at_most else Skipped(path, f"larger than {at_most:,} bytes")


@contextmanager
def _opened(root: Path, parts: list[str]) -> Iterator[int]:
    folder = os.open(root, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        for part in parts[:-1]:
            inner = os.open(part, _FOLDER, dir_fd=folder)
            os.close(folder)
            folder = inner
        descriptor = os.open(parts[-1], _FLAGS, dir_fd=folder)
    finally:
        os.close(folder)
    try:
        yield descriptor
    finally:
        os.close(descriptor)


def _all(descriptor: int, limit: int) -> bytes:
    chunks = []
    while limit > 0 and (chunk := os.read(descriptor, min(limit, 1 << 20))):
        chunks.append(chunk)
        limit -= len(chunk)
    return b"".join(chunks)


def decode(data: bytes) -> tuple[str, str]:
    """Return the text with equal line ends, and the encoding. Digests are of bytes, never of this text."""
    text, encoding = _decoded(data)
    return with_equal_ends(text), encoding


def with_equal_ends(text: str) -> str:
    r"""End each line with "\n" alone: "\r\n" and a lone "\r" are line ends, too.

    This is the one rule by which lines are counted, as ruff, Python and editors do; tree-sitter and
    lizard count "\n" only, so the text that they get has nothing else. A form feed or U+2028 ends no line.
    """
    return text.replace("\r\n", "\n").replace("\r", "\n") if "\r" in text else text


def lines_of(text: str) -> list[str]:
    """Split a text into its lines; line N of a citation is the N-th of these, counted from 1."""
    return with_equal_ends(text).split("\n")


def _decoded(data: bytes) -> tuple[str, str]:
    for mark, encoding in _MARKS:
        if data.startswith(mark):
            return data[len(mark) :].decode(encoding, "replace"), encoding
    declared = _declared(data)
    for candidate in [declared, "utf-8"] if declared else ["utf-8"]:
        try:
            return data.decode(candidate), candidate
        except (UnicodeError, LookupError):
            continue  # a declaration is a claim, and may name a codec that is none for text
    return data.decode("cp1252", "replace"), "cp1252"


def _declared(data: bytes) -> str | None:
    for line in data[:400].split(b"\n", 2)[:2]:
        match = _CODING.match(line)
        if match:
            return match[1].decode("ascii", "replace")
    return None


# --- shape --------------------------------------------------------------------------------------------------
# What a parser should not even be given: files whose shape makes parsers explode (docs/security.md).
# Minified, generated and hostile files cost minutes and gigabytes, or overflow the stack of native tools.
# Their shape gives them away at a thousandth of that price.

MAX_LINE: Final = 20_000
DEEPEST: Final = 200
MAX_CHAIN: Final = 3_000

_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"()[]{}"))
_STEP: Final = {ord(char): 1 for char in "([{"} | {ord(char): -1 for char in ")]}"}
_NO_OPERATORS: Final = bytes(set(range(256)) - set(b"-+*/%&|^~!."))
# Possessive, so that a long chain is read once and never backtracked into.
_CHAIN: Final = re.compile(rb"(?:[-+*/%%&|^~!.]\s*+\w{0,30}+\s*+){%d}" % MAX_CHAIN)


def problem(data: bytes) -> str | None:
    """Return why this file should not be parsed, None when it may be."""
    if len(data) > MAX_BYTES:
        return f"larger than {MAX_BYTES:,} bytes"
    if b"\0" in data:
        return "holds NUL bytes"
    if len(data) > MAX_LINE and max(map(len, data.splitlines()), default=0) > MAX_LINE:
        return f"a line longer than {MAX_LINE:,} bytes (minified or generated)"
    brackets = data.translate(None, _NO_BRACKETS)
    if len(brackets) > DEEPEST and max(accumulate(map(_STEP.__getitem__, brackets))) > DEEPEST:
        return f"brackets nested deeper than {DEEPEST}"
    # Counting first is a twentieth of the search's price, and ends it for nearly every file.
    if len(data.translate(None, _NO_OPERATORS)) >= MAX_CHAIN and _CHAIN.search(data):
        return f"more than {MAX_CHAIN:,} operators in one expression"
    return None


# --- Notebooks: the text of their cells, each at the lines where it is in the file. ----------


def cells(text: str) -> str:
    """Return a notebook's cells at the lines of the file, without outputs; the text itself if it is none.

    A line of a cell is a line of the file, as Jupyter writes it. Prose is marked as a comment. A file that
    holds everything in a few lines gives its cells one after another.
    """
    try:
        notebook = json.loads(text)
        wholes = [(cell["cell_type"], "".join(cell["source"])) for cell in notebook["cells"]]
    except (ValueError, KeyError, TypeError, RecursionError):
        return text
    found = [(kind, whole.split("\n")) for kind, whole in wholes if whole]
    rows = text.split("\n")
    if len(rows) < sum(len(lines) for _, lines in found):
        return "\n".join(_shown_cell(kind, line) for kind, lines in found for line in lines) + "\n"
    places: dict[str, list[int]] = {}
    for number, row in enumerate(rows):
        text = row.strip().rstrip(",").split('"source": [')[-1].rstrip("]")
        places.setdefault(text, []).append(number)
    placed = [""] * len(rows)
    at = 0
    for kind, lines in found:
        for line in lines:
            written = {
                json.dumps(part, ensure_ascii=plain)
                for part in (line, line + "\n")
                for plain in (True, False)
            }
            hits = [row for one in written for row in _first(places.get(one, ()), at)]
            if hits:
                placed[min(hits)] = _shown_cell(kind, line)
                at = min(hits) + 1
    return "\n".join(placed)


def _first(rows: Sequence[int], at: int) -> Sequence[int]:
    """Return the first of ascending rows from `at` on, empty where there is none."""
    place = bisect_left(rows, at)
    return rows[place : place + 1]


def _shown_cell(kind: str, line: str) -> str:
    """Mark prose, and commands of the notebook's own, as comments of the code."""
    return line if kind == "code" and not line.lstrip().startswith(("%", "!")) else f"#| {line}".rstrip()
