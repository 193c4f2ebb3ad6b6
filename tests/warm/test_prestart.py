"""A cold event starts the interpreter that the last one of its kind used, before anything else is loaded."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

import fanout_hooks
from fakes.sandbox import Sandbox, pre_tool_use, prompt
from fanout_hooks.client import hook_input
from fanout_hooks.run.plan import WORTH_A_START
from fanout_hooks.warm import prestart

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/fd").exists(), reason="the system doesn't list what an interpreter would inherit"
)

COLD = [sys.executable, "-I", "-S", str(Path(fanout_hooks.__file__).with_name("__main__.py")), "cold"]
RAW = b'{"session_id":"1","hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{}}\n'


class Project:
    """A project whose Python hooks are started by an interpreter that counts its starts."""

    def __init__(self, top: Path) -> None:
        self.sandbox = Sandbox(top)
        self.starts = top / "starts"
        self.python = top / "bin" / "python3"
        self.python.parent.mkdir()
        self.python.write_text(f'#!/bin/sh\necho "$@" >>{self.starts}\nexec {sys.executable} "$@"\n')
        self.python.chmod(0o755)
        self.env = self.sandbox.env | {"FANOUT_STATE_DIR": str(self.sandbox.state)}
        self.events = 0

    def register(self) -> None:
        for number in range(WORTH_A_START):
            script = self.sandbox.project / f"hook{number}.py"
            script.write_text("import json, sys\njson.load(sys.stdin)\nprint('{}')\n")
            self.sandbox.hooks("PreToolUse", f"{self.python} {script}")

    def zygotes(self, event: dict[str, object] | None = None) -> int:
        """Run one event; return how many interpreters were started to be forked from."""
        self.starts.write_text("")
        self.events += 1
        event = event or pre_tool_use(tool_use_id=f"toolu_{self.events}")
        done = subprocess.run(
            [*COLD, "--scopes", "local"],
            input=hook_input.to_stdin(self.sandbox.here(event)),
            env=self.env,
            cwd=self.sandbox.project,
            capture_output=True,
            check=True,
        )
        assert done.stderr == b""
        return self.starts.read_text().count("zygote.py")


def test_an_interpreter_that_is_not_used_any_more_is_started_once_more_and_then_no_longer(
    tmp_path: Path,
) -> None:
    project = Project(tmp_path)
    project.register()
    assert [project.zygotes() for _ in range(5)] == [1] * 5  # started ahead or not, never twice
    assert project.zygotes(prompt()) == 0
    for script in project.sandbox.project.glob("hook*.py"):
        script.unlink()
    (project.sandbox.project / ".claude" / "fanout" / "hooks.local.json").write_text('{"hooks": {}}')
    assert [project.zygotes() for _ in range(3)] == [1, 0, 0]


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "project").mkdir()
    monkeypatch.setenv("FANOUT_STATE_DIR", str(tmp_path / "state"))
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path / "project"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path


def test_only_the_same_command_in_the_same_place_is_what_was_started(here: Path) -> None:
    prestart.remember(RAW, "local", sys.executable, "", ["json"])
    started = prestart.start(RAW, "local")
    assert started is not None
    os.close(started.fd)
    cwd, env = str(here / "project"), dict(os.environ)
    assert started.is_for(sys.executable, "", env, cwd)
    assert not started.is_for(sys.executable, "u", env, cwd)
    assert not started.is_for("/usr/bin/python3", "", env, cwd)
    assert not started.is_for(sys.executable, "", env | {"PYTHONPATH": "/x"}, cwd)
    assert not started.is_for(sys.executable, "", env, str(here))
    assert prestart.start(RAW.replace(b"Bash", b"Read"), "local") is None


def test_an_interpreter_inside_the_project_waits_until_its_hooks_are_known_to_run(here: Path) -> None:
    own = here / "project" / ".venv" / "bin" / "python3"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)
    prestart.remember(RAW, "local", str(own), "", [])
    assert prestart.start(RAW, "local") is None


@pytest.mark.parametrize("fields", [b"/bin/x\x00\t\t", b"/bin/x\tu\x00\t", b"/bin/sh\t\tjson \xff"])
def test_a_line_of_the_right_event_that_is_damaged_starts_nothing(here: Path, fields: bytes) -> None:
    prestart.remember(RAW, "local", sys.executable, "", [])
    path = here / "state" / "hooks" / prestart.NAME
    path.write_bytes(path.read_bytes().partition(b"\t\t")[0] + b"\t\t" + fields + b"\n")
    assert prestart.start(RAW, "local") is None


@pytest.mark.parametrize("how", ["a link", "a subfolder", "PYTHONPATH"])
def test_nothing_of_a_project_is_started_ahead_by_another_way(
    here: Path, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project = here / "project"
    own = project / ".venv" / "bin" / "python3"
    own.parent.mkdir(parents=True)
    own.symlink_to(sys.executable)
    (project / ".git").mkdir()
    (project / "below").mkdir()
    (here / "link").symlink_to(project)
    if how == "PYTHONPATH":
        monkeypatch.setenv("PYTHONPATH", str(project))
    else:
        where = here / "link" if how == "a link" else project / "below"
        monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(where))
    exe = sys.executable if how == "PYTHONPATH" else str(own)
    prestart.remember(RAW, "local", exe, "", [])
    assert prestart.start(RAW, "local") is None


@pytest.mark.parametrize(
    "text", [b"", b"\xff\xfe\n", b"\t\t\t\n" * 9, b"x" * (2 * prestart.MAX_BYTES), b"\x00\n"]
)
def test_a_damaged_file_starts_nothing_and_is_written_again(here: Path, text: bytes) -> None:
    prestart.remember(RAW, "local", sys.executable, "", [])
    path = here / "state" / "hooks" / prestart.NAME
    path.write_bytes(text)
    assert prestart.start(RAW, "local") is None
    prestart.remember(RAW, "local", sys.executable, "", [])
    started = prestart.start(RAW, "local")
    assert started is not None
    os.close(started.fd)


def test_of_many_projects_the_latest_are_kept(here: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for number in range(prestart.MAX_LINES + 5):
        monkeypatch.setenv("CLAUDE_PROJECT_DIR", f"/p{number}")
        prestart.remember(RAW, "local", "/nowhere/python3", "", ["json"] * 3)
    kept = (here / "state" / "hooks" / prestart.NAME).read_text().splitlines()
    assert [line.split("\t")[0] for line in kept] == [f"/p{n}" for n in range(5, prestart.MAX_LINES + 5)]
    assert prestart.start(RAW, "local") is None  # it isn't there any more
