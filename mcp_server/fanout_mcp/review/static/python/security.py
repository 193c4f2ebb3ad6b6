"""Our own security review of a Python file: followed input, weak settings, weak shapes."""

from __future__ import annotations

import ast
import functools
import re
import warnings
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from typing import Final, NamedTuple

import tree_sitter_python
from tree_sitter import Language, Node, Parser

from fanout_mcp.linear import bounded
from fanout_mcp.review.finding import Finding, Severity
from fanout_mcp.review.static.python.sinks import RUNS
from fanout_mcp.review.static.python.taint import TOO_DEEP, Walker, dotted, imported
from fanout_mcp.review.static.python.values import Function, Hit, defaults, hit, last_name, names
from fanout_mcp.review.static.rules import (
    INSECURE,
    LOCAL,
    PARAM,
    REMOTE,
    SWITCH,
    WEAKNESSES,
    Read,
    Where,
    found,
    surest,
    switched,
)
from fanout_mcp.source.secret_values import is_secret, is_word

# --- Make newer Python readable for the interpreter that runs us, line for line. ----------------------------
# `ast` knows the running interpreter's grammar only; on 3.11 more than a third of a well-known corpus does
# not parse, mostly because of quotes nested in f-strings (PEP 701). tree-sitter reads all of it. So where
# `ast` refuses a file, f-strings become additions of their pieces, type parameters and `type` statements
# go, and every line stays where it was.


@functools.cache
def parser() -> Parser:
    return Parser(Language(tree_sitter_python.language()))


def parse_python(text: str) -> ast.Module | None:
    """Return the module's tree, None when neither parser can read it. Raises RecursionError."""
    text = text.removeprefix("\ufeff")
    tree = _parsed(text)
    return tree if tree is not None else _parsed(lowered(text))


def nodes_of(tree: ast.AST, without: tuple[type[ast.AST], ...] = ()) -> list[ast.AST]:
    """Return every node that holds something, as `ast.walk` would in three times the time.

    What nodes of the kinds `without` hold is left out, but for the tree's own.
    """
    nodes: list[ast.AST] = [tree]
    for node in nodes:
        if without and node is not tree and isinstance(node, without):
            continue
        for name in node._fields:
            child = getattr(node, name, None)
            if isinstance(child, list):
                nodes += [each for each in child if isinstance(each, ast.AST) and each._fields]
            elif isinstance(child, ast.AST) and child._fields:
                nodes.append(child)
    return nodes


def _parsed(text: str) -> ast.Module | None:
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # invalid escapes in other people's code are not our news
            return ast.parse(text)
    except (SyntaxError, ValueError):
        return None
    except MemoryError:  # what the parser raises at the end of its own stack
        raise RecursionError from None


def lowered(text: str) -> str:
    data = text.encode("utf-8", "replace")
    root = parser().parse(data).root_node
    return _read(data, 0, root.start_byte) + _text(root, data)


def _text(node: Node, data: bytes) -> str:
    """Return a node's source with everything new in it rewritten."""
    pieces: list[str] = []
    position = node.start_byte
    for child in node.children:
        pieces.append(_read(data, position, child.start_byte))
        pieces.append(_rewritten(child, data))
        position = child.end_byte
    pieces.append(_read(data, position, node.end_byte))
    return "".join(pieces)


def _rewritten(node: Node, data: bytes) -> str:
    source = _read(data, node.start_byte, node.end_byte)
    if node.type == "string" and any(child.type == "interpolation" for child in node.children):
        return _padded(_sum(node, data), source)
    if node.type == "type_parameter" and node.parent and node.parent.type != "generic_type":
        return "\n" * source.count("\n")
    if node.type == "type_alias_statement":
        return _padded("pass", source)
    return _text(node, data)


def _sum(node: Node, data: bytes) -> str:
    pieces = []
    for child in node.children:
        if child.type == "interpolation":
            inner = child.child_by_field_name("expression")
            pieces.append(f"str({' '.join(_text(inner, data).split(chr(10)))})" if inner else "''")
        elif child.type == "string_content":
            pieces.append(repr(_read(data, child.start_byte, child.end_byte)))
    return f"({' + '.join(pieces)})"


def _padded(text: str, source: str) -> str:
    missing = source.count("\n") - text.count("\n")
    return text[:-1] + "\n" * missing + text[-1:] if text.endswith(")") else text + "\n" * missing


def _read(data: bytes, start: int, end: int) -> str:
    return data[start:end].decode("utf-8", "replace")


# --- Shapes of Python code that are weak as they stand: no flow of input is needed to see them. -------------

