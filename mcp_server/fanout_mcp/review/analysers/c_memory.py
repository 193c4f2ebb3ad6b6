"""Read C and C++ functions for memory that is used after free, freed twice, lost, or indexed beyond its end.

Statements are read in order. What a branch frees counts after it only when the branch goes on to there; an
assignment gives a name new memory. Loops are read once: what is freed in one round and used in the next by
the same name goes unseen.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tree_sitter import Node

LONGEST = 20_000
"""Bytes of a function; in longer ones (generated, as a rule) each name would be looked for too often."""
_FREES = frozenset({"free", "kfree", "g_free", "av_free", "OPENSSL_free"})
_MAKES = re.compile(r"^\(?[^()]{0,200}\)?\s{0,99}(?:\w{1,99}::)?(malloc|calloc|realloc|strdup|fopen)\s*\(")
_LEAVES = frozenset(
    {"return_statement", "goto_statement", "break_statement", "continue_statement", "throw_statement"}
)
_SIMPLE = frozenset({"expression_statement", "declaration", "return_statement"})
_ARRAY = re.compile(r"^(\w+)\[\s*(\w+)\s*\]$")
_LOOP = re.compile(r"for\s*\([^;]*;\s*(\w+)\s*<=\s*(\w+)\s*;")


class Hit(NamedTuple):
    weakness: str
    node: Node
    why: str


def memory_hits(root: Node) -> Iterator[Hit]:
    stack = [root]
    while stack:
        node = stack.pop()
        if node.type == "function_definition" and not node.has_error:
            body = node.child_by_field_name("body")
            if body is not None:
                yield from _read(body, {})
                yield from _beyond(body)
                if body.end_byte - body.start_byte <= LONGEST:
                    yield from _unchecked(body)
                    yield from _leaked(body)
        else:
            stack += node.children


def _read(node: Node, freed: dict[str, int]) -> Iterator[Hit]:
    """Read a statement; `freed`: name -> the line that freed it, changed in place."""
    if node.type in _SIMPLE:
        yield from _read_simple(node, freed)
    elif node.type == "if_statement":
        branches = [node.child_by_field_name(name) for name in ("consequence", "alternative")]
        yield from _read_branches([branch for branch in branches if branch is not None], freed)
    elif node.type == "switch_statement":
        body = node.child_by_field_name("body")
        yield from _read_branches(body.named_children if body is not None else [], freed)
    else:
        for child in node.named_children:
            yield from _read(child, freed)


def _read_branches(branches: Sequence[Node], freed: dict[str, int]) -> Iterator[Hit]:
    """Read what happens instead of one another; each begins with what held before."""
    before = dict(freed)
    for branch in branches:
        inner = dict(before)
        yield from _read(branch, inner)
        if not _ends(branch):
            freed.update(inner)


def _read_simple(node: Node, freed: dict[str, int]) -> Iterator[Hit]:
    text = _text(node)
    call = re.match(
        r"(?:std::)?(\w+)\s{0,99}\(\s{0,99}(?:\(\w{1,99}\s{0,99}\*{0,9}\)\s{0,99})?(\w{1,99})\s{0,99}\)\s{0,99};|delete\s{0,99}(?:\[\])?\s{0,99}(\w{1,99})\s{0,99};",
        text,
    )
    name = (call[3] or (call[2] if call[1] in _FREES else None)) if call else None
    if name is not None:
        if name in freed:
            yield Hit("double-free", node, f"{name} was freed in line {freed[name]} already.")
        freed[name] = node.start_point[0] + 1
        return
    assigned = re.match(r"(?:[\w\s*]*?[\s*])?(\w+)\s*=[^=]", text)
    for known, line in list(freed.items()):
        used = text[assigned.end(1) :] if assigned and assigned[1] == known else text
        if re.search(rf"(?<![\w.>&]){known}\s*(->|\[)|\*\s*{known}\b|[(,]\s*{known}\s*[,)]", used):
            yield Hit("use-after-free", node, f"{known} was freed in line {line}.")
            del freed[known]
    if assigned:
        freed.pop(assigned[1], None)


def _ends(node: Node) -> bool:
    """Tell whether a branch leaves instead of going on to what follows it."""
    if node.type in _LEAVES:
        return True
    last = next((child for child in reversed(node.named_children) if child.type != "comment"), None)
    if last is None:
        return False
    if last.type == "expression_statement":
        return re.match(r"(exit|abort|_exit|die|fatal|longjmp)\s*\(", _text(last)) is not None
    return last.type in _LEAVES or (last.type in {"compound_statement", "else_clause"} and _ends(last))


def _beyond(body: Node) -> Iterator[Hit]:
    """Find loops that run to an array's size where they must stop before it."""
    sizes = {
        match[1]: match[2] for node in _all(body, "array_declarator") if (match := _ARRAY.match(_text(node)))
    }
    for loop in _all(body, "for_statement"):
        text = _text(loop)
        head = _LOOP.match(text)
        for name, size in sizes.items():
            if head and head[2] == size and re.search(rf"\b{name}\s*\[\s*{head[1]}\s*\]", text):
                yield Hit("off-by-one", loop, f"{name} has {size} elements; the last round takes one more.")


