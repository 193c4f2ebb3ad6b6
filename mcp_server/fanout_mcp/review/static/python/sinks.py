"""Where outside input must not arrive in a Python program, and what it means when it does."""

from __future__ import annotations

import ast
import functools
import re
from collections.abc import Container, Iterator, Mapping, Sequence
from dataclasses import replace
from itertools import chain
from typing import TYPE_CHECKING, Final, Literal, NamedTuple

from fanout_mcp.linear import bounded
from fanout_mcp.review.static.python import settings
from fanout_mcp.review.static.python.settings import check_setting
from fanout_mcp.review.static.python.values import (
    ARCHIVED,
    NOTHING,
    Call,
    Value,
    add,
    join,
    last_name,
    listed,
    names,
)
from fanout_mcp.review.static.rules import LOCAL, PARAM, REMOTE, read_table

if TYPE_CHECKING:  # it reads with all of these
    from fanout_mcp.review.static.python.taint import Walker as Reader

# --- arrivals ----------------------------------------------------------------------------------------
# Where outside input must not arrive in a Python program: calls and methods, and what it does there.


class Sink(NamedTuple):
    weakness: str
    args: tuple[int, ...] = (0,)
    """Positions that matter; () is any."""
    keywords: tuple[str, ...] = ()
    needs: frozenset[str] = frozenset()
    """Packages of which one must be imported, for methods with a common name."""
    built: bool = False
    """Parameters of the function count only when a string was put together from them."""
    plain: bool = False
    """An answer that is HTML only where it says so."""


def _sinks(kind: Literal["calls", "methods"]) -> Iterator[tuple[str, Sink]]:
    for row in read_table("python.toml")["sink"]:
        sink = Sink(
            row["weakness"],
            tuple(row.get("args", (0,))),
            tuple(row.get("keywords", "").split()),
            names(row.get("needs", "")),
            row.get("built", False),
            row.get("plain", False),
        )
        yield from ((name, sink) for name in row.get(kind, "").split())


CALLS: Final = dict(_sinks("calls"))
METHODS: Final[dict[str, list[Sink]]] = {}
for _name, _sink in _sinks("methods"):
    METHODS.setdefault(_name, []).append(_sink)
WEAKNESSES_REACHED: Final = {sink.weakness for sink in (*CALLS.values(), *chain(*METHODS.values()))}


# --- sinks ------------------------------------------------------------------------------------------

ENDS = frozenset(
    {"open", "subprocess.run", "subprocess.check_output", "subprocess.Popen", "os.popen", "os.system"}
)
"""Their results hold no input any more: files and processes say what they say."""
ENDING_METHODS = frozenset(
    {"execute", "fetchone", "fetchall", "fetchmany", "commit", "scalar", "hexdigest", "digest"}
)

REMOTE_ONLY: Final = listed("remote_only")
LOCAL_IS_FINE: Final = listed("local_is_fine")

_SQL = re.compile(
    r"\b(select\b.*\bfrom|insert\s+into|update\b.+\bset|delete\s+from|drop\s+table|where)\b",
    re.IGNORECASE | re.DOTALL,
)
_URL_START = re.compile(r"^\w+://\w[\w-]*(\.\w[\w-]*)*(:\d+)?[/?#]")
"""The host is constant: what follows chooses a page of it."""
_OWN_PATH = re.compile(r"^/(?![/\\])")
NETWORK: Final = tuple(listed("network"))
"""Values that came over the network begin so."""
OWN_ADDRESSES: Final = listed("own_addresses")
"""What the client asked for: a redirect to it stays on the site."""
JSON_ANSWERS: Final = listed("json_answers")
LOGGER_NAMES: Final = ("log", "logger", "logging", "_logger", "_log", "LOG", "LOGGER")
RECEIVER_PATHS: Final = listed("receiver_paths")
SAFE_PARSER = "lxml.etree.XMLParser(resolve_entities=False)"


