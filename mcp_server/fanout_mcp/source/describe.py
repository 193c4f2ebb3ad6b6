"""The structural report of a module: what its structure proves, each statement with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fanout_mcp.source.docs import plain_text
from fanout_mcp.source.kinds import is_test
from fanout_mcp.source.modules import Facts, Graph, Module, shortened
from fanout_mcp.source.outline import Outline
from fanout_mcp.source.purpose import derived, main_symbol, purpose, written
from fanout_mcp.types import Json

MOST_SYMBOLS: Final = 40
MOST_COMPONENTS: Final = 8
MOST_INTERACTIONS: Final = 4
MOST_CYCLES: Final = 10
MOST_IN_CYCLE: Final = 8
MOST_RISKY_CYCLES: Final = 3
_COMMON_NAMES: Final = frozenset({"__init__.py", "mod.rs", "lib.rs", "index.js", "index.ts", "main.go"})
"""Names that say nothing without their folder."""

STANDARD_NAMED: Final = 12
GOD_LINES: Final = 800
GOD_SYMBOLS: Final = 20
"""A long file with fewer definitions is a table, and none the better for being split."""

HUB_USERS: Final = 10

Signals = Mapping[str, Sequence[Any]]
"""Path to `[what, count, [lines]]`, as signals.scan_file returns."""


def described(module: Module, known: Graph, facts: Facts, focus: str, signals: Signals) -> dict[str, Json]:
    """Return a module's fields as the static engine knows them."""
    statements = [
        *_components(facts, known),
        *_interactions(module, facts, known),
        *_observations(module, facts, focus, signals),
        *_risks(module, known, facts),
    ]
    report = [overview(module, known), *statements]
    return fields(module, known, facts, module_purpose(module, known, facts), report)


def fields(module: Module, known: Graph, facts: Facts, line: str, report: Sequence[str]) -> dict[str, Json]:
    """Put a module's result together; every statement ends with its place in brackets."""
    entry = {
        "module": module.name,
        "purpose": line,
        "report": " ".join(report),
        "symbols": symbols(facts, known),
        "imports": [
            *facts.imports,
            *(f"{name} (external)" for name in facts.external),
            *(f"{name} (standard library)" for name in facts.standard[:STANDARD_NAMED]),
        ],
        "imported_by": list(facts.imported_by),
        "cycles": [" <-> ".join(shortened(cycle, MOST_IN_CYCLE)) for cycle in facts.cycles[:MOST_CYCLES]],
        "entry_points": list(facts.entry_points),
        "tests": list(facts.tests),
        "hot_spots": list(facts.hot_spots),
        "citations": sorted({place for text in report if (place := citation(text))}),
    }
    return {name: value for name, value in entry.items() if value or name != "cycles"}


def citation(statement: str) -> str:
    """Return the place that a statement ends with, "" when it has none."""
    before, opened, place = statement.rstrip(".").rpartition("[")
    return place.rstrip("]") if before and opened else ""


_PACKAGE_DOCS: Final = frozenset(
    {"__init__.py", "__init__.pyi", "mod.rs", "lib.rs", "doc.go", "package-info.java", "package.scala"}
)
_ENTRIES: Final = ("index", "main", "mod", "init", "package")


def module_purpose(module: Module, known: Graph, facts: Facts) -> str:
    """Return the first sentence that a human wrote of a module, from the nearest place; else a derived one.

    The package's own docstring, the README and the manifest of its folder, the doc of what it is named after
    or of its central file.
    """
    own = [known.outlines[path] for path in facts.central]
    if not own:
        return "holds no code"
    product = [outline for outline in own if outline.kind == "product"] or own
    if len(own) == 1 and module.name == own[0].path:
        return purpose(own[0])
    folder = "" if module.name == "." else f"{module.name}/"
    for outline in _package_files(product, folder):
        if outline.doc:
            return outline.doc
    beside = _beside(folder, known)
    if beside:
        return beside
    name = module.name.rpartition("/")[2].lower()
    stems = {name, *_ENTRIES}
    ordered = sorted(
        product,
        key=lambda one: (
            one.path.rpartition("/")[2].partition(".")[0].lower() not in stems,
            one.path != facts.central[0],
        ),
    )
    for outline in [*ordered[:1], own[0]]:
        sentence = written(outline)
        if sentence:
            return sentence
    for outline in product:
        sentence = written(outline)
        if sentence:
            return f"{outline.path.rpartition('/')[2]}: {sentence}"
    ends = (user.rpartition("/")[2] for user in facts.imported_by if not user.startswith("and "))
    users = list(dict.fromkeys(ends))
    if len(own) == 1:
        return derived(own[0], users)
    mains = [symbol for outline in product[:8] if (symbol := main_symbol(outline))]
    names = [symbol.name for symbol in mains if symbol.name != "default"]
    if not names:
        return f"no description; {files(len(own))} of {own[0].language or 'text'} (derived)"
    used = f" for {', '.join(users[:3])}" if users else ""
    return (
        f"no description; defines {', '.join(dict.fromkeys(names[:4]))} in {files(len(own))}{used} (derived)"
    )


