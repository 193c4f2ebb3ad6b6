"""Cut a review to what the client shows: a page of whole findings, or a line each; the rest in a report."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from fanout_mcp import state
from fanout_mcp.errors import why
from fanout_mcp.review.finding import Finding, as_json, one_line
from fanout_mcp.source.bound import Detail, compact
from fanout_mcp.source.discover import reasons
from fanout_mcp.source.secrets import redact
from fanout_mcp.types import Json

MOST_CHARACTERS = 40_000
"""Of findings in one result: the client takes 50,000 in all."""


class Page(NamedTuple):
    items: list[Json]
    following: int | None
    """Where the rest begins; None when there is none."""


def page(findings: Sequence[Finding], start: int, end: int, detail: Detail = "auto") -> Page:
    """Return what fits from `start` on; by itself a line each when they don't all fit whole."""
    rest = findings[start:end]
    full = [as_json(finding) for finding in rest]
    is_full = detail == "full" or (detail == "auto" and size(full) <= MOST_CHARACTERS)
    items: list[Json] = list(full) if is_full else [redact(one_line(finding))[0] for finding in rest]
    used = 0
    for number, item in enumerate(items):
        used += size(item) + 1
        if used > MOST_CHARACTERS and number:
            return Page(items[:number], start + number)
    return Page(items, end if end < len(findings) else None)


def size(value: Json) -> int:
    return len(compact(value))


def few(reasons_by_name: Mapping[str, str]) -> dict[str, Json]:
    """Count by reason and name the first few; a thousand names help nobody."""
    first = dict(list(reasons_by_name.items())[:5])
    return {
        "count": len(reasons_by_name),
        "by_reason": dict(list(reasons(reasons_by_name.values()).items())[:10]),
        "first": first,
    }


def write(folder: Path, value: Json, ending: str = "json") -> str:
    """Write a report into the project's state folder; return its path, or why there is none."""
    try:
        text = json.dumps(value, ensure_ascii=False, indent=1)
        return str(state.write_report(folder, "review", ending, text))
    except OSError as error:
        return f"could not be written: {why(error)}"
