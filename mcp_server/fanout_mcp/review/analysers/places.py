"""From a place in a file to a finding with its verbatim words."""

from __future__ import annotations

from collections.abc import Sequence

from fanout_mcp.review.analysers.weaknesses import WEAKNESSES
from fanout_mcp.review.finding import Finding, Severity

LONGEST_QUOTE = 400
"""Characters; a long line is cut at its end, so that the quote still stands in the file."""


def quote(lines: Sequence[str], first: int, last: int) -> str:
    """Return the lines' own words, outer blanks off."""
    text = "\n".join(lines[first - 1 : last])
    return text.strip()[:LONGEST_QUOTE].rstrip()


def found(
    path: str,
    lines: Sequence[str],
    place: tuple[int, int],
    weakness: str,
    *,
    severity: Severity,
    confidence: int,
    why: str,
    reviewer: str,
    rule: str | None = None,
) -> Finding:
    """Make a finding of a known weakness; `rule` when the rule is more than the weakness's name."""
    known = WEAKNESSES[weakness]
    return Finding(
        path=path,
        line=place[0],
        end_line=place[1],
        quote=quote(lines, *place),
        severity=severity,
        rule=rule or weakness,
        title=known.title,
        why=why,
        fix=known.fix,
        cwe=known.cwe,
        confidence=confidence,
        reviewers=(reviewer,),
    )