_ASKED = (
    r"!\s*{0}\b|\b{0}\s*[!=]=|[!=]=\s*{0}\b|\(\s*{0}\s*\)\s*[{{&|?\w]|assert\w*\s*\(\s*{0}|"
    r"\b{0}\s*(&&|\|\||\?)"
)
_USED = (
    r"\b{0}\s*(\[|->)|\*\s*{0}\s*=|"
    r"\b(str\w+|w?mem\w+|sprintf|fread|fgets|fprintf)\s*\([^;]*\b{0}\b"
)


def _unchecked(body: Node) -> Iterator[Hit]:
    """Find memory that is used without a look at whether there was any."""
    whole = _text(body)
    for node, name in _made(body):
        used = re.search(_USED.format(name), whole[node.end_byte - body.start_byte :])
        if used and not re.search(_ASKED.format(name), whole):
            yield Hit("null-pointer", node, f"{name} may be NULL and is used without a check.")


_KEEPS = re.compile(
    r"^(str\w*|w?mem\w+|s?n?printf|fprintf|fread|fwrite|fgets|fputs|puts|read|write|sizeof|if|while)$"
)
"""What reads or fills memory and leaves it to its owner."""


def _leaked(body: Node) -> Iterator[Hit]:
    """Find memory that a function neither frees nor hands on."""
    whole = _text(body)
    for node, name in _made(body):
        if node.type != "init_declarator" or re.search(
            rf"return[^;]*\b{name}\b|[^=!<>]=\s*[^=;]*\b{name}\s*;", whole
        ):
            continue
        takers = re.findall(rf"(\w+)\s*\((?:[^();]|\([^()]*\))*\b{name}\b", whole)
        if all(_KEEPS.match(taker) for taker in takers) and not re.search(rf"[{{,]\s*{name}\s*[,}}]", whole):
            yield Hit("leak", node, f"{name} is neither freed nor handed on.")


def _made(body: Node) -> Iterator[tuple[Node, str]]:
    """Yield where names are given new memory."""
    for node in (*_all(body, "init_declarator"), *_all(body, "assignment_expression")):
        left = node.child_by_field_name("declarator") or node.child_by_field_name("left")
        right = node.child_by_field_name("value") or node.child_by_field_name("right")
        name = re.sub(r"^[*\s]+", "", _text(left)) if left is not None else ""
        if right is not None and re.fullmatch(r"\w+", name) and _MAKES.match(_text(right)):
            yield node, name


def _all(node: Node, kind: str) -> Iterator[Node]:
    stack = [node]
    while stack:
        here = stack.pop()
        if here.type == kind:
            yield here
        stack += here.children


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
