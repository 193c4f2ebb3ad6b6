"""A review's result: findings cut to size, what is not a finding beside them, and what it all took."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final, Literal, NamedTuple

from fanout_mcp import __version__
from fanout_mcp.engine.budget import Budget
from fanout_mcp.errors import InvalidInput, why
from fanout_mcp.review.agreement import rates
from fanout_mcp.review.finding import SEVERITIES, Finding, Focus, as_json, one_line
from fanout_mcp.review.gather import Gathered
from fanout_mcp.review.merge import capped, ranked
from fanout_mcp.review.reviewers import Answered
from fanout_mcp.review.sarif import to_sarif
from fanout_mcp.review.scope import NAMES, identity
from fanout_mcp.source import receipt as source_receipt
from fanout_mcp.source.discover import reasons
from fanout_mcp.source.kinds import Kind
from fanout_mcp.source.receipt import Detail, Receipt
from fanout_mcp.source.secrets import masked, redact
from fanout_mcp.state import folder as state_folder
from fanout_mcp.text import clip, compact, counted
from fanout_mcp.types import Json

# --- pages --------------------------------------------------------------------------------------------------
# Cut a review to what the client shows: a page of whole findings, or a line each; the rest in a report.

MAX_CHARACTERS = 40_000
"""Of findings in one result: the client takes 50,000 in all."""


class Page(NamedTuple):
    items: list[Json]
    following: int | None
    """Where the rest begins; None when there is none."""


def page(findings: Sequence[Finding], start: int, end: int, detail: Detail = "auto") -> Page:
    """Return what fits from `start` on; by itself a line each when they don't all fit whole."""
    rest = findings[start:end]
    full = [as_json(finding) for finding in rest]
    is_full = detail == "full" or (detail == "auto" and size(full) <= MAX_CHARACTERS)
    items: list[Json] = list(full) if is_full else [redact(one_line(finding))[0] for finding in rest]
    used = 0
    for number, item in enumerate(items):
        used += size(item) + 1
        if used > MAX_CHARACTERS and number:
            return Page(items[:number], start + number)
    return Page(items, end if end < len(findings) else None)


def size(value: Json) -> int:
    return len(compact(value))


def few(reasons_by_name: Mapping[str, str]) -> dict[str, Json]:
    if not reasons_by_name:
        return {}
    first = dict(list(reasons_by_name.items())[:5])
    return {
        "count": len(reasons_by_name),
        "by_reason": dict(list(reasons(reasons_by_name.values()).items())[:10]),
        "first": first,
    }


def write(folder: Path, value: Json, ending: str = "json") -> str:
    try:
        text = json.dumps(value, ensure_ascii=False, indent=1)
        return str(state_folder.write_report(folder, "review", ending, text))
    except OSError as error:
        return f"could not be written: {why(error)}"


# --- result ------------------------------------------------------------------------------------------

PER_RULE: Final = {"security": 20, "bugs": 20, "performance": 10, "architecture": 10, "style": 3}
"""Findings of one rule that are listed; critical and high ones all are, the report has the rest."""

NOT_FOUND_STATICALLY: Final = (
    "Static review finds known patterns. It can't find logic bugs: wrong rules, missing checks of who may do "
    "what, races, wrong results. No finding doesn't mean no defect."
)
NOTHING_READ: Final = "No file was reviewed: nothing that the patterns match could be read."
NOTHING_CHANGED: Final = "No file was reviewed: none that the patterns match differs from the base."
NO_ONE_LOOKED: Final = "No file was reviewed: no one answered, or nothing reads such files."
NOTHING_OF_THE_PRODUCT: Final = (
    "No file was reviewed but for keys: all that match are tests, examples, docs, generated or others' code. "
    "Name them in `include`, or name the file."
)


@dataclass(frozen=True, slots=True)
class Request:
    """What is to be reviewed, by whom, and how much of the result is to be shown."""

    patterns: Sequence[str]
    focus: Sequence[Focus]
    include: Sequence[str]
    base: str | None
    engine: Literal["model", "static", "plan"]
    has_analysers: bool
    reviewers: int
    models: Sequence[str]
    """Empty: the backend's own model."""
    with_findings: Sequence[Json]
    max_files: int
    budget: Budget
    sarif: bool = False
    cursor: int = 0
    detail: Detail = "auto"