_SECRET = re.compile(
    r"(^|_)(password|passwd|pwd|secret|token|digest|signature|hmac|mac|api_?key|hash|csrf)$", re.IGNORECASE
)
_URLISH = re.compile(r"url|host|origin|referr?er|domain|redirect|next|location|email|uri", re.IGNORECASE)
_DOMAIN = re.compile(r"^(https?://)?[.\w*-]+\.(com|org|net|io|edu|gov|dev|example|local)/?$")
_CRITICAL = re.compile(
    r"delete|remove_user|admin|transfer|withdraw|payment|grant|promote|reset_password|change_password|shutdown|backup",
    re.IGNORECASE,
)
_ASKS_WHO = re.compile(
    r"auth|login|permission|current_user|(?<!db\.)session(?!\.(commit|add|delete|query|execute))|token|require|jwt|"
    r"\.user\b|\buser\s*[:=]|role|credential|check_access|abac|acl|depends\(|security\(",
    re.IGNORECASE,
)
_ROUTE = re.compile(r"\.(route|get|post|put|delete|patch)\(")


def shapes(nodes: Sequence[ast.AST]) -> Iterator[Hit]:
    """Yield what is weak in a module's nodes, of which the module is the first."""
    for node in nodes:
        rule = _RULES.get(type(node))
        if rule is not None:
            yield from rule(node)
    if any(isinstance(node, ast.While) for node in nodes):
        yield from _stuck(nodes)


def _hit(weakness: str, node: ast.AST, why: str, level: int = 1) -> Hit:
    return hit(weakness, node, level, why)


def _unparsed(node: ast.AST) -> str:
    """Return a node's source, nothing where a number in it has too many digits or it is nested too deeply."""
    try:
        return ast.unparse(node)
    except (ValueError, RecursionError):
        return ""


def _name(node: ast.expr) -> str:
    if isinstance(node, ast.Subscript) and isinstance(node.slice, ast.Constant):
        return str(node.slice.value)
    return last_name(node)


def _source_text(node: ast.expr) -> str | None:
    return node.value if isinstance(node, ast.Constant) and isinstance(node.value, str) else None


def _compare(node: ast.Compare) -> Iterator[Hit]:
    if len(node.ops) != 1:
        return
    left, right = node.left, node.comparators[0]
    for one, other in ((left, right), (right, left)):
        constant = _source_text(other)
        if isinstance(node.ops[0], ast.Eq | ast.NotEq) and _SECRET.search(_name(one)):
            if constant is not None and (is_secret(_name(one), constant) or is_word(_name(one), constant)):
                yield _hit("hardcoded-secret", node, "A secret is compared with a constant.", 0)
            elif _SECRET.search(_name(other)):
                yield _hit("timing", node, "== stops at the first difference.")
    if isinstance(node.ops[0], ast.In):
        constant = _source_text(left)
        if constant and _DOMAIN.match(constant) and _URLISH.search(_name(right)):
            yield _hit("input-validation", node, "Any address that holds this text passes.", 0)
    yield from _short_password(node)


def _short_password(node: ast.Compare) -> Iterator[Hit]:
    left, right = node.left, node.comparators[0]
    if not (isinstance(left, ast.Call) and _name(left.func) == "len" and left.args):
        return
    is_password = re.search(r"passw|pwd", _name(left.args[0]), re.IGNORECASE)
    if is_password and isinstance(right, ast.Constant) and isinstance(right.value, int) and right.value < 8:
        yield _hit("weak-password-rule", node, f"{right.value} characters are guessed in no time.")


def _call(node: ast.Call) -> Iterator[Hit]:
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    if _name(node.func) == "csrf_exempt" or (method == "exempt" and "csrf" in _unparsed(node.func)):
        yield _hit("csrf", node, "This view takes forged requests.")
    if method in {"startswith", "endswith"} and node.args and isinstance(node.func, ast.Attribute):
        constant = _source_text(node.args[0])
        is_url = _URLISH.search(_unparsed(node.func.value))
        if (
            constant
            and is_url
            and _DOMAIN.match(constant)
            and not constant.endswith("/")
            and constant[0] != "."
        ):
            yield _hit("input-validation", node, f"{constant}.attacker.example or its like passes.", 0)
    if _name(node.func) == "range" and re.fullmatch(r"range\((?:0, )?len\([\w.]+\) \+ 1\)", _unparsed(node)):
        yield _hit("off-by-one", node, "The last round is beyond the end.")
    if method == "setsockopt" and re.search(r"SO_REUSE(ADDR|PORT)", _unparsed(node)):
        yield _hit("bind-all", node, "Another process may bind to the same address.")
    if method == "get" and node.args and isinstance(node.func, ast.Attribute):
        element = ast.Subscript(node.func.value, node.args[0], ast.Store())
        yield from _subscript(ast.copy_location(element, node))
    yield from _sudo(node)
    yield from _empty_password(node)


_WHO = re.compile(
    r"^(is_)?(admin|role|user_?id|uid|auth(enticated)?|logged_?in|price|balance)$", re.IGNORECASE
)


def _subscript(node: ast.Subscript) -> Iterator[Hit]:
    if _name(node.value) in {"cookies", "COOKIES"} and _WHO.match(_source_text(node.slice) or ""):
        yield _hit("cookie-trust", node, "The client may send any value.")
    is_read = isinstance(node.ctx, ast.Load) and isinstance(node.slice, ast.Call)
    if is_read and _unparsed(node.slice) == f"len({_unparsed(node.value)})":
        yield _hit("off-by-one", node, "The last element is at len - 1.", 0)


