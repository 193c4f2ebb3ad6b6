"""Which language a file is in, and its grammar and query, loaded at the first file in it.

Why a wheel a language and not one for all: measured on 1,500 files of eleven public repositories, the
tree-sitter grammars parse 4 to 17 % more files per CPU-second than ast-grep-py, fail on 0 of 710 Kotlin files
where it fails on 13, have Zig, which it has not, and take 25 MB for the ten younger languages where it takes
45 MB. They speak the queries and nodes that the review's flow engine stands on; ast-grep would be a second
way to say the same. Languages whose grammars are larger than their use (SQL 14 MB) or not on PyPI are
outlined by patterns (documents.py), and labelled so. The table of languages is languages.toml.
"""

from __future__ import annotations

import importlib
import posixpath
import re
import tomllib
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, Literal, NamedTuple

if TYPE_CHECKING:
    import tree_sitter
    from tree_sitter import Node, Parser, Query


QUERIES: Final = Path(__file__).with_name("queries")


@dataclass(frozen=True, slots=True, kw_only=True)
class Commented:
    """What has comments: a language, with a grammar here or without one."""

    name: str = ""
    comments: tuple[str, ...] = ("//",)
    """What begins a comment that ends with its line."""
    blocks: tuple[tuple[str, str], ...] = (("/*", "*/"),)
    """What begins and what ends a comment of several lines."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Language(Commented):
    """`module` and `function` find the grammar, `queries` its patterns."""

    module: str
    extensions: tuple[str, ...]
    function: str = "language"
    queries: tuple[str, ...] = ()
    bodies: tuple[str, ...] = ()
    """Types of nodes where a definition's head ends, in grammars that have no field for it."""
    nests: bool = False
    """Functions inside a type are its methods, though the grammar has one node for both."""

    @property
    def key(self) -> str:
        """Its name as a word: what rules and their files are named after."""
        return {"C++": "cpp", "C#": "csharp"}.get(self.name, self.name.lower())


@cache
def table() -> dict[str, Any]:
    """Return languages.toml."""
    return tomllib.loads(Path(__file__).with_name("languages.toml").read_text(encoding="utf-8"))


def frozen(value: Any) -> Any:
    """Return a value of a table with tuples for its lists."""
    return tuple(map(frozen, value)) if isinstance(value, list) else value


LANGUAGES: Final = tuple(
    Language(**{name: frozen(value) for name, value in row.items()}) for row in table()["language"]
)
_BY_EXTENSION: Final = {ext: language for language in LANGUAGES for ext in language.extensions}
_BY_INTERPRETER: Final = {name: ext for ext, names in table()["interpreters"].items() for name in names}
_SHEBANG: Final = re.compile(r"#!\s*\S*?([a-z]+)[\d.]*(?:\s+(?:-\S+\s+)*([a-z]+))?")


def language_of(path: str, head: str = "") -> Language | None:
    """Tell by the extension, else by the first line; None for what has no grammar here."""
    extension = posixpath.splitext(path)[1].lower()
    if extension in _BY_EXTENSION:
        return _BY_EXTENSION[extension]
    if not extension and head.startswith("#!"):
        match = _SHEBANG.match(head.split("\n", 1)[0][:200])
        for name in (match[2], match[1]) if match else ():
            if name in _BY_INTERPRETER:
                return _BY_EXTENSION[_BY_INTERPRETER[name]]
    return None


@cache
def grammar(language: Language) -> tree_sitter.Language:
    """Only worker processes call this: grammars are native code that reads hostile text."""
    import tree_sitter

    found = getattr(importlib.import_module(language.module), language.function)()
    return tree_sitter.Language(_capsule(found) if isinstance(found, int) else found)


def _capsule(pointer: int) -> object:
    """Wrap a bare pointer, as older bindings return it: tree-sitter takes it so without a warning."""
    import ctypes

    wrap = ctypes.pythonapi.PyCapsule_New
    wrap.restype, wrap.argtypes = ctypes.py_object, (ctypes.c_void_p, ctypes.c_char_p, ctypes.c_void_p)
    wrapped: object = wrap(pointer, b"tree_sitter.Language", None)
    return wrapped


@cache
def parser(language: Language) -> tuple[Parser, Query]:
    import tree_sitter

    patterns = "".join((QUERIES / f"{name}.scm").read_text(encoding="utf-8") for name in language.queries)
    return tree_sitter.Parser(grammar(language)), tree_sitter.Query(grammar(language), patterns)


# --- What an import statement names, language by language: the strings that graph.py resolves to files. -----

