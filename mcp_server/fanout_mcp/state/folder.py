"""The project's state folder: reports for people, state and cache for us, none of it for version control.

And which programs are the user's own on PATH, where a project may have put some of the same name.
"""

from __future__ import annotations

import os
import re
import secrets
import shutil
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import Final

from fanout_hooks.client.files import flags

IGNORED = "reports/\nstate/\ncache/\n.gitignore\n"
"""Itself too, but not the whole folder: an adopted hooks.json beside them is committed."""
MAX_REPORTS: Final = 500
OURS: Final = re.compile(r"-\d{8}-\d{6}-[0-9a-f]{4}\.[a-z]+$")
CREATED = flags("O_WRONLY", "O_CREAT", "O_EXCL", "O_NOFOLLOW", "O_CLOEXEC")
"""New files only: what a repository has planted there is neither followed nor overwritten."""
APPENDED: Final = flags("O_WRONLY", "O_APPEND", "O_CREAT", "O_NOFOLLOW", "O_NONBLOCK", "O_CLOEXEC")


def reports(state: Path) -> Path:
    """Return a state folder's folder of reports, made when it is not there. Raises OSError."""
    made = state / "reports"
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
    made = reports(state)
    _sweep(made)
    while True:
        path = made / f"{stem}-{stamp}-{secrets.token_hex(2)}.{ending}"
        with suppress(FileExistsError):  # of 65,536 names a second, this one is taken
            return path, os.open(path, CREATED, 0o600)


def _sweep(reports: Path) -> None:
    """Make room for more reports: the newest of ours stay, and so does every file that is not ours."""
    names = os.listdir(reports)  # noqa: PTH208 - hundreds of Paths cost more than the report
    if len(names) < MAX_REPORTS:
        return
    own = [reports / name for name in names if OURS.search(name)]
    if len(own) < MAX_REPORTS:
        return
    with suppress(OSError):  # another process is sweeping
        own.sort(key=lambda path: path.lstat().st_mtime_ns)
        for path in own[: len(own) - MAX_REPORTS * 9 // 10]:  # so that the next ones find nothing to sweep
            path.unlink()


def append(path: Path, line: str) -> int:
    """Add a line to a file of this user's; return the file's bytes then. Raises OSError."""
    descriptor = os.open(path, APPENDED, 0o600)
    try:
        if not stat.S_ISREG(os.fstat(descriptor).st_mode):
            raise OSError(f"{path} is not a regular file")
        os.write(descriptor, f"{line}\n".encode("utf-8", "replace"))
        return os.fstat(descriptor).st_size
    finally:
        os.close(descriptor)


# --- Programs ----------------------------------------------------------------------------------------------
# PATH may lead into a project: `node_modules/.bin` by a tool that sets variables for a folder, `.` by habit.
# What lies there is the project's, and a project runs nothing. Nor is run what any user can replace.


def safe_path(path: str, project: Path) -> str:
    """Return PATH without relative folders, those of the project, and those that any user can write to."""
    distrust = _distrust(project)
    return os.pathsep.join(folder for folder in path.split(os.pathsep) if not distrust(folder))


def find_program(name: str, project: Path, path: str | None = None) -> str | None:
    """Return where the user's own program lies, or None; `path`: instead of the PATH of this process."""
    return next((found for found, why in _programs(name, project, path) if not why), None)


def refused_program(name: str, project: Path) -> str:
    """Return the first program of that name on PATH with why it is not run; "" where there is none."""
    refused = (f"{found} {why}, so it is not run" for found, why in _programs(name, project) if why)
    return next(refused, "")


def _programs(name: str, project: Path, path: str | None = None) -> Iterator[tuple[str, str]]:
    """Yield each program of that name on PATH, and why it is not run; only folders with one are vetted."""
    distrust = _distrust(project)
    for folder in (os.environ.get("PATH", os.defpath) if path is None else path).split(os.pathsep):
        found = shutil.which(name, path=folder or os.curdir)
        if found:
            yield found, distrust(folder) or distrust(found)


def _distrust(project: Path) -> Callable[[str], str]:
    """Return what says why nothing at a path is run, or ""; a project that holds the home is the user's."""
    top = project.resolve()
    is_users = Path.home().resolve().is_relative_to(top)

    def why(path: str) -> str:
        if not path.startswith("/"):
            return "is found by a relative entry of PATH"
        real = Path(path).resolve()
        if real.is_relative_to(top) and not is_users:
            return "lies in the project"
        try:
            is_open = real.stat().st_mode & stat.S_IWOTH
        except OSError:
            return ""
        return "can be replaced by any user of this machine" if is_open else ""

    return why
