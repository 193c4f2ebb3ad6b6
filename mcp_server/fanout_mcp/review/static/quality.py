"""Bugs and slow code in the languages other than Python, and in all of them what makes code hard to change.

A rule (quality.toml) has `name`, `languages`, `focus`, `title`, `fix`, perhaps `severity`, and is one of
    line = regex of a line without its comments
    node = kinds of node, with `match` on the node's text and `inside` = "loop" | "function" | "same"
and may have `unless` (a regex of the same text), `head` (one of the head of the function around it), `file`
(one that the file must match) and `without` (one that it must not).
What one place alone does not show is read by functions below: promises and errors that no one waits for or
looks at, files left open, formats whose arguments don't fit. Style is a linter's job.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Container, Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from hashlib import blake2b
from itertools import pairwise
from pathlib import PurePosixPath
from typing import Final

from tree_sitter import Node

from fanout_mcp.review.finding import Finding, Focus, Severity
from fanout_mcp.review.static import patterns
from fanout_mcp.review.static.grammars import GRAMMARS, parser_of, walk
from fanout_mcp.review.static.python.security import parse_python
from fanout_mcp.review.static.rules import Read, Rule, Weakness, Where, found, line_findings, quality_rules
from fanout_mcp.structure.languages import text_of

LOOPS: Final = frozenset(
    """for_statement for_in_statement while_statement do_statement enhanced_for_statement foreach_statement
    for_each_statement for_expression while_expression loop_expression for while until
    for_range_loop""".split()  # noqa: SIM905 - read as a sentence
)
_MAX_TEXT: Final = 4_000
"""Characters of a node that a rule looks at."""


def review_quality(path: str, text: str, language: str, focus: Focus) -> Read:
    rules = [rule for rule in quality_rules_of(language, focus) if rule.reads(text)]
    data = text.encode("utf-8", "replace")
    root = parser_of(language)[1].parse(data).root_node
    where = (path, text.split("\n"))
    bare = list(enumerate(patterns.uncommented(data, root, language), 1))
    results = [
        *line_findings(where, bare, (rule for rule in rules if rule.kind == "line"), patterns.CONFIDENCE)
    ]
    results += _by_node(where, root, language, rules)
    not_read = patterns.unread(root)
    if focus == "bugs" and language in {"c", "cpp"} and not not_read:
        results += patterns.memory(where, root)
    if focus == "bugs":
        results += _relations(where, root, language)
    return Read([_as_meant(one, where[1], bare) for one in results], not_read)


_MEANT: Final = re.compile(
    r"(?i)\b(?:ignor(?:e|ing|ed)|best.effort|intentional\w*|on purpose|deliberate\w*|by design|harmless"
    r"|optional\w*|safe to|don't care|does(?: not|n't) matter|not fatal|non-?fatal|fall ?back|expected)\b"
)


def _as_meant(one: Finding, lines: Sequence[str], bare: Sequence[tuple[int, str]]) -> Finding:
    """Return a finding as minor where a comment in it or up to four lines above says that this is meant."""
    around = range(max(0, one.line - 5), one.end_line)
    words = " ".join(lines[at] for at in around if len(lines[at].strip()) > len(bare[at][1].strip()))
    return replace(one, severity="low") if _MEANT.search(words) else one


def _by_node(where: Where, root: Node, language: str, rules: list[Rule]) -> Iterator[Finding]:
    by_kind: dict[str, list[Rule]] = {}
    for rule in rules:
        for kind in rule.nodes:
            by_kind.setdefault(kind, []).append(rule)
    if not by_kind:
        return
    functions = frozenset(GRAMMARS[language].functions)
    stack: list[tuple[Node, frozenset[str], str]] = [(root, frozenset(), "")]
    while stack:
        node, around, head = stack.pop()
        kind = node.type if node.is_named else ""
        for rule in by_kind.get(kind, ()):
            text = (node.text or b"")[:_MAX_TEXT].decode("utf-8", "replace")
            wanted = kind if rule.inside == "same" else rule.inside
            is_there = (not wanted or wanted in around) and (not rule.head or rule.head.search(head))
            is_caught = rule.weakness.name in _ASYNC and _awaits_safely(node)
            if is_there and rule.takes(text) and not (is_caught or (wanted == "loop" and _runs_once(node))):
                yield _found(where, node, rule.weakness)
        if kind in functions:
            around, head = frozenset({"function"}), _head(node)
        elif kind in LOOPS:
            around |= {"loop"}
        elif kind in by_kind:
            around |= {kind}
        stack += [(child, around, head) for child in node.children]


_LEAVING: Final = frozenset({"break_statement", "return_statement", "throw_statement"})


def _runs_once(node: Node) -> bool:
    """Tell whether the loop around a statement is left behind it, in its block or one further out."""
    holder = node.parent
    while holder is not None and holder.type not in LOOPS:
        inside = [child for child in holder.named_children if child.type != "comment"]
        if inside and inside[-1].type in _LEAVING:
            return True
        holder = holder.parent
    return False


_ASYNC: Final = frozenset({"async-void", "async-promise"})


def _awaits_safely(node: Node) -> bool:
    """Tell whether a function waits for nothing outside of a `try` that catches."""
    has_try, stack = False, list(node.children)
    while stack:
        one = stack.pop()
        if one.type == "await_expression":
            return False
        if one.type == "try_statement" and any(child.type == "catch_clause" for child in one.children):
            has_try = True
        else:
            stack += one.children
    return has_try


def _found(where: Where, node: Node, weakness: Weakness, severity: Severity | None = None) -> Finding:
    return found(where, patterns.place_of(node, 2), weakness, patterns.CONFIDENCE, severity=severity)


@functools.cache
def quality_rules_of(language: str, focus: str) -> tuple[Rule, ...]:
    return tuple(rule for rule in quality_rules() if language in rule.languages and rule.focus == focus)


# --- What one place alone does not show. --------------------------------------------------------------------


def _defect(name: str, title: str, fix: str) -> Weakness:
    return Weakness(name, 0, "medium", title, fix)


_FLOATING = _defect("floating-promise", "No one waits for this promise, nor hears of its error", "await it.")
_ALWAYS_TRUE = _defect("missing-await", "A promise is always true", "await it.")
_FLOATING_TASK = _defect("floating-task", "No one waits for this task, nor hears of its error", "await it.")
_LOST_ERROR = _defect("lost-error", "An error is overwritten before anyone looks at it", "Check err first.")
_UNSEEN_ERROR = _defect(
    "lost-error", "A callback never looks at the error that it is given", "Check it first."
)
_UNCLOSED = _defect("unclosed-file", "It is never closed", "defer Close() once the error is checked.")
_FORMAT = _defect("format-arguments", "The format and its arguments don't fit", "Give one for each verb.")
DEFECTS: Final = (_FLOATING, _ALWAYS_TRUE, _FLOATING_TASK, _LOST_ERROR, _UNCLOSED, _FORMAT)
"""What the functions below find, one a name."""


def _relations(where: Where, root: Node, language: str) -> Iterator[Finding]:
    readers = {
        **dict.fromkeys(("javascript", "typescript", "tsx"), (_promises, _callbacks)),
        "go": (_errors, _unclosed, _formats),
        "csharp": (_tasks, _formats),
        **dict.fromkeys(("c", "cpp", "php", "java"), (_formats,)),
    }
    for reader in readers.get(language, ()):
        for node, defect, severity in reader(root):
            yield _found(where, node, defect, severity)


Defects = Iterator[tuple[Node, Weakness, Severity]]


def _head(function: Node) -> str:
    body = function.child_by_field_name("body")
    whole = text_of(function)
    return whole[: len(whole) - len(text_of(body))] if body is not None else whole


_JS_FUNCTIONS: Final = frozenset(
    {"function_declaration", "function_expression", "arrow_function", "method_definition"}
)


def _around(node: Node, kinds: Container[str]) -> Node | None:
    """Return the nearest node of these kinds that holds another."""
    holder = node.parent
    while holder is not None and holder.type not in kinds:
        holder = holder.parent
    return holder


def _is_async(function: Node) -> bool:
    return any(child.type == "async" for child in function.children)


def _promises(root: Node) -> Defects:
    """Find calls of the file's own async functions that nothing waits for, or that decide a condition."""
    nodes = list(walk(root))
    kinds: dict[str, set[bool]] = {}
    guarded: set[str] = set()
    for node in nodes:
        function = node.child_by_field_name("value") if node.type == "variable_declarator" else node
        if function is None or function.type not in _JS_FUNCTIONS:
            continue
        name = text_of(node.child_by_field_name("name"))
        if name and node.type != "arrow_function":
            name = f"this.{name}" if node.type == "method_definition" else name
            kinds.setdefault(name, set()).add(_is_async(function))
            if _is_async(function) and _catches(function):
                guarded.add(name)
    waits = {name for name, found in kinds.items() if found == {True}} - guarded
    for node in nodes:
        if node.type == "expression_statement" and node.named_children:
            call = node.named_children[0]
            outer = _around(node, _JS_FUNCTIONS)
            if outer is not None and _called(call) in waits:
                ends = node.next_named_sibling is None and node.parent != outer.child_by_field_name("body")
                yield node, _FLOATING, "medium" if _is_async(outer) and not ends else "low"
        elif node.type in {"if_statement", "while_statement"}:
            test = node.child_by_field_name("condition")
            inner = test.named_children[0] if test is not None and test.named_children else None
            while inner is not None and inner.type == "unary_expression":
                inner = inner.child_by_field_name("argument")
            if inner is not None and _called(inner) in waits | guarded:
                yield inner, _ALWAYS_TRUE, "medium"