_FROM: Final = re.compile(r"\bfrom\s++([.\w]++(?:\s++(?!(?:from|import)\b)[.\w]++)*+)\s+import\s+([\s\S]*)")
_PYTHON_NAME: Final = re.compile(r"([\w.]+(?:\s*+\.\s*+[\w.]+)*+)(?:\s++as\s+(\w+))?")
_COMMENT: Final = re.compile(r"//[^\n]*|/\*.*?(?:\*/|\Z)", re.DOTALL)
_TREE: Final = re.compile(r"[{},]|[^{},]+")

MAX_OF_ONE: Final = 200
"""Names that one import may bring."""


def imported(language: str, statement: str) -> list[tuple[str, str]]:
    """Return what an import names, dotted for Python and Java, else as in quotes, with its alias or ""."""
    if language == "Python":
        return _python(statement)
    if language == "Ruby":  # what is relative begins with a dot
        name = re.sub(r"^\w+", "", statement).strip(" ()\"'")
        is_relative = statement.startswith("require_relative") and not name.startswith(".")
        return [(f"./{name}" if is_relative else name, "")]
    if language not in _TREES or (language == "PHP" and not statement.startswith("use ")):
        return [(statement.strip().strip("<>\"'`()"), "")]
    found = _tree(_KEYWORD.sub("", statement))
    if language == "Rust":
        return [(name.removesuffix("::self"), alias) for name, alias in found]
    if language == "PHP":
        return [(name.strip("\\"), alias) for name, alias in found]
    if language == "Elixir":
        return [one for one in found if one[0][:1].isupper()]
    found = [(re.sub(r"\.(?:_|\*|given)?$", ".*", name), alias) for name, alias in found]
    return [one for one in found if one[0] != ".*"]


_TREES: Final = frozenset({"Rust", "PHP", "Java", "Kotlin", "Scala", "Elixir"})
_KEYWORD: Final = re.compile(
    r"^(?:pub(?:\([^)]*\))?\s+)?(?:use|import)\s+(?:(?:static|given|function|const)\s+)?"
)


def _python(statement: str) -> list[tuple[str, str]]:
    match = _FROM.match(statement)
    names = re.sub(r"#[^\n]*|[()]", " ", match[2] if match else statement.removeprefix("import"))
    found = _PYTHON_NAME.findall(names)
    if not match:
        return [("".join(name.split()), alias) for name, alias in found]
    module = "".join(match[1].split())
    # `from a import b`: b may be a module of package a or a name in it; the resolver tries both.
    joined = module if module.endswith(".") else module + "."
    return [(joined + name, alias) for name, alias in found] or [(module, "")]


def _tree(statement: str) -> list[tuple[str, str]]:
    """Return each name of a tree and its alias: `a::{b::{c}, d as e}` is a::b::c and a::d, e."""
    found: list[tuple[str, str]] = []
    heads = [""]
    head = alias = ""
    whole = " ".join(_COMMENT.sub("", statement).split()).rstrip("; ")
    for piece in [*_TREE.findall(whole), ","]:
        if piece == "{":
            heads.append(head)
        elif piece in {",", "}"}:
            if head != heads[-1]:
                found.append((head.rstrip(".:"), alias.strip()))
            if piece == "}" and len(heads) > 1:
                heads.pop()
            head, alias = heads[-1], ""
        else:
            name, _, alias = piece.replace("=>", " as ").partition(" as ")
            head += name.replace(" ", "")
    return found[:MAX_OF_ONE]


# --- What a language's query finds in a file: definitions, imports, and what the file says it exports. ------
# A file that the grammar does not understand as a whole is parsed again as `rewritten` returns it. The tree
# with the least damage counts; where a rewriting left out branches, the other trees add what only they have.

BRANCHED: Final = 2
"""More trees than these have branches of the preprocessor left out in one of them."""

_PLAIN: Final = frozenset({"constant", "variable", "export"})


class Found(NamedTuple):
    """A definition; `row`: the one of its name, from 0. `body`: where a signature's body stands beside it."""

    node: Node
    kind: str
    name: str
    row: int
    body: Node | None = None

    @property
    def last(self) -> Node:
        """The node that it ends with."""
        return self.body or self.node


When = Literal["", "types", "local"]
"""When an import happens: as the file is loaded, for type checkers only, or when a function runs."""


@dataclass(slots=True)
class Captured:
    """`imports`: a name to its line, from 1, and its time. `aliases`: a local name to an import."""

    root: Node
    found: list[Found] = field(default_factory=list)
    imports: dict[str, tuple[int, When]] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)
    package: str = ""


