"""What is known of the value of an expression: of its pieces, and of what is called with them."""

from __future__ import annotations

import ast
import functools
import operator
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from fanout_mcp.review.static.python import sinks
from fanout_mcp.review.static.python.values import (
    ARCHIVED,
    FRAMEWORKS,
    GROWS,
    NOTHING,
    REQUEST_NAMES,
    Call,
    Env,
    Taint,
    Value,
    has,
    join,
    last_name,
    listed,
    names,
)
from fanout_mcp.review.static.rules import LOCAL, PARAM, REMOTE, WEAKNESSES, read_table

if TYPE_CHECKING:  # it reads with all of these
    from fanout_mcp.review.static.python.taint import Walker as Reader

# --- Where outside input enters a Python program, and what makes it harmless. ------------------------------

REQUEST_SAFE: Final = listed("request_safe")
HANDLED: Final = frozenset({"path", "headers", "rfile", "requestline", "request"})
SOURCE_CALLS: Final = {
    name: level
    for who, level in (("local", LOCAL), ("caller", PARAM), ("remote", REMOTE))
    for name in listed(f"{who}_calls")
}
SOURCE_METHODS: Final = frozenset({"recv", "recvfrom", "receive_text", "receive_json", "receive_bytes"})
SOURCE_NAMES: Final[dict[str, int]] = {"sys.argv": LOCAL, "os.environ": PARAM, "sys.stdin": LOCAL}
ERROR_CALLS: Final = frozenset({"traceback.format_exc", "traceback.format_exception", "sys.exc_info"})
ARCHIVES: Final = frozenset({"zipfile", "tarfile", "rarfile", "py7zr"})
ARCHIVE_METHODS: Final = frozenset({"infolist", "namelist", "getmembers", "getnames"})
CLEANS_ALL: Final = listed("cleans_all")
STILL_NUMBERS: Final = frozenset({"int", "float", "complex", "decimal.Decimal"})
"""Their results are harmless as text, but still decide sizes and divisions."""
HARMLESS_AS_NUMBER: Final = frozenset(WEAKNESSES) - {"resource-exhaustion", "zero-division"}
CLEANS: Final = {
    name: names(row["of"]) for row in read_table("python.toml")["clean"] for name in row["calls"].split()
}
CLEANING_TESTS: Final = listed("cleaning_tests")
KEEPS_TEXT: Final = listed("keeps_text")
KEEPS_CALLS: Final = listed("keeps_calls")

# --- What a branch of a Python program says of names: which it checks, and what holds after it. -------------


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
    """Return what is known once these names were checked: of them, and of what they were taken from."""
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
        return last_name(last.value.func) in {"abort", "exit", "_exit", "fail"}
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


_ELSEWHERE = frozenset({"netloc", "scheme", "hostname"})
"""What a parsed address has only when it leads to another site."""


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
    if isinstance(test, ast.Attribute) and test.attr in _ELSEWHERE and isinstance(test.value, ast.Name):
        return {test.value.id}, True
    if isinstance(test, ast.Call) and last_name(test.func) in CLEANING_TESTS:
        owner = [test.func.value] if isinstance(test.func, ast.Attribute) else []
        return {item.id for item in (*owner, *test.args) if isinstance(item, ast.Name)}, False
    return set(), False


# --- expressions --------------------------------------------------------------------------------------------


def value_of(reader: Reader, node: ast.expr | None) -> Value:
    if node is None:
        return NOTHING
    method = _EXPRESSIONS.get(type(node))
    return method(reader, node) if method is not None else _together(_parts(reader, node))


def _parts(reader: Reader, node: ast.AST) -> list[Value]:
    return [value_of(reader, child) for child in ast.iter_child_nodes(node) if isinstance(child, ast.expr)]


def _together(parts: Sequence[Value]) -> Value:
    return replace(functools.reduce(join, parts, NOTHING), const=None, kind="", is_request=False)


def read_constant(_: Reader, node: ast.Constant) -> Value:
    return Value(const=node.value, text=node.value if isinstance(node.value, str) else "")


def read_name(reader: Reader, node: ast.Name) -> Value:
    value = reader.scope.env.get(node.id)
    if value is not None:
        return value
    full = reader.names.get(node.id, "")
    if node.id in REQUEST_NAMES and full and full.split(".")[0] in FRAMEWORKS:
        return Value(Taint(REMOTE, "the request", node.lineno), is_request=True)
    level = SOURCE_NAMES.get(full)
    return Value(Taint(level, full, node.lineno) if level else None, kind=full)


