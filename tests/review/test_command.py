"""`fanout review`: its exit status serves in CI, its output a person or a pipe."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fanout_mcp.cli import main


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("FANOUT_BACKEND", "plan")
    (tmp_path / "a.py").write_text("import os\nos.chmod('x', 0o777)\n")
    (tmp_path / "good.py").write_text("x = 1\n")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (["a.py"], 0),
        (["a.py", "--fail-on", "high"], 0),
        (["a.py", "--fail-on", "medium"], 1),
        (["good.py", "--fail-on", "info"], 0),
        (["missing.py"], 2),
        (["a.py", "--base=-x"], 2),
        (["a.py", "--engine", "model"], 2),
    ],
    ids=str,
)
def test_the_exit_status_says_what_was_found(words: list[str], status: int) -> None:
    assert main(["review", *words]) == status


def test_json_is_the_result_and_nothing_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "a.py", "--json"]) == 0
    captured = capsys.readouterr()
    assert json.loads(captured.out)["findings"][0]["rule"] == "permissions"
    assert not captured.err


def test_a_person_sees_place_words_and_what_was_not_looked_for(capsys: pytest.CaptureFixture[str]) -> None:
    main(["review", "a.py"])
    shown = " ".join(capsys.readouterr().out.split())
    assert "a.py:2 medium" in shown
    assert "os.chmod('x', 0o777)" in shown
    assert "logic bugs" in shown


def test_sarif_goes_where_it_is_wanted(project: Path) -> None:
    target = project / "out.sarif"
    assert main(["review", "a.py", "--sarif", str(target)]) == 0
    assert json.loads(target.read_text())["version"] == "2.1.0"
