"""Which names hold outside input, at a point of a file in a language other than Python.

A name takes input in when it is assigned an expression that names a source or a name that holds input, when
it is a parameter that a framework fills from a request, or when a buffer or container is filled with input;
it loses it when it is assigned anything else or what cleans it, or when a condition has checked it. Names
count within one outermost function.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from tree_sitter import Node

from fanout_mcp.review.analysers.languages import Grammar
from fanout_mcp.review.analysers.python_tables import LOCAL, REMOTE
from fanout_mcp.review.analysers.tables import CONSTANT, checked_names, is_table, without_lookups

_NAME = re.compile(r"[A-Za-z_$][\w$]*")
_STRING = re.compile(
    r'"(?:[^"\\\n]|\\.){0,2000}"|\'(?:[^\'\\\n]|\\.){0,2000}\'|`(?:[^`\\]|\\.){0,2000}`', re.DOTALL
)
_VARIABLE = re.compile(
    r"(?<!\{)[#$]?\{(?!\{)[^{}]{0,200}(?:\{[^{}]{0,200}\}[^{}]{0,200}){0,9}\}"
    r"|\$\w{1,99}(?:(?:->|\[)[\w'\"]{1,99}\]?){0,30}|\$[@*#?]|\$\([^)]{0,200}\)"
)
_WORDS = frozenset(
    {"new", "true", "false", "null", "nil", "None", "this", "self", "return", "await", "const", "undefined"}
)
_FILLS = re.compile(
    r"(^|\.)(append|add|push|put|set|insert|unshift|strcpy|strncpy|strcat|sprintf|snprintf|fgets|scanf|recv|read|"
    r"getline|Fscanf|concat|addAll)$"
)
_READS = frozenset({"scanf", "recv", "read"})
SQL = re.compile(
    r"\b(select\b.*\bfrom|insert\s+into|update\b.+\bset|delete\s+from|drop\s+table)\b",
    re.IGNORECASE | re.DOTALL,
)
_JOINS = re.compile(r"\+|\$\{|#\{|\.=|\s\.\s|\$\w|format|Sprintf|\bf\"|%s|\{\w*\}", re.IGNORECASE)
"""How text is put together from pieces, in any of the languages."""
_FORMATS = re.compile(r"\b(?:fmt\.Sprintf|String\.[fF]ormat|string\.Format|sprintf|format!)\s*\(")
"""Names that put text together and are no part of it."""
_NUMBER = re.compile(
    r"\b(int|long|short|float|double|bool|boolean|number|[iu](8|16|32|64|size)|Integer|Long|Guid|UUID|Uuid|DateTime)\b"
)


_LOCAL = re.compile(
    r"process\.(argv|env)|os\.(Args|Getenv)|flag\.\w+|env::(args|var)|stdin\(\)|System\.(getenv|getProperty)|"
    r"args\[|\.nextLine|\.readLine|Console\.ReadLine|Environment\.Get|ARGV|ENV\[|gets|STDIN|\$argv|getenv|argv|std::cin"
)
"""Sources that whoever starts the program fills."""
_PARSES = re.compile(r"\bURL\(|\bUr[il]\(|url\.Parse|parse_url\(|URI\.(create|parse|new)|URI\(|url\.parse\(")


@dataclass(slots=True)
class Flow:
    grammar: Grammar
    names: dict[str, int] = field(default_factory=dict)
    """Name -> who sends the input in it."""
    queries: set[str] = field(default_factory=set)
    """Names that hold SQL put together from pieces that vary."""
    tables: set[str] = field(default_factory=set)
    """Names of containers that the file itself wrote down."""
    parsed: dict[str, list[str]] = field(default_factory=dict)
    """Name of a parsed address -> the names that it was parsed from."""
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
        parameters = node.child_by_field_name("parameters")
        if parameters is not None and (self.grammar.parameter or self.grammar.route):
            self._take_parameters(node, parameters)

    def _take_parameters(self, node: Node, parameters: Node) -> None:
        head = _text(node)[: parameters.start_byte - node.start_byte]
        is_route = bool(self.grammar.route and self.grammar.route.search(head))
        is_route = is_route or (
            self.grammar.controller is not None and _is_action(node, head, self.grammar.controller)
        )
        for parameter in parameters.named_children:
            text = _text(parameter)
            is_filled = self.grammar.parameter is not None and self.grammar.parameter.search(text)
            if (is_route or is_filled) and not _NUMBER.search(text):
                named = parameter.child_by_field_name("name") or parameter.child_by_field_name("pattern")
                words = re.findall(r"\b[a-z_]\w*", _text(named or parameter))
                self.names.update(dict.fromkeys(words, REMOTE))

    def assign(self, left: str, right: str, start: int) -> None:
        name = _NAME.search(left)
        if name is None:
            return
        if SQL.search(right) and _JOINS.search(right) and self.varies(right):
            self.queries.add(name[0])
        level = self.level(right)
        if level:
            words = {word for word in _NAME.findall(left) if word not in _WORDS}
            self.names.update(dict.fromkeys(words, level))
            self.tables -= words
            if _PARSES.search(right):
                self.parsed[name[0]] = [
                    word for word in _NAME.findall(self.bare(right)) if word in self.names
                ]
        elif re.fullmatch(r"[\w$]+", left.strip()):
            if start >= self.branch:
                self.names.pop(left.strip(), None)
            if is_table(right):
                self.tables.add(left.strip())

    def test(self, node: Node) -> None:
        """Forget the input in names that a condition compares with what is allowed."""
        self.branch = max(self.branch, node.end_byte)
        asked = node.child_by_field_name("condition")
        condition = _text(asked) if asked is not None else ""
        for name in checked_names(self.bare(condition), self.tables, self.names):
            for each in (name, *self.parsed.get(name, ())):
                self.names.pop(each, None)

    def receive(self, name: str, arguments: str) -> None:
        """Let a container or a buffer take what is put into it."""
        if not _FILLS.search(name):
            return
        owner = name.rpartition(".")[0]
        if self.grammar.fills_arguments:
            target = re.match(r"\(\s*&?\s*(\w+)", arguments)
            if target and (name in {"fgets", *_READS} or self.level(arguments)):
                words = re.findall(r"&?\b(\w+)\b", arguments) if name in _READS else []
                self.names.update(dict.fromkeys((target.group(1), *words), REMOTE))
        elif owner and re.fullmatch(r"[\w$]+", owner) and self.level(arguments):
            self.names[owner] = self.level(arguments)

    def has_query(self, text: str) -> bool:
        return not self.queries.isdisjoint(_NAME.findall(self.bare(text)))

    def level(self, text: str) -> int:
        """Return who sends the input in a text (python_tables.REMOTE, LOCAL), 0 when there is none."""
        bare = without_lookups(self.bare(text), self.tables)
        if self.grammar.clean.search(bare):
            return 0
        levels = [self.names.get(word, 0) for word in _NAME.findall(bare)]
        levels += [
            LOCAL if _LOCAL.search(found[0]) else REMOTE for found in self.grammar.source.finditer(bare)
        ]
        return max(levels, default=0)

    def bare(self, text: str) -> str:
        """Take out the constant text of strings; what stands in them as a variable stays."""
        holds = re.compile(self.grammar.interpolation)

        def variables(found: re.Match[str]) -> str:
            return " ".join(_VARIABLE.findall(found[0])) if holds.search(found[0]) else " "

        return _STRING.sub(variables, text)

    def varies(self, text: str) -> bool:
        """Tell whether more than constants stands in a text; CONSTANT_CASE names one in every language."""
        words = _NAME.findall(_FORMATS.sub("(", without_lookups(self.bare(text), self.tables)))
        return any(word not in _WORDS and not CONSTANT.fullmatch(word) for word in words if word != "$")


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
    return controller.search(_text(owner)[: body.start_byte - owner.start_byte]) is not None


def _text(node: Node) -> str:
    return (node.text or b"").decode("utf-8", "replace")
