"""Our rules for the languages other than Python, and for files that are no programs: data in rules/*.toml.

A rule is one of
    call = regex of what is called, with `needs` = "remote" | "input" | "varies" | "always"
    assign = regex of the left side, with `needs` and `match` on the right one
    line = regex of a line without its comments
    block = regex of a Terraform resource's type, with `match` on the block or `missing` from it
and may have `match` and `unless` (regexes of the arguments; of code alone with `bare = true`), `file` (one
that the file must match) and `without` (one that it must not). `spared` is a regex of what makes a call, an
assignment or a line harmless elsewhere in its function; {name} in it is what a call is assigned to or given
alone, what an assignment assigns to, or what the group `name` of a line's pattern takes, wherever in the
file that is. `after` is a regex of a statement before a call that makes it harmless. Input counts in the
part of its name that a group `key` takes, else in the arguments, in the `first` of them alone (of an object:
in where it leads to), or in the `receiver`. Names are replaced by the constants that the file gives them.
"""

from __future__ import annotations

import functools
import json
import re
import tomllib
from collections.abc import Iterable, Iterator, Mapping, Sequence
from collections.abc import Set as AbstractSet
from dataclasses import dataclass, replace
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

SWITCH = re.compile(
    r"(?i)verif|validat|cert_?req|insecure|skip|trust|unsafe|self.?signed|peer|client_?cert"
    r"|(?:ignor|accept|allow)\w{0,20}(?:tls|ssl|https|cert)"
)
"""What a condition asks whose user decides whether certificates are checked."""
INSECURE = re.compile(r"(?i)insecure|unverified|skip_?\w{0,20}verif|no_?verif|unsafe|noop|anonym")
"""What is called so is not meant to check them."""


PRESCRIBED = re.compile(
    r"(?i)hmac|digest_?auth|www-authenticate|websocket|ntlm|mysql_?(?:native|old|_?password)|scram|gravatar|\be_?tag\b|_etag"
    r"|pwned|content-?md5|fingerprint|checksum|cache_?key|oauth_?(?:1|sign|nonce)|consumer_?secret|signature_?base|api_?sig"
    r"|htpasswd|\{SHA\}"
)
"""Uses whose protocol names a hash that is broken, or where its weakness does no harm."""


class Weakness(NamedTuple):
    """What a rule finds, and what its findings say."""

    name: str
    cwe: int
    """0 for what has none."""
    severity: Severity
    """When outside input is seen to reach it, or when it needs none."""
    title: str
    fix: str


@functools.cache
def read_table(name: str) -> dict[str, Any]:
    return tomllib.loads(files("fanout_mcp.review.static").joinpath("rules", name).read_text("utf-8"))


WEAKNESSES: Final[Mapping[str, Weakness]] = {
    name: Weakness(name, *row) for name, row in read_table("weaknesses.toml").items()
}


# --- rules ------------------------------------------------------------------------------------------

