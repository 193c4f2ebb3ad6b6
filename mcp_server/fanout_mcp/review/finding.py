"""A finding: what a reviewer claims about a place, with the words that stand there."""

from __future__ import annotations

from collections.abc import Mapping
from collections.abc import Set as AbstractSet
from dataclasses import dataclass
from typing import Literal

from fanout_mcp.source import pack
from fanout_mcp.types import Json

Severity = Literal["critical", "high", "medium", "low", "info"]
SEVERITIES: tuple[Severity, ...] = ("critical", "high", "medium", "low", "info")
"""Worst first."""

Focus = Literal["security", "bugs", "performance", "style", "architecture"]
FOCUSES: tuple[Focus, ...] = ("security", "bugs", "performance", "style", "architecture")

Verified = pack.Verified | Literal["place", "unverified"]
"""Of what other tools found: `place`: quotes nothing, but file and line exist; `unverified`: names no such
place."""

ID_LENGTH = 12
"""Characters of a finding's identity that users see and type."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One claim. Lines count from 1; `quote` is verbatim from the file, first line to last.

    Only what other tools found may lack a path (""), a line (0) or a quote ("").
    """

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
    change: str = ""
    """What was reviewed, where findings of several changes come together; those are never merged."""
    members: tuple[int, ...] = ()
    """The input's findings that this one unites, by number; only where they were handed over."""
    identity: str = ""
    """What `--accept` calls it (scope.identity), taken before its quote is masked."""
    probability: float | None = None
    """How often a claim was real that so many of so many reviewers made (agreement.py); None: one
    reviewer."""

    @property
    def text(self) -> str:
        parts = [part for part in (self.title, self.why, self.fix) if part]
        return " ".join(part if part[-1] in ".!?" or part == parts[-1] else f"{part}." for part in parts)


def rank(severity: Severity) -> int:
    """Return 0 for the worst severity, growing with harmlessness."""
    return SEVERITIES.index(severity)


def is_at_least(severity: Severity, bar: Severity) -> bool:
    return rank(severity) <= rank(bar)


def touches(finding: Finding, lines: AbstractSet[tuple[str, int]]) -> bool:
    return any((finding.path, number) in lines for number in range(finding.line, finding.end_line + 1))


def from_json(table: Mapping[str, Json]) -> Finding:
    """Return a finding from its own fields, as a worker or the cache gives them."""
    tuples = {name: tuple(table.get(name, ())) for name in ("reviewers", "members")}
    return Finding(**{**table, **tuples})


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
        "id": finding.identity[:ID_LENGTH],
        "probability": finding.probability and round(finding.probability, 2),
    }
    return {name: value for name, value in fields.items() if name == "quote" or value not in (None, "", 0)}


def one_line(finding: Finding) -> str:
    """Return the finding as one line of text, for results that would pass their limit."""
    place = f"{finding.path}:{finding.line}" if finding.line else finding.path or "(no file)"
    return f"{place} {finding.severity} {finding.rule}: {finding.title}"
