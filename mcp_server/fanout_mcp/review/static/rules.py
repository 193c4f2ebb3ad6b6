"""Our rules for the languages other than Python, and for files that are no programs: data in rules/*.toml.

A rule is one of
    call = regex of what is called, with `needs` = "remote" | "input" | "varies" | "always"
    assign = regex of the left side, with `needs` and `match` on the right one
    line = regex of a line without its comments
    block = regex of a Terraform resource's type, with `match` on the block or `missing` from it
and may have `match` and `unless` (regexes of the arguments; of code alone with `bare = true`), `file` (one
that the file must match) and `without` (one that it must not).
"""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from importlib.resources import files
from typing import Any, Final, Literal, NamedTuple

from fanout_mcp.errors import InvalidInput
from fanout_mcp.linear import bounded
from fanout_mcp.review.finding import SEVERITIES, Finding, Severity
from fanout_mcp.review.static.grammars import GRAMMARS

# --- weaknesses ---------------------------------------------------------------------------------------------
# What each weakness is called, why it matters and what to do, for the rules of every language.


REMOTE, LOCAL, PARAM = 3, 2, 1
"""Who sends the input: someone beyond this machine, who starts the program, who calls the function."""


SWITCH = re.compile(r"(?i)verif|validat|cert_?req|insecure|skip|trust|unsafe|self.?signed")
"""What a condition asks whose user decides whether certificates are checked."""


class Weakness(NamedTuple):
    cwe: int
    severity: Severity
    """When outside input is seen to reach it, or when it needs none."""
    title: str
    fix: str


@functools.cache
def read_table(name: str) -> dict[str, Any]:
    """Read one of our files of rules."""
    return tomllib.loads(files("fanout_mcp.review.static").joinpath("rules", name).read_text("utf-8"))


WEAKNESSES: dict[str, Weakness] = {
    name: Weakness(*row) for name, row in read_table("weaknesses.toml").items()
}


# --- rules ------------------------------------------------------------------------------------------

Kind = Literal["call", "assign", "line", "block"]
Needs = Literal["remote", "input", "varies", "always"]
_KINDS: tuple[Kind, ...] = ("call", "assign", "line", "block")
_NEEDS: tuple[Needs, ...] = ("remote", "input", "varies", "always")
_FIELDS = frozenset(
    """weakness needs match unless file severity why bare first missing without""".split()  # noqa: SIM905 - words
) | frozenset(_KINDS)


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
    without: re.Pattern[str] | None = None
    missing: re.Pattern[str] | None = None
    """What a sound block holds."""
    first: bool = False
    """Input counts in the first argument alone."""
    bare: bool = False
    """`match` and `unless` look at code alone: the constant text of strings is taken out."""

    def reads(self, text: str) -> bool:
        """Tell whether the rule is for a file with this text."""
        return not (
            (self.file and not self.file.search(text)) or (self.without and self.without.search(text))
        )

    def takes(self, text: str) -> bool:
        """Tell whether the text of the arguments, the right side or the line is what the rule means."""
        return not (
            (self.match and not self.match.search(text)) or (self.unless and self.unless.search(text))
        )


_FORMS: Mapping[str, tuple[str, ...]] = {"terraform": ("settings", "terraform")}
"""Forms of files that have the rules of several."""


@functools.cache
def rules_of(language: str) -> tuple[Rule, ...]:
    """Read the rules of a language or a form of file; raises ValueError naming a rule that is wrong."""
    rules: list[Rule] = []
    own = GRAMMARS[language].rules if language in GRAMMARS else _FORMS.get(language, ())
    for name in own or (language,):
        rules += [_rule(name, row) for row in read_table(f"{name}.toml")["rule"]]
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
        without=_optional(table.get("without")),
        missing=_optional(table.get("missing")),
        severity=next((level for level in SEVERITIES if level == table.get("severity")), None),
        why=table.get("why", ""),
        bare=bool(table.get("bare")),
        first=bool(table.get("first")),
    )


def _optional(pattern: str | None) -> re.Pattern[str] | None:
    return re.compile(bounded(pattern)) if pattern is not None else None


# --- The user's own rules: `[[rule]]` tables in rules/*.toml of their configuration folder. -----------------
# A rule of theirs has the fields above but `weakness`, and `name`, `title`, `languages` (a word each), two
# programs, `bad` that it finds and `good` that it leaves alone, and perhaps `fix`, `cwe` and `focus`.

