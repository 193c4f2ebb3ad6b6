"""agent_swarm as its caller sees it: merged answers with a model, ready agent calls without one."""

from __future__ import annotations

import json
import random
import time
from pathlib import Path

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.scripted import Reply, Scripted
from fakes.upstream import Rule, serving
from fakes.virtual import virtually
from fanout_mcp import cli
from fanout_mcp.backends.plan import PlanBackend
from fanout_mcp.commands.flags import NO_VERDICT
from fanout_mcp.edge.catalog import parse
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import BudgetExceeded, InvalidInput, Rejected
from fanout_mcp.state.settings import Settings
from fanout_mcp.tools import agent_swarm
from fanout_mcp.tools.agent_swarm import TOOL, Args, Chosen, Idea, Lens, merge
from fanout_mcp.tools.services import Services, ToolResult
from fanout_mcp.types import Answer, Job, Json, ModelPrice, Outcome, Prompt, no_progress


def idea(*titles: str, delay_s: float = 1.0) -> Reply:
    said = {"ideas": [{"title": title, "detail": f"Because of {title.lower()}."} for title in titles]}
    return Reply(json.dumps(said), delay_s)


def swarm(
    root: Path, backend: Scripted | PlanBackend, cap: int = 50, **arguments: Json
) -> tuple[ToolResult, float]:
    async def main() -> tuple[ToolResult, float]:
        services = Services(Settings(root=root, config_dir=root / "config"), backend, Limits(cap))
        given = parse(Args, {"task": "Name test cases for the upload", **arguments})
        return await TOOL.call(services, given, no_progress), trio.current_time()

    return virtually(main)


def test_near_duplicates_are_merged_ranked_and_say_who_said_it(tmp_path: Path) -> None:
    backend = Scripted(
        {
            "Your lens: empty": idea("An empty file raises IndexError", "The progress bar divides by zero"),
            "Your lens: huge": idea("A file of four gigabytes fills the memory"),
            "Your lens: types": idea("Empty files raise an IndexError"),
        }
    )
    result, elapsed = swarm(tmp_path, backend, count=3, lenses=["empty", "huge", "types"])
    data = result.data
    assert [(answer["title"], answer["said_by"]) for answer in data["answers"]] == [
        ("An empty file raises IndexError", ["empty", "types"]),
        ("A file of four gigabytes fills the memory", ["huge"]),
        ("The progress bar divides by zero", ["empty"]),
    ]
    assert (data["agents"], data["merged"], data["failed"], elapsed) == (3, 1, [], 1.0)
    assert data["receipt"]["calls"] == 3
    report = Path(data["report"]).read_text()
    assert "- types: Empty files raise an IndexError" in report


def test_two_hundred_agents_take_as_many_waves_as_the_cap_demands(tmp_path: Path) -> None:
    backend = Scripted({}, idea("The same for all", delay_s=0.1))
    result, elapsed = swarm(tmp_path, backend, count=200)
    assert elapsed == pytest.approx(0.4)
    assert (len(result.data["answers"]), result.data["merged"], backend.peak) == (1, 199, 50)
    assert result.data["answers"][0]["said_by"][-1] == "+195"


def test_each_agent_looks_through_another_lens_at_the_same_task(tmp_path: Path) -> None:
    backend = Scripted({}, idea("x"))
    swarm(tmp_path, backend, count=100)
    asked = [job.prompt.user for job in backend.asked]
    assert len(set(asked)) == 100
    assert all(prompt.startswith("Task:\nName test cases for the upload") for prompt in asked)


def test_a_few_that_hang_are_cut_once_nine_of_ten_have_answered(tmp_path: Path) -> None:
    backend = Scripted({"Your lens: empty": idea("x", delay_s=1e6)}, idea("y"))
    result, elapsed = swarm(tmp_path, backend, count=10)
    assert (result.data["cut"], elapsed, backend.cancelled) == (1, 1.5, 1)


def test_failures_are_counted_by_reason_and_all_of_them_are_an_error(tmp_path: Path) -> None:
    backend = Scripted({"Your lens: empty": Reply(error=Rejected("no such model"))}, idea("y"))
    result, _ = swarm(tmp_path, backend, count=5)
    assert (result.data["failed"], result.is_error) == ([{"agents": 1, "reason": "no such model"}], False)
    result, _ = swarm(tmp_path, Scripted({}, Reply(error=Rejected("no such model"))), count=5)
    assert (result.data["failed"], result.is_error) == ([{"agents": 5, "reason": "no such model"}], True)


def test_its_price_is_checked_before_the_first_call(tmp_path: Path) -> None:
    backend = Scripted({}, prices={"model-of-swarm": ModelPrice(10.0, 50.0)})
    with pytest.raises(BudgetExceeded, match="These 100 calls"):
        swarm(tmp_path, backend, count=100)
    assert backend.asked == []


def test_without_a_model_the_host_gets_messages_of_at_most_six(tmp_path: Path) -> None:
    data = swarm(tmp_path, PlanBackend("No key."), count=20)[0].data
    sizes = [len(message) for message in data["plan"]["messages"]]
    assert sizes == [5, 5, 5, 5]
    call = data["plan"]["messages"][0][0]
    assert call.keys() == {"subagent_type", "description", "prompt"}
    assert "Name test cases for the upload" in call["prompt"]


