"""Review files in the languages other than Python by rules (rules.py), over tree-sitter's tree.

How: the calls and assignments of a file are read in order, and flow.py says which names hold input at each.
That is coarse, so what only varies is reported with low confidence. C and C++ have a reading of memory too.
"""

from __future__ import annotations

import base64
import functools
import math
import re
import string
import zlib
from collections import Counter
from collections.abc import Callable, Container, Iterable, Iterator, Sequence
from dataclasses import replace
from pathlib import PurePosixPath
from typing import Final, NamedTuple

from tree_sitter import Node, Query, QueryCursor

from fanout_mcp.review.finding import Finding, Severity
from fanout_mcp.review.static.flow import SQL, Flow, memory_hits
from fanout_mcp.review.static.grammars import WHOLE, Grammar, grammar_of, language_of, parser_of, walk
from fanout_mcp.review.static.regexes import HOLDS_NO_SECRET, is_slow
from fanout_mcp.review.static.rules import (
    INSECURE,
    PARAM,
    PRESCRIBED,
    REMOTE,
    SWITCH,
    WEAKNESSES,
    Read,
    Rule,
    Weakness,
    Where,
    found,
    line_findings,
    rules_of,
    surest,
    switched,
)
from fanout_mcp.source.secret_values import is_random, is_striking, is_word, kind_of
from fanout_mcp.source.secrets import redact
from fanout_mcp.structure.languages import text_of

_FIRST_STRING = re.compile(r"""^\(\s*[@r$]?(["'`])(.*?)\1""", re.DOTALL)
_SECRET = re.compile(
    r"(?i)passw|pwd|secret|salt|credential|(?<![a-z])sign(?:ature|ed|ing)?(?![a-z])"
    r"|(?:session|csrf|auth|access|reset|api|remember)_?(?:id|token|key)"
)
"""What makes a broken hash severe: secrets or signatures beside it."""
MAX_UNREAD = 0.2
"""Share of a file that may lie in syntax errors (macros, dialects) before it counts as not analysed."""
CONFIDENCE = 55


def review_patterns(path: str, text: str, language: str, own: Sequence[Rule] = ()) -> Read:
    """Return what the language's rules find in a file, or the user's `own` where they are given."""
    rules = [rule for rule in own or rules_of(language) if rule.reads(text)]
    _, parser = parser_of(language)
    grammar = grammar_of(language)
    data = text.encode("utf-8", "replace")
    root = parser.parse(data).root_node
    nodes = QueryCursor(_query(language)).captures(root).get("n", [])
    nodes.sort(key=lambda node: (node.start_byte, -node.end_byte))
    where = (path, text.split("\n"))
    flow = Flow(grammar, is_served=grammar.serves.search(text) is not None)
    results = [*_tree_findings(where, nodes, rules, flow)]
    kept = list(enumerate(_blanked(data, nodes, grammar), 1))
    for rule in (rule for rule in rules if rule.kind == "line"):
        results += (
            one
            for one in line_findings(where, kept, [rule], CONFIDENCE)
            if not rule.spared
            or "{name}" in rule.spared
            or not _is_spared(_node_at(root, one.line, kept, rule), rule, "", grammar)
        )
    not_read = unread(root)
    if language in {"c", "cpp"} and not not_read and not own:
        results += memory(where, root)
    joined = [one for one in results if one.rule == "path-traversal"]
    shown = [
        _weighed(one, root, where[1])
        for one in results
        if one.rule != "path-traversal" or not _is_joined(one, joined, where[1])
    ]
    return Read(surest(shown), not_read)


def _node_at(root: Node, line: int, lines: Sequence[tuple[int, str]], rule: Rule) -> Node:
    """Return the node in a line where a rule's pattern begins."""
    text = lines[line - 1][1]
    begins = rule.pattern.search(text)
    place = (line - 1, len(text[: begins.start() if begins else 0].encode("utf-8", "replace")))
    return root.descendant_for_point_range(place, place) or root


_DECIDES: Final = {
    "no-certificate-check": SWITCH,
    "unverified-token": INSECURE,
    "error-leak": re.compile(r"(?i)debug|dev|\benv|expose|verbose|trace|production"),
    "cors": re.compile(r"(?i)origin|allow|cors|debug|dev"),
    "weak-login": INSECURE,
    "insecure-cookie": re.compile(r"(?i)secure|https?|tls|ssl|debug|dev|local"),
}
"""What is asked where someone decides that a check is off."""


def _weighed(one: Finding, root: Node, lines: Sequence[str]) -> Finding:
    """Return a finding with the severity that the code around it leaves it."""
    if one.rule in {"weak-hash", "weak-cipher"}:
        around = "\n".join(
            (*lines[max(0, one.line - 4) : one.line + 4], *map(_name, _around(root, one.line)))
        )
        is_secret = one.rule == "weak-cipher" or _SECRET.search(around)
        return one if is_secret and not PRESCRIBED.search(around) else replace(one, severity="low")
    decides = _DECIDES.get(one.rule)
    if decides is None:
        return one
    choice = re.match(r".{0,300}?\?(?=[^.:?][^:]{0,200}:)", lines[one.line - 1])
    asked = [*_asked(root, one.line), choice[0] if choice else ""]
    return switched(one) if any(map(decides.search, asked)) else one


