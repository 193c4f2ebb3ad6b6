"""What is known of a value in a Python program: the input in it, its constant text, what made it."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final, NamedTuple

from fanout_mcp.review.static.rules import read_table

if TYPE_CHECKING:  # it reads with all of these
    from fanout_mcp.review.static.python.taint import Walker as Reader


@dataclass(frozen=True, slots=True)
class Taint:
    """Outside input: how far away its sender is, where it came in, what it is harmless for by now."""

    level: int
    origin: str
    line: int
    clean: frozenset[str] = frozenset()
    is_direct: bool = True
    """It passed no function that may change it."""
    is_read: bool = True
    """It passed no function that we can't read."""
    is_error: bool = False
    """The text of an exception: it reveals too much rather than does harm."""


@dataclass(frozen=True, slots=True)
class Value:
    taint: Taint | None = None
    const: object = None
    """The constant, where it is one."""
    text: str = ""
    """The constant pieces that it was put together from."""
    kind: str = ""
    """Its dotted name, or the call that made it with "()"."""
    built: bool = False
    """Put together from pieces that vary."""
    is_request: bool = False
    is_file: bool = False
    is_number: bool = False
    is_listed: bool = False
    """One of the constants of a container that the program itself wrote down."""
    items: tuple[Value, ...] | None = None
    """The elements of a list, in order, where each of them is known."""
    entries: Mapping[object, Value] | None = None
    """What is known of some elements of a mapping by their keys, and of attributes as ".name"."""
    first: Value | None = None
    """The first element of a list or tuple that is written out, whatever follows it."""

    @property
    def varies(self) -> bool:
        return self.const is None and not self.is_listed

    @property
    def level(self) -> int:
        return self.taint.level if self.taint else 0


NOTHING = Value()


class Hit(NamedTuple):
    """A weakness at a place: lines from 1; level 0 when it needs no input."""

    weakness: str
    line: int
    end_line: int
    level: int
    why: str


def hit(weakness: str, node: ast.AST, level: int = 0, why: str = "") -> Hit:
    line = getattr(node, "lineno", 1)
    return Hit(weakness, line, min(getattr(node, "end_lineno", line) or line, line + 4), level, why)


def last_name(node: ast.AST) -> str:
    """Return a name, or what is read of something: `b` of `a.b`."""
    return node.id if isinstance(node, ast.Name) else node.attr if isinstance(node, ast.Attribute) else ""


MAX_ITEMS: Final = 40
"""Elements of a list or mapping that are followed one by one."""
MAX_NESTED: Final = 3
"""Lists in lists whose elements are joined one by one: what holds itself twice doubles at each level."""


def join(one: Value, other: Value, depth: int = 0) -> Value:
    """Return what is known when it may be either, or both put together."""
    if one is other or other is NOTHING:
        return one
    if one is NOTHING:
        return other
    items, entries = None, None
    if depth < MAX_NESTED and one.items is not None and other.items is not None:
        pairs = zip(one.items, other.items, strict=False)
        is_alike = len(one.items) == len(other.items)
        items = tuple(join(*pair, depth + 1) for pair in pairs) if is_alike else None
    if depth < MAX_NESTED and one.entries and other.entries:
        theirs = other.entries
        entries = {
            key: join(mine, theirs[key], depth + 1) for key, mine in one.entries.items() if key in theirs
        }
    return Value(
        _stronger(one.taint, other.taint),
        one.const if one.const == other.const else None,
        (one.text + other.text)[:400] if one.text != other.text else one.text,
        one.kind or other.kind,
        one.built or other.built,
        one.is_request or other.is_request,
        one.is_file or other.is_file,
        one.is_number and other.is_number if one.taint and other.taint else one.is_number or other.is_number,
        not one.varies and not other.varies,
        items,
        entries,
    )


