"""Modules and how they hang together: the import graph, its cycles, what starts, what tests, what burns.

A module is a folder that holds source files itself, or whatever folder or file the caller names, with all
below it. Everything here is computed from outlines; no file is read.
"""

from __future__ import annotations

import posixpath
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from difflib import get_close_matches
from itertools import accumulate
from typing import Final

from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.git import MAX_COMMITS
from fanout_mcp.source.kinds import Kind, is_test, kind_of
from fanout_mcp.structure.languages import table
from fanout_mcp.structure.manifests import PACKAGE_FILES
from fanout_mcp.structure.outline import Outline
from fanout_mcp.structure.resolve import SCRIPTS, Index, index, is_standard, resolved, upwards
from fanout_mcp.text import by_count, counted

_STARTING: Final = frozenset({"__main__.py", "manage.py", "main.rs"})
_LOADS: Final = SCRIPTS | {"Python", "Ruby", "PHP", "Lua", "Bash", "R", "Perl", "Julia"}
"""Languages that load files when they import them: there a cycle can fail as the program runs."""

_TYPES_ALONE: Final = frozenset({"interface", "type", "namespace"})


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
    folders: dict[str, list[str]] = field(default_factory=dict)
    """A folder, "" for the root, to the files that it holds itself."""
    tests: dict[str, list[str]] = field(default_factory=dict)
    """What a test file is named after, to such files: `basket` to `test_basket.py`."""
    named: Counter[str] = field(default_factory=Counter)
    """How many files of code that are no tests have such a name, without its endings."""
    started: dict[str, list[str]] = field(default_factory=dict)
    """A file that a manifest's script runs to where: `path:line (command)`."""
    cycles: list[list[str]] = field(default_factory=list)
    """Files that load each other as the program runs, directly or around; largest first."""
    cycle_of: dict[str, int] = field(default_factory=dict)
    """A file to the place of its cycle."""

    lines: dict[tuple[str, str], int] = field(default_factory=dict)
    """A file and one that it imports, to the line that does; none where no line is needed."""

    late: set[tuple[str, str]] = field(default_factory=set)
    """Those of them that are imported for type checkers, or when a function runs."""


def graph(outlines: Iterable[Outline]) -> Graph:
    known = {outline.path: outline for outline in outlines if outline.language}
    packages = {
        path: value
        for path, outline in known.items()
        for what, _, value, _ in outline.declares
        if what == "name"
    }
    names = index(known, packages, known)
    found = Graph(known, own=frozenset(names.own.union(*names.packages.values())))
    for path, outline in known.items():
        found.folders.setdefault(posixpath.dirname(path), []).append(path)
        if is_test(path) and is_code(outline):
            found.tests.setdefault(_TESTED.sub("", _stem(path)), []).append(path)
        _connect(found, outline, names)
        for what, command, value, _ in outline.declares:
            place = _started(path, value, known, names) if what == "script" else None
            if place:
                shown = f"{place} ({command})" if command else place
                found.started.setdefault(place.rpartition(":")[0], []).append(shown)
    found.named = Counter(
        _stem(path)
        for path, outline in known.items()
        if _stem(path) in found.tests and is_code(outline) and not is_test(path)
    )
    found.cycles = sorted(components(_loading(found)), key=lambda cycle: (-len(cycle), cycle))
    found.cycle_of = {path: place for place, cycle in enumerate(found.cycles) for path in cycle}
    return found


def _stem(path: str) -> str:
    name = posixpath.basename(path).partition(".")[0].lower()
    return re.sub(r"^[-_](?=[a-z\d])", "", name)  # `-Reader.kt` and `_next.py` are hidden from callers


def _connect(found: Graph, outline: Outline, names: Index) -> None:
    """Note what a file imports; nothing where it imports nothing, as most files of a large project do."""
    path = outline.path
    edges, other = resolved(outline, names)
    if other:
        found.external[path] = other
    if edges:
        found.imports[path] = list(edges)
    late = {name for name, _ in outline.late}
    lines = dict(zip(outline.imports, outline.import_lines, strict=False)) if edges else {}
    for target, by in edges.items():
        found.imported_by.setdefault(target, []).append(path)
        if by:
            found.lines[path, target] = min(lines.get(name, 1) for name in by)
        if by and late.issuperset(by):
            found.late.add((path, target))


