"""The environment that the server runs from: where it is, whether it is ready, and how it is made."""

from __future__ import annotations

import contextlib
import hashlib
import os
import shutil
import stat
import subprocess
import sys
import time

from fanout_mcp.edge.first import passed_on

SOURCE = os.path.dirname(os.path.dirname(os.path.dirname(os.path.realpath(__file__))))
HERE = os.path.join(SOURCE, "mcp_server")
PACKAGES = (os.path.join(HERE, "fanout_mcp"), os.path.join(SOURCE, "hooks", "fanout_hooks"))
OLDEST = (3, 11)
PYTHONS = ("python3.13", "python3.12", "python3.11", "python3.14", "python3")
NO_PYTHON = "Python 3.11 or newer is not on PATH, nor is uv; install one of them"
OLD_S = 14 * 86400.0
"""Environments of other versions that were not started for so long are removed."""


class Environment:
    """Where the server runs from, how to see that it is ready, and how to make it so."""

    def __init__(self, data: str | None) -> None:
        self.data = data
        self.is_clone = data is None
        self.folder = (
            os.path.join(SOURCE, ".venv") if data is None else os.path.join(data, "env-" + source_key())
        )
        self.python = os.path.join(self.folder, "bin", "python")
        self.workplace = self.folder if data is None else data
        """The folder of a build's lock and log."""
        self.log = os.path.join(self.workplace, "setup.log")
        self.failure = os.path.join(self.workplace, "setup.failed")
        self.stamp = os.path.join(self.folder, ".serves")

    def is_ready(self) -> bool:
        """Tell whether a finished install of this very source is there."""
        if not os.path.exists(self.python):
            return False
        if not self.is_clone:
            return os.path.exists(self.stamp)
        wanted = mtime(os.path.join(SOURCE, "pyproject.toml"))
        made = max(mtime(self.stamp), mtime(os.path.join(self.folder, ".ready")))
        return made >= wanted and self.is_usable()

    def is_usable(self) -> bool:
        """Tell whether the clone's .venv has this folder installed, if perhaps with older dependencies."""
        lib = os.path.join(self.folder, "lib")
        for version in os.listdir(lib) if os.path.isdir(lib) else ():
            packages = os.path.join(lib, version, "site-packages")
            for name in os.listdir(packages) if os.path.isdir(packages) else ():
                if name.endswith(".pth") and "fanout" in name:
                    with open(os.path.join(packages, name), encoding="utf-8") as file:
                        return HERE in file.read().split("\n")
        return False

    def settles_for_older(self) -> bool:
        """Older dependencies are better than no server, until the next change of pyproject.toml."""
        return self.is_clone and os.path.exists(self.python) and self.is_usable()

    def command(self) -> list[str]:
        # -I: nothing of the user's project, nor of its PYTHON* variables, may be imported.
        return [self.python, "-I", "-m", "fanout_mcp", "serve"]

    def start(self, begun: bytes) -> None:
        """Become the server, which first reads `begun`; does not return."""
        if not self.is_clone:
            os.utime(self.stamp)
        command = self.command() + passed_on(begun)
        os.execv(command[0], command)

    def steps(self) -> list[list[str]]:
        """Return the commands that make it. Raises LookupError with what is missing."""
        what = ["-c", os.path.join(SOURCE, "constraints.txt")] + (
            ["-e", SOURCE] if self.is_clone else [SOURCE]
        )
        uv, python = found_on_path("uv"), newest_python()
        if uv:
            chosen = python or ">=3.11"
            make = [uv, "venv", "--quiet", "--allow-existing", "--python", chosen, self.folder]
            return [make, [uv, "pip", "install", "--quiet", "--python", self.python, *what]]
        if not python:
            raise LookupError(NO_PYTHON)
        make = [python, "-I", "-m", "venv", self.folder]
        return [make, [self.python, "-I", "-m", "pip", "install", "--disable-pip-version-check", *what]]

    def prepare(self) -> None:
        if not self.is_clone:  # what a killed install left is never used; a clone's .venv is the user's
            shutil.rmtree(self.folder, ignore_errors=True)
        for old in (self.log, self.failure):
            with contextlib.suppress(FileNotFoundError):
                os.unlink(old)

    def finish(self) -> None:
        with open(self.stamp, "w", encoding="utf-8"):
            pass
        if not self.is_clone:
            self.sweep()

    def fail(self, reason: str) -> None:
        with open(self.failure, "w", encoding="utf-8") as file:
            file.write(reason)

    def why_failed(self) -> str:
        try:
            with open(self.failure, encoding="utf-8") as file:
                return file.read()
        except OSError:
            return f"the install ended early; {self.log} may say why"

    def sweep(self) -> None:
        """Remove environments of other versions that were not started for two weeks."""
        parent = os.path.dirname(self.folder)
        for name in os.listdir(parent):
            other = os.path.join(parent, name)
            used = mtime(os.path.join(other, ".serves"))
            if name.startswith("env-") and other != self.folder and time.time() - used > OLD_S:
                shutil.rmtree(other, ignore_errors=True)


def mtime(path: str) -> float:
    try:
        return os.stat(path).st_mtime
    except OSError:
        return 0.0


def source_key() -> str:
    """Name this source: another version, or an edited file, gets another environment."""
    digest = hashlib.sha256()
    files = [os.path.join(SOURCE, name) for name in ("pyproject.toml", "constraints.txt")]
    for package in PACKAGES:
        for folder, folders, names in os.walk(package):
            folders[:] = sorted(name for name in folders if name != "__pycache__")
            files += [os.path.join(folder, name) for name in sorted(names)]
    for path in files:
        with contextlib.suppress(OSError), open(path, "rb") as file:
            digest.update(os.path.relpath(path, SOURCE).encode() + b"\0" + file.read() + b"\0")
    return digest.hexdigest()[:16]


def found_on_path(name: str) -> str | None:
    """Find a program on PATH, never one inside the project or where any user can write."""
    return shutil.which(name, path=safe_path())


def safe_path() -> str:
    """Return PATH without the folders of the project, relative ones, and those that any user can write to."""
    project = os.path.realpath(os.environ.get("CLAUDE_PROJECT_DIR") or os.curdir)
    home = os.path.realpath(os.path.expanduser("~"))
    kept = [
        folder
        for folder in os.environ.get("PATH", os.defpath).split(os.pathsep)
        if os.path.isabs(folder)
        and not (os.path.isdir(folder) and os.stat(folder).st_mode & stat.S_IWOTH)
        and (
            project in (home, os.sep) or not (os.path.realpath(folder) + os.sep).startswith(project + os.sep)
        )
    ]
    return os.pathsep.join(kept)


def newest_python() -> str | None:
    if sys.version_info >= OLDEST:
        return sys.executable
    for name in PYTHONS:
        path = found_on_path(name)
        check = "import sys; sys.exit(sys.version_info < (3, 11))"
        if path and subprocess.call([path, "-IS", "-c", check], stderr=subprocess.DEVNULL) == 0:
            return path
    return None