def read_attribute(reader: Reader, node: ast.Attribute) -> Value:
    name = reader.dotted(node)
    level = SOURCE_NAMES.get(name)
    if level is not None:
        return Value(Taint(level, name, node.lineno))
    if isinstance(node.value, ast.Name):
        own = reader.scope.env.get(f"{node.value.id}.{node.attr}")
        if own is not None:
            return own
        if node.value.id == "self":
            if reader.scope.is_handler and node.attr in HANDLED:
                return Value(Taint(REMOTE, f"self.{node.attr}", node.lineno))
            if node.attr == "request" and reader.is_web:
                return Value(Taint(REMOTE, "self.request", node.lineno), is_request=True)
            return reader.attributes.get(f"{reader.scope.owner}.{node.attr}", NOTHING)
    base = value_of(reader, node.value)
    if base.is_request:
        if node.attr in REQUEST_SAFE:
            return NOTHING
        if node.attr == "path" and reader.scope.is_fixed:
            return Value(is_listed=True)
        taint = Taint(base.level, f"request.{node.attr}", node.lineno)
        return Value(taint, is_file=node.attr in {"files", "FILES"})
    if node.attr == "filename" and base.is_file:
        return replace(base, is_file=False)
    return replace(base, const=None, kind=name if name and not base.taint else "", built=False)


def read_subscript(reader: Reader, node: ast.Subscript) -> Value:
    base, key = value_of(reader, node.value), value_of(reader, node.slice)
    if reader.dotted(node.value) in {"globals()", "locals()"}:
        sinks.report(reader, "unsafe-reflection", node, key)
    if isinstance(node.value, ast.Name) and isinstance(key.const, str | int):
        own = reader.scope.env.get(f"{node.value.id}[{key.const!r}]")
        if own is not None:
            return own
    items = base.items or ()
    if isinstance(key.const, int) and -len(items) <= key.const < len(items):
        return items[key.const]
    known = replace(NOTHING, text=base.text, is_listed=base.is_listed)
    return replace(base if base.taint else known, const=None, kind="")


def read_bin_op(reader: Reader, node: ast.BinOp) -> Value:
    left, right = value_of(reader, node.left), value_of(reader, node.right)
    joined = join(left, right)
    if isinstance(left.const, str) and isinstance(right.const, str) and isinstance(node.op, ast.Add):
        return Value(const=left.const + right.const, text=left.const + right.const)
    number = _computed(left.const, node.op, right.const)
    if number is not None:
        return Value(const=number)
    if isinstance(left.const, bytes) and isinstance(right.const, int) and isinstance(node.op, ast.Mult):
        return Value(const=left.const * min(right.const, 64))
    if isinstance(node.op, ast.Div | ast.Mod | ast.FloorDiv) and right.is_number:
        sinks.report(reader, "zero-division", node, right)
    if isinstance(node.op, ast.Mult) and (left.is_number or right.is_number) and (left.text or right.text):
        sinks.report(reader, "resource-exhaustion", node, left if left.is_number else right)
    is_text = isinstance(node.op, ast.Add | ast.Mod)
    varies = left.varies or right.varies
    kind = left.kind if isinstance(node.op, ast.Div) and "Path" in left.kind else _digest(left, right)
    return replace(joined, const=None, kind=kind, built=is_text and varies)