BUILT_IN: Final = frozenset(WEAKNESSES)
_TEXTS = ("name", "title", "languages", "bad", "good")
_OWN_FIELDS = (_FIELDS - {"weakness"}) | {*_TEXTS, "fix", "cwe", "focus", "source"}


class OwnRule(NamedTuple):
    rule: Rule
    languages: frozenset[str]
    focus: str
    bad: str
    good: str
    source: str
    """The file that holds it."""


@functools.cache
def own_rules(tables: str) -> tuple[OwnRule, ...]:
    """Read a JSON list of rules' tables. Raises InvalidInput that names the rule and what is wrong."""
    return tuple(_own(table) for table in (json.loads(tables) if tables else ()))


def _own(table: dict[str, Any]) -> OwnRule:
    name, where = table.get("name"), f"{table['source']}: rule {table.get('name')!r}"
    if missing := [field for field in _TEXTS if not isinstance(table.get(field), str) or not table[field]]:
        raise InvalidInput(f"{where} has no text `{missing[0]}`; give it one.")
    if unknown := sorted(table.keys() - _OWN_FIELDS):
        raise InvalidInput(f"{where} has the unknown field `{unknown[0]}`; take it out.")
    if not re.fullmatch(r"[a-z][\w-]{1,60}", str(name)) or name in BUILT_IN:
        raise InvalidInput(f"{where}: `name` must be of a-z, 0-9, - and no built-in rule's; choose another.")
    severity = table.get("severity", "medium")
    focus = table.get("focus", "security")
    if (
        severity not in SEVERITIES
        or focus not in {"security", "bugs"}
        or not isinstance(table.get("cwe", 0), int)
    ):
        raise InvalidInput(
            f"{where}: `severity` must be of {', '.join(SEVERITIES)}, `focus` security or bugs, "
            "`cwe` a number."
        )
    WEAKNESSES[table["name"]] = Weakness(table.get("cwe", 0), severity, table["title"], table.get("fix", ""))
    fields = {field: value for field, value in table.items() if field in _FIELDS}
    try:
        rule = _rule(table["source"], fields | {"weakness": name})
    except (ValueError, TypeError, re.error) as error:
        raise InvalidInput(f"{where} can't be read: {error}.") from None
    return OwnRule(
        rule, frozenset(table["languages"].split()), focus, table["bad"], table["good"], table["source"]
    )


# --- From a place in a file to a finding with its verbatim words. -------------------------------------------

MAX_QUOTE = 400
"""Characters; a long line is cut at its end, so that the quote is still found in the file."""


def quote(lines: Sequence[str], first: int, last: int) -> str:
    """Return the lines' own words, outer blanks off."""
    text = "\n".join(lines[first - 1 : last])
    return text.strip()[:MAX_QUOTE].rstrip()


def found(
    path: str,
    lines: Sequence[str],
    place: tuple[int, int],
    weakness: str,
    *,
    severity: Severity | None = None,
    confidence: int,
    why: str,
    reviewer: str = "rules",
    rule: str | None = None,
) -> Finding:
    """Make a finding of a known weakness, of its own severity unless another is given.

    `rule`: when the rule is more than the weakness's name.
    """
    known = WEAKNESSES[weakness]
    return Finding(
        path=path,
        line=place[0],
        end_line=place[1],
        quote=quote(lines, *place),
        severity=severity or known.severity,
        rule=rule or weakness,
        title=known.title,
        why=why,
        fix=known.fix,
        cwe=known.cwe or None,
        confidence=confidence,
        reviewers=(reviewer,),
    )


# --- Rules that read one line at a time, over the lines that say something to a program. --------------------


def line_findings(
    where: tuple[str, list[str]], kept: Sequence[tuple[int, str]], rules: Iterable[Rule], confidence: int
) -> Iterator[Finding]:
    """Yield what rules find in the `kept` lines (numbered from 1); `where` is the path with all its lines."""
    path, lines = where
    for rule in rules:
        for number, line in kept:
            if rule.pattern.search(line) and rule.takes(line):
                yield found(
                    path,
                    lines,
                    (number, number),
                    rule.weakness,
                    severity=rule.severity,
                    confidence=confidence,
                    why=rule.why,
                )
