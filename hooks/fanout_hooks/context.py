"""The context of an event's hooks, joined in their order and kept below the client's bound.

Lengths are counted as the client counts them, in UTF-16 units: an emoji is two.
"""

from __future__ import annotations

from collections.abc import Sequence

CONTEXT_UNITS = 9_500
"""The client puts context above 10,000 characters (UTF-16 units) into a file and shows 2 kB of it."""


def joined(parts: Sequence[tuple[str, str]]) -> tuple[str, str]:
    """Return the context that fits, and the whole when it doesn't."""
    whole = "\n".join(text for _, text in parts)
    if _units(whole) <= CONTEXT_UNITS:
        return whole, ""
    kept: list[str] = []
    room = CONTEXT_UNITS - 400
    for name, text in parts:
        size = _units(text)
        if size + 1 > room:
            shown = min(room, 2000)
            kept.append(_cut(f"[{name}: {size} characters] {text}", shown - 1))
            room -= shown
        else:
            kept.append(text)
            room -= size + 1
        if room <= 60:
            break
    return "\n".join(kept), "\n\n".join(f"## {name}\n{text}" for name, text in parts)


def _units(text: str) -> int:
    """Return a text's length as the client counts it: an emoji is two."""
    return len(text) if text.isascii() else len(text.encode("utf-16-le", "surrogatepass")) // 2


def _cut(text: str, units: int) -> str:
    """Return as much of a text's beginning as the client counts this long."""
    return text.encode("utf-16-le", "surrogatepass")[: units * 2].decode("utf-16-le", "ignore")
