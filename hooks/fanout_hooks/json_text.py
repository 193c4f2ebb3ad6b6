"""Changes one key of the outermost object in the text of a JSON file: the rest stays as it is.

    with_value(text, "hooks", {...})    the value in the file's own indentation
    with_text(text, "hooks", "{}")      the value as it is given
    value_text(text, "hooks")           the value as it is written

The text is valid JSON of one object (settings.read refuses everything else). json_edit.py goes deeper.
"""

from __future__ import annotations

import difflib
import json
from typing import Any

from fanout_hooks import json_edit


def value_text(text: str, key: str) -> str | None:
    """Return a value as it is written in the file."""
    part = json_edit.root(text).part(key)
    return text[part.value : part.end] if part else None


def with_text(text: str, key: str, value: str | None) -> str:
    """Return the text with a key's value replaced, added (at the end) or, for None, taken out."""
    part = json_edit.root(text).part(key)
    if part and value is not None:
        return text[: part.value] + value + text[part.end :]
    if part:
        return json_edit.without(text, (key,))
    return text if value is None else json_edit.with_written(text, key, value)


def with_value(text: str, key: str, value: Any) -> str:
    """As `with_text`, for a value that is written in the file's own indentation."""
    return with_text(text, key, None if value is None else formatted(text, value))


def formatted(text: str, value: Any) -> str:
    """Write a value as the rest of the file is written, to stand one level deep."""
    if not json_edit.has_lines(text):
        return json.dumps(value, ensure_ascii=False)
    unit = json_edit.unit_of(text)
    written = json.dumps(value, ensure_ascii=False, indent=unit)
    return written.replace("\n", json_edit.new_line(text) + unit)


def formatted_file(value: Any) -> str:
    """Write a whole file of ours."""
    return json.dumps(value, ensure_ascii=False, indent=2) + "\n"


def diff(path: str, before: str, after: str) -> str:
    """Return the change as a unified diff."""
    lines = difflib.unified_diff(
        before.splitlines(keepends=True), after.splitlines(keepends=True), path, path, n=2
    )
    return "".join(line if line.endswith("\n") else line + "\n" for line in lines)
