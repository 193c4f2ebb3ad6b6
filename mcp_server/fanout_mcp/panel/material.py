"""Files attached to a question: bounded, below the root, without secrets, fenced as data."""

from __future__ import annotations

import os
import threading
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from fanout_mcp.errors import InvalidInput
from fanout_mcp.source.pack import RULE, new_fence
from fanout_mcp.source.read import Skipped, read
from fanout_mcp.source.scrub import scrub
from fanout_mcp.source.workers import Failure, Workers

MOST_FILES = 20
MOST_BYTES = 400_000
"""Of one file; a longer one says little to a panel, and summarize_files is the tool for it."""
MOST_CHARS = 200_000
"""Of all files together: about 50,000 tokens, which every default model takes."""


@dataclass(frozen=True, slots=True)
class Material:
    """What goes behind the question; empty when no file was attached."""

    text: str = ""
    files: tuple[str, ...] = ()
    redacted: int = 0


def gather(
    root: Path, files: Sequence[str], workers: Workers | None = None, stop: threading.Event | None = None
) -> Material:
    """Read attached files, and take secrets out of them in `workers`, until `stop`.

    Raises InvalidInput that names the file and why it can't be sent.
    """
    if not files:
        return Material()
    if len(files) > MOST_FILES:
        raise InvalidInput(f"{len(files):,} files are too many; attach at most {MOST_FILES}.")
    fence = new_fence()
    parts, redacted = [RULE.format(fence=fence)], 0
    texts: list[tuple[str, str]] = []
    for name in dict.fromkeys(_relative(root, file) for file in files):
        source = read(root, name, at_most=MOST_BYTES)
        if isinstance(source, Skipped):
            raise InvalidInput(
                f"{name[:200]!r} can't be attached: {source.reason}.{_advice(root, name, source.reason)}"
            )
        texts.append((name, source.text))
    for (name, _), scrubbed in zip(texts, scrub(workers, texts, stop), strict=True):
        if isinstance(scrubbed, Failure):
            raise InvalidInput(f"{name[:200]!r} can't be attached: taking secrets out {scrubbed.reason}.")
        text, found = scrubbed
        redacted += found
        parts.append(f"{fence} begin {name!r}\n{text}\n{fence} end {name!r}")
    material = "\n\n".join(parts)
    if len(material) > MOST_CHARS:
        raise InvalidInput(
            f"The attached files have {len(material):,} characters; at most {MOST_CHARS:,} can be sent. "
            "Attach fewer, or ask summarize_files first."
        )
    return Material(material, tuple(name for name, _ in texts), redacted)


def _advice(root: Path, name: str, reason: str) -> str:
    """Which root is meant, where that may be the matter."""
    is_inside = Path(os.path.normpath(root / name)).is_relative_to(root)
    return "" if is_inside and reason != "not there" else f" Files must lie below {root}."


def _relative(root: Path, file: str) -> str:
    """An absolute path below the root is taken as relative to it; everything else is `read`'s to judge."""
    path = Path(file)
    if path.is_absolute() and path.is_relative_to(root):
        return path.relative_to(root).as_posix()
    return file.removeprefix("./")
