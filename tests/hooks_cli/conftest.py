"""A desk for every test."""

from __future__ import annotations

from pathlib import Path

import pytest

from hooks_cli.desk import Desk


@pytest.fixture
def desk(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Desk:
    home, project = tmp_path / "home", tmp_path / 'a "project" of ümlauts'
    (home / ".claude").mkdir(parents=True)
    project.mkdir()
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.delenv("CLAUDE_CONFIG_DIR", raising=False)
    monkeypatch.chdir(project)
    return Desk(home, project, capsys)