def _package_files(product: Sequence[Outline], folder: str) -> list[Outline]:
    """Return the files whose words are the package's: by their names, and for Go all of the folder."""
    found = [
        outline
        for outline in product
        if outline.path.rpartition("/")[2] in _PACKAGE_DOCS or (outline.language == "Go" and outline.package)
    ]
    # Of a package of several folders the outermost; a file of Go only by words about the package.
    found = [
        one for one in found if one.language != "Go" or one.doc.lower().startswith(("package ", "command "))
    ]
    return sorted(found, key=lambda one: (one.path.count("/"), one.path.startswith(folder) is False))


def _beside(folder: str, known: Graph) -> str:
    """Return what the manifest or else the README of a folder says."""
    inside = [
        outline
        for path, outline in known.outlines.items()
        if path.startswith(folder) and "/" not in path[len(folder) :]
    ]
    for outline in inside:
        for what, _, value, _ in outline.declares:
            if what == "description":
                return plain_text(value if len(value) <= MAX_SENTENCE else value[: MAX_SENTENCE - 1] + "…")
    for outline in inside:
        if outline.path[len(folder) :].lower().partition(".")[0] == "readme":
            title = next((plain_text(one.name.lstrip("# ")) for one in outline.symbols[:1]), "")
            prose = outline.doc.removeprefix(title).removeprefix(": ")
            if prose and not prose.startswith("begins: "):
                return prose
    return ""


MAX_SENTENCE: Final = 200


def files(count: int) -> str:
    return "1 file" if count == 1 else f"{count:,} files"


def _times(count: int, one: str) -> str:
    return f"1 {one}" if count == 1 else f"{count:,} {one}s"


def overview(module: Module, known: Graph) -> str:
    outlines = [known.outlines[path] for path in module.paths]
    lines = sum(outline.lines for outline in outlines)
    languages: dict[str, int] = {}
    for outline in outlines:
        languages[outline.language] = languages.get(outline.language, 0) + outline.lines
    most = sorted(languages, key=lambda name: (-languages[name], name))
    public = sum(
        symbol.public
        and not symbol.in_function
        and symbol.kind not in {"key", "heading", "package", "namespace"}
        for outline in outlines
        if outline.kind == "product"
        for symbol in outline.symbols
    )
    tests = sum(outline.kind in {"test", "fixture"} for outline in outlines)
    beside = f", {files(tests)} of tests among them" if 0 < tests < len(outlines) else ""
    by_name = sum(outline.how == "name" for outline in outlines)
    unread = f"; {files(by_name)} by name only" if by_name else ""
    size = f"{files(len(outlines))} with {_times(lines, 'line')} ({', '.join(most[:4])})"
    return f"{module.name} has {size}{beside} and {_times(public, 'public symbol')}{unread}."


def _components(facts: Facts, known: Graph) -> list[str]:
    found = []
    shown = [path for path in facts.central if known.outlines[path].kind == "product"] or list(facts.central)
    for path in shown[:MOST_COMPONENTS]:
        outline = known.outlines[path]
        main = main_symbol(outline)
        users = [user for user in known.imported_by.get(path, ()) if not is_test(user)]
        used = f"; used by {files(len(users))}" if users else ""
        text = purpose(outline).rstrip(".")
        found.append(f"{_name(path)}: {text}{used} [{path}:{main.line if main else 1}].")
    return found


def _interactions(module: Module, facts: Facts, known: Graph) -> list[str]:
    """Which of the module's files lean on which, the busiest first; the line is that of the first import."""
    own = set(module.paths)
    uses = {
        path: [
            other for other in known.imports.get(path, ()) if other in own and (path, other) in known.lines
        ]
        for path in facts.central
        if known.outlines[path].kind == "product"
    }
    busiest = sorted((path for path in uses if uses[path]), key=lambda path: (-len(uses[path]), path))
    return [
        f"Interaction: {_name(path)} uses {', '.join(map(_name, uses[path][:5]))}"
        f"{f' and {len(uses[path]) - 5} more' if len(uses[path]) > 5 else ''} "
        f"[{path}:{known.lines[path, uses[path][0]]}]."
        for path in busiest[:MOST_INTERACTIONS]
    ]


def _name(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder.rpartition('/')[2]}/{name}" if name in _COMMON_NAMES else name