_TESTED: Final = re.compile(r"^test_?|[_-]?(?:test|spec)s?$")
"""What a test's name has beside the name of what it tests."""


def _loading(known: Graph) -> dict[str, list[str]]:
    """Return the edges that loading a file follows: none to files that hold nothing but types."""
    return {
        path: [
            target
            for target in targets
            if (path, target) not in known.late and not _is_types(known.outlines[target])
        ]
        for path, targets in known.imports.items()
        if known.outlines[path].language in _LOADS
    }


def _is_types(outline: Outline) -> bool:
    own = [symbol for symbol in outline.symbols if not symbol.parent]
    return outline.language in SCRIPTS and bool(own) and all(symbol.kind in _TYPES_ALONE for symbol in own)


def components(edges: Mapping[str, Sequence[str]]) -> list[list[str]]:
    """Return the strongly connected components of two or more (Kosaraju's, without recursion)."""
    ended: list[str] = []
    left: set[str] = set()
    for start in edges:
        work = [] if start in left else [(start, iter(edges[start]))]
        left.add(start)
        while work:
            node, following = work[-1]
            target = next((one for one in following if one not in left), None)
            if target is None:
                ended.append(node)
                work.pop()
            else:
                left.add(target)
                work.append((target, iter(edges.get(target, ()))))
    users: dict[str, list[str]] = {}
    for node, targets in edges.items():
        for target in targets:
            users.setdefault(target, []).append(node)
    found: list[list[str]] = []
    for last in reversed(ended):  # who leads to it and ended before is in its component
        waiting, component = [last], []
        while waiting:
            node = waiting.pop()
            if node in left:
                left.remove(node)
                component.append(node)
                waiting += users.get(node, ())
        if len(component) > 1:
            found.append(sorted(component))
    return found


MAX_MODULES: Final = 48
"""Of a map: folders beyond that are shown as the one that holds them, packages by what others use most."""

MIN_MODULES: Final = 6
"""Fewer folders than these say too little of a project: then those below them are shown, most used first."""

FEW: Final = 12
"""Folders with code up to which every one is a module, whatever it holds."""

MAX_TREES: Final = 4
"""Folders of a kind that get a line each."""

_DATA: Final = frozenset(table()["data"]["endings"].split())
"""What is read but holds no code."""


@dataclass(frozen=True, slots=True)
class Map:
    """`folded`: a line for every tree and folder whose files are in no module."""

    modules: list[Module]
    folded: list[str]


def mapped(known: Graph, skipped: Iterable[str] = ()) -> Map:
    """Divide a project: by workspace package where it has several, else by folder; the rest in a line a tree.

    More than FEW come in the order of how many files use them.
    """
    modules = all_modules(known)
    if len(modules) > FEW:
        code = [path for module in modules for path in module.paths]
        product = [path for path in code if known.outlines[path].kind == "product"]
        shown = product or [path for path in code if known.outlines[path].kind != "generated"] or code
        modules = [Module(name, tuple(paths)) for name, paths in sorted(_units(shown, known).items())]
    if len(modules) > FEW:
        users = {module.name: _users(module, known) for module in modules}
        lines = {one.name: sum(known.outlines[path].lines for path in one.paths) for one in modules}
        modules.sort(key=lambda one: (-users[one.name], -lines[one.name], one.name))
    inside = {path for module in modules for path in module.paths}
    return Map(modules, _folded((path for path in (*known.outlines, *skipped) if path not in inside), known))


def all_modules(known: Graph) -> list[Module]:
    """Return every folder with code of its own, tests last."""
    code = (path for path, outline in known.outlines.items() if outline.lines and is_code(outline))
    folders = _grouped({path: posixpath.dirname(path) for path in code})
    ordered = sorted(folders, key=lambda folder: (is_test(folder + "/x"), folder))
    return [Module(folder, tuple(folders[folder])) for folder in ordered]


def is_code(outline: Outline) -> bool:
    """Tell code, outlined or known by its name alone, from documents and data."""
    if outline.how in {"grammar", "patterns"}:
        return True
    ending = posixpath.splitext(outline.path)[1].lower()
    return outline.how == "name" and bool(ending) and ending not in _DATA and outline.kind != "docs"


