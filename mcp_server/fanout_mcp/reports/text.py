"""Markdown reports: the whole of what a short answer was made from, in the project's state folder."""

from __future__ import annotations

from pathlib import Path

from fanout_mcp import state
from fanout_mcp.clean import printable
from fanout_mcp.source.secrets import redact


def write(folder: Path, stem: str, text: str) -> str | None:
    """Write a report and return its path, None when the folder can't be written. Secrets are scrubbed."""
    clean = "\n".join(printable(line) for line in redact(text)[0].split("\n"))
    try:
        path = state.new_report(folder, stem, "md")
        path.write_text(clean, encoding="utf-8")
    except OSError:
        return None
    return str(path)
