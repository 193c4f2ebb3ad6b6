"""A folder that is no project is not read as a whole, whoever starts there."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fanout_mcp.cli import main
from fanout_mcp.commands.flags import OK, USAGE

HOME = "is no project but your home. Begin in the project's folder, or set CLAUDE_PROJECT_DIR to it"


@pytest.fixture
def home(monkeypatch: pytest.MonkeyPatch) -> Path:
    home = Path(os.environ["HOME"])
    (home / "notes.py").write_text('"""Keep notes."""\n')
    (home / "mine").mkdir()
    (home / "mine" / "app.py").write_text('"""Say hello."""\n')
    monkeypatch.chdir(home)
    return home


@pytest.mark.parametrize(
    "words", [["explore"], ["explore", "mine"], ["summarize", "**/*.py"], ["review", "."]], ids=str
)
def test_a_home_is_not_walked(home: Path, capsys: pytest.CaptureFixture[str], words: list[str]) -> None:
    assert main(words) == USAGE
    assert HOME in capsys.readouterr().err
    assert not (home / ".claude").exists()


def test_a_machine_is_not_walked(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    monkeypatch.chdir("/")
    assert main(["explore"]) == USAGE
    assert "fanout: / is no project but all of this machine." in capsys.readouterr().err


def test_single_files_of_a_home_and_folders_in_it_are_read(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert main(["summarize", "notes.py", "--engine", "static"]) == OK
    assert main(["review", "notes.py", "--engine", "static"]) == OK
    monkeypatch.chdir(home / "mine")
    assert main(["explore", "--engine", "static"]) == OK