@dataclass(frozen=True, slots=True)
class Reviewed:
    """What the engines found, before it is cut to size."""

    findings: tuple[Finding, ...]
    dropped: Mapping[str, int]
    not_analysed: Mapping[str, str]
    answers: Answered
    engine: str
    left_out: Mapping[str, Kind]
    """Path to kind of the files that were not reviewed because they are not the product's own code."""
    coverage: Mapping[str, Mapping[str, int]]
    """Focus to language to how many rules looked, where analysers did."""
    passed_over: Mapping[str, int]
    """Findings that a mark or the project's list of accepted ones passes over."""


def is_lost(gathered: Gathered, reviewed: Reviewed) -> bool:
    """Tell whether no one looked: no file could be read, or the only model answered for none."""
    if not gathered.files:
        return gathered.changed is None
    reviewed_count = len(gathered.files) - len(reviewed.left_out)
    return reviewed.engine == "model" and 0 < reviewed_count <= len(reviewed.not_analysed)


def quote_of(finding: Finding) -> str:
    """Return the quote as it may leave: a key in it stays in its file."""
    is_key = finding.rule == "hardcoded-secret"
    return masked(finding.quote) if is_key else redact(finding.quote, finding.path)[0]


def render(
    state: Path, request: Request, gathered: Gathered, reviewed: Reviewed, receipt: Receipt
) -> dict[str, Json]:
    findings = [
        replace(one, quote=quote_of(one), identity=identity(one))
        for one in ranked(reviewed.findings, gathered.changed or frozenset())
    ]
    start = request.cursor
    if start and start >= len(findings):
        raise InvalidInput(f"`cursor` is {start}, beyond the findings: {len(findings)} in all.")
    listed, over = capped(findings, max(PER_RULE[focus] for focus in request.focus))
    first = set(listed)
    findings = [*listed, *(finding for finding in findings if finding not in first)]
    end = len(listed) if start < len(listed) else len(findings)
    items, following = page(findings, start, end, request.detail)
    unread = {**reviewed.not_analysed, **gathered.skipped}
    data: dict[str, Json] = {
        "headline": _headline(findings, gathered, reviewed),
        "findings": items,
        "counts": dict(Counter(f.severity for f in findings)),
        "left_out": dict(Counter(NAMES[kind] for kind in reviewed.left_out.values()).most_common()),
        "passed_over": reviewed.passed_over,
        "coverage": reviewed.coverage,
        "measured_on": rates().data if any(finding.probability for finding in findings) else "",
        "dropped": dict(reviewed.dropped),
        "not_analysed": few(reviewed.not_analysed),
        "failed_reviews": few(reviewed.answers.failed),
        "more_of_a_rule": over if end == len(listed) else {},
        "next_cursor": following,
        "report": write(state, _report(findings, reviewed)) if following is not None and not start else "",
        "sarif": write(state, to_sarif(findings, __version__, unread), "sarif") if request.sarif else "",
        "note": _note(gathered, reviewed),
        "receipt": _receipt(gathered, reviewed, receipt, items),
    }
    always = {"headline", "findings", "counts", "dropped"}
    return {name: value for name, value in data.items() if value or name in always}


def _headline(findings: Sequence[Finding], gathered: Gathered, reviewed: Reviewed) -> str:
    """Return the result in one line: how much was found in how many files, and the worst of it."""
    looked = max(0, len(gathered.files) - len(reviewed.left_out) - len(reviewed.not_analysed))
    if not looked and not findings:
        return _note(gathered, reviewed)
    head = f"{_total(findings)} in {counted(looked, 'file')}"
    return f"{head}; first {one_line(findings[0])}" if findings else head


def _total(findings: Sequence[Finding]) -> str:
    counts = Counter(finding.severity for finding in findings)
    total = ", ".join(f"{counts[severity]} {severity}" for severity in SEVERITIES if counts[severity])
    return total or "Nothing found"


