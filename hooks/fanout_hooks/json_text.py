"""Changes one value in the text of a JSON file: key order, unknown keys and formatting stay as they are.

    with_value(text, "hooks", {...})    the value in the file's own indentation
    with_text(text, "hooks", "{}")      the value as it is given
    value_text(text, "hooks")           the value as it is written

The text is valid JSON of one object (settings.read refuses everything else).
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator
from typing import Any, NamedTuple


class Span(NamedTuple):
    """Where one key of the outermost object stands in the text."""

    key: int
    start: int
    end: int
    before: int
    """The end of the value before it, or the place after the opening brace."""


def span_of(text: str, key: str) -> Span | None:
    """Return where a key's value stands in the outermost object of valid JSON."""
    return next((span for name, span in _spans(text) if name == key), None)


def value_text(text: str, key: str) -> str | None:
    """Return a value as it is written in the file."""
    span = span_of(text, key)
    return text[span.start : span.end] if span else None


def with_text(text: str, key: str, value: str | None) -> str:
    """Return the text with a key's value replaced, added (at the end) or, for None, taken out."""
    span = span_of(text, key)
    if span and value is not None:
        return text[: span.start] + value + text[span.end :]
    if span:
        return _without(text, span)
    return text if value is None else _with_more(text, key, value)


def with_value(text: str, key: str, value: Any) -> str:
    """As `with_text`, for a value that is written in the file's own indentation."""
    return with_text(text, key, None if value is None else formatted(text, value))


def formatted(text: str, value: Any) -> str:
    """Write a value as the rest of the file is written, to stand one level deep."""
    indent = _indent_of(text)
    if indent is None:
        return json.dumps(value, ensure_ascii=False)
    return json.dumps(value, ensure_ascii=False, indent=indent).replace("\n", "\n" + indent)


def formatted_file(value: Any) -> str:
    """Write a whole file of ours."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def _spans(text: str) -> Iterator[tuple[str, Span]]:
    decoder = json.JSONDecoder()
    at = _skip(text, 0) + 1
    before = at
    while text[_skip(text, at)] == '"':
        key = _skip(text, at)
        name, after = decoder.raw_decode(text, key)
        start = _skip(text, _skip(text, after) + 1)
        _, end = decoder.raw_decode(text, start)
        yield name, Span(key, start, end, before)
        before = end
        at = _skip(text, end)
        if text[at] != ",":
            return
        at += 1


def _skip(text: str, at: int) -> int:
    while text[at] in " \t\r\n":
        at += 1
    return at


def _without(text: str, span: Span) -> str:
    after = _skip(text, span.end)
    first = text[_skip(text, 0) + 1 : span.key].strip() == ""
    if not first:
        return text[: span.before] + text[span.end :]
    if text[after] == ",":
        return text[: span.key] + text[_skip(text, after + 1) :]
    return text[: span.before] + text[after:]


def _with_more(text: str, key: str, value: str) -> str:
    spans = [span for _, span in _spans(text)]
    indent = _indent_of(text)
    own = json.dumps(key) + ": " + value
    if spans:
        gap = ", " if indent is None else ",\n" + indent
        end = spans[-1].end
        return text[:end] + gap + own + text[end:]
    opening = _skip(text, 0) + 1
    inside = own if indent is None else f"\n{indent}{own}\n"
    return text[:opening] + inside + text[_skip(text, opening) :]


def _indent_of(text: str) -> str | None:
    """Return what the file is indented by; None when it stands on one line."""
    spans = [span for _, span in _spans(text)]
    if not spans:
        return "  "
    _, line_break, before = text[: spans[0].key].rpartition("\n")
    return before or "  " if line_break and not before.strip() else None


def diff(path: str, before: str, after: str) -> str:
    """Return the change as a unified diff."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), path, path, n=2
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)
