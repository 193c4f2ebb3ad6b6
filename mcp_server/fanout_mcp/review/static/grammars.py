"""What calls, assignments and functions are called in each grammar, and where input enters each language."""

from __future__ import annotations

import functools
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from typing import Final

from tree_sitter import Language, Node, Parser

from fanout_mcp.structure import languages

Calls = Mapping[str, tuple[tuple[str, ...], str]]
"""Node type -> the fields whose texts, joined by dots, name what is called; the field of its arguments.

"" for the arguments: everything after the name.
"""


@dataclass(frozen=True, slots=True)
class Grammar:
    calls: Calls
    assigns: Mapping[str, tuple[str, str]]
    """Node type -> the fields of its two sides."""
    functions: tuple[str, ...]
    comments: tuple[str, ...]
    source: re.Pattern[str]
    """Where input enters."""
    clean: re.Pattern[str]
    """What makes it harmless."""
    interpolation: str = r"(?!)"
    """What a string holds when it holds variables; never, by default."""
    parameter: re.Pattern[str] | None = None
    """Parameters that a framework fills from a request."""
    route: re.Pattern[str] | None = None
    """Heads of functions all of whose parameters are filled so."""
    controller: re.Pattern[str] | None = None
    """Heads of classes whose public methods are routes."""
    maps: re.Pattern[str] | None = None
    """Calls whose lambdas are routes."""
    binds: re.Pattern[str] | None = None
    """Calls that put a request into what they are given by reference."""
    regexes: tuple[str, ...] = ()
    """Nodes that are regular expressions; none where the language's engine is linear."""
    compiles: re.Pattern[str] | None = None
    """Calls whose first string is a regular expression."""
    rules: tuple[str, ...] = field(default=())
    fills_arguments: bool = False
    """Functions put what they read into buffers that they are given."""
    conditions: tuple[str, ...] = ("if_statement",)


_NUMBERS = (
    r"(?i:saniti[sz]e)\w{0,40}\(|parseInt|Number\(|parseFloat|Integer\.(parseInt|valueOf)|Long\.parseLong|strconv\.|Atoi|intval|"
    r"int\.Parse|"
)
_JS = Grammar(
    {"call_expression": (("function",), "arguments"), "new_expression": (("constructor",), "arguments")},
    {
        "variable_declarator": ("name", "value"),
        "assignment_expression": ("left", "right"),
        "augmented_assignment_expression": ("left", "right"),
    },
    ("function_declaration", "function_expression", "arrow_function", "method_definition"),
    ("comment",),
    re.compile(
        r"\b(req|request|ctx|event)\.(query|params|headers|cookies|url|originalUrl|param\(|"
        r"get\(|header\(|files?|queryStringParameters|pathParameters|hostname|path)\b|"
        r"\b(req|request|event)\.body\b|"  # ctx.body is Koa's answer
        r"\bprocess\.(argv|env)\b|\blocation\.(search|hash|href)|document\.(URL|cookie|referrer)|"
        r"URLSearchParams|window\.name|searchParams\.get"
    ),
    re.compile(
        _NUMBERS
        + r"encodeURIComponent|createObjectURL|escapeHtml|escape\(|DOMPurify|sanitize|basename|validator\."
        + r"|\.escape\("
    ),
    r"\$\{",
    parameter=re.compile(
        r"@(Param|Query|Body|Headers|Cookies|UploadedFile)\(|^\(?\{[^}]*\b(query|body|params|searchParams)\b"
    ),
    maps=re.compile(r"^(?:\w+\.)*(?:wss?|socket|client|conn(?:ection)?|sock)\.on\(\s*[\"']"),
    regexes=("regex",),
    compiles=re.compile(r"^RegExp$"),
)
_TS = replace(_JS, rules=("javascript",))
_C_CALLS: Calls = {"call_expression": (("function",), "arguments")}
_GO_CALLS: Calls = {**_C_CALLS, "composite_literal": (("type",), "body")}
_C = Grammar(
    _C_CALLS,
    {"init_declarator": ("declarator", "value"), "assignment_expression": ("left", "right")},
    ("function_definition",),
    ("comment",),
    re.compile(
        r"\bargv\b|\bgetenv\s*\(|\b(fgets|gets|scanf|recv|read|fread|getline)\s*\(|std::cin|QUERY_STRING"
    ),
    re.compile(r"strto(u?ll?|d)\s*\(|\batoi\s*\(|\bstrlen\s*\(|sizeof|std::stoi"),
    fills_arguments=True,
)