def captured(data: bytes, language: Language) -> Captured:
    parse, query = parser(language)
    data = prepared(data, language.name)
    root = parse.parse(data).root_node
    trees = [root]
    if root.has_error:
        trees += [parse.parse(other).root_node for other in rewritten(data, language.name)]
        trees.sort(key=_damage)
    whole = _read(trees[0], query, language)
    for tree in trees[1:] if len(trees) > BRANCHED else ():
        _add(whole, _read(tree, query, language))
    return whole


def ordered(found: Sequence[Found]) -> list[tuple[int, int, Found]]:
    """By place: each with its start and end; of two for one place the one that says more first."""
    keys = [
        (one.node.start_byte, -one.last.end_byte, one.kind in _PLAIN, number)
        for number, one in enumerate(found)
    ]
    return [(start, -end, found[number]) for start, end, _, number in sorted(keys)]


def text_of(node: Node | None) -> str:
    return (node.text or b"").decode("utf-8", "replace") if node is not None else ""


def _read(root: Node, query: Query, language: Language) -> Captured:
    from tree_sitter import QueryCursor

    read = Captured(root)
    for _, captures in QueryCursor(query).matches(root):
        name = captures.pop("name", None)
        for kind, nodes in captures.items():
            if kind == "import":
                for node in nodes:
                    _import(read, node, language, captures.get("_alias"))
            elif kind == "exported":
                read.exported.update(map(text_of, nodes))
            elif kind == "package":
                read.package = read.package or text_of(nodes[0])
            elif name and kind[0] != "_" and (language.name not in _C or name[0].text not in _KEYWORDS):
                read.found.append(_found(nodes[0], kind, name[0], language))
    return read


_C: Final = frozenset({"C", "C++"})
_KEYWORDS: Final = frozenset(
    b"""if else for while do switch case return sizeof int char void bool float double long short unsigned
    signed auto
    const static struct class enum union typedef catch throw new delete goto defined""".split()
)
"""What a stretch that did not parse may show as a name."""


def _import(read: Captured, node: Node, language: Language, alias: list[Node] | None) -> None:
    line, when = node.start_point[0] + 1, _when(node, language)
    for name, _ in imported(language.name, text_of(node)):
        if language.name == "Rust" and name.startswith("super::"):
            name = _from_file(name, node)  # noqa: PLW2901 - the same import, as the file would write it
        known = read.imports.get(name)
        if known is None or (known[1] and not when):
            read.imports[name] = line, when
        if language.name == "Go":
            read.aliases[text_of(alias[0]) if alias else _go_name(name)] = name


def _from_file(name: str, node: Node) -> str:
    """Return what `super::...` is outside of the file's inline modules: in `mod tests`, it is the file."""
    above = node.parent
    while above is not None and name.startswith("super::"):
        if above.type == "mod_item":
            name = name.removeprefix("super::")
            name = name if name.startswith("super::") else f"self::{name}"
        above = above.parent
    return name


def _go_name(path: str) -> str:
    """Return what a Go package is called by default: its last part, without a version."""
    parts = [part for part in path.split("/") if not _VERSION.match(part)] or [path]
    return parts[-1].partition(".")[0].removeprefix("go-")


_VERSION: Final = re.compile(r"v\d+$")
_FUNCTIONS: Final = frozenset(
    """function_definition function_declaration function_expression arrow_function method_definition
    generator_function generator_function_declaration lambda method singleton_method method_declaration
    """.split()  # noqa: SIM905 - words read better as text
)


_TYPES: Final = re.compile(rb"(?:import|export)\s+(?:type\b|\{\s*(?:type\s[^{},]+,?\s*)+\})")
"""A script's statement that takes types alone: nothing is loaded for it."""

_LATE: Final = frozenset({"Ruby", "Lua", "PHP"})
"""Languages beside Python and scripts where a function may load a file as it runs."""


def _when(node: Node, language: Language) -> When:
    """Tell when an import happens; others load all before they run."""
    if language.name == "Python":
        if node.start_point[1] == 0:
            return ""
    elif language.name not in _LATE and language.queries[0] != "script":
        return ""
    above: Node | None = node.parent
    if above is not None and above.type in {"import_statement", "export_statement"}:
        return "types" if _TYPES.match(above.text or b"") else ""
    inner = node
    while above is not None:
        if above.type in _FUNCTIONS:
            return "local"
        if above.type == "if_statement" and language.name == "Python":
            condition = above.child_by_field_name("condition")
            consequence = above.child_by_field_name("consequence")
            if condition and condition.text in _CHECKING and consequence == inner:
                return "types"
        inner, above = above, above.parent
    return ""


