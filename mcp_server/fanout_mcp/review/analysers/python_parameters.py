"""What a function of a Python program is given: by a framework from a request, or by nobody knows whom."""

from __future__ import annotations

import ast
import re
from typing import TYPE_CHECKING

from fanout_mcp.review.analysers.python_tables import PARAM, REMOTE, REQUEST_NAMES, ROUTE_DECORATORS
from fanout_mcp.review.analysers.python_values import Taint, Value

if TYPE_CHECKING:
    from fanout_mcp.review.analysers.python_taint import Reader

Function = ast.FunctionDef | ast.AsyncFunctionDef


def arguments(node: Function) -> list[ast.arg]:
    a = node.args
    return [*a.posonlyargs, *a.args, *a.kwonlyargs, *(x for x in (a.vararg, a.kwarg) if x is not None)]


def is_route(reader: Reader, node: Function) -> bool:
    """Tell whether a web framework calls the function for a request."""
    if not reader.is_web:
        return False
    for decorator in node.decorator_list:
        target = decorator.func if isinstance(decorator, ast.Call) else decorator
        name = reader.dotted(target).rsplit(".", 1)[-1]
        if name in ROUTE_DECORATORS:
            return True
    first = [a.arg for a in node.args.args][:1]
    return bool(first) and first[0] in REQUEST_NAMES


def is_fixed_route(node: Function) -> bool:
    """Tell whether all addresses that lead to a view are constant: "/a/b", and not "/a/<name>"."""
    addresses = [
        one.args[0].value
        for one in node.decorator_list
        if isinstance(one, ast.Call) and one.args and isinstance(one.args[0], ast.Constant)
    ]
    return bool(addresses) and all(
        isinstance(one, str) and one.startswith("/") and not set(one) & set("<{:*(") for one in addresses
    )


_CONVERTED = re.compile(r"<(?:int|float|uuid)(?:\([^)]*\))?:(\w+)>|\{(\w+):(?:int|float|uuid)\}")


def _converted(node: Function) -> set[str]:
    """Return the parameters that a route's own converter has made numbers: <int:number>, {number:int}."""
    texts = [
        one.args[0].value
        for one in node.decorator_list
        if isinstance(one, ast.Call) and one.args and isinstance(one.args[0], ast.Constant)
    ]
    found = [pair for text in texts if isinstance(text, str) for pair in _CONVERTED.findall(text)]
    return {name for pair in found for name in pair if name}


def parameter(reader: Reader, node: Function, argument: ast.arg) -> Value:
    """Return what is known of a parameter of the function that the reader has entered."""
    name = argument.arg
    if name in {"self", "cls"}:
        return Value()
    if name == "event" and node.name.endswith("handler") and len(node.args.args) == 2:
        return Value(Taint(REMOTE, "the event", node.lineno))
    if name in REQUEST_NAMES:
        return Value(Taint(REMOTE if reader.is_web else PARAM, name, node.lineno), is_request=True)
    note = ast.unparse(argument.annotation) if argument.annotation is not None else ""
    if name in _converted(node):
        return Value()
    if note in {"int", "float", "bool", "int | None", "Optional[int]"} or "Depends" in note:
        return Value()
    level = REMOTE if reader.scope.is_route else PARAM
    return Value(Taint(level, f"the parameter {name}", node.lineno))
