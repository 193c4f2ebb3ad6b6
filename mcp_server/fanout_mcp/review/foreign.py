"""Read findings that other reviewers made, in the forms that they print: SARIF, JSON, JSON lines.

Theory of operation. Apart from SARIF no two tools agree on more than that a finding is an object with a
place and a text. So foreign.toml has a table of the names that fields go by, another of the names that lists
of findings go by, and what a file is follows from what it holds. A new tool is a word there, not a parser.

Rules:
1. Every finding has a number: its line of a file of JSON lines, else its place among the file's findings.
2. An item without a text is not a finding: it is counted, never guessed at.
3. What was read is a claim. Whether it is true of the files is answers.py's question.
"""

from __future__ import annotations

import json
import re
import tomllib
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from importlib.resources import files
from typing import Final, NamedTuple
from urllib.parse import unquote, urlsplit

from fanout_mcp import jsonish
from fanout_mcp.errors import InvalidInput
from fanout_mcp.review.finding import SEVERITIES, Finding, Severity
from fanout_mcp.types import Json

MAX_BYTES: Final = 100_000_000
MAX_TEXT: Final = 4_000
MAX_QUOTE: Final = 2_000
DEEPEST: Final = 4
"""Levels of wrapping around a list of findings."""

_TABLES: Final = tomllib.loads(files("fanout_mcp.review").joinpath("foreign.toml").read_text("utf-8"))
_LISTS: Final[list[str]] = _TABLES["lists"].split()
_WRAPPERS: Final[list[str]] = _TABLES["wrappers"].split()
_FIELDS: Final[dict[str, list[str]]] = {name: some.split() for name, some in _TABLES["fields"].items()}
_MADE_BY: Final[dict[str, str]] = _TABLES["made_by"]
_ANALYSERS: Final[frozenset[str]] = frozenset(_TABLES["analysers"].split())
SEVERITY_WORDS: Final[dict[str, Severity]] = {
    word: severity for severity in SEVERITIES for word in _TABLES["severities"][severity].split()
}
_VERIFIED: Final = frozenset({"exact", "moved", "place"})
_PRIORITIES: Final[tuple[Severity, ...]] = ("critical", "high", "medium", "low")
_ESLINT: Final[dict[int, Severity]] = {1: "low", 2: "medium"}
_BY_LEVEL: Final[dict[str, Severity]] = {"error": "high", "warning": "medium", "note": "low", "none": "info"}
_CWE: Final = re.compile(r"(?i)\bcwe[-_/ ]?0*(\d{1,5})\b")
_NUMBER: Final = re.compile(r"\d{1,9}")


class Item(NamedTuple):
    """One finding as it was read, its number in the file, and what its surroundings say of it."""

    number: int
    value: Json
    known: Mapping[str, Json]


@dataclass(frozen=True, slots=True)
class Foreign:
    """What a file held; `count`: how many numbers it used, `bad`: what was not a finding, by reason."""

    findings: tuple[Finding, ...]
    count: int
    bad: Mapping[str, int] = field(default_factory=dict)


def read_findings(name: str, data: bytes) -> Foreign:
    """Read a file's findings. Raises InvalidInput for one in which nothing is a finding's form."""
    text = data.decode("utf-8-sig", "replace")
    items = list(_items(text))
    stem = re.sub(r"\.\w+$", "", name.rpartition("/")[2]) or "input"
    lines = text.count("\n") + 1
    if not items and not _is_empty(text):
        raise InvalidInput(
            f"{name}: no findings were recognised in it. Give SARIF, a tool's JSON, or JSON lines with "
            '`text` and `reviewer`, such as {"reviewer": "a", "path": "src/x.py", "line": 3, "text": "..."}.'
        )
    is_lines = jsonish.whole(text) is None
    return read_items(items, stem, lines if is_lines else len(items))


def read_values(values: Sequence[Json], name: str) -> Foreign:
    """Read findings that were handed over as values, in any of the forms that a file's items have."""
    return read_items([Item(n, value, {}) for n, value in enumerate(values)], name, len(values))


def read_items(items: Sequence[Item], name: str, count: int) -> Foreign:
    findings: list[Finding] = []
    bad: Counter[str] = Counter()
    for item in items:
        finding = read_item(item, name)
        if finding is None:
            bad["not a finding: it has no text"] += 1
        else:
            findings.append(finding)
    return Foreign(
        tuple(findings), max(count, 1 + max((item.number for item in items), default=-1)), dict(bad)
    )


