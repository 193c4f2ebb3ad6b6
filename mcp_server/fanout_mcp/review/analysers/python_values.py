"""What is known of a value in a Python program: the input in it, its constant text, what made it."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True, slots=True)
class Taint:
    """Outside input: how far away its sender is, where it came in, what it is harmless for by now."""

    level: int
    origin: str
    line: int
    clean: frozenset[str] = frozenset()
    is_direct: bool = True
    """It passed no function that we don't know."""
    is_error: bool = False
    """The text of an exception: it tells too much rather than does harm."""


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
    built: bool = False


def join(one: Value, other: Value) -> Value:
    """Return what is known when it may be either, or both put together."""
    if one is other or other is NOTHING:
        return one
    if one is NOTHING:
        return other
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
        _same_length(one.items, other.items),
    )


def _same_length(one: tuple[Value, ...] | None, other: tuple[Value, ...] | None) -> tuple[Value, ...] | None:
    if one is None or other is None or len(one) != len(other):
        return None
    return tuple(join(mine, its) for mine, its in zip(one, other, strict=True))


def _stronger(one: Taint | None, other: Taint | None) -> Taint | None:
    if one is None or other is None or one is other:
        return one or other
    best = one if (one.level, -len(one.clean)) >= (other.level, -len(other.clean)) else other
    clean = one.clean & other.clean if one.level == other.level else best.clean
    if clean is best.clean:
        return best
    return Taint(best.level, best.origin, best.line, clean, best.is_direct, best.is_error)
