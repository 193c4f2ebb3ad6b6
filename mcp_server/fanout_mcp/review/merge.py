"""Unite what several reviewers found: a union, never a vote, with duplicates told as one.

No reviewer finds more than two thirds of the defects and most are found by one alone, so agreement is shown
(`reviewers`) and never required. Two findings are one when they are about the same lines of a file, or quote
the same words, and name the same weakness, rule, or nearly the same title.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import astuple, replace

from fanout_mcp.review.finding import Finding, rank, worse
from fanout_mcp.source.testing import is_test

SIMILAR_TITLES = 0.5
"""Share of the words of two titles that are the same (Jaccard)."""

_WORD = re.compile(r"[a-z]{3,}|\d+")
_SAME_WEAKNESS = (
    frozenset({77, 78, 88}),
    frozenset({79, 80, 116}),
    frozenset({94, 95, 96, 917, 1336}),
    frozenset({259, 321, 798}),
    frozenset({326, 327, 328, 916, 759, 760}),
    frozenset({330, 331, 338}),
    frozenset({22, 23, 36, 73, 98}),
    frozenset({611, 776, 827}),
    frozenset({400, 730, 770, 1333}),
    frozenset({614, 1004, 1275}),
    frozenset({377, 378, 379}),
    frozenset({295, 297}),
    frozenset({209, 200, 497}),
    frozenset({119, 120, 121, 122, 125, 131, 193, 242, 676, 787, 788, 805}),
    frozenset({362, 367}),
    frozenset({284, 285, 287, 306, 639, 862, 863}),
    frozenset({256, 257, 312, 522}),
    frozenset({93, 113}),
    frozenset({401, 404, 772, 775}),
    frozenset({276, 732}),
    frozenset({250, 269}),
    frozenset({311, 319, 523}),
    frozenset({203, 208}),
    frozenset({346, 942}),
    frozenset({390, 391, 703, 754, 755}),
    frozenset({384, 613}),
    frozenset({494, 829}),
    frozenset({215, 489}),
)


def same_weakness(one: int | None, other: int | None) -> bool:
    """Tell whether two CWE numbers name one weakness at different depths of the tree."""
    if one is None or other is None:
        return False
    return one == other or any(one in family and other in family for family in _SAME_WEAKNESS)


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """Unite, by path and line. The result doesn't depend on the order in which reviewers answered."""
    by_path: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in sorted(set(findings), key=_order):
        by_path[finding.path].append(finding)
    return [_united(group) for path in sorted(by_path) for group in _groups(by_path[path])]


def ranked(
    findings: Iterable[Finding],
    changed: AbstractSet[tuple[str, int]] = frozenset(),
    hot: AbstractSet[str] = frozenset(),
) -> list[Finding]:
    """Order for a reader: product code before tests, changed lines first, then severity x confidence."""

    def key(finding: Finding) -> tuple[bool, bool, int, int, int, bool, str, int, str]:
        touches = any((finding.path, n) in changed for n in range(finding.line, finding.end_line + 1))
        agreed = len(finding.reviewers)
        return (
            is_test(finding.path),
            not touches,
            rank(finding.severity),
            -agreed,
            -finding.confidence,
            finding.path not in hot,
            finding.path,
            finding.line,
            finding.rule,
        )

    return sorted(findings, key=key)


def capped(findings: Sequence[Finding], per_rule: int) -> tuple[list[Finding], dict[str, int]]:
    """Keep the first of each rule and count the rest by rule; critical and high ones are never capped."""
    seen: Counter[str] = Counter()
    kept: list[Finding] = []
    left: Counter[str] = Counter()
    for finding in findings:
        seen[finding.rule] += 1
        if seen[finding.rule] <= per_rule or rank(finding.severity) <= 1:
            kept.append(finding)
        else:
            left[finding.rule] += 1
    return kept, dict(sorted(left.items()))


def _order(finding: Finding) -> tuple[object, ...]:
    return (finding.line, finding.end_line, rank(finding.severity), *map(str, astuple(finding)))


def _groups(findings: list[Finding]) -> list[list[Finding]]:
    groups: list[list[Finding]] = []
    for finding in findings:
        for group in groups:
            if any(_is_same(finding, other) for other in group):
                group.append(finding)
                break
        else:
            groups.append([finding])
    return groups


def _is_same(one: Finding, other: Finding) -> bool:
    overlap = one.line <= other.end_line and other.line <= one.end_line
    if not overlap and (
        one.source == "static" or " ".join(one.quote.split()) != " ".join(other.quote.split())
    ):
        return False
    if one.rule == other.rule or same_weakness(one.cwe, other.cwe):
        return True
    return _likeness(one.title, other.title) >= SIMILAR_TITLES


def _likeness(one: str, other: str) -> float:
    words, others = set(_WORD.findall(one.lower())), set(_WORD.findall(other.lower()))
    return len(words & others) / len(words | others) if words | others else 0.0


def _united(group: list[Finding]) -> Finding:
    best = min(group, key=lambda finding: (rank(finding.severity), -finding.confidence, _order(finding)))
    severity = best.severity
    for finding in group:
        severity = worse(severity, finding.severity)
    return replace(
        best,
        severity=severity,
        cwe=best.cwe or next((finding.cwe for finding in group if finding.cwe), None),
        why=best.why or next((finding.why for finding in group if finding.why), ""),
        fix=best.fix or next((finding.fix for finding in group if finding.fix), ""),
        reviewers=tuple(sorted({name for finding in group for name in finding.reviewers})),
    )
