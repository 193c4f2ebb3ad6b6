"""The outline of a file: what it defines and imports, its own words on what it is for, and what stands out.

Runs in worker processes only (workers.py). Definitions come from tree-sitter with our own queries, a file per
language in queries/; documents and configuration by headings and keys; anything else by its head.
Not `ast`: it knows the running interpreter's grammar alone, and rejects what a newer Python writes.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fanout_mcp.source import notable, plain, shape
from fanout_mcp.source.captured import Found, captured, ordered, text_of
from fanout_mcp.source.docs import doc_above, first_child, first_sentence, opening
from fanout_mcp.source.languages import Language, language_of
from fanout_mcp.source.read import Skipped, read_bytes
from fanout_mcp.source.secrets import is_secret_path, redact
from fanout_mcp.source.tokens import count
from fanout_mcp.source.visible import given, is_public
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from tree_sitter import Node

VERSION: Final = 13
"""Part of every cache key: raise it when an outline changes."""

LONGEST_SIGNATURE: Final = 200
MOST_SYMBOLS: Final = 4_000

_ATTRIBUTES: Final = frozenset({"annotation", "marker_annotation", "attribute_list", "decorator"})
_VALUE: Final = re.compile(rb"\s{0,99}=(?![>=])")


@dataclass(frozen=True, slots=True)
class Symbol:
    """One definition; lines count from 1, the line is the one where its name stands."""

    kind: str
    name: str
    line: int
    end_line: int
    signature: str
    doc: str = ""
    parent: str = ""
    """Dotted names of what it stands in; empty at the top level."""
    public: bool = True
    in_function: bool = False


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of one file. `skipped`: why it was not analysed; then the rest is empty."""

    path: str
    language: str = ""
    size: int = 0
    lines: int = 0
    tokens: int = 0
    doc: str = ""
    symbols: tuple[Symbol, ...] = ()
    imports: tuple[str, ...] = ()
    notes: tuple[str, ...] = ()
    entry: int = 0
    """The line where a program starts; 0 when none does."""
    skipped: str = ""
    branches: int = 0
    """Where the code may go one way or the other: with churn, what makes a file a hot spot."""


def outline_file(item: Json) -> Json:
    """Outline `[root, path]`: the function that workers are asked for."""
    root, path = item
    return as_json(outline_path(Path(root), path))


def outline_path(root: Path, path: str) -> Outline:
    if is_secret_path(path):
        return Outline(path, skipped="secret file")
    from fanout_mcp.source.read import decode, is_binary

    data = read_bytes(root, path)
    if isinstance(data, Skipped):
        return Outline(path, skipped=data.reason)
    if is_binary(data):
        return Outline(path, skipped="binary")
    text, encoding = decode(data)
    problem = shape.problem(data if encoding == "utf-8" else text.encode("utf-8", "replace"))
    if problem:
        return Outline(path, size=len(data), skipped=problem)
    return outline_text(path, text)


def outline_text(path: str, text: str) -> Outline:
    """Outline a text that passed the prefilter."""
    lines = text.count("\n") + (not text.endswith("\n") and bool(text))
    language = language_of(path, text[:200])
    if language is None:
        kind, doc, places = plain.describe(path, text)
        what = "heading" if kind == "Markdown" else "key"
        names = [(redact(name)[0], line) for name, line in places]
        symbols = tuple(Symbol(what, name, line, line, name) for name, line in names)
        package = plain.package(path, text)
        if package:
            symbols += (Symbol("package", package[0], package[1], package[1], f"name {package[0]}"),)
        return Outline(path, kind, len(text), lines, count(text), redact(doc)[0], symbols)
    return _outline_code(path, text, lines, language)


def _outline_code(path: str, text: str, lines: int, language: Language) -> Outline:
    data = text.encode("utf-8", "replace")
    read = captured(data, language)
    definitions = read.found
    if language.queries[0] == "script":
        definitions = given(definitions, read.exported, data)
    doc, symbols = _scrubbed(opening(text, read.root, language), _nested(definitions, data, language))
    return Outline(
        path,
        language.name,
        len(text),
        lines,
        count(text),
        doc,
        symbols,
        tuple(read.imports),
        tuple(notable.notes(text, symbols, is_whole=not read.root.has_error)),
        notable.entry(text, language, symbols),
        branches=notable.branches(text, language),
    )


def _nested(definitions: list[Found], data: bytes, language: Language) -> list[Symbol]:
    """Order by place, drop what two patterns found, and give each its parents."""
    source = data.split(b"\n")
    open_ones: list[tuple[int, str, bool]] = []
    symbols: list[Symbol] = []
    seen: set[tuple[int, str]] = set()
    for start, end, found in ordered(definitions):
        _, kind, name, _ = found
        if (start, name) in seen:
            continue
        seen.add((start, name))
        while open_ones and (open_ones[-1][0] <= start or (open_ones[-1][0] == end and _is_beside(found))):
            open_ones.pop()
        symbols.append(_symbol(found, open_ones, data, source, language))
        open_ones.append((end, name, kind in notable.CALLABLE or bool(open_ones and open_ones[-1][2])))
    return symbols[:MOST_SYMBOLS]


