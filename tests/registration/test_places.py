"""Adding to somebody's JSON and taking it out again."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

import pytest
from hypothesis import given

from fakes.written import objects, written
from fanout_mcp.errors import InvalidInput
from fanout_mcp.registration.places import Addition, Made, add, take_out

KEYS = ("permissions", "allow", "hooks", "PreToolUse", "mcpServers", "fanout", "x")
SERVER = Addition(keys=("mcpServers", "fanout"), value={"command": "ours"})
RULE = Addition(keys=("permissions", "allow"), value="mcp__fanout", is_item=True)
HOOK = Addition(keys=("hooks", "PreToolUse"), value={"hooks": [{"type": "mcp_tool"}]}, is_item=True)
WANTED = [SERVER, RULE, HOOK]

texts = written(objects(KEYS))


def added(data: Any, wanted: Sequence[Addition] = WANTED) -> tuple[Any, Made]:
    text, made = add(json.dumps(data), wanted)
    return json.loads(text), made


def taken_out(data: Any, made: Made) -> Any:
    return json.loads(take_out(json.dumps(data), made))


@given(texts)
def test_from_every_file_exactly_what_was_added_is_taken_out_byte_for_byte(text: str) -> None:
    try:
        with_ours, made = add(text, WANTED)
    except InvalidInput:
        return  # a file that can't be added to is left alone
    assert take_out(with_ours, made) == text


@given(texts)
def test_to_every_file_adding_twice_adds_once(text: str) -> None:
    try:
        once, _ = add(text, WANTED)
    except InvalidInput:
        return
    twice, made = add(once, WANTED)
    assert twice == once
    assert made == Made()


def test_a_rule_that_the_user_wrote_stays() -> None:
    mine = {"permissions": {"allow": ["mcp__fanout"]}}
    with_ours, made = added(mine, [RULE])
    assert taken_out(with_ours, made) == mine


def test_what_the_user_changed_around_ours_stays() -> None:
    with_ours, made = added({"model": "opus"}, WANTED)
    with_ours["permissions"]["allow"].insert(0, "Bash(ls)")
    with_ours["hooks"]["Stop"] = []
    del with_ours["model"]
    assert taken_out(with_ours, made) == {
        "permissions": {"allow": ["Bash(ls)"]},
        "hooks": {"Stop": []},
    }


def test_an_entry_that_the_user_only_added_to_is_still_ours() -> None:
    with_ours, made = added({}, [SERVER])
    with_ours["mcpServers"]["fanout"]["timeout"] = 5000
    assert taken_out(with_ours, made) == {}


def test_an_entry_that_the_user_replaced_is_no_longer_ours() -> None:
    with_ours, made = added({}, [SERVER])
    with_ours["mcpServers"]["fanout"]["command"] = "another"
    assert taken_out(with_ours, made) == with_ours


@pytest.mark.parametrize(
    ("data", "told"),
    [
        ({"mcpServers": []}, "mcpServers should be an object"),
        ({"permissions": {"allow": "all"}}, "permissions.allow should be a list"),
        ({"mcpServers": {"fanout": {"command": "x"}}}, "mcpServers.fanout is already there and isn't ours"),
    ],
)
def test_a_file_that_cannot_be_added_to_is_named(data: dict[str, Any], told: str) -> None:
    with pytest.raises(InvalidInput, match=told):
        added(data)
