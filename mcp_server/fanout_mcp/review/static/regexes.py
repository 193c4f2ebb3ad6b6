r"""Tell regular expressions whose time can grow exponentially with a hostile text.

A repeat within a repeat is slow when one text can be cut into the inner repeats in many ways: when whatever
else the outer repeat asks for may be empty, or is made of characters that the inner repeat takes as well.
`(a+)+`, `(\w+\s?)*` and `([a-z.]+\.)+` are; `(\w+\s)*` is not. The parser is Python's own; what it can't read
of another language's dialect is let through.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Iterable
from re import _compiler as compiler  # type: ignore[attr-defined] # as below
from re import _constants as codes  # type: ignore[attr-defined] # the parser has no public name
from re import _parser as parser  # type: ignore[attr-defined] # as above
from typing import Any, Final

MAX_LENGTH = 1000
MANY = 10
"""Rounds of an outer repeat from which on the ways multiply out of hand."""
_REPEATED_GROUP = re.compile(r"\)[*+{]")
_ALPHABET = "".join(map(chr, range(128)))
Items = Iterable[tuple[Any, Any]]


def is_slow(pattern: str) -> bool:
    if len(pattern) > MAX_LENGTH or not _REPEATED_GROUP.search(pattern):
        return False
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            tree = parser.parse(re.sub(r"\(\?<(?=[A-Za-z])", "(?P<", pattern))
    except (re.error, RecursionError, OverflowError, ValueError):
        return False
    return _holds_slow(tree)


def _holds_slow(items: Items) -> bool:
    for code, value in items:
        if code in {codes.MAX_REPEAT, codes.MIN_REPEAT}:
            _, most, body = value
            if most >= MANY and _is_ambiguous(_flat(body)):
                return True
        if any(_holds_slow(inner) for inner in _inside(code, value)):
            return True
    return False


def _inside(code: Any, value: Any) -> list[Any]:
    if code in {codes.MAX_REPEAT, codes.MIN_REPEAT}:
        return [value[2]]
    if code == codes.SUBPATTERN:
        return [value[3]]
    return list(value[1]) if code == codes.BRANCH else []


def _flat(items: Items) -> list[tuple[Any, Any]]:
    result: list[tuple[Any, Any]] = []
    for code, value in items:
        result += _flat(value[3]) if code == codes.SUBPATTERN else [(code, value)]
    return result


def _is_ambiguous(body: list[tuple[Any, Any]]) -> bool:
    for position, (code, value) in enumerate(body):
        if code == codes.BRANCH and len(body) == 1:
            return any(_is_ambiguous(_flat(branch)) for branch in value[1])
        if code not in {codes.MAX_REPEAT, codes.MIN_REPEAT} or value[1] < MANY:
            continue
        taken = _characters(value[2])
        rest = [item for other, item in enumerate(body) if other != position]
        if taken and all(_may_be_empty(item) or _characters([item]) & taken for item in rest):
            return True
    return False


def _may_be_empty(item: tuple[Any, Any]) -> bool:
    code, value = item
    if code in {codes.MAX_REPEAT, codes.MIN_REPEAT}:
        return bool(value[0] == 0)
    return bool(code == codes.AT)


def _characters(items: Items) -> frozenset[str]:
    """Return the ASCII characters that the items can begin with or take; empty when it is not known."""
    found: set[str] = set()
    for code, value in items:
        for inner in _inside(code, value):
            found |= _characters(inner)
        if code in {codes.LITERAL, codes.NOT_LITERAL, codes.ANY, codes.IN}:
            alone = parser.SubPattern(parser.State(), [(code, value)])
            found.update(compiler.compile(alone, re.UNICODE).findall(_ALPHABET))
    return frozenset(found)


HOLDS_NO_SECRET: Final = re.compile(
    r"\[\^?[\w\\-]{2,40}\][*+?{]|\\[wdsSWDb][*+?]|\(\?[:P<=!]|\.[*+]\??\)|258EAFA5-E914-47DA-95CA-C5AB0DC85B11"
)
"""A regular expression, which describes secrets and is not one; and the key that all WebSockets share."""
