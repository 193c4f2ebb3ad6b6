"""The project's state folder: nothing is written out of the project, and git sees nothing of it."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from fanout_hooks.log import append as log_append
from fanout_mcp.cli import main
from fanout_mcp.state import folder, settings

OWN_DIR = [("FANOUT_STATE_DIR", "cache"), ("FANOUT_STATE_DIR", "records")]


@pytest.fixture
def project(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    project = tmp_path / "project"
    project.mkdir()
    (project / "x.py").write_text('"""Adds numbers."""\n')
    monkeypatch.chdir(project)
    return project


def test_git_sees_nothing_of_what_fanout_keeps(project: Path) -> None:
    git = ("git", "-C", str(project), "-c", "user.name=x", "-c", "user.email=x@example.org")
    subprocess.run([*git, "init", "-q"], check=True)
    subprocess.run([*git, "add", "x.py"], check=True)
    assert main(["summarize", "x.py"]) == 0
    log_append.append(log_append.path_of(str(project)), {"phase": "Stop"})
    folder.new_report(project / ".claude" / "fanout", "oracle", "md")
    told = subprocess.run([*git, "status", "--porcelain"], check=True, capture_output=True, text=True)
    assert told.stdout == "A  x.py\n"


def test_a_folder_inside_a_project_gets_no_state_of_its_own(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (project / ".git").mkdir()
    (project / "sub").mkdir()
    (project / "sub" / "y.py").write_text('"""Takes away."""\n')
    kept = settings.read().cache
    monkeypatch.chdir(project / "sub")
    assert main(["summarize", "y.py"]) == 0
    assert (kept / "outlines.sqlite").is_file()
    assert [path.name for path in (project / "sub").iterdir()] == ["y.py"]


@pytest.mark.parametrize("link", [".claude", ".claude/fanout", ".claude/fanout/cache"])
def test_nothing_is_written_through_a_planted_link(project: Path, tmp_path: Path, link: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (project / link).parent.mkdir(parents=True, exist_ok=True)
    (project / link).symlink_to(outside)
    assert main(["summarize", "x.py"]) == 0
    assert list(outside.rglob("*")) == []


@pytest.mark.parametrize(
    ("variable", "kind"), [("XDG_CACHE_HOME", "cache"), ("XDG_STATE_HOME", "records"), *OWN_DIR], ids=str
)
def test_what_is_kept_never_lies_in_the_project(
    project: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, variable: str, kind: str
) -> None:
    (project / ".git").mkdir()
    (project / "sub").mkdir()
    usual = getattr(settings.read(), kind)
    assert usual.is_relative_to(os.environ["HOME"])
    (tmp_path / "elsewhere").symlink_to(project)
    for inside in (project / "planted", project, tmp_path / "elsewhere" / "planted", Path("planted")):
        monkeypatch.setenv(variable, str(inside))
        assert getattr(settings.read(), kind) == usual
        assert getattr(settings.read(root=project / "sub"), kind).is_relative_to(os.environ["HOME"])
    monkeypatch.setenv(variable, str(tmp_path / "own"))
    assert getattr(settings.read(), kind).is_relative_to(tmp_path / "own")


def test_each_project_has_folders_of_its_own(project: Path, tmp_path: Path) -> None:
    (tmp_path / "other").mkdir()
    one, other = settings.read(root=project), settings.read(root=tmp_path / "other")
    assert len({one.cache, other.cache, one.records, other.records}) == 4


def test_a_report_that_would_lead_outside_says_so(
    project: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    (project / ".claude").symlink_to(tmp_path)
    for number in range(4_000):
        (project / f"module_{number}.py").write_text(f'"""Counts to {number}."""\n')
    assert main(["summarize", ".", "--json"]) == 0
    data = json.loads(capsys.readouterr().out)
    assert "leads out of the project" in data["report"]


def test_two_reports_of_one_second_with_the_same_four_digits_are_two_files(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    digits = iter(["beef", "beef", "cafe"])
    monkeypatch.setattr("secrets.token_hex", lambda _: next(digits))
    monkeypatch.setattr("time.strftime", lambda *_: "20261201-000000")
    own = project / ".claude" / "fanout"
    one, other = (folder.write_report(own, "oracle", "md", text) for text in ("one", "other"))
    assert (one.read_text(), other.read_text()) == ("one", "other")


def test_the_newest_reports_are_kept_and_what_is_not_ours_stays(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folder, "MAX_REPORTS", 3)
    own = project / ".claude" / "fanout"
    made = [folder.new_report(own, "hooks", "html")]
    notes = made[0].with_name("notes.md")
    notes.write_text("mine")
    for number in range(1, 6):
        made.append(folder.new_report(own, "hooks", "html"))
        os.utime(made[-1], (number, number))
    os.utime(made[0], (0, 0))
    last = folder.new_report(own, "oracle", "md")
    assert set(notes.parent.iterdir()) == {notes, *made[-2:], last}
