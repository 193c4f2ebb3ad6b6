"""Hooks that work on while the turn goes on: they say so in their first line, {"async": true}.

Natively the client stops waiting at that line, ignores the hook's verdict, and hands on with the next request
what context else it printed. Here, too, nobody waits from that line on, and the hook is left alone for as
long as it asks for, else for its own limit; its locks are free from then on. What it prints later is lost,
unless it had ended before anybody looked.
"""

from __future__ import annotations

import json

LOOK_S = 0.05
"""How often a running hook's output is looked at: most have ended by then."""
HEAD = 4096
"""The line lies within so many bytes."""


def asked_for(printed: bytes) -> float | None:
    """Return what a running hook's first line asks for; a line that isn't whole asks for nothing yet."""
    line, newline, _ = printed.partition(b"\n")
    return limit_of(line.decode("utf-8", "replace")) if newline else None


def limit_of(line: str) -> float | None:
    """Return for how many seconds a line asks to be left alone, 0 when it doesn't say; None: no such line."""
    if not line.lstrip().startswith("{"):
        return None
    try:
        said = json.loads(line)
    except (ValueError, RecursionError):
        return None
    if said.get("async") is not True:
        return None
    milliseconds = said.get("asyncTimeout")
    is_number = isinstance(milliseconds, int | float) and 0 < milliseconds < 1e12
    return milliseconds / 1000 if is_number else 0.0
