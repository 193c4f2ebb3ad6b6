"""JSON objects in what a model wrote: alone, in a fence, in prose, one a line, or in a list that was cut.

Degenerate answers are common (endless white space, brackets that never close), so what is read is bounded:
reading on from every brace may not take more than a few passes over the text.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Final

from fanout_mcp.types import Json

LONGEST: Final = 400_000
"""Characters that are looked at; an answer at its token limit has a tenth of it."""

PASSES: Final = 8
"""An object in a list that was cut is read twice, a few levels deep a few times more."""

MOST_BRACES: Final = 5_000

_START: Final = re.compile(r'\{\s{0,100}"')
_DECODER: Final = json.JSONDecoder()


def whole(text: str) -> Json:
    """Return the value that the text is, None where it is none."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def objects(text: str, is_wanted: Callable[[Json], bool]) -> Iterator[Json]:
    """Yield the objects that are wanted, in their order; what lies within one of those is not looked at."""
    text = text[:LONGEST]
    left = PASSES * len(text)
    position = 0
    for _ in range(MOST_BRACES):
        start = _START.search(text, position)
        if start is None or left < 0:
            return
        begin, position = start.start(), start.start() + 1
        try:
            value, end = _DECODER.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            left -= error.pos - begin
            continue
        except RecursionError:
            return
        left -= end - begin
        if is_wanted(value):
            yield value
            position = end


def first(text: str, name: str) -> dict[str, Json] | None:
    """Return the first object with a field of that name."""
    return next(objects(text, lambda value: name in value), None)
