"""What makes code hard to change: tangled functions, god files, hubs, cycles, dead and doubled code."""

from __future__ import annotations

import ast
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from hashlib import blake2b
from pathlib import PurePosixPath

from lizard import analyze_file  # type: ignore[attr-defined] # made at import
from vulture.core import Vulture

from fanout_mcp.review.finding import Finding, Severity
from fanout_mcp.review.static.grammars import parser_of
from fanout_mcp.review.static.patterns import unread
from fanout_mcp.review.static.python.security import parse_python
from fanout_mcp.review.static.rules import Weakness, found

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
    lines = text.split("\n")
    found = list(_tangled(path, text, lines))
    size = sum(1 for line in lines if line.strip())
    if size > GOD_FILE:
        first = next(n for n, line in enumerate(lines, 1) if line.strip())
        title = f"{size} lines in one file"
        found.append(
            _finding(path, lines, first, "god-file", "low", title, "Split it by what changes together.")
        )
    if path.endswith(".py"):
        found += _dead(path, text, lines)
    return found


def _tangled(path: str, text: str, lines: list[str]) -> Iterable[Finding]:
    for function in analyze_file.analyze_source_code(path, text).function_list:
        branches = function.cyclomatic_complexity
        if branches > TANGLED:
            title = f"{function.name} has {branches} branches"
            severity: Severity = "medium" if branches > 2 * TANGLED else "low"
            yield _finding(
                path, lines, function.start_line, "tangled", severity, title, "Split it, or use a table."
            )


def _dead(path: str, text: str, lines: list[str]) -> Iterable[Finding]:
    finder = Vulture()  # type: ignore[no-untyped-call] # ships no types
    finder.scan(text, filename=path)  # type: ignore[no-untyped-call] # as above
    for item in finder.get_unused_code(min_confidence=SURE):
        if item.typ == "import" and PurePosixPath(path).name == "__init__.py":
            continue  # what a package imports is what it offers
        title = str(item.message)
        yield _finding(path, lines, item.first_lineno, "dead-code", "low", title, "Remove it.")


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
    found = []
    for cycle in _cycles(edges):
        here, line = cycle[0], next(edges[cycle[0]][other] for other in cycle if other in edges[cycle[0]])
        title = f"{len(cycle)} modules import each other in a circle"
        why = " -> ".join(cycle[:6]) + (" ..." if len(cycle) > 6 else "")
        found.append(_finding(here, texts[here].split("\n"), line, "import-cycle", "medium", title, "", why))
    incoming: dict[str, int] = defaultdict(int)
    for targets in edges.values():
        for target in targets:
            incoming[target] += 1
    for path, count in sorted(incoming.items()):
        outgoing = len(edges.get(path, {}))
        if count >= HUB and outgoing >= HUB // 2:
            title = f"{count} modules import this one, which imports {outgoing}"
            found.append(
                _finding(
                    path,
                    texts[path].split("\n"),
                    1,
                    "hub",
                    "low",
                    title,
                    "Split what is stable from what isn't.",
                )
            )
    return found


def _module_names(path: str) -> list[str]:
    """Return the dotted names a file can be imported by: below any folder of its path."""
    parts = [*PurePosixPath(path).parent.parts, PurePosixPath(path).stem]
    parts = parts[:-1] if parts[-1] == "__init__" else parts
    return [".".join(parts[start:]) for start in range(len(parts)) if start < 2]


def _cycles(edges: Mapping[str, Mapping[str, int]]) -> list[list[str]]:
    """Return the strongly connected components with more than one member (Tarjan, without recursion)."""
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    result: list[list[str]] = []
    for root in sorted(edges):
        work = [(root, iter(sorted(edges.get(root, {}))))] if root not in index else []
        while work:
            node, targets = work[-1]
            if node not in index:
                index[node] = low[node] = len(index)
                stack.append(node)
                on_stack.add(node)
            for target in targets:
                if target not in index:
                    work.append((target, iter(sorted(edges.get(target, {})))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], index[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == index[node]:
                    cut = stack.index(node)
                    members = stack[cut:]
                    del stack[cut:]
                    on_stack.difference_update(members)
                    if len(members) > 1:
                        result.append(sorted(members))
    return result


def review_doubles(texts: Mapping[str, str]) -> list[Finding]:
    """Find blocks that stand twice; one finding for each pair of files and stretch."""
    seen: dict[bytes, tuple[str, int]] = {}
    found: list[Finding] = []
    for path in sorted(texts):
        lines = texts[path].split("\n")
        kept = [(n, line.strip()) for n, line in enumerate(lines, 1) if len(line.strip()) > 2]
        until = 0
        for start in range(len(kept) - DOUBLE + 1):
            block = kept[start : start + DOUBLE]
            key = blake2b(
                "\n".join(line for _, line in block).encode("utf-8", "replace"), digest_size=16
            ).digest()
            first = seen.setdefault(key, (path, block[0][0]))
            if (
                first != (path, block[0][0])
                and block[0][0] > until
                and not _is_dull([line for _, line in block])
            ):
                until = block[-1][0] + DOUBLE
                title = f"{DOUBLE} or more lines as in {first[0]}:{first[1]}"
                found.append(_finding(path, lines, block[0][0], "doubled", "low", title, "Say it once."))
    return found


def _is_dull(block: list[str]) -> bool:
    """Imports and licence heads are alike everywhere."""
    return (
        sum(line.startswith(("import ", "from ", "#", "//", "*", '"', "'", "use ")) for line in block)
        > DOUBLE // 2
    )


def _finding(  # noqa: PLR0917 the order of Finding itself
    path: str, lines: list[str], line: int, rule: str, severity: Severity, title: str, fix: str, why: str = ""
) -> Finding:
    line = max(1, min(line, len(lines)))
    weakness = Weakness(rule, 0, severity, title, fix)
    return found((path, lines), (line, line), weakness, 70, why=why, reviewer="structure")