def _is_empty(text: str) -> bool:
    """Tell whether a file says that there is nothing: no text at all, or a form's empty list."""
    if not text.strip():
        return True
    value = jsonish.whole(text)
    if isinstance(value, dict):
        return isinstance(value.get("runs"), list) or any(value.get(name, 0) in ([], None) for name in _LISTS)
    full = (line for line in text.split("\n") if line.strip())
    return value == [] or (value is None and all(isinstance(jsonish.whole(line), dict) for line in full))


def _items(text: str) -> Iterator[Item]:
    value = jsonish.whole(text)
    if value is not None:
        for number, item in enumerate(_within(value, {}, 0)):
            yield item._replace(number=number)
        return
    rows = [(number, jsonish.whole(line)) for number, line in enumerate(text.split("\n")) if line.strip()]
    if any(isinstance(row, dict | list) for _, row in rows):
        for number, row in rows:
            if row is None:
                yield Item(number, None, {})
            else:
                yield from (item._replace(number=number) for item in _within(row, {}, 0))
        return
    # An answer in prose, with its JSON in a fence or between sentences.
    found = jsonish.objects(
        text, lambda one: isinstance(one, dict) and bool(_list_of(one) or _is_finding(one))
    )
    inner = (item for one in found for item in _within(one, {}, 0))
    yield from (item._replace(number=number) for number, item in enumerate(inner))


def _within(value: Json, known: Mapping[str, Json], depth: int) -> Iterator[Item]:
    """Yield the findings in a value, however it is wrapped; numbers are given by the caller."""
    if depth > DEEPEST:
        return
    if isinstance(value, str):
        inner = jsonish.whole(value)
        if isinstance(inner, dict | list):
            yield from _within(inner, known, depth + 1)
        elif "{" in value:
            for one in jsonish.objects(value, lambda one: isinstance(one, dict) and bool(_list_of(one))):
                yield from _within(one, known, depth + 1)
    elif isinstance(value, list):
        for one in value:
            if (
                isinstance(one, dict) and isinstance(one.get("messages"), list) and "filePath" in one
            ):  # eslint
                inherited = {"path": one["filePath"], "reviewer": "eslint"}
                yield from (Item(0, message, inherited) for message in one["messages"])
            elif depth == 0 and isinstance(one, dict) and not _is_finding(one) and _list_of(one):
                yield from _within(one, known, depth + 1)
            else:
                yield Item(0, one, known)
    elif isinstance(value, dict):
        yield from _within_table(value, known, depth)


def _within_table(value: dict[str, Json], known: Mapping[str, Json], depth: int) -> Iterator[Item]:
    if isinstance(value.get("runs"), list):
        for run in value["runs"]:
            yield from _sarif(run) if isinstance(run, dict) else ()
    elif value.get("reason") == "compiler-message" and isinstance(
        value.get("message"), dict
    ):  # cargo, clippy
        yield from _rustc(value["message"])
    elif "reason" in value and not _is_finding(value):
        return  # cargo's other messages
    elif (inner := _list_of(value)) is not None:
        about = {"change": value["change"]} if isinstance(value.get("change"), str) else {}
        yield from _within(inner, {**known, **about}, depth + 1)
    elif _is_finding(value):
        yield Item(0, value, known)
    else:
        wrapped = next(
            (value[name] for name in _WRAPPERS if isinstance(value.get(name), dict | list | str)), None
        )
        if wrapped is not None:
            yield from _within(wrapped, known, depth + 1)


def _list_of(value: Mapping[str, Json]) -> list[Json] | None:
    return next((value[name] for name in _LISTS if isinstance(value.get(name), list)), None)


def _is_finding(value: Mapping[str, Json]) -> bool:
    """A text and a place, or a text and who says it. A stream's other events have no such thing."""
    return bool(_text(value, "title")) and any(
        _get(value, name) not in (None, "") for name in (*_FIELDS["path"], "reviewer", "severity")
    )


def _table(value: Json) -> dict[str, Json]:
    return value if isinstance(value, dict) else {}


def _tables(value: Json) -> list[dict[str, Json]]:
    return [one for one in value if isinstance(one, dict)] if isinstance(value, list) else []


