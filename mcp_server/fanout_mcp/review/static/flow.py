"""Which names hold outside input, at a point of a file in a language other than Python.

A name takes input in when it is assigned an expression that names a source or a name that holds input, when
it is a parameter that a framework fills from a request, or when a buffer or container is filled with input;
it loses it when it is assigned anything else or what cleans it, or when a condition has checked it. Names
count within one outermost function.
"""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from tree_sitter import Node

from fanout_mcp.linear import bounded
from fanout_mcp.review.static.grammars import Grammar, walk
from fanout_mcp.review.static.rules import LOCAL, PARAM, REMOTE
from fanout_mcp.structure.languages import text_of

# --- tables -------------------------------------------------------------------------------------------------
# Tables that a file in a language other than Python wrote down itself: what is looked up there is no
# input.
# Neither is a name that a condition found in one, below a folder, or to match a pattern. A condition is taken
# to hold for the rest of the function: a check comes before use.

CONSTANT: Final = re.compile(r"(?!(ENV|ARGV|STDIN)$)_{0,2}[A-Z][A-Z0-9_]+")
_TABLE: Final = re.compile(
    r"^(Object\.freeze\(\s*)?(new\s+\w*(Map|Set|Dictionary|List)\b[^;]*[{(\[]\s*[^\s})\]]|"
    r"(Immutable)?(Map|Set|List)\.(of|ofEntries)\(|Arrays\.asList\(|[{\[]\s*[^\s}\]]|map\[|\[\]\w+\{|array\(|%w)"
)
_PAIRED: Final = r"[^()]*+(?:\([^()]*+(?:\([^()]*+\)[^()]*+)*+\)[^()]*+)*+"
_LOOKUP: Final = re.compile(
    r"(?<![\w$])(?P<table>[\w$]+)(?:\?\.)?(?:\[[^\[\]]*(?:\[[^\[\]]*\][^\[\]]*)*\]|"
    rf"\.(?:get|getOrDefault|GetValueOrDefault|fetch|find|dig)(?:\({_PAIRED}\)|\s{{0,9}}\{{[^{{}}]*\}}))"
)
_PATH: Final = r"(?P<name>[\w$]+(?:\.[\w$]+)*)"
_CHECKS: Final = [
    re.compile(bounded(check))
    for check in (
        rf"(?P<owner>[\w$]+)\.(?:has|includes|[cC]ontains(?:Key)?|indexOf|include\?|key\?|member\?)\(\s*{_PATH}",
        r"(?P<table>[\w$]+)\[\s*(?P<name>[\w$]+)\s*\]",
        r"\b(?:in_array|array_key_exists|ctype_\w+|is_numeric|is_int)\(\s*(?P<name>\$\w+)",
        r"\bisset\(\s*(?P<owner>\$\w+)\[\s*(?P<name>\$\w+)",
        rf"\b(?:slices\.Contains|Object\.hasOwn|preg_match)\([^,]*,\s*{_PATH}",
        r"(?P<name>[\w$]+)\.(?:startsWith|StartsWith|start_with\?)\(\s*(?=[A-Za-z_$])",
        r"\b(?:strings\.HasPrefix|strpos|str_starts_with)\(\s*(?P<name>[\w$]+)[\w$.]*\s*,\s*(?=[A-Za-z_$])",
        rf"\.(?:test|MatchString|IsMatch|IsLocal|IsLocalUrl)\(\s*{_PATH}",
        r"(?P<name>[\w$]+)(?:\.(?:match\??|matches)\(\s*(?=[A-Za-z_$/:])|\s*=~)",
        rf"(?i)\b\w*(?:allow|valid|safe|trusted|permit|same_?(?:site|origin|host))\w*[?!]?\(\s*{_PATH}",
    )
]


_REFUSES: Final = [
    re.compile(bounded(refusal))
    for refusal in (
        r"""(?P<name>[\w$]+(?:\.[\w$]+)*)\.(?:includes|contains|Contains|indexOf|IndexOf|include\?|match\?)\(\s*["'](?:\.\.|/|\\\\|\.\./)["']""",
        r"""\b(?:strings\.Contains(?:Any)?|strpos|str_contains|strstr)\(\s*(?P<name>\$?[\w$]+(?:\.[\w$]+)*)\s*,\s*["'](?:\.\.|/|\.\./|/\\\\)["']""",
        r"(?P<name>[\w$]+)\.(?:hostname|host|origin|Host|Authority|Hostname\(\)|getHost\(\))\s*(?:[!=]==?)",
        r"""(?P<name>[\w$]+)\.(?:startsWith|StartsWith|start_with\?)\(\s*["'`](?:https?://[\w.-]+(?::\d+)?/|/\w)""",
        r"""\bHasPrefix\(\s*(?P<name>\w+)\s*,\s*"(?:https?://[\w.-]+(?::\d+)?/|/\w)""",
    )
]
"""What a condition asks text not to hold, or to begin with, before a branch that leaves."""


