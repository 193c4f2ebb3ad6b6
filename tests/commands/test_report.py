"""`fanout report`: what CI relies on, and where its files go."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest

from fakes.records import record, row, write
from fanout_mcp.cli import main
from fanout_mcp.commands.flags import FINDINGS, OK


@pytest.fixture(autouse=True)
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(tmp_path))
    monkeypatch.chdir(tmp_path)
    write(tmp_path, *(record(row("a.py", 50.0), at=time.time()) for _ in range(40)))
    return tmp_path


def test_a_limit_that_is_passed_fails_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--fail-above", "PreToolUse=20"]) == FINDINGS
    assert "PreToolUse: p95 is" in capsys.readouterr().err


def test_a_limit_on_an_event_that_never_ran_says_that_it_says_nothing(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["report", "--fail-above", "Stop=20"]) == OK
    assert capsys.readouterr().err == (
        "fanout report: Stop didn't run in this period, so its limit says nothing\n"
    )


def test_a_dash_writes_the_page_to_the_output_and_no_file(
    project: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["report", "--html", "-"]) == OK
    shown = capsys.readouterr()
    assert shown.out.startswith("<!doctype html>")
    assert not (project / "-").exists()
    assert main(["report", "--save", "-"]) == OK
    assert json.loads(capsys.readouterr().out)["form"] == 1


def test_what_was_written_is_named(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["report", "--html", "page.html", "--save", "base.json", "--json"]) == OK
    shown = capsys.readouterr()
    assert shown.err == (
        "fanout report: the page is in page.html\nfanout report: the baseline is in base.json\n"
    )
    assert json.loads(shown.out)["page"] == "page.html"
