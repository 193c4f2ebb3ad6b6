"""One line of the hook log, checked: a repository may bring a log of its own, and a disk may damage ours.

What is read from a line is counted and shown, so it is plain: numbers are finite and bounded, names can be
encoded, words are words. Whatever else stands in a line makes it a damaged one.
"""

from __future__ import annotations

import json
import re
from typing import Any, NamedTuple

MOST_MS = 1e9
"""Eleven days; also the most digits that counting.py's own patterns take."""
MOST_NOTE = 200
MOST_NOTES = 100
"""Of one line."""
_STAMP = re.compile(r"([0-9]{4}-(?:0[1-9]|1[0-2])-[0-3][0-9])T((?:[01][0-9]|2[0-3])):.*", re.DOTALL)
_WORD = re.compile(r"\w{1,60}", re.ASCII)
_VERDICT = re.compile(r"[\w-]{1,60}", re.ASCII)


class Damaged(ValueError):
    """What was read is no line of a hook log."""


class LogLine(NamedTuple):
    """One event. `hooks` are plain: name, batch, ms, wait_ms, exit, decision, lane, timed_out, error."""

    day: str
    hour: str
    phase: str
    elapsed_ms: float
    sequential_ms: float
    failures: int
    path: str
    hooks: tuple[dict[str, Any], ...]
    session: str
    gate: str
    """What the gate did: a verdict, or `wave N`."""
    notes: tuple[str, ...]

    @property
    def sample(self) -> dict[str, Any]:
        """What a typical event is drawn from."""
        return {"elapsed_ms": self.elapsed_ms, "hooks": list(self.hooks)}


def read(line: bytes) -> LogLine:
    """Read a line. Raises Damaged."""
    try:
        record = json.loads(line)
        stamp = _STAMP.fullmatch(record["timestamp"])
        if stamp is None:
            raise Damaged("its timestamp is none")
        return LogLine(
            stamp[1],
            stamp[2],
            word(record["phase"]),
            number(record["elapsed_ms"]),
            number(record["sequential_ms"]),
            int(number(record["failures"])),
            word(record["path"]),
            tuple(map(hook, record["hooks"])),
            text(record.get("session_id")),
            _gate(record.get("gate")),
            tuple(text(note)[:MOST_NOTE] for note in (record.get("notes") or ())[:MOST_NOTES]),
        )
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError) as error:
        raise Damaged(str(error)) from None


def hook(data: dict[str, Any]) -> dict[str, Any]:
    """Return a hook's row, plain. Raises Damaged, KeyError or TypeError."""
    row: dict[str, Any] = {
        "name": text(data["name"]),
        "batch": int(number(data["batch"])),
        "ms": number(data["ms"]),
        "wait_ms": number(data["wait_ms"]),
        "exit": int(number(abs(data["exit"]))) * (-1 if data["exit"] < 0 else 1),
        "decision": word(data["decision"]),
        "lane": word(data["lane"]),
    }
    if data.get("timed_out"):
        row["timed_out"] = True
    if data.get("error"):
        row["error"] = text(data["error"])[:MOST_NOTE]
    return row


def number(value: object) -> float:
    """Return a number that can be added up. Raises Damaged."""
    if not isinstance(value, int | float) or not 0 <= value < MOST_MS:
        raise Damaged("what should be a number is none, or out of bounds")
    return float(value)


def word(value: object) -> str:
    found = str(value)
    if not _WORD.fullmatch(found):
        raise Damaged("what should be a word is none")
    return found


def text(value: object) -> str:
    """Return any text as one that can be written: half a surrogate pair can't."""
    return str(value).encode("utf-8", "replace").decode()


def _gate(data: object) -> str:
    if not isinstance(data, dict):
        return ""
    wave, verdict = data.get("wave"), data.get("verdict")
    if isinstance(wave, int):
        return f"wave {int(number(wave))}"
    return verdict if isinstance(verdict, str) and _VERDICT.fullmatch(verdict) else ""