GRAMMARS: Final[dict[str, Grammar]] = {
    "javascript": _JS,
    "typescript": _TS,
    "tsx": _TS,
    "go": Grammar(
        _GO_CALLS,
        {
            "short_var_declaration": ("left", "right"),
            "assignment_statement": ("left", "right"),
            "var_spec": ("name", "value"),
            "const_spec": ("name", "value"),
        },
        ("function_declaration", "method_declaration", "func_literal"),
        ("comment",),
        re.compile(
            r"\b(r|req|request|\w*(Req|Request)(\(\))?)\.(URL|FormValue|PostFormValue|Form|PostForm|Header|Body|Cookie|"
            r"Host|RequestURI|PathValue|MultipartForm|FormFile)\b|"
            r"\b(c|ctx)\.(Query\w*|Param\w*|PostForm|FormValue|GetHeader|Cookies?|DefaultQuery|DefaultPostForm|GetQuery|"
            r"GetPostForm|FormFile|Body|BodyRaw|GetRawData|Queries|AllParams|URLParam|PathParam|Bind\w*|ShouldBind\w*|"
            r"MustBindWith|BodyParser|FormParams)\(|mux\.Vars|chi\.URLParam|\b(ps|params)\.ByName\(|"
            r"\bos\.(Args|Getenv)|flag\.\w+"
        ),
        re.compile(
            _NUMBERS + r"html\.EscapeString|template\.HTMLEscape|filepath\.Base|"
            r"url\.(Query|Path)Escape|regexp\.QuoteMeta|uuid\.(Parse|MustParse)|netip\.Parse|time\.Parse"
        ),
        parameter=re.compile(r"\*(?!http\b)\w*pb\w*\.\w+(Request|Req)\b"),
        binds=re.compile(
            r"(^|\.)(Decode|DecodeJSON|Unmarshal|Bind\w*|ShouldBind\w*|MustBindWith|BodyParser|QueryParser|ParamsParser"
            r"|ReadJSON|Sscanf?|Sscan|ReadForm|ReadQuery)$"
        ),
    ),
    "rust": Grammar(
        {"call_expression": (("function",), "arguments"), "macro_invocation": (("macro",), "")},
        {"let_declaration": ("pattern", "value"), "assignment_expression": ("left", "right")},
        ("function_item",),
        ("line_comment", "block_comment"),
        re.compile(
            r"env::(args|var)|stdin\(\)|\b(req|request)\.(query|uri|headers?|body|param|cookie|match_info)|"
            r"web::(Query|Path|Form|Json)|\b(query|params|form|payload)\.(get|into_inner|0)\b"
        ),
        re.compile(r"parse::<[iuf]\d+>|encode_text|file_name\(\)|escape"),
        r"\{\w",
        parameter=re.compile(r"\b(Path|Query|Form|Json|Multipart|RawQuery)\s*[(<]"),
        conditions=("if_expression",),
    ),
    "java": Grammar(
        {
            "method_invocation": (("object", "name"), "arguments"),
            "object_creation_expression": (("type",), "arguments"),
        },
        {"variable_declarator": ("name", "value"), "assignment_expression": ("left", "right")},
        ("method_declaration", "constructor_declaration"),
        ("line_comment", "block_comment"),
        re.compile(
            r"\b(ctx|context|req|request|rc)(\.request\(\))?\.(queryParams?|pathParam|formParam|body|bodyAsString|getParam|"
            r"header|cookie|pathVariable|queryMap|params)\(|"
            r"\.get(Parameter(Values|Map|Names)?|Headers?(Names)?|QueryString|Cookies|InputStream|Reader|RequestURI|"
            r"RequestURL|PathInfo|TheParameter|TheValue)\s*\(|getTheCookie|System\.(getenv|getProperty)\s*\(|\bargs\[|"
            r"\.nextLine\s*\(|\.readLine\s*\(|@(RequestParam|PathVariable|RequestBody|RequestHeader)"
        ),
        re.compile(
            _NUMBERS + r"encodeForHTML|escapeHtml|htmlEscape|getCanonicalPath|UUID\.fromString|encodeForLDAP"
        ),
        parameter=re.compile(
            r"@(RequestParam|PathVariable|RequestBody|RequestHeader|CookieValue|ModelAttribute|QueryParam|PathParam|"
            r"FormParam|HeaderParam|MatrixParam|QueryValue|RestQuery|RestPath|RestForm|RequestPart|CookieParam|Body)\b"
        ),
        compiles=re.compile(r"Pattern\.(compile|matches)$|\.(matches|replaceAll|split)$"),
    ),
    "c": _C,
    "cpp": replace(_C, rules=("c",)),
    "csharp": Grammar(
        {
            "invocation_expression": (("function",), "arguments"),
            "object_creation_expression": (("type",), "arguments"),
        },
        {"variable_declarator": ("name", ""), "assignment_expression": ("left", "right")},
        ("method_declaration", "local_function_statement", "constructor_declaration", "lambda_expression"),
        ("comment",),
        re.compile(
            r"\b([Rr]equest|req)\.(Query|Form|Headers|Cookies|QueryString|Params|Path|Body|RawUrl|Url|RouteValues)\b|\bRequest\[|"
            r"Console\.ReadLine|Environment\.GetEnvironmentVariable|\bargs\[|\[From(Query|Body|Route|Form|Header)\]"
        ),
        re.compile(
            _NUMBERS
            + r"HtmlEncode|Path\.GetFileName|Guid\.Parse|UrlEncode|Escape(Data|Uri)String|\w\.TryParse"
        ),
        r"\{\w",
        parameter=re.compile(r"\[From(Query|Body|Route|Form|Header)"),
        route=re.compile(
            r"\[Http(Get|Post|Put|Delete|Patch)\b|\b(I?ActionResult|ViewResult|JsonResult|ContentResult)\b"
        ),
        maps=re.compile(r"\.Map(Get|Post|Put|Delete|Patch|Methods)?\s*\("),
        binds=re.compile(r"\bTryCreate$"),
        controller=re.compile(r":[^{:]*(?:Controller|ControllerBase|PageModel|Hub)\b"),
        compiles=re.compile(r"^Regex(\.(IsMatch|Match|Matches|Replace|Split))?$"),
    ),
    "ruby": Grammar(
        {
            "call": (("receiver", "method"), "arguments"),
            "subshell": ((), ""),
            "element_reference": (("object",), ""),
            "string": ((), ""),
            "binary": ((), ""),
            "heredoc_body": ((), ""),
        },
        {"assignment": ("left", "right"), "operator_assignment": ("left", "right")},
        ("method", "singleton_method"),
        ("comment",),
        re.compile(r"\bparams\b|\brequest\.(\w+)|\bcookies\[|\bARGV\b|\bENV\[|\bgets\b|\bSTDIN\b"),
        re.compile(
            r"\.to_(i|f)\b|Integer\(|sanitize|html_escape|escape_html|escapeHTML|CGI\.escape|\bh\(|Shellwords|shellescape|File\.basename|\.quote\("
        ),
        r"#\{",
        regexes=("regex",),
        conditions=("if", "unless", "if_modifier", "unless_modifier"),
    ),
    "php": Grammar(
        {
            "function_call_expression": (("function",), "arguments"),
            "member_call_expression": (("object", "name"), "arguments"),
            "scoped_call_expression": (("scope", "name"), "arguments"),
            "object_creation_expression": ((), ""),
            "echo_statement": ((), ""),
            "print_intrinsic": ((), ""),
            "include_expression": ((), ""),
            "include_once_expression": ((), ""),
            "require_expression": ((), ""),
            "require_once_expression": ((), ""),
            "shell_command_expression": ((), ""),
        },
        {"assignment_expression": ("left", "right"), "augmented_assignment_expression": ("left", "right")},
        ("function_definition", "method_declaration"),
        ("comment",),
        re.compile(
            r"\$_(GET|POST|REQUEST|COOKIE|FILES|SERVER|ENV)\b|php://input|\$argv\b|\$request->\w+|getenv\(|filter_input\("
        ),
        re.compile(
            _NUMBERS
            + r"\(int\)|htmlspecialchars|htmlentities|escapeshell(arg|cmd)|basename\(|real_escape_string|"
            r"->quote\(|\besc_(html|attr|url|js|textarea|xml)\w{0,40}\(|wp_kses\w{0,40}\(|sanitize_\w{1,40}\(|\b(isset|empty|count|"
            r"strlen|is_\w+|ctype_\w+|in_array|array_key_exists)\(|strip_tags|FILTER_VALIDATE|preg_quote|urlencode|is_numeric|password_hash"
        ),
        r"\$\w|\{\$",
        compiles=re.compile(r"^preg_\w+$"),
    ),
    "bash": Grammar(
        {"command": (("name",), "")},
        {"variable_assignment": ("name", "value")},
        ("function_definition",),
        ("comment",),
        re.compile(r"\$\{?[1-9@*]|\$QUERY_STRING|\$\{?HTTP_\w+|\$REPLY\b|\$\(curl|\$\(wget"),
        re.compile(r"printf\s+['\"]?%q|tr -cd"),
        r"\$",
    ),
}
_PYTHON: Final = Grammar(
    {"call": (("function",), "arguments")},
    {"assignment": ("left", "right"), "augmented_assignment": ("left", "right")},
    ("function_definition",),
    ("comment",),
    re.compile(
        r"\brequest\.(args|form|values|data|json|files|cookies|headers|GET|POST|query_params|path_params)\b"
        r"|\binput\(|\bsys\.(argv|stdin)\b|\bos\.(environ|getenv)\b"
    ),
    re.compile(_NUMBERS + r"\bint\(|\bfloat\(|quote\(|escape\(|basename\("),
    r"\{",
)
"""For the user's own rules: ours for Python read more of it (python/)."""


def grammar_of(language: str) -> Grammar:
    return _PYTHON if language == "python" else GRAMMARS[language]


_BY_KEY: Final = {language.key: language for language in languages.LANGUAGES}


def language_of(path: str) -> str | None:
    """Return the language by the file's suffix, None when we have no rules for it."""
    if path.lower().endswith(".h"):
        return "c"  # outlines read all headers as C++; rules for C++ would miss what C does
    language = languages.language_of(path)
    return language.key if language and (language.key == "python" or language.key in GRAMMARS) else None


def walk(root: Node) -> Iterator[Node]:
    """Yield a tree's nodes in the order of the text, each before what it holds."""
    stack = [root]
    while stack:
        node = stack.pop()
        yield node
        stack += reversed(node.children)


@functools.cache
def parser_of(language: str) -> tuple[Language, Parser]:
    grammar = languages.grammar(_BY_KEY[language])
    return grammar, Parser(grammar)