def _around(root: Node, line: int) -> Iterator[Node]:
    holder = root.descendant_for_point_range((line - 1, 0), (line - 1, 1_000))
    while holder is not None:
        yield holder
        holder = holder.parent


def _name(holder: Node) -> str:
    return text_of(holder.child_by_field_name("name"))[:80]


_JOINED: Final = re.compile(
    r"(?<![\w$])(?P<name>[\w$]++)\s*+:?=\s*+(?:await\s+)?(?:path\.(?:join|resolve)|filepath\.Join|Path\.Combine|Paths\.get)\("
)
MAX_CHECKED: Final = 6
"""Lines below it in which a check of a path is looked for."""
MAX_APART: Final = 40
"""Lines between a path that is put together and its use."""


def _is_joined(finding: Finding, others: Sequence[Finding], lines: Sequence[str]) -> bool:
    """Tell whether a path is only put together here: its use is the defect, or it is checked before that."""
    named = _JOINED.search(finding.quote)
    if named is None:
        return False
    name = re.escape(named["name"])
    after = "\n".join(lines[finding.end_line : finding.end_line + MAX_CHECKED])
    checks = rf"\b{name}\.[sS]tartsWith\(|HasPrefix\(\s*{name}\b|[rR]elative\([^()]*\b{name}\b"
    return re.search(checks, after) is not None or any(
        0 < other.line - finding.line <= MAX_APART and re.search(rf"(?<![\w$]){name}\b", other.quote)
        for other in others
    )


def unread(root: Node) -> str:
    """Say how much of a file the parser did not understand, where that is more than macros and dialects."""
    if not root.has_error:
        return ""
    size, first = 0, 0
    stack = [root]
    while stack:
        node = stack.pop()
        if node.is_error:
            size += node.end_byte - node.start_byte
            first = min(first or node.start_point[0] + 1, node.start_point[0] + 1)
        elif node.has_error:
            stack += node.children
    share = size / max(1, root.end_byte)
    reason = f"{100 * share:.0f} % of it could not be parsed, from line {first} on"
    return reason * (share > MAX_UNREAD)


def _tree_findings(where: Where, nodes: list[Node], rules: list[Rule], flow: Flow) -> Iterator[Finding]:
    grammar = flow.grammar
    calls = [rule for rule in rules if rule.kind == "call"]
    assigns = [rule for rule in rules if rule.kind == "assign"]
    for node in nodes:
        flow.place = node.start_byte
        if node.type in grammar.functions:
            flow.enter(node)
        elif node.type in grammar.calls:
            name, arguments = _call(node, grammar)
            flow.receive(name, arguments)
            for rule in calls:
                if hit := rule.pattern.search(name):
                    text = text_of(node) if rule.receiver else hit.groupdict().get("key") or arguments
                    findings = _judged(where, node, rule, text, flow)
                    yield from _unspared(findings, node, rule, arguments, grammar)
            if grammar.compiles and grammar.compiles.search(name):
                yield from _slow(where, node, arguments)
        elif node.type in grammar.assigns:
            left, right, sign = _sides(node, grammar)
            right = _written_below(right, where[1], node) if "<<" in right else right
            for rule in assigns:
                if rule.pattern.search(left):
                    yield from _unspared(_judged(where, node, rule, right, flow), node, rule, left, grammar)
            flow.assign(left, f"{left} {sign} {right}" if sign else right, node.start_byte)
        elif node.type in grammar.regexes:
            yield from _slow(where, node, text_of(node))
        elif node.type in grammar.conditions:
            flow.test(node)


_ASSIGNED: Final = re.compile(r"(?<!\w)(\w++)\s{0,9}:?=\s{0,9}&?$")
_ALONE: Final = re.compile(r"\(\s{0,99}&?(\w+)\s{0,99}\)$|(\w+)[.\[]")


MAX_AROUND: Final = 4_000
"""Bytes on either side of a call or an assignment in which what makes it harmless is looked for."""


def _unspared(
    findings: Iterable[Finding], node: Node, rule: Rule, given: str, grammar: Grammar
) -> Iterator[Finding]:
    """Yield what nothing around it makes harmless: that is only looked for where there is a finding."""
    return (
        one
        for one in findings
        if not (rule.spared and _is_spared(node, rule, given, grammar))
        and not (rule.after and any(map(rule.after.search, _before(node, grammar))))
    )


def _before(node: Node, grammar: Grammar) -> Iterator[str]:
    """Yield a call, and the statements of its function that run before it whenever it does."""
    yield text_of(node)
    holder: Node | None = node
    while holder is not None and holder.type not in grammar.functions:
        before = holder.prev_named_sibling
        while before is not None:
            if before.type == "expression_statement":
                yield text_of(before)
            before = before.prev_named_sibling
        holder = holder.parent


