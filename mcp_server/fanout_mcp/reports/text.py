"""Markdown reports: the whole of what a short answer was made from, in the project's state folder."""

from __future__ import annotations

from pathlib import Path

from fanout_mcp import state
from fanout_mcp.clean import printable
from fanout_mcp.source.secrets import redact


MOST_IN_A_PLAN = 4_000
"""Of words that every agent call of a plan would repeat."""


def set_aside(folder: Path, stem: str, words: str) -> str:
    """Return the words, or where they stand when they are too long to be repeated."""
    path = write(folder, stem, words) if len(words) > MOST_IN_A_PLAN else None
    return words if path is None else f"Read {path} first: it stands there, whole."


def write(folder: Path, stem: str, text: str) -> str | None:
    """Write a report and return its path, None when the folder can't be written. Secrets are scrubbed."""
    clean = "\n".join(printable(line) for line in redact(text)[0].split("\n"))
    try:
        path = state.new_report(folder, stem, "md")
        path.write_text(clean, encoding="utf-8")
    except OSError:
        return None
    return str(path)