_CALLBACK: Final = re.compile(
    r"^(?:async\s{1,9})?(?:function\s{0,9}\w{0,60}\s{0,9})?\(?\s{0,9}(?P<name>err|error)\b\s{0,9}[,)=:]"
)
_LISTENS: Final = re.compile(
    r"(?:^|\.)(?:on|once|on[A-Z]\w{0,60}|use|catch|then|addListener|addEventListener|subscribe|map|forEach|\w{0,60}[eE]rror\w{0,60})$"
)


def _callbacks(root: Node) -> Defects:
    """Find callbacks of Node's form, the error first, that go on and never look at it."""
    for node in walk(root):
        given = node.child_by_field_name("arguments") if node.type == "call_expression" else None
        last = given.named_children[-1] if given is not None and given.named_children else None
        if last is None or last.type not in _JS_FUNCTIONS or _LISTENS.search(_called(node)):
            continue
        named = _CALLBACK.match(text_of(last))
        body = text_of(last.child_by_field_name("body"))
        if named and re.search(r"\w", body) and not re.search(rf"\b{named['name']}\b|\barguments\b", body):
            yield last, _UNSEEN_ERROR, "medium"


def _called(node: Node) -> str:
    return text_of(node.child_by_field_name("function")) if node.type == "call_expression" else ""