def is_table(text: str) -> bool:
    """Tell whether an assigned expression writes down a container that is not empty."""
    return bool(_TABLE.match(text.strip()))


def without_lookups(text: str, tables: Collection[str]) -> str:
    """Return the text with what is looked up in tables replaced by the table's name."""

    def named(found: re.Match[str]) -> str:
        return found["table"] if _is_known(found["table"], tables) else found[0]

    return _LOOKUP.sub(named, text)


def checked_names(condition: str, tables: Collection[str], inputs: Collection[str]) -> Iterator[str]:
    """Yield the names in a condition (without its strings) that it compares with what is allowed."""
    tables = {*tables, ""}
    for check in _CHECKS:
        for found in check.finditer(condition):
            groups = found.groupdict()
            if groups.get("owner") not in inputs and _is_known(groups.get("table", ""), tables):
                yield found["name"]


def _is_known(name: str, tables: Collection[str]) -> bool:
    return name in tables or CONSTANT.fullmatch(name) is not None


# --- flow ------------------------------------------------------------------------------------------

_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_STRING = re.compile(r'(?<!\\)(?:"(?:[^"\\\n]|\\.)*+"|\'(?:[^\'\\\n]|\\.)*+\'|`(?:[^`\\]|\\.)*+`)', re.DOTALL)
_VARIABLE = re.compile(
    r"(?<!\{)[#$]?\{(?!\{)[^{}]{0,200}(?:\{[^{}]{0,200}\}[^{}]{0,200}){0,9}\}"
    r"|\$\w{1,99}(?:(?:->|\[)[\w'\"]{1,99}\]?){0,30}|\$[@*#?]|\$\([^)]{0,200}\)"
)
_WORDS = frozenset(
    """new true false null nil None this self return await const undefined include include_once require
    require_once echo print""".split()  # noqa: SIM905 - words read better as text
)
_FILLS = re.compile(
    r"(^|\.)(append|add|push|put|set|insert|unshift|strcpy|strncpy|strcat|sprintf|snprintf|fgets|scanf|recv|read|"
    r"getline|Fscanf|concat|addAll|WriteString|Fprintf|Append\w*|Push|Enqueue|Add)$"
)
_READS = frozenset({"scanf", "recv", "read"})
SQL = re.compile(
    r"\b(select\b.*\bfrom|insert\s+into|update\b.+\bset|delete\s+from|drop\s+table)\b",
    re.IGNORECASE | re.DOTALL,
)
_JOINS = re.compile(r"\+|\$\{|#\{|\.=|\s\.\s|\$\w|format|Sprintf|\bf\"|%s|\{\w*\}", re.IGNORECASE)
"""How text is put together from pieces, in any of the languages."""
_FORMATS = re.compile(
    r"\b(?:filepath\.Join|path\.(?:join|resolve)|Path\.Combine|Paths\.get|fmt\.Sprintf|String\.[fF]ormat|string\.Format|sprintf|format!)\s*\("
)
"""Names that put text together and are no part of it."""
_NUMBER = re.compile(
    r"\b(int|long|short|float|double|bool|boolean|number|[iu](8|16|32|64|size)|Integer|Long|Guid|UUID|Uuid|DateTime)\b"
)


