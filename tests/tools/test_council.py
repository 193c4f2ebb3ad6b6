"""council as its caller sees it: verdict, rounds, synthesis, waste; and from the shell."""

from __future__ import annotations

import io
import json
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest
import trio
from rich.console import Console

from fakes.scripted import Reply, Scripted, verdict
from fakes.upstream import Rule, serving
from fakes.virtual import virtually
from fanout_mcp import cli
from fanout_mcp.backends.plan import PlanBackend
from fanout_mcp.commands.panels import Board
from fanout_mcp.edge.catalog import parse
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import BudgetExceeded, InvalidInput, Rejected
from fanout_mcp.panel.answer import Position
from fanout_mcp.panel.deliberation import Answered, Discarded, Opened, RoundClosed, Synthesised
from fanout_mcp.state.settings import Settings
from fanout_mcp.tools import council, oracle_batch
from fanout_mcp.tools.services import Services, ToolResult
from fanout_mcp.types import Json, ModelPrice, Progress, no_progress

SYNTHESIS = json.dumps(
    {"agreement": "All see the gain.", "dissent": "", "changed": "", "would_change": "Cost."}
)
WRITER = Reply(SYNTHESIS, delay_s=1.0)


def services(root: Path, backend: Scripted | PlanBackend) -> Services:
    return Services(Settings(root=root, config_dir=root / "config"), backend, Limits(50))


def scripted(prices: Mapping[str, ModelPrice] | None = None, **members: Sequence[Reply]) -> Scripted:
    """Members by persona, one reply a round."""
    rules = {f"model-of-{name}": list(replies) for name, replies in members.items()}
    return Scripted({"model-of-synthesis": WRITER, **rules}, Reply(delay_s=1.0), prices=prices or {})


def ask(
    root: Path, backend: Scripted | PlanBackend, progress: Progress = no_progress, **arguments: Json
) -> tuple[ToolResult, float]:
    async def main() -> tuple[ToolResult, float]:
        given = parse(council.Args, {"question": "Shall we cache the thumbnails?", **arguments})
        result = await council.TOOL.call(services(root, backend), given, progress)
        return result, trio.current_time()

    return virtually(main)


def says(*decisions: str, delay_s: float = 1.0) -> list[Reply]:
    def text(said: str) -> str:
        blocker, change = "It can lose an order.", "Write once."
        return verdict(said, summary=f"I say {said}.", blocker=blocker, smallest_change=change)

    return [Reply(text(said), delay_s) for said in decisions]


def test_it_returns_verdict_votes_rounds_synthesis_and_what_it_took(tmp_path: Path) -> None:
    backend = scripted(judge=says("PROCEED"), critic=says("STOP", "SIMPLIFY"), skeptic=says("PROCEED"))
    result, elapsed = ask(tmp_path, backend)
    data = result.data
    assert (data["decision"], data["agreement"], data["converged"]) == ("PROCEED", 0.67, True)
    assert [vote["verdict"] for vote in data["votes"]] == ["PROCEED", "SIMPLIFY", "PROCEED"]
    assert data["votes"][1]["was"] == "STOP"
    assert data["rounds"] == [
        {"n": 1, "decision": "PROCEED", "agreement": 0.67, "speculative": False, "wasted": 0},
        {"n": 2, "decision": "PROCEED", "agreement": 0.67, "speculative": True, "wasted": 0},
        {"n": 3, "decision": "PROCEED", "agreement": 0.67, "speculative": True, "wasted": 0},
    ]
    assert data["synthesis"]["agreement"] == "All see the gain."
    assert data["wasted"] == {"calls": 0, "tokens": 0, "cost_usd": 0.0}
    assert data["receipt"]["calls"] == len(backend.asked) == 12
    assert (elapsed, data["receipt"]["elapsed_s"], data["saved_s"]) == (4.0, 4.0, 2.0)


def test_the_minutes_hold_every_round_and_word(tmp_path: Path) -> None:
    backend = scripted(judge=says("PROCEED"), critic=says("STOP", "SIMPLIFY"), skeptic=says("PROCEED"))
    text = Path(ask(tmp_path, backend)[0].data["report"]).read_text()
    for words in ("## Round 1: PROCEED", "## Round 3", "I say STOP.", "I say SIMPLIFY.", "### Synthesis"):
        assert words in text
    assert "would have taken 6.00 s with the same answers; it took 4.00 s" in text
    assert "> Shall we cache the thumbnails?" in text


def test_eight_members_in_five_rounds_stay_under_four_thousand_characters(tmp_path: Path) -> None:
    long = "A sentence of some length that goes on and on. " * 20
    turns = [Reply(verdict(said, summary=long), 1.0) for said in ("SIMPLIFY", "PROCEED") * 3]
    backend = scripted(judge=turns)
    backend.default = Reply(verdict("PROCEED", summary=long), 1.0)
    result, _ = ask(tmp_path, backend, preset="all", rounds=5)
    assert len(result.data["rounds"]) == 5
    assert len(json.dumps(result.data, ensure_ascii=False, separators=(",", ":"))) < 4_000


def test_one_round_equals_oracle_batch(tmp_path: Path) -> None:
    def members() -> Scripted:
        return scripted(judge=says("PROCEED"), critic=says("STOP"), skeptic=says("STOP", delay_s=2.0))

    data = ask(tmp_path, members(), rounds=1)[0].data

    async def main() -> Json:
        given = oracle_batch.Args(question="Shall we cache the thumbnails?")
        return (await oracle_batch.TOOL.call(services(tmp_path, members()), given, no_progress)).data

    alone = virtually(main)
    same = ("decision", "rule", "agreement", "votes", "failed", "cut")
    assert {name: data[name] for name in same} == {name: alone[name] for name in same}
    assert data["receipt"]["calls"] == alone["receipt"]["calls"] == 3
    assert "synthesis" not in data
    assert len(data["rounds"]) == 1


