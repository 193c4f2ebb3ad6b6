"""`fanout review`: its exit status serves in CI, its output a person or a pipe."""

from __future__ import annotations

import io
import json
from pathlib import Path

import pytest
from rich.console import Console

from fanout_mcp.cli import main
from fanout_mcp.commands.review import show


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


@pytest.mark.parametrize(
    ("target", "sentence"),
    [
        ("no/such/x.sarif", "there is no folder"),
        ("a.py", "is not a SARIF log, and is not overwritten"),
        ("package.json", "is not a SARIF log, and is not overwritten"),
        (".", "is a folder"),
    ],
)
def test_a_sarif_file_that_can_not_be_is_refused_before_the_review(
    project: Path, capsys: pytest.CaptureFixture[str], target: str, sentence: str
) -> None:
    (project / "package.json").write_text('{"name": "x"}\n')
    before = (project / "a.py").read_text()
    assert main(["review", "a.py", "--sarif", str(project / target)]) == 2
    captured = capsys.readouterr()
    assert sentence in captured.err
    assert "1/1" not in captured.err  # nothing was analysed for it
    assert (project / "a.py").read_text() == before


def test_findings_are_not_lost_with_the_sarif_file(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["review", "a.py", "--sarif", "/dev/full"]) == 3
    captured = capsys.readouterr()
    assert "a.py:2 medium" in captured.out
    assert "/dev/full could not be written: No space left on device." in captured.err


def test_an_earlier_log_is_overwritten(project: Path) -> None:
    target = project / "out.sarif"
    for _ in range(2):
        assert main(["review", "a.py", "--sarif", str(target)]) == 0


@pytest.mark.parametrize(
    ("words", "status", "sentence"),
    [
        (["a.py", "--engine", "plan"], 0, "In Claude Code these agents"),
        (["notes.xyz"], 3, "No file was reviewed: "),
        ([".env"], 3, "No file was reviewed: "),
        (["good.py", "notes.xyz"], 0, "Nothing found in 1 of 2 files."),
        (["good.py"], 0, "Nothing found in 1 file."),
    ],
    ids=str,
)
def test_nothing_is_called_clean_that_nobody_looked_at(
    project: Path, capsys: pytest.CaptureFixture[str], words: list[str], status: int, sentence: str
) -> None:
    (project / ".env").write_text("A=1\n")
    (project / "notes.xyz").write_text("words\n")
    assert main(["review", *words]) == status
    shown = capsys.readouterr().out
    assert sentence in shown
    assert ("Nothing found" in shown) == ("good.py" in words)


def test_a_person_reads_what_is_missing_in_words(project: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (project / "link.py").symlink_to("a.py")
    for number in range(5):
        (project / f"notes_{number}.xyz").write_text("words\n")
    main(["review", "a.py", "link.py", "*.xyz"])
    shown = capsys.readouterr().out
    assert "not analysed 5 files, no analyser for .xyz files: notes_0.xyz, notes_1.xyz" in shown
    assert "skipped 1 file, symlink: link.py" in shown
    assert "{" not in shown


def test_a_finding_keeps_its_sentences_and_its_lines_apart() -> None:
    item = {"path": "a\n.py", "line": 3, "severity": "low", "title": "T", "rule": "r", "quote": "x"}
    data = {
        "findings": [{**item, "why": "Consider `ast.literal_eval`", "fix": "Don't; use a table"}, item],
        "counts": {"low": 2},
        "dropped": {"quote too short": 1},
        "failed_reviews": {"count": 1, "by_reason": {"busy": 1}, "first": {"security:0": "busy"}},
        "more_of_a_rule": {"r": 4},
        "next_cursor": 2,
        "receipt": {
            "read": 1,
            "skipped": {},
            "tokens_raw": 10,
            "tokens_returned": 5,
            "saving_percent": 50.0,
            "calls": 0,
            "elapsed_s": 0.1,
        },
    }
    written = io.StringIO()
    show(Console(file=written, width=80), data)
    lines = [line.rstrip() for line in written.getvalue().splitlines()]
    assert lines[:5] == [
        "a\ufffd.py:3 low T [r]",
        "    x",
        "    Consider `ast.literal_eval`. Don't; use a table.",
        "a\ufffd.py:3 low T [r]",
        "    x",
    ]
    assert lines[5:] == [
        "lost 1 review, busy",
        "dropped 1 claim: quote too short",
        "2 low in 1 file.",
        "Not listed: 4 more of r.",
        "Go on with --cursor 2.",
        "1 file read, 10 tokens as 5 (saves 50.0 %), 0 calls, 0.1 s",
    ]


def test_sarif_goes_where_it_is_wanted(project: Path) -> None:
    target = project / "out.sarif"
    assert main(["review", "a.py", "--sarif", str(target)]) == 0
    assert json.loads(target.read_text())["version"] == "2.1.0"
