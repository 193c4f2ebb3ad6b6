"""Rules that read one line at a time, over the lines that say something to a program."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from fanout_mcp.review.analysers.places import found
from fanout_mcp.review.analysers.rules import Rule
from fanout_mcp.review.analysers.weaknesses import WEAKNESSES
from fanout_mcp.review.finding import Finding


def line_findings(
    where: tuple[str, list[str]], kept: Sequence[tuple[int, str]], rules: Iterable[Rule], confidence: int
) -> Iterator[Finding]:
    """Yield what rules find in the `kept` lines (numbered from 1); `where` is the path with all its lines."""
    path, lines = where
    for rule in rules:
        for number, line in kept:
            if rule.pattern.search(line) and rule.takes(line):
                yield found(
                    path,
                    lines,
                    (number, number),
                    rule.weakness,
                    severity=rule.severity or WEAKNESSES[rule.weakness].severity,
                    confidence=confidence,
                    why=rule.why,
                    reviewer="rules",
                )
