"""A project with hooks in the real client: run by Claude Code itself, by fanout warm, or by fanout cold.

hooked = Hooked.make(client, {"PreToolUse": [hook]}, way="warm")    # way: native, warm, cold
hooked.seen()        # what the note hook saw: one record an event
hooked.log()         # fanout's own log
"""

from __future__ import annotations

import json
import re
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.client import POLL_S, Client, find_client, write_json
from fakes.model import Call

FANOUT_HOOKS = Path(sys.executable).with_name("fanout-hooks")
SERVER = {"command": sys.executable, "args": ["-I", "-m", "fanout_mcp", "serve"]}
PYTHON = str(Path(sys.executable).resolve())
"""A hook's interpreter by its real path: no version manager's shim, no virtual environment."""
NOTE = """
import json, os, sys
raw = sys.stdin.buffer.read()
names = [name for name in os.environ if name.startswith("CLAUDE") and name not in sys.argv[2:]]
record = {"event": json.loads(raw), "raw": raw[-1:].decode(), "cwd": os.getcwd(),
          "env": {name: os.environ.get(name) for name in names}}
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(fd, json.dumps(record).encode() + b"\\n")
os.close(fd)
"""

HOSTILE_NAME = "pro ject 'of' \"ümlauts\" $HOME"
"""A project's folder that needs every kind of quoting."""

Json = dict[str, Any]


def group(*entries: Json, matcher: str = "") -> Json:
    return ({"matcher": matcher} if matcher else {}) | {"hooks": list(entries)}


@dataclass
class Hooked:
    """One client, its project's hooks, and the way in which they run."""

    client: Client
    way: str

    @classmethod
    def make(cls, client: Client, hooks: dict[str, list[Json]], way: str = "warm") -> Hooked:
        """Write the hooks into the local settings and, unless native, adopt them."""
        made = cls(client, way)
        client.settings({"hooks": hooks}, "local")
        if way == "warm":
            made.register_server()
        if way != "native":
            made.adopt()
        return made

    @property
    def project(self) -> Path:
        return self.client.project

    def python(self, name: str, source: str, **more: Any) -> Json:
        """Write a hook beside the project and return its entry."""
        return python_hook(self.client, name, source, **more)

    def register_server(self, server: Json | None = None, *, is_approved: bool = True) -> None:
        """Register the server as `claude mcp add` does; or in a file of the project that the user refused."""
        path = self.client.home / ".claude.json"
        state = json.loads(path.read_text())
        own = state["projects"].setdefault(str(self.project), {})
        if is_approved:
            own["mcpServers"] = {"fanout": {"type": "stdio", **(server or SERVER)}}
        else:
            own["disabledMcpjsonServers"] = ["fanout"]
            write_json(self.project / ".mcp.json", {"mcpServers": {"fanout": server or SERVER}})
        path.write_text(json.dumps(state))

    def adopt(self, *words: str) -> str:
        return self.run("adopt", "--all", "--yes", *words)

    def run(self, *words: str) -> str:
        done = subprocess.run(
            [FANOUT_HOOKS, *words],
            cwd=self.project,
            env=self.client.environment(None),
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def seen(self) -> list[Json]:
        """Return what the note hook saw."""
        path = notes(self.client)
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def events(self) -> list[str]:
        return [record["event"]["hook_event_name"] for record in self.seen()]

    def log(self) -> list[Json]:
        path = self.project / ".claude" / "memory" / "hook_performance.jsonl"
        return [json.loads(line) for line in path.read_text().splitlines()] if path.exists() else []

    def state(self) -> Path:
        return self.client.home / ".local" / "state" / "fanout" / "hooks"


def hostile_client(folder: Path) -> Client:
    """Return a client as usual, but for a project whose path needs every kind of quoting."""
    program = find_client()
    if program is None:
        pytest.skip("Claude Code is not installed; `make e2e` installs it")
    return Client.make(program, folder, folder / HOSTILE_NAME)


def notes(client: Client) -> Path:
    return client.home / "notes.jsonl"


def python_hook(client: Client, name: str, source: str, **more: Any) -> Json:
    path = client.home / "hooks" / f"{name}.py"
    path.parent.mkdir(exist_ok=True)
    path.write_text(source)
    return {"type": "command", "command": f"{PYTHON} {path} {notes(client)}", **more}


def note_hook(client: Client, **more: Any) -> Json:
    """Return a hook that writes down what it is given."""
    return python_hook(client, "note", NOTE, **more)


def bash(command: str) -> Call:
    return Call("Bash", {"command": command, "description": "x"})


def agent(mark: str) -> Call:
    task = {
        "description": f"look {mark}",
        "prompt": f"[[sub:{mark}]] look",
        "subagent_type": "general-purpose",
    }
    return Call("Agent", {**task, "run_in_background": False})


def wait_until(is_true: Callable[[], bool], timeout: float = 30) -> None:
    until = time.monotonic() + timeout
    while not is_true():
        assert time.monotonic() < until, "it did not come to pass"
        time.sleep(POLL_S)


_VARYING = [
    (re.compile(r"[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}"), "UUID"),
    (re.compile(r"toolu_[0-9a-f]{20}"), "TOOLU"),
    (re.compile(r"\ba[0-9a-f]{16}\b"), "AGENT"),
    (re.compile(r'(duration_ms|totalDurationMs|seconds_since_last_response)("?): [0-9.]+'), r"\1\2: 0"),
    (re.compile(r'"CLAUDE_PID": "\d+"'), '"CLAUDE_PID": "PID"'),
    (re.compile(r"/\d+\.sock"), "/PID.sock"),
    (re.compile(r'"CLAUDE_CODE_MESSAGING_TOKEN": "\w+"'), '"CLAUDE_CODE_MESSAGING_TOKEN": "TOKEN"'),
]


def comparable(record: Json, client: Client) -> str:
    """Return a note without what differs from run to run."""
    top = str(client.home.parent)
    text = json.dumps(record, sort_keys=True, indent=1).replace(top, "/TOP")
    text = text.replace(re.sub(r"[^A-Za-z0-9]", "-", top), "-TOP")  # as the client names a project's folder
    for pattern, word in _VARYING:
        text = pattern.sub(word, text)
    return text
