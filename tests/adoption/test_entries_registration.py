"""The log and the gate: what install and plugin register, and that nothing of it runs twice."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from e2e.client import ROOT
from fakes.user import User, command, group
from fanout_hooks.adoption import entries
from fanout_hooks.client import hook_input as events
from fanout_hooks.client import places
from fanout_hooks.gate import gate
from fanout_hooks.run import cold


def test_the_plugin_registers_exactly_what_the_committed_file_says() -> None:
    assert json.loads((ROOT / "hooks" / "hooks.json").read_text()) == entries.plugin_hooks()


def test_the_plugins_option_turns_its_gate_off(tmp_path: Path) -> None:
    env = {"HOME": str(tmp_path)}
    assert not places.plugin_stands_down(str(tmp_path), env)
    for name in places.OPTIONS:
        assert places.plugin_stands_down(str(tmp_path), env | {name: "false"})
        assert not places.plugin_stands_down(str(tmp_path), env | {name: "true"})


@pytest.mark.parametrize(
    ("with_log", "with_gate", "there"),
    [
        pytest.param(True, True, gate.ENTRIES, id="log and gate"),
        pytest.param(False, True, gate.ENTRIES, id="gate alone"),
        pytest.param(True, False, {"UserPromptSubmit": ""}, id="log alone"),
        pytest.param(False, False, {}, id="neither"),
    ],
)
def test_there_are_no_entries_but_those_that_are_wanted(
    *, with_log: bool, with_gate: bool, there: dict[str, str]
) -> None:
    made = entries.log_and_gate_entries(with_log=with_log, with_gate=with_gate)
    assert {event: groups[0].get("matcher", "") for event, groups in made.items()} == there
    for _, _, entry in entries.each(made):
        if entry["type"] == "command":
            assert ("--log off" in entry["command"]) == (not with_log)
        else:
            assert (entry["input"].get("fanout_log") == "off") == (not with_log)


def test_no_entry_runs_at_other_tool_calls() -> None:
    made = entries.log_and_gate_entries()
    for event in ("PreToolUse", "PostToolUse", "PostToolUseFailure"):
        assert [group["matcher"] for group in made[event]] == ["Agent|Task"]


def test_the_gate_sees_all_that_it_needs() -> None:
    made = entries.log_and_gate_entries()
    for event, _, entry in entries.each(made):
        if entry["type"] == "mcp_tool":
            assert entry["input"] == events.mcp_input(event, ()) | {"fanout_gate": "on"}


def test_both_forms_are_what_the_client_accepts() -> None:
    assert entries.problems(entries.log_and_gate_entries()) == []
    assert entries.problems(entries.plugin_hooks()["hooks"]) == []


def test_taking_it_out_leaves_the_users_hooks() -> None:
    mine: dict[str, Any] = {
        "Stop": [group(command("x"))],
        "PreToolUse": [group(command("y"), matcher="Bash")],
    }
    both = entries.joined(mine, entries.log_and_gate_entries())
    assert entries.without_log_and_gate(both) == mine


def test_adopted_hooks_and_the_gate_come_and_go_without_each_other(user: User) -> None:
    user.register_server()
    mine = {"PreToolUse": [group(command("python3 a.py"))]}
    user.write("user", {"hooks": entries.joined(mine, entries.log_and_gate_entries())})
    user.run("adopt", "--all", "--yes")
    assert entries.without_log_and_gate(user.settings("user")["hooks"])["PreToolUse"] != []
    assert user.held("user")["hooks"] == mine
    user.run("restore", "--yes")
    assert user.settings("user") == {"hooks": entries.joined(mine, entries.log_and_gate_entries())}


@pytest.mark.parametrize("scope", ["user", "local", "shared"])
def test_the_plugin_stands_down_beside_settings_that_hold_the_same(user: User, scope: str) -> None:
    assert not places.by_settings(str(user.project), {"HOME": str(user.home)})
    user.write(scope, {"hooks": entries.log_and_gate_entries()})
    assert places.by_settings(str(user.project), {"HOME": str(user.home)})


def test_adopted_hooks_alone_are_no_reason_for_the_plugin_to_stand_down(user: User) -> None:
    user.register_server()
    user.write("user", {"hooks": {"Stop": [group(command("python3 a.py"))]}})
    user.run("adopt", "--all", "--yes")
    assert not places.by_settings(str(user.project), {"HOME": str(user.home)})


def test_settings_that_cannot_be_read_hold_nothing(user: User) -> None:
    user.path("local").parent.mkdir(parents=True)
    os.mkfifo(user.path("local"))
    user.path("shared").mkdir()
    assert not places.by_settings(str(user.project), {"HOME": str(user.home)})


def test_a_cold_event_of_the_plugin_is_left_to_the_settings(
    user: User, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    user.write("user", {"hooks": entries.log_and_gate_entries()})
    event = tmp_path / "event"
    event.write_text(json.dumps({"hook_event_name": "PostToolBatch", "session_id": "s", "tool_calls": []}))
    monkeypatch.setenv("CLAUDE_PROJECT_DIR", str(user.project))

    def run_event(*_: object) -> None:
        raise AssertionError("the event was run twice")

    monkeypatch.setattr(cold, "run_event", run_event)
    assert cold.main({"gate": "on", "from": "plugin"}, event.read_bytes()) == 0
