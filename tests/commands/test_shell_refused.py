"""What the shell says when the provider refuses the key: never "nothing found", and always why."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

from fakes.upstream import Rule, serving
from fanout_mcp.cli import main
from fanout_mcp.commands.flags import NO_VERDICT, OK


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path))
    monkeypatch.setenv("FANOUT_MODEL", "maker/first")
    (tmp_path / "a.py").write_text('"""Say hello."""\n')
    return tmp_path


def refused(monkeypatch: pytest.MonkeyPatch, *typed: str) -> int:
    with serving(Rule(kind="status", status=401, body='{"error": "no such key"}')) as upstream:
        monkeypatch.setenv("FANOUT_BASE_URL", upstream.url)
        return main(list(typed))


def test_a_review_that_no_model_would_do_found_nothing_out(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(monkeypatch, "review", "a.py", "--engine", "model") == NO_VERDICT
    shown = capsys.readouterr().out
    assert "No file was reviewed" in shown
    assert "Nothing found" not in shown
    assert "lost 1 review" in shown
    assert "401" in shown


def test_a_review_of_what_nothing_reads_is_no_success(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / "Makefile").write_text("all:\n")
    assert main(["review", "Makefile", "--engine", "static"]) == NO_VERDICT
    assert "No file was reviewed" in capsys.readouterr().out
    assert main(["review", "Makefile", "a.py", "--engine", "static"]) == OK
    assert main(["review", "Makefile", "--engine", "plan"]) == OK


def test_a_change_that_touches_none_of_the_files_is_a_success(project: Path) -> None:
    for words in (
        ["init", "-q"],
        ["add", "a.py"],
        ["-c", "user.name=a", "-c", "user.email=a@b", "commit", "-qm", "x"],
    ):
        subprocess.run(["git", *words], cwd=project, check=True)
    assert main(["review", "a.py", "--base", "HEAD", "--engine", "static"]) == OK


def test_a_review_that_went_on_without_its_model_says_that_it_was_lost(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(monkeypatch, "review", "a.py") == OK
    told = capsys.readouterr()
    assert "Nothing found in 1 file." in told.out
    assert "lost 1 review" in told.out
    assert "1 of 1 done, 0 cached, 1 failed" in told.err


@pytest.mark.parametrize("command", ["oracle", "council", "swarm"])
def test_where_nobody_answers_the_status_says_so(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], command: str
) -> None:
    assert refused(monkeypatch, command, "Is it wise?") == NO_VERDICT
    assert "401" in capsys.readouterr().out


def test_a_summary_that_insists_on_a_model_names_the_flag_that_needs_none(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    assert refused(monkeypatch, "summarize", "a.py", "--engine", "model") == NO_VERDICT
    told = capsys.readouterr().err
    assert "401" in told
    assert "--engine static needs no model" in told
