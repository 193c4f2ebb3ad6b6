"""The daily report is written beside the user's work, once a day."""

from __future__ import annotations

import os
from pathlib import Path

from fakes.sandbox import Sandbox, pre_tool_use
from fanout_hooks.log import append as log_append

SLOT = 1_000_000.0 * log_append.AGAIN_S


def test_the_report_is_written_when_it_is_missing_and_again_only_after_a_day(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", "true")
    with sandbox.running() as run:
        run.event(pre_tool_use())
    report, state = sandbox.project / log_append.REPORT_NAME, str(tmp_path / "state")
    started = log_append.write_report_when_due(str(sandbox.project), state, now=1e9)
    assert started is not None
    assert started.wait(60) == 0
    assert "# " in report.read_text()
    made = os.lstat(report).st_mtime
    assert log_append.write_report_when_due(str(sandbox.project), state, now=made + 23 * 3600) is None
    again = log_append.write_report_when_due(str(sandbox.project), state, now=made + 25 * 3600)
    assert again is not None
    again.wait(60)


def test_without_a_log_there_is_nothing_to_report(tmp_path: Path) -> None:
    assert not log_append.is_due(str(tmp_path), 1e9)
    log = tmp_path / log_append.NAME
    log.parent.mkdir(parents=True)
    log.symlink_to("/etc/passwd")
    assert not log_append.is_due(str(tmp_path), 1e9)


def test_a_report_that_fails_is_tried_once_in_ten_minutes_by_all_processes_together(tmp_path: Path) -> None:
    project, state = str(tmp_path / "project"), str(tmp_path / "state")
    log_append.append(log_append.path_of(project), {"phase": "Stop"})
    in_the_way = Path(project, log_append.REPORT_NAME)
    in_the_way.mkdir()
    os.utime(in_the_way, (0, 0))
    first, *others = (log_append.write_report_when_due(project, state, now=SLOT + n) for n in range(3))
    assert first is not None
    assert first.wait(60) != 0
    assert others == [None, None]
    again = log_append.write_report_when_due(project, state, now=SLOT + log_append.AGAIN_S)
    assert again is not None
    again.wait(60)
    assert len(list(Path(state, "daily").iterdir())) == 1
