"""What is known of the value of an expression: of its pieces, and of what is called with them."""

from __future__ import annotations

import ast
import functools
import operator
import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from fanout_mcp.review.static.python import sinks
from fanout_mcp.review.static.python.values import (
    ARCHIVED,
    FRAMEWORKS,
    GROWS,
    MAX_ITEMS,
    NOTHING,
    REQUEST_NAMES,
    Call,
    Env,
    Taint,
    Value,
    element_of,
    harmless,
    has,
    join,
    last_name,
    listed,
    names,
    with_element,
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
RECEIVES: Final = FRAMEWORKS | {"socket", "socketserver", "websocket", "websockets", "zmq"}
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
    pairs: dict[tuple[int, int], Value] = {}  # the names of one list stay so: their value is one object
    for name, value in other.items():
        mine = one.get(name)
        if mine is None:
            result[name] = value
        elif mine is not value:
            pair = id(mine), id(value)
            pairs[pair] = result[name] = pairs.get(pair) or join(mine, value)
    return result


REFUSED: Mapping[str, frozenset[str]] = {
    "'": frozenset({sinks.QUOTED["'"]}),
    '"': frozenset({sinks.QUOTED['"']}),
    "..": frozenset({"path-traversal"}),
    "../": frozenset({"path-traversal"}),
    "/": frozenset({"path-traversal"}),
    "<": frozenset({"xss"}),
    "\n": frozenset({"log-injection", "header-injection"}),
    "(": frozenset({"ldap-injection"}),
    "*": frozenset({"ldap-injection"}),
}
"""Text without which input does no harm there."""


def refused(test: ast.expr) -> tuple[dict[str, frozenset[str]], bool]:
    """Return what a test asks names not to hold (name -> harmless for), and whether it is true then."""
    if isinstance(test, ast.UnaryOp) and isinstance(test.op, ast.Not):
        held, holds = refused(test.operand)
        return held, not holds
    if isinstance(test, ast.BoolOp):
        parts = [refused(part) for part in test.values]
        wanted = isinstance(test.op, ast.And)
        found: dict[str, frozenset[str]] = {}
        for held, holds in parts:
            for each, clean in held.items() if holds is wanted else ():
                found[each] = found.get(each, frozenset()) | clean
        return found, wanted
    if isinstance(test, ast.Call) and last_name(test.func) == "any" and test.args:
        return _refused_any(test.args[0]), False
    if (
        isinstance(test, ast.Call)
        and ast.unparse(test.func) in {"re.search", "re.findall"}
        and len(test.args) > 1
    ):
        pattern, name = test.args[:2]
        clean = without(str(pattern.value)) if isinstance(pattern, ast.Constant) else frozenset()
        return ({name.id: clean} if isinstance(name, ast.Name) and clean else {}), False
    if isinstance(test, ast.Compare) and len(test.ops) == 1 and isinstance(test.ops[0], ast.In | ast.NotIn):
        sought, parted = test.left, _parted(test.comparators[0])
        if isinstance(sought, ast.Attribute) and sought.attr == "sep":
            sought = ast.Constant("/")
        if isinstance(sought, ast.Constant) and parted:
            clean = REFUSED.get(str(sought.value), frozenset())
            return (dict.fromkeys(parted, clean) if clean else {}), isinstance(test.ops[0], ast.NotIn)
    return {}, False


def _parted(tested: ast.expr) -> list[str]:
    """Return the name that is looked through, whole or in its parts: name.split("/"), Path(name).parts."""
    if isinstance(tested, ast.Name):
        return [tested.id]
    if isinstance(tested, ast.Call) and last_name(tested.func) in {
        "split",
        "lower",
        "Path",
        "PurePath",
        "set",
    }:
        inner = [tested.func.value] if isinstance(tested.func, ast.Attribute) else tested.args
        return [name for one in inner for name in _parted(one)]
    return _parted(tested.value) if isinstance(tested, ast.Attribute) and tested.attr == "parts" else []


def _free_of(signs: Iterable[str]) -> frozenset[str]:
    """Return what a text without these signs is harmless for."""
    return frozenset[str]().union(*(REFUSED.get(sign, frozenset()) for sign in signs))


def _refused_any(given: ast.expr) -> dict[str, frozenset[str]]:
    """Return what `any(sign in name for sign in "...")` asks a name not to hold."""
    if not isinstance(given, ast.GeneratorExp) or not isinstance(given.elt, ast.Compare):
        return {}
    signs, name = given.generators[0].iter, given.elt.comparators[0]
    if isinstance(signs, ast.Tuple | ast.List | ast.Set):
        sought = [str(one.value) for one in signs.elts if isinstance(one, ast.Constant)]
    else:
        sought = list(str(signs.value)) if isinstance(signs, ast.Constant) else []
    clean = _free_of(sought)
    return {name.id: clean} if isinstance(name, ast.Name) and clean else {}


_CLASS: Final = re.compile(r"\[(?P<all_but>\^?)(?P<signs>(?:[^\]\\]|\\.)+)\][+*]?")


def without(pattern: str) -> frozenset[str]:
    """Return what a text is harmless for that holds nothing a pattern of one class of characters matches."""
    only = _CLASS.fullmatch(pattern)
    if only is None:
        return REFUSED.get(re.sub(r"\\([^\w])", r"\1", pattern).replace("\\n", "\n"), frozenset())
    try:
        one = re.compile(f"[{only['all_but']}{only['signs']}]")
    except re.error:
        return frozenset()
    gone = {sign for sign in (*REFUSED, *";|&$`") if len(sign) == 1 and one.match(sign)}
    return HARMLESS_AS_NUMBER if {"'", '"', ";", "$", "<"} <= gone else _free_of(gone)


def cleaned(env: Env, checked: AbstractSet[str]) -> Env:
    """Return what is known once these names were checked: of them, and of what they were taken from."""
    result: Env = {}
    for name in checked & env.keys():
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
        checked, is_negative = checked_names(test.operand)
        return checked, not is_negative
    if isinstance(test, ast.BoolOp):
        parts = [checked_names(part) for part in test.values]
        wanted = isinstance(test.op, ast.Or)
        return {name for checked, negative in parts if negative is wanted for name in checked}, wanted
    if isinstance(test, ast.Compare) and len(test.ops) == 1:
        allowed = test.comparators[0]
        if isinstance(test.ops[0], ast.Is | ast.IsNot) and ast.unparse(allowed) == "None":
            return checked_names(test.left)[0], isinstance(test.ops[0], ast.Is)
        if isinstance(test.ops[0], ast.LtE):
            return set(_signs(test.left)), False
        is_list = not (isinstance(allowed, ast.Constant) and isinstance(allowed.value, str))
        if is_list and isinstance(test.ops[0], ast.In | ast.NotIn):
            return _named(test.left) | _below(allowed), isinstance(test.ops[0], ast.NotIn)
        if isinstance(test.ops[0], ast.Eq | ast.NotEq):
            return _below(test.left), isinstance(test.ops[0], ast.NotEq)
    if isinstance(test, ast.Attribute) and test.attr in _ELSEWHERE and isinstance(test.value, ast.Name):
        return {test.value.id}, True
    if isinstance(test, ast.BinOp) and isinstance(test.op, ast.Sub):
        return set(_signs(test.left)), True
    if isinstance(test, ast.Call) and last_name(test.func) in {"all", "any"} and test.args:
        is_any = last_name(test.func) == "any"
        return _checked_each(test.args[0], is_negative=is_any), is_any
    if isinstance(test, ast.Call) and _is_check(test):
        owner = [test.func.value] if isinstance(test.func, ast.Attribute) else []
        given = (*owner, *test.args, *(keyword.value for keyword in test.keywords))
        return {item.id for item in given if isinstance(item, ast.Name)}, False
    return set(), False


def _signs(tested: ast.expr) -> list[str]:
    """Return the name whose signs are compared as a set: set(name)."""
    is_set = isinstance(tested, ast.Call) and last_name(tested.func) in {"set", "frozenset"}
    return _parted(tested) if is_set else []


def _checked_each(given: ast.expr, *, is_negative: bool) -> set[str]:
    """Return the name of which every sign is checked: all(sign.isalnum() for sign in name)."""
    if not isinstance(given, ast.GeneratorExp) or not isinstance(given.generators[0].iter, ast.Name):
        return set()
    checked, is_refused = checked_names(given.elt)
    is_each = ast.unparse(given.generators[0].target) in checked and is_refused is is_negative
    return {given.generators[0].iter.id} if is_each else set()


_CHECKS_BY_NAME: Final = re.compile(r"(?i)allow|valid|safe|trusted|permit")


def _is_check(test: ast.Call) -> bool:
    """Tell whether a call checks what it is given; a match that only begins well checks nothing."""
    name = last_name(test.func)
    if name == "match" and test.args and isinstance(test.args[0], ast.Constant) and len(test.args) == 2:
        return re.search(r"(\$|\\[zZ])$", str(test.args[0].value)) is not None
    return name in CLEANING_TESTS or _CHECKS_BY_NAME.search(name) is not None


# --- expressions --------------------------------------------------------------------------------------------


def value_of(reader: Reader, node: ast.expr | None) -> Value:
    if node is None:
        return NOTHING
    method = _EXPRESSIONS.get(type(node))
    return method(reader, node) if method is not None else _children(reader, node)


def _children(reader: Reader, node: ast.AST) -> Value:
    return _together(_parts(reader, node))


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
    if name.endswith((".request", ".current_request")) and name.partition(".")[0] in FRAMEWORKS:
        return Value(Taint(REMOTE, "the request", node.lineno), is_request=True)
    if isinstance(node.value, ast.Name):
        own = reader.scope.env.get(f"{node.value.id}.{node.attr}")
        if own is not None:
            return own
        if node.value.id == "self":
            if reader.scope.is_handler and node.attr in HANDLED:
                return Value(Taint(REMOTE, f"self.{node.attr}", node.lineno))
            if node.attr == "kwargs" and reader.scope.is_route:
                return Value(Taint(REMOTE, "self.kwargs", node.lineno))
            if node.attr == "request" and reader.is_web:
                return Value(Taint(REMOTE, "self.request", node.lineno), is_request=True)
            return reader.attributes.get(f"{reader.scope.owner}.{node.attr}", NOTHING)
    base = value_of(reader, node.value)
    if base.is_request:
        if node.attr in REQUEST_SAFE:
            return NOTHING
        if node.attr in {"path", "path_info", "fullpath"} and reader.scope.is_fixed:
            return Value(is_listed=True)
        taint = Taint(base.level, f"request.{node.attr}", node.lineno)
        return Value(taint, is_file=node.attr in {"files", "FILES"})
    if node.attr == "filename" and base.is_file:
        return replace(base, is_file=False)
    if (own := element_of(base, f".{node.attr}")) is not None:
        return own
    if node.attr in {"name", "stem", "suffix"} and base.taint is not None and "Path" in base.kind:
        return replace(harmless(base, {"path-traversal"}), const=None, kind="", built=False)
    if (
        node.attr in {"path", "raw_path"}
        and reader.scope.is_fixed
        and name.endswith(("url.path", "url.raw_path"))
    ):
        return Value(is_listed=True)
    return replace(base, const=None, kind=name if name and not base.taint else "", built=False)


def read_subscript(reader: Reader, node: ast.Subscript) -> Value:
    base = value_of(reader, node.value)
    bounds = _bounds(reader, node.slice) if isinstance(node.slice, ast.Slice) else []  # once: they may nest
    key = _together(bounds) if bounds else value_of(reader, node.slice)
    if reader.dotted(node.value) in {"globals()", "locals()"}:
        sinks.report(reader, "unsafe-reflection", node, key)
    if base.items is not None and isinstance(node.slice, ast.Slice) and node.slice.step is None:
        low, high = (bound.const for bound in bounds[:2])
        if (low is None or isinstance(low, int)) and (high is None or isinstance(high, int)):
            return _listed(base.items[low:high])
    own = element_of(base, key.const)
    if own is not None:
        return own
    if base.taint is not None and _LAST_PART.search(ast.unparse(node)):
        clean = harmless(base, {"path-traversal", "header-injection", "log-injection"})
        return replace(clean, const=None, kind="", items=None)
    known = replace(NOTHING, text=base.text, is_listed=base.is_listed)
    return replace(base if base.taint else known, const=None, kind="")


def _bounds(reader: Reader, node: ast.Slice) -> list[Value]:
    return [value_of(reader, bound) for bound in (node.lower, node.upper, node.step)]


DECODES: Final = listed("decodes")
_LAST_PART: Final = re.compile(r"(split\([^()]*\)\[-1\]|partition\([^()]*\)\[(-1|2)\]|splitlines\(\)\[0\])$")
"""The part of a path behind its last folder, and the first line of a text."""


def read_bin_op(reader: Reader, node: ast.BinOp) -> Value:
    """Read a chain of operations from its left, without a call within a call for each."""
    chain = [node]
    while isinstance(chain[-1].left, ast.BinOp):
        chain.append(chain[-1].left)
    value = value_of(reader, chain[-1].left)
    for one in reversed(chain):
        value = _operated(reader, one, value, value_of(reader, one.right))
    return value


def _operated(reader: Reader, node: ast.BinOp, left: Value, right: Value) -> Value:
    both = join(left, right)
    if isinstance(left.const, str) and isinstance(right.const, str) and isinstance(node.op, ast.Add):
        text = left.const + right.const
        if len(text) < MAX_CONSTANT:
            return Value(const=text, text=text)
    if isinstance(node.op, ast.Add) and left.items is not None and right.items is not None:
        return _listed([*left.items, *right.items])
    number = _computed(left.const, node.op, right.const)
    if number is not None:
        return Value(const=number)
    if (
        isinstance(left.const, bytes)
        and isinstance(right.const, int)
        and isinstance(node.op, ast.Mult)
        and len(left.const) * right.const < MAX_CONSTANT
    ):
        return Value(const=left.const * right.const)
    if isinstance(node.op, ast.Div | ast.Mod | ast.FloorDiv) and right.is_number:
        sinks.report(reader, "zero-division", node, right)
    if isinstance(node.op, ast.Mult) and (left.is_number or right.is_number) and (left.text or right.text):
        sinks.report(reader, "resource-exhaustion", node, left if left.is_number else right)
    is_text = isinstance(node.op, ast.Add | ast.Mod)
    varies = left.varies or right.varies
    kind = _digest(left, right)
    if isinstance(node.op, ast.Div) and ("Path" in left.kind or (right.taint and not right.is_number)):
        kind = left.kind or "pathlib.Path()"
    sinks.check_header(reader, node, (left, right))
    if isinstance(node.op, ast.Mod) and left.kind.endswith("Markup()"):
        return Value(kind=left.kind)  # it escapes what it takes in
    return replace(both, const=None, kind=kind, built=is_text and varies)


MAX_CONSTANT: Final = 10_000
"""Letters or bytes of a constant that is put together: what doubles in a line grows beyond all memory."""
MAX_POWER: Final = 64


_COMPUTES: Final[dict[type[ast.operator], Callable[[int, int], int]]] = {
    ast.BitAnd: operator.and_,
    ast.BitOr: operator.or_,
    ast.BitXor: operator.xor,
    ast.RShift: operator.rshift,
    ast.Pow: operator.pow,
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.FloorDiv: operator.floordiv,
    ast.Mod: operator.mod,
}
_COMPARES: Final[dict[type[ast.cmpop], Callable[[Any, Any], bool]]] = {
    ast.Eq: operator.eq,
    ast.NotEq: operator.ne,
    ast.Lt: operator.lt,
    ast.LtE: operator.le,
    ast.Gt: operator.gt,
    ast.GtE: operator.ge,
}


def _computed(left: object, sign: ast.operator, right: object) -> int | None:
    """Compute with small whole numbers."""
    if not (type(left) is int and type(right) is int and max(abs(left), abs(right)) < 10**6):
        return None
    needs_more = isinstance(sign, ast.FloorDiv | ast.Mod | ast.RShift)
    if (needs_more and right <= 0) or (isinstance(sign, ast.Pow) and not 0 <= right <= MAX_POWER):
        return None
    compute = _COMPUTES.get(type(sign))
    return compute(left, right) if compute else None


def _compared(left: Value, sign: ast.cmpop, right: Value) -> bool | None:
    if isinstance(sign, ast.In | ast.NotIn) and left.const is not None:
        among = [one.const for one in right.items] if right.items is not None else right.const
        is_text = isinstance(among, str) and isinstance(left.const, str)
        if is_text or (isinstance(among, list) and None not in among):
            return (left.const in among) is isinstance(sign, ast.In)  # type: ignore[operator] # text or list
        return None
    compare = _COMPARES.get(type(sign))
    is_alike = type(left.const) is type(right.const) and isinstance(left.const, int | str)
    return compare(left.const, right.const) if compare and is_alike else None


def read_unary_op(reader: Reader, node: ast.UnaryOp) -> Value:
    value = value_of(reader, node.operand)
    if isinstance(node.op, ast.USub) and type(value.const) is int:
        return Value(const=-value.const)
    if isinstance(node.op, ast.Not) and value.const is not None:
        return Value(const=not value.const)
    return replace(value, const=None, kind="", is_request=False, items=None, entries=None)


def read_bool_op(reader: Reader, node: ast.BoolOp) -> Value:
    parts = [value_of(reader, part) for part in node.values]
    stops = isinstance(node.op, ast.Or)
    for value in parts:
        if value.const is None:
            break
        if bool(value.const) is stops or value is parts[-1]:
            return value
    return _together(parts)


def read_joined_str(reader: Reader, node: ast.JoinedStr) -> Value:
    result, varies = NOTHING, False
    for piece in node.values:
        inner = piece.value if isinstance(piece, ast.FormattedValue) else piece
        value = value_of(reader, inner)
        if isinstance(piece, ast.FormattedValue):
            sinks.check_header(reader, node, (result, value))
        if isinstance(piece, ast.FormattedValue) and piece.conversion == ord("r"):
            value = harmless(value, {"log-injection", "header-injection"})
        result = join(result, value)
        varies = varies or value.varies
    if not varies and result.taint is None:
        reader.settled.add(node.lineno)
    return replace(result, const=None, kind="", built=varies)


def _digest(left: Value, right: Value) -> str:
    """Return the kind of a digest that a constant is put before or behind."""
    kinds = [one.kind for one, other in ((left, right), (right, left)) if isinstance(other.const, str)]
    return next((kind for kind in kinds if kind.endswith(sinks.DIGESTS)), "")


def read_container(reader: Reader, node: ast.Dict | ast.List | ast.Tuple | ast.Set) -> Value:
    """Read a display; one that holds constants alone is a table that the program wrote down."""
    elements = node.values if isinstance(node, ast.Dict) else node.elts
    parts = tuple(_parts(reader, node))  # once: what holds others would be read twice as often at each level
    is_ordered = isinstance(node, ast.List | ast.Tuple)
    is_followed = is_ordered and len(parts) <= MAX_ITEMS
    entries = None
    if isinstance(node, ast.Dict) and len(parts) == 2 * len(elements) <= 2 * MAX_ITEMS:
        keys = [part.const for part in parts[: len(elements)]]
        if all(isinstance(key, str | int) for key in keys):
            entries = dict(zip(keys, parts[len(elements) :], strict=True))
    return replace(
        _together(parts),
        entries=entries,
        items=parts if is_followed and not any(isinstance(e, ast.Starred) for e in elements) else None,
        first=parts[0] if is_ordered and parts else None,
        is_listed=bool(elements) and all(isinstance(e, ast.Constant) for e in elements),
    )


def _listed(items: Sequence[Value]) -> Value:
    """Return what is known of a list of these elements."""
    return replace(_together(items), items=tuple(items) if len(items) <= MAX_ITEMS else None)


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
    known = [_compared(*each) for each in zip(sides, node.ops, sides[1:], strict=False)]
    return NOTHING if None in known else Value(const=all(known))


def element(container: Value) -> Value:
    """Return what is known of whichever element of a container comes next."""
    return replace(container, const=None, kind="", items=None, first=None, entries=None)


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


def read_comprehension(
    reader: Reader, node: ast.ListComp | ast.SetComp | ast.GeneratorExp | ast.DictComp
) -> Value:
    before = dict(reader.scope.env)
    for generator in node.generators:
        reader.bind(generator.target, element(value_of(reader, generator.iter)))
        for test in generator.ifs:
            value_of(reader, test)
            checked, is_negative = checked_names(test)
            reader.clean(checked if not is_negative else frozenset())
    if isinstance(node, ast.DictComp):
        value = join(value_of(reader, node.key), value_of(reader, node.value))
    else:
        value = value_of(reader, node.elt)
    reader.scope.env = before
    return replace(value, const=None, kind="")


def read_call(reader: Reader, node: ast.Call) -> Value:
    receiver = value_of(reader, node.func.value) if isinstance(node.func, ast.Attribute) else NOTHING
    if not isinstance(node.func, ast.Attribute | ast.Name):
        value_of(reader, node.func)
    arguments = [value_of(reader, argument) for argument in node.args]
    keywords = {keyword.arg or "**": value_of(reader, keyword.value) for keyword in node.keywords}
    name = reader.dotted(node.func)
    call = Call(node, name, arguments, keywords)
    sinks.check_call(reader, call, receiver)
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if isinstance(node.func, ast.Attribute) and method in GROWS:
        for value in (*arguments, *keywords.values()):
            reader.grow(node.func.value, value)
    taken = None
    if name == "setattr" and len(arguments) == 3 and isinstance(node.args[0], ast.Name):
        reader.scope.env[f"{node.args[0].id}.{arguments[1].const}"] = arguments[2]
    if isinstance(node.func, ast.Attribute) and isinstance(node.func.value, ast.Name):
        taken = follow(reader, node.func.value.id, method, arguments, keywords)
    if taken is None and method == "get" and receiver.entries:
        taken = _looked_up(receiver, arguments)
    return taken if taken is not None else _result(reader, call, method, receiver)


def _looked_up(container: Value, keys: Sequence[Value]) -> Value | None:
    """Return the element that mapping.get(key), or a parser's get(section, key), returns."""
    found = element_of(container, keys[0].const) if keys else None
    if found is not None and found.entries and len(keys) > 1:
        return element_of(found, keys[1].const)
    return found


def follow(
    reader: Reader, name: str, method: str, arguments: Sequence[Value], keywords: Mapping[str, Value]
) -> Value | None:
    """Follow a list, queue or mapping through its own methods; return the element that it hands out."""
    old = reader.scope.env.get(name)
    if old is None or method not in _CHANGES:
        return None
    if old.items is not None:
        return _follow_list(reader, name, method, arguments)
    is_parser = old.kind.endswith("ConfigParser()")
    if old.entries is None and not is_parser:
        return None
    key = arguments[0].const if arguments else None
    entries: dict[object, Value] | None = dict(old.entries or {})
    taken = entries.get(key) if entries and isinstance(key, str | int) else None
    if is_parser and method == "set" and len(arguments) == 3:
        section = with_element((entries or {}).get(key, NOTHING), arguments[1].const, arguments[2])
        reader.change(name, with_element(old, key, section))
        return None
    if method == "update" and entries is not None and (keywords or (arguments and arguments[0].entries)):
        entries.update(arguments[0].entries or {} if arguments else {})
        entries.update(keywords)
    elif method == "pop" and taken is not None and entries:
        del entries[key]
    elif (
        method == "setdefault" and len(arguments) == 2 and entries is not None and isinstance(key, str | int)
    ):
        taken = entries.setdefault(key, arguments[1])
    elif method in {"update", "clear", "pop", "popitem", "setdefault"}:
        entries, taken = None, None
    is_followed = entries is not None and len(entries) <= MAX_ITEMS
    reader.change(name, replace(old, entries=entries if is_followed else None))
    return taken if method in {"pop", "setdefault"} else None


_CHANGES: Final = listed("changes")
EMPTY: Final = listed("empty")


def _follow_list(reader: Reader, name: str, method: str, arguments: Sequence[Value]) -> Value | None:
    old = reader.scope.env[name]
    items, taken = list(old.items or ()), None
    first = arguments[0] if arguments else NOTHING
    at = first.const if arguments else -1
    is_there = isinstance(at, int) and -len(items) <= at < len(items)
    is_queue = "Queue" in old.kind
    if method in {"append", "put", "put_nowait"} and arguments:
        items.append(first)
    elif method == "appendleft" and arguments:
        items.insert(0, first)
    elif method == "pop" and isinstance(at, int) and is_there:
        taken = items.pop(at)
    elif items and (method == "popleft" or (is_queue and method in {"get", "get_nowait"})):
        taken = items.pop(-1 if "Lifo" in old.kind else 0)
    elif method == "insert" and type(at) is int and len(arguments) == 2:
        items.insert(at, arguments[1])
    elif method == "extend" and first.items is not None:
        items += first.items
    elif method == "reverse":
        items.reverse()
    elif method == "clear":
        items.clear()
    elif method not in {"get", "set", "update"}:
        reader.change(name, replace(old, items=None))
        return None
    taint = functools.reduce(join, items, NOTHING).taint
    followed = tuple(items) if len(items) < MAX_ITEMS else None
    reader.change(name, replace(old, items=followed, taint=taint if followed is not None else old.taint))
    return taken


def _result(reader: Reader, call: Call, method: str, receiver: Value) -> Value:
    node, name, arguments, keywords = call
    if name == "lxml.etree.XMLParser" and has(keywords.get("resolve_entities"), False):
        return Value(kind=sinks.SAFE_PARSER)
    everything = call.everything
    local = name.rsplit(".", 1)[-1]
    if name in EMPTY and len(arguments) < 2 and all(one.items is not None for one in arguments):
        return replace(
            arguments[0] if arguments else NOTHING,
            const=None,
            kind=f"{name}()",
            items=arguments[0].items if arguments else (),
        )
    computed = (
        None if keywords else _computed_by(name, method, receiver.const, [one.const for one in arguments])
    )
    if computed is not None:
        return Value(const=computed, text=computed if isinstance(computed, str) else "")
    level = SOURCE_CALLS.get(name)
    if level is not None:
        return Value(Taint(level, f"{name}()", node.lineno))
    if name in ERROR_CALLS:
        return Value(Taint(REMOTE, "the error", node.lineno, is_error=True))
    if method in ARCHIVE_METHODS and reader.roots & ARCHIVES:
        return Value(Taint(LOCAL, ARCHIVED, node.lineno))
    if local in reader.enums or (method == "get" and any(_is_typed(k) for k in node.keywords)):
        return Value(is_listed=local in reader.enums)
    if method in {"bindparams", "params"} or (method == "copy" and receiver.entries):
        return replace(receiver)  # an object of its own
    if name in _COPIES and len(arguments) == 1 and arguments[0].entries:
        return replace(arguments[0])
    if name in {"dict", "collections.OrderedDict"} and keywords and not arguments:
        entries: dict[object, Value] = {**dict.fromkeys(keywords, NOTHING)}
        entries.update(keywords.items())
        return replace(_together([*keywords.values()]), kind="dict()", entries=entries)
    if method in SOURCE_METHODS and reader.roots & RECEIVES:
        return Value(Taint(REMOTE, f"{method}()", node.lineno))
    both = receiver
    for value in everything:
        both = join(both, value)
    if name in CLEANS_ALL and both.taint is not None:
        number = replace(both.taint, clean=HARMLESS_AS_NUMBER)
        return Value(number, is_number=True) if name in STILL_NUMBERS else NOTHING
    if method in {"get", "setdefault", "pop"} and receiver.is_listed and receiver.taint is None:
        default = arguments[1] if len(arguments) > 1 else Value(is_listed=True)
        return replace(default, is_listed=not default.varies, const=None, kind="")
    if local in reader.functions and (name == local or name.startswith("self.")):
        _pass(reader, local, arguments, keywords)
        _check(reader, local, node)
        if (returned := reader.returns.get(local)) is not None:
            return _returned(returned, functools.reduce(join, everything, NOTHING).taint)
    taint = both.taint
    if taint is not None:
        sound_for = CLEANS.get(name, frozenset())
        if method == "replace" and len(arguments) > 1:
            sound_for = _replaced(arguments[0].const, arguments[1].const)
        elif name == "re.sub" and arguments and isinstance(pattern := arguments[0].const, str):
            is_class = _CLASS.fullmatch(pattern) is not None
            sound_for = without(pattern) if is_class else _replaced(pattern.replace("\\", ""), "")
        elif method == "encode" and arguments and arguments[0].const == "unicode_escape":
            sound_for = REFUSED["\n"]
        elif re.match(r"(?i)_?saniti[sz]e", local):
            sound_for = HARMLESS_AS_NUMBER
        keeps = name in KEEPS_CALLS or method in KEEPS_TEXT or bool(sound_for)
        if name in sinks.ENDS or method in sinks.ENDING_METHODS:
            return Value(kind=f"{name}()", text=arguments[0].text if arguments else "")
        before = frozenset[str]() if name in DECODES else taint.clean
        keeps_read = taint.is_read and keeps
        taint = replace(
            taint, clean=before | sound_for, is_direct=taint.is_direct and keeps, is_read=keeps_read
        )
    built = method in {"format", "join", "format_map"} and any(value.const is None for value in everything)
    keeps_file = receiver.is_file and method in {"get", "getlist"}
    # The pieces stay known through str methods only: "SELECT" in an unknown call's argument says nothing.
    text = both.text if method in KEEPS_TEXT or name in KEEPS_CALLS or name in sinks.ENDS else ""
    is_constant = receiver.is_listed and method in KEEPS_TEXT and not any(one.varies for one in everything)
    is_built = built or (method in KEEPS_TEXT and receiver.built)
    return Value(
        taint,
        text=text,
        kind=f"{name}()" if name else "",
        built=is_built,
        is_file=keeps_file,
        is_listed=is_constant,
        entries=_attributes(reader, local, arguments, keywords)
        if local[:1].isupper() or local == "namedtuple()"
        else None,
    )


def _is_typed(keyword: ast.keyword) -> bool:
    return keyword.arg == "type" and ast.unparse(keyword.value) in {"int", "float", "UUID", "uuid.UUID"}


_COPIES: Final = names("dict collections.OrderedDict copy.copy copy.deepcopy")


def _attributes(
    reader: Reader, made: str, arguments: Sequence[Value], keywords: Mapping[str, Value]
) -> Mapping[object, Value] | None:
    """Return the attributes of an object that is made with them."""
    fields = reader.fields.get(made, ())
    given = {**dict.fromkeys(fields, NOTHING), **dict(zip(fields, arguments, strict=False)), **keywords}
    return {f".{name}": value for name, value in given.items()} if given and "**" not in given else None


def _replaced(sought: object, by: object) -> frozenset[str]:
    """Return what text is harmless for once a part of it was replaced: `....//` without `../` is `../`."""
    if not isinstance(sought, str) or len(set(sought)) != 1 or (isinstance(by, str) and sought in by):
        return frozenset()
    return REFUSED.get(sought, frozenset())


def _returned(value: Value, given: Taint | None) -> Value:
    """Return what a function of the file returns for what it is given: its own text, the caller's input."""
    result = replace(value, const=None, is_request=False)
    if value.taint is None or value.level > PARAM:
        return result
    if given is None:
        return replace(result, taint=None)
    return replace(result, taint=replace(given, clean=given.clean | value.taint.clean, is_direct=False))


def _check(reader: Reader, name: str, node: ast.Call) -> None:
    """Note what a function of the file that raises unless its arguments are sound says of them."""
    checks = reader.checks.get(name)
    if checks:
        for parameter, argument in zip(_parameters(reader, name), node.args, strict=False):
            if parameter in checks and isinstance(argument, ast.Name):
                reader.clean_for({argument.id: checks[parameter]})


_COMPUTING: Final[Mapping[str, Callable[[Any], object]]] = {
    one.__name__: one for one in (len, str, bool, abs, int)
}
_COMPUTING_METHODS: Final = names("lower upper strip startswith endswith isdigit isalpha title capitalize")


def _computed_by(name: str, method: str, receiver: object, arguments: list[object]) -> object:
    """Return what a call computes from constants alone, None where that is not known."""
    compute: Callable[..., object] | None = None
    if name in _COMPUTING and len(arguments) == 1 and type(arguments[0]) in {int, str}:
        compute = _COMPUTING[name]
    elif method in _COMPUTING_METHODS and isinstance(receiver, str):
        is_text = all(isinstance(argument, str) for argument in arguments)
        compute = getattr(receiver, method) if is_text else None
    try:
        return compute(*arguments) if compute else None
    except (TypeError, ValueError):
        return None


def _parameters(reader: Reader, name: str) -> list[str]:
    """Return what a function of the file is given, without the object of a method."""
    return [one.arg for one in reader.functions[name][0].args.args if one.arg not in {"self", "cls"}]


def _pass(reader: Reader, name: str, arguments: Sequence[Value], keywords: Mapping[str, Value]) -> None:
    """Remember the strongest input that a function of this file is called with."""
    given = {**dict(zip(_parameters(reader, name), arguments, strict=False)), **keywords}
    known = reader.passed.setdefault(name, {})
    for parameter, value in given.items():
        if (
            parameter != "**"
            and value.taint is not None
            and value.level > known.get(parameter, NOTHING).level
        ):
            known[parameter] = replace(value, const=None)


_EXPRESSIONS: dict[type[ast.AST], Callable[..., Value]] = {
    ast.Constant: read_constant,
    ast.BoolOp: read_bool_op,
    **dict.fromkeys((ast.Dict, ast.List, ast.Tuple, ast.Set), read_container),
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
    ast.ListComp: read_comprehension,
    ast.SetComp: read_comprehension,
    ast.GeneratorExp: read_comprehension,
    ast.DictComp: read_comprehension,
    ast.Call: read_call,
}
