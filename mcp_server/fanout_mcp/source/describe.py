"""The structural report of a module: what its structure proves, each statement with its place."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from fanout_mcp.source.modules import Facts, Graph, Module, shortened
from fanout_mcp.source.outline import Outline, Symbol
from fanout_mcp.source.purpose import purpose
from fanout_mcp.types import Json

MOST_SYMBOLS: Final = 40
MOST_COMPONENTS: Final = 8
MOST_INTERACTIONS: Final = 4
MOST_CYCLES: Final = 10
MOST_IN_CYCLE: Final = 8
MOST_RISKY_CYCLES: Final = 3
_COMMON_NAMES: Final = frozenset({"__init__.py", "mod.rs", "lib.rs", "index.js", "index.ts", "main.go"})
"""Names that say nothing without their folder."""

GOD_LINES: Final = 800
HUB_USERS: Final = 10

Signals = Mapping[str, Sequence[Any]]
"""Path to `[what, count, [lines]]`, as signals.scan_file returns."""


def described(module: Module, known: Graph, facts: Facts, focus: str, signals: Signals) -> dict[str, Json]:
    """Return a module's fields as the static engine knows them."""
    statements = [
        *_components(facts, known),
        *_interactions(module, facts, known),
        *_observations(facts, focus, signals),
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
        "imports": [*facts.imports, *(f"{name} (external)" for name in facts.external)],
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


def module_purpose(module: Module, known: Graph, facts: Facts) -> str:
    """A package's own words, else those of its central file."""
    own = [known.outlines[path] for path in module.paths]
    for outline in own:
        if outline.doc and outline.path.rpartition("/")[2] in {"__init__.py", "mod.rs", "lib.rs", "doc.go"}:
            return outline.doc
    if not facts.central:
        return "holds no code"
    central = known.outlines[facts.central[0]]
    if len(own) == 1:
        return purpose(central)
    return f"{len(own)} files around {central.path.rpartition('/')[2]}: {purpose(central)}"


def overview(module: Module, known: Graph) -> str:
    outlines = [known.outlines[path] for path in module.paths]
    lines = sum(outline.lines for outline in outlines)
    languages = sorted({outline.language for outline in outlines})
    public = sum(
        symbol.public and not symbol.in_function for outline in outlines for symbol in outline.symbols
    )
    return (
        f"{module.name} has {len(outlines)} files with {lines:,} lines ({', '.join(languages[:4])}) and "
        f"{public} public symbols."
    )


def _components(facts: Facts, known: Graph) -> list[str]:
    found = []
    for path in facts.central[:MOST_COMPONENTS]:
        outline = known.outlines[path]
        main = _main(outline)
        users = len(known.imported_by.get(path, ()))
        used = f"; imported by {users} files" if users else ""
        text = purpose(outline).rstrip(".")
        found.append(f"{_name(path)}: {text}{used} [{path}:{main.line if main else 1}].")
    return found


def _interactions(module: Module, facts: Facts, known: Graph) -> list[str]:
    """Which of the module's files lean on which, the busiest first."""
    own = set(module.paths)
    uses = {path: [other for other in known.imports.get(path, ()) if other in own] for path in facts.central}
    busiest = sorted((path for path in uses if uses[path]), key=lambda path: (-len(uses[path]), path))
    return [
        f"Interaction: {_name(path)} uses {', '.join(map(_name, uses[path][:5]))}"
        f"{f' and {len(uses[path]) - 5} more' if len(uses[path]) > 5 else ''} [{path}:1]."
        for path in busiest[:MOST_INTERACTIONS]
    ]


def _name(path: str) -> str:
    folder, _, name = path.rpartition("/")
    return f"{folder.rpartition('/')[2]}/{name}" if name in _COMMON_NAMES else name


def _main(outline: Outline) -> Symbol | None:
    """The largest public definition at the top level."""
    top = [symbol for symbol in outline.symbols if symbol.public and not symbol.parent]
    return max(top, key=lambda symbol: symbol.end_line - symbol.line, default=None)


def _observations(facts: Facts, focus: str, signals: Signals) -> list[str]:
    gathered: dict[str, list[tuple[int, str, int]]] = {}
    for path in facts.central:
        for what, count, lines in signals.get(path, ()):
            gathered.setdefault(what, []).append((count, path, lines[0]))
    found = []
    for what, places in gathered.items():
        total = sum(count for count, _, _ in places)
        _, path, line = max(places, key=lambda place: place[0])
        found.append(
            f"{focus.capitalize()}: {what} at {total} places in {len(places)} files [{path}:{line}]."
        )
    return found


def _risks(module: Module, known: Graph, facts: Facts) -> list[str]:
    found = [
        f"Risk: {len(cycle)} files import each other in a cycle ({', '.join(cycle[:3])}) [{cycle[0]}:1]."
        for cycle in facts.cycles[:MOST_RISKY_CYCLES]
    ]
    outlines = [known.outlines[path] for path in module.paths]
    large = [outline for outline in outlines if outline.lines >= GOD_LINES]
    found += [
        f"Risk: {outline.path} has {outline.lines:,} lines; split it by concern [{outline.path}:1]."
        for outline in sorted(large, key=lambda outline: -outline.lines)[:2]
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
    users = {outline.path: len(known.imported_by.get(outline.path, ())) for outline in outlines}
    found += [
        f"Hub: {count} files import {path}; changes there reach far [{path}:1]."
        for path, count in users.items()
        if count >= HUB_USERS
    ]
    if not facts.tests:
        found.append(f"Risk: no test file imports it or is named after it [{module.paths[0]}:1].")
    return found[:8]


def symbols(facts: Facts, known: Graph) -> list[str]:
    rows = [
        f"{symbol.signature[:110]} ({path}:{symbol.line})"
        for path in facts.central
        for symbol in known.outlines[path].symbols
        if symbol.public and not symbol.parent and symbol.kind not in {"key", "heading", "package"}
    ]
    return rows[:MOST_SYMBOLS] + [f"and {len(rows) - MOST_SYMBOLS} more"] * (len(rows) > MOST_SYMBOLS)
