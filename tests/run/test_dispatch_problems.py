"""What is wrong with hooks.json is said once a session, also where each event has its own process."""

from __future__ import annotations

import json
from pathlib import Path

from fakes.sandbox import Sandbox, pre_tool_use
from fanout_hooks.run import dispatch


def reported(sandbox: Sandbox, session: str) -> str:
    """Send an event as the cold path does: to a process that remembers nothing."""
    request = sandbox.request(pre_tool_use(session_id=session))
    with sandbox.running() as run:
        answer = run.loop.run(dispatch.handle(run.runtime, request)).answer.stdout
    return str(json.loads(answer).get("systemMessage", ""))


def test_a_bad_hook_is_named_once_a_session_and_so_is_the_next_one(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", {"type": "command", "command": "true", "timeout": "soon"}, "true")
    first = reported(sandbox, "s")
    assert "timeout must be a number of seconds" in first
    assert [reported(sandbox, "s"), reported(sandbox, "s")] == ["", ""]
    assert reported(sandbox, "another session") == first
    sandbox.hooks("PreToolUse", {"type": "prompt", "prompt": "?"})
    assert "type 'prompt' can't be run by fanout" in reported(sandbox, "s")
    assert reported(sandbox, "s") == ""
