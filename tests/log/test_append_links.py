"""What hooks write for a project stays in it, whatever links a repository has planted."""

from __future__ import annotations

from pathlib import Path

import pytest

from fanout_hooks.log import append as log_append
from fanout_hooks.log import daily
from fanout_hooks.run import decide

PLANTED = (".claude", ".claude/memory", ".claude/fanout", ".claude/fanout/cache")


def planted(project: Path, name: str, outside: Path) -> None:
    """Make `name` a link that leads out of the project."""
    outside.mkdir()
    link = project / name
    link.parent.mkdir(parents=True)
    link.symlink_to(outside, target_is_directory=True)


@pytest.mark.parametrize("name", PLANTED[:2])
def test_the_log_goes_through_no_link(tmp_path: Path, name: str) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    planted(project, name, outside)
    with pytest.raises(log_append.Unwritable, match="leads out of the project"):
        log_append.append(log_append.path_of(str(project)), {"phase": "Stop"})
    assert list(outside.rglob("*")) == []


@pytest.mark.parametrize("name", [PLANTED[0], *PLANTED[2:]])
def test_a_long_context_goes_through_no_link(tmp_path: Path, name: str) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    planted(project, name, outside)
    decision = decide.Decision("{}", overflow="all of it")
    assert decide.kept_whole(decision, str(project)) == decision
    assert list(outside.rglob("*")) == []


@pytest.mark.parametrize("name", PLANTED[:2])
def test_the_daily_report_goes_through_no_link(tmp_path: Path, name: str) -> None:
    project, outside = tmp_path / "project", tmp_path / "outside"
    planted(project, name, outside)
    with pytest.raises(OSError, match="leads out of the project"):
        daily.write_daily(str(project))
    assert list(outside.rglob("*")) == []


def test_a_project_that_is_reached_by_a_link_is_written_to(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to("real")
    path = log_append.path_of(str(tmp_path / "link"))
    log_append.append(path, {"phase": "Stop"})
    assert Path(path).read_text() == '{"phase":"Stop"}\n'
