"""The environment of the server: where it is, whether it is ready, how it is made and waited for."""

from __future__ import annotations

import contextlib
import fcntl
import hashlib
import os
import shutil
import signal
import stat
import subprocess
import sys
import time

from fanout_mcp.edge.first import HOOKS_TOOL, First, passed_on

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

    def start(self, begun: bytes) -> None:
        """Become the server, which first reads `begun`; does not return."""
        if not self.is_clone:
            os.utime(self.stamp)
        # -I: nothing of the user's project, nor of its PYTHON* variables, may be imported.
        os.execv(self.python, [self.python, "-I", "-m", "fanout_mcp", "serve", *passed_on(begun)])

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


# --- Making it: one process, one command after another, and never two sessions at once. ---------------------
# It is a separate process, so that a session which ends early doesn't throw the install away: the next one
# finds it ready, or still at work. The lock is the kernel's (flock): it ends with the process that holds it.

STEP_S = 900.0
"""One command may take so long; then it hangs, and is ended with its children."""


def begin(environment: Environment) -> subprocess.Popen[bytes]:
    """Start the process that makes it, free of this session's pipes and terminal."""
    data = [] if environment.data is None else ["--data", environment.data]
    return subprocess.Popen(
        [sys.executable, "-I", os.path.join(HERE, "launch.py"), *data, "--build"],
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
        # A clone's older dependencies are better than no server, until pyproject.toml changes again.
        if reason and not (
            environment.is_clone and os.path.exists(environment.python) and environment.is_usable()
        ):
            with open(environment.failure, "w", encoding="utf-8") as file:
                file.write(reason)
            return 1
        with open(environment.stamp, "w", encoding="utf-8"):
            pass
        if not environment.is_clone:
            environment.sweep()
        return 0


def _make(environment: Environment) -> str:
    """Return why it could not be made, or ""."""
    if not environment.is_clone:  # what a killed install left is never used; a clone's .venv is the user's
        shutil.rmtree(environment.folder, ignore_errors=True)
    for old in (environment.log, environment.failure):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(old)
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


# --- Waiting for it, while the client is answered (fanout_mcp/edge/first.py). -------------------------------
# Tool calls wait, with progress, and are passed on to the server. A hook never waits for an install, and
# after one that failed, calls are answered with the reason until the next call tries again.

NEWS = "setting up fanout's environment (first use only)"
STEPS = ("creating it", "installing its packages")
PROGRESS_S = 1.0


class SetUp:
    """The environment that the server will run from: a ready one, or one that is being made."""

    def __init__(self, data: str | None) -> None:
        self.environment = Environment(None)
        self.is_made = self.environment.is_ready()
        if not self.is_made and data is not None:
            self.environment = Environment(data)
            self.is_made = self.environment.is_ready()
        self.builder: subprocess.Popen[bytes] | None = None
        self.failure = ""
        self.reported_at = 0.0
        if not self.is_made:
            self.start_build()

    def is_ready(self, first: First) -> bool:
        """Look at the build, once; what can't wait for it is answered."""
        status = None if self.builder is None else self.builder.poll()
        if status is not None:
            self.builder, self.is_made = None, status == 0
            self.failure = self.environment.why_failed() if status else ""
        elif not self.is_made:
            self.answer(first)
            if self.failure and any(call.method == "tools/call" for call in first.waiting):
                self.start_build()
        if self.failure:
            self.answer(first, self.sorry())
        elif not self.is_made:
            self.report_progress(first)
        return self.is_made

    def run(self, module: str, words: list[str]) -> None:
        """Become a command of that environment, when it is made; does not return."""
        if self.builder is not None:
            sys.stderr.write(NEWS + "\n")
            if self.builder.wait() != 0:
                self.failure = self.environment.why_failed()
        if self.failure:
            sys.exit(self.sorry())
        os.execv(self.environment.python, [self.environment.python, "-I", "-m", module, *words])

    def start_build(self) -> None:
        self.failure = ""
        try:
            self.builder = begin(self.environment)
        except OSError as error:
            self.failure = str(error)

    def answer(self, first: First, why: str = "") -> None:
        """Answer hooks without an opinion, as if there were none; and with a reason, all other calls."""
        for call in list(first.waiting):
            if call.params.get("name") == HOOKS_TOOL:
                first.answer_text(call.id, "", is_error=False)
            elif not why or not call.method:
                continue
            elif call.method == "tools/call":
                first.answer_text(call.id, why, is_error=True)
            elif call.id is not None:
                first.write({"jsonrpc": "2.0", "id": call.id, "error": {"code": -32603, "message": why}})
            first.waiting.remove(call)

    def report_progress(self, first: First) -> None:
        now = time.monotonic()
        if now - self.reported_at < PROGRESS_S:
            return
        self.reported_at = now
        news = f"{NEWS}: {STEPS[os.path.exists(self.environment.python)]}"
        for call in first.waiting:
            meta = call.params.get("_meta")
            token = meta.get("progressToken") if isinstance(meta, dict) else None
            if token is not None:
                params = {"progressToken": token, "progress": now - call.since, "message": news}
                first.write({"jsonrpc": "2.0", "method": "notifications/progress", "params": params})

    def sorry(self) -> str:
        by_hand = (
            f"make -C {SOURCE} .venv/.ready"
            if self.environment.is_clone
            else f"python3 -m venv {self.environment.folder} && "
            f"{self.environment.python} -m pip install {SOURCE}"
        )
        return (
            f"fanout could not set up its environment: {self.failure}. The next call tries again; "
            f"the log is {self.environment.log}. By hand: {by_hand}"
        )
