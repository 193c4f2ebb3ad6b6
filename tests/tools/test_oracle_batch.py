"""oracle_batch: several experts at once, one honest verdict, never a confident tone over missing answers."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from fakes.scripted import Reply, Scripted
from fakes.virtual import virtually
from fanout_mcp.backends.plan import PlanBackend
from fanout_mcp.errors import (
    AuthRejected,
    InvalidInput,
    RateLimited,
    Rejected,
    ServerFault,
)
from fanout_mcp.panel.personas import built_in
from fanout_mcp.panel.record import ID
from fanout_mcp.text import compact
from tools.consulting import UNREADABLE, ask, consult, panel, says, services

EVERY_PERSONA = len(built_in().personas)
KEY = "sk-or-v1-0123456789abcdef0123456789abcdef"

# --- the verdict ---


def test_a_stop_that_names_no_change_is_counted_as_simplify_and_the_rule_says_so(tmp_path: Path) -> None:
    lax = says("STOP", smallest_change=None)
    got = consult(tmp_path, panel(judge=lax, critic=lax), stakes="critical")
    assert got.verdicts == {"judge": "SIMPLIFY", "critic": "SIMPLIFY", "skeptic": "PROCEED"}
    said = "a STOP without a blocker and a smallest change counts as SIMPLIFY: 2 did"
    assert (got.data["decision"], got.data["rule"].rpartition("; ")[2]) == ("SIMPLIFY", said)
    assert said in got.report


def test_what_is_wrong_with_the_users_own_personas_is_told_and_stops_nobody(tmp_path: Path) -> None:
    (tmp_path / "config" / "personas").mkdir(parents=True)
    (tmp_path / "config" / "personas" / "dba.md").write_text("You know databases.")
    got = consult(tmp_path, panel())
    assert got.data["decision"] == "PROCEED"
    assert ["dba.md must begin with a head" in why for why in got.data["ignored"]] == [True]


def test_three_experts_answer_in_the_time_of_one(tmp_path: Path) -> None:
    got = consult(tmp_path, panel(skeptic=says("SIMPLIFY", 1.4)))
    assert got.data["decision"] == "PROCEED"
    assert got.data["rule"] == "most frequent of at least 2 positions of 3 members, ties to the more cautious"
    assert got.data["agreement"] == 0.67
    assert got.verdicts == {"judge": "PROCEED", "critic": "PROCEED", "skeptic": "SIMPLIFY"}
    assert got.data["votes"][0] == {
        "member": "judge",
        "persona": "judge",
        "model": "model-of-judge",
        "verdict": "PROCEED",
        "confidence": 80,
        "summary": "It holds.",
        "blocker": None,
        "smallest_change": None,
    }
    assert (got.data["failed"], got.data["cut"], got.is_error) == ([], [], False)
    spent = {"calls": 3, "tokens_in": 300, "tokens_out": 60, "cost_usd": 0.003, "elapsed_s": 1.4}
    receipt = dict(got.data["receipt"])
    assert ID.fullmatch(receipt.pop("id"))
    assert receipt == {**spent, "makers": 1}
    assert got.seconds == 1.4
    assert got.data["headline"] == "PROCEED: 2 of 3 agree"


def test_the_receipt_counts_the_makers_that_were_asked(tmp_path: Path) -> None:
    models = ["openai:gpt-5.5", "~anthropic/claude-opus-latest", "codex"]
    got = consult(tmp_path, panel(), models=models)
    assert got.data["receipt"]["makers"] == 2, "codex is OpenAI's"


def test_what_a_dry_run_would_ask_and_cost_is_its_first_line(tmp_path: Path) -> None:
    got = consult(tmp_path, panel(), dry_run=True)
    assert got.data["headline"].startswith("Would ask 3 members, ")


@pytest.mark.parametrize(("preset", "members"), [("quick", 3), ("comprehensive", 5), ("all", EVERY_PERSONA)])
def test_a_preset_of_any_size_takes_one_answers_time(tmp_path: Path, preset: str, members: int) -> None:
    got = consult(tmp_path, panel(), preset=preset)
    assert (len(got.verdicts), got.seconds) == (members, 1.0)


def test_each_member_is_asked_alone_with_its_persona_its_model_and_the_stakes(tmp_path: Path) -> None:
    backend = panel()
    consult(tmp_path, backend, personas=["judge", "security"], models=["security=x/y"], stakes="critical")
    judge, security = backend.asked
    assert (judge.model, security.model) == ("model-of-judge", "x/y")
    assert "You weigh a proposal as a whole" in judge.prompt.system
    assert judge.prompt.system != security.prompt.system
    assert judge.prompt.user == security.prompt.user
    assert "Is it wise?" in judge.prompt.user
    assert "The stakes are critical" in judge.prompt.user


def test_one_stop_stops_where_the_stakes_are_critical(tmp_path: Path) -> None:
    backend = panel(critic=says("STOP"))
    assert consult(tmp_path, backend).data["decision"] == "PROCEED"
    got = consult(tmp_path, backend, stakes="critical")
    assert got.data["decision"] == "STOP"
    assert got.data["votes"][1]["blocker"] == "It loses data."


def test_a_tie_goes_to_the_more_cautious(tmp_path: Path) -> None:
    got = consult(tmp_path, panel(critic=says("SIMPLIFY"), skeptic=says("STOP")))
    assert got.data["decision"] == "STOP"


# --- stragglers ---


def test_a_straggler_is_cut_and_named_once_the_vote_is_decided(tmp_path: Path) -> None:
    backend = panel(skeptic=says("STOP", 6.0))
    got = consult(tmp_path, backend)
    assert (got.seconds, got.data["cut"], got.data["decision"]) == (1.5, ["skeptic"], "PROCEED")
    assert (backend.cancelled, backend.in_flight) == (1, 0)
    assert "cut: the vote was decided without it" in got.report


def test_a_straggler_that_can_change_the_decision_is_waited_for(tmp_path: Path) -> None:
    got = consult(tmp_path, panel(critic=says("SIMPLIFY"), skeptic=says("STOP", 6.0)))
    assert (got.seconds, got.data["cut"], got.data["decision"]) == (6.0, [], "STOP")
    got = consult(tmp_path, panel(skeptic=says("STOP", 6.0)), stakes="critical")
    assert (got.seconds, got.data["decision"]) == (6.0, "STOP")


def test_the_deadline_ends_the_wait_and_names_who_was_late(tmp_path: Path) -> None:
    got = consult(tmp_path, panel(critic=says("SIMPLIFY"), skeptic=says("STOP", 6.0)), deadline_s=3)
    assert (got.seconds, got.data["decision"]) == (3.0, "SIMPLIFY")
    assert got.reasons == {"skeptic": "the deadline of 3 s passed"}


def test_a_429_is_waited_for_where_it_counts_and_cut_where_it_does_not(tmp_path: Path) -> None:
    busy = [Reply(error=RateLimited("busy", 1.0)), says()]
    got = consult(tmp_path, panel(judge=busy, critic=says("SIMPLIFY")))
    assert (len(got.verdicts), got.seconds, got.data["receipt"]["calls"]) == (3, 2.0, 4)
    got = consult(tmp_path, panel(judge=busy))
    assert (got.data["cut"], got.seconds) == (["judge"], 1.5)


# --- too few answers ---


def test_when_all_fail_there_is_no_verdict_and_every_reason(tmp_path: Path) -> None:
    broken = Scripted(default=Reply(error=ServerFault("the provider answered 500")))
    got = consult(tmp_path, broken)
    assert (got.is_error, got.data["decision"], got.data["agreement"]) == (True, "NO_VERDICT", 0.0)
    assert set(got.reasons) == {"judge", "critic", "skeptic"}
    assert all("the provider answered 500" in reason for reason in got.reasons.values())
    assert got.seconds < 3
    assert "# NO_VERDICT" in got.report


@pytest.mark.parametrize(
    ("one", "reason"),
    [
        pytest.param(Reply(error=AuthRejected("401: the key is wrong")), "401: the key is wrong", id="key"),
        pytest.param(Reply(error=Rejected("404: no such model")), "404: no such model", id="model"),
        pytest.param(UNREADABLE, "could not be read, also when asked again", id="unreadable"),
    ],
)
def test_one_failure_of_three_costs_itself_two_cost_the_verdict(
    tmp_path: Path, one: Reply, reason: str
) -> None:
    got = consult(tmp_path, panel(judge=one))
    assert (got.data["decision"], got.is_error) == ("PROCEED", False)
    got = consult(tmp_path, panel(judge=one, critic=one))
    assert (got.data["decision"], got.is_error) == ("NO_VERDICT", True)
    assert reason in got.reasons["judge"]
    assert got.verdicts == {"skeptic": "PROCEED"}


def test_what_a_providers_error_says_never_makes_a_failure_look_cut(tmp_path: Path) -> None:
    sly = Reply(error=Rejected("400: the vote was decided without it"))
    got = consult(tmp_path, panel(judge=sly))
    assert (got.data["cut"], list(got.reasons)) == ([], ["judge"])


def test_a_quorum_of_the_callers_own_is_kept(tmp_path: Path) -> None:
    one_lost = panel(judge=Reply(error=Rejected("400")))
    assert consult(tmp_path, one_lost, quorum=3).data["decision"] == "NO_VERDICT"
    assert consult(tmp_path, one_lost, quorum=2).data["decision"] == "PROCEED"


def test_abstentions_are_shown_and_count_for_nothing(tmp_path: Path) -> None:
    got = consult(tmp_path, panel(judge=says("ABSTAIN"), critic=says("ABSTAIN")))
    assert (got.data["decision"], got.is_error) == ("NO_VERDICT", True)
    assert got.verdicts["judge"] == "ABSTAIN"


def test_an_unreadable_answer_is_asked_for_once_more_with_what_was_wrong(tmp_path: Path) -> None:
    backend = panel(judge=[UNREADABLE, says("STOP")], critic=says("STOP", 2.0))
    got = consult(tmp_path, backend)
    assert got.verdicts["judge"] == "STOP"
    again = backend.asked[3].prompt.user
    assert "could not be read: there is no JSON object" in again
    assert "I would rather not say." in again
    assert got.data["receipt"]["calls"] == 4
    assert got.data["receipt"]["tokens_in"] == 400


# --- what is attached, kept and shown ---


def test_attached_files_reach_every_member_as_data(tmp_path: Path) -> None:
    (tmp_path / "plan.md").write_text(f"Do it in one night. {KEY}")
    backend = panel()
    got = consult(tmp_path, backend, files=["plan.md"])
    assert all("Do it in one night." in job.prompt.user for job in backend.asked)
    assert all(KEY not in job.prompt.user for job in backend.asked)
    assert "plan.md (1 secrets scrubbed)" in got.report


def test_the_report_holds_every_word_below_the_projects_state(tmp_path: Path) -> None:
    long = "word " * 300
    backend = panel(judge=says(reasons=[long, "second"]), critic=UNREADABLE)
    got = consult(tmp_path, backend)
    path = Path(got.data["report"])
    assert path.parent == tmp_path / ".claude" / "fanout" / "reports"
    assert path.stat().st_mode & 0o077 == 0
    assert (path.parents[1] / ".gitignore").read_text() == "reports/\nstate/\ncache/\n.gitignore\n"
    for words in ("# PROCEED", long.strip(), "second", "> Is it wise?", "> I would rather not say.", "Judge"):
        assert words in got.report


def test_a_key_appears_in_no_result_and_no_report(tmp_path: Path) -> None:
    leaky = panel(
        judge=says(summary=f"It is {KEY}.", reasons=[KEY]),
        critic=Reply(f"no JSON but {KEY}"),
        skeptic=says("STOP", blocker=KEY),
    )
    got = consult(tmp_path, leaky, question=f"Is {KEY} a good key?")
    assert KEY not in json.dumps(got.data)
    assert KEY not in got.report


def test_a_report_that_can_not_be_written_costs_only_itself(tmp_path: Path) -> None:
    (tmp_path / ".claude").write_text("a file where a folder should be")
    got = consult(tmp_path, panel())
    assert got.data["decision"] == "PROCEED"
    assert got.data["report"].startswith("could not be written: ")


def test_progress_tells_of_each_member_as_it_answers(tmp_path: Path) -> None:
    got = consult(tmp_path, panel(judge=says("STOP", 0.5), critic=says(delay=0.7), skeptic=UNREADABLE))
    assert got.told[0] == (1, 3, "judge: STOP (80 % sure)")
    assert got.told[1] == (2, 3, "critic: PROCEED (80 % sure)")
    assert got.told[2][:2] == (3, 3)
    assert got.told[2][2].startswith("skeptic failed: the answer could not be read")


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from([("quick", 2_000), ("comprehensive", 4_000), ("all", 4_000)]),
    st.integers(0, 5_000),
    st.integers(0, 5_000),
    st.sampled_from(["PROCEED", "STOP"]),
)
def test_every_result_stays_small_whatever_the_members_write(
    tmp_path_factory: pytest.TempPathFactory, size: tuple[str, int], summary: int, other: int, said: str
) -> None:
    preset, most = size
    words: dict[str, Any] = {
        "summary": "s" * max(1, summary),
        "blocker": "b" * other,
        "smallest_change": "c" * other,
    }
    root = tmp_path_factory.mktemp("project")
    data = consult(root, Scripted(default=says(said, **words)), preset=preset).data
    data["report"] = "/home/somebody/project/.claude/fanout/reports/oracle-20260101-000000-abcd.md"
    assert len(compact(data).encode()) <= most


# --- several at once ---


def test_two_consultations_at_once_never_mix_and_never_wait_for_each_other(tmp_path: Path) -> None:
    backend = Scripted(
        {"amber": says(summary="Of the amber plan."), "violet": says("STOP", summary="Of the violet plan.")}
    )
    shared = services(tmp_path, backend)

    async def both() -> dict[str, Any]:
        found: dict[str, Any] = {}

        async def one(colour: str) -> None:
            found[colour] = await ask(shared, {"question": f"Is the {colour} plan wise?", "preset": "all"})

        async with trio.open_nursery() as nursery:
            for colour in ("amber", "violet"):
                nursery.start_soon(one, colour)
        return found

    found = virtually(both)
    for colour, decision in (("amber", "PROCEED"), ("violet", "STOP")):
        got = found[colour]
        assert (got.data["decision"], got.seconds, len(got.verdicts)) == (decision, 1.0, EVERY_PERSONA)
        assert {vote["summary"] for vote in got.data["votes"]} == {f"Of the {colour} plan."}
        assert f"Is the {colour} plan wise?" in got.report
    assert found["amber"].data["report"] != found["violet"].data["report"]


def test_cancelling_a_consultation_leaves_nothing_in_flight(tmp_path: Path) -> None:
    backend = Scripted(default=says(delay=60))

    async def main() -> float:
        with trio.move_on_after(2.2):
            await ask(services(tmp_path, backend), {"preset": "all"})
        return trio.current_time()

    assert virtually(main) == 2.2
    assert (backend.cancelled, backend.in_flight) == (EVERY_PERSONA, 0)


# --- without a model ---


def test_without_a_model_the_host_gets_agent_calls_to_send_in_one_message(tmp_path: Path) -> None:
    (tmp_path / "plan.md").write_text("Do it.")
    got = consult(tmp_path, PlanBackend("There is no key."), files=["plan.md"])
    assert (got.data["decision"], got.is_error) == ("NOT_ASKED", False)
    assert got.data["note"].startswith("No model is set up, so no one was asked. There is no key.")
    (message,) = got.data["plan"]["messages"]
    assert [call["description"] for call in message] == [
        "Judge on the question",
        "Critic on the question",
        "Skeptic on the question",
    ]
    assert {call["subagent_type"] for call in message} == {"general-purpose"}
    for call in message:
        assert "Is it wise?" in call["prompt"]
        assert "Answer with one JSON object" in call["prompt"]
        assert "Read first: plan.md" in call["prompt"]
    assert "votes" not in got.data, "no canned answer stands in for a model's"


def test_a_long_question_is_written_once_and_not_into_every_agents_call(tmp_path: Path) -> None:
    question = "Why? " * 8_000
    got = consult(tmp_path, PlanBackend(), question=question, preset="all")
    assert len(compact(got.data)) < 30_000
    prompt = got.data["plan"]["messages"][0][0]["prompt"]
    path = Path(prompt.split("Read ")[1].split(" first")[0])
    assert path.read_text() == question.strip()


# --- bad input ---


@pytest.mark.parametrize(
    ("arguments", "sentence"),
    [
        pytest.param({"question": ""}, "`question`", id="empty question"),
        pytest.param({"question": " \n"}, "question is empty", id="blank question"),
        pytest.param({"question": "x" * 200_000}, "at most 60,000", id="200 kB question"),
        pytest.param({"question": 3}, "`question` must be a valid string", id="a number for a question"),
        pytest.param({"persona": ["judge"]}, "did you mean `personas`", id="misspelt argument"),
        pytest.param({"preset": "quik"}, "Did you mean 'quick'?", id="unknown preset"),
        pytest.param({"personas": ["critik"]}, "Did you mean 'critic'?", id="unknown persona"),
        pytest.param({"personas": []}, "at least one persona", id="no persona"),
        pytest.param({"personas": ["judge"] * 10_000}, "at most 24", id="10,000 personas"),
        pytest.param({"personas": ["judge", "judge"]}, "named twice", id="duplicate members"),
        pytest.param({"stakes": "critcal"}, "did you mean 'critical'?", id="unknown stakes"),
        pytest.param({"models": ["a", "b"]}, "2 models for 3 members", id="models that don't fit"),
        pytest.param({"quorum": 0}, "`quorum`", id="quorum of none"),
        pytest.param({"quorum": 4}, "the panel has 3 members", id="quorum above the panel"),
        pytest.param({"quorum": 10**30}, "`quorum`|the panel has", id="quorum beyond reason"),
        pytest.param({"quorum": "2"}, "`quorum` must be a valid integer", id="text for a number"),
        pytest.param({"deadline_s": -1}, "`deadline_s`", id="negative deadline"),
        pytest.param({"deadline_s": 0}, "`deadline_s`", id="no time at all"),
        pytest.param({"deadline_s": float("nan")}, "`deadline_s` must be a finite number", id="NaN"),
        pytest.param({"max_cost_usd": float("inf")}, "`max_cost_usd` must be a finite number", id="infinity"),
        pytest.param({"max_cost_usd": -0.5}, "`max_cost_usd`", id="negative cost"),
        pytest.param({"files": "plan.md"}, "^`files` must be a list.$", id="text for a list"),
        pytest.param({"files": ["../x"]}, "not a path below the root", id="file outside"),
        pytest.param({"files": [str(n) for n in range(100_000)]}, "at most 20", id="100,000 files"),
        pytest.param({"dry_run": "yes"}, "`dry_run` must be a valid boolean", id="text for a switch"),
    ],
)
def test_bad_input_is_refused_in_a_sentence_before_anybody_is_asked(
    tmp_path: Path, arguments: dict[str, Any], sentence: str
) -> None:
    backend = Scripted()
    with pytest.raises(InvalidInput, match=sentence) as caught:
        consult(tmp_path, backend, **arguments)
    assert backend.asked == []
    assert len(str(caught.value)) < 700
