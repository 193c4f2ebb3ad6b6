"""A model's summary of a file: how it is asked, and what is believed of its answer."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from fanout_mcp import jsonish
from fanout_mcp.source.pack import Packed, numbered
from fanout_mcp.types import Answer, Prompt

SYSTEM: Final = (
    "You summarise source files for an engineer who will not read them. Say what a file is for and what "
    "stands out (patterns, risks, problems), concretely and only from what is shown. No praise, no guesses. "
    'Answer with JSON alone: {"purpose": "one sentence", "notes": ["short sentence (line 12)", ...]}.'
)
ANSWER_TOKENS: Final = 700
SCHEMA: Final[dict[str, Any]] = {
    "type": "object",
    "properties": {
        "purpose": {"type": "string"},
        "notes": {"type": "array", "items": {"type": "string"}},
    },
    "required": ["purpose", "notes"],
    "additionalProperties": False,
}
LONGEST_PURPOSE: Final = 300
_LINES: Final = re.compile(r"\blines?\s+(\d+)(?:\s*(?:-|to|and|,)\s*(\d+))?")
_PLACE: Final = re.compile(r"([\w.-]{1,255}):(\d+)")

HAS_PURPOSE: Final = jsonish.has("purpose", str)


@dataclass(frozen=True, slots=True)
class Summary:
    purpose: str
    notes: tuple[str, ...]
    dropped: int = 0
    """Notes that cited a line which the file doesn't have."""

    def within(self, max_words: int) -> list[str]:
        """Return as many notes as the words allow; a note is never cut."""
        left = max_words - len(self.purpose.split())
        kept = []
        for note in self.notes:
            left -= len(note.split())
            if left < 0:
                break
            kept.append(note)
        return kept


def question(file: Packed, symbols: list[str], fence: str, focus: str | None, max_words: int) -> Prompt:
    wanted = f" Focus: {focus}." if focus else ""
    outline = "\n".join(symbols)
    return Prompt(
        "",
        f"Summarise this file in at most {max_words} words.{wanted}\n\n{numbered(file, fence)}\n\n"
        "Its outline (line, signature), also between fences:\n"
        f"{fence} begins outline\n{outline}\n{fence} ends",
    )


def parse(answer: Answer, path: str = "", lines: int | None = None) -> Summary | None:
    """Return the summary, None when the answer holds none; never raises.

    `path` and `lines`: the file's own, and how many it has; a note that cites a line beyond is dropped.
    """
    value = jsonish.best(answer.text, answer.data, HAS_PURPOSE, is_cut=answer.truncated)
    if value is None or not isinstance(value.get("purpose"), str) or not value["purpose"].strip():
        return None
    notes = value.get("notes")
    texts = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    texts = [" ".join(note.split())[:LONGEST_PURPOSE] for note in texts if note.strip()]
    kept = [note for note in texts if lines is None or _exists(note, path, lines)]
    purpose = " ".join(value["purpose"].split())[:LONGEST_PURPOSE]
    return Summary(purpose, tuple(kept), len(texts) - len(kept))


def _exists(note: str, path: str, lines: int) -> bool:
    name = path.rpartition("/")[2]
    cited = [int(number) for match in _LINES.findall(note) for number in match if number]
    cited += [int(number) for said, number in _PLACE.findall(note) if said == name]  # no host and its port
    return all(1 <= number <= lines for number in cited)