def test_no_verdict_is_an_error(tmp_path: Path) -> None:
    result, _ = ask(
        tmp_path, scripted(judge=says("ABSTAIN"), critic=says("ABSTAIN"), skeptic=says("PROCEED"))
    )
    assert result.is_error
    assert (result.data["decision"], result.data["converged"]) == ("NO_VERDICT", False)


def test_one_round_tells_who_was_cut_from_who_failed_whatever_an_error_says(tmp_path: Path) -> None:
    sly = [Reply(error=Rejected("400: the vote was decided without it"))]
    backend = scripted(judge=sly, oracle=says("STOP", delay_s=60.0))
    data = ask(tmp_path, backend, rounds=1, preset="comprehensive")[0].data
    assert (data["cut"], [lost["member"] for lost in data["failed"]]) == (["oracle"], ["judge"])


def test_the_budget_is_checked_for_all_rounds_before_the_first_call(tmp_path: Path) -> None:
    price = ModelPrice(10.0, 50.0)
    seats = {f"model-of-{name}": price for name in ("judge", "critic", "skeptic", "synthesis")}
    backend = scripted(seats)
    assert ask(tmp_path, backend, rounds=1, max_cost_usd=0.5)[0].data["converged"]
    asked = len(backend.asked)
    with pytest.raises(BudgetExceeded, match=r"These 20 calls .* the budget is \$0.5"):
        ask(tmp_path, backend, rounds=5, max_cost_usd=0.5)
    assert len(backend.asked) == asked


def test_a_dry_run_names_members_rounds_and_the_most_it_may_take(tmp_path: Path) -> None:
    backend = scripted()
    data = ask(tmp_path, backend, dry_run=True)[0].data
    assert (data["rounds"], data["at_most"]["calls"], data["at_most"]["cost_usd"]) == (3, 21, "unknown")
    assert backend.asked == []


def test_without_a_model_it_hands_the_host_a_plan(tmp_path: Path) -> None:
    data = ask(tmp_path, PlanBackend("No key."))[0].data
    assert data["decision"] == "NOT_ASKED"
    assert [len(message) for message in data["plan"]["messages"]] == [3]
    assert "No key." in data["note"]
    assert "at most 3" in data["note"]


def test_a_long_question_is_written_once_and_not_into_every_agents_call(tmp_path: Path) -> None:
    question = "Why? " * 8_000
    data = ask(tmp_path, PlanBackend(), question=question, preset="all")[0].data
    assert len(json.dumps(data)) < 30_000
    prompt = data["plan"]["messages"][0][0]["prompt"]
    assert Path(prompt.split("Read ")[1].split(" first")[0]).read_text() == question.strip()


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        ({"rounds": 0}, "rounds"),
        ({"rounds": 6}, "rounds"),
        ({"round": 2}, "did you mean `rounds`"),
        ({"quorum": 4}, "the panel has 3 members"),
        ({"personas": ["jugde"]}, "Did you mean 'judge'"),
        ({"question": "  "}, "question is empty"),
    ],
)
def test_what_is_wrong_with_the_arguments_is_said(
    tmp_path: Path, arguments: dict[str, Json], sentence: str
) -> None:
    with pytest.raises(InvalidInput, match=sentence):
        ask(tmp_path, scripted(), **arguments)


def test_progress_grows_and_says_who_said_what(tmp_path: Path) -> None:
    seen: list[tuple[int, str]] = []
    ask(tmp_path, scripted(), lambda done, _, message: seen.append((done, message)))
    assert [done for done, _ in seen] == sorted(done for done, _ in seen)
    assert (0, "round 1: 3 asked") in seen
    assert any("judge: PROCEED (80 % sure)" in message for _, message in seen)
    assert "converged" in seen[-2][1]


# --- the shell -------------------------------------------------------------------------------------------


def test_from_the_shell_events_go_to_stderr_and_the_result_to_stdout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(tmp_path)
    with serving(Rule("You report what a panel", text=SYNTHESIS)) as upstream:
        monkeypatch.setenv("FANOUT_BASE_URL", upstream.url)
        assert cli.main(["council", "Shall we?", "--rounds", "2"]) == 0
        shown = capsys.readouterr()
        assert cli.main(["council", "Shall we?", "--rounds", "2", "--json"]) == 0
        as_json = capsys.readouterr()
    assert "round 1: PROCEED, 100 % agree, converged" in shown.err
    assert "agreement: All see the gain." in shown.out
    assert "Every call was used." in shown.out
    assert as_json.err == ""
    assert json.loads(as_json.out)["converged"] is True


def test_the_board_shows_rounds_and_members_within_eighty_columns() -> None:
    board = Board("Shall we cache the thumbnails of everything that anybody has ever sent us, and why not?")
    members = ("judge", "critic", "a-persona-with-a-rather-long-name")
    for n in range(1, 6):
        board(Opened(n, members, speculative=n > 1))
        for member in members[: 2 if n == 1 else 3]:
            board(Answered(n, member, Position("SIMPLIFY", 80, "Too much \x1b[31mof it.")))
        board(RoundClosed(n, "SIMPLIFY", 1.0, n == 5, frozenset()))
        board(Synthesised(n))
    board(Answered(1, members[2], Position("STOP", 80, "No.")))
    board(Discarded(5))
    console = Console(width=80, file=io.StringIO(), record=True)
    console.print(board)
    lines = console.export_text().splitlines()
    assert max(map(len, lines)) <= 80
    shown = "\n".join(lines)
    for words in ("round 5 »", "simplify", "late", "<stop", "not needed", "written", "100 %"):
        assert words in shown
    assert "\x1b[31m" not in shown
