"""A guard that can't say yes says no: whatever goes wrong with it, the call it stands before is denied."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

import fanout_hooks
from fakes.sandbox import Sandbox, pre_tool_use
from fanout_hooks.client import config, hook_input

ENTRY = str(Path(fanout_hooks.__file__).with_name("__main__.py"))


def _asked(sandbox: Sandbox, name: str) -> dict[str, Any]:
    """Ask one guard as its own entry does, and return what it says of the call."""
    done = subprocess.run(
        [sys.executable, "-I", "-S", ENTRY, "cold", "--scopes", "local", "--only", name],
        input=hook_input.to_stdin(sandbox.here(pre_tool_use())),
        env=sandbox.env,
        capture_output=True,
        check=True,
    )
    said: dict[str, Any] = json.loads(done.stdout)["hookSpecificOutput"]
    return said


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("exit 1", "failed"),
        ("no-such-program", "failed"),
        ("kill -9 $$", "failed"),
        ("sleep 600", "timed out"),
        ("echo '{\"truncated'", "failed"),
    ],
)
def test_a_guard_that_crashes_hangs_or_prints_no_answer_denies(
    tmp_path: Path, command: str, why: str
) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", {"command": command, "guard": True, "name": "g", "timeout": 0.5})
    said = _asked(sandbox, "g")
    assert said["permissionDecision"] == "deny"
    assert said["permissionDecisionReason"].startswith(why)


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        ({"guard": True}, "block"),
        ({"guard": True, "onFailure": "continue"}, "block"),
        ({"onFailure": "block"}, "block"),
        ({"onFailure": "continue"}, "continue"),
        ({}, "continue"),
    ],
)
def test_a_guard_blocks_when_it_fails_whatever_else_its_entry_says(
    entry: dict[str, Any], expected: str
) -> None:
    data = {"hooks": {"PreToolUse": [{"hooks": [{"command": "true"} | entry]}]}}
    assert [hook.on_failure for hook in config.parse(data, "local").hooks] == [expected]


@pytest.mark.parametrize(
    ("entry", "is_kept"),
    [
        ({"type": "http", "url": "https://x.example/check", "onFailure": "block"}, True),
        ({"command": "true", "timeout": "soon", "onFailure": "block"}, True),
        ({"command": "true", "args": "x", "guard": True}, True),
        ({"type": "http", "url": "https://x.example/check"}, False),
        ({"command": "true", "timeout": "soon"}, False),
    ],
)
def test_a_bad_hook_blocks_where_it_was_to_block(
    tmp_path: Path, entry: dict[str, Any], *, is_kept: bool
) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", entry)
    only = "true" if entry.get("guard") else ""
    with sandbox.running() as run:
        said = json.loads(run.event(pre_tool_use(), only=only).stdout)
    reason = said.get("hookSpecificOutput", {}).get("permissionDecisionReason", "")
    assert ("PreToolUse[0].hooks[0]: " in reason) == is_kept
    assert "PreToolUse[0].hooks[0]: " in said["systemMessage"]


def test_a_bad_hook_blocks_only_the_calls_that_it_was_for_and_only_where_failing_blocks() -> None:
    bad = {"type": "http", "url": "https://x.example/check", "onFailure": "block"}
    guard = {"command": "true", "guard": True, "name": "g"}
    data = {
        "hooks": {
            "PreToolUse": [
                {"matcher": "Bash", "hooks": [bad]},
                {"matcher": "(?i)bash", "hooks": [{"command": "true", "onFailure": "block"}, guard]},
            ],
            "Stop": [{"hooks": [bad]}],
            "WorktreeCreate": [{"hooks": [bad]}],
        }
    }
    kept = config.parse(data, "local").hooks
    # What a guard is for, the client itself reads: its entry comes with those calls alone.
    assert [(hook.event, hook.matcher, hook.guard) for hook in kept] == [
        ("PreToolUse", "Bash", False),
        ("PreToolUse", "", True),
    ]


@pytest.mark.parametrize("key", ["args", "reads", "writes", "resources", "after"])
def test_a_list_that_is_null_is_left_out(key: str) -> None:
    plain = {"command": "true", "onFailure": "block"}
    data = {"hooks": {"PreToolUse": [{"hooks": [plain | {key: None}]}]}}
    without = {"hooks": {"PreToolUse": [{"hooks": [plain]}]}}
    assert config.parse(data, "local") == config.parse(without, "local")
