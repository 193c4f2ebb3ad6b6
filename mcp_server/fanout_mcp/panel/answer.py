"""A member's answer: read strictly in what it means, tolerantly in how it is written.

Models wrap JSON in fences and prose, write verdicts in bold or small letters, confidence as 0.8. All that is
read. What is not: a template given back unfilled, a promise to look into it, a text without a verdict. Such
an answer is lost; it never counts as agreement.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass

from fanout_mcp import jsonish
from fanout_mcp.jsonish import COUNT, LINES, MAYBE, TEXT, answer_form
from fanout_mcp.panel.vote import VERDICTS, Verdict
from fanout_mcp.source.secrets import redact
from fanout_mcp.types import Json

SCHEMA = answer_form(
    verdict={**TEXT, "enum": list(VERDICTS)},
    confidence={**COUNT, "minimum": 0, "maximum": 100},
    summary=TEXT,
    reasons=LINES,
    blocker=MAYBE,
    smallest_change=MAYBE,
)

FORM = """Answer with one JSON object and nothing else:
{"verdict": "PROCEED" | "SIMPLIFY" | "STOP" | "ABSTAIN",
 "confidence": whole number from 0 to 100,
 "summary": "your judgement in one sentence",
 "reasons": ["one to five reasons, a sentence each"],
 "blocker": "only with STOP: the one thing that must not go ahead, else null",
 "smallest_change": "only with STOP: the smallest change that would clear it, else null"}
PROCEED: go ahead, with the fixes you name. SIMPLIFY: the goal is right, the way is too much. STOP: it must
not go ahead as it is. ABSTAIN: you can't judge from what you were given; say what is missing."""

MAX_TEXT = 4_000
MAX_REASONS = 10
_UNFILLED = frozenset(quoted.lower() for quoted in re.findall(r'"([^"]*)"', FORM) if " " in quoted)
"""The phrases between quotes in the form. Only a field that is nothing else was not filled in: what a member
quotes, code above all, may hold any of it."""


@dataclass(frozen=True, slots=True)
class Position:
    verdict: Verdict
    confidence: int | None
    summary: str
    reasons: tuple[str, ...] = ()
    blocker: str = ""
    smallest_change: str = ""
    missing: tuple[str, ...] = ()
    """What its STOP lacked, so that it counts as SIMPLIFY: a STOP names what must not go ahead, and what
    clears it."""

    model: str = ""
    """The model that gave it, where that is not the member's own model."""
    instead: str = ""
    """Why the member's own model did not."""

    is_shortened: bool = False
    """It judged a shortened prompt: the model's context is small."""

    @property
    def note(self) -> str:
        """What was changed in it or in its question, and why."""
        lacked = " and ".join(self.missing)
        changed = f"said STOP without {lacked}: counted as SIMPLIFY" if lacked else ""
        shortened = "judged a shortened prompt, its context is small" if self.is_shortened else ""
        return "; ".join(filter(None, (changed, shortened)))


@dataclass(frozen=True, slots=True)
class Unreadable:
    """Why an answer can't be read, in words for its author."""

    why: str


def has_verdict(value: Json) -> bool:
    return isinstance(value, dict) and any(str(key).strip().lower() == "verdict" for key in value)


def parse(text: str, data: Json = None, *, is_cut: bool = False) -> Position | Unreadable:
    """Read an answer; `data` is what the backend has already parsed."""
    problem = "there is no JSON object with a verdict in it"
    for candidate in jsonish.answers(text, data, has_verdict, is_cut=is_cut):
        read = _position(candidate)
        if isinstance(read, Position):
            return read
        problem = read.why
    return Unreadable("it stopped at its token limit" if is_cut else problem)


PARSE = "fanout_mcp.panel.answer:parse_item"


def parse_item(item: Json) -> Json:
    """`[text, data, is_cut]` -> the fields of a Position, or why there is none; for worker processes."""
    text, data, is_cut = item
    read = parse(text, data, is_cut=is_cut)
    return asdict(read) if isinstance(read, Position) else read.why


def position_of(fields: Json) -> Position | Unreadable:
    if isinstance(fields, str):
        return Unreadable(fields)
    lists = {name: tuple(fields[name]) for name in ("reasons", "missing")}
    return Position(**{**fields, **lists})


def _position(raw: Mapping[str, Json]) -> Position | Unreadable:
    fields = {str(key).strip().lower(): value for key, value in raw.items()}
    word = re.sub(r"[^A-Z]", "", str(fields.get("verdict", "")).upper())
    verdict = next((known for known in VERDICTS if known == word), None)
    if verdict is None:
        return Unreadable(f"verdict must be one of {', '.join(VERDICTS)}")
    summary = words(fields.get("summary"))
    if _is_unfilled(summary):
        return Unreadable("summary must be your own judgement in one sentence")
    given = fields.get("reasons")
    reasons = tuple(filter(None, map(words, given[:MAX_REASONS] if isinstance(given, list) else [given])))
    blocker, change = _optional(fields.get("blocker")), _optional(fields.get("smallest_change"))
    wanted = {"blocker": blocker, "smallest_change": change} if verdict == "STOP" else {}
    missing = tuple(name for name, value in wanted.items() if not value)
    counted: Verdict = "SIMPLIFY" if missing else verdict
    sure = _confidence(fields.get("confidence"))
    return Position(counted, sure, summary, reasons, blocker, change, missing)


def _confidence(value: Json) -> int | None:
    """Read 80, "80 %" and 0.8 alike; None for anything else."""
    if isinstance(value, str):
        match = re.search(r"\d+(?:\.\d+)?", value)
        value = float(match.group()) if match else None
    if not isinstance(value, int | float) or isinstance(value, bool) or not math.isfinite(value):
        return None
    percent = value * 100 if 0 < value <= 1 and not (value == 1 and isinstance(value, int)) else value
    return round(percent) if 0 <= percent <= 100 else None


def _optional(value: Json) -> str:
    text = words(value)
    return "" if text.lower() in {"none", "null", "n/a", "-"} or _is_unfilled(text) else text


def _is_unfilled(text: str) -> bool:
    bare = text.strip(" .…<>[]").lower()
    return not bare or bare in _UNFILLED


def words(value: Json) -> str:
    """What a model wrote into a field, on one line, bounded; a key that it repeats goes no further."""
    if value is None or isinstance(value, bool):
        return ""
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, default=str)
    return " ".join(redact(text[: 2 * MAX_TEXT])[0].split())[:MAX_TEXT]