def _scope(node: Node, grammar: Grammar) -> str:
    """Return the function around a node and what runs before it in those around that, else the whole file."""
    parts: list[str] = []
    above: list[str] = []
    holder = node
    while holder.parent is not None:
        if holder.type in grammar.functions:
            parts += above if parts else [text_of(holder)]
            above = []
        before = holder.prev_named_sibling if parts else None
        while before is not None:
            if not any(inner.type in grammar.functions for inner in walk(before)):
                above.append(text_of(before))
            before = before.prev_named_sibling
        holder = holder.parent
    return "\n".join(parts or [text_of(holder)])


def _is_spared(node: Node, rule: Rule, given: str, grammar: Grammar) -> bool:
    """Tell whether something in the function around a call or an assignment makes it harmless."""
    if "{name}" not in rule.spared:
        return re.search(rule.spared, _scope(node, grammar)) is not None
    holder = node
    while holder.parent is not None and holder.type not in grammar.functions:
        holder = holder.parent
    data, start = holder.text or b"", node.start_byte - holder.start_byte
    begin = max(0, start - MAX_AROUND)
    before = data[begin:start].decode("utf-8", "replace")
    named = _ASSIGNED.search(before[-200:]) or _ALONE.match(given)
    name = named[named.lastindex or 1] if named else text_of(node)
    around = data[begin : node.end_byte - holder.start_byte + MAX_AROUND].decode("utf-8", "replace")
    within = around if named else before.rpartition("\n")[2] + name
    return re.search(rule.spared.replace("{name}", re.escape(name)), within) is not None


def memory(where: Where, root: Node) -> Iterator[Finding]:
    for weakness, node, why in memory_hits(root):
        yield _place(where, node, WEAKNESSES[weakness], None, CONFIDENCE, why)


def _slow(where: Where, node: Node, text: str) -> Iterator[Finding]:
    """Look at a regular expression: a literal of the language, or the first string of a call."""
    string = _FIRST_STRING.match(text)
    literal = re.match(r"/(.*)/\w*$", string[2] if string else text, re.DOTALL)
    pattern = literal[1] if literal else string[2] if string else ""
    if is_slow(pattern if literal else pattern.replace("\\\\", "\\")):
        yield _place(where, node, WEAKNESSES["slow-regex"], None, CONFIDENCE, "")


def _judged(where: Where, node: Node, rule: Rule, text: str, flow: Flow) -> Iterator[Finding]:
    weakness = rule.weakness.name
    is_flow = rule.needs != "always"
    counted = _leading(_first(text)) if rule.first else text
    level = flow.level(counted) if is_flow else 0
    if rule.needs == "remote" and level < REMOTE:
        return
    if weakness == "sql-injection" and is_flow and (sent := flow.query_level(counted)) is not None:
        severity: Severity | None = None if sent == REMOTE else "medium" if sent else "low"
        yield _place(where, node, rule.weakness, severity, 45, "The query was put together before.")
        return
    text = flow.bare(text) if rule.bare else flow.spelled(text)
    if not rule.takes(text):
        return
    severity, confidence, why = rule.severity, 60, rule.why
    if is_flow:
        if level and _is_harmless(weakness, level, text):
            return
        if level:
            severity = _reached(weakness, level) or severity
            if flow.is_made(text) or any(weakness == name and less(flow, text) for name, less in _LESS):
                severity = "low"
            confidence, why = 65, why or "Outside input arrives here."
        elif rule.needs == "varies" and flow.varies(counted) and not flow.grammar.clean.search(counted):
            is_built = weakness == "sql-injection" and SQL.search(text) is not None
            severity, confidence = "low", 45 if is_built else 30  # a parameter: its callers may be sound
            why = why or "What arrives here varies."
        else:
            return
    yield _place(where, node, rule.weakness, severity, confidence, why)


def _asked(root: Node, line: int) -> Iterator[str]:
    """Yield what decides whether a line runs: conditions, cases, and names that say what they are for."""
    for holder in _around(root, line):
        if holder.type.startswith(("if", "unless", "conditional", "ternary")):
            yield text_of(holder.child_by_field_name("condition"))
        elif "case" in holder.type or holder.type in {"match_arm", "when"}:
            yield text_of(holder.child_by_field_name("pattern") or holder.child_by_field_name("value"))
        elif INSECURE.search(name := _name(holder)):
            yield name


_BEGINS: Final = re.compile(
    r"\(?\s*(?:\w+\s*,\s*){0,2}(?:`\$\{(?P<inside>[^{}]{1,80})\}|(?P<before>[\w.]{1,80}(?:\([^()]{0,80}\))?)\s*\+\s*"
    r"|format!\(\s*\"\{\}[^\"]*\"\s*,\s*(?P<first>[\w.:]{1,80}(?:\([^()]{0,80}\))?))(?P<page>[\"'`]?[/?])?"
)


