"""Bugs in a Python file that one place alone does not show: shared defaults, coroutines never awaited.

A rule that ruff has too goes by its code, so that both are one finding: ruff sees a shape, and here is the
use that makes it a defect.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Sequence
from typing import Final, NamedTuple

from fanout_mcp.review.finding import Finding
from fanout_mcp.review.static.python.security import SCOPES, nodes_of, parse_python
from fanout_mcp.review.static.python.taint import dotted
from fanout_mcp.review.static.python.values import GROWS, Function, defaults
from fanout_mcp.review.static.rules import Weakness, found

RULES: Final = 5
Nodes = Sequence[ast.AST]


class Bug(NamedTuple):
    node: ast.stmt | ast.expr
    rule: str
    title: str
    fix: str


def review_bugs(path: str, text: str) -> list[Finding]:
    tree = parse_python(text)
    if tree is None:
        return []  # ruff says why
    lines = text.split("\n")
    return [
        found((path, lines), (node.lineno, node.lineno), Weakness(rule, 0, "medium", title, fix), 65)
        for node, rule, title, fix in _bugs(nodes_of(tree))
    ]


def _bugs(nodes: Nodes) -> Iterator[Bug]:
    coroutines = _coroutines(nodes)
    for node in nodes:
        if isinstance(node, Function):
            own = nodes_of(node, SCOPES)  # what it does itself
            yield from _defaults(node, own)
            yield from _unclosed(node, own)
            yield from _not_awaited(own, coroutines)
        elif isinstance(node, ast.For):
            yield from _changed_while_read(node)
        elif isinstance(node, ast.Call):
            yield from _assertion(node)
        elif isinstance(node, ast.Assert):
            yield from _always_true(node)


def _coroutines(nodes: Nodes) -> set[str]:
    """Return the names of functions, and `self.name` of methods, that are async wherever they are defined."""
    kinds: dict[str, set[bool]] = {}
    for holder in nodes:
        body = getattr(holder, "body", None)
        for node in body if isinstance(body, list) else ():
            if isinstance(node, Function):
                name = f"self.{node.name}" if isinstance(holder, ast.ClassDef) else node.name
                is_plain = isinstance(node, ast.AsyncFunctionDef) and not node.decorator_list
                yields = is_plain and any(isinstance(one, ast.Yield) for one in nodes_of(node, SCOPES))
                kinds.setdefault(name, set()).add(is_plain and not yields)
    return {name for name, found in kinds.items() if found == {True}} | {"asyncio.sleep", "anyio.sleep"}


def _called(call: ast.Call) -> str:
    return dotted(call.func, {}, {})


def _not_awaited(own: Nodes, coroutines: set[str]) -> Iterator[Bug]:
    for node in own:
        tested = node.test if isinstance(node, ast.If | ast.While) else None
        if isinstance(tested, ast.UnaryOp):
            tested = tested.operand
        called = node.value if isinstance(node, ast.Expr) else tested
        if isinstance(called, ast.Call) and _called(called) in coroutines:
            yield Bug(called, "missing-await", "A coroutine is made and never awaited", "await it.")


def _defaults(function: Function, own: Nodes) -> Iterator[Bug]:
    """Find defaults that are a list, dict or set, and that the function itself changes."""
    mutable = {
        argument.arg: default
        for argument, default in defaults(function)
        if isinstance(default, ast.List | ast.Dict | ast.Set)
        or (isinstance(default, ast.Call) and _called(default) in {"list", "dict", "set"})
    }
    if not mutable:
        return
    for node in own:
        if isinstance(node, ast.Name) and isinstance(node.ctx, ast.Store):
            mutable.pop(node.id, None)  # another value from here on, as far as this goes
    for name in (name for node in own for name in _changed(node)):
        if name in mutable:
            title = f"All calls share the default of {name}, and this function changes it"
            yield Bug(mutable.pop(name), "B006", title, "Default to None; make it inside.")


def _changed(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr in GROWS:
        holder: ast.AST | None = node.func.value
    elif isinstance(node, ast.Subscript) and isinstance(node.ctx, ast.Store | ast.Del):
        holder = node.value
    elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.Add | ast.BitOr):
        holder = node.target
    else:
        holder = None
    if isinstance(holder, ast.Name):
        yield holder.id


def _changed_while_read(loop: ast.For) -> Iterator[Bug]:
    """Find loops over a dict, or its items, that take from it and go on."""
    read = loop.iter
    if isinstance(read, ast.Call) and isinstance(read.func, ast.Attribute) and not read.args:
        read = read.func.value if read.func.attr in {"items", "keys", "values"} else read
    if not isinstance(read, ast.Name | ast.Attribute):
        return
    name = ast.unparse(read)
    for block in _blocks(loop.body):
        ends = isinstance(block[-1], ast.Break | ast.Return | ast.Raise)
        for statement in block if not ends else ():
            target = statement.targets[0] if isinstance(statement, ast.Delete) else None
            call = statement.value if isinstance(statement, ast.Expr | ast.Assign) else None
            is_taken = isinstance(target, ast.Subscript) and ast.unparse(target.value) == name
            if isinstance(call, ast.Call) and isinstance(call.func, ast.Attribute):
                is_taken = call.func.attr in _TAKES and ast.unparse(call.func.value) == name
            if is_taken:
                title = f"{name} is changed while it is iterated"
                yield Bug(statement, "B909", title, f"for ... in list({name})")


_TAKES = frozenset({"pop", "popitem", "clear", "remove", "discard"})


def _blocks(body: list[ast.stmt]) -> list[list[ast.stmt]]:
    """Return a loop's body and the blocks of its conditions, which the loop goes on after."""
    blocks = [body]
    for statement in (statement for block in blocks for statement in block):
        if isinstance(statement, ast.If | ast.With | ast.Try):
            parts = (getattr(statement, name, None) for name in ("body", "orelse", "finalbody"))
            blocks += filter(None, parts)
    return blocks


