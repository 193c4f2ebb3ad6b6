"""A swarm looks in as many ways as it has agents, says nothing twice, and loses nothing that differs."""

from __future__ import annotations

import json
import random
import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fanout_mcp.errors import InvalidInput
from fanout_mcp.panel import swarm
from fanout_mcp.panel import swarm as panel_swarm
from fanout_mcp.panel.swarm import Chosen, Idea, Lens, merge
from fanout_mcp.types import Answer, Job, Outcome, Prompt


@pytest.mark.parametrize(
    ("task", "kind"),
    [
        ("Which test cases does the parser need?", "tests"),
        ("Why does the upload crash at night?", "hypotheses"),
        ("Review the plan to move sessions to Redis", "angles"),
        ("Design a cache for thumbnails", "approaches"),
        ("Thumbnails", "approaches"),
    ],
)
def test_the_task_chooses_the_kind_of_lenses(task: str, kind: str) -> None:
    assert panel_swarm.choose(task, 3, None).kind == kind


@pytest.mark.parametrize("kind", panel_swarm.kinds())
def test_each_kind_has_lenses_for_a_large_swarm_all_different(kind: str) -> None:
    found = panel_swarm.choose("x", 200, [kind]).lenses
    assert len({lens.name for lens in found}) == len({lens.look for lens in found}) == 200


def test_given_lenses_come_first_alone_and_then_with_viewpoints() -> None:
    chosen = panel_swarm.choose("x", 3, ["money: what it costs", "law"])
    assert [lens.name for lens in chosen.lenses] == ["money", "law", "money 2"]
    assert chosen.lenses[0].look == "what it costs"
    assert chosen.lenses[2].look == f"what it costs; {panel_swarm.viewpoints()[0]}"
    assert (chosen.kind, chosen.ask) == ("given", "")


@pytest.mark.parametrize(
    ("count", "given_lenses", "sentence"),
    [
        (10, ["law"], "1 lenses make at most 9 different agents, not 10"),
        (1, [""], "A lens has 1 to 300 characters"),
        (1, ["x" * 301], "A lens has 1 to 300 characters"),
    ],
)
def test_lenses_that_can_not_be_used_are_refused(count: int, given_lenses: list[str], sentence: str) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        panel_swarm.choose("x", count, given_lenses)


def said(*titles: str, detail: str = "") -> list[Idea]:
    return [Idea(f"agent {place}", 0, title, detail) for place, title in enumerate(titles)]


SAME = [
    ("An empty list raises IndexError", "Empty lists raise an IndexError"),
    ("Retry sends the payment twice.", "Retrying sends the payment twice"),
    ("Use a queue between upload and resize", "Use a queue between the upload and the resizing"),
    ("Die Sitzung läuft ab, während gespeichert wird", "Die Sitzung läuft ab während gespeichert wird!"),
]
DIFFERENT = [
    ("An empty list raises an error", "A huge list raises an error"),
    ("The token is checked before use", "The token is not checked before use"),
    ("Accept 0 items", "Accept 1 items"),
    ("Take the lock before the read", "Take the lock after the read"),
    ("It does not close the file", "It closes the file"),
    ("Cache the result in memory", "Write the result to disk"),
    ("It can't be retried", "It can be retried"),
]


@pytest.mark.parametrize(("one", "other"), SAME)
def test_the_same_in_other_words_is_one_answer_said_by_both(one: str, other: str) -> None:
    groups = merge(said("Something else entirely happens", one, other))
    assert [group.agents for group in groups] == [["agent 1", "agent 2"], ["agent 0"]]


@pytest.mark.parametrize(("one", "other"), DIFFERENT)
def test_what_differs_in_what_matters_stays_apart(one: str, other: str) -> None:
    assert len(merge(said(one, other))) == 2
    assert len(merge(said(*(text for pair in DIFFERENT for text in pair), one, other))) == len(
        {text for pair in DIFFERENT for text in pair}
    )


def test_titles_are_compared_also_where_details_have_nothing_in_common() -> None:
    one = Idea(
        "a", 0, "Retry sends the payment twice", "The gateway has no key that makes it safe to repeat."
    )
    other = Idea("b", 0, "Retry sends the payment twice", "Seen in March: two customers were charged again.")
    assert len(merge([one, other])) == 1