_REQUESTED: Final = re.compile(
    r"(?i)req|ctx|context|http|event|\b(?:any|object|unknown|never|T)\b|interface|input|form|dto|param|message|call"
    r"|exchange|query|body|args|\{"
)
"""Types of what may hold what was sent."""
_SENT: Final = frozenset({"query", "body", "params", "searchParams", "headers", "cookies"})
"""What a handler takes out of the object that it is given, and holds what was sent."""
_MADE_BY: Final = re.compile(r"(?:await\s+)?(?P<by>[A-Za-z_$](?:[\w$.]|->|::){0,80})\(")
_PASSES: Final = re.compile(
    r"(?i)(?:^|\.|->|::)(?:string|str|raw|html|concat|format|s?printf|sprint\w*|join|trim|replace\w*|to\w+|from\w*|of|decode\w*"
    r"|unescape|atob|urldecode|rawurldecode|base64_decode|html_entity_decode|stripslashes|strval|implode|parse\w*|get|array_\w+|fetch"
    r"|first|next|append|slice|substr\w*|split|map|filter|assign|merge|readall|unmarshal|url|request|querystring|markup|safe"
    r"|\w{0,30}(?:trim|strip|replace|decode|lower|upper|case|unescape)\w{0,30}|find\w{0,30}string\w{0,30}|fields|valueof|ofnullable|requirenonnull|pad\w*"
    r"|resolve|normali[sz]e\w*|combine|abs\w*|file|path|uri|buffer|bytes|copy|clone)$"
)
"""Functions that return the text that they are given, or a part of it."""
_LAMBDAS: Final = frozenset({"lambda_expression", "arrow_function", "function_expression"})
_CHOSEN = re.compile(
    bounded(
        r"(?P<table>[\w$]+)\.(?:include\?|includes|has|contains|Contains|key\?)\(\s*(?P<one>[^()?]{1,80}?)\s*\)\s*\?"
        r"\s*(?P=one)\s*:"
    )
)
"""One of a table where it is there, and another where it isn't."""
_PART = re.compile(r"\.(pathname|search|hash|searchParams|username|RawQuery|Path|Fragment|query|port)$")
"""Parts of an address that don't say where it leads."""
_LITERAL = re.compile(r"""@?(?:"(?:[^"\\\n]|\\.)*+"|'(?:[^'\\\n]|\\.)*+'|`[^`$\\]*+`|\d++)(?:\.freeze)?;?""")
_WHOLE = re.compile(rf"""(?!"[^"]*(?:\$|#\{{)\w)(?:{_LITERAL.pattern})\Z""")
_BEGUN = re.compile(rf"""(?!{_WHOLE.pattern})[$@]{{0,2}}["'`][^"'`$#{{]""")
"""Text that begins with constant words, and goes on."""
MAX_SPELLED: Final = 2_000
_IS_CODE = re.compile(r"=>|\bfunction\b|\bfunc\(|->")
_TRIES = re.compile(
    r"\b(?:strconv\.(?:Atoi|Parse\w+)|uuid\.(?:Parse|FromString|MustParse)|netip\.Parse\w+|time\.Parse)\((?:[^,()]+,\s*)?(\w+)"
)
"""What reads a text as a number, and fails where it is none."""
_NEGATED = re.compile(r"^\(?\s*(?:!|not\b)")
_LEAVES_AT_ALL = re.compile(
    r"\b(return|throw|raise|continue|break|next|exit|die|halt|panic|abort|goto|os\.Exit|Fatal\w*|redirect\w*"
    r"|\w{0,30}(?:[nN]ot_?[fF]ound|[bB]ad_?[rR]equest|[fF]orbidden|[dD]enied)\w{0,30}(?=!|\s*\())\b"
)
_SERVICE = re.compile(
    r"\bI(?!Form)[A-Z][a-z]\w+|\b(HttpClient|HttpContext|CancellationToken|\w*DbContext|FromServices)\b"
)
"""Parameters that a container of services fills."""
_LOCAL = re.compile(
    r"process\.(argv|env)|os\.(Args|Getenv)|flag\.\w+|env::(args|var)|stdin\(\)|System\.(getenv|getProperty)|"
    r"args\[|\.nextLine|\.readLine|Console\.ReadLine|Environment\.Get|ARGV|ENV\[|gets|STDIN|\$argv|getenv|argv|std::cin"
    r"|^\$\{?[1-9@*]|\$REPLY"
)
"""Sources that the user who starts the program fills."""
_ENVIRONMENT = re.compile(r"(?i)getenv|(?:\b|_)env\b|Environment\.Get|env::var")
"""Who sets them could start another program as well."""
_POSITION = re.compile(r"\$\{?[1-9@*]")
"""An argument of a shell script, or of a function of it."""
_OTHER_DATA = re.compile(
    bounded(
        r"(?:\.|->|::)(?:[fF]ind\w*[!?]?|[fF]irst\w*|[sS]ingle\w*|[wW]here|exists\?|authenticate\w*|lookup\w*)\??\("
        + _PAIRED
        + r"\)"
        r"|\.find_\w*!?\s[^\n;]*"
        r"|\b(?:db|cache|redis\w*|store|storage)\.get\(" + _PAIRED + r"\)"
        r"|\b(?:\w{0,40}R|r)es(?:p|ponse)?\.json\(\)"
        r"|(?<!\bc\.)(?<!\bctx\.)\b(?:readFile(?:Sync)?|ReadFile|ReadAll(?:Text|Bytes|Lines)(?:Async)?|readAll(?:Bytes|Lines)|readString"
        r"|fetch|axios(?:\.\w+)?|file_get_contents|exec\.Command|shell_exec|Process\.Start"
        r"|query|Query|execute|executeQuery|Execute(?:Reader|Scalar))"
        rf"\({_PAIRED}\)"
    )
)
"""What a file, a site, a database or a program answers is another's data: that it was asked is found."""
_OWN_ADDRESS = re.compile(
    r"\b(?:[ce]\.|ctx\.)?(?:req|[rR]equest|r)\.(?:(?:url|originalUrl|path|RequestURI|URL\.(?:Path|RawQuery|String\(\)))(?!\w)"
    r"|fullpath\b|getRequestURI\(\))|\bctx\.(?:url|path|href)\b|\bRequest\.Path\b|\brequest\.(?:referr?er|base_url|original_url|script_name)\b|\b(?:e\.)?(?:r|req|[rR]equest)\.Host\b"
    r"|(?<![(\w])(?:(?:window|document|self)\.)?location\.(?:pathname\b(?!\.(?:split|match))|origin\b"
    r"|href(?:\.(?:(?:substring|slice|substr)\(\s*0\s*,|(?:lastI|i)ndexOf\()|(?!\s{0,9}[.\w\[])))"
)
"""The address that the client asked for, or came from: a redirect to it stays on the site."""
_PARSES = re.compile(r"\bURL\(|\bUr[il]\(|url\.Parse|parse_url\(|URI\.(create|parse|new)|URI\(|url\.parse\(")


