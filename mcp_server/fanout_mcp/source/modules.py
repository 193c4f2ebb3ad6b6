"""Modules and how they hang together: the import graph, its cycles, what starts, what tests, what burns.

A module is a folder that holds source files itself, or whatever folder or file the caller names, with all
below it. Everything here is computed from outlines; no file is read.
"""

from __future__ import annotations

import posixpath
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from typing import Final

from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.git import MAX_COMMITS
from fanout_mcp.source.outline import Outline
from fanout_mcp.source.resolve import index, targets
from fanout_mcp.source.testing import is_test

_STARTING: Final = frozenset({"__main__.py", "manage.py", "main.go", "main.rs"})


@dataclass(frozen=True, slots=True)
class Module:
    name: str
    paths: tuple[str, ...]


@dataclass(slots=True)
class Graph:
    """`imports` and `imported_by`: file to files, by path."""

    outlines: dict[str, Outline]
    imports: dict[str, list[str]] = field(default_factory=dict)
    imported_by: dict[str, list[str]] = field(default_factory=dict)
    external: dict[str, list[str]] = field(default_factory=dict)
    """File to the names it imports that lead to no file of the repository."""

    own: frozenset[str] = frozenset()
    """First parts of the repository's own names: what they begin is not external."""
    cycles: list[list[str]] = field(default_factory=list)
    """Files that import each other, directly or around; largest first."""


def graph(outlines: Iterable[Outline]) -> Graph:
    known = {outline.path: outline for outline in outlines if outline.language}
    packages = {
        path: symbol.name
        for path, outline in known.items()
        for symbol in outline.symbols[-1:]
        if symbol.kind == "package"
    }
    names = index(known, packages)
    own = {dotted.split(".")[0] for dotted in names.dotted.values()}
    found = Graph(known, own=frozenset(own.union(*names.packages.values())))
    for path, outline in known.items():
        found.imports[path], found.external[path] = targets(outline, names)
        for target in found.imports[path]:
            found.imported_by.setdefault(target, []).append(path)
    found.cycles = sorted(components(found.imports), key=lambda cycle: (-len(cycle), cycle))
    return found