def _assert(node: ast.Assert) -> Iterator[Hit]:
    if re.search(r"is_(admin|authenticated|staff|superuser|owner)|has_perm|\brole\b", _unparsed(node.test)):
        yield _hit("assert-guard", node, "A right is checked by assert.")


def _sudo(node: ast.Call) -> Iterator[Hit]:
    if _name(node.func) in RUNS | {"system"} and node.args:
        first = node.args[0]
        head = first.elts[0] if isinstance(first, ast.List) and first.elts else first
        if (_source_text(head) or "").startswith(("sudo", "su ")):
            yield _hit("privileges", node, "The command runs as root.")


def _dict(node: ast.Dict) -> Iterator[Hit]:
    yield from _empty_password(node)
    for key, value in zip(node.keys, node.values, strict=True):
        name, constant = (_source_text(key) if key is not None else None), _source_text(value)
        if name and constant and is_secret(name, constant):
            yield _hit("hardcoded-secret", value, "It is written out in the code.", 0)


_SERVED: Final = frozenset(
    {"host", "hostname", "server", "user", "username", "engine", "drivername", "dsn", "db"}
)
_EMPTY_URL = re.compile(
    bounded(
        r"(?i)\b(?:postgres(?:ql)?|mysql|mariadb|mssql|oracle|mongodb|redis|amqp)(?:\+\w+)?://[\w.%-]+:@[\w.-]+"
        r"|\bhost=\S+.*\bpassword=(?:''|\"\"|\s|$)"
        r"|\b(?:server|data source)=[^;]+;.*\b(?:password|pwd)=(?:;|$)"
    )
)


def _empty_password(node: ast.Dict | ast.Call) -> Iterator[Hit]:
    """Find a server that is reached with an empty password; a file needs none."""
    if isinstance(node, ast.Dict):
        pairs = [(_source_text(k), v) for k, v in zip(node.keys, node.values, strict=True) if k is not None]
    else:
        pairs = [(k.arg, k.value) for k in node.keywords]
    given = {name.lower(): value for name, value in pairs if name}
    found = [
        value
        for name, value in given.items()
        if name in {"password", "passwd", "pwd"} and _source_text(_default(value)) == ""
    ]
    beside = _SERVED & given.keys()
    is_file = any("sqlite" in _unparsed(given[name]) for name in beside & {"engine", "drivername"})
    if isinstance(node, ast.Call) and _name(node.func) == "connect" and len(node.args) > 2:
        found += [
            value for value in node.args[2:3] if _source_text(value) == "" and _source_text(node.args[1])
        ]
        beside = _SERVED
    for value in found if beside and not is_file else ():
        if _source_text(value) == "":
            yield _hit("weak-password-rule", value, "The password is empty.", 0)
        else:
            yield _hit("weak-password-rule", value, "It is empty where none is set.", PARAM)


def _default(node: ast.expr) -> ast.expr:
    """Return what a value is where the environment has none."""
    if isinstance(node, ast.Call) and len(node.args) == 2 and _name(node.func) in {"get", "getenv"}:
        return node.args[1] if "env" in _unparsed(node.func) else node
    return node


def _constant(node: ast.Constant) -> Iterator[Hit]:
    text = node.value if isinstance(node.value, str) else ""
    if (":@" in text or "=" in text) and len(text) < 300 and _EMPTY_URL.search(text):
        yield _hit("weak-password-rule", node, "The password in this address is empty.", 0)


def _unverified(nodes: Iterable[ast.AST], names: Mapping[str, str]) -> Iterator[Hit]:
    """Find contexts of pyOpenSSL that no one asks to verify certificates: they don't by themselves."""
    nodes = list(nodes)
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    agrees = {
        node.name
        for node in nodes
        if isinstance(node, ast.FunctionDef)
        and _unparsed(node.body[-1]) == "return True"
        and len(node.body) == 1
    }
    for call in calls:
        if _name(call.func) == "set_verify" and agrees & {_name(argument) for argument in call.args}:
            yield _hit("no-certificate-check", call, "What is asked says yes to any certificate.", 0)
    if any(_name(call.func) == "set_verify" for call in calls):
        return
    served = {  # a server has no certificate of its peer's to check
        inner
        for node in nodes
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef) and "set_accept_state" in _unparsed(node)
        for inner in ast.walk(node)
    }
    for call in calls:
        if call not in served and dotted(call.func, {}, names) == "OpenSSL.SSL.Context":
            yield _hit(
                "no-certificate-check", call, "Nothing calls set_verify: no certificate is checked.", 0
            )


def _beyond(node: ast.While | ast.For, sizes: Mapping[str, str] | None = None) -> Iterator[Hit]:
    """Find loops that take one element more than there are; `sizes`: names that hold how many there are.

    With sizes, a loop whose head names none of them is left out.
    """
    if isinstance(node, ast.While):
        head = _unparsed(node.test) if isinstance(node.test, ast.Compare) else ""
    else:
        head = f"{_unparsed(node.target)} in {_unparsed(node.iter)}" if _is_range(node.iter) else ""
    if sizes is not None:
        plain, head = head, _SIZE.sub(lambda word: sizes.get(word[0], word[0]), head)
        head = "" if head == plain else head
    if head:
        yield from _reached(node, head, node.body)


