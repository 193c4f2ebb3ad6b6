"""An answer is read tolerantly in how it is written, strictly in what it means."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.scripted import verdict
from fanout_mcp.panel.answer import FORM, Position, Unreadable, parse
from fanout_mcp.types import Json

STOP = {"blocker": "It loses data.", "smallest_change": "Write first."}


def read(text: str, data: Json = None) -> Position:
    found = parse(text, data)
    assert isinstance(found, Position), found
    return found


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(verdict(), id="plain"),
        pytest.param(f"```json\n{verdict()}\n```", id="fenced"),
        pytest.param(f"Let me think. {{a}} is odd.\n\n{verdict()}\n\nThat is all.", id="in prose"),
        pytest.param(
            verdict("STOP", summary="First thought.", **STOP) + "\nNo:\n" + verdict(),  # type: ignore[arg-type]
            id="the last one counts",
        ),
        pytest.param(verdict().replace("PROCEED", "**proceed**."), id="bold and small"),
        pytest.param(verdict().replace('"verdict"', '"Verdict"'), id="a capital in a name"),
    ],
)
def test_what_models_wrap_around_their_answer_is_looked_through(text: str) -> None:
    assert read(text).verdict == "PROCEED"
    assert read(text).summary == "It holds."


@pytest.mark.parametrize(
    "text",
    [
        pytest.param("", id="empty"),
        pytest.param("I would go ahead.", id="prose"),
        pytest.param("PROCEED", id="a bare word"),
        pytest.param("[1, 2]", id="a list"),
        pytest.param('{"summary": "fine"}', id="no verdict"),
        pytest.param(verdict("MAYBE"), id="another word"),
        pytest.param(verdict("PROCEED or STOP"), id="two words"),
        pytest.param(verdict(summary=""), id="no summary"),
        pytest.param(FORM, id="the form itself, given back"),
        pytest.param(verdict(summary="your judgement in one sentence"), id="the template, unfilled"),
        pytest.param(verdict(summary="<Your judgement in one sentence.>"), id="the template, dressed up"),
        pytest.param(verdict(summary="..."), id="dots"),
        pytest.param(verdict()[:-10], id="cut off"),
        pytest.param("{" * 5000, id="braces without end"),
    ],
)
def test_what_is_no_judgement_is_never_taken_for_one(text: str) -> None:
    assert isinstance(parse(text), Unreadable)


@pytest.mark.parametrize(
    "said",
    [
        "Comments may hold <script> tags.",
        "Use List<item> instead of a raw list.",
        "Only with STOP codes does the parser fail.",
        "Its help text says 'your judgement in one sentence', which nobody understands.",
    ],
)
def test_code_and_words_of_the_form_inside_a_sentence_are_that_members_own(said: str) -> None:
    assert read(verdict(summary=said)).summary == said
    stop = read(verdict("STOP", blocker=said, smallest_change=said))
    assert (stop.verdict, stop.blocker, stop.smallest_change) == ("STOP", said, said)


def test_a_stop_whose_blocker_is_the_unfilled_template_has_none() -> None:
    unfilled = "only with STOP: the one thing that must not go ahead, else null"
    said = read(verdict("STOP", blocker=unfilled, smallest_change="Write first."))
    assert (said.verdict, said.note) == ("SIMPLIFY", "said STOP without blocker: counted as SIMPLIFY")


@pytest.mark.parametrize("missing", ["blocker", "smallest_change"])
@pytest.mark.parametrize("nothing", [None, "", "none", "N/A"])
def test_a_stop_without_its_reason_counts_as_simplify_and_says_so(missing: str, nothing: str | None) -> None:
    said = read(json.dumps({**json.loads(verdict("STOP")), **STOP, missing: nothing}))
    assert said.verdict == "SIMPLIFY"
    assert said.note == f"said STOP without {missing}: counted as SIMPLIFY"


def test_a_stop_with_blocker_and_change_is_a_stop() -> None:
    said = read(json.dumps({**json.loads(verdict("STOP")), **STOP}))
    assert (said.verdict, said.blocker, said.note) == ("STOP", "It loses data.", "")


@pytest.mark.parametrize(
    ("given_as", "percent"),
    [
        (80, 80),
        ("80 %", 80),
        (0.8, 80),
        (1, 1),
        (1.0, 100),
        (0, 0),
        (100, 100),
        (101, None),
        (-1, None),
        ("high", None),
        (None, None),
        (True, None),
        ([80], None),
    ],
)
def test_confidence_is_read_as_percent_or_not_at_all(given_as: Json, percent: int | None) -> None:
    assert read(json.dumps({**json.loads(verdict()), "confidence": given_as})).confidence == percent


def test_what_the_backend_has_parsed_counts_before_the_text() -> None:
    assert read("whatever", json.loads(verdict("SIMPLIFY"))).verdict == "SIMPLIFY"


def test_a_key_in_an_answer_goes_no_further() -> None:
    said = read(verdict(summary="The key sk-or-v1-0123456789abcdef0123456789 is in it."))
    assert "0123456789abcdef" not in said.summary


@given(st.text(max_size=300), st.recursive(st.none() | st.booleans() | st.floats() | st.text(), st.lists))
def test_every_text_is_read_or_refused_and_never_raises(text: str, data: Json) -> None:
    assert isinstance(parse(text, data), Position | Unreadable)


@given(
    st.dictionaries(
        st.sampled_from(["verdict", "confidence", "summary", "reasons", "blocker", "smallest_change"]),
        st.none() | st.booleans() | st.integers() | st.floats() | st.text() | st.lists(st.text()),
    )
)
def test_every_stop_that_counts_has_a_blocker_and_a_change(fields: dict[str, Json]) -> None:
    said = parse("", fields)
    if isinstance(said, Position):
        assert said.summary
        assert said.confidence is None or 0 <= said.confidence <= 100
        assert said.verdict != "STOP" or (said.blocker and said.smallest_change)
