"""The outline of a file: what it defines and imports, its own words on what it is for, and what stands out.

Runs in worker processes only (workers.py). Definitions come from tree-sitter with our own queries, a file per
language in queries/; documents and configuration by headings and keys; anything else by its head.
Not `ast`: it knows the running interpreter's grammar alone, and rejects what a newer Python writes.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from sys import intern
from typing import TYPE_CHECKING, Final, Literal

from fanout_mcp.source.kinds import HEAD, Kind, kind_of
from fanout_mcp.source.read import Skipped, read_to_parse
from fanout_mcp.source.receipt import count
from fanout_mcp.source.secrets import redact
from fanout_mcp.structure import documents, manifests
from fanout_mcp.structure.comments import (
    block_doc,
    doc_above,
    docstring,
    elixir_doc,
    first_child,
    opening,
    plain_text,
)
from fanout_mcp.structure.documents import Script, script_of
from fanout_mcp.structure.languages import (
    Captured,
    Found,
    Language,
    captured,
    language_of,
    ordered,
    table,
    text_of,
)
from fanout_mcp.text import clip
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from tree_sitter import Node


# --- visible ------------------------------------------------------------------------------------------------
# Which definitions others may name: by keyword, by the form of the name, by what a file says it exports.

_HIDDEN: Final = re.compile(r"\b(?:private|protected|fileprivate)\b")
_PLAIN_MEMBER: Final = re.compile(r"(?:(?:static|async|readonly|unsafe|extern)\s)+(?!.*\bpublic\b)")
"""What C# hides, for it says nothing else. An interface's members say nothing at all, and are public."""

_HIDING: Final[Mapping[str, str | tuple[str, ...]]] = {
    "Lua": "local ",
    "Elixir": ("defp ", "defmacrop ", "defguardp ", "@typep ", "defnp "),
}
"""How a definition begins that its file keeps to itself."""


def given(found: Sequence[Found], exported: set[str], data: bytes, *, is_test: bool) -> list[Found]:
    """Tell a script's variables that others may name; keep an export where nothing else has its name.

    A script that exports nothing gives all that it defines at the top: it shares its page's names. A test's
    callbacks define nothing that the file is about.
    """
    own = {one.name.rpartition(".")[2] for one in found if one.kind not in {"export", "method"}}
    exported = exported | {one.name for one in found if one.kind == "export"}
    is_open = b"export" not in data
    kept = []
    for one in found:
        if _HANDLER.search(one.name) or (is_test and _is_handed_over(one.node)):
            continue
        if one.kind == "export":
            if one.name in own:
                continue
            own.add(one.name)
        elif one.kind == "variable":
            if b"require(" in data[one.node.start_byte : one.node.end_byte]:
                continue
            if is_open or one.name in exported:
                kept.append(one._replace(kind="constant"))
                continue
        kept.append(one)
    return kept


_HANDLER: Final = re.compile(r"(?<!exports)(?<!prototype)\.on(?!line$)[a-z]{3,}$")
"""What an object is given to call: `request.onload = () => ...` defines nothing."""


def _is_handed_over(node: Node) -> bool:
    above = node.parent
    while above is not None and above.type != "arguments":
        above = above.parent
    return above is not None


def is_public(name: str, signature: str, kind: str, language: str) -> bool:
    if language == "Go":
        return name[:1].isupper()
    if language == "Rust":
        return signature.startswith("pub") or (
            kind in {"impl", "method", "macro"} and not name.startswith("_")
        )
    if language == "Zig":
        return signature.startswith(("pub ", "export ")) or kind == "impl"
    if language in _HIDING:
        return not signature.startswith(_HIDING[language]) and not name.startswith("_")
    if language == "HCL":
        return True
    if language == "Solidity":
        return not re.search(r"\b(?:private|internal)\b", signature)
    if language == "C":
        return not signature.startswith("static ")
    if language == "C#" and kind in CALLABLE and _PLAIN_MEMBER.match(signature):
        return False
    if name.startswith("__") and name.endswith("__"):
        return name in {"__init__", "__call__", "__enter__", "__aenter__", "__iter__"}
    if language == "Python":
        return not name.startswith("_")
    # Before the name: its constructor or one of its parameters may be private.
    head = signature.partition(name if name and name in signature else "(")[0]
    return kind != "variable" and not name.startswith(("_", "#")) and not _HIDDEN.search(head)


# --- What stands out in a file: where a program starts, how much it branches, what to know first. -----------