def _is_behind(flow: Flow, text: str, *, is_page: bool = False) -> bool:
    """Tell whether input only follows what it has no part in, or the address that was asked for."""
    begins = _BEGINS.match(text) if is_page or "://" not in text else None
    if begins is None or (is_page and not begins["page"]):
        return not is_page and flow.is_own(text)
    return flow.is_own(begins["inside"] or begins["before"] or begins["first"])


_LESS: Final[tuple[tuple[str, Callable[[Flow, str], bool]], ...]] = (
    ("open-redirect", _is_behind),
    ("ssrf", functools.partial(_is_behind, is_page=True)),
)
"""Weakness -> when input does less harm there, beside what came through functions that may check it."""
_CONTEXT: Final = re.compile(r"^\(\s{0,99}(?:ctx|context\.\w{1,40}\(\)|\w{1,40}\.Context\(\))\s{0,99},")


_LEADS: Final = re.compile(
    r"\b(?:url|uri|host|hostname|baseURL|href|origin)\b\s{0,9}(?::\s{0,9}([^,}]{0,300}))?(?=[,}])"
)


def _leading(first: str) -> str:
    """Return of an object what says where a request goes; any other argument as it is."""
    if not re.match(r"\(\s*\{", first):
        return first
    return "(" + ", ".join(found[1] or found[0] for found in _LEADS.finditer(first[:2_000] + "}"))


def _first(arguments: str) -> str:
    """Return the first of a call's arguments (after Go's context), commas inside brackets left alone."""
    arguments = _CONTEXT.sub("(", arguments)
    depth, quote_mark = int(not arguments.startswith("(")), ""  # Ruby's may have none
    for at, sign in enumerate(arguments[:2_000]):
        if quote_mark:
            quote_mark = "" if sign == quote_mark else quote_mark
        elif sign in "\"'`":
            quote_mark = sign
        elif sign in "([{":
            depth += 1
        elif sign in ")]}":
            depth -= 1
        elif sign == "," and depth == 1:
            return arguments[:at]
    return arguments


_FIXED_START: dict[str, re.Pattern[str]] = {
    "ssrf": re.compile(
        r"""^\(\s*([\w.]+\s*,\s*)?((new\s+)?[\w.]+\(\s*)?[$@]?["'`](https?://\w[\w.-]*(:(\d+|\$?\{[^{}]*\}|%[dsv]))?([/?]|["'`]\s*[,)])|/?[\w-][\w.-]*/)"""
    ),
    "open-redirect": re.compile(
        r"""^\(?\s*(\w+\s*,\s*){0,2}[$@]?["'`](/(?![/\\"'`$#{%])|https?://\w[\w.-]*(:\d+)?[/?#])"""
    ),
}
"""The site is constant: what follows chooses a page of it."""
_STARTED: Final = frozenset(
    """command-injection code-injection sql-injection path-traversal ssrf log-injection open-redirect
    regex-injection xss unsafe-reflection""".split()  # noqa: SIM905 - words read better as text
)
"""The user who starts a program may name its files and programs: reported, but as less."""

_OWN_OUTPUT: frozenset[str] = frozenset({"log-injection", "xss", "open-redirect", "header-injection"})
"""What a program prints for the one who started it is no one else's."""


def _is_harmless(weakness: str, level: int, text: str) -> bool:
    """Tell whether input can do no harm there: the site is constant, or the reader is who wrote it."""
    fixed = _FIXED_START.get(weakness)
    return (fixed is not None and fixed.search(text) is not None) or (
        level < REMOTE and weakness in _OWN_OUTPUT
    )


def _reached(weakness: str, level: int) -> Severity | None:
    """Return how severe it is that input arrives, None for the weakness's own severity."""
    return "low" if level == PARAM or (level < REMOTE and weakness in _STARTED) else None


def _place(  # noqa: PLR0917 the order of Finding itself
    where: Where, node: Node, weakness: Weakness, severity: Severity | None, confidence: int, why: str
) -> Finding:
    return found(where, place_of(node), weakness, confidence, why=why, severity=severity)


def place_of(node: Node, more: int = 4) -> tuple[int, int]:
    """Return a node's first line and its last, or as many `more` of them as are quoted."""
    first = node.start_point[0] + 1
    return first, min(node.end_point[0] + 1, first + more)


def uncommented(data: bytes, root: Node, language: str) -> list[str]:
    return _blanked(data, QueryCursor(_query(language)).captures(root).get("n", []), grammar_of(language))


def _blanked(data: bytes, nodes: Iterable[Node], grammar: Grammar) -> list[str]:
    blank = bytearray(data)
    for node in nodes:
        if node.type in grammar.comments:
            part = data[node.start_byte : node.end_byte]
            blank[node.start_byte : node.end_byte] = re.sub(rb"[^\n]", b" ", part)
    return blank.decode("utf-8", "replace").split("\n")


