"""Text is put into a JSON file and cut out again, and no other byte moves."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.written import objects, written
from fanout_hooks.client import json_edit

ADDED = {"command": 'say "ä"', "args": [1, []]}


@st.composite
def texts(draw: st.DrawFn) -> str:
    """Texts with lists and objects of every size at two depths, in any order."""
    some = objects(keys=("a", "b", "c"))
    items = st.lists(some | st.integers(), max_size=3)
    data = draw(some) | {"list": draw(items), "object": draw(some) | {"list": draw(items)}}
    return draw(written(st.permutations(list(data.items())).map(dict)))


@given(texts(), st.sampled_from([("list",), ("object", "list")]))
def test_of_every_text_cutting_an_added_item_gives_the_old_text(text: str, keys: tuple[str, ...]) -> None:
    there = _at(json.loads(text), keys)
    after = json_edit.with_item(text, keys, ADDED)
    assert _at(json.loads(after), keys) == [*there, ADDED]
    assert json_edit.without(after, (*keys, len(there))) == text


@given(
    texts(), st.sampled_from([("new",), ("object", "new"), ("object", "new", "one"), ("new", "one", "two")])
)
def test_of_every_text_cutting_an_added_member_gives_the_old_text(text: str, keys: tuple[str, ...]) -> None:
    after = json_edit.with_member(text, keys, ADDED)
    assert _at(json.loads(after), keys) == ADDED
    assert list(json.loads(after))[: len(json.loads(text))] == list(json.loads(text))
    assert json_edit.without(after, keys[: keys.index("new") + 1]) == text


@given(texts())
def test_a_list_that_is_missing_is_made_with_its_first_item(text: str) -> None:
    after = json_edit.with_item(text, ("new", "list"), ADDED)
    assert json.loads(after) == {**json.loads(text), "new": {"list": [ADDED]}}
    assert json_edit.without(after, ("new",)) == text


@pytest.mark.parametrize(
    ("before", "after"),
    [
        ('{"a": {"x":1},   "n": 3}', '{"a": {"x":1, "new": [true]},   "n": 3}'),
        ('{\n\t"a": {}\n}', '{\n\t"a": {\n\t\t"new": [\n\t\t\ttrue\n\t\t]\n\t}\n}'),
        ('{\r\n  "a": {}\r\n}', '{\r\n  "a": {\r\n    "new": [\r\n      true\r\n    ]\r\n  }\r\n}'),
        ('{\n  "a": {"x": 1}\n}\n', '{\n  "a": {"x": 1, "new": [true]}\n}\n'),
        ('{"a":{ }}', '{"a":{"new": [true] }}'),
    ],
    ids=["one line", "tabs", "CRLF", "an object on one line", "a space in it"],
)
def test_what_is_added_stands_as_its_neighbours_do(before: str, after: str) -> None:
    assert json_edit.with_member(before, ("a", "new"), [True]) == after


def test_an_item_before_others_is_cut_with_its_comma() -> None:
    assert json_edit.without('{"a": [1,  2, 3]}', ("a", 0)) == '{"a": [2, 3]}'


def _at(data: Any, keys: tuple[str, ...]) -> Any:
    for key in keys:
        data = data[key]
    return data