def report(reader: Reader, weakness: str, node: ast.AST, value: Value) -> None:
    """Note that input arrives, unless it was cleaned for that or comes from nowhere that matters."""
    taint = value.taint
    if taint is None or weakness in taint.clean or (taint.is_error and weakness != "error-leak"):
        return
    level = taint.level
    if weakness in REMOTE_ONLY and level < LOCAL:
        return
    why = f"{taint.origin[:1].upper()}{taint.origin[1:]} (line {taint.line}) arrives here."
    if taint.origin == ARCHIVED:
        if weakness != "path-traversal":
            return
        weakness, level = "archive-slip", 0
    elif not taint.is_read or (level == LOCAL and weakness in LOCAL_IS_FINE):
        level = PARAM  # what functions in between do is not known, and a user may name files
    if weakness in REMOTE_ONLY and not taint.is_direct:
        level = PARAM
    add(reader, weakness, node, level, why)


QUOTED: Final = {"'": "single quotes", '"': "double quotes"}
"""The quotes that a text was found not to hold."""
_HEADER = re.compile(r"(?:^|[\r\n])[A-Za-z][\w-]*:\s?[^\r\n]*$")
_HEADER_SLOT = re.compile(bounded(r"(?:^|[\r\n])[A-Za-z][\w-]*:\s?[^\r\n]*%s[^\r\n]*\r\n"))


def check_header(reader: Reader, node: ast.expr, pieces: tuple[Value, Value]) -> None:
    """Look at text that is put together: input behind the name of a header, as it goes over the network."""
    left, right = pieces
    if left.taint is None and right.taint is None:
        return
    ends = left.taint is not None and right.text.startswith("\r\n") and _HEADER.search(left.text)
    behind = right.taint is not None and (
        (_HEADER.search(left.text) and "\\r\\n" in ast.unparse(node))
        or (isinstance(left.const, str) and _HEADER_SLOT.search(left.const))
    )
    if ends or behind:
        report(reader, "header-injection", node, left if ends else right)


_HANDS_ON: Final[Mapping[str, int]] = {
    **dict.fromkeys(("to_thread", "run_sync", "partial", "submit", "apply_async", "run_in_threadpool"), 0),
    **dict.fromkeys(("run_in_executor", "call_later"), 1),
}
"""Functions that call another, and the position of that one: its arguments follow."""
_SHELL_TEXT: Final = names("anyio.run_process anyio.open_process trio.run_process trio.lowlevel.open_process")
"""A shell reads their command where it is a text, as with subprocess's shell=True."""
_OF_A_FRAMEWORK: Final = "Frameworks refuse line ends; the value is the sender's."
_LOG_FILE = re.compile(r"(?i)(?<![a-z])(log|logs|audit|journal|history|trace|events?)(?![a-z])|\.log")


def check_call(reader: Reader, call: Call, receiver: Value) -> None:
    node, name, arguments, keywords = call
    method = node.func.attr if isinstance(node.func, ast.Attribute) else ""
    at = _HANDS_ON.get(method or name.rpartition(".")[2])
    if at is not None and len(node.args) > at and isinstance(node.args[at], ast.Name | ast.Attribute):
        handed = ast.copy_location(ast.Call(node.args[at], node.args[at + 1 :], node.keywords), node)
        check_call(reader, Call(handed, reader.dotted(handed.func), arguments[at + 1 :], keywords), NOTHING)
    _check_subprocess(reader, call)
    if method in {"write", "writelines"} and receiver.kind.endswith("open()"):
        if _LOG_FILE.search(receiver.text):
            report(reader, "log-injection", node, arguments[0] if arguments else NOTHING)
    elif name == "print" and "file" in keywords and _LOG_FILE.search(keywords["file"].text):
        for value in arguments:
            report(reader, "log-injection", node, value)
    headers = keywords.get("headers", NOTHING)
    is_answer = name in CALLS and CALLS[name].weakness == "xss"
    if (
        is_answer
        and headers.level == REMOTE
        and headers.taint
        and "header-injection" not in headers.taint.clean
    ):
        add(reader, "header-injection", node, PARAM, _OF_A_FRAMEWORK)
    if name in JSON_ANSWERS and reader.scope.is_route:
        for value in (*arguments, *keywords.values()):
            if value.taint is not None and value.taint.is_error:
                report(reader, "error-leak", node, value)
    if method in {"add", "set", "setdefault", "add_header", "extend"} and (
        receiver.kind.endswith("Headers()") or name.endswith(f".headers.{method}")
    ):
        report(reader, "header-injection", node, arguments[-1] if arguments else NOTHING)
    sink = CALLS.get(name)
    if sink is not None and (not sink.needs or sink.needs & reader.roots):
        _arrive(reader, call, sink)
    elif method:
        for sink in METHODS.get(method, ()):
            if _applies(reader, node, sink, name):
                _arrive(reader, call, sink)
        if method in RECEIVER_PATHS and "Path" in name + receiver.kind:
            report(reader, "path-traversal", node, receiver)
        if method == "save" and receiver.is_file:
            report(reader, "unrestricted-upload", node, receiver)
    settings.check(reader, call, receiver.kind)


