"""Our rules for the languages other than Python: data in rules/*.toml, read over tree-sitter's tree.

How: the calls and assignments of a file are read in order. A name takes input in when it is assigned an
expression that names a source or a name that holds input, and loses it when it is assigned anything else
or what cleans it. Names count within one outermost function. That is coarse, so what only varies is told
with low confidence.

A rule is one of
    call = regex of what is called, with `needs` = "input" | "varies" | "always"
    assign = regex of the left side, with `needs` and `match` on the right one
    line = regex of a line without its comments
and may have `match` and `unless` (regexes of the arguments) and `file` (a regex that the file must hold).
"""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib.resources import files
from typing import Literal

from tree_sitter import Node, Query, QueryCursor

from fanout_mcp.review.analysers.languages import GRAMMARS, Grammar, parser_of
from fanout_mcp.review.analysers.places import found
from fanout_mcp.review.analysers.weaknesses import WEAKNESSES
from fanout_mcp.review.finding import SEVERITIES, Finding, Severity

Needs = Literal["input", "varies", "always"]
_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_SQL = re.compile(
    r"\b(select\b.*\bfrom|insert\s+into|update\b.+\bset|delete\s+from|drop\s+table)\b",
    re.IGNORECASE | re.DOTALL,
)
_STRING = re.compile(r'"(?:[^"\\\n]|\\.)*"|\'(?:[^\'\\\n]|\\.)*\'|`(?:[^`\\]|\\.)*`', re.DOTALL)
Where = tuple[str, list[str]]
"""A file's path and lines."""
_WORDS = frozenset(
    {"new", "true", "false", "null", "nil", "None", "this", "self", "return", "await", "const", "undefined"}
)


@dataclass(frozen=True, slots=True)
class Rule:
    weakness: str
    kind: Literal["call", "assign", "line"]
    pattern: re.Pattern[str]
    needs: Needs = "always"
    match: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None
    file: re.Pattern[str] | None = None
    severity: Severity | None = None
    why: str = ""


@dataclass(slots=True)
class Flow:
    """Which names hold input at this point of the file."""

    grammar: Grammar
    names: set[str] = field(default_factory=set)
    until: int = 0
    """The byte where the outermost function ends."""

    def enter(self, node: Node) -> None:
        if node.start_byte >= self.until:
            self.until = node.end_byte
            self.names.clear()

    def assign(self, left: str, right: str) -> None:
        name = _NAME.search(left)
        if name is None:
            return
        if self.has_input(right):
            self.names.update(word for word in _NAME.findall(left) if word not in _WORDS)
        elif re.fullmatch(r"[\w$]+", left.strip()):
            self.names.discard(left.strip())

    def has_input(self, text: str) -> bool:
        bare = self.bare(text)
        if self.grammar.clean.search(bare):
            return False
        return bool(self.grammar.source.search(bare)) or not self.names.isdisjoint(_NAME.findall(bare))

    def bare(self, text: str) -> str:
        """Take out strings that hold no variables."""
        holds = re.compile(self.grammar.interpolation)
        return _STRING.sub(lambda found: found.group() if holds.search(found.group()) else " ", text)

    def varies(self, text: str) -> bool:
        return any(word not in _WORDS for word in _NAME.findall(self.bare(text)))


def review_patterns(path: str, text: str, language: str) -> list[Finding]:
    """Return what the language's rules find in a file."""
    rules = [rule for rule in rules_of(language) if rule.file is None or rule.file.search(text)]
    _, parser = parser_of(language)
    grammar = GRAMMARS[language]
    data = text.encode("utf-8", "replace")
    root = parser.parse(data).root_node
    nodes = QueryCursor(_query(language)).captures(root).get("n", [])
    nodes.sort(key=lambda node: (node.start_byte, -node.end_byte))
    lines = text.split("\n")
    results = [*_tree_findings((path, lines), nodes, rules, Flow(grammar))]
    results += _line_findings(path, lines, _uncommented(data, nodes, grammar), rules)
    best: dict[tuple[str, int], Finding] = {}
    for finding in results:
        known = best.get((finding.rule, finding.line))
        if known is None or finding.confidence > known.confidence:
            best[finding.rule, finding.line] = finding
    return list(best.values())


def _tree_findings(where: Where, nodes: list[Node], rules: list[Rule], flow: Flow) -> Iterator[Finding]:
    grammar = flow.grammar
    calls = [rule for rule in rules if rule.kind == "call"]
    assigns = [rule for rule in rules if rule.kind == "assign"]
    for node in nodes:
        if node.type in grammar.functions:
            flow.enter(node)
        elif node.type in grammar.calls:
            name, arguments = _call(node, grammar)
            _receive(name, arguments, flow)
            for rule in calls:
                if rule.pattern.search(name):
                    yield from _judged(where, node, rule, arguments, flow)
        elif node.type in grammar.assigns:
            left, right = _sides(node, grammar)
            for rule in assigns:
                if rule.pattern.search(left):
                    yield from _judged(where, node, rule, right, flow)
            flow.assign(left, right)


_FILLS = re.compile(
    r"(^|\.)(append|add|push|put|set|insert|unshift|strcpy|strncpy|strcat|sprintf|snprintf|fgets|scanf|recv|read|getline|Fscanf|concat|addAll)$"
)


