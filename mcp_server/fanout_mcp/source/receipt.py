"""What was read, cut, skipped, spent and saved: counted on the content returned, never on a pointer."""

from __future__ import annotations

import posixpath
import re
import time
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from string import ascii_letters, digits
from typing import IO, Final, Literal

from fanout_mcp.errors import InvalidInput, NoVerdict, why
from fanout_mcp.state import folder
from fanout_mcp.text import by_count, clip, compact
from fanout_mcp.types import Json, Outcome
from fanout_mcp.usage import Usage

# --- How many tokens a text has, without a tokenizer: a calibrated count of pieces. -------------------------
# Within about 10 % of Claude's published tokenizer on code (median error by file: Python 4 %, Go 8 %, Rust
# 2 %), where characters / 4 is up to 28 % short on Go. OpenAI's o200k needs about 0.87 of it. Budgets take
# 15 % more.

ESTIMATOR: Final = "pieces"
"""Named in every receipt."""

MARGIN: Final = 1.15
FOREIGN_TOKENS: Final = 2
"""Of a character outside ASCII at most, beside its piece: tokenizers give most of them one or two."""

# A word counts one token per seven letters begun, everything else one per piece.
_PIECE: Final = re.compile(r"[A-Za-z]{1,7}|\d{1,3}|[^\sA-Za-z\d]{1,3}|\n\s*")

_SPACE: Final = "".join(filter(str.isspace, map(chr, range(128)))).encode()


def _only(wanted: bytes) -> bytes:
    """Return the table that leaves `wanted` as an x each, and a space of everything else."""
    return bytes(b"x"[0] if byte in wanted else b" "[0] for byte in range(256))


_LETTER: Final = _only(ascii_letters.encode())
_DIGIT: Final = _only(digits.encode())
_MARK: Final = _only(bytes(set(range(128)) - set(_SPACE + ascii_letters.encode() + digits.encode())))
_LINE: Final = _only(b"\n")
_BETWEEN: Final = bytes(set(_SPACE) - set(b"\n"))

_SPLIT: Final = re.compile(r"[A-Z]?[a-z]{1,7}|[A-Z]{1,3}|\d{1,3}|[^\sA-Za-z\d]{1,3}|\n\s*")
"""The same, and a capital begins a piece: random letters fall into tokens of about two."""


def count(text: str) -> int:
    """Estimate the tokens of a text; plain ASCII, as most code is, by bytes: the same in half the time."""
    if not text.isascii():
        return len(_PIECE.findall(text))
    data = text.encode()
    return (
        len(data.translate(_LETTER).replace(b"x" * 7, b"x" * 7 + b" ").split())
        + len(data.translate(_DIGIT).replace(b"xxx", b"xxx ").split())
        + len(data.translate(_MARK).replace(b"xxx", b"xxx ").split())
        + len(data.translate(_LINE, _BETWEEN).split())
    )


def at_most(text: str) -> int:
    """A bound for prices: also for scripts and encoded data, where a token is a character or two."""
    foreign = len(text) - len(text.encode("ascii", "ignore"))
    return int(len(_SPLIT.findall(text)) * MARGIN) + FOREIGN_TOKENS * foreign + 1


def saving(raw: int, returned: int) -> float:
    """Return what part of the raw tokens the answer spared, in per cent; negative when it is longer."""
    return round(100 * (1 - returned / raw), 1) if raw else 0.0


# --- bound --------------------------------------------------------------------------------------------------
# Answers that fit what the client shows: all of it, else one line an item, the rest in a report file.
# Theory of operation: items arrive in order, one by one, and there may be 100,000 of them; so nothing is kept
# that can't be shown. Each item goes to the report as one line of JSON as soon as it is known that the answer
# will not hold them all.

Detail = Literal["auto", "full", "line"]

LIMIT: Final = 44_000
"""Characters for items; the client's limit is 50,000 for the whole answer, receipt and all."""

SHORTEST_LINE: Final = 60
LONG_LINE: Final = 200
"""Where fewer items are shown rather than short ones."""


