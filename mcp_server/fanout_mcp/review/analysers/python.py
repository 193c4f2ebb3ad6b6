"""Our own security review of a Python file: followed input, weak settings, weak shapes."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from fanout_mcp.review.analysers.places import found
from fanout_mcp.review.analysers.python_lower import nodes_of, parse_python
from fanout_mcp.review.analysers.python_names import imported
from fanout_mcp.review.analysers.python_shapes import shapes
from fanout_mcp.review.analysers.python_tables import LOCAL, PARAM, REMOTE
from fanout_mcp.review.analysers.python_taint import Reader
from fanout_mcp.review.analysers.python_values import Hit
from fanout_mcp.review.analysers.weaknesses import WEAKNESSES
from fanout_mcp.review.finding import Finding, Severity

_BY_LEVEL: dict[int, tuple[Severity | None, int]] = {
    0: (None, 70),
    REMOTE: (None, 80),
    LOCAL: ("medium", 50),
    PARAM: ("low", 30),
}
"""Severity (None: the weakness's own) and confidence, by who sends the input; 0: no input is needed."""


class Unreadable(Exception):
    """Neither parser could read the file: it was not analysed."""


class Read(NamedTuple):
    findings: list[Finding]
    settled: list[int]
    """Lines of calls that are given constants alone: who sees the call but not the flow is wrong there."""


def review_python(path: str, text: str) -> list[Finding]:
    return read_python(path, text).findings


def read_python(path: str, text: str) -> Read:
    tree = parse_python(text)
    if tree is None:
        raise Unreadable("not valid Python")
    nodes = nodes_of(tree)
    reader = Reader(tree, *imported(nodes))
    hits: Iterable[Hit] = [*reader.read(), *shapes(nodes)]
    lines = text.split("\n")
    best: dict[tuple[str, int], Finding] = {}
    for hit in hits:
        finding = _finding(path, lines, hit)
        known = best.get((hit.weakness, hit.line))
        if known is None or finding.confidence > known.confidence:
            best[hit.weakness, hit.line] = finding
    return Read(list(best.values()), sorted(reader.settled - {hit.line for hit in hits}))


def _finding(path: str, lines: list[str], hit: Hit) -> Finding:
    weakness = WEAKNESSES[hit.weakness]
    severity, confidence = _BY_LEVEL[hit.level]
    return found(
        path,
        lines,
        (hit.line, hit.end_line),
        hit.weakness,
        severity=severity or weakness.severity,
        confidence=confidence,
        why=hit.why,
        reviewer="taint",
    )