_SIZE = re.compile(r"(?<=<= )\w+$|(?<=< )\w+$|\b\w+(?= [-+] 1\)|\))")


def _is_range(node: ast.expr) -> bool:
    return isinstance(node, ast.Call) and _name(node.func) == "range"


def _taken_by_each(node: ast.ListComp | ast.SetComp | ast.GeneratorExp) -> Iterator[Hit]:
    first = node.generators[0]
    if len(node.generators) == 1 and not first.ifs and _is_range(first.iter):
        yield from _reached(node, f"{_unparsed(first.target)} in {_unparsed(first.iter)}", [node.elt])


def _reached(node: ast.AST, head: str, body: Sequence[ast.AST]) -> Iterator[Hit]:
    for pattern, reached in _REACHES:
        found = pattern.search(head)
        if found is None:
            continue
        index, owner = re.escape(found["i"]), re.escape(found["of"])
        is_checked = (
            rf"\b{index}( [-+] 1)? [<>=!]=? |([<>]=?|[=!]=) {index}\b|IndexError|% len|\bbreak\b"
            rf"|(?<![\w.]){owner}\.({'|'.join(_GROWS)})\("
        )
        taken = f"{found['of']}[{reached.format(i=found['i'], of=found['of'])}]"
        counts_from_one = reached == "{i}" and "range(1, " in head
        if _takes(body, taken, or_sets=counts_from_one) and not re.search(
            is_checked, "\n".join(map(_unparsed, body))
        ):
            yield _hit("off-by-one", node, f"{found['of']} has no element len({found['of']}).", 0)
            return


def _takes(body: Sequence[ast.AST], taken: str, *, or_sets: bool) -> bool:
    """Tell whether statements read this very element; what they only set may be a dictionary's."""
    inside = [inner for part in body for inner in ast.walk(part)]
    sums = ast.Add | ast.Sub  # of a Counter
    read = {
        id(one.target) for one in inside if isinstance(one, ast.AugAssign) and not isinstance(one.op, sums)
    }
    return any(
        isinstance(inner, ast.Subscript)
        and (or_sets or isinstance(inner.ctx, ast.Load) or id(inner) in read)
        and inner.lineno == inner.end_lineno
        and (inner.end_col_offset or 0) - inner.col_offset < 2 * len(taken)
        and _unparsed(inner) == taken
        for inner in inside
    )


_GROWS = sorted(names("append appendleft extend insert add update setdefault push"))


_REACHES: tuple[tuple[re.Pattern[str], str], ...] = (
    (re.compile(r"^(?P<i>\w+) <= len\((?P<of>[\w.\[\]]+)\)$"), "{i}"),
    (re.compile(r"^(?P<i>\w+) < len\((?P<of>[\w.\[\]]+)\)$"), "{i} + 1"),
    (re.compile(r"^(?P<i>\w+) <= len\((?P<of>[\w.\[\]]+)\) - 1$"), "{i} + 1"),
    (re.compile(r"^(?P<i>\w+) in range\((?:[\w.]+, )?len\((?P<of>[\w.\[\]]+)\) \+ 1\)$"), "{i}"),
    (re.compile(r"^(?P<i>\w+) in range\((?:[\w.]+, )?len\((?P<of>[\w.\[\]]+)\)\)$"), "{i} + 1"),
    (re.compile(r"^(?P<i>\w+) in range\(len\((?P<of>[\w.\[\]]+)\), (?:-1|0), -1\)$"), "{i}"),
    (re.compile(r"^(?P<i>\w+) in range\((?:0, )?len\((?P<of>[\w.\[\]]+)\)\)$"), "len({of}) - {i}"),
)
"""How a loop over positions begins, and which position its last round takes too many."""


_LEAVES = (ast.Break, ast.Return, ast.Raise, ast.Yield, ast.YieldFrom, ast.Await)
_ENDS = (*_LEAVES, ast.Global, ast.Nonlocal)


_HALVES = re.compile(
    r"^(?P<mid>\w+) = \(?(?P<low>\w+) \+ (?:(?P<high>\w+)\)|\({0,2}(?P<top>\w+) - (?P=low)\)) "
    r"(?:// 2|>> 1)\)?$"
)
_PURE = names("len strip lstrip rstrip startswith endswith lower upper isdigit isspace split min max abs")


_KEEPS = _PURE | names(
    "list tuple set frozenset dict sorted str int bool repr sum any all enumerate zip range print"
)
"""Functions that keep nothing of what they are given."""
SCOPES = (ast.FunctionDef, ast.AsyncFunctionDef, ast.Lambda, ast.ClassDef)


