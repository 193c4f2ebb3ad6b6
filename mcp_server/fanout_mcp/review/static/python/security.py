"""Our own security review of a Python file: followed input, weak settings, weak shapes."""

from __future__ import annotations

import ast
import functools
import re
import warnings
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import replace
from typing import NamedTuple

import tree_sitter_python
from tree_sitter import Language, Node, Parser

from fanout_mcp.review.finding import Finding, Severity
from fanout_mcp.review.static.python.taint import Walker, dotted, imported
from fanout_mcp.review.static.python.values import Function, Hit, defaults, hit, last_name, names
from fanout_mcp.review.static.rules import LOCAL, PARAM, REMOTE, SWITCH, WEAKNESSES, Where, found
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
    """Return the module's tree, None when neither parser can read it."""
    text = text.removeprefix("\ufeff")
    tree = _parsed(text)
    return tree if tree is not None else _parsed(lowered(text))


def nodes_of(tree: ast.AST, without: tuple[type[ast.AST], ...] = ()) -> list[ast.AST]:
    """Return every node that holds something, not what the kinds `without` hold; quicker than `ast.walk`."""
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
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None


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


def shapes(nodes: Iterable[ast.AST]) -> Iterator[Hit]:
    for node in nodes:
        rule = _RULES.get(type(node))
        if rule is not None:
            yield from rule(node)


def _hit(weakness: str, node: ast.AST, why: str, level: int = 1) -> Hit:
    return hit(weakness, node, level, why)


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
    if _name(node.func) == "csrf_exempt" or (method == "exempt" and "csrf" in ast.unparse(node.func)):
        yield _hit("csrf", node, "This view takes forged requests.", 0)
    if method in {"startswith", "endswith"} and node.args and isinstance(node.func, ast.Attribute):
        constant = _source_text(node.args[0]) or "."
        is_domain = _DOMAIN.match(constant) and constant[0] != "." and constant[-1] != "/"
        if is_domain and _URLISH.search(ast.unparse(node.func.value)):
            yield _hit("input-validation", node, f"{constant}.attacker.example or its like passes.", 0)
    match node.args:
        case [ast.BinOp(ast.Call(func=sized), ast.Add(), ast.Constant(1))]:
            if _name(node.func) == "range" and _name(sized) == "len":
                yield _hit("off-by-one", node, "The last round is beyond the end.")
    if method == "setsockopt" and re.search(r"SO_REUSE(ADDR|PORT)", ast.unparse(node)):
        yield _hit("bind-all", node, "Another process may bind to the same address.")
    if method == "get" and node.args and isinstance(node.func, ast.Attribute):
        yield from _subscript(ast.copy_location(ast.Subscript(node.func.value, node.args[0]), node))
    yield from _sudo(node)
    yield from _empty_password(node)


_WHO = re.compile(
    r"^(is_)?(admin|role|user_?id|uid|auth(enticated)?|logged_?in|price|balance)$", re.IGNORECASE
)


def _subscript(node: ast.Subscript) -> Iterator[Hit]:
    if _name(node.value) in {"cookies", "COOKIES"} and _WHO.match(_source_text(node.slice) or ""):
        yield _hit("cookie-trust", node, "The client may send any value.")


def _assert(node: ast.Assert) -> Iterator[Hit]:
    if re.search(r"is_(admin|authenticated|staff|superuser|owner)|has_perm|\brole\b", ast.unparse(node.test)):
        yield _hit("assert-guard", node, "A right is checked by assert.")


def _sudo(node: ast.Call) -> Iterator[Hit]:
    if _name(node.func) in {"run", "call", "Popen", "check_output", "check_call", "system"} and node.args:
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


_DATABASES = re.compile(r"psycopg|mysql|MySQLdb|mariadb|pyodbc|oracledb|asyncpg|pymongo|pymssql")


def _empty_password(node: ast.Dict | ast.Call) -> Iterator[Hit]:
    """Find a database that is reached with an empty password; a file needs none."""
    if isinstance(node, ast.Dict):
        pairs = {_source_text(k): v for k, v in zip(node.keys, node.values, strict=True) if k is not None}
        found = [value for key, value in pairs.items() if key == "PASSWORD" and _source_text(value) == ""]
        is_database = bool(found) and "ENGINE" in pairs and "sqlite" not in ast.unparse(pairs["ENGINE"])
    else:
        given = (k.value for k in node.keywords if k.arg in {"password", "passwd"})
        found = [value for value in given if _source_text(value) == ""]
        is_database = bool(found) and _DATABASES.search(ast.unparse(node.func)) is not None
    for value in found if is_database else ():
        yield _hit("weak-password-rule", value, "The database's password is empty.", 0)


