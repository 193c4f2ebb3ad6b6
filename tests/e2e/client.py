"""The real Claude Code, offline: a home of its own, a scripted model, `-p` runs and a terminal to look at.

def test_x(client: Client) -> None:                        # fixture of conftest.py
    with serving(turns([[Call("Bash", {"command": "ls"})], [Text("done")]])) as model:
        said = client.say(model, "list the files")
        assert said.result == "done"
        assert model.last.tool_results[0].text == "..."

with serving(script) as model, client.terminal(model) as screen:
    screen.type("list the files")                          # types and presses Enter
    screen.wait_for("done")
    screen.press("Escape")
"""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import subprocess
import time
import uuid
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from fakes.model import Model

ROOT = Path(__file__).parents[2]
KEY = "dummy-key-for-the-scripted-model"
KEPT = ("PATH", "LANG", "LC_ALL", "TMPDIR", "TERM")
POLL_S = 0.1
"""A terminal can only be looked at; there is no event to wait for."""


def find_client(variable: str = "FANOUT_CLIENT", version: str = "CLIENT_VERSION") -> str | None:
    """Return the client's path: the environment's, else the one of that version that `make e2e` installs."""
    pinned = re.search(rf"^{version} := (\S+)$", (ROOT / "Makefile").read_text(), re.MULTILINE)
    assert pinned, f"the Makefile pins no {version}"
    local = ROOT / ".client" / pinned[1] / "node_modules" / ".bin" / "claude"
    return os.environ.get(variable) or (str(local) if local.exists() else None)


def find_older_client() -> str | None:
    """Return the path of the older of the two clients that we test against."""
    return find_client("FANOUT_OLDER_CLIENT", "OLDER_CLIENT_VERSION")


@dataclass(frozen=True)
class Said:
    """What one `claude -p` run printed, as stream-json events."""

    exit: int
    events: list[dict[str, Any]]
    stderr: str
    seconds: float

    @property
    def final(self) -> dict[str, Any]:
        found = [event for event in self.events if event.get("type") == "result"]
        assert found, f"no result; exit {self.exit}, stderr: {self.stderr[-2000:]}"
        return found[-1]

    @property
    def result(self) -> str:
        return str(self.final.get("result", ""))

    @property
    def servers(self) -> dict[str, str]:
        """MCP server -> status, as the init event says."""
        init = next(event for event in self.events if event.get("subtype") == "init")
        return {server["name"]: server["status"] for server in init.get("mcp_servers", [])}

    @property
    def notes(self) -> list[str]:
        """What the user is told beside the conversation (systemMessage and the like)."""
        return [str(event.get("content", "")) for event in self.events if event.get("type") == "system"]