def _applies(reader: Reader, node: ast.Call, sink: Sink, name: str) -> bool:
    if sink.needs and not sink.needs & reader.roots:
        return False
    if sink.weakness == "log-injection":
        owner = name.rsplit(".", 1)[0]
        return owner.rsplit(".", 1)[-1] in LOGGER_NAMES or owner.startswith("logging.getLogger")
    if sink.weakness == "xpath-injection" and sink.needs:
        return "re." not in name and not isinstance(node.func, ast.Name)
    return True


def _arrive(reader: Reader, call: Call, sink: Sink) -> None:
    node, name, arguments, keywords = call
    picked = [arguments[i] for i in sink.args if i < len(arguments)] if sink.args else list(arguments)
    is_any = not sink.args and not sink.keywords
    picked += [value for key, value in keywords.items() if is_any or key in sink.keywords]
    if sink.weakness == "xss" and node.args and isinstance(node.args[0], ast.Tuple) and picked:
        picked[0] = arguments[0].first or NOTHING  # status and headers follow
    is_data = bool(node.args) and isinstance(node.args[0], ast.Dict | ast.List)
    if sink.weakness == "xss" and (is_data or not _is_html(reader, call, default=not sink.plain)):
        return
    if picked and all(one.taint is None and not one.varies for one in picked):
        reader.settled.add(node.lineno)
    value = NOTHING
    for one in picked:
        value = join(value, one)
    if sink.weakness in {"code-injection", "deserialization"} and value.kind.startswith(NETWORK):
        add(reader, "remote-code", node, 0, "It came over the network.")
        return
    if sink.weakness == "deserialization" and _is_safe_load(node, name, keywords):
        return
    if sink.weakness == "log-injection" and arguments and _SHOWN.fullmatch(str(arguments[0].const or "")):
        return
    if value.taint is not None and _is_held(sink.weakness, value):
        return
    if sink.weakness == "sql-injection" and value.built and value.level <= PARAM and _SQL.search(value.text):
        if value.taint is None or "sql-injection" not in value.taint.clean:
            why = "The query's text is put together from values that vary."
            add(reader, "sql-injection", node, PARAM, why)
        return
    if value.taint is None:
        return
    if sink.built and value.level == PARAM and not value.built:
        return
    if sink.weakness == "open-redirect" and value.built and _OWN_PATH.match(value.text):
        return
    if sink.weakness == "xxe" and any(one.kind == SAFE_PARSER for one in call.everything):
        return
    if sink.weakness == "sql-injection" and value.is_number:
        return
    if value.taint.is_error and sink.weakness == "xss" and reader.scope.is_route:
        report(reader, "error-leak", node, value)
        return
    is_bounded = (sink.weakness == "ssrf" and _URL_START.match(value.text)) or (
        sink.weakness == "open-redirect" and _is_own_address(node, value.taint.origin, sink.keywords)
    )
    report(reader, _refined(sink.weakness, name), node, _bounded(value) if is_bounded else value)


def _is_own_address(node: ast.Call, origin: str, keywords: Container[str]) -> bool:
    """Tell whether a call is given the address that was asked for, with constant text behind it at most.

    A part of it is what its sender chose: `request.url.split("next=")[1]`.
    """
    given = [*node.args[:1], *(one.value for one in node.keywords if one.arg in keywords)]
    if origin not in OWN_ADDRESSES or len(given) != 1:
        return False
    address = given[0]
    while isinstance(address, ast.BinOp) and isinstance(address.right, ast.Constant):
        address = address.left
    if isinstance(address, ast.Call) and not address.args and not address.keywords:
        address = address.func
    return isinstance(address, ast.Attribute) and "request." + address.attr == origin


