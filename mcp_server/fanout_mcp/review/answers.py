"""Read findings out of whatever a model sent: JSON, fenced JSON, JSON in prose, JSON that was cut.

An item that lacks a path, a line, a quote or a title is dropped and counted, never guessed at.
"""

from __future__ import annotations

import os
import re
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import Final

from fanout_mcp import jsonish
from fanout_mcp.jsonish import COUNT, TEXT, answer_form
from fanout_mcp.review.finding import SEVERITIES, Finding
from fanout_mcp.review.foreign import Item, read_item
from fanout_mcp.source.pack import ELSEWHERE, NEAR_LINES, SHORTEST_QUOTE, Place, Text, locate
from fanout_mcp.source.read import Source, lines_of, read
from fanout_mcp.types import Json

_FINDING = answer_form(
    path=TEXT,
    line=COUNT,
    quote=TEXT,
    severity={"enum": list(SEVERITIES)},
    rule=TEXT,
    cwe={"type": ["integer", "null"]},
    title=TEXT,
    why=TEXT,
    fix=TEXT,
    confidence=COUNT,
)
SCHEMA = answer_form(findings={"type": "array", "items": _FINDING})
"""Every property is required and closed: strict structured output wants it so."""

_FENCE = re.compile(r"```[\w-]*[ \t]*\n(.*?)```", re.DOTALL)
_CUT = re.compile(r'"findings"\s{0,100}:\s{0,100}\[')
_LINE_NUMBER = re.compile(r"^[ \t]*\d+(?:\| ?|\t)", re.MULTILINE)


@dataclass(frozen=True, slots=True)
class Parsed:
    findings: tuple[Finding, ...]
    bad: int
    """Items that were no findings."""
    is_readable: bool
    """False when the answer held no JSON at all: the reviewer's job is lost, not clean."""


def parse(text: str, reviewer: str, data: Json = None) -> Parsed:
    """Read an answer; `data` is the structured answer where the backend enforced the schema itself."""
    items = _items(text, data)
    if items is None:
        return Parsed((), 0, is_readable=False)
    findings = [_finding(item, reviewer) for item in items]
    good = tuple(finding for finding in findings if finding)
    return Parsed(good, len(findings) - len(good), is_readable=True)


def _is_list(value: Json) -> bool:
    return isinstance(value, dict) and isinstance(value.get("findings", value.get("issues")), list)


def _items(text: str, data: Json) -> list[Json] | None:
    """Return what may be findings: a named list, a bare one, one item a line, the head of a cut list."""
    found = jsonish.best(text, data, _is_list)
    if found is not None:
        items: list[Json] = found.get("findings", found.get("issues"))
        return items
    answer_text = jsonish.spoken(text)[: jsonish.MAX_LENGTH]
    for value in (data, *map(jsonish.whole, (answer_text, *_FENCE.findall(answer_text)))):
        if isinstance(value, list):
            return value
    one_by_one = list(jsonish.objects(answer_text, jsonish.has("quote")))
    return one_by_one if one_by_one or _CUT.search(answer_text) else None


def _finding(item: Json, reviewer: str) -> Finding | None:
    """Read an item as those of other tools are; a model has to quote the place that it names."""
    if isinstance(item, dict) and isinstance(item.get("code"), str):
        item = {"quote": item["code"], **item}
    read = read_item(Item(0, item, {"reviewer": reviewer}), reviewer)
    if read is None or not (read.path and read.quote and read.line):
        return None
    rule = re.sub(r"[^\w.-]+", "-", read.rule)[:60].strip("-").lower()
    quote = _LINE_NUMBER.sub("", read.quote).strip("\n")
    said = replace(read, rule=rule or "review", title=read.title[:200], quote=quote, end_line=read.line)
    return replace(said, source="model", change="", members=())


# --- verify -------------------------------------------------------------------------------------------------
# Check a reviewer's citations against the very texts that it was shown (source/pack.py has the rules).
# The path is one of those supplied; nothing is matched by a similar name. What proves nothing is dropped, and
# counted by its reason.

MAX_QUOTE: Final = 400