@dataclass(slots=True)
class Flow:
    grammar: Grammar
    is_served: bool = True
    """Whether the file answers requests: in another a request is what it sends itself."""
    names: dict[str, int] = field(default_factory=dict)
    """Name -> who sends the input in it."""
    queries: set[str] = field(default_factory=set)
    """Names that hold SQL put together from pieces that vary."""
    tables: set[str] = field(default_factory=set)
    """Names of containers that the file itself wrote down."""
    constants: set[str] = field(default_factory=set)
    """Names that the file gives a constant outside its functions."""
    safe: set[str] = field(default_factory=set)
    """Names and expressions (`req.body.host`) of this function that are constant, cleaned or checked."""
    place: int = 0
    """The byte that is being read."""
    parsed: dict[str, list[str]] = field(default_factory=dict)
    """Name of a parsed address -> the names that it was parsed from."""
    own: set[str] = field(default_factory=set)
    """Names whose only input is the address of the request itself."""
    made: set[str] = field(default_factory=set)
    """Names whose input went through a function that may do anything with it."""
    local: set[str] = field(default_factory=set)
    """Names that this function was given, or made without input: no framework's, whatever they are called."""
    given: set[str] = field(default_factory=set)
    """Names of parameters: input in a part of what a function is given says nothing of its other parts."""
    others: set[str] = field(default_factory=set)
    """Names of parameters whose types are not those of requests."""
    texts: dict[str, str] = field(default_factory=dict)
    """Name -> the constant, or the path put together, that it was given last."""
    outer_texts: dict[str, str] = field(default_factory=dict)
    """The same outside of functions."""
    tried: dict[str, str] = field(default_factory=dict)
    """Name of an error -> the name that could not be read as a number, where it is one."""
    is_main: bool = False
    """In C: the function that is given the command line."""
    until: int = 0
    """The byte where the outermost function ends."""
    branch: int = 0
    """The byte where the outermost condition's branches end; what is assigned there may not be."""

    def enter(self, node: Node) -> None:
        """Begin a function: an outermost one forgets what came before."""
        if node.start_byte >= self.until:
            self.until = node.end_byte
            self.names.clear()
            self.queries.clear()
            self.parsed.clear()
            self.tried.clear()
            self.safe.clear()
            self.local.clear()
            self.others.clear()
            self.given.clear()
            self.texts = dict(self.outer_texts)
            self.is_main = re.search(r"\bw?main\s*\(", text_of(node)[:300]) is not None
        parameters = node.child_by_field_name("parameters") or node.child_by_field_name("parameter")
        for name in _named(parameters) if parameters is not None else ():
            self.texts.pop(name, None)
            self.texts.pop(f"${name}", None)
            self.local.add(name)
            self.given.add(name)
        for given in (parameters, node.child_by_field_name("receiver")):
            self._note_types(given.named_children if given is not None else ())
        if (
            parameters is not None
            and parameters.named_children
            and (self.grammar.parameter or self.grammar.route)
        ):
            self._take_parameters(node, parameters)

    def _note_types(self, parameters: Iterable[Node]) -> None:
        for one in parameters:
            kind = text_of(one.child_by_field_name("type"))
            words = {text_of(name) for name in one.children_by_field_name("name")}
            words.add(text_of(one.child_by_field_name("pattern")))
            self.others = self.others - words if not kind or _REQUESTED.search(kind) else self.others | words

    def _take_parameters(self, node: Node, parameters: Node) -> None:
        head = text_of(node)[: parameters.start_byte - node.start_byte]
        is_route = bool(self.grammar.route and self.grammar.route.search(head))
        if self.grammar.maps is not None and node.type in _LAMBDAS:
            is_route = is_route or self.grammar.maps.search(self._called_with(node)) is not None
        is_route = is_route or (
            self.grammar.controller is not None and _is_action(node, head, self.grammar.controller)
        )
        for parameter in parameters.named_children:
            text = text_of(parameter)
            is_filled = self.grammar.parameter is not None and self.grammar.parameter.search(text)
            if (is_route or is_filled) and not _NUMBER.search(text) and not _SERVICE.search(text):
                named = parameter.child_by_field_name("name") or parameter.child_by_field_name("pattern")
                words = re.findall(r"\b[a-z_]\w*", text_of(named or parameter))
                if not is_route and text.lstrip("(").startswith("{"):
                    words = [word for word in words if word in _SENT]
                self.names.update(dict.fromkeys(words, REMOTE))

    def _called_with(self, node: Node) -> str:
        """Return the beginning of the call that a function is an argument of."""
        holder = node.parent
        while holder is not None and "argument" in holder.type:
            holder = holder.parent
        return text_of(holder)[:200] if holder is not None and holder.type in self.grammar.calls else ""

    def assign(self, left: str, right: str, start: int) -> None:
        name = _NAME.search(left)
        if name is None or (_PART.search(left) and name[0] not in self.names):
            return
        self._spell(left, right, is_sure=start >= self.branch)
        is_text = len(right) < MAX_SPELLED and name[0] not in _WORDS and not _IS_CODE.search(right)
        if is_text and SQL.search(right) and _JOINS.search(right) and self.varies(right):
            self.queries.add(name[0])
        level = self.level(right)
        if level:
            is_part = "." in left or left.startswith("session[")
            is_member = is_part and (self.grammar.records or name[0] in self.given)
            words = (
                {left.strip()} if is_member else {word for word in _NAME.findall(left) if word not in _WORDS}
            )
            is_own = self.is_own(right)
            self.names.update(dict.fromkeys(words, level))
            self.tables -= words
            self.local -= words
            self.own = self.own | words if is_own else self.own - words
            self.made = self.made | words if self._is_made(right) else self.made - words
            if _PARSES.search(right):
                self.parsed[name[0]] = [
                    word for word in _NAME.findall(self.bare(right)) if word in self.names
                ]
        elif re.fullmatch(r"[\w$]+", left.strip()):
            self.local.add(left.strip())
            if start >= self.branch:
                self.names.pop(left.strip(), None)
            if is_table(right):
                self.tables.add(left.strip())
        self._settle(left.strip(), right, level)

    def _spell(self, left: str, right: str, *, is_sure: bool = True) -> None:
        """Remember a constant or a path under its name, and which text an error speaks of."""
        bare_name = re.fullmatch(r"\$?[\w$]+", left.strip())
        if bare_name:
            known = self.texts if self.place < self.until else self.outer_texts
            known.pop(left.strip(), None)
            text = right.strip() if is_sure and len(right) < MAX_SPELLED else ""
            if _WHOLE.match(text) or _FORMATS.match(text) or _BEGUN.match(text):
                known[left.strip()] = text
        tried = _TRIES.search(right)
        failed = re.search(r"\b(err\w*|ok)\b", left)
        if tried and failed:
            self.tried[failed[1]] = tried[1]
        elif failed:
            self.tried.pop(failed[1], None)

    def spelled(self, text: str) -> str:
        """Return a text with constants and paths in the place of the names that hold them."""
        texts = self.texts if self.place < self.until else self.outer_texts
        if not texts or len(text) > MAX_SPELLED:
            return text
        alone = re.match(r"\(\s*([\w$]+)\s*[,)]", text)
        for name in texts.keys() & set(_NAME.findall(self.bare(text))):
            value = texts[name]
            is_sent = name in self.names
            if is_sent is not bool(_BEGUN.match(value)) or (is_sent and not (alone and alone[1] == name)):
                continue
            inner = re.escape(name.lstrip("$"))
            if value[0] in "\"'`":
                text = re.sub(rf"\$\{{{inner}\}}|#\{{{inner}\}}", lambda _, v=value: v[1:-1], text)  # type: ignore[misc] # a lambda's default
            text = re.sub(rf"(?<![\w.$\"'`])\$?{inner}(?![\w(:\"'`])", lambda _, v=value: v, text)  # type: ignore[misc] # as above
        return text

    def _settle(self, name: str, right: str, level: int) -> None:
        """Remember whether a name holds nothing that varies, or what was cleaned."""
        is_safe = not level and (bool(self.grammar.clean.search(self.bare(right))) or not self.varies(right))
        known = self.safe if self.place < self.until else self.constants
        for words in (self.safe, self.constants) if not is_safe else ():
            words.discard(name)
        if is_safe and right and name not in self.names and re.fullmatch(r"[\w$]+", name):
            known.add(name)

    def test(self, node: Node) -> None:
        """Forget the input in names that a condition compares with what is allowed."""
        self.branch = max(self.branch, node.end_byte)
        asked = node.child_by_field_name("condition")
        words = text_of(asked)
        body = text_of(node.child_by_field_name("consequence") or node.child_by_field_name("body"))
        first = node.child_by_field_name("initializer")
        if first is not None:
            self._spell(text_of(first).partition("=")[0], text_of(first).partition("=")[2])
        leaves = _LEAVES_AT_ALL.search(body) is not None
        names = list(checked_names(self.bare(words), self.tables, self.names))
        if not leaves and (_NEGATED.match(words) or "unless" in node.type) and "else" not in text_of(node):
            names = [name for name in names if re.search(rf"(?<!\w){re.escape(name)}\s*=[^=]", body)]
        if leaves:
            names += [found["name"] for check in _REFUSES for found in check.finditer(words)]
            names += [name for error, name in self.tried.items() if re.search(rf"(?<!\w){error}\b", words)]
        for name in names:
            root = name.partition(".")[0]
            for each in (name, root, *self.parsed.get(root, ())):
                if each == name or each in self.names:
                    self.names.pop(each, None)
                    self.safe.add(each)

    def receive(self, name: str, arguments: str) -> None:
        """Let a container, a buffer or a structure take what is put into it."""
        if self.grammar.binds and self.grammar.binds.search(name) and self.level(name + arguments):
            level = self.level(name + arguments)
            self.names.update(dict.fromkeys(re.findall(r"(?:&|\bout\s(?:\w+\s)?)\s*(\w+)", arguments), level))
        if not _FILLS.search(name):
            return
        owner = name.rpartition(".")[0]
        if self.grammar.fills_arguments:
            target = re.match(r"\(\s*+&?\s*+(\w+)", arguments)
            if target and (name in {"fgets", *_READS} or self.level(arguments)):
                words = re.findall(r"&?\b(\w+)\b", arguments) if name in _READS else []
                level = self.level(arguments)
                if name in {"fgets", *_READS}:
                    level = REMOTE if self.is_served else LOCAL
                self.names.update(dict.fromkeys((target.group(1), *words), level))
        elif owner and re.fullmatch(r"[\w$]+", owner):
            target = re.match(r"\(\s*&?(\w+)\s*,", arguments) if name == "fmt.Fprintf" else None
            owner = target[1] if target else owner
            if SQL.search(arguments) and _JOINS.search(arguments) and self.varies(arguments):
                self.queries.add(owner)
            if self.level(arguments):
                self.names[owner] = max(self.level(arguments), self.names.get(owner, 0))

    def query_level(self, text: str) -> int | None:
        """Return who sends the input in the queries that a text names, None when it names none."""
        named = self.queries.intersection(_NAME.findall(self.bare(text)))
        return max(self.names.get(name, 0) for name in named) if named else None

    def level(self, text: str) -> int:
        """Return who sends the input in a text (REMOTE, LOCAL), 0 when there is none."""
        bare = _CHOSEN.sub(self._chosen, self.bare(self.grammar.own.sub(" ", text)))
        bare = _OTHER_DATA.sub(" ", without_lookups(bare, self.tables))
        if self.grammar.clean.search(bare):
            return 0
        for checked in self.safe:
            bare = bare.replace(checked, " ") if "." in checked else bare
        levels = [self.names[name] for name in self._sent(bare)]
        sources = [found[0] for found in self.grammar.source.finditer(bare)]
        levels += [self._sender(source) for source in sources if not self._is_parameter(source)]
        return max(levels, default=0)

    def _sent(self, bare: str) -> list[str]:
        """Return the names in a text that hold input: variables, and members of records."""
        members = [name for name in self.names if "." in name or "[" in name]
        return [word for word in _NAME.findall(bare) if word in self.names] + [
            name for name in members if re.search(rf"(?<![\w@$.]){re.escape(name)}(?![\w(])", bare)
        ]

    def _sender(self, source: str) -> int:
        if _ENVIRONMENT.search(source):
            return PARAM
        is_own = _LOCAL.search(source) or (not self.is_served and self.grammar.sent.search(source))
        return LOCAL if is_own else REMOTE

    def _chosen(self, found: re.Match[str]) -> str:
        return " " if _is_known(found["table"], self.tables) else found[0]

    def _is_parameter(self, source: str) -> bool:
        """Tell whether what may be a program's argument, or a request, is another parameter here."""
        if source.partition(".")[0] in self.others:
            return True
        if _POSITION.match(source):
            return self.place < self.until
        return not self.is_main if source == "argv" else source in self.local

    def is_own(self, text: str) -> bool:
        """Tell whether all input in a text is the request's own address: a redirect there stays there."""
        bare = _OWN_ADDRESS.sub(" ", self.bare(text))
        return not self.grammar.source.search(bare) and all(name in self.own for name in self._sent(bare))

    def _is_made(self, text: str) -> bool:
        """Tell whether a text is the result of a function that is not known to hand its input on."""
        call = _MADE_BY.match(text.strip())
        return call is not None and not _PASSES.search(call["by"]) and not self.level(call[0])

    def is_made(self, text: str) -> bool:
        """Tell whether all input in a text went through such a function."""
        bare = self.bare(text)
        return self._is_made(text.strip(" (")) or (
            not self.grammar.source.search(bare) and all(name in self.made for name in self._sent(bare))
        )

    def bare(self, text: str) -> str:
        """Take out the constant text of strings; variables in them stay."""

        def variables(found: re.Match[str]) -> str:
            return " ".join(filter(self.grammar.interpolation.search, _VARIABLE.findall(found[0])))

        return _STRING.sub(variables, text)

    def varies(self, text: str) -> bool:
        """Tell whether a text holds more than constants; CONSTANT_CASE names one in every language."""
        words = _NAME.findall(_FORMATS.sub("(", without_lookups(self.bare(text), self.tables)))
        known = {"$", *_WORDS, *self.safe, *self.constants, *self.tables}
        return any(word not in known and not CONSTANT.fullmatch(word) for word in words)