class _Kept(NamedTuple):
    """Who may change the names of a function."""

    own: AbstractSet[str]
    """Its arguments and what it stores, but for what others store too."""
    shared: AbstractSet[str]
    """What is declared global or nonlocal, wherever that is."""
    lent: Mapping[str, int]
    """What others may change the inside of, and from which line on."""


def _stuck(nodes: Sequence[ast.AST]) -> Iterator[Hit]:
    """Find loops that don't end, function by function: one waits for what another may change."""
    shared = {name for node in nodes if isinstance(node, ast.Global | ast.Nonlocal) for name in node.names}
    scopes, parents = [nodes_of(nodes[0], SCOPES)], [0]
    for at, inside in enumerate(scopes):
        for node in inside[1:]:
            if isinstance(node, SCOPES):
                scopes.append(nodes_of(node, SCOPES))
                parents.append(at)
    taken: list[set[str]] = [set() for _ in scopes]  # by the functions within each
    for at, inside in reversed(list(enumerate(scopes))):
        own = _owned(inside) - shared
        loops = [node for node in inside if isinstance(node, ast.While)]
        if loops:
            kept = _Kept(own, shared, {**_lent(inside), **dict.fromkeys(taken[at], 0)})
            for loop in loops:
                yield from _endless(loop, kept)
        named = {node.id for node in inside if isinstance(node, ast.Name)} | taken[at]
        taken[parents[at]] |= named if isinstance(inside[0], ast.ClassDef) else named - own


def _owned(inside: Iterable[ast.AST]) -> set[str]:
    return {
        node.arg if isinstance(node, ast.arg) else node.id
        for node in inside
        if isinstance(node, ast.arg) or (isinstance(node, ast.Name) and not isinstance(node.ctx, ast.Load))
    }


def _lent(inside: Iterable[ast.AST]) -> dict[str, int]:
    """Return the names of what others hold too, each with the first line that lets them."""
    given: list[ast.expr] = []
    for node in inside:
        if isinstance(node, ast.Call) and _name(node.func) not in _KEEPS:
            given += (*node.args, *(keyword.value for keyword in node.keywords))
        elif isinstance(node, ast.Assign):
            given.append(node.value)
            if isinstance(node.value, ast.Attribute):
                given += node.targets
    lines: dict[str, int] = {}
    for one in given:
        if isinstance(one, ast.Tuple | ast.List | ast.Set):
            given += one.elts
        elif isinstance(one, ast.Dict):
            given += one.values
        elif isinstance(one, ast.Starred | ast.Attribute):
            given.append(one.value)
        elif isinstance(one, ast.Name):
            lines[one.id] = min(lines.get(one.id, one.lineno), one.lineno)
    return lines


def _endless(node: ast.While, kept: _Kept) -> Iterator[Hit]:
    """Find loops that go on as they began: nothing that their condition reads changes on some way round."""
    tested = [inner for inner in ast.walk(node.test) if isinstance(inner, ast.expr)]
    calls = [inner for inner in tested if isinstance(inner, ast.Call)]
    is_plain = isinstance(node.test, ast.Compare | ast.BoolOp | ast.Name | ast.UnaryOp)
    is_plain = is_plain and not any(
        isinstance(inner, ast.Attribute | ast.NamedExpr | ast.Await) for inner in tested
    )
    if not is_plain or any(_unparsed(call.func) != "len" for call in calls):
        return
    names = {inner.id for inner in tested if isinstance(inner, ast.Name)} - {"len"}
    held = names - _numbers(tested)  # what a call may change
    if not names & kept.own or names & kept.shared or not held <= kept.own:
        return
    if any(kept.lent.get(name, node.lineno) < node.lineno for name in held):
        return
    inside = [inner for statement in node.body for inner in ast.walk(statement)]
    tries = [
        inner for inner in inside if isinstance(inner, ast.Try) and not any(map(_leaves, inner.handlers))
    ]
    tried = {id(inner) for one in tries for part in one.body for inner in ast.walk(part)}
    leaves = any(isinstance(inner, _ENDS) and id(inner) not in tried for inner in inside)
    if not leaves and not any(_moves(inner, names, held) for inner in inside):
        yield _hit("endless-loop", node, f"Nothing in the loop changes {min(names)}.", 0)
    elif _stays(node.body, names):
        yield _hit("endless-loop", node, f"One way round changes nothing: not {min(names)} either.", 0)
    elif why := _runs_away(node, inside):
        yield _hit("endless-loop", node, why, 0)


def _numbers(tested: Iterable[ast.expr]) -> set[str]:
    """Return the names that a condition compares with something, which holds nothing."""
    return {
        side.id
        for one in tested
        if isinstance(one, ast.Compare)
        and not any(isinstance(sign, ast.In | ast.NotIn) for sign in one.ops)
        and not any(isinstance(side, ast.List | ast.Dict | ast.Set | ast.Tuple) for side in one.comparators)
        for side in (one.left, *one.comparators)
        if isinstance(side, ast.Name)
    }


def _leaves(node: ast.AST) -> bool:
    return any(isinstance(inner, _ENDS) for inner in ast.walk(node))