def _call(node: Node, grammar: Grammar) -> tuple[str, str]:
    *fields, argument_field = grammar.calls[node.type]
    parts = [text_of(node.child_by_field_name(name)) for name in fields]
    name = ".".join(part for part in parts if part) or node.type
    if node.type == "composite_literal":
        name += "{}"
    if argument_field != WHOLE:
        return name, text_of(node.child_by_field_name(argument_field))
    whole = text_of(node)
    return (name, whole.removeprefix(name)) if fields else (node.type, whole)


_HEREDOC: Final = re.compile(r"<<[~-](['\"]?)(\w{1,40})\1")


def _written_below(text: str, lines: Sequence[str], node: Node) -> str:
    """Return an expression with Ruby's here-document in its place, as a string."""
    opened = _HEREDOC.search(text)
    if opened is None:
        return text
    start = node.end_point[0] + 1
    ends = (at for at in range(start, min(len(lines), start + 200)) if lines[at].strip() == opened[2])
    body = "\n".join(lines[start : next(ends, start)]).replace('"', "'")
    return text.replace(opened[0], '"' + body.replace("\n", " ") + '"')


_ADDS: Final = re.compile(r"\s*(\+|\.|\|\||\?\?|<<)=")


def _sides(node: Node, grammar: Grammar) -> tuple[str, str, str]:
    """Return what is assigned to, what is, and the sign where what was there stays: `+` of `a += b`."""
    left_field, *right_field = grammar.assigns[node.type]
    left, rest = (text_of(node.child_by_field_name(left_field)), text_of(node))
    sign = _ADDS.match(rest, rest.find(left) + len(left))
    right = text_of(node.child_by_field_name(right_field[0])) if right_field else ""
    return left, right if right_field else rest.removeprefix(left).lstrip(" ="), sign[1] if sign else ""


@functools.cache
def _query(language: str) -> Query:
    grammar = grammar_of(language)
    types = [*grammar.calls, *grammar.assigns, *grammar.functions, *grammar.comments, *grammar.regexes]
    types += grammar.conditions
    return Query(parser_of(language)[0], "[" + " ".join(f"({name})" for name in types) + "] @n")


# --- plain --------------------------------------------------------------------------------------------------
# Review files that are no programs, line by line: container recipes, workflows, settings, templates.

PLAIN_CONFIDENCE: Final = 50

_SUFFIXES: Final = {
    "yaml": "yml yaml",
    "terraform": "tf",
    "dockerfile": "dockerfile",
    "settings": "properties ini cfg conf config cnf xml htaccess toml",
    "markup": "html htm xhtml jinja jinja2 j2 erb ejs hbs mustache handlebars vue svelte jsp jspx cshtml "
    "twig tmpl gohtml ftl tpl",
}
_BY_SUFFIX: Final = {suffix: form for form, some in _SUFFIXES.items() for suffix in some.split()}
_BY_NAME: Final = re.compile(
    r"(?i)^(?P<dockerfile>(docker|container)file(\..+)?)$|^(?P<settings>sshd_config|nginx\.conf)$"
)
FORMS: Final = {
    "yaml": re.compile(r"^\s*#"),
    "dockerfile": re.compile(r"^\s*#"),
    "settings": re.compile(r"^\s*([#;]|<!--)"),
    "terraform": re.compile(r"^\s*(#|//)"),
    "markup": re.compile(r"^\s*(<!--|\{#)"),
}
"""Forms of files that are no programs, and what begins a comment in each."""


def format_of(path: str) -> str | None:
    name = PurePosixPath(path).name
    named = _BY_NAME.match(name)
    return named.lastgroup if named else _BY_SUFFIX.get(name.rpartition(".")[2].lower())


def review_own(path: str, text: str, kind: str, rules: Sequence[Rule]) -> list[Finding]:
    """Return what the user's own rules for a language or a form of file find."""
    names = {rule.weakness.name for rule in rules}
    if kind in FORMS:
        found: Iterable[Finding] = review_plain(path, text, kind, rules)
    else:
        found = review_patterns(path, text, kind, rules).findings
    return [finding for finding in found if finding.rule in names]


def review_plain(path: str, text: str, form: str, own: Sequence[Rule] = ()) -> Iterator[Finding]:
    lines = text.split("\n")
    kept = [(number, line) for number, line in enumerate(lines, 1) if not FORMS[form].match(line)]
    rules = [rule for rule in own or rules_of(form) if rule.reads(text)]
    by_line = [rule for rule in rules if rule.kind == "line"]
    yield from line_findings((path, lines), kept, by_line, PLAIN_CONFIDENCE)
    if form == "terraform":
        known = [rule for rule in rules if rule.kind == "block"]
        yield from _block_findings((path, lines), known)


_RESOURCE: Final = re.compile(r'^(?:resource|data)\s+"(?P<type>\w+)"')


