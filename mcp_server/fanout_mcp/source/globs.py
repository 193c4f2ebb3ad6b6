"""Patterns that name files: `*` within a folder, `**` across folders, `?`, `[abc]`, `{a,b}`."""

from __future__ import annotations

import re
from functools import cache
from typing import Final

from fanout_mcp.errors import InvalidInput

LONGEST: Final = 400
MOST_STARS: Final = 12
"""More stars make matching polynomial in the length of a hostile file name."""

_SPECIAL: Final = re.compile(r"[*?\[{]")


def is_glob(pattern: str) -> bool:
    return bool(_SPECIAL.search(pattern))


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern as a regular expression for whole relative paths. Raises InvalidInput."""
    if len(pattern) > LONGEST or pattern.count("*") > MOST_STARS:
        raise InvalidInput(f"The pattern {pattern[:60]!r} is too long or has more than {MOST_STARS} stars.")
    try:
        return re.compile("".join(_pieces(pattern)) + r"\Z", re.DOTALL)
    except re.error as error:
        raise InvalidInput(f"The pattern {pattern[:60]!r} can't be read: {error}.") from error


def _pieces(pattern: str) -> list[str]:
    pieces: list[str] = []
    position, depth = 0, 0
    while position < len(pattern):
        rest = pattern[position:]
        if rest.startswith("**/"):
            pieces.append("(?:[^/]+/)*+" if depth == 0 else "(?:[^/]+/)*")
            position += 3
            continue
        if rest.startswith("**"):
            pieces.append(".*")
            position += 2
            continue
        char = rest[0]
        group = re.match(r"\[[!^]?\]?[^\]/]*\]", rest)
        if char == "[" and group:
            inside = group[0][1:-1].replace("\\", "\\\\")
            pieces.append("[" + ("^" + inside[1:] if inside[0] in "!^" else inside) + "]")
            position += len(group[0])
            continue
        depth += (char == "{") - (char == "}" and depth > 0)
        pieces.append(_piece(char, depth))
        position += 1
    return pieces


def _piece(char: str, depth: int) -> str:
    simple = {"*": "[^/]*", "?": "[^/]", "{": "(?:", "}": ")"}
    if char == "," and depth:
        return "|"
    return simple.get(char) or re.escape(char)
