"""Needless sequences are sent back once; everything else passes."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_hooks.gate import gate
from fanout_hooks.gate.gate import Mode
from gate.session import Session


def test_a_needless_sequence_is_sent_back_once_and_passes_when_sent_again() -> None:
    session = Session()
    session.prompt()
    assert session.message("Explore auth") == ["pass"]
    assert session.message("Explore billing") == ["deny"]
    assert session.message("Explore billing") == ["pass"]


def test_the_reason_names_the_earlier_call_and_every_way_out() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth")
    session.call("Explore billing")
    text = session.settle().text
    for words in (
        "Explore auth",
        "Explore billing",
        "ONE message",
        "depends on: Explore auth",
        "same call again",
    ):
        assert words in text


def test_all_remaining_in_one_message_is_the_way_out() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth")
    assert session.message("Explore billing") == ["deny"]
    assert session.message("Explore billing", "Explore search") == ["pass", "pass"]


def test_several_in_one_message_always_pass() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth")
    fields, first = session.call("Explore billing")
    assert first.kind == "wait"
    _, second = session.call("Explore search")
    assert second.kind == "pass"
    assert gate.is_settled(session.history, {"hook_event_name": "PreToolUse", **fields})
    assert session.settle().kind == "pass"


def test_the_first_of_a_slow_message_passes_when_sent_again_and_is_no_new_wave() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth")
    slow, _ = session.call("Explore billing")
    assert session.settle().kind == "deny"
    late, verdict = session.call("Explore search")
    assert verdict.kind == "pass"
    session.run(late, "Fine.", background=False)
    assert session.send("PostToolBatch", tool_calls=[slow, late]).note == {"wave": 2}
    again, _ = session.lone("Explore billing")
    session.run(again, "Fine.", background=False)
    assert session.send("PostToolBatch", tool_calls=[again]).note == {}, "counted already"
    assert session.message("Explore the CLI") == ["pass"], "billing and search were one wave"


def test_after_a_wave_of_several_a_lone_call_passes() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth", "Explore billing")
    assert session.message("Explore search") == ["pass"]


def test_an_agent_that_still_runs_makes_no_sequence() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth", background=True)
    assert session.message("Explore billing", background=True) == ["pass"]
    session.finish(1)
    session.finish(2)
    assert session.message("Explore search") == ["deny"]


def test_an_agents_result_counts_before_its_stop_has_been_seen() -> None:
    session = Session()
    session.prompt()
    first, _ = session.call("Explore auth")
    session.send("SubagentStart", agent_id="a")
    done = {"status": "completed", "agentId": "a", "content": "Fine."}
    session.send("PostToolUse", **first, tool_response=done)
    session.send("PostToolBatch", tool_calls=[first])
    assert session.message("Explore billing") == ["deny"]


def test_a_resumed_agent_is_no_new_launch_and_runs_again() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth")
    session.other("SendMessage")
    session.send("SubagentStart", agent_id="agent-toolu_1")
    assert session.message("Explore billing") == ["pass"]


def test_a_new_human_prompt_starts_anew_and_a_machine_turn_does_not() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth")
    session.prompt()
    assert session.message("Explore billing") == ["pass"]
    session.send("UserPromptSubmit", prompt="<task-notification>\n<task-id>1</task-id>")
    assert session.message("Explore search") == ["deny"]


def test_what_a_notification_or_another_tool_told_can_be_depended_on() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth")
    session.other("Grep", "src/ledger/post.py: def post_entry()")
    assert session.message("Explain post_entry in depth") == ["pass"]


def test_after_the_conversation_itself_changed_files_a_lone_agent_passes() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth")
    session.other("Edit")
    assert session.message("Explore billing") == ["pass"]


def test_an_answer_that_names_what_comes_next_lets_it_pass() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth", answers="The trouble is in src/auth/token_cache.py")
    assert session.message("Explain src/auth/token_cache.py") == ["pass"]


def test_the_answer_of_a_background_agent_counts_too() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth", background=True)
    session.finish(1, "The trouble is in src/auth/token_cache.py")
    assert session.message("Explain src/auth/token_cache.py") == ["pass"]


def test_a_sub_agents_own_agents_are_judged_in_its_scope() -> None:
    main = Session()
    main.prompt()
    main.message("Explore auth")
    inner = Session(agent_id="inner")
    inner.history = main.history
    assert inner.message("Explore billing") == ["pass"]
    assert inner.message("Explore search") == ["deny"]


def test_advice_comes_once_a_prompt_and_only_after_a_wave_of_one() -> None:
    session = Session()
    session.prompt()
    fields, _ = session.call("Explore auth")
    assert session.send("PostToolBatch", tool_calls=[fields]).text == gate.ADVICE
    session.prompt()
    session.message("Explore auth", "Explore billing")
    fields, _ = session.call("Explore search")
    assert session.send("PostToolBatch", tool_calls=[fields]).kind == "context"
    fields, _ = session.call("Explore cli")
    assert session.send("PostToolBatch", tool_calls=[fields]).kind == "pass"


def test_an_overruled_denial_is_noted_for_the_log() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth")
    session.message("Explore billing")
    _, verdict = session.call("Explore billing")
    assert verdict.note["verdict"] == "overruled"


def test_strict_denies_after_any_wave_and_lets_the_second_sending_pass() -> None:
    session = Session("strict")
    session.prompt()
    assert session.message("Explore auth", "Explore billing") == ["pass", "pass"]
    assert session.message("Based on the findings, explore search") == ["deny"]
    assert session.message("Based on the findings, explore search") == ["pass"]
    assert session.message("Explore the CLI", "Explore docs") == ["pass", "pass"]


def test_warn_says_it_and_blocks_nothing() -> None:
    session = Session("warn")
    session.prompt()
    session.message("Explore auth")
    assert session.message("Explore billing") == ["context"]


def test_off_says_nothing() -> None:
    session = Session("off")
    session.prompt()
    assert [session.message(f"Explore {name}") for name in "abc"] == [["pass"]] * 3


def test_without_history_nothing_is_denied() -> None:
    session = Session()
    _, verdict = session.call("Explore billing")
    assert verdict.kind == "pass"


MESSAGES = st.lists(
    st.one_of(
        st.lists(
            st.sampled_from(["Explore auth", "Explore billing", "Explore search", "Run it"]),
            min_size=1,
            max_size=4,
        ),
        st.sampled_from(["Bash", "Edit", "Grep"]),
        st.just("prompt"),
    ),
    max_size=12,
)


@given(MESSAGES, st.sampled_from(["smart", "strict"]))
def test_every_conversation_goes_on_because_every_denied_call_passes_when_sent_again(
    messages: list[Any], mode: Mode
) -> None:
    session = Session(mode)
    session.prompt()
    for message in messages:
        if message == "prompt":
            session.prompt()
        elif isinstance(message, str):
            session.other(message)
        elif "deny" in (told := session.message(*message)):
            assert len(told) == 1, "a call with siblings is never denied"
            assert session.message(*message) == ["pass"]


@given(st.permutations(range(14)))
def test_every_order_of_fourteen_calls_in_one_message_passes_whole(order: list[int]) -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth")
    kinds = [session.call(f"Explore part{number}")[1].kind for number in order]
    assert kinds == ["wait"] + ["pass"] * 13
    assert session.settle().kind == "pass"


@pytest.mark.parametrize(
    "content",
    [
        pytest.param([], id="no block"),
        pytest.param("", id="no word"),
        pytest.param([{"type": "text", "text": "  "}], id="an empty block"),
        pytest.param(
            [{"type": "text", "text": "(Subagent completed but returned no output.)"}],
            id="the client says so",
        ),
    ],
)
def test_an_agent_that_answered_nothing_may_be_followed(content: object) -> None:
    session = Session()
    session.prompt()
    first, _ = session.lone("Explore auth.")
    done = {"status": "completed", "agentId": "a", "prompt": "Explore auth.", "content": content}
    session.send("PostToolUse", **first, tool_response=done)
    session.send("PostToolBatch", tool_calls=[first])
    _, verdict = session.lone("Explore billing.")
    assert verdict.note["why"] == "the earlier agent answered nothing"


def test_an_answer_is_read_without_the_marks_of_its_blocks() -> None:
    session = Session()
    session.prompt()
    session.message("Explore auth.", answers="API Error: 529 overloaded")
    _, verdict = session.lone("Explore billing.")
    assert verdict.note["why"] == "the earlier agent did not finish this"