def with_element(container: Value, key: object, value: Value) -> Value:
    """Return a container of which an element was set; one whose key is not known may be any."""
    items = container.items
    if items is not None and type(key) is int and -len(items) <= key < len(items):
        at = key % len(items)
        return replace(container, items=(*items[:at], value, *items[at + 1 :]))
    known = container.entries or {}
    is_followed = isinstance(key, str | int) and (len(known) < MAX_ITEMS or key in known)
    return replace(container, items=None, entries={**known, key: value} if is_followed else None)


def harmless(value: Value, weaknesses: AbstractSet[str]) -> Value:
    """Return a value whose input does no harm there."""
    taint = value.taint
    return replace(value, taint=replace(taint, clean=taint.clean | weaknesses)) if taint else value


def element_of(container: Value, key: object) -> Value | None:
    """Return what is known of one element of a container, None where that is only what holds for all."""
    if type(key) is int:
        for elements in (container.items, container.const):
            if isinstance(elements, tuple | str) and -len(elements) <= key < len(elements):
                found = elements[key]
                return Value(const=found, text=found) if isinstance(found, str) else found
    return container.entries.get(key) if container.entries and isinstance(key, str | int) else None


def _stronger(one: Taint | None, other: Taint | None) -> Taint | None:
    if one is None or other is None or one is other:
        return one or other
    best = one if (one.level, -len(one.clean)) >= (other.level, -len(other.clean)) else other
    clean = one.clean & other.clean if one.level == other.level else best.clean
    if clean is best.clean:
        return best
    return Taint(best.level, best.origin, best.line, clean, best.is_direct, best.is_read, best.is_error)


# --- What is read: functions, and what is known of names in them. -------------------------------------------

Function = ast.FunctionDef | ast.AsyncFunctionDef
Env = dict[str, Value]


def defaults(function: Function) -> list[tuple[ast.arg, ast.expr]]:
    """Return the arguments that have a default, each with it."""
    given = function.args
    plain = [*given.posonlyargs, *given.args]
    pairs = [
        *zip(plain[len(plain) - len(given.defaults) :], given.defaults, strict=True),
        *zip(given.kwonlyargs, given.kw_defaults, strict=True),
    ]
    return [(argument, default) for argument, default in pairs if default is not None]


@dataclass(slots=True)
class Scope:
    """One function (or the module) being read."""

    function: Function | None
    env: Env
    is_route: bool = False
    owner: str = ""
    """The class that the function belongs to."""
    is_fixed: bool = False
    """The function is a route whose address has no part that varies."""
    is_handler: bool = False
    """The class answers requests of a server of the standard library."""
    returned: Value = NOTHING
    types: list[str] | None = None
    """The content types that the function gives its answers, once someone asked."""
    assigned: set[str] = field(default_factory=set)
    """The names that the function has assigned so far."""
    shared: set[str] | None = None
    """The names that it shares with functions that may change them at any time, once someone asked."""


# --- A call in a Python program as rules see it, and how a rule speaks up. ----------------------------------


class Call(NamedTuple):
    """A call, its full name, and what is known of what it is given."""

    node: ast.Call
    name: str
    arguments: Sequence[Value]
    keywords: Mapping[str, Value]

    @property
    def everything(self) -> list[Value]:
        return [*self.arguments, *self.keywords.values()]


def has(value: Value | None, wanted: object) -> bool:
    return value is not None and value.const is wanted


def add(reader: Reader, weakness: str, node: ast.AST, level: int = 0, why: str = "") -> None:
    reader.hits.append(hit(weakness, node, level, why))


# --- Names in Python programs. ------------------------------------------------------------------------------
# Dotted as imported (`sp.run` of `import subprocess as sp` is `subprocess.run`); a value made by a call is
# that call's name with "()": `requests.Session().get`.


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def listed(name: str) -> frozenset[str]:
    return names(read_table("python.toml")["names"][name])


FRAMEWORKS: Final = listed("frameworks")
REQUEST_NAMES: Final = frozenset({"request", "req"})
ARCHIVED: Final = "a name in the archive"
GROWS: Final = listed("grows")
"""Methods that put what they are given into their receiver."""