_NOUNS: Final = {"asserts": "assertion", "has unsafe code": "block", "reads input": "place"}


def _observations(module: Module, facts: Facts, focus: str, signals: Signals) -> list[str]:
    """State what the focus found: how many calls of which kind, and the first of the file with most."""
    gathered: dict[str, list[tuple[int, str, int, str]]] = {}
    for path in dict.fromkeys((*facts.central, *facts.tests)):
        if focus != "testing" and is_test(path) and not all(map(is_test, module.paths)):
            continue
        for what, count, lines, name in signals.get(path, ()):
            gathered.setdefault(what, []).append((count, path, lines[0], name))
    found = []
    for what, places in gathered.items():
        total = sum(count for count, *_ in places)
        _, path, line, name = max(places, key=lambda place: place[0])
        if what.startswith("names with "):
            told = f"{_times(total, 'name')} with {what.removeprefix('names with ')}, such as {name}"
        else:
            noun = _NOUNS.get(what, "place" if name.startswith(("an ", "the ")) else "call")
            told = f"{what} in {_times(total, noun)}, such as {name}"
        spread = f", in {files(len(places))}" if len(places) > 1 else ""
        found.append(f"{focus.capitalize()}: {told}{spread} [{path}:{line}].")
    return found


def _risks(module: Module, known: Graph, facts: Facts) -> list[str]:
    found = [
        f"Risk: {files(len(cycle))} import each other in a cycle as they are loaded ({', '.join(cycle[:3])}) "
        f"[{cycle[0]}:{_cycle_line(cycle, known)}]."
        for cycle in facts.cycles[:MOST_RISKY_CYCLES]
    ]
    outlines = [
        outline
        for path in module.paths
        if (outline := known.outlines[path]).kind == "product" and outline.how == "grammar"
    ]
    large = [
        outline for outline in outlines if outline.lines >= GOD_LINES and len(outline.symbols) >= GOD_SYMBOLS
    ]
    found += [
        f"Risk: {one.path} has {one.lines:,} lines; split it by concern [{one.path}:{one.lines}]."
        for one in sorted(large, key=lambda one: -one.lines)[:2]
    ]
    functions = [
        (symbol.end_line - symbol.line + 1, outline.path, symbol)
        for outline in outlines
        for symbol in outline.symbols
        if symbol.kind in {"function", "method"}
    ]
    if functions:
        length, path, symbol = max(functions, key=lambda item: item[0])
        if length >= 80:
            found.append(
                f"Improve: {symbol.name} is {length} lines long; name its steps [{path}:{symbol.line}]."
            )
    users = {
        outline.path: len([user for user in known.imported_by.get(outline.path, ()) if not is_test(user)])
        for outline in outlines
    }
    hubs = sorted((path for path in users if users[path] >= HUB_USERS), key=lambda path: -users[path])
    found += [
        f"Hub: {files(users[path])} use {path}; changes there reach far [{path}:1]." for path in hubs[:2]
    ]
    if outlines and not facts.tests and not all(map(is_test, module.paths)):
        found.append(f"Risk: no test file imports it or is named after it [{outlines[0].path}:1].")
    return found[:8]


def _use(path: str, known: Graph) -> str:
    """Return a place where product code imports a file; "" where none has a line."""
    users = sorted(user for user in known.imported_by.get(path, ()) if not is_test(user))
    return next((f"{user}:{line}" for user in users if (line := known.lines.get((user, path)))), "")


def _cycle_line(cycle: Sequence[str], known: Graph) -> int:
    """Return the line where the first of a cycle imports another of it."""
    lines = [line for other in cycle if (line := known.lines.get((cycle[0], other)))]
    return min(lines, default=1)


def symbols(facts: Facts, known: Graph) -> list[str]:
    rows: dict[tuple[str, str], str] = {}
    for path in facts.central:
        outline = known.outlines[path]
        if outline.kind in {"test", "fixture", "generated"} and not all(map(is_test, facts.central)):
            continue
        holders = {
            one.name for one in outline.symbols if one.kind in {"namespace", "module"} and not one.parent
        }
        for symbol in outline.symbols:
            if symbol.parent and symbol.parent not in holders:
                continue
            if symbol.public and not symbol.in_function and symbol.kind not in _NO_SYMBOLS:
                rows.setdefault((path, symbol.name), f"{symbol.signature[:110]} ({path}:{symbol.line})")
    return _cut_rows(list(rows.values()))


_NO_SYMBOLS: Final = frozenset({"key", "heading", "package", "namespace", "impl"})


def _cut_rows(rows: list[str]) -> list[str]:
    return rows[:MOST_SYMBOLS] + [f"and {len(rows) - MOST_SYMBOLS} more"] * (len(rows) > MOST_SYMBOLS)
