"""For every history: at most one denial a wave, a denied call passes when sent again, damage never blocks."""

from __future__ import annotations

import json
import tempfile
from pathlib import Path
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from fanout_hooks.gate import gate, state
from fanout_hooks.gate.gate import History, Mode
from gate.session import Session

TASKS = st.sampled_from([f"Explore {part}" for part in ("auth", "billing", "search", "mail", "the queue")])
ANSWERS = st.sampled_from(["Fine.", "", "See src/auth/store.py.", "I could not finish.", "x" * 3000])
STEPS = st.one_of(
    st.tuples(st.just("agents"), st.lists(TASKS, min_size=1, max_size=3), ANSWERS, st.booleans()),
    st.tuples(st.just("prompt"), st.sampled_from(["Go on.", "<task-notification>\n<result>x</result>"])),
    st.tuples(st.just("tool"), st.sampled_from(["Read", "Edit", "Bash", "AskUserQuestion"])),
    st.tuples(st.just("finish"), st.integers(1, 9)),
    st.tuples(st.just("stray"), st.sampled_from(sorted(gate.ENTRIES))),
)
MODES = st.sampled_from(["smart", "strict", "warn", "off"])
JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=8), inner, max_size=3),
    max_leaves=8,
)


def _denied(session: Session, step: tuple[Any, ...]) -> list[str]:
    if step[0] == "agents":
        return session.message(*step[1], answers=step[2], background=step[3])
    if step[0] == "prompt":
        session.prompt(step[1])
    elif step[0] == "tool":
        session.other(step[1], command="ls")
    elif step[0] == "finish":
        session.finish(step[1])
    else:
        session.send(step[1])
    return []


@settings(max_examples=150, deadline=None)
@given(MODES, st.lists(STEPS, max_size=12))
def test_every_wave_causes_at_most_one_denial(mode: Mode, steps: list[tuple[Any, ...]]) -> None:
    session = Session(mode)
    denials = 0
    for step in steps:
        told = _denied(session, step)
        closes = step[0] == "prompt" or (step[0] == "agents" and any(kind != "deny" for kind in told))
        denials += told.count("deny")
        assert denials <= 1
        assert denials == 0 or mode in ("smart", "strict")
        denials = 0 if closes else denials


@settings(max_examples=150, deadline=None)
@given(MODES, st.lists(STEPS, max_size=10), TASKS)
def test_every_denied_call_passes_when_it_is_sent_again(
    mode: Mode, steps: list[tuple[Any, ...]], task: str
) -> None:
    session = Session(mode)
    for step in steps:
        _denied(session, step)
    if session.message(task) == ["deny"]:
        assert session.message(task) == ["pass"]


def _call(session: str) -> dict[str, Any]:
    given = {"description": "Explore billing", "prompt": "Explore billing", "subagent_type": "Explore"}
    event = {"hook_event_name": "PreToolUse", "session_id": session, "tool_name": "Agent"}
    return {**event, "tool_use_id": "toolu_1", "tool_input": given}


@settings(max_examples=150, deadline=None)
@given(st.binary(max_size=200) | JSON.map(lambda value: json.dumps(value).encode()))
def test_every_damage_of_the_state_lets_the_call_pass(damage: bytes) -> None:
    with tempfile.TemporaryDirectory() as where:

        def start(history: History) -> tuple[History, gate.Verdict]:
            return gate.decide(history, {"hook_event_name": "UserPromptSubmit", "prompt": "x"}, "smart")

        assert state.attempt(where, "s", start) is not None
        (file,) = Path(where).glob("*.json")
        file.write_bytes(damage)
        done = state.attempt(where, "s", lambda history: gate.decide(history, _call("s"), "strict"))
        assert done is not None
        assert done.verdict.kind == "pass"