def _rustc(message: Mapping[str, Json]) -> Iterator[Item]:
    span = next((span for span in _tables(message.get("spans")) if span.get("is_primary")), None)
    if span is not None:
        rule = _table(message.get("code")).get("code")
        about = {"title": message.get("message"), "rule": rule, "severity": message.get("level")}
        place = {"path": span.get("file_name"), "line": span.get("line_start"), "end": span.get("line_end")}
        yield Item(0, {}, {**about, **place, "reviewer": "clippy", "source": "static"})


def _sarif(run: Mapping[str, Json]) -> Iterator[Item]:
    tool = _table(run.get("tool"))
    driver = _table(tool.get("driver"))
    listed = _tables(driver.get("rules"))
    more = [rule for extension in _tables(tool.get("extensions")) for rule in _tables(extension.get("rules"))]
    by_id = {str(rule.get("id")): rule for rule in (*listed, *more)}
    for result in _tables(run.get("results")):
        if result.get("suppressions") or result.get("baselineState") in {"absent", "unchanged"}:
            continue
        named = _table(result.get("rule"))
        rule_id, index = result.get("ruleId") or named.get("id"), result.get("ruleIndex", named.get("index"))
        rule = by_id.get(str(rule_id)) or {}
        if not rule and isinstance(index, int) and 0 <= index < len(listed):
            rule = listed[index]
        properties, message = _table(rule.get("properties")), _table(result.get("message"))
        own = _table(result.get("properties"))
        template = _table(_table(rule.get("messageStrings")).get(str(message.get("id"))))
        texts = (message, template, _table(rule.get("shortDescription")))
        text = next(
            (one["text"] for one in texts if isinstance(one.get("text"), str)), rule_id or rule.get("id")
        )
        level = result.get("level") or _table(rule.get("defaultConfiguration")).get("level")
        place = _table(next(iter(_tables(result.get("locations"))), {}).get("physicalLocation"))
        region = _table(place.get("region"))
        yield Item(
            0,
            {},
            {
                "title": _filled(str(text or ""), message.get("arguments")),
                "rule": rule_id or rule.get("id"),
                "severity": own.get("severity")
                or _score(properties.get("security-severity"))
                or _BY_LEVEL.get(str(level), "medium"),
                "cwe": [properties.get("tags"), properties.get("cwe")],
                "path": unquote(str(_table(place.get("artifactLocation")).get("uri") or "")),
                "line": region.get("startLine"),
                "end": region.get("endLine"),
                "quote": _table(region.get("snippet")).get("text"),
                "reviewer": own.get("reviewers") or driver.get("name"),
                "identity": _table(result.get("partialFingerprints")).get("fanout/v1"),
                "probability": own.get("probability"),
                "verified": own.get("verified"),
                "source": "static",
            },
        )


def _filled(text: str, arguments: Json) -> str:
    for place, value in enumerate(arguments if isinstance(arguments, list) else ()):
        text = text.replace(f"{{{place}}}", str(value))
    return text


def _score(value: Json) -> Severity | None:
    """A `security-severity` (CVSS, 0 to 10) as one of our words."""
    try:
        score = float(value)
    except (TypeError, ValueError):
        return None
    bounds: tuple[tuple[float, Severity], ...] = ((9, "critical"), (7, "high"), (4, "medium"), (0.1, "low"))
    return next((word for bound, word in bounds if score >= bound), "info")


def read_item(item: Item, name: str) -> Finding | None:
    """Return an item as a finding of the reviewer `name` unless it names its own; None without a text."""
    value, known = item.value, item.known
    if not isinstance(value, dict):
        return None
    title = _clean(known.get("title") or _text(value, "title"))
    if not title:
        return None
    why, fix = (_clean(_text(value, one)) for one in ("why", "fix"))
    reviewers = _reviewers(value, known, name)
    line = whole_number(known.get("line") or _first(value, "line")) or 0
    end = max(line, whole_number(known.get("end") or _first(value, "end")) or line) if line else 0
    tag = known.get("cwe") or _first(value, "cwe")
    is_analyser = known.get("source") == "static" or not _ANALYSERS.isdisjoint(reviewers)
    return Finding(
        path=_path(known.get("path") or _text(value, "path")),
        line=line,
        end_line=end,
        quote=_quote(known.get("quote") or _first(value, "quote")),
        severity=_severity(known.get("severity") or _first(value, "severity"), reviewers),
        rule=_clean(known.get("rule") or _text(value, "rule"))[:120],
        title=title,
        why=why if why != title else "",
        fix=fix if fix not in {title, why} else "",
        cwe=_cwe(tag),
        confidence=_confidence(value.get("confidence", value.get("confidence_score"))),
        reviewers=reviewers,
        verified=own if (own := known.get("verified")) in _VERIFIED else "unverified",
        source="static" if is_analyser else "model",
        change=str(value.get("change") or known.get("change") or ""),
        members=(item.number,),
        identity=str(known.get("identity") or ""),
        probability=rate if isinstance(rate := known.get("probability"), float) else None,
    )