def _named(parameters: Node) -> Iterator[str]:
    """Yield the names of a function's parameters, without their types and defaults."""
    for one in parameters.named_children or [parameters]:
        named = one.child_by_field_name("name") or one.child_by_field_name("pattern")
        yield from _NAME.findall(text_of(named) if named is not None else text_of(one).partition("=")[0])


def _is_action(method: Node, head: str, controller: re.Pattern[str]) -> bool:
    """Tell whether a method is public in a class that a framework calls by its methods' names."""
    if not re.search(r"\bpublic\b", head) or re.search(r"\b(static|override|abstract)\b", head):
        return False
    owner = method.parent
    while owner is not None and owner.type != "class_declaration":
        owner = owner.parent
    body = owner.child_by_field_name("body") if owner is not None else None
    if owner is None or body is None:
        return False
    return controller.search(text_of(owner)[: body.start_byte - owner.start_byte]) is not None


# --- c memory -----------------------------------------------------------------------------------------------
# Read C and C++ functions for memory that is used after free, freed twice, lost, or indexed beyond its
# end.
# Statements are read in order. What a branch frees counts after it only when the branch goes on to there; an
# assignment gives a name new memory. Loops are read once: what is freed in one round and used in the next by
# the same name goes unseen.

MAX_LENGTH = 20_000
"""Bytes of a function; in longer ones (generated, as a rule) each name would be looked for too often."""
_FREES = frozenset({"free", "kfree", "g_free", "av_free", "OPENSSL_free"})
_MAKES = re.compile(r"^\(?[^()]{0,200}\)?\s{0,99}(?:\w{1,99}::)?(malloc|calloc|realloc|strdup|fopen)\s*\(")
_LEAVES = frozenset(
    {"return_statement", "goto_statement", "break_statement", "continue_statement", "throw_statement"}
)
_SIMPLE = frozenset({"expression_statement", "declaration", "return_statement"})
_ARRAY = re.compile(r"^(\w+)\[\s*(\w+)\s*\]$")
_LOOP = re.compile(r"for\s*\([^;]*;\s*(\w+)\s*<=\s*(\w+)\s*;")