def _block_findings(where: Where, rules: Sequence[Rule]) -> Iterator[Finding]:
    """Look at each top-level block of a Terraform file, as `terraform fmt` lays it out."""
    start, kind = 0, ""
    lines = where[1]
    for number, line in enumerate(lines, 1):
        if (opened := _RESOURCE.match(line)) is not None:
            start, kind = number, opened["type"]
        if not kind or not line.rstrip().endswith("}") or line[:1].isspace():
            continue
        inside = ("" if FORMS["terraform"].match(one) else one for one in lines[start - 1 : number])
        body = "\n".join(inside)
        for rule in rules:
            places = _block_places(rule, body) if rule.pattern.search(kind) else ()
            for at in sorted({start + body.count("\n", 0, place) for place in places}):
                why = rule.why or (f"{kind} lacks the setting." if rule.missing else "")
                place, severity = (at, at), rule.severity
                yield found(where, place, rule.weakness, PLAIN_CONFIDENCE, why=why, severity=severity)
        kind = ""


_SETTING: Final = re.compile(r"(?<![a-z])[a-z]+(?:_[a-z]+)+")


def _block_places(rule: Rule, body: str) -> list[int]:
    if rule.unless and rule.unless.search(body):
        return []
    if rule.missing is None:
        hits = rule.match.finditer(body) if rule.match else ()
        return [hit.start() + len(hit[0]) - len(hit[0].lstrip()) for hit in hits]
    if rule.missing.search(body):
        return []
    setting = _SETTING.search(rule.missing.pattern)  # there, and switched off: that line is the place
    switched = re.search(rf"(?m)^[ \t]*{setting[0]}\s*=", body) if setting else None
    return [switched.start() if switched else 0]


# --- Hard-coded secrets, by the recogniser that scrubs them from whatever leaves. -----------------

RULE: Final = "hardcoded-secret"
SHAPED: Final = 85
"""Confidence in what has the shape of a provider's key."""
DOUBTFUL: Final = frozenset({"value", "url-password", "header"})
"""Marks of what is a secret by the words around it alone."""
_MARK: Final = re.compile(r"<redacted:([\w-]+)>")
_PLACEHOLDER: Final = re.compile(
    r"\[{0,9}((my|your|the|some|user|db|test|example|dummy)[-_]?)?(pass(w(or)?d|wd|phrase)?|pwd|secret|token|key)"
    r"[-_]?(here|\d)?\]{0,9}|(?P<sign>\w)(?P=sign)+|(\*+|\.+|changeme|bar|tiger|hunter\d{0,4})(@.*)?"
    r"|Eby8vdM02xNOcqF[\w+/=;]*|C2y6yDjf5/R\+ob0N[\w+/=;]*",
    re.IGNORECASE,
)
"""What documents write where a password would stand, and the keys that all of Azure's emulators have."""
_WORD: Final = "(?:[A-Z]?[a-z]{2,20}+|[A-Z]{2,20}+|(?:[^\\x00-\\x7f]|\\\\u[0-9a-f]{4}){1,20}+)"
_WORDS: Final = re.compile(rf"{_WORD}(?:[-_.:/# ]?+{_WORD}){{0,9}}+")
"""A name, or words: what a secret is called more often than what one is."""
_NO_VALUE: Final = re.compile(
    r"(?:application|audio|font|image|message|model|multipart|text|video)/[\w.+-]+\Z|/[\w%./=-]+/@?\w+\Z"
    r"|(?:[a-z\d-]{1,40}\.){1,4}[a-z]{2,10}/[\w./:-]+\Z|\d{1,3}\Z|[~^v]?\d+\.\d[\w.-]*\Z"
)
"""Media types, the paths of settings, limits and versions."""

_NOT_A_PROVIDER: Final = DOUBTFUL | {"pem", "jwt", "password-hash"}
"""What tests and documents hold by the dozen, made for them."""
_MADE_UP: Final = re.compile(
    r"(?i)example|sample|dummy|fake|test|mock|x{4}|abcd|1234|0{4}|(.)\1{3}|your|placeholder|redacted|foobar"
)
_SPELLED: Final = re.compile(r"(?:\W*(?:[A-Z]?[a-z]{1,15}|[A-Z]{1,15})\d{0,2}\b)+\W*")
"""Words, numbered perhaps, where a key would have drawn letters: `services/random1/random2/token`."""
_SIGNS: Final = re.compile(r"[\W_]")
MIN_ENTROPY: Final = 3.3
"""Bits a character: keys of providers are random, those that people type are not."""


class _Redacted(NamedTuple):
    """A line of which something was redacted: what, as which mark, and what stands before it."""

    number: int
    mark: str
    before: str
    taken: str


def _redacted(path: str, text: str) -> Iterator[_Redacted]:
    clean, count = redact(text, path)
    pairs = zip(text.split("\n"), clean.split("\n"), strict=False) if count else ()
    for number, (line, scrubbed) in enumerate(pairs, 1):
        mark = _MARK.search(scrubbed) if line != scrubbed else None
        if mark is not None:
            before, rest = line[: mark.start()], line[mark.start() :]
            yield _Redacted(number, mark[1], before, rest.removesuffix(scrubbed[mark.end() :]))


def _secret(where: Where, number: int, why: str, severity: Severity, confidence: int) -> Finding:
    weakness, place = WEAKNESSES[RULE], (number, number)
    return found(where, place, weakness, confidence, why=why, severity=severity, reviewer="secrets")


