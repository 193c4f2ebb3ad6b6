"""Make any value safe to put on a JSON wire: text from models and file names is not always text.

A lone surrogate kills an SDK server when it encodes its answer, NaN is not JSON, NUL cuts strings in C code,
escape sequences and bidirectional marks rewrite what a terminal shows.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Collection, Mapping
from difflib import get_close_matches

from fanout_hooks.printable import flat, printable
from fanout_mcp.types import Json

__all__ = ["clean", "clean_text", "flat", "printable", "quoted"]

MAX_DEPTH = 60
"""Deeper values are cut: serialisers recurse, and no result of ours is nested like that."""

_SURROGATE = re.compile("[\ud800-\udfff]")


def clean_text(text: str, *, keep_nul: bool = False) -> str:
    """Replace lone surrogates, and NUL unless it must be seen to be refused."""
    if "\x00" in text and not keep_nul:
        text = text.replace("\x00", "\ufffd")
    return text if text.isascii() else _SURROGATE.sub("\ufffd", text)


def decodable(value: Json) -> Json:
    """Replace lone surrogates: legal in JSON's escapes, and refused by every parser downstream."""
    if isinstance(value, str):
        return clean_text(value, keep_nul=True)
    if isinstance(value, Mapping):
        return {clean_text(key): decodable(item) for key, item in value.items()}
    return [decodable(item) for item in value] if isinstance(value, list) else value


def quoted(text: str) -> str:
    """Quote text in Markdown, line by line, so that its own Markdown has no effect outside."""
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


# --- JSON, counts and names as text. ------------------------------------------------------------------------


def compact(value: Json) -> str:
    """Return JSON without spaces, as it goes over the wire. Raises ValueError for NaN and infinity."""
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"), allow_nan=False)


def counted(count: int, noun: str) -> str:
    """`1 file`, `2 files`."""
    return f"{count:,} {noun}{'' if count == 1 else 's'}"


def by_count(counts: Mapping[str, int]) -> list[str]:
    """Return what was counted, the most frequent first."""
    return sorted(counts, key=lambda name: (-counts[name], name))


def clip(words: str, wide: int) -> str:
    return words if len(words) <= wide else f"{words[: wide - 1].rstrip()}…"


def hint(name: str, known: Collection[str], form: str = "{}") -> str:
    """How a sentence about an unknown name ends: with the nearest known one, else with all of them."""
    near = get_close_matches(name[:100], known, 1, 0.5)
    return f"did you mean {form.format(near[0])}?" if near else f"there are {', '.join(known) or 'none'}."
