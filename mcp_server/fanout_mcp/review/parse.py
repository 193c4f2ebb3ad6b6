"""Read findings out of whatever a model sent: JSON, fenced JSON, JSON in prose, JSON that was cut.

An item that lacks a path, a line, a quote or a title is dropped and counted, never guessed at.
"""

from __future__ import annotations

import re
from dataclasses import dataclass

from fanout_mcp import jsonish
from fanout_mcp.review.finding import Finding, Severity
from fanout_mcp.types import Json

LONGEST_FIELD = 2_000

SCHEMA: dict[str, Json] = {
    "type": "object",
    "additionalProperties": False,
    "required": ["findings"],
    "properties": {
        "findings": {
            "type": "array",
            "items": {
                "type": "object",
                "additionalProperties": False,
                "required": [
                    "path",
                    "line",
                    "quote",
                    "severity",
                    "rule",
                    "title",
                    "why",
                    "fix",
                    "confidence",
                    "cwe",
                ],
                "properties": {
                    "path": {"type": "string"},
                    "line": {"type": "integer"},
                    "quote": {"type": "string"},
                    "severity": {"enum": ["critical", "high", "medium", "low", "info"]},
                    "rule": {"type": "string"},
                    "cwe": {"type": ["integer", "null"]},
                    "title": {"type": "string"},
                    "why": {"type": "string"},
                    "fix": {"type": "string"},
                    "confidence": {"type": "integer"},
                },
            },
        },
    },
}
"""Every property is required and closed: strict structured output wants it so."""

_SEVERITY: dict[str, Severity] = {
    "critical": "critical",
    "blocker": "critical",
    "severe": "critical",
    "high": "high",
    "error": "high",
    "major": "high",
    "medium": "medium",
    "moderate": "medium",
    "warning": "medium",
    "low": "low",
    "minor": "low",
    "info": "info",
    "note": "info",
    "informational": "info",
    "nit": "info",
}
_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
_CUT = re.compile(r'"findings"\s{0,100}:\s{0,100}\[')
_LINE_NUMBER = re.compile(r"^[ \t]*\d+(?:\| ?|\t)", re.MULTILINE)
_FIRST_NUMBER = re.compile(r"\d{1,9}")


@dataclass(frozen=True, slots=True)
class Parsed:
    findings: tuple[Finding, ...]
    bad: int
    """Items that were no findings."""
    is_readable: bool
    """False when the answer held no JSON at all: the reviewer's job is lost, not clean."""


def parse(text: str, reviewer: str, data: Json = None) -> Parsed:
    """Read an answer; `data` is the structured answer where the backend enforced the schema itself."""
    items = _items(text, data)
    if items is None:
        return Parsed((), 0, is_readable=False)
    findings = [_finding(item, reviewer) for item in items]
    good = tuple(finding for finding in findings if finding)
    return Parsed(good, len(findings) - len(good), is_readable=True)


def _is_list(value: Json) -> bool:
    return isinstance(value, dict) and isinstance(value.get("findings", value.get("issues")), list)


def _items(text: str, data: Json) -> list[Json] | None:
    """Return what may be findings: a named list, a bare one, one item a line, the head of a cut list."""
    found = jsonish.best(text, data, _is_list)
    if found is not None:
        items: list[Json] = found.get("findings", found.get("issues"))
        return items
    said = jsonish.spoken(text)[: jsonish.LONGEST]
    for value in (data, *map(jsonish.whole, (said, *_FENCE.findall(said)))):
        if isinstance(value, list):
            return value
    one_by_one = list(jsonish.objects(said, jsonish.has("quote")))
    return one_by_one if one_by_one or _CUT.search(said) else None


def _finding(item: Json, reviewer: str) -> Finding | None:
    if not isinstance(item, dict):
        return None
    path, quote = _text(item, "path", "file"), _text(item, "quote", "code", "snippet")
    title = _text(item, "title", "summary", "why", "message")
    line = _number(item.get("line", item.get("start_line")))
    if not (path and quote and title and line):
        return None
    return Finding(
        path=path.removeprefix("./"),
        line=line,
        end_line=line,
        quote=_LINE_NUMBER.sub("", quote).strip("\n"),
        severity=_SEVERITY.get(_text(item, "severity").lower(), "medium"),
        rule=re.sub(r"[^\w.-]+", "-", _text(item, "rule", "category") or "review")[:60].strip("-").lower(),
        title=" ".join(title.split())[:200],
        why=_text(item, "why", "explanation", "description"),
        fix=_text(item, "fix", "suggestion", "recommendation"),
        cwe=_number(item.get("cwe")),
        confidence=min(100, _number(item.get("confidence")) or 50),
        reviewers=(reviewer,),
        source="model",
    )


def _text(item: dict[str, Json], *names: str) -> str:
    for name in names:
        value = item.get(name)
        if isinstance(value, str) and value.strip():
            # A lone surrogate would kill the JSON encoder at the edge.
            return value.encode("utf-8", "replace").decode("utf-8")[:LONGEST_FIELD]
    return ""


def _number(value: Json) -> int | None:
    """Return the first whole number in 12, "12", "12-14" or "CWE-89"; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str):
        return None
    match = _FIRST_NUMBER.search(str(value))
    return int(match.group()) if match else None
