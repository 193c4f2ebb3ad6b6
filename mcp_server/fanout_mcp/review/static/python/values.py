"""What is known of a value in a Python program: the input in it, its constant text, what made it."""

from __future__ import annotations

import ast
from collections.abc import Callable, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, field
from typing import Final, NamedTuple, Protocol

from fanout_mcp.review.static.rules import LOCAL, PARAM, REMOTE, WEAKNESSES, read_table


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
    """The text of an exception: it reveals too much rather than does harm."""


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
    first: Value | None = None
    """The first element of a list or tuple that is written out, whatever follows it."""

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


# --- The walker of a file, as the rules below it see it. ----------------------------------------------------

Function = ast.FunctionDef | ast.AsyncFunctionDef
Env = dict[str, Value]


@dataclass(slots=True)
class Scope:
    """One function (or the module) being read."""

    function: Function | None
    env: Env
    is_route: bool = False
    owner: str = ""
    """The class that the function belongs to."""
    is_fixed: bool = False
    """The function is a route whose address has no part that varies."""
    is_handler: bool = False
    """The class answers requests of a server of the standard library."""
    returned: Value = NOTHING
    assigned: set[str] = field(default_factory=set)
    """The names that the function has assigned so far."""


class Reader(Protocol):
    """What settings, sinks and expressions may ask of taint.Walker, so that none of them imports it."""

    names: dict[str, str]
    roots: set[str]
    hits: list[Hit]
    attributes: dict[str, Value]
    returns: dict[str, Value]
    passed: dict[str, dict[str, Value]]
    functions: dict[str, tuple[Function, str, Env]]
    settled: set[int]
    scope: Scope
    statement: ast.stmt | None

    @property
    def is_web(self) -> bool: ...
    def dotted(self, node: ast.expr) -> str: ...
    def value(self, node: ast.expr | None) -> Value: ...
    def decided(self, test: ast.expr) -> bool | None: ...
    def bind(self, target: ast.expr, value: Value) -> None: ...
    def grow(self, receiver: ast.expr, value: Value) -> None: ...
    def forget_elements(self, name: str) -> None: ...
    def clean(self, names: AbstractSet[str]) -> None: ...


# --- A call in a Python program as rules see it, and how a rule speaks up. ----------------------------------


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


CallRule = Callable[[Reader, Call], None]


# --- Where outside input enters a Python program, where it must not arrive, and what makes it harmless. -----
# Names are dotted as imported (`sp.run` of `import subprocess as sp` is `subprocess.run`); a value made by
# a call is that call's name with "()": `requests.Session().get`.


def names(text: str) -> frozenset[str]:
    return frozenset(text.split())


def _listed(name: str) -> frozenset[str]:
    return names(read_table("python.toml")["names"][name])


FRAMEWORKS: Final = _listed("frameworks")
REQUEST_NAMES: Final = frozenset({"request", "req"})
REQUEST_SAFE: Final = _listed("request_safe")
ROUTE_DECORATORS: Final = _listed("route_decorators")
REQUEST_HANDLERS: Final = ("HTTPRequestHandler", "StreamRequestHandler", "BaseRequestHandler")
"""Bases from the standard library's servers; what they put into `self` of a request:"""
HANDLED: Final = frozenset({"path", "headers", "rfile", "requestline", "request"})
VIEW_BASES: Final = ("View", "Resource", "RequestHandler", "APIView", "ViewSet", "Handler", "Endpoint")
SOURCE_CALLS: Final[dict[str, int]] = {
    "input": LOCAL,
    "raw_input": LOCAL,
    "sys.stdin.read": LOCAL,
    "sys.stdin.readline": LOCAL,
    "sys.stdin.readlines": LOCAL,
    "os.getenv": PARAM,
    "os.environ.get": PARAM,
    "cgi.FieldStorage": REMOTE,
    "cgi.parse": REMOTE,
    "web.input": REMOTE,
    "bottle.request.query.get": REMOTE,
    "self.get_argument": REMOTE,
    "self.get_arguments": REMOTE,
    "self.get_query_argument": REMOTE,
    "self.get_body_argument": REMOTE,
    "self.get_cookie": REMOTE,
    "argparse.ArgumentParser().parse_args": LOCAL,
    "getpass.getpass": LOCAL,
}
ERROR_CALLS: Final = frozenset({"traceback.format_exc", "traceback.format_exception", "sys.exc_info"})
ARCHIVED: Final = "a name in the archive"
ARCHIVES: Final = frozenset({"zipfile", "tarfile", "rarfile", "py7zr"})
ARCHIVE_METHODS: Final = frozenset({"infolist", "namelist", "getmembers", "getnames"})
NETWORK: Final = (
    "urllib.request.urlopen()",
    "urllib2.urlopen()",
    "requests.get()",
    "requests.post()",
    "requests.Session().get()",
    "httpx.get()",
    "httpx.post()",
)
"""Values that came over the network begin so."""
JSON_ANSWERS: Final = _listed("json_answers")
SOURCE_METHODS: Final = frozenset({"recv", "recvfrom", "receive_text", "receive_json", "receive_bytes"})
SOURCE_NAMES: Final[dict[str, int]] = {"sys.argv": LOCAL, "os.environ": PARAM, "sys.stdin": LOCAL}


LOGGER_NAMES: Final = ("log", "logger", "logging", "_logger", "_log", "LOG", "LOGGER")
RECEIVER_PATHS: Final = _listed("receiver_paths")

CLEANS_ALL: Final = _listed("cleans_all")
STILL_NUMBERS: Final = frozenset({"int", "float", "complex", "decimal.Decimal"})
"""Their results are harmless as text, but still decide sizes and divisions."""
HARMLESS_AS_NUMBER: Final = frozenset(WEAKNESSES) - {"resource-exhaustion", "zero-division"}
CLEANS: Final[dict[str, frozenset[str]]] = {
    **dict.fromkeys(
        names(
            "html.escape markupsafe.escape flask.escape cgi.escape bleach.clean django.utils.html.escape "
            "escape django.utils.html.conditional_escape xml.sax.saxutils.escape nh3.clean "
            "markupsafe.Markup.escape tornado.escape.xhtml_escape helpers.utils.escape_for_html "
            "django.utils.html.format_html"
        ),
        frozenset({"xss"}),
    ),
    **dict.fromkeys(("shlex.quote", "pipes.quote"), frozenset({"command-injection"})),
    **dict.fromkeys(
        names(
            "os.path.basename werkzeug.utils.secure_filename secure_filename werkzeug.utils.safe_join "
            "werkzeug.security.safe_join flask.safe_join django.utils._os.safe_join"
        ),
        frozenset({"path-traversal", "command-injection"}),
    ),
    **dict.fromkeys(
        names("ldap.filter.escape_filter_chars ldap3.utils.conv.escape_filter_chars ldap.dn.escape_dn_chars"),
        frozenset({"ldap-injection"}),
    ),
    **dict.fromkeys(
        names("urllib.parse.quote urllib.parse.quote_plus urllib.parse.urlencode"),
        frozenset({"xss", "ssrf", "open-redirect", "header-injection", "log-injection", "path-traversal"}),
    ),
    "str": frozenset({"nosql-injection"}),
    "repr": frozenset({"log-injection", "header-injection"}),
    "ascii": frozenset({"log-injection", "header-injection"}),
}
CLEANING_TESTS: Final = _listed("cleaning_tests")
GROWS: Final = _listed("grows")
"""Methods that put what they are given into their receiver."""
KEEPS_TEXT: Final = _listed("keeps_text")
KEEPS_CALLS: Final = _listed("keeps_calls")