def _note(gathered: Gathered, reviewed: Reviewed) -> str:
    """What a reader must know who sees few findings, or none."""
    if not gathered.files:
        return NOTHING_READ if gathered.changed is None else NOTHING_CHANGED
    if len(reviewed.left_out) >= len(gathered.files):
        return NOTHING_OF_THE_PRODUCT
    if len(reviewed.not_analysed) >= len(gathered.files) - len(reviewed.left_out):
        return NO_ONE_LOOKED
    return NOT_FOUND_STATICALLY if reviewed.engine == "static" else ""


def _report(findings: Sequence[Finding], reviewed: Reviewed) -> dict[str, Json]:
    return {
        "findings": [as_json(finding) for finding in findings],
        "dropped": dict(reviewed.dropped),
        "failed_reviews": dict(reviewed.answers.failed),
        "not_analysed": dict(reviewed.not_analysed),
    }


def _receipt(gathered: Gathered, reviewed: Reviewed, receipt: Receipt, items: Json) -> dict[str, Json]:
    for outcome in reviewed.answers.outcomes:
        receipt.count(outcome)
    receipt.cached += reviewed.answers.known
    receipt.cache = reviewed.answers.problem
    raw = sum(source_receipt.count(source.text) for source in gathered.files)
    base: dict[str, Json] = {} if gathered.base is None else {"base": gathered.base}
    return {"engine": reviewed.engine, **receipt.as_json(items, raw), **base}


# --- Findings as Markdown that a pull request's comment can hold: the worst first, the rest counted. --------

MARKDOWN_MAX_CHARACTERS: Final = 60_000
"""GitHub takes 65,536 for a comment."""
MAX_LISTED: Final = 100
MAX_QUOTE: Final = 200
MAX_TEXT: Final = 700


def to_markdown(title: str, findings: Sequence[Finding], notes: Sequence[str] = ()) -> str:
    """Return a heading, what was found in one line, a list of findings, and notes below it."""
    head = f"### {title}\n\n{_total(findings)}.\n"
    tail = "".join(f"\n{_plain(note)}\n" for note in notes)
    items: list[str] = []
    room = MARKDOWN_MAX_CHARACTERS - len(head) - len(tail) - 100
    for finding in findings[:MAX_LISTED]:
        item = _item(finding)
        room -= len(item)
        if room < 0:
            break
        items.append(item)
    left = len(findings) - len(items)
    more = f"\n… and {counted(left, 'more finding')}.\n" if left else ""
    return "\n".join([head, *items]) + more + tail


def _item(finding: Finding) -> str:
    place = f"{finding.path}:{finding.line}" if finding.line else finding.path
    head = f"- **{finding.severity}**" + (f" `{_code(place)}`" if place else "")
    who = f" ({finding.change})" if finding.change else ""
    lines = [f"{head}{who} {clip(_plain(finding.text), MAX_TEXT)}"]
    facts = [f"`{_code(finding.rule)}`"] if finding.rule else []
    facts += [f"CWE-{finding.cwe}"] if finding.cwe else []
    facts += [f"named by {_plain(', '.join(finding.reviewers))}"] if finding.reviewers else []
    if finding.probability is not None and len(finding.reviewers) > 1:
        facts.append(f"about {finding.probability:.0%}")
    facts += ["not verified"] if finding.verified == "unverified" else []
    lines += [f"  <sub>{', '.join(facts)}</sub>"] if facts else []
    quote = finding.quote.split("\n")[0].strip()[:MAX_QUOTE]
    lines += [f"  `{_code(quote)}`"] if quote else []
    return "  \n".join(lines) + "\n"


def _plain(text: str) -> str:
    """Keep a reviewer's words from becoming markup, a mention or a link to another issue."""
    for sign in ("\\", "`", "*", "_", "[", "]", "<", ">", "|", "~"):
        text = text.replace(sign, f"\\{sign}")
    return " ".join(text.replace("@", "@\u200b").replace("#", "#\u200b").split())


def _code(text: str) -> str:
    return " ".join(text.replace("`", "'").split())
