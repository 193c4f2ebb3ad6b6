"""A hook that fails is reported: to the user at once, in the log with its stderr, in the report."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from fakes.sandbox import Sandbox, pre_tool_use
from fanout_hooks.log import daily, report
from fanout_hooks.run.dispatch import MAX_LOGGED, MAX_SHOWN, error_head

CRASH = "import sys; sys.stdin.read(); raise ValueError('no such rule')"
FAILING = {
    "a command that is not there": ("nosuch-guard --check", "exit code 127", "nosuch-guard"),
    "a traceback": (CRASH, "exit code 1", "ValueError: no such rule"),
    "an exit code": ("echo broken >&2; exit 7", "exit code 7", "broken"),
    "a signal": ("echo dying >&2; kill -SEGV $$", "signal 11", "dying"),
    "silence": ("exit 3", "exit code 3", ""),
    "output beside it": ("echo fine; echo broken >&2; exit 4", "exit code 4", "broken"),
}


@pytest.mark.parametrize("kind", FAILING)
def test_the_user_reads_of_a_failure_and_the_log_and_the_report_keep_it(kind: str, tmp_path: Path) -> None:
    source, how, said = FAILING[kind]
    sandbox = Sandbox(tmp_path)
    entry = sandbox.python("guard", source) if source is CRASH else {"command": source}
    sandbox.hooks("PreToolUse", entry | {"type": "command", "name": "guard"}, "exit 0")
    with sandbox.running() as run:
        for _ in range(3):
            message = json.loads(run.event(pre_tool_use()).stdout)["systemMessage"]
            assert f"the hook guard gave no usable answer ({how})" in message
            assert said in message
    failed, good = sandbox.log()[-1]["hooks"]
    assert said in failed.get("error", "")
    assert "error" not in good
    data = report.build(report.read(str(sandbox.project)))
    kept = {row["name"]: row["last_error"] for row in data["hooks"]}
    assert said in kept["guard"]
    assert kept.pop("guard") == failed.get("error", "")
    assert set(kept.values()) == {""}
    assert ("## Last errors" in daily.markdown(data, 0.0)) is bool(said)


QUIET = {
    "a good one": "exit 0",
    "a denial": "echo no >&2; exit 2",
    "one that works on": """echo '{"async": true}'; exit 5""",
}


@pytest.mark.parametrize("kind", QUIET)
def test_what_did_not_fail_is_not_reported(kind: str, tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", QUIET[kind])
    with sandbox.running() as run:
        assert "systemMessage" not in json.loads(run.event(pre_tool_use()).stdout)
    assert "error" not in sandbox.log()[0]["hooks"][0]


def test_the_newest_error_stands_in_the_report_and_counts_stay_right(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", {"type": "command", "command": "cat why >&2; exit 1", "name": "guard"})
    with sandbox.running() as run:
        for why in ("first", 'second "},{" third'):
            (sandbox.project / "why").write_text(why)
            run.event(pre_tool_use())
    data = report.build(report.read(str(sandbox.project)))
    (row,) = data["hooks"]
    assert (row["last_error"], row["failures"], row["count"]) == ('second "},{" third', 2, 2)
    assert data["damaged_lines"] == 0


@pytest.mark.parametrize("most", [MAX_LOGGED, MAX_SHOWN])
def test_a_long_stderr_is_shown_by_its_begin_and_end_and_control_characters_not_at_all(most: int) -> None:
    shown = error_head("begin\x1b]8;;x\x07" + "x" * 5000 + "end\n", most)
    assert len(shown) <= most
    assert (shown[:5], shown[-3:]) == ("begin", "end")
    assert "\x1b" not in shown


def test_a_failure_beside_the_gate_is_reported_too(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", {"type": "command", "command": "exit 3", "name": "guard"})
    event = pre_tool_use() | {"tool_name": "Agent", "tool_input": {"prompt": "look", "description": "a"}}
    with sandbox.running() as run:
        answer = run.event(event, gate="smart").stdout
    assert "the hook guard gave no usable answer" in json.loads(answer)["systemMessage"]
    assert sandbox.log()[0]["total_hooks"] == 1
