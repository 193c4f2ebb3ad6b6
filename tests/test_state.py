"""The project's state folder: nothing is written out of the project, and git sees nothing of it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fanout_mcp.cli import main


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "x.py").write_text('"""Adds numbers."""\n')
    monkeypatch.chdir(project)
    return project


@pytest.mark.parametrize("link", [".claude", ".claude/fanout", ".claude/fanout/cache"])
def test_nothing_is_written_through_a_planted_link(project: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (project / link).parent.mkdir(parents=True, exist_ok=True)
    (project / link).symlink_to(outside)
    assert main(["summarize", "x.py"]) == 0
    assert list(outside.rglob("*")) == []


def test_a_report_that_would_lead_outside_says_so(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / ".claude").symlink_to(tmp_path)
    for number in range(4_000):
        (project / f"module_{number}.py").write_text(f'"""Counts to {number}."""\n')
    assert main(["summarize", ".", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert "leads out of the project" in data["report"]