_SHOWN = re.compile(r"(?:[^%]|%%|%[-+# 0-9.]*[rdaxfgei])+")
"""A format that shows text as repr does."""
_MARKS = re.compile(r"[=(,\s\[](['\"])")


def _is_held(weakness: str, value: Value) -> bool:
    """Tell whether input stays within the quotes around it, as it holds none of them."""
    marks = set(_MARKS.findall(value.text)) if weakness in {"xpath-injection", "sql-injection"} else set()
    return bool(marks) and value.taint is not None and {QUOTED[mark] for mark in marks} <= value.taint.clean


_TYPES: Final = frozenset({"content_type", "mimetype", "media_type", "Content-Type", "content-type"})


def _is_html(reader: Reader, call: Call, *, default: bool) -> bool:
    """Tell whether an answer is read as HTML: by its own arguments, or else by what its function says."""
    given = [call.keywords.get(key, NOTHING).const for key in _TYPES]
    given += [(one.entries or {}).get(key, NOTHING).const for one in call.everything for key in _TYPES]
    said = [str(one).lower() for one in given if one is not None] or _said_types(reader)
    return any("html" in one or "svg" in one for one in said) if said else default


def _said_types(reader: Reader) -> list[str]:
    """Return the content types that the function being read gives its answers."""
    scope = reader.scope
    if scope.types is None:
        nodes = ast.walk(scope.function) if scope.function else iter(())
        scope.types = [kind.lower() for node in nodes for kind in _type_of(node)]
    return scope.types


def _type_of(node: ast.AST) -> Iterator[str]:
    if isinstance(node, ast.Assign):
        target, given = node.targets[0], node.value
        name = last_name(target)
        if isinstance(target, ast.Subscript) and isinstance(target.slice, ast.Constant):
            name = str(target.slice.value)
    elif isinstance(node, ast.Call) and len(node.args) == 2 and isinstance(node.args[0], ast.Constant):
        name, given = str(node.args[0].value), node.args[1]
    else:
        return
    if name in _TYPES and isinstance(given, ast.Constant):
        yield str(given.value)


def _bounded(value: Value) -> Value:
    """Return input that reaches less than it could: reported, but low."""
    return replace(value, taint=replace(value.taint, level=PARAM)) if value.taint else value


def _refined(weakness: str, name: str) -> str:
    if weakness == "xxe" and ("etree.ElementTree" in name or "cElementTree" in name or "expat" in name):
        return "xml-bomb"
    return weakness


def _is_safe_load(node: ast.Call, name: str, keywords: Mapping[str, Value]) -> bool:
    if name not in {"yaml.load", "yaml.load_all"}:
        return name == "torch.load" and getattr(keywords.get("weights_only"), "const", None) is True
    loaders = [*node.args[1:2], *(k.value for k in node.keywords if k.arg == "Loader")]
    return any("Safe" in ast.unparse(loader) or "BaseLoader" in ast.unparse(loader) for loader in loaders)


_SHELLS = frozenset({"sh", "bash", "/bin/sh", "/bin/bash", "zsh", "cmd", "cmd.exe", "powershell"})


RUNS: Final = names("run call Popen check_output check_call")
"""Of `subprocess`."""
_SPREADS: Final = listed("spreads")