def test_what_many_say_comes_first_then_what_agents_put_first() -> None:
    groups = merge(
        [
            Idea("a", 0, "Rate limits are not shared"),
            Idea("a", 1, "Logs hold passwords"),
            Idea("b", 0, "Logs hold passwords"),
            Idea("c", 1, "Time zones are ignored"),
            Idea("c", 0, "Backups are never restored"),
        ]
    )
    assert [group.first.title.split()[0] for group in groups] == ["Logs", "Rate", "Backups", "Time"]


TITLES = st.lists(
    st.lists(
        st.sampled_from(["red", "green", "blue", "list", "not", "0", "1", "retry"]), min_size=1, max_size=6
    ).map(" ".join),
    max_size=40,
)


@settings(max_examples=200, deadline=None)
@given(TITLES)
def test_no_idea_is_lost_and_equal_ones_are_always_merged(titles: list[str]) -> None:
    found = merge(said(*titles))
    kept = sorted(idea.agent for group in found for idea in group.ideas)
    assert kept == sorted(idea.agent for idea in said(*titles))
    assert len(found) <= len({frozenset(title.split()) for title in titles})
    assert merge(said(*titles)) == found


def outcome(key: str, text: str) -> Outcome:
    return Outcome(Job(key, Prompt("", "")), "answered", Answer(text, "m"))


def test_a_large_swarm_s_answer_is_bounded_and_its_report_whole() -> None:
    chance = random.Random(7)
    words = [f"word{number}" for number in range(400)]
    outcomes = [
        outcome(
            f"agent {place}",
            json.dumps({"ideas": [{"title": " ".join(chance.sample(words, 8)), "detail": "x " * 900}] * 3}),
        )
        for place in range(200)
    ]
    chosen = Chosen("tests", "", [Lens(one.key, "") for one in outcomes])
    read = {one.key: panel_swarm.read_ideas(one.key, one.answer) or [] for one in outcomes if one.answer}
    found = swarm.unite(chosen, outcomes, read)
    data = swarm.short(found)
    assert len(json.dumps(data)) < 12_000
    assert (len(data["answers"]), data["merged"], data["more"]) == (25, 400, "175 more in the report")
    assert swarm.report("task", found).count("## ") >= 200


@pytest.mark.parametrize(
    ("text", "titles"),
    [
        pytest.param('{"ideas": [{"title": "A", "detail": "b"}, "C"]}', ["A", "C"], id="the form"),
        pytest.param('Here: ```json\n{"ideas": [{"title": "A"}]}\n```', ["A"], id="in prose"),
        pytest.param("I think:\n- first one\n2. second", ["first one", "second"], id="a list in words"),
        pytest.param('{"ideas": []}', [], id="nothing to say"),
        pytest.param("I will look into it.", None, id="a promise"),
        pytest.param('{"ideas": [{"title": 3}, {"detail": "x"}]}', [], id="no titles"),
    ],
)
def test_answers_are_read_as_they_come(text: str, titles: list[str] | None) -> None:
    found = panel_swarm.read_ideas("a", Answer(text, "m"))
    assert titles == (None if found is None else [idea.title for idea in found])


KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"


@pytest.mark.parametrize(
    "text",
    [
        pytest.param(json.dumps({"ideas": [{"title": f"Hide {KEY}", "detail": f"It is {KEY}."}]}), id="form"),
        pytest.param(f"- Hide {KEY} at once", id="words"),
    ],
)
def test_a_key_in_an_idea_goes_no_further(text: str) -> None:
    found = panel_swarm.read_ideas("a", Answer(text, "m"))
    assert found
    assert "Hide" in found[0].title
    assert "0123456789abcdef" not in str(found)


@pytest.mark.parametrize("text", ["\n" * 16_000 + "x", "- " + " " * 16_000, "1" * 16_000, " \n" * 16_000])
def test_an_answer_that_degenerates_is_read_in_no_time(text: str) -> None:
    began = time.process_time()
    assert panel_swarm.read_ideas("a", Answer(text, "m")) is None
    assert time.process_time() - began < 1, "quadratic readers took several seconds"


def test_a_swarm_has_enough_once_nine_of_ten_have_answered() -> None:
    rule = swarm.Enough(10)
    answers = [outcome(str(number), "x") for number in range(10)]
    assert rule(answers[:8], ["8", "9"]) == ""
    assert rule(answers[:9], ["9"]) == "9 agents had answered"