Kind = Literal["call", "assign", "line", "block", "node"]
Needs = Literal["remote", "input", "varies", "always"]
_KINDS: tuple[Kind, ...] = ("call", "assign", "line", "block", "node")
_NEEDS: tuple[Needs, ...] = ("remote", "input", "varies", "always")
_PATTERNS = frozenset({"match", "unless", "file", "without", "missing", "head", "after"})
_FIELDS = (_PATTERNS - {"head"}) | {
    *("weakness", "needs", "severity", "why", "bare", "first", "receiver", "spared"),
    *("call", "assign", "line", "block"),
}
_QUALITY_FIELDS = _FIELDS | {"name", "languages", "focus", "title", "fix", "node", "inside", "head"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """What a rule finds, and what it asks of a file and of the text that it looks at."""

    weakness: Weakness
    kind: Kind
    pattern: re.Pattern[str]
    match: re.Pattern[str] | None = None
    unless: re.Pattern[str] | None = None
    file: re.Pattern[str] | None = None
    without: re.Pattern[str] | None = None
    needs: Needs = "always"
    severity: Severity | None = None
    why: str = ""
    missing: re.Pattern[str] | None = None
    """What a sound block holds."""
    first: bool = False
    """Input counts in the first argument alone."""
    receiver: bool = False
    """What the call is made on counts, not its arguments."""
    spared: str = ""
    bare: bool = False
    """`match` and `unless` look at code alone: the constant text of strings is taken out."""
    languages: frozenset[str] = frozenset()
    focus: str = "security"
    nodes: frozenset[str] = frozenset()
    inside: str = ""
    head: re.Pattern[str] | None = None
    after: re.Pattern[str] | None = None

    def reads(self, text: str) -> bool:
        """Tell whether the rule is for a file with this text."""
        return not (
            (self.file and not self.file.search(text)) or (self.without and self.without.search(text))
        )

    def takes(self, text: str) -> bool:
        """Tell whether the text of the arguments, the right side, the line or the node is what is meant."""
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
        rows = read_table(f"{name}.toml")["rule"]
        rules += [_rule(f"{name}.toml", row, WEAKNESSES.get(row.get("weakness"))) for row in rows]
    return tuple(rules)


@functools.cache
def quality_rules() -> tuple[Rule, ...]:
    """Read the rules for bugs and performance (quality.toml)."""
    rows = read_table("quality.toml")["rule"]
    return tuple(_rule("quality.toml", row, _own_weakness(row, "low"), _QUALITY_FIELDS) for row in rows)


def _own_weakness(table: Mapping[str, Any], severity: Severity) -> Weakness:
    """Return the weakness that a rule itself describes."""
    named = table["name"], table.get("cwe", 0), table.get("severity", severity)
    return Weakness(*named, table["title"], table.get("fix", ""))


def _rule(
    where: str, table: dict[str, Any], weakness: Weakness | None, fields: AbstractSet[str] = _FIELDS
) -> Rule:
    kind = next((kind for kind in _KINDS if kind in table), None)
    needs = next((need for need in _NEEDS if need == table.get("needs", "always")), None)
    if kind is None or needs is None or weakness is None or not table.keys() <= fields:
        raise ValueError(f"{where}: this rule is wrong: {table}")
    spared = bounded(table.get("spared", ""))
    re.compile(spared.replace("{name}", ""))
    if kind == "line" and "{name}" in spared and "(?P<name>" not in table[kind]:
        raise ValueError(f"{where}: `spared` has {{name}}, and `line` no group `name`: {table}")
    return Rule(
        weakness=weakness,
        kind=kind,
        pattern=re.compile(bounded(table[kind]) if kind != "node" else "(?!)"),
        needs=needs,
        severity=next((level for level in SEVERITIES if level == table.get("severity")), None),
        why=table.get("why", ""),
        bare=bool(table.get("bare")),
        first=bool(table.get("first")),
        receiver=bool(table.get("receiver")),
        spared=spared,
        languages=frozenset(table.get("languages", "").split()),
        focus=table.get("focus", "security"),
        nodes=frozenset(table.get("node", "").split()),
        inside=table.get("inside", ""),
        **{name: re.compile(bounded(table[name])) for name in _PATTERNS if name in table},
    )


# --- The user's own rules: `[[rule]]` tables in rules/*.toml of their configuration folder. -----------------
# A rule of theirs has the fields above but `weakness`, and `name`, `title`, `languages` (a word each), two
# programs, `bad` that it finds and `good` that it leaves alone, and perhaps `fix`, `cwe` and `focus`.

OWN_FOCUSES: Final = ("security", "bugs")
_TEXTS = ("name", "title", "languages", "bad", "good")
_OWN_FIELDS = (_FIELDS - {"weakness"}) | {*_TEXTS, "fix", "cwe", "focus", "source"}


class OwnRule(NamedTuple):
    rule: Rule
    bad: str
    good: str
    source: str
    """The file that holds it."""


@functools.lru_cache(maxsize=8)
def own_rules(tables: str) -> tuple[OwnRule, ...]:
    """Read a JSON list of rules' tables. Raises InvalidInput that names the rule and what is wrong."""
    return tuple(_own(table) for table in (json.loads(tables) if tables else ()))


def _own(table: dict[str, Any]) -> OwnRule:
    name, where = table.get("name"), f"{table['source']}: rule {table.get('name')!r}"
    if missing := [field for field in _TEXTS if not isinstance(table.get(field), str) or not table[field]]:
        raise InvalidInput(f"{where} has no text `{missing[0]}`; give it one.")
    if unknown := sorted(table.keys() - _OWN_FIELDS):
        raise InvalidInput(f"{where} has the unknown field `{unknown[0]}`; take it out.")
    if not re.fullmatch(r"[a-z][\w-]{1,60}", str(name)) or name in WEAKNESSES:
        raise InvalidInput(f"{where}: `name` must be of a-z, 0-9, - and no built-in rule's; choose another.")
    severity, focus = table.get("severity", "medium"), table.get("focus", "security")
    cwe = table.get("cwe", 0)
    if severity not in SEVERITIES or focus not in OWN_FOCUSES or not isinstance(cwe, int):
        raise InvalidInput(
            f"{where}: `severity` must be of {', '.join(SEVERITIES)}, `focus` security or bugs, "
            "`cwe` a number."
        )
    try:
        rule = _rule(table["source"], table, _own_weakness(table, "medium"), _OWN_FIELDS)
    except (ValueError, TypeError, re.error) as error:
        raise InvalidInput(f"{where} can't be read: {error}.") from None
    return OwnRule(rule, table["bad"], table["good"], table["source"])


# --- From a place in a file to a finding with its verbatim words. -------------------------------------------

MAX_QUOTE = 400
"""Characters; a long line is cut at its end, so that the quote is still found in the file."""


def quote(lines: Sequence[str], first: int, last: int) -> str:
    text = "\n".join(lines[first - 1 : last])
    return text.strip()[:MAX_QUOTE].rstrip()


Where = tuple[str, Sequence[str]]
"""A file's path and its lines."""


def found(
    where: Where,
    place: tuple[int, int],
    weakness: Weakness,
    confidence: int,
    *,
    why: str = "",
    severity: Severity | None = None,
    reviewer: str = "rules",
) -> Finding:
    """Make a finding of a weakness, of its own severity unless another is given."""
    return Finding(
        path=where[0],
        line=place[0],
        end_line=place[1],
        quote=quote(where[1], *place),
        severity=severity or weakness.severity,
        rule=weakness.name,
        title=weakness.title,
        why=why,
        fix=weakness.fix,
        cwe=weakness.cwe or None,
        confidence=confidence,
        reviewers=(reviewer,),
    )


class Read(NamedTuple):
    """What an analyser finds in a file."""

    findings: Sequence[Finding] = ()
    unread: str = ""
    """Why parts of it were not understood."""
    settled: Sequence[int] = ()
    """Lines of calls that are given constants alone: who sees the call but not the flow is wrong there."""


def surest(findings: Iterable[Finding]) -> list[Finding]:
    """Return what each rule says of a line once, with its highest confidence."""
    best: dict[tuple[str, int], Finding] = {}
    for one in findings:
        known = best.get((one.rule, one.line))
        if known is None or one.confidence > known.confidence:
            best[one.rule, one.line] = one
    return list(best.values())


def switched(finding: Finding) -> Finding:
    """Return what is found where a condition asks whether checks are wanted: its user decides."""
    return replace(finding, severity="low", why="Only where a setting asks for it.")


# --- Rules that read one line at a time, over the lines that say something to a program. --------------------


def line_findings(
    where: Where, kept: Sequence[tuple[int, str]], rules: Iterable[Rule], confidence: int
) -> Iterator[Finding]:
    """Yield what rules find in the `kept` lines, numbered from 1."""
    for rule in rules:
        whole = "\n".join(line for _, line in kept) if "{name}" in rule.spared else ""
        for number, line in kept:
            if not rule.pattern.search(line) or not rule.takes(line):
                continue
            names = (hit["name"] for hit in rule.pattern.finditer(line)) if whole else ()
            if not whole or not all(re.search(rule.spared.replace("{name}", one), whole) for one in names):
                place, said = (number, number), rule.severity
                yield found(where, place, rule.weakness, confidence, why=rule.why, severity=said)