def review_keys(path: str, text: str) -> Iterator[Finding]:
    """Yield the providers' keys that a file holds and that look issued: random, not typed for a test."""
    where = (path, text.split("\n"))
    for number, mark, _, key in _redacted(path, text):
        if mark in _NOT_A_PROVIDER or _MADE_UP.search(key) or _SPELLED.fullmatch(key):
            continue
        if _entropy(key) >= MIN_ENTROPY and _is_whole(key):
            why = f"It has the form of a key of {mark}, and looks issued."
            yield _secret(where, number, why, "high", SHAPED)


_CHECKED: Final = re.compile(
    r"(?:gh[pousr]|npm)_(?P<drawn>[A-Za-z0-9]{30})(?P<sum>[A-Za-z0-9]{6})(?![A-Za-z0-9])"
)
_BASE62: Final = string.digits + string.ascii_uppercase + string.ascii_lowercase


def _is_whole(key: str) -> bool:
    """Tell whether a key's checksum is right, where its provider's keys end in one (GitHub, npm)."""
    parts = _CHECKED.match(key)
    if parts is None:
        return True
    number, digits = zlib.crc32(parts["drawn"].encode()), ""
    while number:
        number, rest = divmod(number, 62)
        digits = _BASE62[rest] + digits
    return digits.rjust(6, "0") == parts["sum"]


def _entropy(text: str) -> float:
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values()) if text else 0.0


_PROGRAM: Final = re.compile(
    r"\.(?:kts?|swift|scala|dart|lua|exs?|hs|zig|sol|groovy|mm?|pl|r|jl|vb|fs|cljs?|erl)$", re.IGNORECASE
)
"""Programs in languages that no rules are for."""
_THROWAWAY: Final = re.compile(
    r"(?:^|/)(?:(?:GNU)?[mM]akefile|justfile|(?:docker-)?compose[\w.-]*\.ya?ml|\.(?:devcontainer|vs|vscode|idea)/.+|\.?appveyor\.ya?ml|\.travis\.yml|\.gitlab-ci\.yml|azure-pipelines[\w.-]*\.ya?ml|tox\.ini"
    r"|\.(?:github/workflows|circleci|buildkite)/.+|[^/]+\.(?:sublime-\w+|tmLanguage))$"
)
"""Runs of continuous integration, and a developer's own: what they start is gone when they end."""
_COMMENTED: Final = re.compile(r"\s*(?:#|//|/?\*|<!--|--|;)")
_GIVEN: Final = re.compile(
    r"""([\w.\-]{1,100})["'\])]{0,3}\s{0,9}(?::\s{0,9}&?[\w.<>\[\]]{1,40}\s{0,9}=|=>|:=|[:=,])\s{0,9}[bBfru@$]{0,2}["'`]$"""
)
"""A name and the string that it is given, at the end of a text."""

_NAME_OF_ONE: Final = re.compile(
    r"(?:[a-z]\w{0,20}[-_]){0,4}(?:[a-z]{1,20}(?=[A-Z]))?(?i:password|passwd|pwd|secret|token|key)"
    r"(?:[-_][a-z]\w{0,20}){0,4}[0-9]?(?:[\"']|\Z)"
)


def _is_encoded_sample(value: str) -> bool:
    """Tell base64 of words that say that they are a sample."""
    try:
        return _MADE_UP.search(base64.b64decode(value, validate=True).decode("ascii")) is not None
    except ValueError:
        return False


_PUBLIC: Final = re.compile(r"\bindexName\b|\bauthDomain\b")
"""What is set beside keys that pages show to everyone: of a search, of an application's own database."""
_SHOWN_KEY: Final = re.compile(r"(?<![\w-])api_?key[\"']?\s{0,9}[:=]\s{0,9}\{?[\"'`]?$", re.IGNORECASE)
"""The name of such a key, up to its value: any other secret beside it is one."""
_IS_BUILT: Final = re.compile(r"[$#{]\{|\$[A-Z][A-Z0-9_]{3}")
_SETS: Final = re.compile(r"[\w\"'\]]\s{0,9}[:=>]\s{0,9}[\"']?$")

_CONNECTS: Final = re.compile(
    r"(?i)\b(?:server|host|data source|user id|uid|user)=[^;\"']{1,80};.{0,200}\b(?:password|pwd)=$"
)
"""A connection string up to its password."""


def _is_given(mark: str, before: str, lines: Sequence[str]) -> bool:
    """Tell whether what was redacted in a program is a secret of its code, not words of a text."""
    if mark == "pem":
        return re.search(r"[A-Za-z0-9+/]{40}", " ".join(lines)) is not None
    if mark != "value":
        return True
    if _CONNECTS.search(before) and not _COMMENTED.match(before):
        return True
    given = _GIVEN.search(before)
    return _COMMENTED.match(before) is None and given is not None and kind_of(given[1]) is not None