def _units(paths: Sequence[str], known: Graph) -> dict[str, list[str]]:
    """Group files by package, else by folder; folders that are too many by the ones that hold them."""
    roots = {
        posixpath.dirname(path)
        for path in known.outlines
        if posixpath.basename(path) in PACKAGE_FILES
        or path.endswith((".csproj", ".fsproj", ".gemspec", ".cabal"))
    }
    folders = {path: posixpath.dirname(path) for path in paths}
    homes = {
        path: next((at for at in upwards(folder) if at in roots), None) for path, folder in folders.items()
    }
    if len(set(homes.values()) - {None}) >= 3:
        units = _grouped({path: folders[path] if home is None else home for path, home in homes.items()})
        if len(units) > 1:
            return units
    deeper: dict[str, list[str]] = {}
    for depth in range(max((path.count("/") for path in paths), default=1) or 1, 0, -1):
        units = _grouped({path: "/".join(folder.split("/")[:depth]) for path, folder in folders.items()})
        if len(units) <= MAX_MODULES:
            break
        deeper = units
    return deeper if deeper and len(units) < MIN_MODULES else units


def _grouped(folders: Mapping[str, str]) -> dict[str, list[str]]:
    """Turn paths with their folders into folders with their paths, these in order."""
    units: dict[str, list[str]] = {}
    for path in sorted(folders):
        units.setdefault(folders[path] or ".", []).append(path)
    return units


def _users(module: Module, known: Graph) -> int:
    own = set(module.paths)
    return len({user for path in own for user in known.imported_by.get(path, ()) if user not in own})


def _folded(paths: Iterable[str], known: Graph) -> list[str]:
    """Return a line for each tree of what is in no module, the largest of a kind first."""
    trees: dict[Kind | str, dict[str, list[str]]] = {}
    for path in paths:
        outline = known.outlines.get(path)
        kind: Kind | str = outline.kind if outline else kind_of(path)
        kind = "other files" if kind == "product" else kind
        root = _tree(path, kind)
        trees.setdefault(kind, {}).setdefault(root, []).append(path)
    lines = []
    for kind in sorted(trees):
        by_size = sorted(trees[kind].items(), key=lambda item: (-len(item[1]), item[0]))
        lines += [f"{kind}: {root} ({_endings(found)})" for root, found in by_size[:MAX_TREES]]
        rest = [path for _, found in by_size[MAX_TREES:] for path in found]
        if rest:
            folders = sorted({root.split("/")[0] for root, _ in by_size[MAX_TREES:]})
            below = ", ".join(folders[:4]) + ("…" if len(folders) > 4 else "")
            lines.append(f"{kind}: {len(by_size) - MAX_TREES} more folders below {below} ({_endings(rest)})")
    return lines


def _tree(path: str, kind: Kind | str) -> str:
    """Return the outermost folder that is of this kind as a whole; of other files the first folder."""
    folders = path.split("/")[:-1]
    if kind == "other files":
        return folders[0] if folders else "."
    for end in range(1, len(folders) + 1):
        if kind_of("/".join([*folders[:end], "x.py"])) == kind:
            return "/".join(folders[:end])
    return "/".join(folders) or "."


def _endings(paths: Sequence[str]) -> str:
    names = map(posixpath.basename, paths)
    endings = Counter(posixpath.splitext(name)[1] or name for name in names)
    ordered = by_count(endings)
    shown = ", ".join(f"{endings[one]} {one[:30]}" for one in ordered[:3])
    return f"{counted(len(paths), 'file')}: {shown}" + (", …" if len(ordered) > 3 else "")


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
        inside = [path for path in known.outlines if f"/{form}/" in f"/{path}"]
        tails = sorted({path[: f"/{path}".index(f"/{form}/") + len(form)] for path in inside}, key=_plain)
        if tails:
            return Module(tails[0], _below(tails[0], known))
        files = [path for path in known.outlines if posixpath.splitext("/" + path)[0].endswith("/" + form)]
        if files:
            return Module(files[0], tuple(files[:1]))
    folders = {part for path in known.outlines for part in accumulate(path.split("/"), posixpath.join)}
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


@dataclass(frozen=True, slots=True)
class Facts:
    """What the structure says of a module; paths with lines where there is a line."""

    imports: tuple[str, ...]
    imported_by: tuple[str, ...]
    external: tuple[str, ...]
    standard: tuple[str, ...]
    cycles: tuple[tuple[str, ...], ...]
    entry_points: tuple[str, ...]
    tests: tuple[str, ...]
    hot_spots: tuple[str, ...]
    central: tuple[str, ...]
    """Its files, the most imported from outside first, then the largest."""


