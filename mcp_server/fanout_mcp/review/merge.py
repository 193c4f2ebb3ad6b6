"""Unite what several reviewers found: a union, never a vote, with duplicates reported as one.

No reviewer finds more than two thirds of the defects and most are found by one alone, so agreement is shown
(`reviewers`, `probability`) and never required. Two findings are one when they are about the same lines of a
file, or quote the same words, and name the same weakness, rule, or nearly the same title; those of models
also when their words are alike enough, the more so the nearer their lines are. Two weaknesses are two
defects, on one line too, and so are two places that one analyser names.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from math import inf

from fanout_mcp.review.agreement import ALIKE, Texts, has_other_subject, joined, probability
from fanout_mcp.review.finding import Finding, rank, touches
from fanout_mcp.source.kinds import kind_of

SIMILAR_TITLES = 0.5
"""Share of the words of two titles that are the same (Jaccard)."""
STATIC_NEAR = 1
MODEL_NEAR = 3
"""Lines by which the same defect is cited apart: an analyser's statement begins a line earlier or later."""
BY_GAP: tuple[tuple[float, float], ...] = ((0, 1.4), (3, 1.15), (10, 1.0), (40, 0.8), (inf, 0.55))
"""(lines apart at most, what the likeness of words is multiplied with)."""
OTHER_WEAKNESS = 0.4
"""The same for two that name different weaknesses."""
APART = -inf
"""The likeness of what never becomes one, whatever else is like both."""
ALIKE_STATIC = 0.6
"""Likeness from which groups of analysers' findings are one: a few lines in a row may each hold a defect."""
MAX_BEFORE = 60
MAX_SPAN = 400
"""Findings before a static one that are compared with it, and lines that one may reach over."""

_WORD = re.compile(r"[a-z]{3,}|\d+")
_FAMILIES = """
    77 78 88; 89 564 943; 79 80 116; 94 95 96 917 1336; 259 321 798; 326 327 328 916 759 760; 330 331 338;
    22 23 36 73 98; 611 776 827; 400 730 770 1333; 614 1004 1275; 377 378 379; 295 297; 209 200 497; 119 120
    121 122 125 131 193 242 676 787 788 805; 362 367; 284 285 287 306 639 862 863; 256 257 312 522; 93 113;
    401 404 772 775; 276 732; 250 269; 311 319 523; 203 208; 346 942; 390 391 703 754 755; 384 613; 494 829;
    215 489
"""
_SAME_WEAKNESS = [frozenset(map(int, family.split())) for family in _FAMILIES.split(";")]
"""CWE numbers that name one weakness at different depths of the tree."""
_GENERAL = frozenset({16, 20, 74, 75, 116, 138, 254, 284, 664, 682, 691, 693, 697, 703, 707, 710})
"""Weaknesses that others are kinds of: they tell no two defects apart."""


def same_weakness(one: int | None, other: int | None) -> bool:
    if one is None or other is None:
        return False
    return one == other or any(one in family and other in family for family in _SAME_WEAKNESS)


def _other_weakness(one: int | None, other: int | None) -> bool:
    """Tell whether two CWE numbers name two weaknesses, neither of them a general one."""
    if one is None or other is None or one in _GENERAL or other in _GENERAL:
        return False
    return not same_weakness(one, other)


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """Unite, by change, path and line. The result doesn't depend on the order in which reviewers answered."""
    by_change: defaultdict[str, list[Finding]] = defaultdict(list)
    for finding in sorted(_distinct(findings), key=_order):
        by_change[finding.change].append(finding)
    united = [_united(group) for change in sorted(by_change) for group in _groups(by_change[change])]
    return sorted(united, key=lambda finding: (finding.change, finding.path, _order(finding)))


def _distinct(findings: Iterable[Finding]) -> Iterable[Finding]:
    """Take what is the same but for who handed it over, and where in the input, for one."""
    found: dict[Finding, Finding] = {}
    for finding in findings:
        key = replace(finding, members=(), reviewers=())
        known = found.get(key)
        if known is None:
            found[key] = finding
        else:
            who = tuple(sorted({*known.reviewers, *finding.reviewers}))
            members = tuple(sorted({*known.members, *finding.members}))
            found[key] = replace(known, reviewers=who, members=members)
    return found.values()


def rated(findings: Sequence[Finding]) -> list[Finding]:
    """Unite findings and say of each how often one was real that so many of its change's reviewers named.

    Who reviewed is who found something. An analyser counts where it spoke: of most defects it can't speak
    at all. Ranked by that rate, then by severity.
    """
    models: defaultdict[str, set[str]] = defaultdict(set)
    for finding in findings:
        if finding.source == "model":
            models[finding.change].update(finding.reviewers)
    united = [
        replace(one, probability=probability(len(one.reviewers), len({*models[one.change], *one.reviewers})))
        for one in merge(findings)
    ]
    return sorted(united, key=_rank_of_rated)


def _rank_of_rated(finding: Finding) -> tuple[object, ...]:
    rate = round(finding.probability or 0.0, 6)
    return -rate, rank(finding.severity), finding.change, finding.path, _order(finding)


def ranked(findings: Iterable[Finding], changed: AbstractSet[tuple[str, int]] = frozenset()) -> list[Finding]:
    """Order for a reader: product code before tests, changed lines first, then severity x confidence."""

    def key(finding: Finding) -> tuple[object, ...]:
        is_aside = kind_of(finding.path) != "product", not touches(finding, changed)
        weight = rank(finding.severity), -len(finding.reviewers), -finding.confidence
        return *is_aside, *weight, finding.path, finding.line, finding.rule

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
    place = finding.line, finding.end_line, rank(finding.severity), finding.path
    said = finding.rule, finding.title, finding.why, finding.fix, finding.quote, finding.cwe or 0
    return *place, *said, -finding.confidence, finding.reviewers, finding.source, finding.verified