def _is_shown(before: str, around: Sequence[str]) -> bool:
    """Tell whether a value is a key that pages show to everyone."""
    return _SHOWN_KEY.search(before) is not None and _PUBLIC.search("\n".join(around)) is not None


def _of_a_service(after: str) -> bool:
    """Tell whether a password in an address is of a host among containers, or a word of one's own machine."""
    place = re.match(r"([^@\s]{1,80})@(?:(localhost)|[\w-]{1,80})(?=[:/\"'\s]|$)", after)
    is_drawn = place is not None and (is_random(place[1]) or is_striking(place[1]))
    return place is not None and not (place[2] and is_drawn)


def _lines_of_text(path: str, text: str) -> frozenset[int]:
    """Return the lines that begin inside a string of a program: what they hold is words, not code."""
    language = language_of(path)
    if language is None or language == "python":
        return frozenset()
    root = parser_of(language)[1].parse(text.encode("utf-8", "replace")).root_node
    lines: set[int] = set()
    stack = [root]
    while stack:
        node = stack.pop()
        if node.end_point[0] == node.start_point[0]:
            continue
        if "string" in node.type or "heredoc" in node.type or node.type == "text":
            lines.update(range(node.start_point[0] + 2, node.end_point[0] + 2))
        else:
            stack += node.children
    return frozenset(lines)


def _is_sample(key: str, around: Sequence[str]) -> bool:
    """Tell whether a key is beside the pattern that is to find such keys."""
    return any(key[:2] in line and "]{" in line for line in around)


def review_secrets(path: str, text: str, known: Container[int]) -> Iterator[Finding]:
    """Yield a finding for each line with a secret that is not `known`, however the file is written."""
    where = (path, text.split("\n"))
    is_program = language_of(path) is not None or _PROGRAM.search(path) is not None
    is_throwaway = _THROWAWAY.search(path) is not None
    within: frozenset[int] | None = None
    reported: set[tuple[str, bool]] = set()
    for number, mark, before, taken in _redacted(path, text):
        is_doubtful, is_value = mark in DOUBTFUL, mark == "value"
        line = where[1][number - 1]
        # A shape identifies a provider's key; a word beside a value says less, and no more than a rule did.
        if is_doubtful and (number in known or HOLDS_NO_SECRET.search(taken)):
            continue
        following = where[1][number - 1 : number + 3]
        if (is_program or mark == "pem") and not _is_given(mark, before, following):
            continue
        if path.endswith((".json", ".txt", ".csv")) and is_value and before.strip() in {"", '"'}:
            continue  # an element of a list: the line above is another
        if is_value and re.match(r"\s{0,9}[=:]\s", line[len(before) + len(taken) :]):
            continue  # it is a name itself, below one that has no value
        if is_value and (_NO_VALUE.match(taken) or (is_program and re.match(r"\s{0,9}[,)]", taken))):
            continue  # the string before it ends here, or is no secret
        if (
            is_program
            and is_value
            and before.rstrip("\"' ").endswith((",", "(", "["))
            and _NAME_OF_ONE.match(taken)
        ):
            continue  # one of several names
        if is_program and is_value:
            within = _lines_of_text(path, text) if within is None else within
            if number in within or _IS_BUILT.search(taken):
                continue
        if not is_program and is_value and re.search(r"<%[^%\"']*$|:key=\"[^\"]*$", before):
            continue  # code in a template
        if is_value and re.search(r"(?<!\$)\{\w{1,40}\}", taken):
            continue  # a text that takes the secret in
        if not is_program and is_value and _COMMENTED.match(line) and not _SETS.search(before):
            continue
        is_placeholder = (
            (is_program and mark in _NOT_A_PROVIDER and _COMMENTED.match(line) is not None)
            or _PLACEHOLDER.fullmatch(taken) is not None
            or (is_value and is_word("password", taken))
            or (is_throwaway and is_doubtful)
            or mark == "password-hash"
            or (is_value and _is_encoded_sample(taken))
            or (_NAME_OF_ONE.match(taken) and _SIGNS.sub("", taken).lower() in _SIGNS.sub("", before).lower())
            or (not is_doubtful and _SPELLED.fullmatch(taken) is not None)
            or (not is_doubtful and _is_sample(taken, where[1][max(0, number - 8) : number]))
            or re.search(r"\$(?:2[aby]|argon2\w{1,2}|[156])\$", taken) is not None
            or (is_doubtful and _WORDS.fullmatch(taken.rstrip("?!.#'")) is not None)
            or (mark == "url-password" and _of_a_service(line[len(before) :]))
            or (is_value and _is_shown(before, where[1][max(0, number - 5) : number + 4]))
        )
        is_shown = is_value and not is_program
        if mark != "pem" and (taken, is_placeholder) in reported:
            continue
        reported.add((taken, is_placeholder))
        severity: Severity = "low" if is_placeholder else "medium" if is_shown else "high"
        why = f"It is scrubbed from whatever leaves, as {mark}."
        yield _secret(where, number, why, severity, 55 if is_doubtful else SHAPED)