_CHECKING: Final = frozenset({b"TYPE_CHECKING", b"typing.TYPE_CHECKING", b"t.TYPE_CHECKING"})


def _found(node: Node, kind: str, name: Node, language: Language) -> Found:
    if kind == "block":
        return _block(node, name)
    text = text_of(name)
    if not text.isidentifier():
        text = " ".join(text.split())
        quotes = '"`' if language.name == "Haskell" else "'\"`"  # there a prime is part of the name
        text = text.strip(quotes).lstrip(":") or text
    body = None
    if language.name == "Dart" and node.type.endswith("_signature"):
        outer = node.parent if node.parent is not None and node.parent.type == "method_signature" else node
        after = outer.next_named_sibling
        body = after if after is not None and after.type == "function_body" else None
        if kind == "constructor":
            text = text_of(node).partition("(")[0].split()[-1]
    # A block that is named after a type may name it lines below where it begins.
    return Found(node, kind, text, (node if kind == "impl" else name).start_point[0], body)


def _block(node: Node, name: Node) -> Found:
    """Name a Terraform block by its labels: `resource "aws_vpc" "this"` is resource aws_vpc.this."""
    labels = [
        text_of(child).strip('"')
        for child in node.named_children
        if child.type in {"string_lit", "identifier"}
    ]
    return Found(node, labels[0], ".".join(labels[1:]) or labels[0], name.start_point[0])


def _add(whole: Captured, other: Captured) -> None:
    known = {(one.row, one.name) for one in whole.found}
    whole.found += [one for one in other.found if (one.row, one.name) not in known]
    whole.imports = {**other.imports, **whole.imports}
    whole.exported |= other.exported


def _damage(root: Node) -> int:
    """Count the bytes that the parser gave up on, and what it had to imagine."""
    total = 0
    waiting = [root] if root.has_error else []
    while waiting:
        node = waiting.pop()
        if node.is_error or node.is_missing:
            total += 1 + node.end_byte - node.start_byte
        else:
            waiting.extend(child for child in node.children if child.has_error or child.is_missing)
    return total


# --- What a grammar trips over though compilers take it, rewritten in place for another parse. --------------
# Every rewriting keeps each byte's place, so that lines and signatures still come from the file itself. Only
# a file with errors is rewritten.

_BLANK: Final = bytes(32 if byte not in b"\t\r\n" else byte for byte in range(256))

# `export type * from` and variance in type parameters are newer than the TypeScript grammar.
_NEW: Final = re.compile(
    rb"(?m)(?<=^export )type(?= \*)|(?<=[<,] )(?:in|out)(?= \w+[,>])|(?<=<)in out(?= \w)"
)
# It takes a call signature for a part of the line before when that one ends without a semicolon.
_CALL_SIGNATURE: Final = re.compile(rb"([ \t]*)[ \t](?=[<(])")
_UNFINISHED: Final = re.compile(rb"(?:[=(,|&?:{\[;+<]|=>|^)$")

# The Kotlin grammar does not know an interface of one function.
_FUN_INTERFACE: Final = re.compile(rb"\bfun(?=[ \t]+interface\b)")

# C's macros that stand where a keyword, an attribute or a template parameter may; that only the preprocessor
# knows. Alone on a line, before a name, behind a parameter or its list.
_MACRO_NAME: Final = rb"[A-Z][A-Z0-9]*_[A-Z0-9_]+"
_GIVEN: Final = rb"(?:\((?:[^()]++|\((?:[^()]++|\([^()]*+\))*+\))*+\))"
_MAX_LENGTH: Final = 1_000
"""Bytes of a line in which macros are looked for: from each of them to where its parentheses end."""

_MACRO: Final = re.compile(
    rb"^[ \t]*+" + _MACRO_NAME + _GIVEN + rb"?[ \t]*;?\r?$"
    rb"|\b" + _MACRO_NAME + _GIVEN + rb"?(?=[ \t]+[\w:~*&\[])"
    rb"|(?<=\)) " + _MACRO_NAME + _GIVEN + rb"?(?=[ \t]*[;{])"
    rb"|(?<=[\w*&]) " + _MACRO_NAME + rb"(?=[ \t]*[,)])"
)
_PARAMETER: Final = re.compile(rb"(?:^|(?<=,))([ \t]*)(" + _MACRO_NAME + _GIVEN + rb")(?=[ \t]*[,>])")
_DIRECTIVE: Final = re.compile(rb"[ \t]*#[ \t]*(\w*)")
_OPENING: Final = frozenset({b"if", b"ifdef", b"ifndef"})
_OTHER: Final = frozenset({b"else", b"elif", b"elifdef", b"elifndef"})


