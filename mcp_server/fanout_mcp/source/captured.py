"""What a language's query finds in a file: definitions, imports, and what the file says it exports.

A file that the grammar does not understand as a whole is parsed again as repair.py rewrites it. The tree with
the least damage counts; where a rewriting left out branches, the other trees add what only they have.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

from fanout_mcp.source.imports import import_names
from fanout_mcp.source.languages import Language, parser
from fanout_mcp.source.repair import rewritten

if TYPE_CHECKING:
    from tree_sitter import Node, Query

BRANCHED: Final = 2
"""More trees than these have branches of the preprocessor left out in one of them."""

_PLAIN: Final = frozenset({"constant", "variable", "export"})


class Found(NamedTuple):
    """A definition; `row`: the one of its name, from 0."""

    node: Node
    kind: str
    name: str
    row: int


@dataclass(slots=True)
class Captured:
    root: Node
    found: list[Found] = field(default_factory=list)
    imports: dict[str, None] = field(default_factory=dict)
    exported: set[str] = field(default_factory=set)


def captured(data: bytes, language: Language) -> Captured:
    parse, query = parser(language)
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
        (node.start_byte, -node.end_byte, kind in _PLAIN, number)
        for number, (node, kind, _, _) in enumerate(found)
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
                    read.imports.update(dict.fromkeys(import_names(language.name, text_of(node))))
            elif kind == "exported":
                read.exported.update(map(text_of, nodes))
            elif name and kind[0] != "_":
                read.found.append(_found(nodes[0], kind, name[0]))
    return read


def _found(node: Node, kind: str, name: Node) -> Found:
    text = text_of(name)
    if not text.isidentifier():
        text = " ".join(text.split())
        text = text.strip("'\"").lstrip(":") or text
    # A block that is named after a type may name it lines below where it begins.
    return Found(node, kind, text, (node if kind == "impl" else name).start_point[0])


def _add(whole: Captured, other: Captured) -> None:
    known = {(one.row, one.name) for one in whole.found}
    whole.found += [one for one in other.found if (one.row, one.name) not in known]
    whole.imports.update(other.imports)
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