class Hit(NamedTuple):
    weakness: str
    node: Node
    why: str


def memory_hits(root: Node) -> Iterator[Hit]:
    stack = [root]
    while stack:
        node = stack.pop()
        if node.type == "function_definition" and not node.has_error:
            body = node.child_by_field_name("body")
            if body is not None:
                yield from _read(body, {})
                yield from _beyond(body)
                if body.end_byte - body.start_byte <= MAX_LENGTH:
                    yield from _unchecked(body)
                    yield from _leaked(body)
        else:
            stack += node.children


def _read(node: Node, freed: dict[str, int]) -> Iterator[Hit]:
    """Read a statement; `freed`: name -> the line that freed it, changed in place."""
    if node.type in _SIMPLE:
        yield from _read_simple(node, freed)
    elif node.type == "if_statement":
        yield from _read_branches([*_alternatives(node)], freed)
    elif node.type == "switch_statement":
        body = node.child_by_field_name("body")
        yield from _read_branches(body.named_children if body is not None else [], freed)
    elif node.type in {"function_definition", "lambda_expression"}:  # another time, another state
        body = node.child_by_field_name("body")
        yield from _read(body, {}) if body is not None else ()
    else:
        for child in node.named_children:
            if child.type == "labeled_statement":  # reached from elsewhere, too
                freed.clear()
            is_instead = child.type in {"preproc_else", "preproc_elif"}  # only one of them is compiled
            yield from _read(child, {} if is_instead else freed)
            if child.type in _LEAVES:
                freed.clear()