MAX_LISTED: Final = 40


def facts(module: Module, known: Graph, churn: Mapping[str, int]) -> Facts:
    own = set(module.paths)
    out = _folders(
        target for path in module.paths for target in known.imports.get(path, ()) if target not in own
    )
    installed, standard = _external(module, known)
    users = [user for path in module.paths for user in known.imported_by.get(path, ()) if user not in own]
    cycles = {known.cycle_of[path] for path in own if path in known.cycle_of}
    return Facts(
        shortened(out, MAX_LISTED),
        shortened(_folders(user for user in users if not is_test(user)), MAX_LISTED),
        shortened(installed, MAX_LISTED),
        shortened(standard, MAX_LISTED),
        tuple(tuple(known.cycles[place]) for place in sorted(cycles)),
        tuple(_entries(module, known)[:MAX_LISTED]),
        tuple(tests_of(module, known)[:5]),
        tuple(_hot(module, known, churn)[:5]),
        tuple(sorted(module.paths, key=lambda path: _centrality(path, own, known))),
    )


def shortened(names: Sequence[str], most: int) -> tuple[str, ...]:
    return (*names[:most], *more(len(names) - most))


def more(rest: int) -> list[str]:
    return [f"and {rest:,} more"] * (rest > 0)


def _folders(paths: Iterable[str]) -> list[str]:
    counts = Counter(posixpath.dirname(path) or "." for path in paths)
    return sorted(by_count(counts), key=lambda folder: kind_of(f"{folder}/x.py") != "product")


def _external(module: Module, known: Graph) -> tuple[list[str], list[str]]:
    """Return packages that someone installs, and parts of the standard library, the most used first."""
    installed, standard = Counter[str](), Counter[str]()
    for path in module.paths:
        language = known.outlines[path].language
        for name in known.external.get(path, ()):
            top = _package(name, language)
            if top and top not in known.own:
                (standard if is_standard(name, language) else installed)[top] += 1
    return by_count(installed), by_count(standard)


_HOSTS: Final = frozenset({"com", "org", "net", "io", "dev", "edu", "gov", "ch", "de", "me", "app"})


def _package(name: str, language: str) -> str:
    """Return what an import would be installed as; "" for paths and for aliases that a build file gives."""
    if name.startswith((".", "/", "#", "~", "@/")):
        return ""
    parts = name.split("/")
    if language == "Go":
        is_host = "." in parts[0]
        return "/".join(parts[: 2 if parts[0] == "gopkg.in" else 3]) if is_host else name
    if language in SCRIPTS:
        return "/".join(parts[: 1 + name.startswith("@")])
    if language in {"Java", "Kotlin", "Scala", "C#", "Groovy"}:
        dotted = name.removesuffix(".*").split(".")
        return ".".join(dotted[: 3 if dotted[0] in _HOSTS else 2 if dotted[0][:1].islower() else 1])
    if language == "Dart":
        return parts[0].removeprefix("package:")
    if language in {"HCL", "Make", "Docker"}:
        return name
    if language in {"C", "C++", "Objective-C"}:
        return parts[0] if len(parts) > 1 else name
    if language == "Solidity":
        return "/".join(parts[: 1 + name.startswith("@")])
    top = re.split(
        r"\." if language in {"Python", "Notebook", "Haskell", "Elixir", "Lua", "Swift"} else r"/|::|\\",
        name,
        maxsplit=1,
    )[0]
    # A name in capitals is a type's: `use Colour::*` brings an enum's own variants.
    is_own = top in {"crate", "self", "super"} or (language == "Rust" and top[:1].isupper())
    return "" if is_own else top


def _entries(module: Module, known: Graph) -> list[str]:
    """Return where programs start: what manifests name first, then what the code says."""
    named = [place for path in module.paths for place in known.started.get(path, ())]
    found = list(dict.fromkeys(named))
    for path in module.paths:
        outline = known.outlines[path]
        line = outline.entry or (1 if posixpath.basename(path) in _STARTING else 0)
        if line and path not in known.started and outline.kind not in {"test", "fixture"}:
            found.append(f"{path}:{line}")
    return found