def _groups(findings: Sequence[Finding]) -> Iterator[list[Finding]]:
    """Group the findings of one change. One without a path may be any file's; else a file's stay its own."""
    if all(finding.path for finding in findings):
        by_path: defaultdict[str, list[Finding]] = defaultdict(list)
        for finding in findings:
            by_path[finding.path].append(finding)
        blocks = list(by_path.values())
    else:
        blocks = [list(findings)]
    for block in blocks:
        yield from _block(block)


def _block(findings: Sequence[Finding]) -> Iterator[list[Finding]]:
    if len(findings) == 1:
        yield list(findings)
        return
    is_static = all(finding.source == "static" for finding in findings)
    texts = None if is_static else Texts([finding.text for finding in findings])
    least = ALIKE if texts is None or texts.is_sparse else 0.0
    alike: dict[tuple[int, int], float] = {}
    for one, other in _overlapping(findings) if texts is None else texts.pairs():
        likeness = _likeness(findings, one, other, texts)
        if likeness > least or likeness == APART:
            alike[one, other] = likeness
    groups = joined(len(findings), alike, ALIKE_STATIC if is_static else ALIKE)
    yield from ([findings[place] for place in group] for group in groups)


def _overlapping(findings: Sequence[Finding]) -> Iterator[tuple[int, int]]:
    """Yield the pairs of findings, ordered by line, that touch the same lines, or nearly."""
    for other, finding in enumerate(findings):
        for one in range(other - 1, max(-1, other - MAX_BEFORE), -1):
            if findings[one].end_line + STATIC_NEAR >= finding.line:
                yield one, other
            elif findings[one].line + MAX_SPAN < finding.line:
                break


def _likeness(findings: Sequence[Finding], one: int, other: int, texts: Texts | None) -> float:
    """Return how likely two findings tell of one defect, by place and by words; 0: nothing says so.

    The place is a rule, the words are measured (agreement.py). Lines that are quoted were verified, those of
    other tools drift by a few; who names two places himself means two defects.
    """
    left, right = findings[one], findings[other]
    if left.path != right.path and left.path and right.path:
        return 0.0
    gap = _gap(left, right)
    by_place, weight = (0.0, 1.0) if gap is None else _by_place(left, right, gap)
    words = weight * texts.likeness(one, other) if texts and weight else 0.0
    likeness = by_place or (words if gap is None else min(0.9, words))
    return 0.0 if likeness > 0 and has_other_subject(left.text, right.text) else likeness


def _by_place(left: Finding, right: Finding, gap: int) -> tuple[float, float]:
    """Return the likeness of two findings `gap` lines apart, else the factor of that of their words."""
    is_static = left.source == "static" or right.source == "static"
    is_one_s = not set(left.reviewers).isdisjoint(right.reviewers)
    is_rule = bool(left.rule) and left.rule == right.rule
    is_other = not is_rule and _other_weakness(left.cwe, right.cwe)
    if left.source == right.source == "static" and (is_other or (is_one_s and gap)):
        return APART, 0.0
    is_near = gap <= (0 if is_one_s else STATIC_NEAR if is_static else MODEL_NEAR)
    if not is_near and not is_static:
        is_near = _is_proof(left) and _is_proof(right) and left.quote.split() == right.quote.split()
    if not is_near and (is_static or is_one_s):
        return 0.0, 0.0
    if is_near and (is_rule or same_weakness(left.cwe, right.cwe)):
        return (0.95 if gap else 1.0), 0.0  # what is on the very lines comes first
    if is_near and not is_other and _titles_alike(left.title, right.title) >= SIMILAR_TITLES:
        return 0.9, 0.0
    weight = next(weight for bound, weight in BY_GAP if gap <= bound)
    return 0.0, weight * (OTHER_WEAKNESS if left.cwe and right.cwe else 1.0)


def _is_proof(finding: Finding) -> bool:
    return finding.verified in {"exact", "moved"} and bool(finding.quote)


def _gap(one: Finding, other: Finding) -> int | None:
    """Return the lines between two findings, 0 where they overlap; None where a line is not known."""
    if not (one.path and other.path and one.line and other.line):
        return None
    return max(0, one.line - other.end_line, other.line - one.end_line)


def _titles_alike(one: str, other: str) -> float:
    mine, others = set(_WORD.findall(one.lower())), set(_WORD.findall(other.lower()))
    return len(mine & others) / len(mine | others) if mine | others else 0.0


def _united(group: list[Finding]) -> Finding:
    best = min(group, key=_telling)
    return replace(
        best,
        severity=min((finding.severity for finding in group), key=rank),
        cwe=best.cwe or next((finding.cwe for finding in group if finding.cwe), None),
        why=best.why or next((finding.why for finding in group if finding.why), ""),
        fix=best.fix or next((finding.fix for finding in group if finding.fix), ""),
        reviewers=tuple(sorted({name for finding in group for name in finding.reviewers})),
        members=tuple(sorted({number for finding in group for number in finding.members})),
    )


def _telling(finding: Finding) -> tuple[object, ...]:
    """Order the findings of a group, the one that speaks for all first: it names a place and proves it."""
    lacks = not finding.path, not finding.line, finding.verified == "unverified"
    return *lacks, rank(finding.severity), -finding.confidence, _order(finding)
