"""A finding: what a reviewer claims about a place, with the words that stand there."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

from fanout_mcp.source.quotes import Verified
from fanout_mcp.types import Json

Severity = Literal["critical", "high", "medium", "low", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")
"""Worst first."""

Focus = Literal["security", "bugs", "performance", "style", "architecture"]
FOCUSES: tuple[Focus, ...] = ("security", "bugs", "performance", "style", "architecture")

_RANK = {name: position for position, name in enumerate(SEVERITIES)}


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim. Lines count from 1; `quote` is verbatim from the file, first line to last."""

    path: str
    line: int
    end_line: int
    quote: str
    severity: Severity
    rule: str
    title: str
    why: str = ""
    fix: str = ""
    cwe: int | None = None
    confidence: int = 50
    """0 to 100. A model's own figure is self-reported; an analyser's is ours, per rule."""
    reviewers: tuple[str, ...] = ()
    verified: Verified = "exact"
    source: Literal["model", "static"] = "static"


def rank(severity: Severity) -> int:
    """Return 0 for the worst severity, growing with harmlessness."""
    return _RANK[severity]


def is_at_least(severity: Severity, bar: Severity) -> bool:
    return _RANK[severity] <= _RANK[bar]


def worse(one: Severity, other: Severity) -> Severity:
    return one if _RANK[one] <= _RANK[other] else other


def from_json(table: Mapping[str, Json]) -> Finding:
    """Return a finding from its own fields, as a worker or the cache gives them."""
    return Finding(**{**table, "reviewers": tuple(table["reviewers"])})


def as_json(finding: Finding) -> dict[str, Json]:
    """Return the fields that users rely on (docs/tools.md), empty ones left out."""
    fields: dict[str, Json] = {
        "path": finding.path,
        "line": finding.line,
        "quote": finding.quote,
        "severity": finding.severity,
        "rule": finding.rule,
        "cwe": f"CWE-{finding.cwe}" if finding.cwe else None,
        "title": finding.title,
        "why": finding.why,
        "fix": finding.fix,
        "reviewers": list(finding.reviewers),
        "verified": finding.verified,
    }
    return {name: value for name, value in fields.items() if name == "quote" or value not in (None, "")}


def one_line(finding: Finding) -> str:
    """Return the finding as one line of text, for results that would pass their limit."""
    return f"{finding.path}:{finding.line} {finding.severity} {finding.rule}: {finding.title}"
