"""Objects are found in whatever a model wrote, and no answer keeps the reader busy."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp import jsonish

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=8),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=4), inner, max_size=3),
    max_leaves=8,
)


def named(text: str) -> list[Any]:
    return list(jsonish.objects(text, lambda value: "name" in value))


@pytest.mark.parametrize(
    ("text", "names"),
    [
        pytest.param('{"name": 1}', [1], id="alone"),
        pytest.param('I think: {"name": 1}. And { this } too {"name": 2}', [1, 2], id="in prose"),
        pytest.param('```json\n{\n  "name": 1\n}\n```', [1], id="in a fence"),
        pytest.param('{"name": 1}\n{"name": 2}\n', [1, 2], id="one a line"),
        pytest.param('{"all": [{"name": 1}, {"name": 2}, {"na', [1, 2], id="in a list that was cut"),
        pytest.param('{"result": {"name": 1}}', [1], id="wrapped"),
        pytest.param('{"name": {"name": 1}}', [{"name": 1}], id="the outer one alone"),
        pytest.param("no object at all {}", [], id="none"),
    ],
)
def test_an_object_is_found_wherever_it_stands(text: str, names: list[Any]) -> None:
    assert [found["name"] for found in named(text)] == names


@given(JSON, st.text(alphabet="ab {[\n", max_size=20), st.text(max_size=20))
def test_every_object_is_found_whole_between_any_words(value: Any, before: str, after: str) -> None:
    wanted = {"name": value}
    assert named(f"{before}{json.dumps(wanted)}{after}")[:1] == [wanted]


@pytest.mark.parametrize(
    "text",
    [
        '{"a":[' * 60_000,
        '{"a":' * 80_000,
        '{"' * 200_000,
        "{" * 400_000,
        '{"a": 1} ' * 40_000,
        "\n" * 400_000,
    ],
    ids=["lists", "deep", "quotes", "braces", "many", "lines"],
)
def test_no_degenerate_answer_takes_long_to_read(text: str) -> None:
    before = time.process_time()
    assert named(text) == []
    assert time.process_time() - before < 3  # reading on from every brace to the end takes minutes


# --- degenerate answers -------------------------------------------------------------------------------------


def filled(piece: str) -> str:
    return piece * (jsonish.MAX_LENGTH // len(piece))


DEGENERATE = {
    "objects before closing tags": '{"a":1}' * 5_000 + filled("</think>")[:360_000],
    "tags": filled("<think></think>"),
    "tags behind spaces": filled(" " * 190 + "<think>"),
    "lines before braces that never close": "\n" * 385_000 + '{"x' * 5_000,
    "many fences, each broken": filled("```\n{'verdict': 'x', broken: [1,2,}\n```\n"),
    "long fences, each broken": ("```json\n{" + "'a': 'b', " * 700 + " 'c': [}\n```\n") * 40,
    "4 MB of a key": "sk-" * 1_300_000,
}


@pytest.mark.parametrize("text", DEGENERATE.values(), ids=DEGENERATE)
def test_a_degenerate_answer_is_read_in_a_moment(text: str) -> None:
    began = time.process_time()
    list(jsonish.answers(text, None, jsonish.has("verdict")))
    jsonish.spoken(text)
    assert time.process_time() - began < 1
