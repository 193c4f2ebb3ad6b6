"""What a file is for, in one line: its own first sentence, else derived from what it defines."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

from fanout_mcp.source.outline import Outline, Symbol

LONGEST: Final = 160
LONGEST_SIGNATURE: Final = 120
LONGEST_DOC: Final = 80
LONGEST_BARE: Final = 40
MOST_SYMBOLS: Final = 800
LONGEST_SYMBOLS: Final = 36_000
"""Characters of all rows of a file: one file's answer stays below what a client shows."""

_FUNCTIONS: Final = frozenset({"function", "method", "constructor"})
_PLAIN: Final = frozenset({"constant", "variable", "export"})
_NOISE: Final = ("async def ", "def ", "function ", "func ", "fn ")


def purpose(outline: Outline) -> str:
    """Return one line of at most 160 characters."""
    if outline.skipped:
        return f"not read: {outline.skipped}"
    return _cut(outline.doc or derived(outline), LONGEST)


def derived(outline: Outline) -> str:
    """Say what the structure says: types by name, functions, where it starts, what it leans on."""
    top = [symbol for symbol in outline.symbols if not symbol.parent]
    if outline.symbols and outline.symbols[0].kind in {"key", "heading"}:
        return f"{outline.language}: {_some([symbol.name for symbol in top], 6)}"
    exports = [symbol.name for symbol in top if symbol.kind == "export"]
    types = [_headline(symbol) for symbol in top if symbol.kind not in _FUNCTIONS | _PLAIN]
    functions = [symbol.name for symbol in top if symbol.kind in _FUNCTIONS]
    constants = [symbol.name for symbol in top if symbol.kind == "constant"]
    parts = []
    if types:
        parts.append(f"defines {_some(types, 4)}")
    if functions:
        parts.append(f"functions {_some(functions, 4)}")
    if constants and not (types or functions):
        parts.append(f"constants {_some(constants, 4)}")
    if exports:
        parts.append(f"exports {_some(exports, 4)}")
    if outline.entry:
        parts.append("starts a program")
    if outline.imports:
        parts.append(f"imports {_some([*dict.fromkeys(_root(name) for name in outline.imports)], 4)}")
    if parts:
        return "; ".join(parts)
    return f"{outline.language or 'text'} without definitions, {outline.lines} lines"


def symbols(outline: Outline, most: int = MOST_SYMBOLS) -> list[str]:
    """Return every public symbol as `line signature - doc`, members indented below what holds them.

    A file with very many gets shorter rows, so that all names still fit an answer.
    """
    shown = [symbol for symbol in outline.symbols if symbol.public and not symbol.in_function]
    holders = {_full(symbol) for symbol in shown}
    shown = [symbol for symbol in shown if not symbol.parent or symbol.parent in holders]
    passed_on = [symbol for symbol in shown if symbol.kind == "export"]
    shown = [symbol for symbol in shown if symbol.kind != "export"]
    for form in (_row, _signed, _bare):
        rows = [form(symbol) for symbol in shown[:most]]
        if sum(map(len, rows)) <= LONGEST_SYMBOLS:
            break
    rows += [f"and {len(shown) - most} more"] * (len(shown) > most)
    return (
        rows + _passed_on(passed_on[:most]) + [f"and {len(passed_on) - most} more"] * (len(passed_on) > most)
    )


def _passed_on(exports: Sequence[Symbol]) -> list[str]:
    """Name what a file only passes on: many to a row, which begins with the line of the first."""
    rows: list[str] = []
    for symbol in exports:
        if rows and len(rows[-1]) + len(symbol.name) < LONGEST_SIGNATURE:
            rows[-1] += f", {symbol.name}"
        else:
            rows.append(f"{symbol.line} exports {symbol.name}")
    return rows


def dependencies(outline: Outline, most: int = 20) -> list[str]:
    """Return what it imports: `from a.b import x, y` is a.b once."""
    names: dict[str, None] = {}
    for name in outline.imports:
        names[name.rpartition(".")[0] or name if outline.language == "Python" else name] = None
    found = [name for name in names if name]
    return found[:most] + [f"and {len(found) - most} more"] * (len(found) > most)


def _row(symbol: Symbol) -> str:
    doc = f" - {_cut(symbol.doc, LONGEST_DOC)}" if symbol.doc else ""
    return _signed(symbol) + doc


def _signed(symbol: Symbol) -> str:
    text = symbol.signature
    for noise in _NOISE:
        text = text.removeprefix(noise)
    if symbol.name.rpartition(".")[2] not in text:
        text = symbol.name
    return f"{_indent(symbol)}{symbol.line} {_cut(text, LONGEST_SIGNATURE)}"


def _bare(symbol: Symbol) -> str:
    return f"{_indent(symbol)}{symbol.line} {_cut(symbol.name, LONGEST_BARE)}"


def _indent(symbol: Symbol) -> str:
    return " " * (symbol.parent.count(".") + bool(symbol.parent))


def _full(symbol: Symbol) -> str:
    return f"{symbol.parent}.{symbol.name}" if symbol.parent else symbol.name


def _headline(symbol: Symbol) -> str:
    for word in ("class ", "struct ", "interface "):
        _, found, rest = symbol.signature.partition(word)
        if found and rest.startswith(symbol.name):
            return _cut(rest, 50)
    return symbol.name


def _root(name: str) -> str:
    return name.lstrip(".").split(".")[0] if not name.startswith((".", "/")) else name


def _some(names: Sequence[str], most: int) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