def _moves(node: ast.AST, names: AbstractSet[str], held: AbstractSet[str]) -> bool:
    """Tell whether a node may change what one of the names is or holds, or end the program."""
    if isinstance(node, ast.Name):
        return isinstance(node.ctx, ast.Store | ast.Del) and node.id in names
    if isinstance(node, ast.Subscript | ast.Attribute):
        return isinstance(node.ctx, ast.Store | ast.Del) and _root(node) in names
    if not isinstance(node, ast.Call):
        return False
    given = {one.id for one in (*node.args, *(k.value for k in node.keywords)) if isinstance(one, ast.Name)}
    name = _name(node.func)
    owner = _root(node.func.value) if isinstance(node.func, ast.Attribute) else ""
    return name in {"exit", "abort", "_exit"} or (name not in _PURE and (owner in held or bool(held & given)))


def _root(node: ast.expr) -> str:
    return _owner(node).partition(".")[0]


def _stays(body: Sequence[ast.stmt], names: AbstractSet[str]) -> bool:
    """Tell whether a way through statements comes to `continue` with all as it was when the round began."""
    ways = [body]
    for way in ways:
        read: set[str] = set()
        for statement in way:
            if isinstance(statement, ast.Continue):
                return True
            if isinstance(statement, ast.If) and not any(
                _acts(inner, names) for inner in ast.walk(statement.test)
            ):
                ways += [statement.body, statement.orelse]
            elif not isinstance(statement, ast.Assign):
                break
            if statement is way[-1]:
                break
            inside = list(ast.walk(statement))
            read |= _loaded(statement)
            if any(_acts(inner, names) for inner in inside) or (
                isinstance(statement, ast.Assign) and not _targets(statement).isdisjoint(names | read)
            ):
                break
    return False


def _loaded(node: ast.AST) -> set[str]:
    return {
        inner.id
        for inner in ast.walk(node)
        if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Load)
    }


def _acts(node: ast.AST, names: AbstractSet[str]) -> bool:
    """Tell whether a node does more than compute from what the loop holds already."""
    if isinstance(node, ast.Call):
        return _name(node.func) not in _PURE
    return isinstance(node, ast.AugAssign | ast.Yield | ast.Await | ast.NamedExpr | ast.Delete) or _moves(
        node, names, names
    )


def _runs_away(node: ast.While, inside: Sequence[ast.AST]) -> str:
    """Return why a loop's own steps don't bring it to its end."""
    test = node.test
    if not isinstance(test, ast.Compare) or len(test.ops) != 1 or not isinstance(test.left, ast.Name):
        return ""
    if any(isinstance(inner, ast.Break) for inner in inside):
        return ""
    sets = [one for one in inside if isinstance(one, ast.Assign | ast.AugAssign)]
    if why := _halved(test, sets):
        return why
    if any(isinstance(inner, _LEAVES) for inner in inside):
        return ""
    right = {_root(test.comparators[0])} - {""}
    is_still = not any(_moves(inner, right, right) for inner in inside)
    return _stepped(test, sets, is_still=is_still)


def _halved(test: ast.Compare, sets: Sequence[ast.Assign | ast.AugAssign]) -> str:
    """Look at a search by halves: `low = (low + high) // 2` is low itself where high is next to it."""
    ends = {_unparsed(test.left): ast.Lt | ast.LtE, _unparsed(test.comparators[0]): ast.LtE}
    texts = {_unparsed(one) for one in sets}
    for half in filter(None, map(_HALVES.match, texts)):
        bounds = (half["low"], half["high"] or half["top"])
        kept = {f"{end} = {half['mid']}" for end, signs in ends.items() if isinstance(test.ops[0], signs)}
        if tuple(ends) == bounds and kept & texts:
            return f"With two neighbours left, `{min(kept & texts)}` no longer moves."
    return ""


_AWAY: Mapping[type[ast.cmpop], type[ast.operator]] = {
    **dict.fromkeys((ast.Lt, ast.LtE), ast.Sub),
    **dict.fromkeys((ast.Gt, ast.GtE), ast.Add),
}


def _stepped(test: ast.Compare, sets: Sequence[ast.Assign | ast.AugAssign], *, is_still: bool) -> str:
    """Look at the steps of the name that a loop compares with its end."""
    name = _unparsed(test.left)
    own = [one for one in sets if name in _targets(one)]
    steps = [one for one in own if isinstance(one, ast.AugAssign) and isinstance(one.value, ast.Constant)]
    away = _AWAY.get(type(test.ops[0]))
    if own and is_still and len(steps) == len(own) and {type(one.op) for one in steps} == {away}:
        return f"Every step leads {name} away from its end."
    if own and all(
        isinstance(one, ast.Assign)
        and isinstance(one.value, ast.UnaryOp)
        and isinstance(one.value.operand, ast.Constant)
        for one in own
    ):
        return f"Each round sets {name} to the same number."
    fractions = [
        one for one in steps if isinstance(one.value, ast.Constant) and type(one.value.value) is float
    ]
    if fractions and isinstance(test.ops[0], ast.NotEq):
        return f"{name} may step over its end: fractions are seldom equal."
    return ""


