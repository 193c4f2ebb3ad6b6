"""Places that a focus should look at: calls in the syntax tree, with names resolved to where they come from.

A signal says "this happens here", so that a reader or a model starts at the right lines; whether it is wrong
is for the review to say. Rules:

1. Only what the tree calls a call (a decorator, a statement of the language) counts: never a comment, a
   docstring, a string or an import.
2. The first part of a name is resolved by the file's imports: `run` after `from subprocess import run` is
   subprocess.run, and `re.compile` is never the builtin `compile`. A name that the file defines is its own.
3. A method of an unknown object counts only where its name leaves no doubt, or the object's name says what it
   is (`cursor.execute`).
4. The line that is cited is the line of the call.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Callable, Iterator, Mapping, Sequence
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from fanout_mcp.source.kinds import is_test
from fanout_mcp.source.read import Skipped, read_to_parse
from fanout_mcp.structure.comments import first_child
from fanout_mcp.structure.documents import script_of
from fanout_mcp.structure.languages import Language, grammar, imported, language_of, parser, text_of
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from tree_sitter import Node, Query

FOCUSES: Final = ("architecture", "security", "performance", "testing", "data flow")
PLACES: Final = 3
"""Places named for each signal in a file; the rest is counted."""

_TABLE: Final = tomllib.loads(Path(__file__).with_name("signals.toml").read_text(encoding="utf-8"))
_CALLS: Final[Mapping[str, Mapping[str, list[str]]]] = {
    language: {row.split()[0]: row.split()[1:] for row in rows} for language, rows in _TABLE["calls"].items()
}
"""A node that is a call, to the fields that name what is called; none: its first child, or itself."""

_ACCESSES: Final[Mapping[str, Sequence[str]]] = _TABLE["accesses"]
"""Nodes that may read the environment or the arguments."""

_STATEMENTS: Final = frozenset(
    {"assert_statement", "go_statement", "unsafe_block", "synchronized_statement", "lock_statement"}
)

_SQL: Final = re.compile(
    r"(?is)^\(?\s*[rbfuRBFU@$]{0,2}[\"'`]{1,3}\s*(?:select|insert|update|delete|create|with|drop|alter|merge|replace)\s"
)


def _pattern(names: Sequence[str]) -> str:
    return "|".join(_pattern(_TABLE["shared"][name[1:]]) if name[0] == "@" else name for name in names)


SIGNALS: Final[Mapping[str, Mapping[str, str]]] = {
    focus: {what: _pattern(names) for what, names in _TABLE[focus].items()}
    for focus in FOCUSES
    if focus in _TABLE
}
_SHELL: Final = frozenset({"curl", "wget", "sleep", "eval"})
"""Of the names above, what a shell's command may be; the rest is not meant there."""

_ONLY_IN: Final = {
    name: frozenset(languages.split()) for languages, names in _TABLE["only"].items() for name in names
}
"""Names that mean this in some languages only."""


def scan_file(item: Json) -> Json:
    """Scan `[root, path, focus]`: `[[what, count, [lines], name], ...]`; the function that workers run."""
    root, path, focus = item
    source = read_to_parse(Path(root), path)
    return [] if isinstance(source, Skipped) else scan_text(path, source.text, focus)


def scan_text(path: str, text: str, focus: str) -> Json:
    """Return what a focus finds in a text: what, how often, the first lines, and the name at the first."""
    inner = script_of(path, text)
    language = inner.language if inner else language_of(path, text[:200])
    if language is None:
        return []
    code = (inner.text if inner else text).encode("utf-8", "replace")
    if focus not in SIGNALS:
        return _words(code, language, focus)
    found: dict[str, list[tuple[int, str]]] = {}
    happenings = _happenings(code, language, tests=None if is_test(path) else focus == "testing")
    for name, line in sorted(set(happenings), key=lambda one: one[1]):
        for what, pattern in _compiled(focus):
            if pattern(name, language.key):
                found.setdefault(what, []).append((line, name))
    return [
        [what, len(found[what]), [line for line, _ in found[what][:PLACES]], _shown(found[what][0][1])]
        for what in SIGNALS[focus]
        if what in found
    ]