@dataclass(slots=True)
class _Taken:
    """The first of the items that came, as many as there is room for."""

    room: int
    items: list[Json] = field(default_factory=list)
    size: int = 0
    raw: int = 0
    """Tokens of what they were made from."""
    is_full: bool = False

    def take(self, item: Json, raw: int = 0) -> None:
        if self.is_full:
            return
        size = len(compact(item)) + 1
        self.is_full = bool(self.items) and self.size + size > self.room + 1
        if not self.is_full:
            self.items.append(item)
            self.size += size
            self.raw += raw


def fitting(items: Iterable[Json], room: int) -> list[Json]:
    """Return the first of the items that have room in so many characters, one at least."""
    taken = _Taken(room)
    for item in items:
        taken.take(item)
    return taken.items


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
    path: Path | None = None
    _seen: int = 0
    _full: _Taken = field(init=False)
    _lines: _Taken = field(init=False)
    _held: list[str] = field(default_factory=list)
    _file: IO[str] | None = None
    _why_none: str = ""

    def __post_init__(self) -> None:
        self._full = _Taken(LIMIT if self.detail == "full" else self.limit)
        self._lines = _Taken(self.limit)

    def add(self, item: Json, raw_tokens: int) -> None:
        """Take the next item; `raw_tokens`: what reading its sources would have cost."""
        number, self._seen = self._seen, self._seen + 1
        self._report(compact(item))
        if number < self.cursor:
            return
        self._full.take(item, raw_tokens)
        if not self._lines.is_full:
            shortest = SHORTEST_LINE if self.limit == LIMIT else LONG_LINE
            room = max(shortest, self.limit // max(1, self.total - self.cursor) - 8)
            self._lines.take(self._line(item, room), raw_tokens)

    def _line(self, item: Json, room: int) -> str:
        """Return the short form: the whole name, and as much of the purpose as `room` leaves."""
        head = f"{item[self.key]}: "
        return head + clip(str(item["purpose"]), max(1, room - len(head)))

    def result(self, name: str) -> tuple[dict[str, Json], int]:
        """Return the items under `name`, cursor and report where they are not all, and their raw tokens."""
        wants_full = self.detail == "full" or (self.detail == "auto" and not self._full.is_full)
        taken = self._full if wants_full else self._lines
        is_mixed = not wants_full and self.detail == "auto" and self.limit < LIMIT
        shown, raw = self._mixed() if is_mixed else taken.items, taken.raw
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

    def _mixed(self) -> list[Json]:
        """Return the lines with the first items in full, as many as the lines leave room for."""
        shown = list(self._lines.items)
        spare = self.limit - self._lines.size
        for at, (item, line) in enumerate(zip(self._full.items, self._lines.items, strict=False)):
            spare -= len(compact(item)) - len(compact(line))
            if spare < 0:
                break
            shown[at] = item
        return shown

    def _report(self, text: str) -> None:
        if (
            self._file is None
            and sum(map(len, self._held)) + len(text) <= self._full.room
            and self.detail != "line"
        ):
            self._held.append(text)
            return
        if self._file is None and self.path is None and not self._why_none:
            try:
                self.path = folder.new_report(self.state_folder, self.name, "jsonl")
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


def page(items: Sequence[Json], cursor: int) -> tuple[list[Json], int | None]:
    """Return the items from `cursor` on that fit one answer, and where the rest begins, None at the end."""
    shown = fitting(items[cursor:], LIMIT)
    end = cursor + len(shown)
    return shown, end if end < len(items) else None


def tokens_of(data: Json) -> int:
    """What an answer costs its reader."""
    return count(compact(data))


# --- receipt ------------------------------------------------------------------------------------------

NAMED: Final = 5
"""Files that are named, for each reason; the others are counted."""

REASONS: Final = 8
MIN_SAVING: Final = 300
"""Tokens of source below which a saving means nothing: the receipt alone is as long."""

MAX_NAME: Final = 120
MAX_REASON: Final = 200


@dataclass(slots=True)
class Receipt:
    """Filled while a call runs; `as_json` closes it."""

    started: float = field(default_factory=time.monotonic)
    read: int = 0
    cut: int = 0
    calls: int = 0
    cached: int = 0
    asked: int = 0
    dropped: int = 0
    """Statements of a model that cited what does not exist."""
    cache: str = ""
    """Why answers were not kept; empty when they were, or when none was asked for."""
    tree: str = ""
    """Which worktree was read, where the repository has several."""
    usage: Usage = field(default_factory=Usage)
    _by_name: Counter[str] = field(default_factory=Counter)
    _skipped: dict[str, list[str]] = field(default_factory=dict)
    _failed: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, path: str, reason: str) -> None:
        self._skipped.setdefault(reason, []).append(path)

    def name_only(self, paths: Iterable[str]) -> None:
        """Count files that have no outline by their endings: only their names were shown."""
        for path in paths:
            name = path.rpartition("/")[2]
            ending = posixpath.splitext(name)[1] or name[:MAX_NAME]
            self._by_name[ending] += 1

    def skip_all(self, skipped: Mapping[str, str]) -> None:
        for path, reason in skipped.items():
            self.skip(path, reason)

    def count(self, outcome: Outcome) -> None:
        """Add what a job took."""
        self.asked += 1
        self.calls += outcome.calls
        self.cached += outcome.status == "cached"
        self.usage += outcome.usage
        if not outcome.is_answered:
            self.fail(outcome.key, outcome.reason or outcome.status)

    def fail(self, key: str, reason: str) -> None:
        """Note that the model said nothing of use about `key`: what stands there is derived from the code."""
        self._failed.setdefault(reason, []).append(key)

    @property
    def failing(self) -> int:
        """How many questions came back without an answer of use."""
        return sum(map(len, self._failed.values()))

    def insist(self) -> None:
        """Raise NoVerdict when something was asked and nothing of use came: somebody wanted a model."""
        if self.asked and self.asked == self.failing:
            why, _ = _by_reason(self._failed)[0]
            raise NoVerdict(
                f"The model answered none of {self.asked:,} questions: {why[:MAX_REASON]} "
                'engine="static" needs no model, and "auto" goes on without its answers.'
            )

    def as_json(self, content: Json, raw_tokens: int) -> dict[str, Json]:
        returned = tokens_of(content)
        fields: dict[str, Json] = {
            "read": self.read,
            "cut": self.cut,
            "skipped": _counted(self._skipped),
            **({"by_name_only": _endings(self._by_name)} if self._by_name else {}),
            "tokens_raw": raw_tokens,
            "tokens_returned": returned,
            **({"saving_percent": saving(raw_tokens, returned)} if raw_tokens >= MIN_SAVING else {}),
            "estimator": ESTIMATOR,
            "calls": self.calls,
            "cached": self.cached,
            **(self.usage if self.calls else Usage(cost_usd=0.0)).fields(),
            "elapsed_s": round(time.monotonic() - self.started, 3),
        }
        seldom = {
            "tree": self.tree,
            "failed": _counted(self._failed),
            "dropped": self.dropped,
            "cache": self.cache,
        }
        return fields | {name: value for name, value in seldom.items() if value}


def _endings(counts: Mapping[str, int]) -> dict[str, int]:
    """Most frequent first; the rest together."""
    ordered = by_count(counts)
    rest = sum(counts[ending] for ending in ordered[REASONS:])
    return {ending: counts[ending] for ending in ordered[:REASONS]} | ({"other": rest} if rest else {})


def _counted(found: Mapping[str, list[str]]) -> dict[str, Json]:
    return {
        reason[:MAX_REASON]: {"count": len(names), "paths": [name[:MAX_NAME] for name in names[:NAMED]]}
        for reason, names in _by_reason(found)
    }


def _by_reason(found: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    """Most frequent first; a hostile repository can make up any number of them."""
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    rest = [name for _, names in ordered[REASONS:] for name in names]
    return [*ordered[:REASONS], *([("other reasons", rest)] if rest else [])]