_COMPUTES: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARES: Final[dict[type[ast.cmpop], Callable[[int, int], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _computed(left: object, sign: ast.operator, right: object) -> int | None:
    if not (type(left) is int and type(right) is int and max(abs(left), abs(right)) < 10**6):
        return None
    compute = _COMPUTES.get(type(sign)) if right or not isinstance(sign, ast.FloorDiv | ast.Mod) else None
    return compute(left, right) if compute else None


def read_unary_op(reader: Reader, node: ast.UnaryOp) -> Value:
    value = value_of(reader, node.operand)
    if isinstance(node.op, ast.USub) and type(value.const) is int:
        return Value(const=-value.const)
    return replace(value, const=None, kind="", is_request=False, items=None)


def read_joined_str(reader: Reader, node: ast.JoinedStr) -> Value:
    result, varies = NOTHING, False
    for piece in node.values:
        inner = piece.value if isinstance(piece, ast.FormattedValue) else piece
        value = value_of(reader, inner)
        if isinstance(piece, ast.FormattedValue) and piece.conversion == ord("r") and value.taint:
            clean = value.taint.clean | {"log-injection", "header-injection"}
            value = replace(value, taint=replace(value.taint, clean=clean))
        result = join(result, value)
        varies = varies or value.varies
    if not varies and result.taint is None:
        reader.settled.add(node.lineno)
    return replace(result, const=None, kind="", built=varies)


def _digest(left: Value, right: Value) -> str:
    kinds = [one.kind for one, other in ((left, right), (right, left)) if isinstance(other.const, str)]
    return next((kind for kind in kinds if kind.endswith(sinks.DIGESTS)), "")


def read_container(reader: Reader, node: ast.Dict | ast.List | ast.Tuple | ast.Set) -> Value:
    """Read a display; one that holds constants alone is a table that the program wrote down."""
    elements = node.values if isinstance(node, ast.Dict) else node.elts
    parts = tuple(_parts(reader, node))  # once: what holds others would be read twice as often at each level
    is_ordered = isinstance(node, ast.List | ast.Tuple)
    is_followed = is_ordered and len(parts) <= MAX_ITEMS
    return replace(
        _together(parts),
        items=parts if is_followed and not any(isinstance(e, ast.Starred) for e in elements) else None,
        first=parts[0] if is_ordered and parts else None,
        is_listed=bool(elements) and all(isinstance(e, ast.Constant) for e in elements),
    )


def read_if_exp(reader: Reader, node: ast.IfExp) -> Value:
    if (known := reader.decided(node.test)) is not None:
        return value_of(reader, node.body if known else node.orelse)
    value_of(reader, node.test)
    checked, is_negative = checked_names(node.test)
    before = dict(reader.scope.env)
    if not is_negative:
        reader.clean(checked)
    body = value_of(reader, node.body)
    reader.scope.env = dict(before)
    if is_negative:
        reader.clean(checked)
    result = join(body, value_of(reader, node.orelse))
    reader.scope.env = before
    return result


def read_compare(reader: Reader, node: ast.Compare) -> Value:
    sides = [value_of(reader, side) for side in (node.left, *node.comparators)]
    sinks.check_compare(reader, node, sides)
    left, right, compare = sides[0].const, sides[1].const, _COMPARES.get(type(node.ops[0]))
    if len(sides) > 2 or compare is None or not (type(left) is int and type(right) is int):
        return NOTHING
    return Value(const=compare(left, right))


def element(container: Value) -> Value:
    """Return what is known of whichever element of a container comes next."""
    return replace(container, const=None, kind="", items=None, first=None)


def read_named(reader: Reader, node: ast.NamedExpr) -> Value:
    value = value_of(reader, node.value)
    reader.bind(node.target, value)
    return value


def read_lambda(reader: Reader, node: ast.Lambda) -> Value:
    before = dict(reader.scope.env)
    for argument in node.args.args:
        reader.scope.env[argument.arg] = Value()
    value = value_of(reader, node.body)
    reader.scope.env = before
    return value


Comprehension = ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp


def read_comprehension(reader: Reader, node: Comprehension) -> Value:
    before = dict(reader.scope.env)
    for generator in node.generators:
        reader.bind(generator.target, element(value_of(reader, generator.iter)))
        for test in generator.ifs:
            value_of(reader, test)
    if isinstance(node, ast.DictComp):
        value = join(value_of(reader, node.key), value_of(reader, node.value))
    else:
        value = value_of(reader, node.elt)
    reader.scope.env = before
    return replace(value, const=None, kind="")


def read_call(reader: Reader, node: ast.Call) -> Value:
    receiver = value_of(reader, node.func.value) if isinstance(node.func, ast.Attribute) else NOTHING
    arguments = [value_of(reader, argument) for argument in node.args]
    keywords = {keyword.arg or "**": value_of(reader, keyword.value) for keyword in node.keywords}
    name = reader.dotted(node.func)
    call = Call(node, name, arguments, keywords)
    sinks.check_call(reader, call, receiver)
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if isinstance(node.func, ast.Attribute) and method in GROWS:
        for value in (*arguments, *keywords.values()):
            reader.grow(node.func.value, value)
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        _mutate(reader, node.func.value.id, method, arguments)
    return _result(reader, call, method, receiver)


def _mutate(reader: Reader, name: str, method: str, arguments: Sequence[Value]) -> None:
    """Follow a list through its own methods; what else may change a container is not followed."""
    old = reader.scope.env.get(name)
    if method in {"update", "clear", "pop", "popitem", "setdefault"}:
        reader.forget_elements(name)
    if old is None or old.items is None:
        return
    items = list(old.items)
    first = arguments[0].const if arguments else None
    is_followed = len(items) < MAX_ITEMS
    if method == "append" and arguments:
        items.append(arguments[0])
    elif method == "pop" and not arguments and items:
        items.pop()
    elif method == "pop" and type(first) is int and -len(items) <= first < len(items):
        items.pop(first)
    elif method == "insert" and type(first) is int and len(arguments) == 2:
        items.insert(first, arguments[1])
    elif method == "clear":
        items.clear()
    elif method in {"pop", "insert", "remove", "reverse", "sort", "extend", "append"}:
        is_followed = False
    reader.scope.env[name] = replace(old, items=tuple(items) if is_followed else None)


MAX_ITEMS = 40
"""Elements of a list that are followed one by one."""


def _result(reader: Reader, call: Call, method: str, receiver: Value) -> Value:
    node, name, arguments, keywords = call
    if name == "lxml.etree.XMLParser" and has(keywords.get("resolve_entities"), False):
        return Value(kind=sinks.SAFE_PARSER)
    everything = call.everything
    level = SOURCE_CALLS.get(name)
    if level is not None:
        return Value(Taint(level, f"{name}()", node.lineno))
    if name in ERROR_CALLS:
        return Value(Taint(REMOTE, "the error", node.lineno, is_error=True))
    if method in ARCHIVE_METHODS and reader.roots & ARCHIVES:
        return Value(Taint(LOCAL, ARCHIVED, node.lineno))
    if method in SOURCE_METHODS and "socket" in reader.roots | {"websocket"} & reader.roots:
        return Value(Taint(REMOTE, f"{method}()", node.lineno))
    joined = receiver
    for value in everything:
        joined = join(joined, value)
    if name in CLEANS_ALL and joined.taint is not None:
        number = replace(joined.taint, clean=HARMLESS_AS_NUMBER)
        return Value(number, is_number=True) if name in STILL_NUMBERS else NOTHING
    if method in {"get", "setdefault", "pop"} and receiver.is_listed and receiver.taint is None:
        default = arguments[1] if len(arguments) > 1 else Value(is_listed=True)
        return replace(default, is_listed=not default.varies, const=None, kind="")
    local = name.rsplit(".", 1)[-1]
    if local in reader.functions and (name == local or name.startswith("self.")):
        _pass(reader, local, arguments, keywords)
        joined = join(joined, reader.returns.get(local, NOTHING))
    taint = joined.taint
    if taint is not None:
        cleaned = CLEANS.get(name, frozenset())
        if method == "replace" and node.args and isinstance(node.args[0], ast.Constant):
            cleaned = REFUSED.get(str(node.args[0].value), frozenset())
        keeps = name in KEEPS_CALLS or method in KEEPS_TEXT or bool(cleaned)
        if name in sinks.ENDS or method in sinks.ENDING_METHODS:
            return Value(kind=f"{name}()")
        taint = replace(taint, clean=taint.clean | cleaned, is_direct=taint.is_direct and keeps)
    built = method in {"format", "join", "format_map"} and any(value.const is None for value in everything)
    keeps_file = receiver.is_file and method in {"get", "getlist"}
    # The pieces stay known through str methods only: "SELECT" in an unknown call's argument says nothing.
    text = joined.text if method in KEEPS_TEXT or name in KEEPS_CALLS else ""
    is_constant = receiver.is_listed and method in KEEPS_TEXT and not any(one.varies for one in everything)
    is_built = built or (method in KEEPS_TEXT and receiver.built)
    kind = f"{name}()" if name else ""
    return Value(taint, text=text, kind=kind, built=is_built, is_file=keeps_file, is_listed=is_constant)


def _pass(reader: Reader, name: str, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> None:
    """Remember the strongest input that a function of this file is called with."""
    function = reader.functions[name][0]
    names = [a.arg for a in function.args.args if a.arg not in {"self", "cls"}]
    given = {**dict(zip(names, arguments, strict=False)), **keywords}
    known = reader.passed.setdefault(name, {})
    for parameter, value in given.items():
        if parameter != "**" and value.level > known.get(parameter, NOTHING).level:
            known[parameter] = replace(value, const=None)


_EXPRESSIONS: dict[type[ast.AST], Callable[..., Value]] = {
    ast.Constant: read_constant,
    **dict.fromkeys((ast.Dict, ast.List, ast.Tuple, ast.Set), read_container),
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.GeneratorExp, ast.DictComp), read_comprehension),
    ast.Name: read_name,
    ast.Attribute: read_attribute,
    ast.Subscript: read_subscript,
    ast.BinOp: read_bin_op,
    ast.UnaryOp: read_unary_op,
    ast.JoinedStr: read_joined_str,
    ast.IfExp: read_if_exp,
    ast.Compare: read_compare,
    ast.NamedExpr: read_named,
    ast.Lambda: read_lambda,
    ast.Call: read_call,
}
