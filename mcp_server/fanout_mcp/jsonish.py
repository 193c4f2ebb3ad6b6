"""The one reader of what models write: JSON objects, without the thinking before them, repaired where broken.

Models think aloud, wrap their answer in fences, prose and other objects, or write JSON that is slightly
broken. Every tool reads answers by these rules, so that none believes what another one withdraws:

1. Thinking is not the answer: what is between thinking tags, and whatever comes before a lone closing tag,
   is cut off first (`spoken`). A tag inside a JSON string is a quotation and stays.
2. Of several answers the last one counts: models correct themselves.
3. What is slightly broken (a trailing comma, single quotes, a raw line break) is repaired, by json_repair.
   What was cut off at its end is not: the rest of a sentence may have been the opposite.

Degenerate answers are common (endless white space, brackets that never close), so what is read is bounded:
reading on from every brace may not take more than a few passes over the text.
"""

from __future__ import annotations

import json
import re
from bisect import bisect_left
from collections.abc import Callable, Iterator
from itertools import islice
from typing import Final, NamedTuple

from fanout_mcp.types import Json

MAX_LENGTH: Final = 400_000
"""Characters that are looked at; an answer at its token limit has a tenth of it."""

PASSES: Final = 8
"""An object in a list that was cut is read twice, a few levels deep a few times more."""

MAX_BRACES: Final = 5_000
MAX_MARKS: Final = 2_000
"""Thinking tags that are looked at."""

PAGE: Final = 4_000
"""Characters that are kept before a brace: an error of the decoder counts the lines before it."""

_START: Final = re.compile(r'\{\s{0,100}"')
_DECODER: Final = json.JSONDecoder(strict=False)
"""Not strict: a raw line break in a string is what models write most often."""

TEXT: Final[Json] = {"type": "string"}
COUNT: Final[Json] = {"type": "integer"}
NUMBER: Final[Json] = {"type": "number"}
TABLE: Final[Json] = {"type": "object"}
LINES: Final[Json] = {"type": "array", "items": TEXT}
MAYBE: Final[Json] = {"type": ["string", "null"]}
"""JSON schemas of fields."""


def rows(**properties: Json) -> Json:
    """Return the schema of a list of objects with these fields."""
    return {"type": "array", "items": {"type": "object", "properties": properties}}


def answer_form(**properties: Json) -> dict[str, Json]:
    """Return the schema of a model's answer: an object with these fields, all of them and no other."""
    return {
        "type": "object",
        "properties": properties,
        "required": list(properties),
        "additionalProperties": False,
    }


IsWanted = Callable[[Json], bool]


def whole(text: str) -> Json:
    """Return the value that the text is, None where it is none."""
    try:
        return json.loads(text, strict=False)
    except (ValueError, RecursionError):
        return None


class _Found(NamedTuple):
    value: Json
    begin: int
    end: int


def _spans(text: str, is_wanted: IsWanted) -> Iterator[_Found]:
    text = text[:MAX_LENGTH]
    left = PASSES * len(text)
    position = offset = 0
    for _ in range(MAX_BRACES):
        start = _START.search(text, position)
        if start is None or left < 0:
            return
        begin, position = start.start(), start.start() + 1
        if begin > PAGE:
            text, offset, begin, position = text[begin:], offset + begin, 0, 1
        try:
            value, end = _DECODER.raw_decode(text, begin)
        except json.JSONDecodeError as error:
            left -= error.pos - begin
            continue
        except RecursionError:
            return
        left -= end - begin
        if is_wanted(value):
            yield _Found(value, offset + begin, offset + end)
            position = end


def objects(text: str, is_wanted: IsWanted) -> Iterator[Json]:
    """Yield the objects that are wanted, in their order; what is inside one of those is skipped."""
    return (found.value for found in _spans(text, is_wanted))


def answers(text: str, data: Json, is_wanted: IsWanted, *, is_cut: bool = False) -> Iterator[Json]:
    """Yield what may be the answer, the likeliest first; `data`: parsed already, `is_cut`: at its limit."""
    yield from _unwrapped(data, is_wanted)
    text = spoken(text)[:MAX_LENGTH].strip()
    value = whole(text)
    if value is not None:
        yield from _unwrapped(value, is_wanted)
        return
    found = list(_spans(text, is_wanted))
    if not is_cut:
        # What is broken may come after what is whole: then the whole one was a draft.
        yield from _repaired(text[found[-1].end :] if found else text, is_wanted)
    yield from (one.value for one in reversed(found))


def best(text: str, data: Json, is_wanted: IsWanted, *, is_cut: bool = False) -> Json:
    return next(answers(text, data, is_wanted, is_cut=is_cut), None)


def has(name: str, kind: type = object) -> IsWanted:
    """Say whether a value is an object with a field of that name and kind."""
    return lambda value: isinstance(value, dict) and name in value and isinstance(value[name], kind)


# --- wrappers ----------------------------------------------------------------------------------------------

MAX_DEPTH: Final = 4
MAX_WIDTH: Final = 12
"""A wrapper has a few fields: a tool's name and its arguments, a schema's type and properties."""


