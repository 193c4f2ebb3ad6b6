"""Answers that fit what the client shows: all of it, else one line an item, the rest in a report file.

Theory of operation: items arrive in order, one by one, and there may be 100,000 of them; so nothing is kept
that can't be shown. Each item goes to the report as one line of JSON as soon as it is known that the answer
will not hold them all.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO, Final, Literal, TypeVar

from fanout_mcp import state
from fanout_mcp.errors import InvalidInput, why
from fanout_mcp.source.tokens import count
from fanout_mcp.types import Json

T = TypeVar("T")

Detail = Literal["auto", "full", "line"]

LIMIT: Final = 44_000
"""Characters for items; the client's limit is 50,000 for the whole answer, receipt and all."""

SHORTEST_LINE: Final = 60
LONG_LINE: Final = 200
"""Where fewer items are shown rather than short ones."""


def compact(value: Json) -> str:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":"))


@dataclass(slots=True)
class Bounded:
    """Collects items from number `cursor` on; each has a `purpose`, and is called by its field `key`."""

    key: str
    total: int
    state_folder: Path
    name: str
    cursor: int = 0
    detail: Detail = "auto"
    limit: int = LIMIT
    """Characters of the items; `full` may take LIMIT whatever this says."""
    raw_full: int = 0
    raw_lines: int = 0
    path: Path | None = None
    _seen: int = 0
    _full: list[Json] = field(default_factory=list)
    _lines: list[Json] = field(default_factory=list)
    _full_size: int = 0
    _line_size: int = 0
    _full_ends: bool = False
    _lines_end: bool = False
    _held: list[str] = field(default_factory=list)
    _file: IO[str] | None = None
    _why_none: str = ""

    def add(self, item: Json, raw_tokens: int) -> None:
        """Take the next item; `raw_tokens`: what reading its sources would have cost."""
        number, self._seen = self._seen, self._seen + 1
        text = compact(item)
        self._report(text)
        if number < self.cursor:
            return
        if not self._full_ends:
            self._full_ends = bool(self._full) and self._full_size + len(text) > self._room()
        if not self._full_ends:
            self._full.append(item)
            self._full_size += len(text) + 1
            self.raw_full += raw_tokens
        if self._lines_end:
            return
        room = max(
            SHORTEST_LINE if self.limit == LIMIT else LONG_LINE,
            self.limit // max(1, self.total - self.cursor) - 8,
        )
        short = self._line(item, room)
        size = len(compact(short)) + 1
        self._lines_end = self._line_size + size > self.limit
        if not self._lines_end:
            self._lines.append(short)
            self._line_size += size
            self.raw_lines += raw_tokens

    def _room(self) -> int:
        return LIMIT if self.detail == "full" else self.limit

    def _line(self, item: Json, room: int) -> str:
        """Return the short form: the whole name, and as much of the purpose as `room` leaves."""
        head = f"{item[self.key]}: "
        left, text = room - len(head), str(item["purpose"])
        return head + (text if len(text) <= left else text[: max(0, left - 1)] + "…")

    def result(self, name: str) -> tuple[dict[str, Json], int]:
        """Return the items under `name`, cursor and report where they are not all, and their raw tokens."""
        wants_full = self.detail == "full" or (self.detail == "auto" and not self._full_ends)
        shown, raw = (self._full, self.raw_full) if wants_full else (self._lines, self.raw_lines)
        data: dict[str, Json] = {name: shown}
        after = self.cursor + len(shown)
        self._close()
        if self.cursor and self.cursor >= self._seen:
            raise InvalidInput(f"`cursor` is {self.cursor}, beyond the {name}: {self._seen} in all.")
        is_whole = wants_full and not self.cursor and after >= self._seen
        if not is_whole:
            data["detail"] = "full" if wants_full else "line"
            data["total"] = self._seen
            if self.path is not None or self._why_none:
                data["report"] = self._why_none or str(self.path)
        if after < self._seen:
            data["next_cursor"] = after
        return data, raw

    def _report(self, text: str) -> None:
        if (
            self._file is None
            and sum(map(len, self._held)) + len(text) <= self._room()
            and self.detail != "line"
        ):
            self._held.append(text)
            return
        if self._file is None and self.path is None and not self._why_none:
            try:
                self.path = state.new_report(self.state_folder, self.name, "jsonl")
                self._file = self.path.open("w", encoding="utf-8", errors="replace")
            except OSError as error:
                self._gone(error)
        if self._file is not None:
            try:
                self._file.writelines(line + "\n" for line in [*self._held, text])
            except OSError as error:  # a full disk: what was paid for is returned all the same
                self._gone(error)
        self._held = []

    def _close(self) -> None:
        """Close the report; what is still buffered is written only now, and may not fit."""
        if self._file is not None:
            try:
                self._file.close()
            except OSError as error:
                self._gone(error)

    def _gone(self, error: OSError) -> None:
        """Go on without a report; no half of one stays."""
        self._why_none = f"could not be written: {why(error)}"
        file, self._file = self._file, None
        path, self.path = self.path, None
        with suppress(OSError):
            if file is not None:
                file.close()
        with suppress(OSError):
            if path is not None:
                path.unlink()


def page(items: Sequence[T], cursor: int) -> tuple[Sequence[T], int | None]:
    """Return the items from `cursor` on that fit one answer, and where the rest begins, None at the end."""
    size, end = 0, cursor
    while end < len(items) and (end == cursor or size + len(compact(items[end])) <= LIMIT):
        size += len(compact(items[end])) + 1
        end += 1
    return items[cursor:end], end if end < len(items) else None


def tokens_of(data: Json) -> int:
    """What an answer costs its reader."""
    return count(compact(data))
