"""Markdown reports: the whole of what a short answer was made from, in the project's state folder."""

from __future__ import annotations

import threading
from pathlib import Path

from fanout_mcp.errors import why
from fanout_mcp.source.secrets import redact, scrub
from fanout_mcp.source.workers import Failure, Workers, in_own_thread
from fanout_mcp.state import folder as state_folder
from fanout_mcp.text import printable

MAX_IN_A_PLAN = 4_000
"""Of words that every agent call of a plan would repeat."""


def set_aside(folder: Path, stem: str, words: str) -> str:
    """Return the text, or the path of a file that holds it when it is too long to be repeated."""
    path = keep(folder, stem, words) if len(words) > MAX_IN_A_PLAN else None
    return words if path is None else f"Read {path} first: the whole text is there."


async def write_report(folder: Path, stem: str, text: str, workers: Workers | None = None) -> str:
    """Write a report; return its path, or why there is none. Secrets are taken out, in `workers`."""

    def write(stop: threading.Event) -> str:
        [scrubbed] = scrub(workers, [("", text)], stop)
        if isinstance(scrubbed, Failure):
            return f"could not be written: taking secrets out {scrubbed.reason}"
        try:
            return _written(folder, stem, scrubbed[0])
        except OSError as error:
            return f"could not be written: {why(error)}"

    return await in_own_thread(write)


def keep(folder: Path, stem: str, text: str) -> str | None:
    """Write a text that a path replaces and return the path; None when it can't be written."""
    try:
        return _written(folder, stem, redact(text)[0])
    except OSError:
        return None


def _written(folder: Path, stem: str, scrubbed: str) -> str:
    clean = "\n".join(printable(line) for line in scrubbed.split("\n"))
    return str(state_folder.write_report(folder, stem, "md", clean))
