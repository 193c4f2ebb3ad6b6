"""Matchers mean what Claude Code's JavaScript makes of them; what can't be read so stays with the client."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from fanout_hooks.client.matchers import compiled, is_match, meets, seen_as, why_unread

HEAD, *LINES = (Path(__file__).parent / "matchers.txt").read_text().splitlines()
NAMES: list[str] = json.loads(HEAD)
JUDGED = [(row[0], row[1], row[-1]) for row in (line.split("\t") for line in LINES)]
"""Matcher, the verdict of JavaScriptCore, the verdict of V8 (`make matchers`)."""


def mask_of(matcher: str) -> str:
    return f"{sum(1 << at for at, name in enumerate(NAMES) if is_match(matcher, name)):x}"


def test_thousands_of_matchers_are_read_as_both_engines_read_them_or_not_at_all() -> None:
    assert len(JUDGED) >= 5_000
    wrong = [
        (matcher, core, v8, mask_of(matcher))
        for matcher, core, v8 in JUDGED
        if not why_unread(matcher) and not core == v8 == mask_of(matcher)
    ]
    assert wrong == []


def test_two_thirds_of_what_javascript_takes_is_read_however_odd() -> None:
    taken = [matcher for matcher, core, v8 in JUDGED if core == v8 != "x"]
    unread = [matcher for matcher in taken if why_unread(matcher)]
    assert len(unread) < len(taken) / 3


def test_what_is_no_pattern_of_javascript_is_not_read() -> None:
    refused = [matcher for matcher, core, v8 in JUDGED if "x" in (core, v8)]
    assert len(refused) > 500
    assert [matcher for matcher in refused if not why_unread(matcher)] == []


@pytest.mark.parametrize(
    ("matcher", "value", "met"),
    [
        ("code-reviewer", "code-reviewer-lite", False),
        ("Edit|Write|mcp__my-server__get", "NotebookEdit", False),
        ("mcp__my-server", "mcp__my-server__get", False),
        ("mcp__my-server__.*", "mcp__my-server__get", True),
        ("Task", "Agent", True),
        ("^Task$", "Agent", True),
        ("KillBash", "TaskStop", True),
        ("Brief, Bash", "SendUserMessage", True),
        ("Artifact", "ArtifactData", True),
        ("^Artifact$", "ArtifactData", True),
        ("^Artifact$|x.", "ArtifactData", False),
        (" Bash ", "Bash", True),
        ("Bash\n", "Bash", False),
        ("*", "anything", True),
    ],
)
def test_names_are_met_as_the_client_meets_them(matcher: str, value: str, met: object) -> None:
    assert is_match(matcher, value) is met


@pytest.mark.parametrize(
    ("event", "matcher", "given", "name"),
    [
        ("PreToolUse", "Bash", {"command": "ls"}, "Bash"),
        ("PermissionRequest", "Bash", {"command": "ls"}, "Bash"),
        ("PostToolUse", "Bash", {"command": "ls"}, ""),
        ("PreToolUse", "Bash", {"command": ""}, ""),
        ("PreToolUse", "Bash", {"url": "ws://x"}, ""),
        ("PreToolUse", "Bash|Monitor", {"command": "ls"}, "Monitor"),
        ("PreToolUse", "", {"command": "ls"}, "Monitor"),
        ("PreToolUse", "^Ba", {"command": "ls"}, "Bash"),
        ("PreToolUse", "^(?!Monitor)", {"command": "ls"}, ""),
        ("PreToolUse", "^(?!Monitor).*Bash", {"command": "ls"}, "Bash"),
        ("PreToolUse", "[^M]ash", {"command": "ls"}, ""),
    ],
)
def test_a_call_of_monitor_is_met_as_bash_where_the_client_lets_it_stand_in(
    event: str, matcher: str, given: dict[str, Any], name: str
) -> None:
    assert meets(matcher, event, "Monitor", given=given) == name


def test_a_stand_in_is_shown_the_command_and_nothing_that_only_monitor_has() -> None:
    call = {"command": "ls", "description": "d", "timeout_ms": 5}
    shown = seen_as({"tool_name": "Monitor", "tool_input": call, "cwd": "/"}, "Bash")
    assert shown == {"tool_name": "Bash", "tool_input": {"command": "ls", "description": "d"}, "cwd": "/"}


def test_outside_events_that_list_names_a_comma_or_hyphen_makes_a_pattern() -> None:
    assert is_match("rate_limit|server", "rate_limit", lists_names=False)
    assert is_match("rate-limit", "my-rate-limit", lists_names=False)
    assert not is_match("a,b", "a", lists_names=False)


@rules(deadline=None, max_examples=300)
@given(st.text(alphabet="ab.*+?()[]{}|^$\\-:=!<>1,é😀", max_size=12))
def test_every_text_is_read_or_refused_with_a_reason_and_at_once(matcher: str) -> None:
    if not why_unread(matcher) and matcher not in ("", "*"):
        is_match(matcher, "a" * 128)


@pytest.mark.parametrize("matcher", ["(a+)+$", "(a*)*b", "(?:a+b?)+c", "a*a*a*a*b", "(a|b+)*c", ".*.*.*.*x"])
def test_what_may_take_for_ever_stays_with_the_client(matcher: str) -> None:
    assert why_unread(matcher)


def test_a_pattern_is_read_once() -> None:
    assert compiled("^Ba") is compiled("^Ba")
