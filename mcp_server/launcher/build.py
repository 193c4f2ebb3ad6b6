"""Make the environment: one process, one command after another, and never two sessions at once.

It is a separate process, so that a session which ends early doesn't throw the install away: the next one
finds it ready, or still at work. The lock is the kernel's (flock): it ends with the process that holds it.
"""

from __future__ import annotations

import fcntl
import os
import signal
import subprocess
import sys

from launcher.environment import HERE, Environment, safe_path

STEP_S = 900.0
"""One command may take so long; then it hangs, and is ended with its children."""


def start(environment: Environment) -> subprocess.Popen[bytes]:
    """Start the process that makes it, free of this session's pipes and terminal."""
    launch = os.path.join(os.path.dirname(os.path.dirname(os.path.realpath(__file__))), "launch.py")
    data = [] if environment.data is None else ["--data", environment.data]
    return subprocess.Popen(
        [sys.executable, "-I", launch, *data, "--build"],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    )


def build(environment: Environment) -> int:
    """Make it and return 0, or leave the reason in the environment's `failure` file and return 1."""
    os.makedirs(environment.workplace, exist_ok=True)
    with open(environment.log + ".lock", "w", encoding="utf-8") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)  # waits for another session's build
        if environment.is_ready():
            return 0
        try:
            reason = _make(environment)
        except (LookupError, OSError) as error:
            reason = str(error)
        if reason and not environment.settles_for_older():
            environment.fail(reason)
            return 1
        environment.finish()
        return 0


def _make(environment: Environment) -> str:
    environment.prepare()
    for step in environment.steps():
        if _run(step, environment.log) != 0:
            return last_line(environment.log)
    return ""


def _run(step: list[str], log: str) -> int:
    with open(log, "ab") as file:
        process = subprocess.Popen(
            step,
            cwd=HERE,  # uv obeys a uv.toml of the working folder, which is the project's
            env={**os.environ, "PATH": safe_path()},
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
            start_new_session=True,
        )
        try:
            return process.wait(timeout=STEP_S)
        except subprocess.TimeoutExpired:
            file.write(f"error: {os.path.basename(step[0])} took longer than {STEP_S:.0f} s\n".encode())
            os.killpg(process.pid, signal.SIGKILL)
            return process.wait()


def last_line(log: str) -> str:
    """Return why a command failed: its last line with an error, else its last line."""
    with open(log, "rb") as file:
        file.seek(max(0, os.path.getsize(log) - 4000))
        text = file.read().decode("utf-8", "replace")
    lines = [line.strip() for line in text.split("\n") if line.strip()]
    reasons = [line for line in lines if "error" in line.lower()] or lines
    return reasons[-1][:300] if reasons else "the install failed without a message"