def _unverified(nodes: Iterable[ast.AST], names: Mapping[str, str]) -> Iterator[Hit]:
    """Find contexts of pyOpenSSL that no one asks to verify certificates: they don't by themselves."""
    calls = [node for node in nodes if isinstance(node, ast.Call)]
    if any(_name(call.func) == "set_verify" for call in calls):
        return
    for call in calls:
        if dotted(call.func, {}, names) == "OpenSSL.SSL.Context":
            why = "Nothing calls set_verify: no certificate is checked."
            yield _hit("no-certificate-check", call, why, 0)


def _beyond(node: ast.While | ast.For) -> Iterator[Hit]:
    """Find loops that take one element more than there are."""
    if isinstance(node, ast.While):
        found = re.search(r"^(\w+) <= len\((\w+)\)$", ast.unparse(node.test))
    else:
        is_call = isinstance(node.iter, ast.Call)
        head = f"{ast.unparse(node.target)} in {ast.unparse(node.iter)}" if is_call else ""
        found = re.search(r"^(\w+) in range\(\w+, len\((\w+)\) \+ 1\)$", head)
    if found and re.search(rf"\b{found[2]}\[{found[1]}\]", "\n".join(map(ast.unparse, node.body))):
        yield _hit("off-by-one", node, f"{found[2]} has no element len({found[2]}).", 0)


_LEAVES = (ast.Break, ast.Return, ast.Raise, ast.Yield, ast.YieldFrom, ast.Await)
_ENDS = (*_LEAVES, ast.Global, ast.Nonlocal)


def _endless(node: ast.While) -> Iterator[Hit]:
    """Find loops whose condition compares names that nothing in the loop changes, and that nothing leaves."""
    test = node.test
    if not isinstance(test, ast.Compare) or not all(
        isinstance(side, ast.Name | ast.Constant) for side in (test.left, *test.comparators)
    ):
        return
    if not all(isinstance(op, ast.Lt | ast.LtE | ast.Gt | ast.GtE | ast.NotEq) for op in test.ops):
        return
    names = {inner.id for inner in ast.walk(test) if isinstance(inner, ast.Name)}
    inside = [inner for statement in node.body for inner in ast.walk(statement)]
    changes = any(
        (isinstance(inner, ast.Name) and isinstance(inner.ctx, ast.Store | ast.Del) and inner.id in names)
        or isinstance(inner, _ENDS)
        or (isinstance(inner, ast.Call) and ast.unparse(inner.func).endswith(("exit", "abort")))
        for inner in inside
    )
    if names and not changes:
        yield _hit("endless-loop", node, f"Nothing in the loop changes {min(names)}.", 0)


def _try(node: ast.Try) -> Iterator[Hit]:
    for handler in node.handlers:
        caught = ast.unparse(handler.type) if handler.type else ""
        is_broad = caught in {"", "Exception", "BaseException"}
        if is_broad and all(isinstance(item, ast.Pass | ast.Continue) for item in handler.body):
            yield _hit("swallowed-error", handler, "Every error is dropped here, unlogged.")


def _while(node: ast.While) -> Iterator[Hit]:
    yield from _beyond(node)
    yield from _endless(node)
    if not (isinstance(node.test, ast.Constant) and node.test.value):
        return
    if not any(isinstance(inner, _LEAVES) for inner in ast.walk(node)):
        yield _hit("endless-loop", node, "Nothing in it ends it.")


def _if(node: ast.If) -> Iterator[Hit]:
    """Find a test of a path, followed by its use."""
    for inner in ast.walk(node.test):
        if isinstance(inner, ast.Call) and inner.args and ast.unparse(inner.func) in _PATH_TESTS:
            path = ast.unparse(inner.args[0])
            for use in (call for part in node.body for call in ast.walk(part) if isinstance(call, ast.Call)):
                if use.args and ast.unparse(use.func) in _PATH_USES and ast.unparse(use.args[0]) == path:
                    yield _hit("race", node, f"{path} may change between the test and its use.")
                    return


_PATH_TESTS = names("os.path.exists os.path.isfile os.access os.path.islink os.stat exists")
_PATH_USES = names("open os.remove os.unlink os.chmod os.rename shutil.rmtree os.open")

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
    body = ast.unparse(node)
    found = _BY_ID.search(body)
    named = given.intersection(re.findall(r"\w+", found["given"])) - {"request"} if found else None
    if named and not _ASKS_WHOSE.search(body.partition("\n")[2]):
        yield _hit("missing-ownership", node, f"Any {min(named)} is answered.")


