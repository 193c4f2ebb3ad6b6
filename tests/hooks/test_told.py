"""What is wrong with hooks.json is said once a session, also where each event has a process of its own."""

from __future__ import annotations

import json
from pathlib import Path

from fanout_hooks.run import dispatch
from hooks.stage import Stage, pre_tool_use


def told(stage: Stage, session: str) -> str:
    """Send an event as the cold path does: to a house that remembers nothing."""
    request = stage.request(pre_tool_use(session_id=session))
    with stage.running() as run:
        answer = run.loop.run(dispatch.handle(run.runtime, request)).answer.stdout
    return str(json.loads(answer).get("systemMessage", ""))


def test_a_bad_hook_is_named_once_a_session_and_so_is_the_next_one(tmp_path: Path) -> None:
    stage = Stage(tmp_path)
    stage.hooks("PreToolUse", {"type": "command", "command": "true", "timeout": "soon"}, "true")
    first = told(stage, "s")
    assert "timeout must be a number of seconds" in first
    assert [told(stage, "s"), told(stage, "s")] == ["", ""]
    assert told(stage, "another session") == first
    stage.hooks("PreToolUse", {"type": "prompt", "prompt": "?"})
    assert "type 'prompt' can't be run by fanout" in told(stage, "s")
    assert told(stage, "s") == ""
