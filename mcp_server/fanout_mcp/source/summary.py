"""A model's summary of a file: how it is asked, and what is believed of its answer."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any, Final

from fanout_mcp.source.pack import Packed, numbered
from fanout_mcp.types import Answer, Json, Prompt

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
_CITED: Final = re.compile(r"\blines?\s+(\d+)(?:\s*(?:-|to|and|,)\s*(\d+))?|\b[\w-]+\.\w+:(\d+)")


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


def parse(answer: Answer, lines: int | None = None) -> Summary | None:
    """Return the summary, None when the answer holds none; never raises. `lines`: how many the file has."""
    value = answer.data if isinstance(answer.data, dict) else object_in(answer.text)
    if value is None or not isinstance(value.get("purpose"), str) or not value["purpose"].strip():
        return None
    notes = value.get("notes")
    texts = [note for note in notes if isinstance(note, str)] if isinstance(notes, list) else []
    texts = [" ".join(note.split())[:LONGEST_PURPOSE] for note in texts if note.strip()]
    kept = [note for note in texts if lines is None or _exists(note, lines)]
    purpose = " ".join(value["purpose"].split())[:LONGEST_PURPOSE]
    return Summary(purpose, tuple(kept), len(texts) - len(kept))


def _exists(note: str, lines: int) -> bool:
    cited = [int(number) for match in _CITED.findall(note) for number in match if number]
    return all(1 <= number <= lines for number in cited)


def object_in(text: str) -> dict[str, Json] | None:
    """Find the JSON object in an answer, with prose or a fence around it."""
    for match in re.finditer(r"\{", text[:100_000]):
        try:
            value, _ = json.JSONDecoder().raw_decode(text, match.start())
        except (ValueError, RecursionError):
            continue
        return value if isinstance(value, dict) else None
    return None
