"""Check a reviewer's citations against the very texts that it was shown (source/quotes.py has the rules).

The path is one of those supplied; nothing is matched by a similar name. What proves nothing is dropped, and
counted by its reason.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace

from fanout_mcp.review.finding import Finding
from fanout_mcp.source.quotes import Text, locate


@dataclass(frozen=True, slots=True)
class Checked:
    """What is left of a reviewer's findings, and why the others are gone."""

    kept: tuple[Finding, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)


def verify(findings: Iterable[Finding], supplied: Mapping[str, Text]) -> Checked:
    """Keep what can be found again, at its true line; count the rest by reason."""
    kept: list[Finding] = []
    dropped: Counter[str] = Counter()
    for finding in findings:
        text = supplied.get(finding.path)
        place = locate(text, finding.quote, finding.line) if text else "file was not supplied"
        if isinstance(place, str):
            dropped[place] += 1
        else:
            kept.append(
                replace(finding, line=place.line, end_line=place.end_line, verified=place.verified),
            )
    return Checked(tuple(kept), dict(sorted(dropped.items())))