_SHOWN: Final = {
    "$env": "an environment variable",
    "$setenv": "an environment variable",
    "$argv": "the arguments",
    "$sql": "an SQL statement",
    "$open_r": "open",
    "$open_w": "open",
}


def _shown(name: str) -> str:
    shown = (
        _SHOWN.get(name, name).removeprefix("~.").replace("_statement", "").replace("unsafe_block", "unsafe")
    )
    return shown.rpartition("/")[2][:60]


Match = Callable[[str, str], bool]


@cache
def _compiled(focus: str) -> tuple[tuple[str, Match], ...]:
    return tuple((what, _matcher(pattern)) for what, pattern in SIGNALS[focus].items())


def _matcher(pattern: str) -> Match:
    search = re.compile(pattern).fullmatch

    def matches(name: str, language: str) -> bool:
        if language == "bash" and name not in _SHELL:
            return False
        if language not in _ONLY_IN.get(name, {language}):
            return False
        return search(name) is not None or search(f"{name}${language}") is not None

    return matches


def _happenings(code: bytes, language: Language, *, tests: bool | None) -> Iterator[tuple[str, int]]:
    """Yield what happens in a file: resolved names of calls, and signs with a $, with their lines from 1.

    `tests`: only what is in a test inside the file, or only what is in none; None: both.
    """
    from tree_sitter import Parser, QueryCursor

    root = Parser(grammar(language)).parse(code).root_node
    bound = _bindings(root, language)
    defined = _defined(root, language)
    apart = [] if tests is None else list(_tests_inside(root, language))
    for node in QueryCursor(_query(language)).captures(root).get("n", []):
        line = node.start_point[0] + 1
        if tests is not None and tests != any(start <= node.start_byte < end for start, end in apart):
            continue
        if node.type in _STATEMENTS:
            yield node.type, line
            continue
        if node.type in _ACCESSES.get(language.key, ()):
            yield from ((name, line) for name in _accesses(node, bound))
            continue
        name, called = _name(node, language)
        if not name or (name.endswith("_eval") and node.child_by_field_name("block")):
            continue  # Ruby runs the block there: no text is evaluated
        first, dot, rest = re.match(r"([^.:]*)(::|\.)?(.*)", name, re.DOTALL).groups()  # type: ignore[union-attr] # matches any text
        if not dot and name in defined and name not in bound and name != "assert":
            continue  # C redefines `assert` for release builds, and it asserts still
        resolved = f"{bound[first]}{dot or ''}{rest}" if first in bound else name
        if dot and first not in bound and language.key == "python" and first not in _GIVEN:
            resolved = f"~.{name}"  # `secrets.get` is no module's without an import of `secrets`
        at = called.end_point[0] + 1 if called is not None and called.end_point[0] + 1 - line < 4 else line
        yield resolved, at
        yield from _signs(node, resolved, language, at)


_GIVEN: Final = frozenset({"open", "self", "cls", "monkeypatch", "mocker"})
"""What Python and its test runners give a file without an import."""


def _tests_inside(root: Node, language: Language) -> Iterator[tuple[int, int]]:
    """Yield where tests are in a file of the product: those of Rust and Zig."""
    is_test = False
    for node in root.named_children if language.key in {"rust", "zig"} else ():
        if node.type == "attribute_item":
            is_test = (
                is_test or re.match(rb"#\[(?:cfg\((?:all\()?test\b|test\b)", node.text or b"") is not None
            )
            continue
        if is_test or node.type == "test_declaration":
            yield node.start_byte, node.end_byte
        is_test = is_test and "comment" in node.type


