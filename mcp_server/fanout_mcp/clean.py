"""Make any value safe to put on a JSON wire: text from models and file names is not always text.

A lone surrogate kills an SDK server when it encodes its answer, NaN is no JSON, NUL cuts strings in C code,
escape sequences and bidirectional marks rewrite what a terminal shows.
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping

from fanout_mcp.types import Json

MAX_DEPTH = 60
"""Deeper values are cut: serialisers recurse, and no result of ours is nested like that."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_UNPRINTABLE = re.compile(
    "[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\x80-\x9f\u200b\u200e\u200f\u202a-\u202e\u2060-\u2069\ufeff]"
)
"""Control characters but tab, newline and return; zero-width and bidirectional marks."""
_LINE_END = re.compile("[\n\r\u2028\u2029]")


def clean_text(text: str, *, keep_nul: bool = False) -> str:
    """Replace lone surrogates, and NUL unless it must be seen to be refused."""
    if "\x00" in text and not keep_nul:
        text = text.replace("\x00", "\ufffd")
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def printable(text: str) -> str:
    """What may be shown on a terminal: nothing in it moves the cursor, sets a title or turns text around."""
    return _UNPRINTABLE.sub("\ufffd", clean_text(text))


def flat(text: str) -> str:
    """The same on one line: a file's name may hold line ends, and must not forge a line of ours."""
    return _LINE_END.sub("\ufffd", printable(text))


def quoted(text: str) -> str:
    """Set somebody's words apart in Markdown, whatever Markdown they hold."""
    return "\n".join(f"> {line}".rstrip() for line in text.strip().splitlines()) or "> (nothing)"


def clean(value: Json, depth: int = 0) -> Json:
    """Return `value` as JSON that every parser accepts: NaN and infinity are null, keys are text."""
    if isinstance(value, str):
        return printable(value)
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if depth >= MAX_DEPTH:
        return "\u2026"
    if isinstance(value, Mapping):
        return {printable(str(key)): clean(item, depth + 1) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [clean(item, depth + 1) for item in value]
    return printable(str(value))
