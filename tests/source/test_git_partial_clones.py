"""What a clone lacks is said in the result: nothing is fetched, and nothing passes for read that was not."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fakes.repositories import partial, whole
from fanout_mcp.cli import main

SKIPPED = "the clone is partial and lacks objects, and fanout fetches nothing"


@pytest.fixture
def source(tmp_path: Path) -> Path:
    return whole(tmp_path / "source")


def result(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], root: Path, *words: str
) -> dict[str, Any]:
    monkeypatch.chdir(root)
    assert main([*words, "--engine", "static", "--json"]) == 0
    data: dict[str, Any] = json.loads(capsys.readouterr().out)
    return data


def test_a_history_that_could_not_be_read_is_named(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    data = result(monkeypatch, capsys, partial(source, tmp_path / "clone"), "explore")
    assert data["receipt"]["skipped"] == {
        f"history not read fully: {SKIPPED}": {"count": 1, "paths": [".git"]}
    }
    data = result(monkeypatch, capsys, source, "explore")
    assert data["receipt"]["skipped"] == {}


def test_a_base_whose_files_are_missing_is_refused(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(partial(source, tmp_path / "clone"))
    assert main(["review", "*.py", "--base", "HEAD~1"]) == 2
    assert SKIPPED in capsys.readouterr().err


def test_files_that_could_not_be_compared_are_named_and_every_line_counts(
    source: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    (source / "a.py").write_text("def a(x):\n    return eval(x)\n")
    clone = partial(source, tmp_path / "clone", "blob:none")
    (clone / "a.py").write_text("def a(x):\n    return eval(x)\n")
    data = result(monkeypatch, capsys, clone, "review", "a.py", "--base", "HEAD~1")
    reason = "read, but every line counts as changed: git lacks what it was at the base"
    assert data["receipt"]["skipped"] == {reason: {"count": 1, "paths": ["a.py"]}}
    assert [finding["line"] for finding in data["findings"]] == [2]


@pytest.mark.parametrize(
    "words", [("explore",), ("summarize", "."), ("review", "**/*.py")], ids=lambda words: words[0]
)
def test_a_repository_that_is_not_read_is_named(
    source: Path,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capsys: pytest.CaptureFixture[str],
    words: tuple[str, ...],
) -> None:
    project = tmp_path / "project"
    project.mkdir()
    (project / "a.py").write_text("a = 1\n")
    (project / ".git").write_text(f"gitdir: {source / '.git'}\n")
    [(reason, named)] = result(monkeypatch, capsys, project, *words)["receipt"]["skipped"].items()
    assert "files found without git: " in reason
    assert "does not name" in reason
    assert named["paths"] == [".git"]