LONG_FUNCTION: Final = 100
CALLABLE: Final = frozenset({"function", "method", "constructor"})


def _any_of(words: str) -> str:
    """Match whole words, each by its first letter: behind a leading word boundary no place is skipped."""
    return "|".join(rf"{word}\b(?<!\w{word})" for word in words.split())


_BRANCH: Final = re.compile(_any_of("if for while case catch when unless") + r"|&&|\|\|")
_PYTHON_BRANCH: Final = re.compile(_any_of("if elif for while case except"))
_MARKS: Final = ("TODO", "FIXME", "XXX", "HACK")
_NOTES: Final = re.compile(rf"\b(?:{'|'.join(_MARKS)})\b")
_MAIN: Final = {
    language: (sign, re.compile(pattern, re.MULTILINE))
    for language, (sign, pattern) in table()["main"].items()
}
"""Where a program starts: what a file without it can't hold, found by plain search, and the pattern."""


def entry(text: str, language: Language, symbols: Sequence[Symbol]) -> int:
    """Return the line where a program starts; 0 when none does, or only in a text that the file quotes."""
    sign, pattern = _MAIN.get(language.name, ("", None))
    if pattern is None or sign not in text:
        return 0
    mains = {symbol.line for symbol in symbols if symbol.name in {"main", "Main"}}
    lines = (text.count("\n", 0, match.start()) + 1 for match in pattern.finditer(text))
    return next((line for line in lines if line in mains or language.name == "Python"), 0)


def notes(text: str, symbols: Sequence[Symbol], *, is_whole: bool) -> Iterator[str]:
    if not is_whole:
        yield "has syntax that the parser did not understand; the outline may miss something"
    marks = len(_NOTES.findall(text)) if any(mark in text for mark in _MARKS) else 0
    if marks:
        yield f"{marks} TODO or FIXME"
    functions = (symbol for symbol in symbols if symbol.kind in CALLABLE)
    longest = max(functions, key=lambda symbol: symbol.end_line - symbol.line, default=None)
    if longest and longest.end_line - longest.line >= LONG_FUNCTION:
        yield f"{longest.name} is {longest.end_line - longest.line + 1} lines long (line {longest.line})"


# --- outline ------------------------------------------------------------------------------------------

VERSION: Final = 25
"""Part of every cache key: raise it when an outline changes."""

MAX_SIGNATURE: Final = 200
MAX_SYMBOLS: Final = 4_000

How = Literal["grammar", "patterns", "keys", "name"]

_TYPE_NAME: Final = re.compile(r"\b[A-Z]\w+")
_COMMENTS: Final = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)|(?<!\\)\"(?:[^\"\\\n]|\\.)*+\"", re.DOTALL)
MAX_USES: Final = 400

_ATTRIBUTES: Final = frozenset({"annotation", "marker_annotation", "attribute_list", "decorator"})
_VALUE: Final = re.compile(rb"\s{0,99}=(?![>=])")
_RIGHT_SIDE: Final = re.compile(rb"(?<!\s)(?:\s++(?:=|where)|\s*+\|)(?=\s)")


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
    """Dotted names of what holds it; empty at the top level."""
    public: bool = True
    in_function: bool = False

    @property
    def full(self) -> str:
        return f"{self.parent}.{self.name}" if self.parent else self.name

    @property
    def is_offered(self) -> bool:
        """Others may name it."""
        return self.public and not self.in_function


@dataclass(frozen=True, slots=True)
class Outline:
    """What is known of one file. `skipped`: why it was not analysed; then the rest is empty."""

    path: str
    language: str = ""
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
    kind: Kind = "product"
    how: How = "grammar"
    """What the symbols come from; `name`: nothing is known but the name and its first words."""
    package: str = ""
    """What the file says it belongs to: a Go or Java package, a namespace, a Haskell module."""
    import_lines: tuple[int, ...] = ()
    """The line of each import."""
    late: tuple[tuple[str, str], ...] = ()
    """Imports that loading the file does not run: with `types` or `local`."""
    uses: tuple[str, ...] = ()
    """Names that the file takes from its imports, where an import names no file: `path/to/package.Name`."""
    declares: tuple[tuple[str, str, str, int], ...] = ()
    """What a manifest declares (manifests.py): what, a name, a value, the line."""
    doc_line: int = 1
    """Where `doc` begins."""


def outline_file(item: Json) -> Json:
    """Outline `[root, path]`: the function that workers are asked for."""
    root, path = item
    return as_json(outline_path(Path(root), path))