def _unwrapped(value: Json, is_wanted: IsWanted, depth: int = MAX_DEPTH) -> Iterator[Json]:
    """Yield the wanted values within: `{"arguments": {...}}`, `[{...}]`, JSON in a string."""
    if isinstance(value, str) and depth:
        inner = whole(value.strip()) if value.lstrip()[:1] in {"{", "[", '"'} else None
        if inner is not None:
            yield from _unwrapped(inner, is_wanted, depth - 1)
        return
    if is_wanted(value):
        yield value
    if not depth or not isinstance(value, dict | list) or len(value) > MAX_WIDTH:
        return
    for one in reversed(list(value.values()) if isinstance(value, dict) else value):
        if isinstance(one, dict | list | str):
            yield from _unwrapped(one, is_wanted, depth - 1)


# --- repair ------------------------------------------------------------------------------------------------

_FENCE: Final = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
MAX_REPAIRED: Final = 40_000
"""Characters of all that is tried, from its first braces."""
MAX_FENCES: Final = 12
MAX_OPEN: Final = 400
"""Braces and brackets: json_repair takes seconds for thousands that never close."""
MAX_QUOTES: Final = 1_600
"""Forty findings have as many; its time grows with their square, to a quarter of a second here."""
MAX_FIRST: Final = 3
"""Braces from which a repair is tried: prose before an answer has a few of its own."""


def _repaired(text: str, is_wanted: IsWanted) -> Iterator[Json]:
    end = text.rfind("}") + 1
    if not end:
        return
    fences = list(islice(reversed(_FENCE.findall(text)), MAX_FENCES))
    left = MAX_REPAIRED, MAX_QUOTES
    for candidate in (*fences, text[:end]):
        for brace in islice(re.finditer(r"\{", candidate), MAX_FIRST):
            piece = candidate[brace.start() :]
            size, quotes = len(piece), piece.count('"') + piece.count("'")
            if size > left[0] or quotes > left[1]:
                continue
            value = _repair(piece)
            found = list(_unwrapped(value, is_wanted))
            if found:
                yield from found
                return
            left = left[0] - size // MAX_FIRST, left[1] - quotes // MAX_FIRST


def _repair(text: str) -> Json:
    opened, closed = text.count("{") + text.count("["), text.count("}") + text.count("]")
    if not closed or opened > min(MAX_OPEN, closed):
        return None
    from json_repair import loads  # a few milliseconds, and most answers need none of it

    try:
        value: Json = loads(text, skip_json_loads=True)
    except (ValueError, RecursionError, IndexError, KeyError, TypeError):
        return None
    return value


# --- thinking ----------------------------------------------------------------------------------------------

_NAMES: Final = (
    r"(?:[\w]+:)?(?:think|thinking|thought|thoughts|reason|reasoning|reflection|scratchpad|analysis)"
)
_TAG: Final = re.compile(
    rf"<(?P<close>/)?{_NAMES}\s*>|\[(?P<close2>/)?THINK\]|◁(?P<close3>/)?think▷"
    r"|<\|(?:(?P<open4>begin)|end)_of_thought\|>"
    r"|<\|channel\|?>(?P<open5>analysis|thought|commentary)\b[^<]*(?:<\|message\|>)?"
    r"|<\|channel\|?>final\b[^<]*(?:<\|message\|>)?|<\|end\|>|<channel\|>",
    re.IGNORECASE,
)
_MAYBE: Final = ("think", "thought", "reason", "reflection", "scratchpad", "analysis", "channel")
"""Looked for one by one: a pattern of them takes half a second for 4 MB."""
_TOKENS: Final = re.compile(
    r"<\|?(?:start\|?>assistant|return|im_end|im_start|eot_id|end_of_text|endoftext)\|?>|<\uff5cend\u2581of\u2581sentence\uff5c>|</s>\s*$"
)


def spoken(text: str) -> str:
    """Return a model's answer without its thinking; "" where all of it was thinking."""
    lower = text.lower()
    if not any(word in lower for word in _MAYBE) or whole(text.strip()) is not None:
        return text
    found_tags = islice(_TAG.finditer(text[:MAX_LENGTH]), MAX_MARKS)
    marks = [match for match in found_tags if text[match.start() - 1 : match.start()] != "`"]
    if not marks:
        return text
    quoted = list(_spans(text, lambda value: isinstance(value, dict)))
    begins = [found.begin for found in quoted]
    kept: list[str] = []
    position = 0
    is_thinking = False
    for mark in marks:
        before = bisect_left(begins, mark.start()) - 1
        is_quoted = before >= 0 and mark.start() < quoted[before].end
        if is_quoted or mark.start() < position:
            continue
        if _opens(mark):
            if not is_thinking and _begins_a_line(text, mark.start()):
                kept.append(text[position : mark.start()])
                is_thinking = True
        elif is_thinking:
            is_thinking = False
        else:  # the template wrote the opening tag, so that the answer has only the closing one
            kept.clear()
        if is_thinking or not _opens(mark):
            position = mark.end()
    if not is_thinking:
        kept.append(text[position:])
    return _TOKENS.sub("", "".join(kept)) if position else text


def _opens(mark: re.Match[str]) -> bool:
    if mark["open4"] or mark["open5"]:
        return True
    if mark.group().startswith(("<|", "<channel|>")):
        return False
    return not (mark["close"] or mark["close2"] or mark["close3"])


MAX_INDENT: Final = 200


def _begins_a_line(text: str, at: int) -> bool:
    """An opening tag in the middle of a sentence is a word of it: an answer may be about such tags."""
    before = text[max(0, at - MAX_INDENT) : at].rstrip(" \t")
    return not before or before[-1] in "\n>]▷"