def _is_beside(found: Found) -> bool:
    """Tell what ends with its neighbour and stands in none: `const A, B = 1, 2`, `a.b = a.c = () => 1`."""
    return found.kind == "constant" or found.node.type == "assignment_expression"


def _scrubbed(doc: str, symbols: list[Symbol]) -> tuple[str, tuple[Symbol, ...]]:
    """Take secrets out of all at once: signatures and docs hold no line ends, and redaction keeps lines."""
    texts = [doc, *(text for symbol in symbols for text in (symbol.signature, symbol.doc))]
    scrubbed, count = redact("\n".join(texts))
    if not count:
        return doc, tuple(symbols)
    doc, *rest = scrubbed.split("\n")
    lines = iter(rest)
    return doc, tuple(replace(symbol, signature=next(lines), doc=next(lines)) for symbol in symbols)


def _symbol(
    found: Found,
    open_ones: list[tuple[int, str, bool]],
    data: bytes,
    source: list[bytes],
    language: Language,
) -> Symbol:
    node, kind, name, row = found
    in_function = bool(open_ones and open_ones[-1][2])
    if kind == "function" and open_ones and not in_function and language.name in {"Python", "Rust", "C++"}:
        kind = "method"
    body = None if kind == "constant" else _body(node)
    signature = _signature(found, body, data, source)
    doc = "" if in_function else _doc(body, source, node, language)
    return Symbol(
        kind,
        name,
        row + 1,
        node.end_point[0] + 1,
        signature,
        doc,
        ".".join(name for _, name, _ in open_ones),
        is_public(name, signature, kind, language.name),
        in_function,
    )


def _body(node: Node) -> Node | None:
    for holder in (node, node.child_by_field_name("value"), node.child_by_field_name("right")):
        body = holder.child_by_field_name("body") if holder else None
        if body is not None:
            return body
    return None


def _signature(found: Found, body: Node | None, data: bytes, source: list[bytes]) -> str:
    # Cut from the file's bytes: node.text copies a whole class for its first line.
    node = found.node
    start = node.start_byte if found.row == node.start_point[0] else _past_attributes(node)
    longest = start + 4 * LONGEST_SIGNATURE
    if body is not None:
        raw = data[start : min(_head_end(body), longest)]
    elif node.is_named:
        raw = data[start : min(node.end_byte, longest)].split(b"{", 1)[0]
    else:  # a keyword among a macro's tokens: its line has the rest
        raw = source[found.row].split(b"{", 1)[0]
    if found.kind == "constant":  # its name and type: a value may be long, or a secret
        raw = _VALUE.split(raw, 1)[0]
    text = " ".join(raw.decode("utf-8", "replace").split())
    text = text.rstrip("{:;= ").removesuffix("=>").rstrip()
    return text if len(text) <= LONGEST_SIGNATURE else text[: LONGEST_SIGNATURE - 1] + "…"


def _past_attributes(node: Node) -> int:
    """Return where the definition begins behind what is written above it in brackets or with an @."""
    first: Node | None = node.child(0)
    if first is not None and first.type == "modifiers":
        first = first.child(0)
    while first is not None and first.type in _ATTRIBUTES:
        holder = first.parent
        first = first.next_sibling or (holder and holder.next_sibling)
    return first.start_byte if first is not None else node.start_byte


def _head_end(body: Node) -> int:
    """Return where the body begins, or the comments between it and the colon of a Python definition."""
    last = body.prev_sibling
    while last is not None and last.type == "comment":
        body, last = last, last.prev_sibling
    return body.start_byte


def _doc(body: Node | None, source: list[bytes], node: Node, language: Language) -> str:
    if language.name != "Python":
        return doc_above(source, node.start_point[0], language)
    first = first_child(body)
    string = first_child(first) if first is not None and first.type == "expression_statement" else first
    return first_sentence(text_of(string)) if string is not None and string.type == "string" else ""


def as_json(outline: Outline) -> Json:
    fields = [getattr(outline, name) for name in outline.__slots__]
    fields[6] = [[getattr(symbol, name) for name in symbol.__slots__] for symbol in outline.symbols]
    return fields


def from_json(fields: Json) -> Outline:
    path, language, size, lines, tokens, doc, symbols, imports, notes, entry, skipped, branches = fields
    return Outline(
        path,
        language,
        size,
        lines,
        tokens,
        doc,
        tuple(Symbol(*symbol) for symbol in symbols),
        tuple(imports),
        tuple(notes),
        entry,
        skipped,
        branches,
    )