def _check_subprocess(reader: Reader, call: Call) -> None:
    node, name, arguments, keywords = call
    is_spread = name in _SPREADS
    is_run = name.startswith("subprocess.") and name.rsplit(".", 1)[-1] in RUNS
    if not (is_run or is_spread or name in _SHELL_TEXT):
        return
    arguments = arguments[name.startswith("os.spawn") :]
    value = arguments[0] if arguments else keywords.get("args", NOTHING)
    has_shell = keywords.get("shell", NOTHING).const is True
    given = node.args[0] if node.args else next((k.value for k in node.keywords if k.arg == "args"), None)
    if (isinstance(given, ast.List | ast.Tuple | ast.ListComp) and not has_shell) or is_spread:
        first = (value if is_spread else value.first) or NOTHING
        value = functools.reduce(join, arguments, NOTHING) if is_spread else value
        is_shell = isinstance(first.const, str) and first.const in _SHELLS
        is_direct = is_shell or first.taint is not None
        if is_direct or value.level >= LOCAL:
            value = _bounded(value) if is_direct and not is_shell and value.level == LOCAL else value
            report(reader, "command-injection" if is_direct else "argument-injection", node, value)
        return
    if name.startswith("trio.") and not has_shell:
        return
    is_own = is_run and not has_shell and value.level == LOCAL  # what the user names is a program, no script
    report(reader, "command-injection", node, _bounded(value) if is_own else value)
    if value.taint is None and has_shell and value.built:
        add(reader, "command-injection", node, PARAM, "A shell runs text that varies.")


def check_item(reader: Reader, target: ast.Subscript, key: Value, value: Value) -> None:
    """Look at `target[key] = value`: sessions and headers take input as it is."""
    owner = reader.dotted(target.value) or ""
    last = owner.rsplit(".", 1)[-1].lower()
    if last == "session":
        report(reader, "trust-boundary", target, join(key, value))
    elif last == "headers" or (isinstance(key.const, str) and key.const.lower() == "location"):
        is_location = isinstance(key.const, str) and key.const.lower() == "location"
        report(reader, "open-redirect" if is_location else "header-injection", target, value)
    elif owner in {"globals()", "locals()"}:
        report(reader, "unsafe-reflection", target, key)
    if isinstance(key.const, str):
        check_setting(reader, target, key.const, value)


def check_body(reader: Reader, target: ast.Attribute, value: Value) -> None:
    """Look at what becomes an answer's text, where the function says that it is HTML."""
    is_body = target.attr in {"text", "body", "data"} and last_name(target.value) in {"resp", "response"}
    if is_body and value.taint is not None and any("html" in one for one in _said_types(reader)):
        report(reader, "xss", target, value)


DIGESTS = ("hexdigest()", ".digest()", "hmac.digest()")


def check_compare(reader: Reader, node: ast.Compare, sides: Sequence[Value]) -> None:
    """Look at == between what was computed with a key and what came in."""
    is_equality = isinstance(node.ops[0], ast.Eq | ast.NotEq)
    computed = [side for side in sides if side.kind.endswith(DIGESTS) and side.kind.startswith("hmac.")]
    if is_equality and computed and all(side.const is None for side in sides):
        add(reader, "timing", node, 0, "== stops at the first difference.")


_AS_HTML = frozenset({"flask", "bottle", "web", "cherrypy", "webapp2", "quart", "pyramid"})


def _returns_html(reader: Reader) -> bool:
    function = reader.scope.function
    decorators = function.decorator_list if function else ()
    return bool(reader.roots & _AS_HTML) or any("HTMLResponse" in ast.unparse(one) for one in decorators)


def check_return(reader: Reader, node: ast.Return, value: Value) -> None:
    """Look at what a view returns: text goes out as HTML, an error's text reveals too much."""
    if not reader.scope.is_route or value.taint is None:
        return
    given = node.value
    items = value.items or () if reader.roots & {"flask", "quart"} else ()
    headers = [one.taint for one in items if one.entries and one.taint and one.level == REMOTE]
    if isinstance(given, ast.Tuple) and any("header-injection" not in one.clean for one in headers):
        add(reader, "header-injection", node, PARAM, _OF_A_FRAMEWORK)
    if isinstance(given, ast.Tuple) and given.elts:
        given, value = given.elts[0], value.first or NOTHING
    if value.taint is None:
        return
    if value.taint.is_error:
        report(reader, "error-leak", node, value)
        return
    if isinstance(given, ast.Dict | ast.List | ast.ListComp | ast.DictComp) or not _returns_html(reader):
        return
    if (said := _said_types(reader)) and not any("html" in one for one in said):
        return
    if value.taint.is_direct and not value.is_number and value.level == REMOTE and not value.is_request:
        if isinstance(given, ast.Call) and reader.dotted(given.func) in CALLS:
            return  # reported where it was called
        report(reader, "xss", node, value)
