"""The gate on real events: siblings are waited for in the loop, and a bad state blocks nothing."""

from __future__ import annotations

import fcntl
import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from fanout_hooks.gate import gate, state, watch
from fanout_hooks.run.decide import Opinion
from fanout_hooks.warm.loop import Loop

Event = dict[str, Any]


class Watched:
    """One session's events through the gate, many at once where they come at once."""

    def __init__(self, folder: Path, mode: str = "smart") -> None:
        self.folder, self.mode = folder, mode
        self.env = {"FANOUT_STATE_DIR": str(folder), "HOME": str(folder)}
        self.loop = Loop()

    def see(self, *events: Event) -> list[Opinion]:
        """Let events come at once; return what is said of each."""

        async def one(event: Event) -> Opinion:
            own = {"session_id": "s", "cwd": str(self.folder), **event}
            return await watch.opinion(self.loop, own, self.env, self.mode)

        async def all_of_them() -> list[Opinion]:
            return [await waiting for waiting in [self.loop.spawn(one(event)) for event in events]]

        return self.loop.run(all_of_them())

    def lone_wave(self, task: str = "Explore auth") -> None:
        self.see({"hook_event_name": "UserPromptSubmit", "prompt": "Explain the parts."})
        self.see(call(task, "first"))
        self.end(call(task, "first"))

    def end(self, *events: Event) -> None:
        for event in events:
            done = {"status": "completed", "agentId": event["tool_use_id"], "content": "Fine."}
            self.see({**event, "hook_event_name": "PostToolUse", "tool_response": done})
        self.see({"hook_event_name": "PostToolBatch", "tool_calls": list(events)})


def call(task: str, use: str, **more: Any) -> Event:
    given = {"description": task, "prompt": task, "subagent_type": "Explore"}
    return {
        "hook_event_name": "PreToolUse",
        "tool_name": "Agent",
        "tool_use_id": use,
        "tool_input": given,
    } | more


