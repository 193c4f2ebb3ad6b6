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


SWITCH = re.compile(r"(?i)verif|insecure|skip|trust|unsafe|self.?signed")
"""What a condition asks whose user decides whether certificates are checked."""


class Weakness(NamedTuple):
    cwe: int
    severity: Severity
    """When outside input is seen to reach it, or when it needs none."""
    title: str
    fix: str


WEAKNESSES: dict[str, Weakness] = {
    "sql-injection": Weakness(89, "high", "SQL is built from input", "Pass values as query parameters."),
    "nosql-injection": Weakness(
        943, "high", "A database query is built from input", "Check types; no operators."
    ),
    "command-injection": Weakness(
        78, "critical", "A command is built from input", "Pass a list of arguments, no shell."
    ),
    "argument-injection": Weakness(
        88, "medium", "Input becomes an argument of a command", "Put -- before it; check it against a list."
    ),
    "code-injection": Weakness(
        94, "critical", "Input is run as code", "Don't; use ast.literal_eval, a table or a parser."
    ),
    "template-injection": Weakness(
        1336, "high", "Input becomes a template's source", "Pass it as a variable of a fixed template."
    ),
    "expression-injection": Weakness(
        917, "critical", "Input is run as an expression", "Don't; look it up in a table of names."
    ),
    "unsafe-reflection": Weakness(
        470, "medium", "Input chooses what is loaded", "Choose from a table of names."
    ),
    "path-traversal": Weakness(
        22, "high", "Input chooses a file's path", "Resolve it and check that it stays in its folder."
    ),
    "ssrf": Weakness(918, "high", "Input chooses where a request goes", "Check the host against a list."),
    "xss": Weakness(79, "medium", "Input is shown as HTML", "Escape it, or render a template that escapes."),
    "deserialization": Weakness(
        502, "high", "Untrusted data is unpickled", "Use JSON, or sign what is stored."
    ),
    "xxe": Weakness(611, "medium", "XML is parsed with entities on", "Use defusedxml; resolve no entities."),
    "xml-bomb": Weakness(776, "low", "XML is parsed without a guard against bombs", "Use defusedxml."),
    "open-network": Weakness(284, "medium", "Reachable from any address", "Name the networks that need it."),
    "missing-log": Weakness(778, "low", "Nothing records who did what", "Switch logging on."),
    "open-redirect": Weakness(601, "medium", "Input chooses where a user is sent", "Allow own paths only."),
    "ldap-injection": Weakness(
        90, "high", "An LDAP filter is built from input", "Escape it (escape_filter_chars)."
    ),
    "xpath-injection": Weakness(
        643, "high", "An XPath is built from input", "Pass values as XPath variables."
    ),
    "log-injection": Weakness(
        117, "medium", "Input is written to a log as it is", "Take out line ends (repr)."
    ),
    "header-injection": Weakness(
        113, "medium", "Input becomes a header", "Refuse line ends; choose from a list."
    ),
    "regex-injection": Weakness(400, "medium", "Input becomes a regular expression", "re.escape it."),
    "slow-regex": Weakness(
        1333, "low", "A regular expression can take exponential time", "Don't nest repeats."
    ),
    "trust-boundary": Weakness(501, "medium", "Input is stored in the session unchecked", "Check it before."),
    "resource-exhaustion": Weakness(400, "low", "Input decides how much is allocated", "Set a limit."),
    "no-timeout": Weakness(400, "low", "A request has no timeout", "Set one."),
    "insecure-cookie": Weakness(614, "medium", "A cookie also goes over plain HTTP", "Set secure=True."),
    "script-cookie": Weakness(1004, "low", "A cookie can be read by scripts", "Set httponly=True."),
    "weak-random": Weakness(
        330, "low", "A guessable random number", "Use the secrets module for what is secret."
    ),
    "weak-hash": Weakness(328, "medium", "A broken hash", "Use SHA-256; for passwords scrypt or argon2."),
    "weak-cipher": Weakness(327, "medium", "A broken cipher or mode", "Use AES-GCM or ChaCha20-Poly1305."),
    "weak-key": Weakness(326, "medium", "A key that is too short", "RSA from 2048 bits, EC from 224."),
    "static-iv": Weakness(329, "medium", "A fixed initialisation vector", "Draw one for every message."),
    "weak-password-hash": Weakness(
        916, "medium", "A password is hashed too fast", "Use scrypt or argon2, salted."
    ),
    "static-salt": Weakness(
        760, "medium", "A salt that is the same for all", "Draw a salt for every password."
    ),
    "hardcoded-secret": Weakness(798, "high", "Hard-coded secret", "Read it from the environment; rotate."),
    "weak-tls": Weakness(327, "medium", "An outdated TLS version", "TLS 1.2 or newer."),
    "no-certificate-check": Weakness(295, "high", "Certificates are not checked", "Leave the check on."),
    "unverified-token": Weakness(
        347, "high", "A signature is not checked", "Check it, with a fixed algorithm."
    ),
    "debug-mode": Weakness(489, "medium", "Debug mode is on", "Switch it on by environment only."),
    "bind-all": Weakness(605, "low", "The server listens on every interface", "Bind to what is needed."),
    "temp-file": Weakness(
        377, "medium", "A temporary file that others can foresee", "Use mkstemp or its like."
    ),
    "permissions": Weakness(732, "medium", "Permissions are too wide", "0o600 for files, 0o700 for folders."),
    "cleartext": Weakness(319, "low", "Data goes over the network in the clear", "Use TLS."),
    "error-leak": Weakness(
        209, "medium", "An error's details go to the user", "Log them; answer in general words."
    ),
    "secret-in-log": Weakness(532, "medium", "A secret is written to a log", "Leave it out."),
    "csrf": Weakness(352, "medium", "Protection against forged requests is off", "Leave it on."),
    "cors": Weakness(942, "medium", "Any site may read the answers", "Name the origins."),
    "missing-auth": Weakness(306, "low", "A critical function requires no login", "Require a login."),
    "unrestricted-upload": Weakness(
        434, "medium", "A file of any type is stored", "Check type, name and size."
    ),
    "archive-slip": Weakness(22, "medium", "An archive may write outside its folder", 'Use filter="data".'),
    "race": Weakness(367, "low", "A file is checked, then used", "Open it and handle the error."),
    "timing": Weakness(208, "low", "Secrets are compared in varying time", "Use hmac.compare_digest."),
    "weak-password-rule": Weakness(521, "low", "Short passwords are accepted", "Ask for 12 characters."),
    "input-validation": Weakness(
        20, "low", "A check that can be passed by a lookalike", "Parse, then compare whole."
    ),
    "swallowed-error": Weakness(703, "low", "Errors are swallowed", "Handle or log them."),
    "endless-loop": Weakness(835, "low", "A loop without a way out", "Give it an end."),
    "off-by-one": Weakness(193, "low", "A range that goes one too far", "range(len(x))."),
    "zero-division": Weakness(369, "low", "Input divides", "Check for zero."),
    "privileges": Weakness(250, "low", "Runs with more rights than needed", "Drop them."),
    "buffer-overflow": Weakness(
        120, "high", "Writes without a bound", "Use the bounded form and check sizes."
    ),
    "format-string": Weakness(134, "high", "A format string that isn't a constant", 'Use "%s".'),
    "integer-overflow": Weakness(190, "medium", "A size that may overflow", "Check before multiplying."),
    "use-after-free": Weakness(416, "high", "Memory is used after it was freed", "Set the pointer to NULL."),
    "double-free": Weakness(415, "high", "Memory is freed twice", "Set the pointer to NULL after free."),
    "null-pointer": Weakness(476, "low", "A pointer may be NULL", "Check what the allocation returned."),
    "leak": Weakness(401, "low", "Memory is never freed", "Free it on every way out."),
    "unsafe-memory": Weakness(
        119, "low", "Memory safety is switched off", "Say why it holds; keep it small."
    ),
    "prototype-pollution": Weakness(
        1321, "medium", "Input may change every object", "Refuse __proto__ keys."
    ),
    "message-origin": Weakness(
        346, "medium", "Messages of any window are obeyed", "Compare event.origin with a list."
    ),
    "mass-assignment": Weakness(915, "medium", "All fields of the input are taken over", "Name the fields."),
    "unquoted": Weakness(78, "low", "A variable is split and expanded by the shell", "Quote it."),
    "plain-password": Weakness(
        256, "low", "A password is stored as it is", "Store a hash of it, or use a keyring."
    ),
    "foreign-code": Weakness(829, "high", "Code of others runs here", "Pin it, and run it without secrets."),
    "unpinned": Weakness(829, "low", "What this stands for may change", "Pin a version or a digest."),
    "unsigned-package": Weakness(347, "medium", "Packages are installed unchecked", "Leave the check on."),
    "information-exposed": Weakness(200, "low", "More is shown than users need", "Switch it off."),
    "directory-listing": Weakness(548, "medium", "Folders can be listed", "Switch it off."),
    "unencrypted": Weakness(311, "medium", "Data is stored in the clear", "Switch encryption on."),
    "weak-login": Weakness(287, "medium", "The login can be passed", "Ask for a key or a token."),
    "tabnabbing": Weakness(1022, "low", "The opened page may change this one", 'Add rel="noopener".'),
    "session-fixation": Weakness(384, "medium", "A session's id is not changed", "Draw a new one at login."),
    "session-expiry": Weakness(613, "medium", "A session never ends", "Check when it expires."),
    "clickjacking": Weakness(1021, "low", "Other sites may frame this page", "Send X-Frame-Options."),
    "cookie-trust": Weakness(565, "low", "A plain cookie decides who is who", "Sign it, or ask the session."),
    "missing-ownership": Weakness(
        639, "low", "Nobody asks whose record it is", "Filter by the user who asks."
    ),
    "csv-injection": Weakness(1236, "low", "Input becomes a cell of a sheet", "Put ' before = + - @."),
    "assert-guard": Weakness(617, "low", "A check that python -O removes", "Raise an error."),
    "stack-escape": Weakness(562, "high", "The address of a local is returned", "Return memory that lives."),
    "remote-code": Weakness(494, "high", "Code from the network is run unchecked", "Check a hash first."),
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
        data = files("fanout_mcp.review.static").joinpath("rules", f"{name}.toml").read_text("utf-8")
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
    """The file that it stands in."""


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
    severity: Severity,
    confidence: int,
    why: str,
    reviewer: str,
    rule: str | None = None,
) -> Finding:
    """Make a finding of a known weakness; `rule` when the rule is more than the weakness's name."""
    known = WEAKNESSES[weakness]
    return Finding(
        path=path,
        line=place[0],
        end_line=place[1],
        quote=quote(lines, *place),
        severity=severity,
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
                    severity=rule.severity or WEAKNESSES[rule.weakness].severity,
                    confidence=confidence,
                    why=rule.why,
                    reviewer="rules",
                )
