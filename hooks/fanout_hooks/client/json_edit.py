"""Add one value to the text of a JSON file, at any depth, or cut one out; no other byte changes.

    with_item(text, ("hooks", "Stop"), {...})              at the end of that list
    with_member(text, ("mcpServers", "fanout"), {...})     under that key, which isn't there yet
    without(text, ("hooks", "Stop", 1))                    a member or an item
    with_value(text, "hooks", {...})                       another value of a key of the outermost object

Rules:
1. Text is put in or cut out, never rewritten. Cutting what was added last gives the old text, in every
   style: one line, tabs, CRLF, odd spaces.
2. What is added looks like its neighbour: after the same gap, on lines of its own where that one is.
3. White space in an empty list or object stays before the closing bracket, where cutting finds it again;
   an empty line tells the one case apart that looks as if there had been none.

The text is valid JSON (settings.read refuses everything else).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

UNIT = "  "
"""What a file without any indentation of its own is indented by."""
DECODER = json.JSONDecoder()

Keys = Sequence[str | int]
Written = Callable[[str | None], str]
"""Writes a value behind so much indentation; None: on one line."""


class Part(NamedTuple):
    """A member of an object or an item of a list, and where it is."""

    key: str | int
    start: int
    """Of the key, or of an item."""
    value: int
    end: int


class Container(NamedTuple):
    """A list or an object: its brackets, and what is between them."""

    start: int
    parts: tuple[Part, ...]
    end: int

    def part(self, key: str | int) -> Part | None:
        return next((part for part in self.parts if part.key == key), None)


def container(text: str, at: int) -> Container:
    """Read the list or the object whose bracket is at this place."""
    is_object, parts, place = text[at] == "{", list[Part](), at + 1
    while text[start := _skip(text, place)] not in "]}":
        key: str | int = len(parts)
        value = start
        if is_object:
            key, after = DECODER.raw_decode(text, start)
            value = _skip(text, _skip(text, after) + 1)
        _, end = DECODER.raw_decode(text, value)
        parts.append(Part(key, start, value, end))
        place = _skip(text, end)
        place += text[place] == ","
    return Container(at, tuple(parts), start)


def root(text: str) -> Container:
    return container(text, _skip(text, 0))


def with_item(text: str, keys: Keys, value: Any) -> str:
    """Return the text with a value at the end of a list; the list is made where there is none."""
    _, depth = _reach(text, keys)
    return with_member(text, keys, value if depth == len(keys) else [value])


def with_member(text: str, keys: Keys, value: Any) -> str:
    """Return the text with a value under a key that isn't there; objects around it are made."""
    way, depth = _reach(text, keys)
    for key in reversed(keys[depth + 1 :]):
        value = {key: value}
    return _put(text, way, keys[depth] if depth < len(keys) else None, _writer(text, value))


def without(text: str, keys: Keys) -> str:
    way, _ = _reach(text, keys[:-1])
    at = way[-1]
    part = at.part(keys[-1])
    if part is None:
        raise KeyError(keys[-1])
    number = at.parts.index(part)
    if number:
        return text[: at.parts[number - 1].end] + text[part.end :]
    if len(at.parts) > 1:
        return text[: part.start] + text[at.parts[1].start :]
    lead, rest = text[at.start + 1 : part.start], text[part.end : at.end]
    is_ours = lead.count("\n") == rest.count("\n") == 1
    return text[: at.start + 1] + ("" if is_ours else rest) + text[at.end :]


def new_line(text: str) -> str:
    return "\r\n" if "\r\n" in text else "\n"


def unit_of(text: str) -> str | None:
    """Return what the file is indented by, a level; None where its members are all on one line."""
    top = root(text)
    lead = text[top.start + 1 : top.parts[0].start] if top.parts else "\n"
    return lead.rpartition("\n")[2] or UNIT if "\n" in lead else None


def _reach(text: str, keys: Keys) -> tuple[list[Container], int]:
    """Follow the keys as far as they are there; return the containers on the way, and how many keys."""
    way = [root(text)]
    for depth, key in enumerate(keys):
        part = way[-1].part(key)
        if part is None:
            return way, depth
        way.append(container(text, part.value))
    return way, len(keys)


def _writer(text: str, value: Any) -> Written:
    unit, line = unit_of(text) or UNIT, new_line(text)

    def written(indent: str | None) -> str:
        if indent is None:
            return json.dumps(value, ensure_ascii=False)
        return json.dumps(value, ensure_ascii=False, indent=unit).replace("\n", line + indent)

    return written


def _put(text: str, way: Sequence[Container], key: str | int | None, written: Written) -> str:
    """Put a value in at the end of the last container."""
    into = way[-1]
    name = "" if key is None else json.dumps(key, ensure_ascii=False) + ": "
    if into.parts:
        gap = _gap(text, into)
        at = into.parts[-1].end
        return text[:at] + "," + gap + name + written(_indent(gap)) + text[at:]
    at, space = into.start + 1, text[into.start + 1 : into.end]
    lead = _lead(text, way[-2], into) if len(way) > 1 else "\n"
    outer = _indent(lead)
    if outer is None:
        return text[:at] + name + written(None) + text[at:]
    line, inner = new_line(text), outer + (unit_of(text) or UNIT)
    before = line * (1 + (space.count("\n") == 1)) + inner
    return text[:at] + before + name + written(inner) + ("" if space else line + outer) + text[at:]


def _gap(text: str, into: Container) -> str:
    """Return the white space before a further part."""
    if len(into.parts) > 1:
        return text[_skip(text, into.parts[-2].end) + 1 : into.parts[-1].start]
    lead = text[into.start + 1 : into.parts[0].start]
    return lead if "\n" in lead else " "


def _lead(text: str, outer: Container, inner: Container) -> str:
    """Return the white space before the member or item that a container is the value of."""
    number = next(number for number, part in enumerate(outer.parts) if part.value == inner.start)
    begin = _skip(text, outer.parts[number - 1].end) if number else outer.start
    return text[begin + 1 : outer.parts[number].start]


def _indent(space: str) -> str | None:
    return space.rpartition("\n")[2] if "\n" in space else None


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


# --- One key of the outermost object ------------------------------------------------------------------------


def value_text(text: str, key: str) -> str | None:
    part = root(text).part(key)
    return text[part.value : part.end] if part else None


def with_text(text: str, key: str, value: str | None) -> str:
    """Return the text with a key's value replaced, added (at the end) or, for None, taken out."""
    part = root(text).part(key)
    if part and value is not None:
        return text[: part.value] + value + text[part.end :]
    if part:
        return without(text, (key,))
    return text if value is None else _put(text, [root(text)], key, lambda _: value)


def with_value(text: str, key: str, value: Any) -> str:
    """As `with_text`, for a value that is written in the file's own indentation."""
    return with_text(text, key, None if value is None else formatted(text, value))


def formatted(text: str, value: Any) -> str:
    """Write a value as the rest of the file is written, to stand one level deep."""
    return _writer(text, value)(unit_of(text))


def formatted_file(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def diff(path: str, before: str, after: str) -> str:
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), path, path, n=2
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)
