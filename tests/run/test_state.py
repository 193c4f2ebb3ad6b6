"""An interpreter is known by what its shim decides by, and only a few are kept at rest."""

from __future__ import annotations

import os
import signal
import time
from pathlib import Path

import pytest

from fakes.sandbox import Sandbox, prompt
from fanout_hooks.learn.memory import Memory
from fanout_hooks.run import state
from fanout_hooks.run.state import MAX_INTERPRETERS, RuntimeState
from fanout_hooks.warm.command import Program
from fanout_hooks.warm.interpreter import key_of
from fanout_hooks.warm.loop import Loop

PYENV = '#!/bin/sh\nexec "/home/me/.pyenv/libexec/pyenv" exec "$program" "$@"\n'


@pytest.fixture
def shim(tmp_path: Path) -> Path:
    path = tmp_path / "pyenv" / "shims" / "python3"
    path.parent.mkdir(parents=True)
    path.write_text(PYENV)
    return path


@pytest.fixture
def folders(tmp_path: Path) -> list[Path]:
    found = [tmp_path / "work" / name for name in "abc"]
    for folder in found:
        folder.mkdir(parents=True)
    return found


def program(exe: Path) -> Program:
    return Program(str(exe), "", "hook.py", ("hook.py",))


def keys(exe: Path, folders: list[Path], env: dict[str, str] | None = None) -> set[tuple[str, ...]]:
    return {key_of(program(exe), env or {}, str(folder)) for folder in folders}


def test_a_shim_names_one_interpreter_wherever_no_file_says_otherwise(
    shim: Path, folders: list[Path]
) -> None:
    assert len(keys(shim, folders)) == 1
    assert len(keys(shim, folders) | keys(shim, folders, {"PYENV_VERSION": "3.12"})) == 2


@pytest.mark.parametrize("name", [".python-version", ".tool-versions", "mise.local.toml"])
def test_a_version_file_counts_for_its_folder_and_those_below(
    shim: Path, folders: list[Path], name: str
) -> None:
    (folders[0] / name).write_text("3.12\n")
    assert len(keys(shim, folders)) == 2
    (folders[0] / "below").mkdir()
    assert keys(shim, [folders[0] / "below"]) == keys(shim, folders[:1])


@pytest.mark.parametrize("place", ["pyenv/version", "home/.tool-versions"])
def test_another_global_version_is_another_interpreter(
    shim: Path, folders: list[Path], tmp_path: Path, place: str
) -> None:
    env = {"HOME": str(tmp_path / "home")}
    before = keys(shim, folders, env)
    (tmp_path / place).parent.mkdir(exist_ok=True)
    (tmp_path / place).write_text("3.12\n")
    assert keys(shim, folders, env).isdisjoint(before)


def test_a_script_of_unknown_ways_may_decide_by_the_folder(tmp_path: Path, folders: list[Path]) -> None:
    script = tmp_path / "python3"
    script.write_text("#!/bin/sh\nexec ./python\n")
    assert len(keys(script, folders)) == 3


class Kept:
    """An interpreter that starts nothing."""

    made: list[Kept]

    def __init__(self, *_: object, has_lost: bool = False) -> None:
        self.broken, self.has_served = "", True
        self.is_at_rest, self.closed, self.used_at = True, False, 0.0
        self.made.append(self)

    def open(self, *_: object) -> None: ...

    def preload(self, *_: object) -> None: ...

    def close(self) -> None:
        self.closed = True


@pytest.fixture
def made(monkeypatch: pytest.MonkeyPatch) -> list[Kept]:
    Kept.made = []
    monkeypatch.setattr(state, "Interpreter", Kept)
    return Kept.made


def test_the_interpreters_that_were_used_least_lately_are_ended(made: list[Kept], tmp_path: Path) -> None:
    one, known = RuntimeState(Loop(), str(tmp_path)), Memory("/nowhere")
    exes = [tmp_path / f"python{number}" for number in range(MAX_INTERPRETERS + 2)]
    for exe in exes:
        exe.write_bytes(b"\x7fELF")
        one.interpreter(program(exe), {}, "/", known)
        one.interpreter(program(exes[0]), {}, "/", known)
    assert [kept.closed for kept in made] == [False, True, True, *[False] * (MAX_INTERPRETERS - 1)]


def test_an_interpreter_at_work_is_not_ended(made: list[Kept], tmp_path: Path) -> None:
    one, known = RuntimeState(Loop(), str(tmp_path)), Memory("/nowhere")
    for number in range(MAX_INTERPRETERS + 2):
        exe = tmp_path / f"python{number}"
        exe.write_bytes(b"\x7fELF")
        one.interpreter(program(exe), {}, "/", known)
        made[0].is_at_rest = False
    assert [kept.closed for kept in made] == [False, True, *[False] * MAX_INTERPRETERS]
    made[0].is_at_rest = True
    one.interpreter(program(tmp_path / "python2"), {}, "/", known)
    assert made[0].closed


def test_interpreters_that_no_event_has_used_for_ten_minutes_are_ended_unless_at_work(
    made: list[Kept], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(time, "monotonic", lambda: now)
    one, known = RuntimeState(Loop(), str(tmp_path)), Memory("/nowhere")
    for number in range(3):
        exe = tmp_path / f"python{number}"
        exe.write_bytes(b"\x7fELF")
        one.interpreter(program(exe), {}, "/", known)
        now += 60.0
    made[0].is_at_rest = False
    now = 1000.0 + 660.0
    one.give_back()
    assert [kept.closed for kept in made] == [False, True, False]
    one.interpreter(program(tmp_path / "python1"), {}, "/", known)
    assert len(made) == 4


def test_a_runtime_that_was_closed_keeps_no_descriptor(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    works_on = """echo $$ >pid; echo '{"async": true}'; exec sleep 600"""
    sandbox.hooks("UserPromptSubmit", sandbox.python("writes", "open('n', 'a').write('1')"), "true", works_on)
    before = set(Path("/dev/fd").iterdir())
    with sandbox.running() as run:
        for _ in range(4):
            run.event(prompt())
            os.kill(int((sandbox.project / "pid").read_text()), signal.SIGKILL)
        run.event(prompt())
    os.kill(int((sandbox.project / "pid").read_text()), signal.SIGKILL)
    assert set(Path("/dev/fd").iterdir()) <= before
