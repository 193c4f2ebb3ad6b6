"""Bugs, slow code and style in the languages other than Python: rules/quality.toml over tree-sitter's tree.

A rule has `name`, `languages`, `focus`, `title`, `fix`, perhaps `severity` (else low), and is one of
    line = regex of a line without its comments
    node = kinds of node, with `match` on the node's text and `inside` = "loop" | "function" | "same"
and may have `unless` (a regex of the same text) and `file` (a regex that the file must match).
Long and crowded functions are counted in every language.
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass
from importlib.resources import files
from typing import Final

from lizard import analyze_file  # type: ignore[attr-defined] # made at import
from tree_sitter import Node

from fanout_mcp.review.finding import SEVERITIES, Finding, Focus, Severity
from fanout_mcp.review.static.flow import memory_hits
from fanout_mcp.review.static.grammars import GRAMMARS, parser_of
from fanout_mcp.review.static.patterns import Reviewed, uncommented, unread
from fanout_mcp.review.static.rules import WEAKNESSES, found, quote

LONG: Final = 100
"""Lines of a function, of code alone."""
CROWDED: Final = 8
"""Parameters."""
LOOPS: Final = frozenset(
    """for_statement for_in_statement while_statement do_statement enhanced_for_statement foreach_statement
    for_each_statement for_expression while_expression loop_expression for while until
    for_range_loop""".split()  # noqa: SIM905 - read as a sentence
)
_MAX_TEXT: Final = 4_000
"""Characters of a node that a rule looks at."""


@dataclass(frozen=True, slots=True)
class Rule:
    name: str
    languages: frozenset[str]
    focus: str
    title: str
    fix: str
    severity: Severity
    line: re.Pattern[str] | None
    nodes: frozenset[str]
    match: re.Pattern[str] | None
    unless: re.Pattern[str] | None
    inside: str
    file: re.Pattern[str] | None

    def takes(self, text: str) -> bool:
        return not (
            (self.match and not self.match.search(text)) or (self.unless and self.unless.search(text))
        )


def review_quality(path: str, text: str, language: str, focus: Focus) -> Reviewed:
    """Return what the rules of a focus find in a file."""
    rules = [
        rule for rule in quality_rules_of(language, focus) if rule.file is None or rule.file.search(text)
    ]
    data = text.encode("utf-8", "replace")
    root = parser_of(language)[1].parse(data).root_node
    lines = text.split("\n")
    results = [*_by_line(path, lines, uncommented(data, root, language), rules)]
    results += _by_node(path, lines, root, language, rules)
    if focus == "style":
        results += _functions(path, text, lines)
    not_read = unread(root)
    if focus == "bugs" and language in {"c", "cpp"} and not not_read:
        results += _memory(path, lines, root)
    return Reviewed(results, not_read)


def _by_line(path: str, lines: list[str], bare: list[str], rules: list[Rule]) -> Iterator[Finding]:
    for rule in rules:
        if rule.line is not None:
            for number, line in enumerate(bare, 1):
                if rule.line.search(line) and rule.takes(line):
                    yield _finding(path, lines, number, number, rule)


def _by_node(path: str, lines: list[str], root: Node, language: str, rules: list[Rule]) -> Iterator[Finding]:
    by_kind: dict[str, list[Rule]] = {}
    for rule in rules:
        for kind in rule.nodes:
            by_kind.setdefault(kind, []).append(rule)
    if not by_kind:
        return
    functions = frozenset(GRAMMARS[language].functions)
    stack: list[tuple[Node, frozenset[str]]] = [(root, frozenset())]
    while stack:
        node, around = stack.pop()
        kind = node.type if node.is_named else ""
        for rule in by_kind.get(kind, ()):
            text = (node.text or b"")[:_MAX_TEXT].decode("utf-8", "replace")
            wanted = kind if rule.inside == "same" else rule.inside
            if (not wanted or wanted in around) and rule.takes(text):
                yield _finding(path, lines, node.start_point[0] + 1, node.end_point[0] + 1, rule)
        if kind in functions:
            around = frozenset({"function"})
        elif kind in LOOPS:
            around |= {"loop"}
        elif kind in by_kind:
            around |= {kind}
        stack += [(child, around) for child in node.children]


def _functions(path: str, text: str, lines: list[str]) -> Iterator[Finding]:
    for function in analyze_file.analyze_source_code(path, text).function_list:
        if function.nloc > LONG:
            title = f"{function.name} has {function.nloc} lines"
            yield _counted(path, lines, function.start_line, "long-function", title)
        if len(function.parameters) > CROWDED:
            title = f"{function.name} takes {len(function.parameters)} parameters"
            yield _counted(path, lines, function.start_line, "crowded-function", title)


def _counted(path: str, lines: list[str], line: int, name: str, title: str) -> Finding:
    words = quote(lines, line, line)
    fix = "Split it by what it does."
    return Finding(path, line, line, words, "low", name, title, "", fix, None, 70, ("rules",))


def _memory(path: str, lines: list[str], root: Node) -> Iterator[Finding]:
    for weakness, node, why in memory_hits(root):
        first = node.start_point[0] + 1
        place = (first, min(node.end_point[0] + 1, first + 4))
        severity = WEAKNESSES[weakness].severity
        yield found(path, lines, place, weakness, severity=severity, confidence=55, why=why, reviewer="rules")


def _finding(path: str, lines: list[str], first: int, last: int, rule: Rule) -> Finding:
    last = min(last, first + 2)
    words = quote(lines, first, last)
    return Finding(
        path, first, last, words, rule.severity, rule.name, rule.title, "", rule.fix, None, 55, ("rules",)
    )


@functools.cache
def quality_rules_of(language: str, focus: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in quality_rules() if language in rule.languages and rule.focus == focus)


@functools.cache
def quality_rules() -> tuple[Rule, ...]:
    """Read the data file; raises ValueError naming a rule that is wrong."""
    data = files("fanout_mcp.review.static").joinpath("rules", "quality.toml").read_text("utf-8")
    return tuple(_rule(table) for table in tomllib.loads(data)["rule"])


_FIELDS = frozenset("name languages focus title fix severity line node match unless inside file".split())  # noqa: SIM905 - read as a list of words


def _rule(table: dict[str, str]) -> Rule:
    languages = frozenset(table["languages"].split())
    severity = next((level for level in SEVERITIES if level == table.get("severity", "low")), None)
    if severity is None or not table.keys() <= _FIELDS or not languages <= set(GRAMMARS):
        raise ValueError(f"quality.toml: this rule is wrong: {table}")
    line, match, unless, file = (
        re.compile(table[name]) if name in table else None for name in ("line", "match", "unless", "file")
    )
    return Rule(
        table["name"],
        languages,
        table["focus"],
        table["title"],
        table["fix"],
        severity,
        line,
        frozenset(table.get("node", "").split()),
        match,
        unless,
        table.get("inside", ""),
        file,
    )
