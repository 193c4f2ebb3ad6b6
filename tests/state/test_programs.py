"""What a project has put on PATH is never taken for the user's own program."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from fanout_mcp.backends.choose import providers_of
from fanout_mcp.backends.clients import open_client
from fanout_mcp.errors import SettingsError
from fanout_mcp.registration.doctor import PROGRAMS
from fanout_mcp.state.folder import find_program, refused_program, safe_path
from fanout_mcp.state.settings import Settings

NAMES = sorted({*PROGRAMS, "git", "node", "npx", "ruff", "codex", "gemini"})


def executable(path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\nexit 1\n")
    path.chmod(0o755)
    return path


def linked(path: Path, to: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.symlink_to(to)
    return path


def writable(path: Path) -> Path:
    path.chmod(path.stat().st_mode | 0o002)
    return path


def reached(_: Path, entry: str) -> str:
    """Return the entry of PATH that leads to a program which was made for it."""
    return entry


PLANTED: dict[str, Callable[[Path, str], str]] = {
    # Makes a program and returns the entry of PATH that leads to it.
    "node_modules": lambda top, name: str(executable(top / "project/node_modules/.bin" / name).parent),
    "a virtual environment": lambda top, name: str(executable(top / "project/.venv/bin" / name).parent),
    "the project itself": lambda top, name: str(executable(top / "project" / name).parent),
    "a package of a monorepo": lambda top, name: str(executable(top / "project/a/b/bin" / name).parent),
    "a folder that is written with dots": lambda top, name: reached(
        executable(top / "project/bin" / name), f"{top}/other/../project/bin"
    ),
    "a link to a folder of the project": lambda top, name: str(
        linked(top / "outside", executable(top / "project/bin" / name).parent)
    ),
    "a link to a program of the project": lambda top, name: str(
        linked(top / "bin" / name, executable(top / "project/tools" / name)).parent
    ),
    "a link out of the project": lambda top, name: str(
        linked(top / "project/bin" / name, executable(top / "elsewhere" / name)).parent
    ),
    "the working folder": lambda top, name: reached(executable(top / "project" / name), "."),
    "an empty entry": lambda top, name: reached(executable(top / "project" / name), ""),
    "a relative folder": lambda top, name: reached(
        executable(top / "project/node_modules/.bin" / name), "node_modules/.bin"
    ),
    "a relative folder of a parent": lambda top, name: reached(executable(top / "bin" / name), "../bin"),
    "a folder that any user can write to": lambda top, name: str(
        writable(executable(top / "shared" / name).parent)
    ),
    "a file that any user can write to": lambda top, name: str(
        writable(executable(top / "mine" / name)).parent
    ),
}


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A project in a folder of its own, beside the user's home; the session runs in it."""
    (tmp_path / "project").mkdir()
    (tmp_path / "other").mkdir()
    (tmp_path / "home").mkdir()
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.chdir(tmp_path / "project")
    return tmp_path / "project"


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("way", PLANTED)
def test_a_planted_program_is_never_found(
    project: Path, monkeypatch: pytest.MonkeyPatch, way: str, name: str
) -> None:
    planted = PLANTED[way](project.parent, name)
    monkeypatch.setenv("PATH", planted)
    assert find_program(name, project) is None
    assert refused_program(name, project).endswith("so it is not run")
    own = executable(project.parent / "home" / ".local" / "bin" / name)
    monkeypatch.setenv("PATH", os.pathsep.join([planted, str(own.parent)]))
    assert find_program(name, project) == str(own)
    # What a child looks up by itself (`#!/usr/bin/env node`) is the user's own, too.
    assert "file" in way or "program" in way or safe_path(os.environ["PATH"], project) == str(own.parent)


@pytest.mark.anyio
@pytest.mark.parametrize("name", ["claude", "codex", "gemini"])
@pytest.mark.parametrize("way", PLANTED)
async def test_no_client_of_the_project_is_asked(project: Path, way: str, name: str) -> None:
    settings = Settings(root=project, config_dir=project.parent / "home" / ".config", enabled=(name,))
    environment = {"PATH": PLANTED[way](project.parent, name)}
    with pytest.raises(SettingsError, match="is not on PATH"):
        async with open_client(name, settings, environment):
            pytest.fail(f"{name} of the project was taken for the user's")
    rows = providers_of(settings, environment)
    assert not rows.usable
    assert rows.missing(rows.rows[name]) == f"`{name}` is not on PATH"


def test_a_program_of_the_users_own_is_found_in_a_project_that_holds_the_home(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = executable(tmp_path / "home" / ".local" / "bin" / "git")
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    monkeypatch.setenv("PATH", str(own.parent))
    for project in (tmp_path / "home", tmp_path, Path("/")):
        assert find_program("git", project) == str(own)