@dataclass
class Client:
    """One home and one project; any number of runs."""

    program: str
    home: Path
    project: Path
    env: dict[str, str] = field(default_factory=dict)
    """More variables for every run."""

    @classmethod
    def make(cls, program: str, folder: Path, project: Path | None = None) -> Client:
        """Make a home that is past onboarding, and a trusted, empty git project."""
        home = folder / "home"
        project = project or folder / "project"
        project.mkdir(parents=True, exist_ok=True)
        (home / ".claude").mkdir(parents=True, exist_ok=True)
        client = cls(program, home, project)
        client.trust(project)
        if not (project / ".git").exists():
            subprocess.run(["git", "init", "-q", str(project)], check=True)
        return client

    def trust(self, project: Path) -> None:
        """Write what the client remembers of a user who has answered all its first questions."""
        path = self.home / ".claude.json"
        state = json.loads(path.read_text()) if path.exists() else {}
        state |= {
            "hasCompletedOnboarding": True,
            "theme": "dark",
            "bypassPermissionsModeAccepted": True,
            "customApiKeyResponses": {"approved": [KEY[-20:]], "rejected": []},
        }
        projects = state.setdefault("projects", {})
        projects[str(project)] = {"hasTrustDialogAccepted": True, "hasCompletedProjectOnboarding": True}
        path.write_text(json.dumps(state))

    def settings(self, data: Mapping[str, Any], scope: str = "project") -> Path:
        """Write a settings file: user, project or local."""
        folder = (self.home if scope == "user" else self.project) / ".claude"
        path = folder / ("settings.local.json" if scope == "local" else "settings.json")
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(data, indent=2))
        return path

    def environment(self, model: Model | None, more: Mapping[str, str] | None = None) -> dict[str, str]:
        kept = {name: value for name, value in os.environ.items() if name in KEPT or name.startswith("UV_")}
        return {
            **kept,
            "HOME": str(self.home),
            "ANTHROPIC_BASE_URL": model.url if model else "http://127.0.0.1:9",
            "ANTHROPIC_API_KEY": KEY,
            "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
            "DISABLE_AUTOUPDATER": "1",
            "IS_SANDBOX": "1",
            **self.env,
            **(more or {}),
        }

    def run(self, *arguments: str, timeout: float = 120) -> subprocess.CompletedProcess[str]:
        """Run `claude ARGUMENTS...` (plugin, mcp and other commands without a model)."""
        return subprocess.run(
            [self.program, *arguments],
            cwd=self.project,
            env=self.environment(None),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=timeout,
            check=False,
        )

    def say(
        self,
        model: Model,
        prompt: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        timeout: float = 180,
    ) -> Said:
        """Run one prompt with `claude -p`, every permission given unless the arguments say otherwise."""
        process = self.start(model, prompt, *arguments, env=env, cwd=cwd)
        began = time.monotonic()
        try:
            out, err = process.communicate(timeout=timeout)
        except subprocess.TimeoutExpired:
            process.kill()
            out, err = process.communicate()
            asked = [request.news[-500:] for request in model.requests]
            raise AssertionError(f"the client did not end in {timeout} s\n{out}\n{err}\n{asked}") from None
        events = [json.loads(line) for line in out.splitlines() if line.startswith("{")]
        return Said(process.returncode, events, err, time.monotonic() - began)

    def start(
        self,
        model: Model,
        prompt: str,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
    ) -> subprocess.Popen[str]:
        """Start a `-p` run without waiting for its end; whoever calls this ends it."""
        given = any(argument.startswith("--permission-mode") for argument in arguments)
        mode = [] if given else ["--permission-mode", "bypassPermissions"]
        return subprocess.Popen(
            [self.program, "-p", "--output-format", "stream-json", "--verbose", *mode, *arguments],
            cwd=cwd or self.project,
            env=self.environment(model, env),
            stdin=_input(prompt),
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    @contextmanager
    def terminal(
        self,
        model: Model,
        *arguments: str,
        env: Mapping[str, str] | None = None,
        size: tuple[int, int] = (120, 40),
    ) -> Iterator[Screen]:
        """Run the interactive client in a terminal of its own (tmux), ready for a prompt."""
        given = any(argument.startswith("--permission-mode") for argument in arguments)
        mode = [] if given else ["--permission-mode", "bypassPermissions"]
        screen = Screen(f"fanout-{uuid.uuid4().hex[:8]}", self.home)
        variables = self.environment(model, {"TERM": "screen-256color", **(env or {})})
        pairs = [f"{name}={value}" for name, value in variables.items()]
        command = shlex.join(["env", "-i", *pairs, self.program, *mode, *arguments])
        width, height = map(str, size)
        screen.tmux(
            "new-session", "-d", "-s", "main", "-x", width, "-y", height, "-c", str(self.project), command
        )
        try:
            screen.wait_for(READY)
            yield screen
        finally:
            screen.close()


READY = "? for shortcuts|bypass permissions on"


def _input(text: str) -> int:
    """Return a descriptor to read the prompt from: nobody needs to write, whatever its size."""
    fd = os.memfd_create("prompt")
    os.write(fd, text.encode())
    os.lseek(fd, 0, os.SEEK_SET)
    return fd


@dataclass
class Screen:
    """A terminal that is typed into and looked at."""

    name: str
    home: Path

    def tmux(self, *arguments: str) -> str:
        tmux = shutil.which("tmux")
        assert tmux, "this test needs tmux"
        done = subprocess.run(
            [tmux, "-L", self.name, "-f", os.devnull, *arguments],
            capture_output=True,
            text=True,
            check=False,
            env={**os.environ, "HOME": str(self.home)},
        )
        return done.stdout

    def text(self, history: int = 0) -> str:
        return self.tmux("capture-pane", "-p", "-t", "main", "-S", str(-history))

    def type(self, text: str) -> None:
        """Type a line and send it."""
        self.tmux("send-keys", "-t", "main", "-l", text)
        self.wait_for(text[:30])
        self.press("Enter")

    def press(self, key: str) -> None:
        self.tmux("send-keys", "-t", "main", key)

    def wait_for(self, *any_of: str, timeout: float = 60) -> str:
        """Wait until one of the texts (`a|b` are two) is on the screen, and return the screen."""
        wanted = [word for words in any_of for word in words.split("|")]
        until = time.monotonic() + timeout
        while time.monotonic() < until:
            shown = self.text(history=200)
            if any(word in shown for word in wanted):
                return shown
            time.sleep(POLL_S)
        raise TimeoutError(f"none of {wanted} within {timeout} s on:\n{self.text(history=200)}")

    def close(self) -> None:
        self.tmux("kill-server")


def has_terminal() -> bool:
    return shutil.which("tmux") is not None


def write_json(path: Path, data: Any) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(json.dumps(data, indent=2))
    return path