def test_a_lone_call_is_denied_after_its_wait_and_logged(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.lone_wave()
    (said,) = watched.see(call("Explore billing", "second"))
    assert said.decision == "deny"
    assert said.note == {"verdict": "deny", "call": "Explore billing", "after": "Explore auth"}
    (again,) = watched.see(call("Explore billing", "third"))
    assert again.note["verdict"] == "overruled"


def test_fourteen_calls_at_once_find_one_another_and_none_is_lost(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.lone_wave()
    calls = [call(f"Explore part {number}", f"toolu_{number}") for number in range(14)]
    assert {said.decision for said in watched.see(*calls)} == {""}
    open_calls = state.peek(state.folder(watched.env), "s").scopes["main"].open
    assert {own.id for own in open_calls} == {event["tool_use_id"] for event in calls}


@pytest.mark.parametrize("content", ["", "{", "[]", '{"scopes": 3}', '{"scopes": {}, "agents": []}'])
def test_a_damaged_state_blocks_nothing_and_is_said_once(tmp_path: Path, content: str) -> None:
    watched = Watched(tmp_path)
    watched.lone_wave()
    next((tmp_path / "gate").glob("*.json")).write_text(content, encoding="utf-8")
    (said,) = watched.see(call("Explore billing", "second"))
    assert (said.decision, "fanout: the gate had a damaged history" in said.message) == ("", True)
    (after,) = watched.see(call("Explore search", "third"))
    assert (after.decision, after.message) == ("", "")


def test_a_word_that_is_no_mode_is_said_once_a_session_and_again_when_it_changes(tmp_path: Path) -> None:
    def said(word: str, session: str = "s") -> str:
        """Send a prompt as the cold path does: in a process that remembers nothing."""
        watched = Watched(tmp_path)
        watched.env["FANOUT_GATE"] = word
        prompt = {"hook_event_name": "UserPromptSubmit", "prompt": "Go on.", "session_id": session}
        return watched.see(prompt)[0].message

    first = said("srict")
    assert first.startswith('fanout: the gate reads "srict" in FANOUT_GATE, which is not a mode')
    assert [said("srict"), said("srict")] == ["", ""]
    assert '"strickt"' in said("strickt")
    assert said("srict") == ""
    assert said("srict", "another session") == first


def test_a_state_that_cannot_be_used_blocks_nothing_and_goes_to_the_log_alone(tmp_path: Path) -> None:
    (tmp_path / "gate").write_text("in the way", encoding="utf-8")
    (said,) = Watched(tmp_path).see(call("Explore billing", "second"))
    assert (said.decision, said.message, said.note["verdict"]) == ("", "", "skipped")


def test_a_defect_of_the_gate_blocks_nothing_and_goes_to_the_log_alone(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def broken(*_: object) -> None:
        raise ValueError("empty separator")

    monkeypatch.setattr(watch, "_decided", broken)
    (said,) = Watched(tmp_path).see(call("Explore billing", "second"))
    assert (said.decision, said.message, said.note["verdict"]) == ("", "", "skipped")
    assert "defect" in said.note["why"]


def test_a_lock_that_is_never_given_back_blocks_nothing(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(watch, "LOCK_WAIT_S", 0.01)
    watched = Watched(tmp_path)
    watched.lone_wave()
    with next((tmp_path / "gate").glob("*.json.lock")).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        (said,) = watched.see(call("Explore billing", "second"))
    assert "lock" in said.note["why"]


def test_events_that_are_not_the_gates_cost_no_look_at_the_state(tmp_path: Path) -> None:
    watched = Watched(tmp_path)
    watched.see(
        {"hook_event_name": "PostToolUse", "tool_name": "Bash", "tool_response": "x"},
        {"hook_event_name": "Stop"},
    )
    assert not (tmp_path / "gate").exists()


def test_a_sub_agents_prompt_is_that_of_the_call_that_launched_it(tmp_path: Path) -> None:
    """What its own prompt named is no news to it, although an answer says it too."""
    watched = Watched(tmp_path)
    outer = call("Explain src/mail/send.py and src/queue/job.py", "outer")
    watched.see({"hook_event_name": "UserPromptSubmit", "prompt": "Explain."}, outer)
    meta = tmp_path / "log" / "subagents" / "agent-inner.meta.json"
    meta.parent.mkdir(parents=True)
    meta.write_text(json.dumps({"toolUseId": "outer"}), encoding="utf-8")
    inner = {"agent_id": "inner", "transcript_path": str(tmp_path / "log.jsonl")}
    first = call("Explain src/mail/send.py", "1", **inner)
    watched.see(first)
    done = {"status": "completed", "agentId": "a", "content": "It is called by src/queue/job.py"}
    watched.see({**first, "hook_event_name": "PostToolUse", "tool_response": done})
    watched.see({"hook_event_name": "PostToolBatch", "tool_calls": [first], **inner})
    (said,) = watched.see(call("Explain src/queue/job.py", "2", **inner))
    assert said.decision == "deny"


def test_the_reminder_comes_with_the_prompt_when_the_user_wants_it(tmp_path: Path) -> None:
    config = tmp_path / ".config" / "fanout" / "config.toml"
    config.parent.mkdir(parents=True)
    config.write_text("gate_reminder = true\n", encoding="utf-8")
    prompt = {"hook_event_name": "UserPromptSubmit", "prompt": "Review all modules."}
    assert Watched(tmp_path).see(prompt)[0].context
    assert Watched(tmp_path, "off").see(prompt)[0].context


VALUES = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=20),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)
FIELDS = (
    "prompt",
    "tool_use_id",
    "tool_input",
    "tool_response",
    "tool_calls",
    "agent_id",
    "error",
    "session_id",
)


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None)
@given(st.sampled_from(sorted(gate.ENTRIES)), st.dictionaries(st.sampled_from(FIELDS), VALUES))
def test_every_event_whatever_its_fields_hold_gets_an_answer(
    tmp_path_factory: pytest.TempPathFactory, name: str, fields: Event
) -> None:
    watched = Watched(tmp_path_factory.mktemp("state"))
    event = {"hook_event_name": name, "tool_name": "Agent", **fields}
    assert watched.see(event)[0].decision == ""