def _alternatives(node: Node | None) -> Iterator[Node]:
    """Yield what a condition does in each case; a chain of `else if` may be a thousand long."""
    while node is not None and node.type == "if_statement":
        yield from filter(None, [node.child_by_field_name("consequence")])
        node = node.child_by_field_name("alternative")
        if node is not None and node.type == "else_clause" and node.named_children:
            node = node.named_children[-1]
    yield from filter(None, [node])


def _read_branches(branches: Sequence[Node], freed: dict[str, int]) -> Iterator[Hit]:
    """Read what happens instead of one another; each begins with what held before."""
    before = dict(freed)
    last = branches[-1] if branches else None
    in_else = last is not None and last.parent is not None and last.parent.type == "else_clause"
    if in_else or text_of(last).startswith("default"):
        freed.clear()  # one of them is taken
    for branch in branches:
        inner = dict(before)
        yield from _read(branch, inner)
        if not _ends(branch):
            freed.update(inner)


def _read_simple(node: Node, freed: dict[str, int]) -> Iterator[Hit]:
    text = re.sub(r"\bsizeof\s*+(?:\([^()]{0,99}\)|[*\w]++)", "0", text_of(node))
    call = re.match(
        r"(?:std::)?(\w+)\s{0,99}\(\s{0,99}(?:\(\w{1,99}\s{0,99}\*{0,9}\)\s{0,99})?(\w{1,99})\s{0,99}\)\s{0,99};|delete\s{0,99}(?:\[\])?\s{0,99}(\w{1,99})\s{0,99};",
        text,
    )
    name = (call[3] or (call[2] if call[1] in _FREES else None)) if call else None
    if name is not None:
        if name in freed:
            yield Hit("double-free", node, f"{name} was freed in line {freed[name]} already.")
        freed[name] = node.start_point[0] + 1
        return
    assigned = re.match(r"(?:[\w\s*]*?[\s*])?(\w+)\s*=[^=]", text)
    for known in [
        one
        for one in freed
        if re.search(rf"(?<![\w.>]){one}\s*=(?!=)|(?<!&)&\s*{one}\b(?!\s*(?:->|\[))", text)
    ]:
        if not assigned or assigned[1] != known:
            del freed[known]  # it may hold other memory now
    for known, line in list(freed.items()):
        used = text[assigned.end(1) :] if assigned and assigned[1] == known else text
        if re.search(rf"(?<![\w.>&]){known}\s*(->|\[)|\*\s*{known}\b|[(,]\s*{known}\s*[,)]", used):
            yield Hit("use-after-free", node, f"{known} was freed in line {line}.")
            del freed[known]
    if assigned:
        freed.pop(assigned[1], None)