def outline_path(root: Path, path: str) -> Outline:
    source = read_to_parse(root, path)
    if isinstance(source, Skipped):
        return Outline(path, skipped=source.reason)
    outline = outline_text(path, source.text)
    title = next((one for one in outline.symbols[:1] if one.kind == "heading"), None)
    if title and outline.doc.startswith(plain_text(title.name.lstrip("# "))):
        return replace(outline, doc_line=title.line)  # badges above it may name it, too
    return replace(outline, doc_line=_line_of(outline.doc, source.text))


def _line_of(doc: str, text: str) -> int:
    """Find the line where a doc begins: its first words, whatever marks are between."""
    words = re.findall(r"[^\W_]+", doc.partition(": ")[0][:60])
    for most in (5, 3, 2, 1):
        begins = r"[\W_]+".join(map(re.escape, words[:most]))
        found = re.search(rf"(?<![^\W_]){begins}(?![^\W_])", text[:20_000]) if words else None
        if found:
            return text.count("\n", 0, found.start()) + 1
    return 1


def outline_text(path: str, text: str) -> Outline:
    """Outline a text that passed the prefilter; of a notebook the text of its cells."""
    lines = text.count("\n") + (not text.endswith("\n") and bool(text))
    kind = kind_of(path, text[:HEAD])
    outline = Outline(path, lines=lines, tokens=count(text), kind=kind)
    language = language_of(path, text[:200])
    inner = script_of(path, text) if language is None else None
    if language is not None:
        return _outline_code(outline, text, language)
    if inner is not None:
        return _outline_script(outline, inner)
    form = documents.form_of(path)
    return _outline_patterns(outline, text, form) if form else _outline_plain(outline, text)


def _outline_script(outline: Outline, inner: Script) -> Outline:
    own = Symbol("component", inner.name, 1, max(1, outline.lines), inner.name)
    outline = replace(_outline_code(outline, inner.text, inner.language), language=inner.kind)
    symbols = (own, *outline.symbols) if inner.name else outline.symbols
    return replace(outline, symbols=symbols, doc=outline.doc or inner.doc)


def _outline_patterns(outline: Outline, text: str, form: documents.Form) -> Outline:
    read = documents.read_patterns(text, form)
    symbols = [
        Symbol(what, name, line, line, signature, doc)
        for what, name, line, signature, doc in read.definitions
    ]
    doc, scrubbed = _scrubbed(read.doc, symbols)
    return replace(
        outline,
        language=read.language,
        doc=doc,
        symbols=scrubbed,
        imports=tuple(name for name, _ in read.imports),
        import_lines=tuple(line for _, line in read.imports),
        notes=(f"{read.language} is outlined by patterns, not by a grammar",),
        how="patterns",
    )


def _outline_plain(outline: Outline, text: str) -> Outline:
    language, doc, places = documents.describe(outline.path, text)
    what = "heading" if language == "Markdown" else "key"
    often = Counter(name for name, *_ in places)  # `### Fixed` of each version names no part
    found = [
        Symbol(what, "", line, line, name.replace("\n", " "), public=is_part and often[name] == 1)
        for name, line, is_part in places
    ]
    doc, scrubbed = _scrubbed(doc.replace("\n", " "), found)
    symbols = tuple(replace(one, name=one.signature) for one in scrubbed)
    declares = tuple(manifests.declared(outline.path, text))
    own = next((one for one in declares if one[0] == "name"), None)
    if own:
        symbols += (Symbol("package", own[2], own[3], own[3], f"name {own[2]}"),)
    how: How = "name" if language == "text" else "keys"
    return replace(outline, language=language, doc=doc, symbols=symbols, how=how, declares=declares)


def _outline_code(outline: Outline, text: str, language: Language) -> Outline:
    path, data = outline.path, text.encode("utf-8", "replace")
    read = captured(data, language)
    definitions = read.found
    if language.queries[0] == "script":
        definitions = given(definitions, read.exported, data, is_test=outline.kind == "test")
    own = opening(text, read.root, language, path.rpartition("/")[2])
    doc, symbols = _scrubbed(own, _nested(definitions, text, data, language, read.exported))
    return replace(
        outline,
        language=language.name,
        doc=doc,
        symbols=symbols,
        imports=tuple(read.imports),
        import_lines=tuple(line for line, _ in read.imports.values()),
        late=tuple((name, when) for name, (_, when) in read.imports.items() if when),
        notes=tuple(notes(text, symbols, is_whole=not read.root.has_error)),
        entry=entry(text, language, symbols),
        branches=len((_PYTHON_BRANCH if language.name == "Python" else _BRANCH).findall(text)),
        package=read.package,
        uses=_uses(text, read, language),
        declares=tuple(manifests.declared(path, text)),
    )