def _catches(function: Node) -> bool:
    """Tell whether a function looks at errors of its own, so that no one else may need to."""
    return re.search(r"\bcatch\b", text_of(function.child_by_field_name("body"))) is not None


def _tasks(root: Node) -> Defects:
    for node in walk(root):
        if node.type != "expression_statement" or not node.named_children:
            continue
        call = node.named_children[0]
        name = text_of(call.child_by_field_name("function")) if call.type == "invocation_expression" else ""
        method = _around(node, {"method_declaration", "local_function_statement", "lambda_expression"})
        is_task = name.endswith("Async") and not re.search(r"(?i)\blog\w*\??\.", name)
        if is_task and method is not None and re.search(r"\basync\b", _head(method)):
            yield node, _FLOATING_TASK, "medium"


_GO_ASSIGNS: Final = frozenset({"short_var_declaration", "assignment_statement"})


def _errors(root: Node) -> Defects:
    """Find errors that the next statement overwrites."""
    for node in walk(root):
        if node.type not in {"block", "statement_list"}:
            continue
        inside = [child for child in node.named_children if child.type != "comment"]
        for one, following in pairwise(inside):
            if one.type in _GO_ASSIGNS and following.type in _GO_ASSIGNS:
                sides = [text_of(each.child_by_field_name("left")) for each in (one, following)]
                right = text_of(following).partition("=")[2]
                is_read = re.search(r"\berr\b", right) or re.search(r"\berr\s*[-+|&]=", text_of(following))
                if all(re.search(r"\berr$", side) for side in sides) and not is_read:
                    yield one, _LOST_ERROR, "medium"


_OPENS: Final = re.compile(
    r"^(?:(os\.(?:Open|Create|OpenFile))|(?:http\.(?:Get|Post|Head|PostForm)|\w*[cC]lient\.Do))\("
)

_READERS: Final = r"\b(?:io\.ReadAll|ioutil\.ReadAll|json\.NewDecoder|xml\.NewDecoder|bufio\.New\w+)"
"""They read what they are given, and leave it open."""
_HANDS_ON: Final = (
    r"\breturn\b[^\n]*\b{0}\b(?!\.)|[:=]\s*&?{0}\b(?!\.)|\([^()\n]*\b{0}\b(?!\.)[^()\n]*\)"
    r"|\b{0}\s*<-|<-\s*{0}\b|,\s*{0}\b(?!\.)"
)
"""Where a name is returned, stored, sent or given to another function."""


