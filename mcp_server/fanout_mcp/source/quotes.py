"""Where in a file a quote stands, for a claim that cites a line: word for word, or not at all.

Rules:
1. The quote has at least 12 characters besides outer blanks and stands in the file word for word, its first
   and last word whole; only runs of white space count as one blank. Containment is one-way: the file holds
   the quote, never the reverse.
2. Within three lines of the cited line it is `exact`, and the line becomes the one where the quote begins.
3. Exactly once elsewhere in the file: `moved`, and the line is corrected.
4. Anything else proves nothing, for a reason that is told.
"""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass
from typing import Final, Literal

from fanout_mcp.source.read import lines_of

Verified = Literal["exact", "moved"]
"""`exact`: the quote stands where it was cited; `moved`: once elsewhere in that file, its line corrected."""

NEAR_LINES: Final = 3
SHORTEST_QUOTE: Final = 12
"""Below it a quote proves nothing: lines of 20 characters are already unique in only 60-80 % of files."""


@dataclass(frozen=True, slots=True)
class Place:
    line: int
    end_line: int
    verified: Verified


class Text:
    """A file's text, its white space evened out, with the way back from a position to its line."""

    __slots__ = ("_flat", "_lines", "_numbers", "_starts")

    def __init__(self, text: str, first_line: int = 1) -> None:
        self._lines: dict[int, str] = {}
        self._starts: list[int] = []
        self._numbers: list[int] = []
        pieces: list[str] = []
        position = 0
        for number, raw in enumerate(lines_of(text), first_line):
            self._lines[number] = raw
            flat = " ".join(raw.split())
            if flat:
                self._starts.append(position)
                self._numbers.append(number)
                pieces.append(flat)
                position += len(flat) + 1
        self._flat = " ".join(pieces)

    def places(self, quote: str) -> list[tuple[int, int]]:
        """Return first and last line of every occurrence, overlapping ones too."""
        wanted = " ".join(quote.split())
        found = []
        position = self._flat.find(wanted) if wanted else -1
        while position >= 0:
            end = position + len(wanted)
            if not (self._splits_word(position) or self._splits_word(end)):
                found.append((self._line_at(position), self._line_at(end - 1)))
            position = self._flat.find(wanted, position + 1)
        return found

    def verbatim(self, line: int, end_line: int) -> str:
        return "\n".join(self._lines.get(number, "") for number in range(line, end_line + 1))

    def _splits_word(self, position: int) -> bool:
        around = self._flat[max(0, position - 1) : position + 1] if position else ""
        return len(around) == 2 and all(character.isalnum() or character == "_" for character in around)

    def _line_at(self, position: int) -> int:
        return self._numbers[bisect_right(self._starts, position) - 1]


def locate(text: Text, quote: str, line: int) -> Place | str:
    """Return where the quote stands, or the reason why it proves nothing."""
    if len(" ".join(quote.split())) < SHORTEST_QUOTE:
        return "quote too short"
    places = text.places(quote)
    if not places:
        return "quote not in the file"
    near = [(start, end) for start, end in places if start - NEAR_LINES <= line <= end + NEAR_LINES]
    if near:
        start, end = min(near, key=lambda place: (abs(place[0] - line), place[0]))
        return Place(start, end, "exact")
    if len(places) == 1:
        return Place(*places[0], "moved")
    return "quote stands in several other places"