def _uses(text: str, read: Captured, language: Language) -> tuple[str, ...]:
    """Return what is taken from imports that name a package or a namespace, each once."""
    found: dict[str, None] = {}
    if language.name == "Go" and read.aliases:
        names = "|".join(re.escape(alias) for alias in read.aliases if alias.isidentifier())
        for alias, name in re.findall(rf"(?<![\w.])({names})\.([A-Z]\w*)", _COMMENTS.sub(" ", text)):
            found[f"{read.aliases[alias]}.{name}"] = None
    elif language.name in {"C#", "Swift"} or any(name.endswith(".*") for name in read.imports):
        found = dict.fromkeys(_TYPE_NAME.findall(_COMMENTS.sub(" ", text)))
    return tuple(found)[:MAX_USES]


def _nested(
    definitions: list[Found], text: str, data: bytes, language: Language, exported: set[str]
) -> list[Symbol]:
    """Order by place, drop what two patterns found, and give each its parents; `data`: the text's bytes."""
    lines = text.split("\n")
    open_ones: list[tuple[int, str, bool]] = []
    symbols: list[Symbol] = []
    seen: set[tuple[int, str]] = set()
    started = -1
    is_module = language.queries[0] == "script" and b"export" in data
    for start, end, found in ordered(definitions):
        kind, name = found.kind, found.name
        if (start, name) in seen:
            continue
        seen.add((start, name))
        if kind == "variable" and language.name == "Zig":
            if b"@import(" in data[start : found.node.end_byte]:
                continue
            found = found._replace(kind="constant")  # noqa: PLW2901 - the same definition, by its better name
            kind = "constant"
        while open_ones and (open_ones[-1][0] <= start or (open_ones[-1][0] == end and _is_beside(found))):
            open_ones.pop()
        if symbols and found.node.type == "signature" and started == start:
            open_ones.pop()  # `one, other :: Int` defines two beside each other
        started = start
        symbol = _symbol(found, open_ones, data, lines, language)
        if language.name == "Haskell" and exported and not symbol.parent:
            symbol = replace(symbol, public=symbol.kind == "impl" or name in exported)
        if symbol.public and not open_ones and is_module and not _is_exported(found, exported):
            symbol = replace(symbol, public=False)
        if language.name in _CLAUSES and _is_clause(symbol, symbols):
            symbols[-1] = replace(symbols[-1], end_line=symbol.end_line, doc=symbols[-1].doc or symbol.doc)
            continue
        symbols.append(symbol)
        open_ones.append((end, name, kind in CALLABLE or bool(open_ones and open_ones[-1][2])))
    return symbols[:MAX_SYMBOLS]


def _is_exported(found: Found, exported: set[str]) -> bool:
    """Tell whether a script gives a definition at its top level to others."""
    if found.kind == "export" or found.name.startswith(("exports.", "module.exports")) or "." in found.name:
        return True
    if found.name in exported or found.name == "default" or found.kind == "namespace":
        return True
    above: Node | None = found.node
    for _ in range(4):
        above = above.parent if above is not None else None
        if above is not None and above.type in {"export_statement", "ambient_declaration"}:
            return True
    return False


_CLAUSES: Final = frozenset({"Haskell", "Elixir"})
"""Languages in which one function is written as several clauses, a signature among them."""


def _is_clause(symbol: Symbol, before: list[Symbol]) -> bool:
    last = before[-1] if before else None
    return (
        last is not None
        and (last.name, last.parent) == (symbol.name, symbol.parent)
        and ({last.kind, symbol.kind} <= CALLABLE or last.kind == symbol.kind)
    )


def _is_beside(found: Found) -> bool:
    """Tell what ends with its neighbour and is inside none: `const A, B = 1, 2`, `a.b = a.c = () => 1`."""
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
    lines: Sequence[str],
    language: Language,
) -> Symbol:
    node, kind, name, row = found[:4]
    in_function = bool(open_ones and open_ones[-1][2])
    if kind == "function" and open_ones and not in_function and language.nests:
        kind = "method"
    body = None if kind == "constant" else _body(node, language)
    signature = _signature(found, body, data, lines, language)
    doc = "" if in_function else _doc(body, lines, node, language)
    return Symbol(
        kind,
        name,
        row + 1,
        found.last.end_point[0] + 1,
        signature,
        doc,
        ".".join(name for _, name, _ in open_ones),
        is_public(name, signature, kind, language.name),
        in_function,
    )