def _ends(node: Node) -> bool:
    """Tell whether a branch leaves instead of going on to what follows it."""
    if node.type in _LEAVES:
        return True
    last = next((child for child in reversed(node.named_children) if child.type != "comment"), None)
    if last is None:
        return False
    if last.type == "expression_statement":
        return re.match(r"(exit|abort|_exit|die|fatal|longjmp)\s*\(", text_of(last)) is not None
    return last.type in _LEAVES or (last.type in {"compound_statement", "else_clause"} and _ends(last))


def _beyond(body: Node) -> Iterator[Hit]:
    sizes = {
        match[1]: match[2]
        for node in _all(body, "array_declarator")
        if (match := _ARRAY.match(text_of(node)))
    }
    for loop in _all(body, "for_statement"):
        text = text_of(loop)
        head = _LOOP.match(text)
        for name, size in sizes.items():
            if head and head[2] == size and re.search(rf"\b{name}\s*\[\s*{head[1]}\s*\]", text):
                yield Hit("off-by-one", loop, f"{name} has {size} elements; the last round takes one more.")


_ASKED = (
    r"!\s*{0}\b|\b{0}\s*[!=]=|[!=]=\s*{0}\b|\(\s*{0}\s*\)\s*[{{&|?\w]|assert\w{{0,30}}\s*\(\s*{0}|"
    r"\b{0}\s*(&&|\|\||\?)"
)
_USED = (
    r"\b{0}\s*(\[|->)|\*\s*{0}\s*=|"
    r"\b(str\w+|w?mem\w+|sprintf|fread|fgets|fprintf)\s*\([^;]{{0,300}}\b{0}\b"
)


def _unchecked(body: Node) -> Iterator[Hit]:
    """Find memory that is used without a look at whether there was any."""
    whole = text_of(body)
    for node, name in _made(body):
        used = re.search(_USED.format(name), whole[node.end_byte - body.start_byte :])
        if used and not re.search(_ASKED.format(name), whole):
            yield Hit("null-pointer", node, f"{name} may be NULL and is used without a check.")


_KEEPS = re.compile(
    r"^(str\w*|w?mem\w+|s?n?printf|fprintf|fread|fwrite|fgets|fputs|puts|read|write|sizeof|if|while)$"
)
"""What reads or fills memory and leaves it to its owner."""


def _leaked(body: Node) -> Iterator[Hit]:
    """Find memory that a function neither frees nor hands on."""
    whole = text_of(body)
    for node, name in _made(body):
        if node.type != "init_declarator" or re.search(
            rf"return(?:(?!return)[^;])*\b{name}\b|[^=!<>]=[^=;]*\b{name}\s*+;", whole
        ):
            continue
        takers = re.findall(rf"\b(\w+)\s*\((?:[^();]|\([^()]*\))*\b{name}\b", whole)
        if all(_KEEPS.match(taker) for taker in takers) and not re.search(rf"[{{,]\s*{name}\s*[,}}]", whole):
            yield Hit("leak", node, f"{name} is neither freed nor handed on.")


def _made(body: Node) -> Iterator[tuple[Node, str]]:
    for node in (*_all(body, "init_declarator"), *_all(body, "assignment_expression")):
        left = node.child_by_field_name("declarator") or node.child_by_field_name("left")
        right = node.child_by_field_name("value") or node.child_by_field_name("right")
        name = re.sub(r"^[*\s]+", "", text_of(left))
        if right is not None and re.fullmatch(r"\w+", name) and _MAKES.match(text_of(right)):
            yield node, name


def _all(node: Node, kind: str) -> Iterator[Node]:
    return (inner for inner in walk(node) if inner.type == kind)