def _unclosed(root: Node) -> Defects:
    """Find files and answers that a Go function opens, and neither closes nor hands on."""
    for node in walk(root):
        if node.type != "short_var_declaration":
            continue
        opened = _OPENS.match(text_of(node.child_by_field_name("right")))
        name = text_of(node.child_by_field_name("left")).split(",")[0].strip()
        function = _around(node, {"function_declaration", "method_declaration", "func_literal"})
        if opened is None or name == "_" or function is None:
            continue
        rest = text_of(function)[node.end_byte - function.start_byte :]
        is_file = opened[1] is not None
        rest = rest if is_file else re.sub(rf"{_READERS}\(\s*{name}\.Body\b", "", rest)
        closes = rf"\b{name}\.Close\b" if is_file else rf"\b{name}\.Body\b"
        hands_on = _HANDS_ON.replace("{0}", re.escape(name))
        if not re.search(closes, rest) and not re.search(hands_on, rest):
            yield node, _UNCLOSED, "medium"


_FORMATTERS: Final = re.compile(
    r"^(?:(?P<first>fmt\.(?:Printf|Sprintf|Errorf)|log\.(?:Printf|Fatalf|Panicf)|\\?s?printf|String\.format"
    r"|[sS]tring\.Format)|(?P<second>fmt\.Fprintf|fprintf|sprintf|dprintf)|(?P<third>snprintf))$"
)
_VERB: Final = re.compile(r"%(?:%|[-+ #0'(,]*+(\*|\d++)?(?:\.(\*|\d++)?)?(?:hh?|ll?|[jztLq])?([a-zA-Z]))")
_STRINGS: Final = frozenset(
    {"interpreted_string_literal", "raw_string_literal", "string_literal", "string", "encapsed_string"}
)


def _formats(root: Node) -> Defects:
    """Find formats with more verbs than arguments; in Go also with fewer."""
    language = {"source_file": "go", "program": "", "translation_unit": "c", "compilation_unit": "csharp"}
    kind = language.get(root.type, "")
    for node in walk(root):
        fields = _CALLS.get(node.type)
        if fields is None:
            continue
        name = ".".join(filter(None, (text_of(node.child_by_field_name(one)) for one in fields)))
        found = _FORMATTERS.match(name)
        given = node.child_by_field_name("arguments")
        if found is None or given is None:
            continue
        arguments = [child for child in given.named_children if child.type != "comment"]
        at = ("first", "second", "third").index(found.lastgroup or "first")
        at += kind == "c" and name == "sprintf" and not at
        if len(arguments) <= at or any("..." in text_of(one) for one in arguments):
            continue
        literal = arguments[at]
        while literal.type == "argument" and literal.named_children:
            literal = literal.named_children[-1]
        wanted = _verbs(text_of(literal), braces="tring.Format" in name) if literal.type in _STRINGS else None
        has = len(arguments) - at - 1
        is_array = has == 1 and (wanted or 0) > 1 and "tring." in name
        if wanted is not None and not is_array and (has < wanted or (kind == "go" and has > wanted)):
            yield node, _FORMAT, "medium"


_CALLS: Final = {
    "call_expression": ("function",),
    "function_call_expression": ("function",),
    "invocation_expression": ("function",),
    "method_invocation": ("object", "name"),
}


def _verbs(text: str, *, braces: bool) -> int | None:
    """Count the arguments that a format takes; None where they are named or numbered."""
    if braces:
        numbers = [int(one) for one in re.findall(r"(?<!\{)\{(\d{1,3})[^{}]*\}", text)]
        return max(numbers) + 1 if numbers else None
    if re.search(r"%\[|%\d+\$|%<|\$\w|\{\$|#\{", text):
        return None
    count = 0
    for verb in _VERB.finditer(text):
        if verb[3] and verb[3] not in "nm":
            count += 1 + (verb[1] == "*") + (verb[2] == "*")
    return count


# --- What makes code hard to change: tangled functions, god files, hubs, cycles, dead and doubled code. -----

STRUCTURE = ("tangled", "god-file", "doubled", "hub")
STRUCTURE_OF_PYTHON = ("dead-code", "import-cycle")
TANGLED = 15
"""Branches of a function (cyclomatic complexity); above it tests no longer cover the paths."""
GOD_FILE = 1000
"""Lines without blanks."""
HUB = 20
"""Modules that import one, where that one itself imports half as many."""
DOUBLE = 12
"""Lines, blanks aside, that stand twice word for word."""
SURE = 80
"""Vulture's own confidence; below it most of what it says is used dynamically."""


