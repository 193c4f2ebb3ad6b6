"""What a language's query finds in a file: definitions, imports, and what the file says it exports.

A file that the grammar does not understand as a whole is parsed again as repair.py rewrites it. The tree with
the least damage counts; where a rewriting left out branches, the other trees add what only they have.
"""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from fanout_mcp.source.imports import import_names
from fanout_mcp.source.languages import Language, parser
from fanout_mcp.source.repair import prepared, rewritten

if TYPE_CHECKING:
    from tree_sitter import Node, Query

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


def text_of(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")


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
    for name in import_names(language.name, text_of(node)):
        known = read.imports.get(name)
        if known is None or (known[1] and not when):
            read.imports[name] = line, when
        if language.name == "Go":
            read.aliases[text_of(alias[0]) if alias else _go_name(name)] = name


def _go_name(path: str) -> str:
    """Return what a Go package is called by default: its last part, without a version."""
    parts = [part for part in path.split("/") if not _VERSION.match(part)] or [path]
    return parts[-1].partition(".")[0].removeprefix("go-")


_VERSION: Final = re.compile(r"v\d+$")
_FUNCTIONS: Final = frozenset(
    """function_definition function_declaration function_expression arrow_function method_definition
    generator_function generator_function_declaration lambda""".split()  # noqa: SIM905 - words read better as text
)


def _when(node: Node, language: Language) -> When:
    """Tell when an import happens; only Python and scripts have imports that are late or never."""
    if language.name == "Python":
        if node.start_point[1] == 0:
            return ""
    elif language.queries[0] != "script":
        return ""
    above: Node | None = node.parent
    if above is not None and above.type == "import_statement":
        return "types" if (above.text or b"").startswith(b"import type") else ""
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
        text = text.strip("'\"`").lstrip(":") or text
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
