"""What a tool returned reaches warm hooks as it does native ones: text stays text, whatever it looks like."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_hooks.client import hook_input

BLOCKS = [{"type": "text", "text": '{"a": 1}'}, {"type": "image", "source": {"type": "base64", "data": ""}}]


def _rebuilt(tool: str, response: Any) -> Any:
    """Return what a hook reads after the client has written an event into the call's arguments."""
    sent = response if isinstance(response, str) else json.dumps(response, separators=(",", ":"))
    given_by = {"hook_event_name": "PostToolUse", "tool_name": tool, "tool_response": sent}
    return hook_input.from_input(given_by)["tool_response"]


@pytest.mark.parametrize(
    ("tool", "response"),
    [
        ("Bash", {"stdout": "{}", "interrupted": False}),
        ("Read", {"type": "text", "file": {"content": "[]"}}),
        ("Anything", "plain"),
        ("Anything", "{not json"),
        ("Anything", ["a", 1]),
        ("mcp__s__blocks", BLOCKS),
        ("mcp__s__nothing", []),
        ("mcp__s__structured", '{"b":2}'),
        ("mcp__s__structured", '{"b": {"type": "text"}}'),
        ("mcp__s__text", "[1, 2]"),
        ("mcp__s__text", '[{"no": "block"}]'),
        ("mcp__s__text", "[not json"),
        ("mcp__s__text", "[" * 100_000),
    ],
)
def test_a_tools_result_keeps_its_type(tool: str, response: Any) -> None:
    assert _rebuilt(tool, response) == response


@given(st.dictionaries(st.text(), st.integers() | st.text()).map(json.dumps))
def test_every_structured_content_of_a_servers_tool_stays_the_text_that_it_is_natively(text: str) -> None:
    assert _rebuilt("mcp__s__t", text) == text