def test_a_large_plan_keeps_the_task_in_a_file_and_stays_in_bounds(tmp_path: Path) -> None:
    task = "Name test cases. " + "All about uploads. " * 300
    data = swarm(tmp_path, PlanBackend(), count=100, task=task)[0].data
    assert len(json.dumps(data)) < 50_000
    prompt = data["plan"]["messages"][0][0]["prompt"]
    path = prompt.split("Read ", 1)[1].split(": it holds your task", 1)[0]
    assert Path(path).read_text().startswith(task.strip())


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"count": 0}, "count"),
        ({"count": 201}, "count"),
        ({"task": " "}, "task is empty"),
        ({"task": "x" * 30_001}, "task has 30,001 characters"),
        ({"engine": "static"}, "engine"),
        ({"counts": 3}, "did you mean `count`"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said(
    tmp_path: Path, arguments: dict[str, Json], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        swarm(tmp_path, Scripted(), **arguments)


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [({"engine": "model"}, "There is no model"), ({"count": 101}, "ask for at most 100")],
)
def test_what_only_a_model_can_do_is_refused_without_one(
    tmp_path: Path, arguments: dict[str, Json], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        swarm(tmp_path, PlanBackend(), **arguments)


def test_agents_whose_answers_can_not_be_read_have_failed_in_progress_result_and_status(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(Rule(text="I will look into it.")) as upstream:
        monkeypatch.setenv("FANOUT_BASE_URL", upstream.url)
        assert cli.main(["swarm", "Name test cases", "--count", "4"]) == NO_VERDICT
    shown = capsys.readouterr()
    assert "4 failed: its answer could not be read" in shown.out
    assert shown.err.count(": failed") == 4
    assert "answered" not in shown.err


def test_what_an_unreadable_answer_cost_is_counted(tmp_path: Path) -> None:
    lost, said = (swarm(tmp_path, Scripted({}, reply))[0].data for reply in (Reply("No."), idea("Yes")))
    assert lost["receipt"]["calls"] == said["receipt"]["calls"] == 5
    assert lost["receipt"]["tokens_out"] == said["receipt"]["tokens_out"] > 0


def test_from_the_shell(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    assert cli.main(["swarm", "Name test cases", "--count", "3", "--json", "--engine", "plan"]) == 0
    assert len(json.loads(capsys.readouterr().out)["plan"]["messages"][0]) == 3
    text = json.dumps({"ideas": [{"title": "An empty file", "detail": "It has no first line."}]})
    with serving(Rule(text=text)) as upstream:
        monkeypatch.setenv("FANOUT_BASE_URL", upstream.url)
        assert cli.main(["swarm", "Name test cases", "--count", "4"]) == 0
    shown = capsys.readouterr().out
    assert " 1. An empty file" in shown
    assert "4 agents (tests), 3 merged, 0 cut." in shown


# --- lenses, near-duplicates, ideas read --------------------------------------------------------------------


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
    assert agent_swarm.choose(task, 3, None).kind == kind


@pytest.mark.parametrize("kind", agent_swarm.table()["kinds"])
def test_each_kind_has_lenses_for_a_large_swarm_all_different(kind: str) -> None:
    found = agent_swarm.choose("x", 200, [kind]).lenses
    assert len({lens.name for lens in found}) == len({lens.look for lens in found}) == 200


def test_given_lenses_come_first_alone_and_then_with_viewpoints() -> None:
    chosen = agent_swarm.choose("x", 3, ["money: what it costs", "law"])
    assert [lens.name for lens in chosen.lenses] == ["money", "law", "money 2"]
    assert chosen.lenses[0].look == "what it costs"
    assert chosen.lenses[2].look == f"what it costs; {agent_swarm.table()['viewpoints'][0]}"
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
        agent_swarm.choose("x", count, given_lenses)


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
    read = {one.key: agent_swarm.read_ideas(one.key, one.answer) or [] for one in outcomes if one.answer}
    found = agent_swarm.unite(chosen, outcomes, read)
    data = agent_swarm.short(found)
    assert len(json.dumps(data)) < 12_000
    assert (len(data["answers"]), data["merged"], data["more"]) == (25, 400, "175 more in the report")
    assert agent_swarm.report("task", found).count("## ") >= 200


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
    found = agent_swarm.read_ideas("a", Answer(text, "m"))
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
    found = agent_swarm.read_ideas("a", Answer(text, "m"))
    assert found
    assert "Hide" in found[0].title
    assert "0123456789abcdef" not in str(found)


@pytest.mark.parametrize("text", ["\n" * 16_000 + "x", "- " + " " * 16_000, "1" * 16_000, " \n" * 16_000])
def test_an_answer_that_degenerates_is_read_in_no_time(text: str) -> None:
    began = time.process_time()
    assert agent_swarm.read_ideas("a", Answer(text, "m")) is None
    assert time.process_time() - began < 1, "quadratic readers took several seconds"


def test_a_swarm_has_enough_once_nine_of_ten_have_answered() -> None:
    rule = agent_swarm.enough(10)
    answers = [outcome(str(number), "x") for number in range(10)]
    assert rule(answers[:8], ["8", "9"]) == ""
    assert rule(answers[:9], ["9"]) == "9 agents had answered"