def _unclosed(function: Function, own: Nodes) -> Iterator[Bug]:
    """Find files opened for writing, and neither closed nor handed on: what is written may be lost."""
    opened: dict[str, ast.Call] = {}
    for node in own:
        if isinstance(node, ast.Assign) and len(node.targets) == 1 and isinstance(node.targets[0], ast.Name):
            call = node.value
            if isinstance(call, ast.Call) and _writes(call):
                opened[node.targets[0].id] = call
        elif isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute):
            inner = node.func.value
            if isinstance(inner, ast.Call) and _writes(inner) and node.func.attr != "close":
                yield Bug(inner, "SIM115", "A file is written and never closed", "with open(...) as file.")
    if not opened:
        return
    used = {
        inner.id
        for node in ast.walk(function)
        for inner in _handed(node)
        if isinstance(inner, ast.Name) and inner.id in opened
    }
    for name in sorted(opened.keys() - used):
        yield Bug(opened[name], "SIM115", "A file is written and never closed", "with open(...) as file.")


def _writes(call: ast.Call) -> bool:
    if not isinstance(call.func, ast.Name) or call.func.id != "open":
        return False
    modes = [*call.args[1:2], *(k.value for k in call.keywords if k.arg == "mode")]
    match modes[:1]:
        case [ast.Constant(value=str(mode))]:
            return not set("wax+").isdisjoint(mode)
    return False


def _handed(node: ast.AST) -> Iterator[ast.AST]:
    """Yield what a node closes, returns, stores or gives to another."""
    if isinstance(node, ast.Attribute) and node.attr in {"close", "detach"}:
        yield node.value
    elif isinstance(node, ast.Call):
        yield from (*node.args, *(keyword.value for keyword in node.keywords))
    elif isinstance(node, ast.Return | ast.Yield) and node.value is not None:
        yield from ast.walk(node.value)
    elif isinstance(node, ast.Assign | ast.withitem):
        yield from ast.walk(node.value if isinstance(node, ast.Assign) else node.context_expr)
    elif isinstance(node, ast.List | ast.Tuple | ast.Dict):
        yield from ast.iter_child_nodes(node)


def _assertion(node: ast.Call) -> Iterator[Bug]:
    """Find assertTrue(computed, expected): the second is a message, and nothing is compared."""
    match node:
        case ast.Call(func=ast.Attribute(attr="assertTrue" | "assertFalse"), args=[_, second]):
            if isinstance(second, ast.JoinedStr | ast.Name | ast.BinOp | ast.Call | ast.Attribute):
                return  # may be a text
            if not (isinstance(second, ast.Constant) and isinstance(second.value, str)):
                title = "The second argument is a message: nothing is compared"
                yield Bug(node, "assertion-cannot-fail", title, "assertEqual.")


def _always_true(node: ast.Assert) -> Iterator[Bug]:
    match node.test:
        case (
            ast.Compare(ast.Call(ast.Name("len")), [ast.GtE(), *_], [ast.Constant(0), *_])
            | ast.Lambda()
            | ast.GeneratorExp()
            | ast.JoinedStr([_, *_])
        ):
            fix = "Compare with what was expected."
            yield Bug(node, "assertion-cannot-fail", "This assertion can't fail", fix)