def _name(node: Node, language: Language) -> tuple[str, Node | None]:
    """Return the dotted name of what a node calls, without arguments inside, and the node that names it."""
    fields = _CALLS.get(language.key, {}).get(node.type, [])
    parts = [child for field in fields if (child := node.child_by_field_name(field)) is not None]
    if not fields:
        first = node.named_child(0) if node.named_child_count else None
        if first is None or first.type in {"call", "call_expression"}:
            return "", None  # a decorator that is called is a call itself
        parts = [first]
    if not parts:
        return "", None
    texts = [(part.text or b"")[:400].decode("utf-8", "replace") for part in parts]
    text = "::".join(texts) if node.type == "scoped_call_expression" else ".".join(texts)
    text = text.replace("?.", ".").replace("->", ".").lstrip("$")
    for _ in range(4):
        text = re.sub(r"\([^()]*\)|<[^<>]*>|\[[^\[\]]*\]", "", text)
    text = "".join(text.split())
    if not _PLAIN_NAME.fullmatch(text):
        # What Ruby calls a method on may be a block of many lines: `lambda { ... }.must_raise`.
        text = f"_.{texts[-1]}" if language.key == "ruby" and len(texts) > 1 else ""
    return (text if _PLAIN_NAME.fullmatch(text) else ""), parts[-1]


_PLAIN_NAME: Final = re.compile(r"[\w.:!@/?-]+")


def _signs(node: Node, name: str, language: Language, line: int) -> Iterator[tuple[str, int]]:
    """Yield what the arguments say, and where: SQL that is sent, how a file is opened."""
    arguments = node.child_by_field_name("arguments")
    if arguments is None:
        return
    last = name.rpartition(".")[2].rpartition("::")[2]
    text = (arguments.text or b"")[:400].decode("utf-8", "replace")
    if last.lower() in _SENDS and ("." in name or "::" in name) and _SQL.match(text):
        string = first_child(arguments)
        yield "$sql", line if string is None else string.start_point[0] + 1
    if name in {"open", "io.open"} and language.key == "python":
        mode = re.search(r"(?:,\s*|mode\s*=\s*)[\"']([rwaxbt+U]+)[\"']", text)
        is_none = "devnull" in text or "/dev/null" in text
        if not is_none and (mode or (arguments.named_child_count == 1 and "*" not in text)):
            yield ("$open_w" if mode and re.search(r"[wax+]", mode[1]) else "$open_r"), line


_SENDS: Final = frozenset(
    """execute executemany executescript exec query queryrow queryrowcontext querycontext execcontext raw
    prepare     preparestatement executequery executeupdate createquery fetch fetchrow fetchval fetchall
    queryraw""".split()  # noqa: SIM905 - words read better as text
)


def _accesses(node: Node, bound: Mapping[str, str]) -> Iterator[str]:
    """Yield reads and writes of the environment and the arguments, which are no calls."""
    text = (node.text or b"")[:80].decode("utf-8", "replace")
    first, _, rest = text.partition(".")
    if f"{bound.get(first, first)}.{rest}" in {"sys.argv", "process.argv", "os.Args", "node:process.argv"}:
        if node.parent is None or not (node.parent.text or b"").endswith(b"[0]"):  # the program's own name
            yield "$argv"
        return
    inner = node.child_by_field_name("value") or node.child_by_field_name("object")
    holder = text_of(inner) if inner is not None else ""
    first, _, rest = holder.partition(".")
    if f"{bound.get(first, first)}.{rest}".rstrip(".") not in {
        "os.environ",
        "process.env",
        "import.meta.env",
    }:
        return
    if node.type == "attribute":  # a method of os.environ is a call
        return
    above = node.parent
    is_left = above is not None and "assignment" in above.type and above.child_by_field_name("left") == node
    is_gone = above is not None and above.type == "delete_statement"
    yield "$setenv" if is_left or is_gone else "$env"


@cache
def _query(language: Language) -> Query:
    import tree_sitter

    nodes = [*_CALLS.get(language.key, ()), *_ACCESSES.get(language.key, ())] or ["ERROR"]
    return tree_sitter.Query(grammar(language), f"[{' '.join(f'({name})' for name in nodes)}] @n")


_JS_IMPORT: Final = re.compile(
    r"\bimport\s++(?:type\s++)?((?:(?!\bimport\b)[^;\"'])*?)\bfrom\s*[\"']([^\"']+)[\"']"
)
_JS_REQUIRE: Final = re.compile(
    r"(?:const|let|var)\s+([\w$]+|\{[^{}]*\})\s*=\s*require\(\s*[\"']([^\"']+)[\"']\s*\)"
)


