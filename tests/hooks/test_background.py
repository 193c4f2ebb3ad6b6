"""The daily report is written beside the user's work, once a day."""

from __future__ import annotations

import os
from pathlib import Path

from fanout_hooks import background
from hooks.stage import Stage, pre_tool_use


def test_the_report_is_written_when_it_is_missing_and_again_only_after_a_day(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.hooks("PreToolUse", "true")
    with stage.running() as run:
        run.event(pre_tool_use())
    report = stage.project / background.NAME
    started = background.write_report_when_due(str(stage.project), now=1e9)
    assert started is not None
    assert started.wait(60) == 0
    assert "# " in report.read_text()
    made = os.lstat(report).st_mtime
    assert background.write_report_when_due(str(stage.project), now=made + 23 * 3600) is None
    again = background.write_report_when_due(str(stage.project), now=made + 25 * 3600)
    assert again is not None
    again.wait(60)
