"""A project with hooks in the real client: run by Claude Code itself, by fanout warm, or by fanout cold.

hooked = Hooked.make(client, {"PreToolUse": [hook]}, way="warm")    # way: native, warm, cold
hooked.seen()        # what the note hook saw: one record an event
hooked.log()         # fanout's own log
"""

from __future__ import annotations

import json
import re
import shlex
import statistics
import subprocess
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from e2e.client import POLL_S, Client, find_client, write_json
from fakes.model import Call, Text, serving, turns
from fakes.telemetry import receiving

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

SETTLING = 2
"""A session's first events, in which the client itself loads what it needs."""
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


PRICED = {
    "shell": ("sh", "IFS= read -r line\ncase $line in *'rm -rf'*) exit 2;; esac\n"),
    "python3": (PYTHON, "import json, sys\njson.load(sys.stdin)\n"),
    "node": ("node", "JSON.parse(require('fs').readFileSync(0, 'utf8'));\n"),
}


def prices(client: Client, kind: str, calls: int) -> tuple[float, float]:
    """Return the median milliseconds of three hooks of a kind by the cost page and by the client's telemetry.

    The page is measured within calls of the same session, so that a busy machine slows both. The client
    counts whole milliseconds: one shell alone takes too few of them.
    """
    program, source = PRICED[kind]
    entries = []
    for number in range(3):
        path = client.home / f"hook_{number}"
        path.write_text(source)
        entries.append({"type": "command", "command": f"{program} {shlex.quote(str(path))}"})
    Hooked.make(client, {"PreToolUse": [group(*entries, matcher="Bash")]}, "native")
    page = client.home / "page.jsonl"
    commands = [f"true {number}" for number in range(calls)]
    for at in (calls // 3, 2 * calls // 3):
        commands[at] = f"{FANOUT_HOOKS} cost --measure --yes --json --days {at} >>{shlex.quote(str(page))}"
    with serving(turns([*[[bash(one)] for one in commands], [Text("done")]])) as model, receiving() as told:
        assert client.say(model, "please", env=told.env).result == "done"
        times = told.durations("PreToolUse")[SETTLING:]
    rows = [row for line in page.read_text().splitlines() for row in json.loads(line)]
    found = [row["native_ms"] for row in rows if row["event"] == "PreToolUse"]
    return statistics.median(found), statistics.median(times)


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