def _bindings(root: Node, language: Language) -> dict[str, str]:
    """Return what the file's imports bind: a local name to the dotted name that it stands for."""
    from tree_sitter import QueryCursor

    bound: dict[str, str] = {}
    if language.key in _BINDERS:
        for node in QueryCursor(_import_query(language)).captures(root).get("n", []):
            bound.update(_BINDERS[language.key][1](text_of(node)))
    return bound


def _script_binds(text: str) -> dict[str, str]:
    found: dict[str, str] = {}
    for names, module in (*_JS_IMPORT.findall(text), *_JS_REQUIRE.findall(text)):
        inside = re.search(r"\{([^{}]*)\}", names)
        for part in inside[1].split(",") if inside else ():
            name, _, alias = re.sub(
                r"(?<!\s)(?:\s++as\s+|\s*+:\s*)", " ", part.strip().removeprefix("type ")
            ).partition(" ")
            if name:
                found[alias.strip() or name] = f"{module}.{name}"
        outside = re.sub(r"\{[^{}]*\}", "", names)
        for part in outside.split(","):
            name = part.strip().removeprefix("* as ").strip()
            if re.fullmatch(r"[\w$]+", name):
                found[name] = module
    return found


def _go_binds(text: str) -> dict[str, str]:
    alias, _, path = text.rpartition(" ")
    path = path.strip('"`')
    return {alias.strip() or path.rpartition("/")[2]: path}


def _plain_binds(language: str) -> Callable[[str], dict[str, str]]:
    """Return what reads the imports of a language that names them as such."""

    def binds(text: str) -> dict[str, str]:
        found: dict[str, str] = {}
        for name, alias in imported(language, text):
            # `import a.b` of Python binds a alone.
            is_package = language == "Python" and not alias and text.startswith("import")
            whole = name.partition(".")[0] if is_package else name
            found[alias or re.split(r"\.|::", whole)[-1]] = whole
        return found

    return binds


_SCRIPT: Final = ("(import_statement) (lexical_declaration) (variable_declaration)", _script_binds)
_BINDERS: Final[Mapping[str, tuple[str, Callable[[str], dict[str, str]]]]] = {
    "python": ("(import_statement) (import_from_statement)", _plain_binds("Python")),
    "javascript": _SCRIPT,
    "typescript": _SCRIPT,
    "tsx": _SCRIPT,
    "go": ("(import_spec)", _go_binds),
    "rust": ("(use_declaration)", _plain_binds("Rust")),
    "java": ("(import_declaration)", _plain_binds("Java")),
    "kotlin": ("(import)", _plain_binds("Kotlin")),
}
"""A language's imports in the tree, and what reads the names that one binds."""


@cache
def _import_query(language: Language) -> Query:
    import tree_sitter

    return tree_sitter.Query(grammar(language), f"[{_BINDERS[language.key][0]}] @n")


def _defined(root: Node, language: Language) -> set[str]:
    """Return names that the file defines itself: a plain call of them is no builtin."""
    from tree_sitter import QueryCursor

    names: set[str] = set()
    for _, captures in QueryCursor(parser(language)[1]).matches(root):
        names.update(map(text_of, captures.get("name", ())))
    return names


def _words(code: bytes, language: Language, focus: str) -> list[Any]:
    """Find names of the code that hold a word of the focus; comments and strings are none."""
    from tree_sitter import Parser

    words = set(re.findall(r"[^\W_]{3,}", focus.lower())) or {focus.lower()}
    found: dict[tuple[int, str], None] = {}
    waiting = [Parser(grammar(language)).parse(code).root_node]
    while waiting:
        node = waiting.pop()
        if node.child_count:
            waiting.extend(reversed(node.children))
        elif node.type.endswith(("identifier", "name", "constant", "variable", "alias", "word")):
            text = text_of(node)
            if any(word in text.lower() for word in words):
                found[node.start_point[0] + 1, text] = None
    places = list(found)
    what = f"names with {' or '.join(sorted(words))}"
    lines = [line for line, _ in places[:PLACES]]
    return [[what, len(places), lines, places[0][1][:60]]] if places else []