def shifted(findings: Sequence[Finding], by: int) -> list[Finding]:
    """Number on from where another file's findings ended."""
    return [replace(one, members=tuple(number + by for number in one.members)) for one in findings]


def _get(value: Json, name: str) -> Json:
    if "." not in name:
        return value.get(name)
    for part in name.split("."):
        value = value.get(part) if isinstance(value, dict) else None
    return value


def _first(value: Mapping[str, Json], field_name: str) -> Json:
    return next(
        (got for name in _FIELDS[field_name] if (got := _get(value, name)) not in (None, "", [])), None
    )


def _text(value: Mapping[str, Json], field_name: str) -> str:
    for name in _FIELDS[field_name]:
        got = _get(value, name)
        if isinstance(got, list) and got and all(isinstance(one, str) for one in got):
            got = " ".join(got)
        if isinstance(got, str) and got.strip():
            return got
        if isinstance(got, dict) and isinstance(got.get("text"), str):
            return str(got["text"])
    return ""


def _clean(text: Json) -> str:
    # A lone surrogate would kill the JSON encoder at the edge.
    return " ".join(str(text or "").encode("utf-8", "replace").decode("utf-8").split())[:MAX_TEXT]


def _path(text: str) -> str:
    """Return a path with slashes; where it lies is asked of the tree."""
    if text.startswith("file:"):
        text = unquote(urlsplit(text).path)
    if "\\" in text and "/" not in text:
        text = text.replace("\\", "/")
    return text.encode("utf-8", "replace").decode("utf-8").removeprefix("./").strip()[:1_000]


def _quote(value: Json) -> str:
    if isinstance(value, list):
        value = "\n".join(map(str, value))
    text = str(value or "").encode("utf-8", "replace").decode("utf-8").strip("\n")[:MAX_QUOTE]
    return "" if text == "requires login" else text  # semgrep without an account


def _severity(value: Json, reviewers: Sequence[str]) -> Severity:
    if isinstance(value, bool) or value is None:
        return "medium"
    if isinstance(value, int):
        if "eslint" in reviewers:
            return _ESLINT.get(value, "medium")
        return _PRIORITIES[min(max(value, 0), 3)]
    return SEVERITY_WORDS.get(str(value).strip().lower(), "medium")


def _cwe(value: Json) -> int | None:
    if re.fullmatch(r"\d{1,5}", str(value)):
        return int(value)
    match = _CWE.search(json.dumps(value)) if value else None
    return int(match[1]) if match else None


def whole_number(value: Json) -> int | None:
    """Return the first whole number of 12, "12", "12-14" or "CWE-89"; None for anything else."""
    if isinstance(value, bool) or not isinstance(value, int | str | float):
        return None
    match = _NUMBER.search(str(value))
    return int(match.group()) if match else None


def _confidence(value: Json) -> int:
    if isinstance(value, bool) or not isinstance(value, int | float):
        return 50
    return int(min(100, max(0, value * 100 if isinstance(value, float) and value <= 1 else value)))


def _reviewers(value: Mapping[str, Json], known: Mapping[str, Json], name: str) -> tuple[str, ...]:
    named = known.get("reviewer") or _first(value, "reviewer")
    if isinstance(named, str):
        named = [named]
    if isinstance(named, list) and (
        some := sorted({_clean(one)[:80] for one in named if isinstance(one, str)})
    ):
        return tuple(some)
    return (next((tool for key, tool in _MADE_BY.items() if key in value), name),)