def _started(manifest: str, value: str, known: Mapping[str, Outline], places: Index) -> str | None:
    """Return the place of what a manifest's script runs: `package.module:function`, or a file."""
    module, _, function = value.partition(":")
    function = function.partition(" ")[0].partition("[")[0].strip()
    folder = posixpath.dirname(manifest)
    if value.endswith((".js", ".mjs", ".cjs", ".ts", ".rs", ".php", ".rb", ".sh")) or "/" in value:
        stem = posixpath.normpath(posixpath.join(folder, value))
        built = re.sub(r"(^|/)(?:dist|build|lib|out)/(?:(?:esm|cjs)/)?", r"\1src/", stem, count=1)
        names = (one for base in (stem, built) for one in (base, re.sub(r"\.[mc]?js$", ".ts", base)))
        return next((f"{name}:{known[name].entry or 1}" for name in names if name in known), None)
    tail = module.strip().replace(".", "/")
    for path in (f"{tail}.py", f"{tail}/__init__.py", f"{tail}/__main__.py"):
        for root in (folder, posixpath.join(folder, "src"), ""):
            file = posixpath.normpath(posixpath.join(root, path))
            if file in known:
                return _defining(known[file], function)
        hits = [one for one in places.by_name.get(posixpath.basename(path), ()) if one.endswith("/" + path)]
        if len(hits) == 1:
            return _defining(known[hits[0]], function)
    return None


def _defining(outline: Outline, function: str) -> str:
    """Return the place of a function at a file's top, else its first line."""
    lines = (one.line for one in outline.symbols if one.name == function and not one.parent)
    return f"{outline.path}:{next(lines, 1)}"


_UNTESTED: Final = frozenset(
    {"__init__", "index", "mod", "build", "settings", "setup", "package", "src", "lib", ""}
)
"""Names that many files share: a test of that name may be any one's."""


_IMPORTED_FOR: Final[Mapping[str, Sequence[str]]] = {
    **dict.fromkeys((".c", ".cc", ".cpp", ".cxx", ".m", ".mm"), (".h", ".hh", ".hpp")),
    ".pyi": (".py",),
}
"""What a test imports in place of a file that is never imported itself: its header, what it is a stub of."""


def tests_of(module: Module, known: Graph) -> list[str]:
    """Return the test files that touch a module: they import it, or are named after it or its files."""
    own = {path for path in module.paths if not is_test(path)} or set(module.paths)
    names = {_stem(path) for path in own if is_code(known.outlines[path])}
    names = (names | {posixpath.basename(module.name).lower()}) - _UNTESTED
    scores = Counter[str]()
    for path in own:
        beside = known.folders.get(posixpath.dirname(path), ()) if path.endswith(".go") else ()
        # A Go test is of its folder's package: it needs no import.
        found = [*known.imported_by.get(path, ()), *(one for one in beside if one.endswith("_test.go"))]
        stem, ending = posixpath.splitext(path)
        for other in _IMPORTED_FOR.get(ending, ()):
            found += known.imported_by.get(stem + other, ())
        for test in found:
            if test not in own and is_test(test) and is_code(known.outlines[test]):
                scores[test] = min(scores[test] + 1, 3)
    for name in names:
        is_alone = known.named[name] <= 1
        for test in known.tests.get(name, ()):
            if test not in own and (is_alone or test.startswith(f"{module.name}/")):
                scores[test] += 2
    return by_count(scores)


def _hot(module: Module, known: Graph, churn: Mapping[str, int]) -> list[str]:
    heat = {path: churn.get(path, 0) * known.outlines[path].branches for path in module.paths}
    return [
        f"{path} ({churn[path]} of the last {MAX_COMMITS} commits, {known.outlines[path].branches} branches)"
        for path in by_count(heat)
        if heat[path]
    ]


_RANK: Final[Mapping[str, int]] = {
    "product": 0,
    "example": 2,
    "docs": 2,
    "test": 3,
    "fixture": 4,
    "generated": 4,
}


def _centrality(path: str, own: set[str], known: Graph) -> tuple[int, bool, bool, int, int]:
    """Product code before the rest, then what is used most, from outside twice; then what is longest."""
    outline = known.outlines[path]
    using = [user for user in known.imported_by.get(path, ()) if not is_test(user)]
    users = sum(user not in own for user in using)
    inside = len(using) - users
    unread = outline.how == "name"
    return _RANK.get(outline.kind, 5), not is_code(outline), unread, -(2 * users + inside), -outline.lines
