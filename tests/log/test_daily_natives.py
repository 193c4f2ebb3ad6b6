"""Hooks that the client runs itself are counted from its transcripts, and ours are not counted twice."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from fanout_hooks.adoption import entries
from fanout_hooks.client.config import Hook
from fanout_hooks.log import daily

HOOK = Hook("seen", "PreToolUse", "shared", command="sh seen.sh")
GUARD = Hook("held", "PreToolUse", "shared", command="sh held.sh", guard=True)


def attachment(command: str, ms: float, name: str = "PreToolUse:Bash", **more: Any) -> dict[str, Any]:
    noted = {
        "type": "hook_success",
        "hookName": name,
        "command": command,
        "durationMs": ms,
        "exitCode": 0,
        **more,
    }
    return {"type": "attachment", "attachment": noted, "timestamp": "2026-11-18T10:00:00.000Z"}


MADE = entries.adopted([HOOK, GUARD], entries.Registration("shared", None))
OURS = (
    "fanout hooks",
    "fanout/run_hooks",
    "plugin:fanout:fanout/run_hooks",
    *(
        str(entry["command"])
        for made in (MADE, entries.plugin_hooks()["hooks"])
        for _, _, entry in entries.each(made)
        if entry["type"] == "command"
    ),
)


def test_native_runs_are_counted_by_event_and_script(tmp_path: Path) -> None:
    lines = [
        json.dumps(attachment("python3 /x/guard.py", 40)),
        json.dumps(attachment("python3 /x/guard.py", 60, exitCode=1)),
        '{"durationMs": broken',
        json.dumps(
            {"type": "system", "subtype": "stop_hook_summary", "timestamp": "2026-11-18T10:00:00.000Z"}
        )[:-1]
        + ', "hookInfos": [{"command": "sh notify.sh", "durationMs": 12}]}',
        *(json.dumps(attachment(command, 55)) for command in OURS),
    ]
    (tmp_path / "a.jsonl").write_text("\n".join(lines))
    rows = daily.natives(str(tmp_path), since=0.0)
    assert [(own["event"], own["name"], own["count"], own["failures"]) for own in rows] == [
        ("PreToolUse", "guard", 2, 1),
        ("Stop", "notify", 1, 0),
    ]


@pytest.mark.parametrize(
    "command", ["python3 .claude/hooks/run.py", "python3 -m fanout_hooks_of_mine", "my/run_hooks"]
)
def test_a_hook_of_the_users_is_told_whatever_its_file_is_called(tmp_path: Path, command: str) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(attachment(command, 4)))
    assert len(daily.natives(str(tmp_path), since=0.0)) == 1


def test_runs_before_the_period_are_left_out(tmp_path: Path) -> None:
    (tmp_path / "a.jsonl").write_text(json.dumps(attachment("x.py", 4)))
    assert daily.natives(str(tmp_path), since=1_795_000_000.0 + 86_400) == []


def test_a_project_without_transcripts_has_none(tmp_path: Path) -> None:
    assert daily.natives(str(tmp_path / "nowhere"), since=0.0) == []