# Between `class` and its name an attribute; behind a parameter list what a thread checker reads. The grammar
# makes something else of them and notices nothing, so they go before the first parse.
_EXPORT: Final = re.compile(
    rb"\b(class|struct|union)((?:[ \t]++(?!final\b|alignas\b)[A-Za-z_]\w*+(?:\([^()\n]*\))?){1,6}?)"
    rb"(?=[ \t]++(?!final\b)[A-Za-z_]\w*+(?:<[^<>\n;{}]*>)?(?:[ \t]+final)?[ \t\r\n]*(?::[^:]|\{))"
)
_GUARD: Final = re.compile(
    rb"(?<=\))((?:[ \t\r\n]+(?:const|noexcept|override|final)){0,4})"
    rb"((?:[ \t\r\n]+[A-Z][A-Z0-9_]{2,}(?:\((?:[^()\n]|\([^()\n]*\))*\))?){1,8})(?=[ \t\r\n]*[;{]"
    rb"|[ \t\r\n]*=[ \t]*(?:0|default|delete))"
)


_GUARDED: Final = re.compile(
    rb"(?m)^([ \t]++[\w:<>,*&]++[ \t][\w:<>,*& \t]*?\w)"
    rb"([ \t]++[A-Z][A-Z0-9]*+_[A-Z0-9_]*+\([\w:>.*&-]*+\))(?=[ \t]*[;={])"
)


def prepared(data: bytes, language: str) -> bytes:
    """Blank what the grammar would silently take for something else; each byte keeps its place."""
    if language not in {"C", "C++"}:
        return data
    data = _EXPORT.sub(lambda match: match[1] + match[2].translate(_BLANK), data)
    for pattern in (_GUARD, _GUARDED):
        data = pattern.sub(lambda match: match[1] + match[2].translate(_BLANK), data)
    return data


def rewritten(data: bytes, language: str) -> Iterator[bytes]:
    """Yield what may be parsed instead, each once; nothing for a language that has no rewriting."""
    seen = {data}
    for rewrite in _REWRITES.get(language, ()):
        data = rewrite(data)
        if data not in seen:
            seen.add(data)
            yield data


def _blank(match: re.Match[bytes]) -> bytes:
    return match[0].translate(_BLANK)


def _class(match: re.Match[bytes]) -> bytes:
    return match[1] + b"class".ljust(len(match[2]))


def _typescript(data: bytes) -> bytes:
    lines = _NEW.sub(_blank, data).split(b"\n")
    before = b""
    for number, line in enumerate(lines):
        signature = _CALL_SIGNATURE.match(line)
        if signature and not _UNFINISHED.search(before):
            lines[number] = signature[1] + b";" + line[signature.end() :]
        code = line.partition(b"//")[0].strip()
        if code and not code.startswith((b"*", b"/*")):
            before = code
    return b"\n".join(lines)


def _without_macros(data: bytes) -> bytes:
    lines = data.split(b"\n")
    in_directive = False
    for number, line in enumerate(lines):
        in_directive = in_directive or bool(_DIRECTIVE.match(line))
        if not in_directive and b"_" in line and len(line) <= _MAX_LENGTH:
            lines[number] = _MACRO.sub(_blank, _PARAMETER.sub(_class, line))
        in_directive = in_directive and line.rstrip(b"\r").endswith(b"\\")
    return b"\n".join(lines)


def _first_branches(data: bytes) -> bytes:
    """Of the branches for several platforms leave the first: together they need not have matching braces."""
    lines = data.split(b"\n")
    others: list[bool] = []
    word: bytes | None = None
    for number, line in enumerate(lines):
        if word is None:
            directive = _DIRECTIVE.match(line)
            word = directive[1] if directive else None
            if word in _OPENING:
                others.append(False)
            elif others and word in _OTHER:
                others[-1] = True
            elif others and word == b"endif":
                others.pop()
        if word in _OPENING or word in _OTHER or word == b"endif" or any(others):
            lines[number] = line.translate(_BLANK)
        if not line.rstrip(b"\r").endswith(b"\\"):
            word = None
    return b"\n".join(lines)


_REWRITES: Final[dict[str, tuple[Callable[[bytes], bytes], ...]]] = {
    "TypeScript": (_typescript,),
    "Kotlin": (partial(_FUN_INTERFACE.sub, _blank),),
    "C": (_without_macros, _first_branches),
    "C++": (_without_macros, _first_branches),
}
