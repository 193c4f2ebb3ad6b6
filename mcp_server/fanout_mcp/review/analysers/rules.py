"""Our rules for the languages other than Python, and for files that are no programs: data in rules/*.toml.

A rule is one of
    call = regex of what is called, with `needs` = "input" | "varies" | "always"
    assign = regex of the left side, with `needs` and `match` on the right one
    line = regex of a line without its comments
and may have `match` and `unless` (regexes of the arguments; of code alone with `bare = true`) and `file`
(a regex that the file must hold).
"""

from __future__ import annotations

import functools
import re
import tomllib
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Literal

from fanout_mcp.linear import bounded
from fanout_mcp.review.analysers.languages import GRAMMARS
from fanout_mcp.review.analysers.weaknesses import WEAKNESSES
from fanout_mcp.review.finding import SEVERITIES, Severity

Kind = Literal["call", "assign", "line"]
Needs = Literal["input", "varies", "always"]
_KINDS: tuple[Kind, ...] = ("call", "assign", "line")
_NEEDS: tuple[Needs, ...] = ("input", "varies", "always")
_FIELDS = frozenset({"weakness", "needs", "match", "unless", "file", "severity", "why", "bare", *_KINDS})


@dataclass(frozen=True, slots=True)
class Rule:
    weakness: str
    kind: Kind
    pattern: re.Pattern[str]
    needs: Needs = "always"
    match: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None
    file: re.Pattern[str] | None = None
    severity: Severity | None = None
    why: str = ""
    bare: bool = False
    """`match` and `unless` look at code alone: the constant text of strings is taken out."""

    def takes(self, text: str) -> bool:
        """Tell whether the text of the arguments, the right side or the line is what the rule means."""
        return not (
            (self.match and not self.match.search(text)) or (self.unless and self.unless.search(text))
        )


@functools.cache
def rules_of(language: str) -> tuple[Rule, ...]:
    """Read the rules of a language or a form of plain.py; raises ValueError naming a rule that is wrong."""
    rules: list[Rule] = []
    own = GRAMMARS[language].rules if language in GRAMMARS else ()
    for name in own or (language,):
        data = files("fanout_mcp.review.analysers").joinpath("rules", f"{name}.toml").read_text("utf-8")
        rules += [_rule(name, table) for table in tomllib.loads(data)["rule"]]
    return tuple(rules)


def _rule(name: str, table: dict[str, Any]) -> Rule:
    kind = next((kind for kind in _KINDS if kind in table), None)
    needs = next((need for need in _NEEDS if need == table.get("needs", "always")), None)
    if (
        kind is None
        or needs is None
        or table.get("weakness") not in WEAKNESSES
        or not table.keys() <= _FIELDS
    ):
        raise ValueError(f"{name}.toml: this rule is wrong: {table}")
    return Rule(
        table["weakness"],
        kind,
        re.compile(bounded(table[kind])),
        needs,
        match=_optional(table.get("match")),
        unless=_optional(table.get("unless")),
        file=_optional(table.get("file")),
        severity=next((level for level in SEVERITIES if level == table.get("severity")), None),
        why=table.get("why", ""),
        bare=bool(table.get("bare")),
    )


def _optional(pattern: str | None) -> re.Pattern[str] | None:
    return re.compile(bounded(pattern)) if pattern is not None else None
