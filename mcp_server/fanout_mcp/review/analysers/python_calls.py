"""A call in a Python program as rules see it, and how a rule speaks up."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, NamedTuple

from fanout_mcp.review.analysers.python_values import Hit, Value

if TYPE_CHECKING:
    from fanout_mcp.review.analysers.python_taint import Reader


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
    line = getattr(node, "lineno", 1)
    end = min(getattr(node, "end_lineno", line) or line, line + 4)
    reader.hits.append(Hit(weakness, line, end, level, why))


def always(weakness: str, level: int = 0) -> Callable[[Reader, Call], None]:
    def rule(reader: Reader, call: Call) -> None:
        add(reader, weakness, call.node, level)

    return rule


CallRule = Callable[["Reader", Call], None]
