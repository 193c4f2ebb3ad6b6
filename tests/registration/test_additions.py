"""Adding to somebody's JSON and taking it out again."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.errors import InvalidInput
from fanout_mcp.registration.additions import Addition, Made, add, take_out

KEYS = ("permissions", "allow", "hooks", "PreToolUse", "mcpServers", "fanout", "x")
SERVER = Addition(keys=("mcpServers", "fanout"), value={"command": "ours"})
RULE = Addition(keys=("permissions", "allow"), value="mcp__fanout", is_item=True)
HOOK = Addition(keys=("hooks", "PreToolUse"), value={"hooks": [{"type": "mcp_tool"}]}, is_item=True)
WANTED = [SERVER, RULE, HOOK]

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=5) | st.just("mcp__fanout"),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.sampled_from(KEYS), inner, max_size=4),
    max_leaves=12,
)
settings_files = st.dictionaries(st.sampled_from(KEYS), json_values, max_size=4)


@given(settings_files)
def test_from_every_file_exactly_what_was_added_is_taken_out(data: dict[str, Any]) -> None:
    try:
        with_ours, made = add(data, WANTED)
    except InvalidInput:
        return  # a file that can't be added to is left alone
    assert list(take_out(with_ours, made).items()) == list(data.items())


@given(settings_files)
def test_to_every_file_adding_twice_adds_once(data: dict[str, Any]) -> None:
    try:
        once, _ = add(data, WANTED)
    except InvalidInput:
        return
    twice, made = add(once, WANTED)
    assert twice == once
    assert made == Made()


def test_a_rule_that_the_user_wrote_stays() -> None:
    mine = {"permissions": {"allow": ["mcp__fanout"]}}
    with_ours, made = add(mine, [RULE])
    assert take_out(with_ours, made) == mine


def test_what_the_user_changed_around_ours_stays() -> None:
    with_ours, made = add({"model": "opus"}, WANTED)
    with_ours["permissions"]["allow"].insert(0, "Bash(ls)")
    with_ours["hooks"]["Stop"] = []
    del with_ours["model"]
    assert take_out(with_ours, made) == {
        "permissions": {"allow": ["Bash(ls)"]},
        "hooks": {"Stop": []},
    }


def test_an_entry_that_the_user_only_added_to_is_still_ours() -> None:
    with_ours, made = add({}, [SERVER])
    with_ours["mcpServers"]["fanout"]["timeout"] = 5000
    assert take_out(with_ours, made) == {}


def test_an_entry_that_the_user_replaced_is_no_longer_ours() -> None:
    with_ours, made = add({}, [SERVER])
    with_ours["mcpServers"]["fanout"]["command"] = "another"
    assert take_out(with_ours, made) == with_ours


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
        add(data, WANTED)
