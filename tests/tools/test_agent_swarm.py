"""agent_swarm as its caller sees it: merged answers with a model, ready agent calls without one."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
import trio

from fakes.upstream import Rule, serving
from fakes.virtual import virtually
from fanout_mcp import cli
from fanout_mcp.backends.plan import PlanBackend
from fanout_mcp.backends.scripted import Reply, Scripted
from fanout_mcp.commands.flags import NO_VERDICT
from fanout_mcp.edge.catalog import parse
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import BudgetExceeded, InvalidInput, Rejected
from fanout_mcp.state.settings import Settings
from fanout_mcp.tools.agent_swarm import TOOL, Args
from fanout_mcp.tools.services import Services, ToolResult
from fanout_mcp.types import Json, ModelPrice, no_progress


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