def _module(node: ast.Module) -> Iterator[Hit]:
    """Find functions that change a global in a module with threads, without a lock."""
    if not any(isinstance(item, ast.Import) and "threading" in ast.unparse(item) for item in node.body):
        return
    for function in node.body:
        if isinstance(function, ast.FunctionDef) and not re.search(r"(?i)lock", ast.unparse(function)):
            inside = list(ast.walk(function))
            shared = {name for inner in inside if isinstance(inner, ast.Global) for name in inner.names}
            changed = shared & {name for inner in inside for name in _changed(inner)}
            if changed:
                yield _hit("race", function, f"Threads change {min(changed)} at once.")


def _changed(node: ast.AST) -> list[str]:
    """Return the names that a statement computes; a constant is the same in any order."""
    if isinstance(node, ast.AugAssign):
        return [_name(node.target)]
    if isinstance(node, ast.Assign) and not isinstance(node.value, ast.Constant):
        return [_name(target) for target in node.targets]
    return []


_EXEMPT = re.compile(r"\bcsrf_exempt\b|\bcsrf\.exempt\b")


def _exempt(node: Function | ast.ClassDef) -> Iterator[Hit]:
    words = " ".join(ast.unparse(item) for item in node.decorator_list)
    if _EXEMPT.search(words):
        yield _hit("csrf", node, "This view takes forged requests.", 0)
    if "xframe_options_exempt" in words:
        yield _hit("clickjacking", node, "Any site may frame this view.")


def _function(node: Function) -> Iterator[Hit]:
    for argument, default in defaults(node):
        constant = _source_text(default)
        if constant and is_secret(argument.arg, constant):
            yield _hit("hardcoded-secret", argument, "A secret is a default.", 0)
    decorators = " ".join(ast.unparse(item) for item in node.decorator_list)
    yield from _exempt(node)
    yield from _unowned(node, decorators)
    is_critical = _ROUTE.search(decorators) and _CRITICAL.search(f"{node.name} {decorators}")
    if is_critical and not _ASKS_WHO.search(decorators + ast.unparse(node)):
        yield _hit("missing-auth", node, f"{node.name} asks for no login.")


_RULES: dict[type[ast.AST], Callable[..., Iterator[Hit]]] = {
    ast.Compare: _compare,
    ast.Call: _call,
    ast.Dict: _dict,
    ast.Try: _try,
    ast.While: _while,
    ast.For: _beyond,
    ast.If: _if,
    ast.FunctionDef: _function,
    ast.AsyncFunctionDef: _function,
    ast.ClassDef: _exempt,
    ast.Module: _module,
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


class Unreadable(Exception):
    """Neither parser could read the file: it was not analysed."""


class Read(NamedTuple):
    findings: list[Finding]
    settled: list[int]
    """Lines of calls that are given constants alone: who sees the call but not the flow is wrong there."""


def read_python(path: str, text: str) -> Read:
    tree = parse_python(text)
    if tree is None:
        raise Unreadable("not valid Python")
    nodes = nodes_of(tree)
    reader = Walker(tree, *imported(nodes))
    hits = [*reader.read(), *shapes(nodes)]
    if "OpenSSL" in reader.roots:
        hits += _unverified(nodes, reader.names)
    where = (path, text.split("\n"))
    best: dict[tuple[str, int], Finding] = {}
    for one in hits:
        finding = _finding(where, one)
        if one.weakness == "no-certificate-check" and _is_switched(one.line, nodes):
            finding = replace(finding, severity="low", why="Only where a setting asks for it.")
        known = best.get((one.weakness, one.line))
        if known is None or finding.confidence > known.confidence:
            best[one.weakness, one.line] = finding
    return Read(list(best.values()), sorted(reader.settled - {one.line for one in hits}))


def _is_switched(line: int, nodes: Iterable[ast.AST]) -> bool:
    """Tell whether a line runs only where someone asked for no checks."""
    return any(
        node.lineno <= line <= (node.end_lineno or node.lineno) and SWITCH.search(ast.unparse(node.test))
        for node in nodes
        if isinstance(node, ast.If)
    )


def _finding(where: Where, one: Hit) -> Finding:
    severity, confidence = _BY_LEVEL[one.level]
    place, weakness = (one.line, one.end_line), WEAKNESSES[one.weakness]
    return found(where, place, weakness, confidence, why=one.why, severity=severity, reviewer="taint")
