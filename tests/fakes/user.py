"""A home and a project with settings, and `fanout-hooks` at hand as a user has it."""

from __future__ import annotations

import io
import json
import subprocess
from dataclasses import dataclass
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from fanout_hooks import cli
from fanout_hooks.client import places
from fanout_hooks.client.places import Place

Json = dict[str, Any]


class Done(NamedTuple):
    """What a command left."""

    status: int
    out: str
    err: str


class Terminal(io.StringIO):
    """A screen; or, read from, somebody who types this and then Ctrl-D."""

    def isatty(self) -> bool:
        return True


def command(text: str, **more: Any) -> Json:
    return {"type": "command", "command": text, **more}


def group(*entries: Json, matcher: str | None = None) -> Json:
    return ({} if matcher is None else {"matcher": matcher}) | {"hooks": list(entries)}


@dataclass
class User:
    """What a test sees of it: files by scope, and the commands. Made by the fixture `user`."""

    home: Path
    project: Path
    capture: pytest.CaptureFixture[str]

    def path(self, scope: str) -> Path:
        return Path(self.place(scope).settings)

    def place(self, scope: str) -> Place:
        return places.find(scope, str(self.project), {"HOME": str(self.home)})

    def write(self, scope: str, content: Json | str) -> Path:
        path = self.path(scope)
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(content if isinstance(content, str) else json.dumps(content, indent=2) + "\n")
        return path

    def settings(self, scope: str) -> Json:
        data: Json = json.loads(self.path(scope).read_bytes())
        return data

    def held(self, scope: str) -> Json:
        data: Json = json.loads(Path(self.place(scope).hooks).read_text())
        return data

    def hold(self, scope: str, data: Json) -> None:
        Path(self.place(scope).hooks).write_text(json.dumps(data))

    def script(self, name: str, source: str = "") -> Path:
        path = self.project / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(source)
        return path

    def register_server(self) -> None:
        """As `claude mcp add --scope user` leaves it."""
        (self.home / ".claude.json").write_text(json.dumps({"mcpServers": {"fanout": {"command": "x"}}}))

    def run(self, *words: str) -> Done:
        self.capture.readouterr()
        status = cli.main(words)
        out, err = self.capture.readouterr()
        return Done(status, out, err)

    def files(self) -> dict[str, bytes]:
        """Return every file of the project and of the home's .claude: name -> content."""
        return {
            str(path): path.read_bytes()
            for top in (self.project, self.home / ".claude")
            for path in sorted(top.rglob("*"))
            if path.is_file() and ".git" not in path.parts
        }


@pytest.fixture
def user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> User:
    """Give a test a user in a project of theirs, with an empty home."""
    home, project = tmp_path / "home", tmp_path / 'a "project" of ümlauts'
    (home / ".claude").mkdir(parents=True)
    project.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.chdir(project)
    return User(home, project, capsys)


def sh(
    line: str, env: dict[str, str], stdin: str = "{}", cwd: Path | None = None
) -> subprocess.CompletedProcess[str]:
    """Run a hook's line as the client does."""
    return subprocess.run(
        ["/bin/sh", "-c", line], input=stdin, env=env, cwd=cwd, capture_output=True, text=True, check=False
    )
