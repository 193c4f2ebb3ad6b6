"""Patterns that name files: `*` within a folder, `**` across folders, `?`, `[abc]`, `{a,b}`.

A pattern becomes one regular expression that never goes back on a star. The shortest text up to what follows
a star is as good as any: the next star takes what is left over, in a name as among folders. Only the last
star of a name and the last `**` may have to take more, and have one place to end. So a hostile name costs no
more than its length times the pattern's (`re` holds the interpreter's lock, and its thread can't be left).
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from itertools import pairwise
from typing import Final

from fanout_mcp.errors import InvalidInput

LONGEST: Final = 400
MOST_STARS: Final = 12
MOST_MEANINGS: Final = 64
"""Patterns without braces that one with braces stands for."""

_SPECIAL: Final = re.compile(r"[*?\[{]")
_CLASS: Final = r"\[[!^]?\]?[^\]/]{0,200}\]"
_TOKEN: Final = re.compile(rf"{_CLASS}|.", re.DOTALL)
_IN_CLASS: Final = re.compile(r"([\\\[&~|])")


def is_glob(pattern: str) -> bool:
    return bool(_SPECIAL.search(pattern))


@cache
def compiled(pattern: str) -> re.Pattern[str]:
    """Return the pattern as a regular expression for whole relative paths. Raises InvalidInput."""
    if len(pattern) > LONGEST or pattern.count("*") > MOST_STARS:
        raise InvalidInput(f"The pattern {pattern[:60]!r} is too long or has more than {MOST_STARS} stars.")
    try:
        meanings = {_path(one) for one in _meanings(pattern)}
        return re.compile(rf"(?:{'|'.join(sorted(meanings))})\Z", re.DOTALL)
    except re.error as error:
        raise InvalidInput(f"The pattern {pattern[:60]!r} can't be read: {error}.") from error


def _meanings(pattern: str) -> list[str]:
    """Spell braces out, and a `**` beside other characters as what it means."""
    done: list[str] = []
    left = [re.sub(r"\*{3,}", "**", pattern)]
    while left:
        one = left.pop()
        more = _spelled(one)
        left += more
        done += [] if more else [one]
        if len(left) + len(done) > MOST_MEANINGS:
            raise InvalidInput(f"The pattern {pattern[:60]!r} means more than {MOST_MEANINGS} patterns.")
    return done


def _spelled(pattern: str) -> list[str]:
    braces = _first_braces(pattern)
    if braces:
        start, *commas, end = braces
        return [
            pattern[:start] + pattern[one + 1 : other] + pattern[end + 1 :]
            for one, other in pairwise([start, *commas, end])
        ]
    names = pattern.split("/")
    for place, name in enumerate(names):
        if "**" in name and name != "**":
            before, _, after = name.partition("**")
            meant = ([f"{before}*{after}"], [f"{before}*", "**", f"*{after}"])
            return ["/".join([*names[:place], *one, *names[place + 1 :]]) for one in meant]
    return []


def _first_braces(pattern: str) -> list[int]:
    """Return where the first braces that nothing encloses open, part and close; empty without any."""
    places: list[int] = []
    depth = 0
    for piece in _TOKEN.finditer(pattern):
        depth += piece[0] == "{"
        if depth == 1 and piece[0] in "{,}":
            places.append(piece.start())
        depth -= piece[0] == "}" and depth > 0
        if places and not depth:
            return places
    if places:
        raise re.error("a brace is not closed")
    return []


def _path(pattern: str) -> str:
    """Translate a pattern in which `**` is a folder's whole name, or the last one."""
    if pattern == "**" or pattern.endswith("/**"):
        pattern += "/*"
    first, *others = [part.strip("/") for part in re.split(r"(?:(?:^|(?<=/))\*\*(?:/|\Z))+", pattern)]
    head = f"{_names(first)}/" if first else ""
    if not others:
        return _names(first)
    *middle, last = others
    across = "".join(f"(?>(?:[^/]+/)*?{_names(part)}/)" for part in middle)
    return f"{head}{across}(?:[^/]+/)*{_names(last)}"


def _names(pattern: str) -> str:
    return "/".join("".join(_name(name)) for name in pattern.split("/"))


def _name(pattern: str) -> Iterator[str]:
    """Translate what stands between two slashes."""
    first, *others = _runs(pattern)
    yield first
    for place, run in enumerate(others, 1):
        yield f"[^/]*{run}" if place == len(others) else f"(?>[^/]*?{run})"


def _runs(pattern: str) -> list[str]:
    """Return what stands between stars; each of it takes a fixed number of characters."""
    runs = [""]
    for piece in _TOKEN.findall(pattern):
        if piece == "*":
            runs.append("")
        elif piece == "?":
            runs[-1] += "[^/]"
        elif len(piece) > 1:
            inside = _IN_CLASS.sub(r"\\\1", piece[1:-1])
            runs[-1] += f"(?!/)[{'^' + inside[1:] if inside[0] in '!^' else inside}]"
        else:
            runs[-1] += re.escape(piece)
    return runs