def review_structure(path: str, text: str) -> list[Finding]:
    where = (path, text.split("\n"))
    findings = list(_tangled(where, text))
    full = [number for number, line in enumerate(where[1], 1) if line.strip()]
    if len(full) > GOD_FILE:
        title, fix = f"{len(full)} lines in one file", "Split it by what changes together."
        findings.append(_finding(where, full[0], ("god-file", "low", title, fix)))
    if path.endswith(".py"):
        findings += _dead(where, text)
    return findings


def _tangled(where: Where, text: str) -> Iterable[Finding]:
    from lizard import analyze_file  # type: ignore[attr-defined] # made at import; no other focus needs it

    for function in analyze_file.analyze_source_code(where[0], text).function_list:
        branches = function.cyclomatic_complexity
        if branches > TANGLED:
            title = f"{function.name} has {branches} branches"
            severity: Severity = "medium" if branches > 2 * TANGLED else "low"
            said = ("tangled", severity, title, "Split it, or use a table.")
            yield _finding(where, function.start_line, said)


def _dead(where: Where, text: str) -> Iterable[Finding]:
    from vulture.core import Vulture  # late, as lizard

    finder = Vulture()  # type: ignore[no-untyped-call] # ships no types
    finder.scan(text, filename=where[0])  # type: ignore[no-untyped-call] # as above
    for item in finder.get_unused_code(min_confidence=SURE):
        if item.typ == "import" and PurePosixPath(where[0]).name == "__init__.py":
            continue  # what a package imports is what it offers
        yield _finding(where, item.first_lineno, ("dead-code", "low", str(item.message), "Remove it."))


def understood(text: str, language: str) -> str:
    """Say why a file's structure was not read; empty when it was."""
    if language == "python":
        return "" if parse_python(text) is not None else "not valid Python"
    return patterns.unread(parser_of(language)[1].parse(text.encode("utf-8", "replace")).root_node)


def review_imports(texts: Mapping[str, str]) -> Iterator[Finding]:
    """Find cycles and hubs among files."""
    from fanout_mcp.structure.graph import graph  # late, as lizard
    from fanout_mcp.structure.outline import outline_text

    known = graph(outline_text(path, text) for path, text in sorted(texts.items()))
    for cycle in known.cycles:
        here = cycle[0]
        line = next((known.lines[here, other] for other in cycle if (here, other) in known.lines), 1)
        title = f"{len(cycle)} modules import each other in a circle"
        why = " -> ".join(cycle[:6]) + (" ..." if len(cycle) > 6 else "")
        where = (here, texts[here].split("\n"))
        yield _finding(where, line, ("import-cycle", "medium", title, ""), why)
    for path, users in sorted(known.imported_by.items()):
        outgoing = len(known.imports.get(path, ()))
        if len(users) >= HUB and outgoing >= HUB // 2:
            title = f"{len(users)} modules import this one, which imports {outgoing}"
            where, fix = (path, texts[path].split("\n")), "Split what is stable from what isn't."
            yield _finding(where, 1, ("hub", "low", title, fix))


def review_doubles(texts: Mapping[str, str]) -> list[Finding]:
    """Find blocks that stand twice; one finding for each pair of files and stretch."""
    seen: dict[bytes, tuple[str, int]] = {}
    findings: list[Finding] = []
    for path in sorted(texts):
        where = (path, texts[path].split("\n"))
        kept = [(n, line.strip()) for n, line in enumerate(where[1], 1) if len(line.strip()) > 2]
        until = 0
        for start in range(len(kept) - DOUBLE + 1):
            numbers, block = zip(*kept[start : start + DOUBLE], strict=True)
            words = "\n".join(block).encode("utf-8", "replace")
            here = (path, numbers[0])
            first = seen.setdefault(blake2b(words, digest_size=16).digest(), here)
            if first != here and numbers[0] > until and not _is_dull(block):
                until = numbers[-1] + DOUBLE
                title = f"{DOUBLE} or more lines as in {first[0]}:{first[1]}"
                findings.append(_finding(where, numbers[0], ("doubled", "low", title, "Say it once.")))
    return findings


def _is_dull(block: Sequence[str]) -> bool:
    """Imports and licence heads are alike everywhere."""
    return (
        sum(line.startswith(("import ", "from ", "#", "//", "*", '"', "'", "use ")) for line in block)
        > DOUBLE // 2
    )


def _finding(where: Where, line: int, said: tuple[str, Severity, str, str], why: str = "") -> Finding:
    line = max(1, min(line, len(where[1])))
    name, severity, title, fix = said
    weakness = Weakness(name, 0, severity, title, fix)
    return found(where, (line, line), weakness, 70, why=why, reviewer="structure")
