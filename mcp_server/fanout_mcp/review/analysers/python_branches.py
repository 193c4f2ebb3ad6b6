"""What a branch of a Python program says of names: which it checks, and what holds after it."""

from __future__ import annotations

import ast
from collections.abc import Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace

from fanout_mcp.review.analysers.python_tables import CLEANING_TESTS
from fanout_mcp.review.analysers.python_values import Value, join

Env = dict[str, Value]


def joined(one: Env, other: Env) -> Env:
    result = dict(one)
    for name, value in other.items():
        mine = one.get(name)
        if mine is not value and (mine is not None or "[" not in name):
            result[name] = value if mine is None else join(mine, value)
    for name in [name for name in result if "[" in name and (name not in one or name not in other)]:
        del result[name]  # an element that only one way has set
    return result


REFUSED: Mapping[str, frozenset[str]] = {
    "'": frozenset({"xpath-injection"}),
    '"': frozenset({"xpath-injection"}),
    "..": frozenset({"path-traversal"}),
    "../": frozenset({"path-traversal"}),
    "/": frozenset({"path-traversal"}),
    "<": frozenset({"xss"}),
    "\n": frozenset({"log-injection", "header-injection"}),
    "\r\n": frozenset({"log-injection", "header-injection"}),
    "(": frozenset({"ldap-injection"}),
    "*": frozenset({"ldap-injection"}),
}
"""Text without which input does no harm there."""


def refused(test: ast.expr) -> tuple[dict[str, frozenset[str]], bool]:
    """Return what a test asks names not to hold (name -> harmless for), and whether it is true then."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        names, holds = refused(test.operand)
        return names, not holds
    if isinstance(test, ast.BoolOp):
        parts = [refused(part) for part in test.values]
        wanted = isinstance(test.op, ast.And)
        found: dict[str, frozenset[str]] = {}
        for names, holds in parts:
            for each, clean in names.items() if holds is wanted else ():
                found[each] = found.get(each, frozenset()) | clean
        return found, wanted
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.In | ast.NotIn):
        sought, name = test.left, test.comparators[0]
        if isinstance(sought, ast.Constant) and isinstance(name, ast.Name):
            clean = REFUSED.get(str(sought.value), frozenset())
            return ({name.id: clean} if clean else {}), isinstance(test.ops[0], ast.NotIn)
    return {}, False


def cleaned(env: Env, names: AbstractSet[str]) -> Env:
    """Return what is known anew once these names were checked: of them, and of what they were taken from."""
    result: Env = {}
    for name in names & env.keys():
        value = env[name]
        if value.taint is None:
            continue
        result[name] = replace(value, taint=None)
        is_parsed = value.kind.endswith(("urlparse()", "urlsplit()"))
        for other, known in env.items():
            if known.taint is None or known.taint.origin != value.taint.origin:
                continue
            if is_parsed and known.taint.line == value.taint.line:
                result[other] = replace(known, taint=None)
            elif known.is_file:
                result[other] = replace(known, is_file=False)
    return result


def leaves(body: Sequence[ast.stmt]) -> bool:
    if not body:
        return False
    last = body[-1]
    if isinstance(last, ast.Expr) and isinstance(last.value, ast.Call):
        call = last.value.func
        name = call.attr if isinstance(call, ast.Attribute) else call.id if isinstance(call, ast.Name) else ""
        return name in {"abort", "exit", "_exit", "fail"}
    return isinstance(last, ast.Return | ast.Raise | ast.Continue | ast.Break)


def _named(tested: ast.expr) -> set[str]:
    """Return the name whose value is tested, or whose host is: urlparse(name).hostname."""
    if isinstance(tested, ast.Name):
        return {tested.id}
    if isinstance(tested, ast.Attribute) and tested.attr in {"hostname", "netloc"}:
        inner = tested.value
        return _named(inner.args[0] if isinstance(inner, ast.Call) and inner.args else inner)
    return set()


def _below(tested: ast.expr) -> set[str]:
    """Return the path that is asked for the folders above it: commonpath([root, path]), path.parents."""
    if isinstance(tested, ast.Attribute) and tested.attr == "parents":
        return _named(tested.value)
    is_call = isinstance(tested, ast.Call) and ast.unparse(tested.func).endswith(
        ("commonpath", "commonprefix")
    )
    return {inner.id for inner in ast.walk(tested) if isinstance(inner, ast.Name)} if is_call else set()


def checked_names(test: ast.expr) -> tuple[set[str], bool]:
    """Return the names that a test compares with what is allowed, and whether it holds when they are not."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        names, is_negative = checked_names(test.operand)
        return names, not is_negative
    if isinstance(test, ast.BoolOp):
        parts = [checked_names(part) for part in test.values]
        wanted = isinstance(test.op, ast.Or)
        return {name for names, negative in parts if negative is wanted for name in names}, wanted
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        allowed = test.comparators[0]
        is_list = not (isinstance(allowed, ast.Constant) and isinstance(allowed.value, str))
        if is_list and isinstance(test.ops[0], ast.In | ast.NotIn):
            return _named(test.left) | _below(allowed), isinstance(test.ops[0], ast.NotIn)
        if isinstance(test.ops[0], ast.Eq | ast.NotEq):
            return _below(test.left), isinstance(test.ops[0], ast.NotEq)
    if isinstance(test, ast.Call) and isinstance(test.func, ast.Attribute | ast.Name):
        name = test.func.attr if isinstance(test.func, ast.Attribute) else test.func.id
        if name in CLEANING_TESTS:
            owner = [test.func.value] if isinstance(test.func, ast.Attribute) else []
            return {item.id for item in (*owner, *test.args) if isinstance(item, ast.Name)}, False
    return set(), False
