"""What a file is for, in one line: its own first sentence, else derived from what it defines."""

from __future__ import annotations

import posixpath
import re
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

_FUNCTIONS: Final = frozenset({"function", "method", "constructor", "macro", "rpc"})
_PLAIN: Final = frozenset({"constant", "variable", "export", "property", "component"})
_HOLDERS: Final = frozenset({"namespace", "module", "impl", "package"})
"""What holds definitions and is none by itself."""

SEVERAL: Final = 2
"""Definitions of a file from which on the doc of one is told with its name."""

_NOT_CODE: Final = frozenset({"key", "heading", "package"})
_NOISE: Final = ("async def ", "def ", "function ", "func ", "fn ")


def purpose(outline: Outline) -> str:
    """Return one line of at most 160 characters: what its author wrote, else what it defines, labelled."""
    if outline.skipped:
        return f"not read: {outline.skipped}"
    return _cut(written(outline) or outline.doc or derived(outline), LONGEST)


def written(outline: Outline) -> str:
    """Return the first sentence that a human wrote: of the file, else of its main public definition."""
    own = "" if outline.doc.startswith("begins: ") else outline.doc  # a text's first words are no description
    return own or _main_doc(outline)


def main_symbol(outline: Outline) -> Symbol | None:
    """Return the public definition that a file is about: the one it is named after, else the longest."""
    own = [symbol for symbol in outline.symbols if symbol.public and not symbol.in_function]
    holders = {symbol.name for symbol in own if symbol.kind in _HOLDERS and not symbol.parent}
    top = [
        symbol for symbol in own if symbol.kind not in _HOLDERS | _NOT_CODE and not _parents(symbol, holders)
    ]
    if not top:
        return next((symbol for symbol in own if symbol.kind == "module"), None)
    stem = _letters(posixpath.basename(outline.path).partition(".")[0])
    named = [symbol for symbol in top if _letters(symbol.name) == stem]
    return max(
        named or top,
        key=lambda symbol: (
            symbol.kind not in _PLAIN,
            symbol.kind not in _FUNCTIONS,
            symbol.end_line - symbol.line,
        ),
    )


def _main_doc(outline: Outline) -> str:
    main = main_symbol(outline)
    if main is None:
        return ""
    if main.doc:
        others = sum(
            symbol.public and not symbol.parent and symbol.kind not in _PLAIN | _HOLDERS
            for symbol in outline.symbols
        )
        is_named = _letters(main.name) == _letters(posixpath.basename(outline.path).partition(".")[0])
        return (
            main.doc if is_named or others <= SEVERAL or main.name in main.doc else f"{main.name}: {main.doc}"
        )
    documented = [
        symbol
        for symbol in outline.symbols
        if symbol.doc
        and symbol.public
        and not symbol.in_function
        and not symbol.parent
        and symbol.kind not in _PLAIN
    ]
    best = max(documented, key=lambda symbol: symbol.end_line - symbol.line, default=None)
    return f"{best.name}: {best.doc}" if best else ""


def _parents(symbol: Symbol, holders: set[str]) -> bool:
    """Tell a member of a type; what is in a namespace alone is at the top."""
    return bool(symbol.parent) and symbol.parent not in holders


def _letters(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def derived(outline: Outline, users: Sequence[str] = ()) -> str:
    """Say what its names say: what it defines, and who uses it; imports are no purpose."""
    top = [symbol for symbol in outline.symbols if not symbol.parent]
    if outline.symbols and outline.symbols[0].kind in {"key", "heading"}:
        return f"{outline.language}: {_some([symbol.name for symbol in top], 6)}"
    shown = [symbol for symbol in top if symbol.public] or top
    inside = [symbol for symbol in outline.symbols if symbol.public and not symbol.in_function]
    shown = [symbol for symbol in shown if symbol.kind not in _HOLDERS] or inside or shown
    types = [_headline(symbol) for symbol in shown if symbol.kind not in _FUNCTIONS | _PLAIN | _HOLDERS]
    functions = [symbol.name for symbol in shown if symbol.kind in _FUNCTIONS]
    rest = [symbol.name for symbol in shown if symbol.kind in {"constant", "variable", "property"}]
    exports = [symbol.name for symbol in top if symbol.kind == "export"]
    names = [name for name in dict.fromkeys([*types, *functions] or rest) if name != "default"]
    if names:
        what = f"defines {_some(names, 4)}"
    elif exports:
        what = f"passes on {_some(exports, 4)}"
    else:
        lines = "1 line" if outline.lines == 1 else f"{outline.lines:,} lines"
        what = f"{outline.language or 'text'} without definitions, {lines}"
    start = "; starts a program" if outline.entry else ""
    used = f" for {_some(list(users), 3)}" if users else ""
    return f"no description; {what}{used}{start} (derived)"


def symbols(outline: Outline, most: int = MOST_SYMBOLS) -> list[str]:
    """Return every public symbol as `line signature - doc`, members indented below what holds them.

    A file with very many gets shorter rows, so that all names still fit an answer.
    """
    shown = _once([symbol for symbol in outline.symbols if symbol.public and not symbol.in_function])
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


def _once(found: Sequence[Symbol]) -> list[Symbol]:
    """Leave of overloads the first that has a doc, else the first: at most one of a name and holder."""
    chosen: dict[tuple[str, str], Symbol] = {}
    for symbol in found:
        known = chosen.get((symbol.parent, symbol.name))
        if known is None or (symbol.doc and not known.doc):
            chosen[symbol.parent, symbol.name] = symbol
    return [
        symbol
        for symbol in found
        if symbol.kind not in _FUNCTIONS or chosen[symbol.parent, symbol.name] is symbol
    ]


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


def _some(names: Sequence[str], most: int) -> str:
    rest = len(names) - most
    return ", ".join(names[:most]) + (f" and {rest} more" if rest > 0 else "")


def _cut(text: str, longest: int) -> str:
    return text if len(text) <= longest else text[: longest - 1] + "…"