def _targets(node: ast.stmt) -> set[str]:
    targets = (
        node.targets
        if isinstance(node, ast.Assign)
        else [node.target]
        if isinstance(node, ast.AugAssign)
        else []
    )
    return {inner.id for one in targets for inner in ast.walk(one) if isinstance(inner, ast.Name)}


def _growing(node: ast.For) -> Iterator[Hit]:
    """Find loops over what never ends, or over a list that each round makes longer."""
    inside = [inner for statement in node.body for inner in ast.walk(statement)]
    if any(isinstance(inner, (*_LEAVES, ast.Continue)) for inner in inside):
        return
    head = _unparsed(node.iter)
    is_counting = re.match(r"(?:itertools\.)?(?:count|cycle)\(|itertools\.repeat\([^,]*\)$", head)
    grows = isinstance(node.iter, ast.Name) and any(
        isinstance(one, ast.Expr) and re.match(rf"{head}\.(append|insert|extend)\(", _unparsed(one))
        for one in node.body
    )
    if is_counting or grows:
        yield _hit(
            "endless-loop",
            node,
            "Nothing in it ends it." if is_counting else f"Each round makes {head} longer.",
            0,
        )


def _for(node: ast.For) -> Iterator[Hit]:
    yield from _beyond(node)
    yield from _growing(node)


def _while(node: ast.While) -> Iterator[Hit]:
    yield from _beyond(node)
    if not (isinstance(node.test, ast.Constant) and node.test.value):
        return
    if not any(isinstance(inner, _LEAVES) for inner in ast.walk(node)):
        yield _hit("endless-loop", node, "Nothing in it ends it.")


def _if(node: ast.If) -> Iterator[Hit]:
    """Find a test of a path, followed by its use."""
    for inner in ast.walk(node.test):
        if isinstance(inner, ast.Call) and inner.args and _unparsed(inner.func) in _PATH_TESTS:
            path = _unparsed(inner.args[0])
            for use in (call for part in node.body for call in ast.walk(part) if isinstance(call, ast.Call)):
                if use.args and _unparsed(use.func) in _PATH_USES and path == _unparsed(use.args[0]) != "":
                    yield _hit("race", node, f"{path} may change between the test and its use.")
                    return


_PATH_TESTS = frozenset(
    {"os.path.exists", "os.path.isfile", "os.access", "os.path.islink", "os.stat", "exists"}
)
_PATH_USES = frozenset(
    {"open", "os.remove", "os.unlink", "os.chmod", "os.rename", "shutil.rmtree", "os.open"}
)


_BY_ID = re.compile(
    r"\b(get_or_404|get_object_or_404|first_or_404|objects\.(get|filter)|query\.get|session\.get|filter_by|filter|"
    r"find_one|get_by_id)\((?P<given>[^()]*)\)"
)
_ASKS_WHOSE = re.compile(
    r"owner|current_user|request\.user|\.user\b|user_id|tenant|permission|authorize|check_|can_|acl"
)


def _unowned(node: Function, decorators: str) -> Iterator[Hit]:
    """Find a view that hands out whatever record its address names."""
    given = {argument.arg for argument in node.args.args}
    if not (_ROUTE.search(decorators) or {"request"} & given):
        return
    body = _unparsed(node)
    found = _BY_ID.search(body)
    named = given.intersection(re.findall(r"\w+", found["given"])) - {"request"} if found else None
    if named and not _ASKS_WHOSE.search(body.partition("\n")[2]):
        yield _hit("missing-ownership", node, f"Any {min(named)} is answered.")


_EXEMPT = re.compile(r"\bcsrf_exempt\b|\bcsrf\.exempt\b")


def _exempt(node: Function | ast.ClassDef) -> Iterator[Hit]:
    words = " ".join(_unparsed(item) for item in node.decorator_list)
    if _EXEMPT.search(words):
        yield _hit("csrf", node, "This view takes forged requests.")
    if "xframe_options_exempt" in words:
        yield _hit("clickjacking", node, "Any site may frame this view.")


def _function(node: Function) -> Iterator[Hit]:
    for argument, default in defaults(node):
        constant = _source_text(default)
        if constant and is_secret(argument.arg, constant):
            yield _hit("hardcoded-secret", argument, "A secret is a default.", 0)
    decorators = " ".join(_unparsed(item) for item in node.decorator_list)
    yield from _exempt(node)
    if sizes := _sizes(node):
        for inner in ast.walk(node):
            yield from _beyond(inner, sizes) if isinstance(inner, ast.For | ast.While) else ()
            if (
                isinstance(inner, ast.Subscript)
                and isinstance(inner.ctx, ast.Load)
                and isinstance(inner.slice, ast.Name)
                and inner.slice.id in sizes
                and sizes[inner.slice.id] == f"len({_unparsed(inner.value)})"
            ):
                yield _hit("off-by-one", inner, "The last element is at len - 1.", 0)
    yield from _unowned(node, decorators)
    is_critical = _ROUTE.search(decorators) and _CRITICAL.search(f"{node.name} {decorators}")
    if is_critical and not _ASKS_WHO.search(decorators + _unparsed(node)):
        yield _hit("missing-auth", node, f"{node.name} asks for no login.")


