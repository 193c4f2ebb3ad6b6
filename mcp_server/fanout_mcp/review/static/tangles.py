"""What makes code hard to change: tangled functions, god files, hubs, cycles, dead and doubled code."""

from __future__ import annotations

import ast
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import PurePosixPath

from lizard import analyze_file  # type: ignore[attr-defined] # made at import
from vulture.core import Vulture

from fanout_mcp.review.finding import Finding, Severity
from fanout_mcp.review.static.grammars import parser_of
from fanout_mcp.review.static.patterns import unread
from fanout_mcp.review.static.python.security import parse_python
from fanout_mcp.review.static.rules import Weakness, Where, found
from fanout_mcp.structure.graph import components

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
    """Review one file of any language that lizard reads."""
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
    for function in analyze_file.analyze_source_code(where[0], text).function_list:
        branches = function.cyclomatic_complexity
        if branches > TANGLED:
            title = f"{function.name} has {branches} branches"
            severity: Severity = "medium" if branches > 2 * TANGLED else "low"
            said = ("tangled", severity, title, "Split it, or use a table.")
            yield _finding(where, function.start_line, said)


def _dead(where: Where, text: str) -> Iterable[Finding]:
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
    return unread(parser_of(language)[1].parse(text.encode("utf-8", "replace")).root_node)


def imports_of(path: str, text: str) -> list[tuple[str, int]]:
    """Return what a Python file imports when it is loaded: full dotted names and lines."""
    tree = parse_python(text)
    package = PurePosixPath(path).parent.parts
    names: list[tuple[str, int]] = []
    for node in _at_load(tree.body if tree else []):
        if isinstance(node, ast.Import):
            names += [(alias.name, node.lineno) for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            up = package[: len(package) - node.level + 1] if node.level else ()
            base = ".".join([*up, *([node.module] if node.module else [])])
            names += [(f"{base}.{alias.name}", node.lineno) for alias in node.names]
    return names


def _at_load(body: Iterable[ast.stmt]) -> Iterable[ast.stmt]:
    for node in body:
        if isinstance(node, ast.If) and "TYPE_CHECKING" in ast.unparse(node.test):
            continue
        if isinstance(node, ast.If | ast.Try):
            yield from _at_load([*node.body, *node.orelse])
        else:
            yield node


def review_imports(
    imports: Mapping[str, Sequence[tuple[str, int]]], texts: Mapping[str, str]
) -> list[Finding]:
    """Find cycles and hubs among Python files, from what imports_of returned for each."""
    modules = {name: path for path in imports for name in _module_names(path)}
    edges: dict[str, dict[str, int]] = defaultdict(dict)
    for path, names in imports.items():
        for name, line in names:
            target = modules.get(name) or modules.get(name.rpartition(".")[0])
            if target and target != path:
                edges[path].setdefault(target, line)
    findings = []
    for cycle in components({path: sorted(targets) for path, targets in sorted(edges.items())}):
        here, line = cycle[0], next(edges[cycle[0]][other] for other in cycle if other in edges[cycle[0]])
        title = f"{len(cycle)} modules import each other in a circle"
        why = " -> ".join(cycle[:6]) + (" ..." if len(cycle) > 6 else "")
        where = (here, texts[here].split("\n"))
        findings.append(_finding(where, line, ("import-cycle", "medium", title, ""), why))
    incoming = Counter(target for targets in edges.values() for target in targets)
    for path, count in sorted(incoming.items()):
        outgoing = len(edges.get(path, {}))
        if count >= HUB and outgoing >= HUB // 2:
            title = f"{count} modules import this one, which imports {outgoing}"
            where, fix = (path, texts[path].split("\n")), "Split what is stable from what isn't."
            findings.append(_finding(where, 1, ("hub", "low", title, fix)))
    return findings


def _module_names(path: str) -> list[str]:
    """Return the dotted names a file can be imported by: below any folder of its path."""
    parts = [*PurePosixPath(path).parent.parts, PurePosixPath(path).stem]
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return [".".join(parts[start:]) for start in range(len(parts)) if start < 2]


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
    """Make a finding of a rule's name, severity, title and fix."""
    line = max(1, min(line, len(where[1])))
    name, severity, title, fix = said
    weakness = Weakness(name, 0, severity, title, fix)
    return found(where, (line, line), weakness, 70, why=why, reviewer="structure")
