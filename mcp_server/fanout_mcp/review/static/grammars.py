"""What calls, assignments and functions are called in each grammar, and where input enters each language."""

from __future__ import annotations

import functools
import re
import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final

from tree_sitter import Language, Node, Parser

from fanout_mcp.structure import languages

WHOLE: Final = "-"
"""In place of a field: everything after the name."""
Fields = tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Grammar:
    """One table of grammars.toml, which explains the fields."""

    calls: Mapping[str, Fields]
    assigns: Mapping[str, Fields]
    functions: Fields
    comments: Fields
    source: re.Pattern[str]
    clean: re.Pattern[str]
    interpolation: re.Pattern[str] = re.compile(r"(?!)")
    parameter: re.Pattern[str] | None = None
    route: re.Pattern[str] | None = None
    controller: re.Pattern[str] | None = None
    maps: re.Pattern[str] | None = None
    binds: re.Pattern[str] | None = None
    sent: re.Pattern[str] = re.compile(r"(?!)")
    serves: re.Pattern[str] = re.compile(r"(?!)")
    own: re.Pattern[str] = re.compile(r"(?!)")
    compiles: re.Pattern[str] | None = None
    regexes: Fields = ()
    rules: Fields = ()
    conditions: Fields = ("if_statement",)
    fills_arguments: bool = False
    records: bool = False


_TABLES: Final[dict[str, Any]] = tomllib.loads(
    files("fanout_mcp.review.static").joinpath("grammars.toml").read_text("utf-8")
)
_NUMBERS: Final[str] = _TABLES.pop("numbers")


def _grammar(table: Mapping[str, Any]) -> Grammar:
    row = {**_TABLES.get(table.get("like", ""), {}), **table}
    calls = {kind: tuple(fields.split()) for kind, fields in row["calls"].items()}
    calls |= dict.fromkeys(row.get("whole", "").split(), (WHOLE,))
    assigns = {kind: tuple(sides.split()) for kind, sides in row["assigns"].items()}
    more: dict[str, Any] = {}
    for name, kind in Grammar.__annotations__.items():
        if name in row and kind == "Fields":
            more[name] = tuple(row[name].split())
        elif name in row and "Pattern" in kind:
            more[name] = re.compile(row[name].replace("<numbers>", _NUMBERS).replace("\n", ""))
    return Grammar(calls, assigns, fills_arguments="fills_arguments" in row, records="records" in row, **more)


_GRAMMARS: Final = {name: _grammar(table) for name, table in _TABLES.items()}
GRAMMARS: Final = {name: grammar for name, grammar in _GRAMMARS.items() if name != "python"}
"""Of the languages that patterns.py has rules for."""


def grammar_of(language: str) -> Grammar:
    return _GRAMMARS[language]


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