def _sizes(function: Function) -> dict[str, str]:
    """Return the names that a function gives the size of something at its top, if neither changes later."""
    given = [
        one
        for one in function.body
        if isinstance(one, ast.Assign)
        and isinstance(one.targets[0], ast.Name)
        and isinstance(one.value, ast.Call)
        and _name(one.value.func) == "len"
        and one.value.args
    ]
    inside = nodes_of(function) if given else []
    stored = Counter(
        inner.id for inner in inside if isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store)
    )
    loops = [inner for inner in inside if isinstance(inner, ast.For) and _is_range(inner.iter)]
    counters = _owned(target for loop in loops for target in ast.walk(loop.target))
    grown = {owner for inner in inside for owner in _grown(inner, counters)}
    return {
        one.targets[0].id: _unparsed(one.value)
        for one in given
        if isinstance(one.targets[0], ast.Name)
        and isinstance(one.value, ast.Call)
        and stored[one.targets[0].id] == 1
        and _owner(one.value.args[0]) not in grown
    }


def _grown(node: ast.AST, counters: AbstractSet[str]) -> list[str]:
    """Return what a node may make longer: setting the element that a loop has come to does not."""
    if isinstance(node, ast.Subscript):
        is_set = not isinstance(node.ctx, ast.Load) and counters.isdisjoint(_loaded(node.slice))
        return [_owner(node.value)] if is_set else []
    if isinstance(node, ast.AugAssign):
        return [_owner(node.target)]
    if not isinstance(node, ast.Call):
        return []
    if isinstance(node.func, ast.Attribute) and node.func.attr in _GROWS:
        return [_owner(node.func.value)]
    given = (*node.args, *(keyword.value for keyword in node.keywords))
    whole = [one for one in given if not isinstance(one, ast.Subscript | ast.Call)]
    return [] if _name(node.func) in _KEEPS else [_owner(one) for one in whole]


def _owner(node: ast.expr) -> str:
    """Return the dotted name at the beginning of an expression: `a.b` of `a.b[0].c()`."""
    words: list[str] = []
    while isinstance(node, ast.Attribute | ast.Subscript | ast.Call | ast.Starred):
        if isinstance(node, ast.Attribute):
            words.append(node.attr)
        else:
            words.clear()
        node = node.func if isinstance(node, ast.Call) else node.value
    return ".".join([node.id, *reversed(words)]) if isinstance(node, ast.Name) else ""


_RULES: dict[type[ast.AST], Callable[..., Iterator[Hit]]] = {
    ast.Compare: _compare,
    ast.Call: _call,
    ast.Dict: _dict,
    ast.While: _while,
    ast.For: _for,
    ast.Constant: _constant,
    **dict.fromkeys((ast.ListComp, ast.SetComp, ast.GeneratorExp), _taken_by_each),
    ast.If: _if,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _exempt,
    ast.Subscript: _subscript,
    ast.Assert: _assert,
}


# --- security ------------------------------------------------------------------------------------------

_BY_LEVEL: dict[int, tuple[Severity | None, int]] = {
    0: (None, 70),
    REMOTE: (None, 80),
    LOCAL: ("medium", 50),
    PARAM: ("low", 30),
}
"""Severity (None: the weakness's own) and confidence, by who sends the input; 0: no input is needed."""


def read_python(path: str, text: str) -> Read:
    try:
        tree = parse_python(text)
    except RecursionError:
        return Read(unread=TOO_DEEP)
    if tree is None:
        return Read(unread="not valid Python")
    nodes = nodes_of(tree)
    reader = Walker(tree, *imported(nodes))
    unread = reader.read()
    hits = [*reader.hits, *shapes(nodes)]
    if "OpenSSL" in reader.roots:
        hits += _unverified(nodes, reader.names)
    where = (path, text.split("\n"))
    findings = (_finding(where, one) for one in hits)
    shown = [
        switched(one) if one.rule == "no-certificate-check" and _is_switched(one.line, nodes) else one
        for one in findings
    ]
    return Read(surest(shown), unread, sorted(reader.settled - {one.line for one in hits}))


def _is_switched(line: int, nodes: Iterable[ast.AST]) -> bool:
    """Tell whether a line runs only where someone asked for no checks."""
    return any(
        node.lineno <= line <= (node.end_lineno or node.lineno)
        and (SWITCH.search(_unparsed(node.test)) if isinstance(node, ast.If) else INSECURE.search(node.name))
        for node in nodes
        if isinstance(node, ast.If | ast.FunctionDef | ast.ClassDef)
    )


def _finding(where: Where, one: Hit) -> Finding:
    severity, confidence = _BY_LEVEL[one.level]
    place, weakness = (one.line, one.end_line), WEAKNESSES[one.weakness]
    return found(where, place, weakness, confidence, why=one.why, severity=severity, reviewer="taint")
