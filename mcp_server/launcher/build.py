"""Make the environment, one command after another, and never two sessions at once."""

from __future__ import annotations

import fcntl
import os
import subprocess
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from launcher.environment import Environment


class Build:
    """Makes the environment, one command after another; `poll` never blocks."""

    def __init__(self, environment: Environment) -> None:
        self.environment = environment
        self.failure = ""
        self.is_done = False
        self.failed_at = 0.0
        self._steps = None  # type: list[list[str]] | None
        self._process = None  # type: subprocess.Popen[bytes] | None
        self._lock = -1
        self._log = os.path.join(environment.workplace, "setup.log")

    @property
    def news(self) -> str:
        if self._lock < 0:
            return "another session is setting up fanout's environment"
        return "setting up fanout's environment (first use only)"

    def restart(self) -> None:
        self.failure, self._steps = "", None

    def poll(self) -> None:
        """Go one step on if the last is done."""
        if self.is_done or self.failure or not self._has_lock():
            return
        try:
            self._advance()
        except (LookupError, OSError) as error:
            self._fail(str(error))

    def _has_lock(self) -> bool:
        if self._lock >= 0:
            return True
        try:
            os.makedirs(self.environment.workplace, exist_ok=True)
            lock = os.open(self._log + ".lock", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        except OSError as error:
            self._fail(str(error))
            return False
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)
            return False
        self._lock = lock
        return True

    def _advance(self) -> None:
        if self._process is not None and self._process.poll() is None:
            return
        if self._process is not None and self._process.returncode != 0:
            return self._fail(self._last_line())
        self._process = None
        if self._steps is None:
            if self.environment.is_ready():  # another session was quicker
                return self._end()
            self.environment.prepare()
            self._steps = self.environment.steps()
        if not self._steps:
            self.environment.finish()
            return self._end()
        with open(self._log, "ab") as log:
            step = self._steps.pop(0)
            self._process = subprocess.Popen(step, stdin=subprocess.DEVNULL, stdout=log, stderr=log)
        return None

    def _fail(self, reason: str) -> None:
        if self.environment.is_clone and self.environment.is_usable():
            return self._end()  # older dependencies are better than no server
        self._process, self._steps = None, None
        self.failure, self.failed_at = reason or "the install failed", time.monotonic()
        self._unlock()
        return None

    def _end(self) -> None:
        self.is_done = True
        self._unlock()

    def _unlock(self) -> None:
        if self._lock >= 0:
            os.close(self._lock)
            self._lock = -1

    def _last_line(self) -> str:
        with open(self._log, "rb") as file:
            file.seek(max(0, os.path.getsize(self._log) - 4000))
            lines = [
                line.strip() for line in file.read().decode("utf-8", "replace").split("\n") if line.strip()
            ]
        told = [line for line in lines if "error" in line.lower()] or lines
        return told[-1][:300] if told else ""

    def stop(self) -> None:
        if self._process is not None and self._process.poll() is None:
            self._process.terminate()
