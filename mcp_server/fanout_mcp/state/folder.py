"""The project's state folder: reports for people, state and cache for us, none of it for version control."""

from __future__ import annotations

import os
import re
import secrets
import time
from contextlib import suppress
from pathlib import Path
from typing import Final

from fanout_hooks.portable import flags

IGNORED = "reports/\nstate/\ncache/\n.gitignore\n"
"""Itself too, but not the whole folder: an adopted hooks.json beside them is committed."""
MAX_REPORTS: Final = 500
OURS: Final = re.compile(r"-\d{8}-\d{6}-[0-9a-f]{4}\.[a-z]+$")
CREATED = flags("O_WRONLY", "O_CREAT", "O_EXCL", "O_NOFOLLOW", "O_CLOEXEC")
"""New files only: what a repository has planted there is neither followed nor overwritten."""


def folder(state: Path, name: str) -> Path:
    """Return the sub-folder `name` of a state folder, made when it is not there. Raises OSError."""
    made = state / name
    # A repository can ship .claude/fanout as a link to anywhere: nothing is written out of the project.
    if not made.resolve().is_relative_to(state.parent.parent.resolve()):
        raise OSError(f"{made} leads out of the project, so nothing is written there; remove the link")
    made.mkdir(mode=0o700, parents=True, exist_ok=True)
    with suppress(FileExistsError):
        descriptor = os.open(state / ".gitignore", CREATED, 0o644)
        with os.fdopen(descriptor, "w", encoding="utf-8") as file:
            file.write(IGNORED)
    return made


def new_report(state: Path, stem: str, ending: str) -> Path:
    """Create an empty report that only its user can read, named so that reports sort by time."""
    path, descriptor = _create(state, stem, ending)
    os.close(descriptor)
    return path


def write_report(state: Path, stem: str, ending: str, text: str) -> Path:
    """Write a whole report; return its path. Raises OSError, and then nothing half-written stays."""
    path, descriptor = _create(state, stem, ending)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.write(text.encode("utf-8", "replace"))
    except OSError:
        path.unlink(missing_ok=True)
        raise
    return path


def _create(state: Path, stem: str, ending: str) -> tuple[Path, int]:
    stamp = time.strftime("%Y%m%d-%H%M%S")
    reports = folder(state, "reports")
    _sweep(reports)
    path = reports / f"{stem}-{stamp}-{secrets.token_hex(2)}.{ending}"
    return path, os.open(path, CREATED, 0o600)


def _sweep(reports: Path) -> None:
    """Make room for one more report: the newest of ours stay, and so does every file that is not ours."""
    files = list(reports.iterdir())
    if len(files) < MAX_REPORTS:
        return
    own = [file for file in files if OURS.search(file.name)]
    if len(own) < MAX_REPORTS:
        return
    with suppress(OSError):  # another process is sweeping
        own.sort(key=lambda path: path.lstat().st_mtime_ns)
        for path in own[: len(own) - MAX_REPORTS + 1]:
            path.unlink()