def _receive(name: str, arguments: str, flow: Flow) -> None:
    """Let a container or a buffer take what is put into it."""
    if not _FILLS.search(name):
        return
    owner = name.rpartition(".")[0]
    if flow.grammar.module in {"tree_sitter_c", "tree_sitter_cpp"}:
        target = re.match(r"\(\s*&?\s*(\w+)", arguments)
        if target and (name in {"fgets", "scanf", "recv", "read"} or flow.has_input(arguments)):
            flow.names.add(target.group(1))
            flow.names.update(
                re.findall(r"&?\b(\w+)\b", arguments) if name in {"scanf", "recv", "read"} else ()
            )
    elif owner and re.fullmatch(r"[\w$]+", owner) and flow.has_input(arguments):
        flow.names.add(owner)


def _judged(where: Where, node: Node, rule: Rule, text: str, flow: Flow) -> Iterator[Finding]:
    if (rule.match and not rule.match.search(text)) or (rule.unless and rule.unless.search(text)):
        return
    weakness = WEAKNESSES[rule.weakness]
    severity, confidence, why = rule.severity or weakness.severity, 60, rule.why
    if rule.needs != "always":
        if flow.has_input(text):
            confidence, why = 65, why or "Outside input arrives here."
        elif rule.needs == "varies" and flow.varies(text) and not flow.grammar.clean.search(text):
            is_built = rule.weakness == "sql-injection" and _SQL.search(text) is not None
            severity, confidence = ("medium", 45) if is_built else ("low", 30)
            why = why or "What arrives here varies."
        else:
            return
    first = node.start_point[0] + 1
    last = min(node.end_point[0] + 1, first + 4)
    path, lines = where
    yield found(
        path,
        lines,
        (first, last),
        rule.weakness,
        severity=severity,
        confidence=confidence,
        why=why,
        reviewer="rules",
    )


def _line_findings(path: str, lines: list[str], bare: list[str], rules: list[Rule]) -> Iterator[Finding]:
    for rule in rules:
        if rule.kind != "line":
            continue
        for number, line in enumerate(bare, 1):
            if rule.pattern.search(line) and not (rule.unless and rule.unless.search(line)):
                severity = rule.severity or WEAKNESSES[rule.weakness].severity
                yield found(
                    path,
                    lines,
                    (number, number),
                    rule.weakness,
                    severity=severity,
                    confidence=55,
                    why=rule.why,
                    reviewer="rules",
                )


def _uncommented(data: bytes, nodes: list[Node], grammar: Grammar) -> list[str]:
    """Return the lines with comments blanked out."""
    blank = bytearray(data)
    for node in nodes:
        if node.type in grammar.comments:
            part = data[node.start_byte : node.end_byte]
            blank[node.start_byte : node.end_byte] = re.sub(rb"[^\n]", b" ", part)
    return blank.decode("utf-8", "replace").split("\n")


def _call(node: Node, grammar: Grammar) -> tuple[str, str]:
    fields, argument_field = grammar.calls[node.type]
    parts = [_text(node.child_by_field_name(name)) for name in fields]
    name = ".".join(part for part in parts if part) or node.type
    if argument_field:
        return name, _text(node.child_by_field_name(argument_field))
    whole = _text(node)
    return (name, whole.removeprefix(name)) if fields else (node.type, whole)


def _sides(node: Node, grammar: Grammar) -> tuple[str, str]:
    left_field, right_field = grammar.assigns[node.type]
    left = _text(node.child_by_field_name(left_field))
    if right_field:
        return left, _text(node.child_by_field_name(right_field))
    return left, _text(node).removeprefix(left).lstrip(" =")


def _text(node: Node | None) -> str:
    return (node.text or b"").decode("utf-8", "replace") if node is not None else ""


@functools.cache
def _query(language: str) -> Query:
    grammar = GRAMMARS[language]
    types = [*grammar.calls, *grammar.assigns, *grammar.functions, *grammar.comments]
    return Query(parser_of(language)[0], "[" + " ".join(f"({name})" for name in types) + "] @n")


@functools.cache
def rules_of(language: str) -> tuple[Rule, ...]:
    """Read the rules of a language from its data file; raises ValueError naming a rule that is wrong."""
    rules: list[Rule] = []
    for name in GRAMMARS[language].rules or (language,):
        data = files("fanout_mcp.review.analysers").joinpath("rules", f"{name}.toml").read_text("utf-8")
        rules += [_rule(name, table) for table in tomllib.loads(data)["rule"]]
    return tuple(rules)


def _rule(name: str, table: dict[str, str]) -> Rule:
    kinds: tuple[Literal["call", "assign", "line"], ...] = ("call", "assign", "line")
    kind = next((kind for kind in kinds if kind in table), None)
    needs: tuple[Needs, ...] = ("input", "varies", "always")
    wanted = next((need for need in needs if need == table.get("needs", "always")), None)
    known = {"weakness", "needs", "match", "unless", "file", "severity", "why", *kinds}
    if kind is None or wanted is None or table.get("weakness") not in WEAKNESSES or not table.keys() <= known:
        raise ValueError(f"{name}.toml: this rule is wrong: {table}")
    severity = next((level for level in SEVERITIES if level == table.get("severity")), None)
    return Rule(
        table["weakness"],
        kind,
        re.compile(table[kind]),
        wanted,
        match=_optional(table.get("match")),
        unless=_optional(table.get("unless")),
        file=_optional(table.get("file")),
        severity=severity,
        why=table.get("why", ""),
    )


def _optional(pattern: str | None) -> re.Pattern[str] | None:
    return re.compile(pattern) if pattern is not None else None