def components(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the strongly connected components of two or more (Tarjan's, without recursion)."""
    order: dict[str, int] = {}
    low: dict[str, int] = {}
    stack: list[str] = []
    on_stack: set[str] = set()
    found: list[list[str]] = []
    for start in edges:
        if start in order:
            continue
        work = [(start, iter(edges[start]))]
        order[start] = low[start] = len(order)
        stack.append(start)
        on_stack.add(start)
        while work:
            node, following = work[-1]
            for target in following:
                if target not in order:
                    order[target] = low[target] = len(order)
                    stack.append(target)
                    on_stack.add(target)
                    work.append((target, iter(edges.get(target, ()))))
                    break
                if target in on_stack:
                    low[node] = min(low[node], order[target])
            else:
                work.pop()
                if work:
                    low[work[-1][0]] = min(low[work[-1][0]], low[node])
                if low[node] == order[node]:
                    component: list[str] = []
                    while not component or component[-1] != node:
                        component.append(stack.pop())
                        on_stack.discard(component[-1])
                    if len(component) > 1:
                        found.append(sorted(component))
    return found


def all_modules(known: Graph) -> list[Module]:
    """Return every folder with code of its own, tests last."""
    folders: dict[str, list[str]] = {}
    for path in sorted(known.outlines):
        if known.outlines[path].lines and _is_code(known.outlines[path]):
            folders.setdefault(posixpath.dirname(path) or ".", []).append(path)
    ordered = sorted(folders, key=lambda folder: (is_test(folder + "/x"), folder))
    return [Module(folder, tuple(folders[folder])) for folder in ordered]


def _is_code(outline: Outline) -> bool:
    return (
        bool(outline.language)
        and not any(s.kind in {"key", "heading"} for s in outline.symbols[:1])
        and (
            outline.language
            not in {"text", "Markdown", "JSON", "YAML", "TOML", "INI", "reStructuredText", "Make"}
        )
    )


def named(name: str, known: Graph) -> Module:
    """Find a module by path, by dotted name, or by its last part. Raises InvalidInput, nearest named."""
    wanted = name.strip().removeprefix("./").rstrip("/") or "."
    for form in dict.fromkeys((wanted, wanted.replace(".", "/"), wanted.replace("::", "/"))):
        paths = _below(form, known)
        if paths:
            return Module(form, paths)
        files = [path for path in known.outlines if posixpath.splitext(path)[0] == form]
        if files:
            return Module(files[0], tuple(files))
        tails = sorted(
            {_upto(path, form) for path in known.outlines if f"/{form}/" in f"/{path}"}, key=_plain
        )
        if tails:
            return Module(tails[0], _below(tails[0], known))
        files = [path for path in known.outlines if posixpath.splitext("/" + path)[0].endswith("/" + form)]
        if files:
            return Module(files[0], tuple(files[:1]))
    folders = {part for path in known.outlines for part in _ancestors(path)}
    near = get_close_matches(wanted, sorted(folders), 3, 0.4)
    hint = f" Nearest: {', '.join(near)}." if near else ""
    raise InvalidInput(f"There is no module {name[:100]!r}.{hint}")


def _plain(folder: str) -> tuple[bool, int, str]:
    """Code before its tests, the shallowest first."""
    return is_test(f"{folder}/x"), len(folder), folder


def _below(folder: str, known: Graph) -> tuple[str, ...]:
    if folder == ".":
        return tuple(sorted(known.outlines))
    return tuple(sorted(p for p in known.outlines if p == folder or p.startswith(folder + "/")))


def _upto(path: str, form: str) -> str:
    """Return the folder of `path` that ends with `form`."""
    whole = f"/{path}"
    return whole[1 : whole.index(f"/{form}/") + len(form) + 1]


def _ancestors(path: str) -> list[str]:
    parts = path.split("/")
    return ["/".join(parts[:end]) for end in range(1, len(parts) + 1)]


@dataclass(frozen=True, slots=True)
class Facts:
    """What the structure says of a module; paths with lines where there is a line."""

    imports: tuple[str, ...]
    imported_by: tuple[str, ...]
    external: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]
    entry_points: tuple[str, ...]
    tests: tuple[str, ...]
    hot_spots: tuple[str, ...]
    central: tuple[str, ...]
    """Its files, the most imported from outside first, then the largest."""


def facts(module: Module, known: Graph, churn: Mapping[str, int], most: int = 40) -> Facts:
    own = set(module.paths)
    out = _folders(
        target for path in module.paths for target in known.imports.get(path, ()) if target not in own
    )
    users = [user for path in module.paths for user in known.imported_by.get(path, ()) if user not in own]
    return Facts(
        shortened(out, most),
        shortened(_folders(user for user in users if not is_test(user)), most),
        shortened(_external(module, known), most),
        tuple(tuple(cycle) for cycle in known.cycles if not own.isdisjoint(cycle)),
        tuple(_entries(module, known)[:most]),
        tuple(tests_of(module, known)[:5]),
        tuple(_hot(module, known, churn)[:5]),
        tuple(sorted(module.paths, key=lambda path: _centrality(path, own, known))),
    )


def shortened(names: Sequence[str], most: int) -> tuple[str, ...]:
    rest = len(names) - most
    return (*names[:most], *([f"and {rest} more"] * (rest > 0)))


def _folders(paths: Iterable[str]) -> list[str]:
    counts: dict[str, int] = {}
    for path in paths:
        folder = posixpath.dirname(path) or "."
        counts[folder] = counts.get(folder, 0) + 1
    return sorted(counts, key=lambda folder: (-counts[folder], folder))


def _external(module: Module, known: Graph) -> list[str]:
    counts: dict[str, int] = {}
    for path in module.paths:
        for name in known.external[path]:
            top = _package(name, known.outlines[path].language)
            if top and top not in known.own:
                counts[top] = counts.get(top, 0) + 1
    return sorted(counts, key=lambda name: (-counts[name], name))


def _package(name: str, language: str) -> str:
    """Return what an import would be installed as; "" for paths and for aliases that a build file gives."""
    if name.startswith((".", "/", "#", "~", "@/")):
        return ""
    parts = name.split("/")
    if language == "Go":
        return "/".join(parts[:3]) if "." in parts[0] else name
    if language in {"JavaScript", "TypeScript", "TSX"}:
        return "/".join(parts[: 1 + name.startswith("@")])
    if language in {"Java", "C#"}:
        return ".".join(name.split(".")[:2]).strip("*")
    top = re.split(r"\." if language == "Python" else r"/|::|\\", name, maxsplit=1)[0]
    # A name in capitals is a type's: `use Colour::*` brings an enum's own variants.
    is_own = top in {"crate", "self", "super"} or (language == "Rust" and top[:1].isupper())
    return "" if is_own else top


def _entries(module: Module, known: Graph) -> list[str]:
    found = []
    for path in module.paths:
        line = known.outlines[path].entry
        if line:
            found.append(f"{path}:{line}")
        elif posixpath.basename(path) in _STARTING:
            found.append(f"{path}:1")
    return found


def tests_of(module: Module, known: Graph) -> list[str]:
    """Return the test files that touch a module: they import it, or are named after it or its files."""
    own = {path for path in module.paths if not is_test(path)} or set(module.paths)
    tests = [path for path in known.outlines if is_test(path) and path not in own]
    names = {posixpath.splitext(posixpath.basename(path))[0].lower() for path in own} - {
        "__init__",
        "index",
    }
    names.add(posixpath.basename(module.name).lower())
    folders = {posixpath.dirname(path) for path in own if path.endswith(".go")}
    scores: dict[str, float] = {}
    for path in tests:
        hits = sum(target in own for target in known.imports.get(path, ()))
        words = re.sub(r"\b(?:tests?|spec)\b|[^a-z0-9]+", " ", path.lower().replace("_", " ")).split()
        stem = re.sub(
            r"^test_?|[_.-]?(?:test|spec)s?$", "", posixpath.splitext(posixpath.basename(path))[0].lower()
        )
        # A Go test is of its folder's package: it needs no import.
        hits += path.endswith("_test.go") and posixpath.dirname(path) in folders
        score = min(hits, 3) + 2.0 * (stem in names) + 0.5 * bool(names.intersection(words))
        if score >= 1:
            scores[path] = score
    return sorted(scores, key=lambda path: (-scores[path], path))


def _hot(module: Module, known: Graph, churn: Mapping[str, int]) -> list[str]:
    heat = {path: churn.get(path, 0) * known.outlines[path].branches for path in module.paths}
    hot = sorted((path for path in heat if heat[path]), key=lambda path: (-heat[path], path))
    return [
        f"{path} ({churn[path]} of the last {MAX_COMMITS} commits, {known.outlines[path].branches} branches)"
        for path in hot
    ]


def _centrality(path: str, own: set[str], known: Graph) -> tuple[bool, int, int]:
    users = sum(user not in own for user in known.imported_by.get(path, ()))
    inside = len(known.imported_by.get(path, ())) - users
    return is_test(path), -(2 * users + inside), -known.outlines[path].lines