@dataclass(frozen=True, slots=True)
class Checked:
    """What is left of a reviewer's findings, and why the others are gone."""

    kept: tuple[Finding, ...]
    dropped: Mapping[str, int] = field(default_factory=dict)


def verify(findings: Iterable[Finding], supplied: Mapping[str, Sequence[Text]]) -> Checked:
    """Keep what can be found again in a part of its file, at its true line; count the rest by reason."""
    kept: list[Finding] = []
    dropped: Counter[str] = Counter()
    for finding in findings:
        places = [locate(text, finding.quote, finding.line) for text in supplied.get(finding.path, ())]
        good = sorted((one for one in places if not isinstance(one, str)), key=lambda one: one.verified)
        if good and (good[0].verified == "exact" or len(good) == 1):
            kept.append(_at(good[0], finding))
        else:
            dropped[ELSEWHERE if good else str(next(iter(places), "file was not supplied"))] += 1
    return Checked(tuple(kept), dict(sorted(dropped.items())))


def _at(place: Place, finding: Finding) -> Finding:
    return replace(finding, line=place.line, end_line=place.end_line, verified=place.verified)


def verify_in_tree(findings: Iterable[Finding], root: Path) -> Checked:
    """Check what other tools found against the files below `root`, each read once.

    A quote that is not in its file disproves the finding. What quotes nothing is kept: with the words of
    its line where that exists.
    """
    kept: list[Finding] = []
    dropped: Counter[str] = Counter()
    places: dict[str, str] = {}
    texts: dict[str, _Lines | None] = {}
    for finding in findings:
        if not finding.path:
            kept.append(finding)
            continue
        if finding.path not in places:
            places[finding.path] = localised(root, finding.path)
        path = places[finding.path]
        if path not in texts:
            source = read(root, path)
            texts[path] = _Lines(source.text) if isinstance(source, Source) else None
        checked = _checked(replace(finding, path=path), texts[path])
        if isinstance(checked, str):
            dropped[checked] += 1
        else:
            kept.append(checked)
    return Checked(tuple(kept), dict(sorted(dropped.items())))


class _Lines:
    """A file's lines, and its text for quotes: made only where one is looked for."""

    def __init__(self, text: str) -> None:
        self.whole = text
        self.lines = lines_of(text)

    @cached_property
    def text(self) -> Text:
        return Text(self.whole)


def _checked(finding: Finding, file: _Lines | None) -> Finding | str:
    if file is None:
        return "quote of a file that can't be read" if finding.quote else finding
    if not finding.quote:
        if finding.line > len(file.lines):
            return "line is beyond the end of the file"
        if not finding.line:
            return finding
        end = min(finding.end_line, len(file.lines))
        words = file.lines[finding.line - 1].strip()[:MAX_QUOTE]
        return replace(finding, end_line=end, quote=words, verified="place")
    if len(" ".join(finding.quote.split())) < SHORTEST_QUOTE:
        return _near(finding, file)
    place = locate(file.text, finding.quote, finding.line)
    if isinstance(place, str):
        found = file.text.places(finding.quote)
        if finding.line or not found:
            return place
        return replace(finding, line=found[0][0], end_line=found[0][1], verified="exact")
    return _at(place if finding.line else replace(place, verified="exact"), finding)


def _near(finding: Finding, file: _Lines) -> Finding | str:
    """Look for a quote that is too short to prove a place by itself at the cited lines alone."""
    words = " ".join(finding.quote.split())
    first = max(1, finding.line - NEAR_LINES)
    for number in sorted(range(first, finding.line + NEAR_LINES + 1), key=lambda n: abs(n - finding.line)):
        if number <= len(file.lines) and words in " ".join(file.lines[number - 1].split()):
            return replace(finding, line=number, end_line=number, verified="exact")
    return "quote not in the file"


def localised(root: Path, path: str) -> str:
    """Return a path as it is below the root: an absolute one by its longest end that exists there."""
    top = str(root).rstrip("/") + "/"
    if path.startswith(top):
        path = path.removeprefix(top)
    if not path.startswith("/"):
        return os.path.normpath(path)
    parts = path.strip("/").split("/")
    ends = ("/".join(parts[start:]) for start in range(len(parts)))
    return next((end for end in ends if os.path.lexists(root / end)), path)
