"""The file that `fanout review --sarif FILE` writes: checked before the review, written after it."""

from __future__ import annotations

import json
import os
from pathlib import Path

from fanout_mcp.errors import InvalidInput
from fanout_mcp.types import Json


def check(target: Path) -> None:
    """Raise InvalidInput where no log could be written, or where something else stands."""
    if target.is_dir():
        raise InvalidInput(f"--sarif: {target} is a folder; name a file.")
    if not target.parent.is_dir():
        raise InvalidInput(f"--sarif: there is no folder {target.parent}; make it, or name another.")
    if not os.access(target if target.exists() else target.parent, os.W_OK):
        raise InvalidInput(f"--sarif: {target} can't be written; name another file.")
    if target.is_file() and target.stat().st_size and not _is_log(target):
        raise InvalidInput(
            f"--sarif: {target} is not a SARIF log, and is not overwritten; name another file."
        )


def _is_log(path: Path) -> bool:
    try:
        value = json.loads(path.read_bytes())
    except (OSError, ValueError, RecursionError):
        return False
    return isinstance(value, dict) and isinstance(value.get("runs"), list)


def copy(written: str, target: Path) -> str:
    """Copy the log out of the project's state, where the tool put it; return what went wrong, or ""."""
    try:
        log = Path(written).read_bytes()
    except OSError:
        return f"there is no SARIF log: it {written}." if written else "there is no SARIF log."
    return _written(log, target)


def write(log: Json, target: Path) -> str:
    """Write a log; return what went wrong, or ""."""
    return _written(json.dumps(log, ensure_ascii=False).encode("utf-8", "replace"), target)


def _written(data: bytes, target: Path) -> str:
    try:
        target.write_bytes(data)
    except OSError as error:
        return f"{target} could not be written: {error.strerror}."
    return ""