def _body(node: Node, language: Language) -> Node | None:
    if language.bodies:
        return next((child for child in reversed(node.children) if child.type in language.bodies), None)
    for holder in (node, node.child_by_field_name("value"), node.child_by_field_name("right")):
        body = holder.child_by_field_name("body") if holder else None
        if body is not None:
            return body
    return None


def _signature(found: Found, body: Node | None, data: bytes, lines: Sequence[str], language: Language) -> str:
    # Cut from the file's bytes: node.text copies a whole class for its first line.
    node = found.node
    start = node.start_byte if found.row == node.start_point[0] else _past_attributes(node)
    longest = start + 4 * MAX_SIGNATURE
    if body is not None:
        raw = data[start : min(_head_end(body), longest)]
    elif found.body is not None or language.name == "Dart":
        raw = data[start : min(node.end_byte, longest)]
        raw = raw if found.body is not None or node.type.endswith("_signature") else raw.split(b"{", 1)[0]
    elif node.is_named:
        raw = data[start : min(node.end_byte, longest)].split(b"{", 1)[0]
    else:  # a keyword among a macro's tokens: its line has the rest
        raw = lines[found.row].partition("{")[0].encode("utf-8", "replace")
    if language.name == "Haskell" and node.type != "signature":
        raw = _RIGHT_SIDE.split(raw, 1)[0]
    if found.kind in {"constant", "property"}:  # its name and type: a value may be long, or a secret
        raw = _VALUE.split(raw, 1)[0]
    if language.name == "Ruby" and found.kind == "attribute" and node.parent and node.parent.parent:
        raw = text_of(node.parent.parent.child_by_field_name("method")).encode() + b" " + raw
    text = " ".join(raw.decode("utf-8", "replace").split())
    return clip(text.rstrip("{:;= ").removesuffix("=>").rstrip(), MAX_SIGNATURE)


def _past_attributes(node: Node) -> int:
    """Return where the definition begins behind what is written above it in brackets or with an @."""
    first: Node | None = node.child(0) if node.child_count else None
    if first is not None and first.type == "modifiers":
        first = first.child(0) if first.child_count else None
    while first is not None and (first.type in _ATTRIBUTES or "comment" in first.type):
        holder = first.parent
        first = first.next_sibling or (holder and holder.next_sibling)
    return first.start_byte if first is not None else node.start_byte


def _head_end(body: Node) -> int:
    """Return where the body begins, or the comments between it and the colon of a Python definition."""
    last = body.prev_sibling
    while last is not None and last.type == "comment":
        body, last = last, last.prev_sibling
    return body.start_byte


def _doc(body: Node | None, lines: Sequence[str], node: Node, language: Language) -> str:
    if language.name == "Elixir":
        return elixir_doc(node, lines, language)
    if language.name == "HCL":
        return block_doc(node, lines, language)
    if language.name != "Python":
        return doc_above(lines, node.start_point[0], language)
    first = first_child(body)
    string = first_child(first) if first is not None and first.type == "expression_statement" else first
    return docstring(text_of(string)) if string is not None and string.type == "string" else ""


def as_json(outline: Outline) -> Json:
    symbols = [[getattr(symbol, name) for name in symbol.__slots__] for symbol in outline.symbols]
    return [symbols if name == "symbols" else getattr(outline, name) for name in outline.__slots__]


def from_json(path: str, fields: Json) -> Outline:
    """Read what `as_json` wrote of a path, which is kept as it is given: there are 100,000 of them.

    Raises ValueError for another number of fields.
    """
    named = dict(zip(Outline.__slots__, fields, strict=True)) | {"path": path}
    for name in ("imports", "notes", "import_lines", "uses"):
        named[name] = tuple(named[name])
    for name in ("late", "declares"):
        named[name] = tuple(map(tuple, named[name]))
    for name in ("language", "kind", "how"):  # the same few words in 100,000 outlines
        named[name] = intern(named[name])
    named["symbols"] = tuple(
        Symbol(intern(kind), name, line, end, signature, doc, intern(parent), public, in_function)
        for kind, name, line, end, signature, doc, parent, public, in_function in named["symbols"]
    )
    return Outline(**named)
