"""A council takes the time of its longest chain of legs, closes what it does not need, and stays honest."""

from __future__ import annotations

import json

import anyio
import pytest
import trio

from fakes.virtual import virtually
from fanout_mcp.engine.limits import Limits
from fanout_mcp.panel import deliberation, result
from fanout_mcp.panel.council import deliberate
from fanout_mcp.panel.deliberation import Answered, Discarded, Event, line
from fanout_mcp.types import Answer
from panel.fakes_council import BOTTOMLESS, SYNTHESIS, Upstream, council, hold, never

YES, NO, LESS, PASS = "PROCEED", "STOP", "SIMPLIFY", "ABSTAIN"


@pytest.mark.parametrize(
    ("panel_s", "synthesis_s", "rounds", "seconds"),
    [
        pytest.param(1.0, 1.0, 5, 6.0, id="five rounds, equal legs: 6 s, not 10"),
        pytest.param(1.0, 1.0, 3, 4.0, id="three rounds: 4 s, not 6"),
        pytest.param(1.0, 1.0, 2, 3.0, id="two rounds: 3 s, not 4"),
        pytest.param(1.0, 2.0, 4, 9.0, id="a slow synthesis: syntheses follow one another"),
        pytest.param(2.0, 1.0, 4, 9.0, id="a slow panel: syntheses cost their last leg only"),
    ],
)
def test_rounds_take_the_longer_leg_each_and_the_plain_loop_their_sum(
    panel_s: float, synthesis_s: float, rounds: int, seconds: float
) -> None:
    upstream = Upstream(never(3, panel_s), (synthesis_s, SYNTHESIS))
    held, elapsed = hold(upstream, rounds=rounds)
    plain, plain_elapsed = hold(
        Upstream(never(3, panel_s), (synthesis_s, SYNTHESIS)), rounds=rounds, speculate=False
    )
    assert elapsed == held.elapsed_s == pytest.approx(seconds)
    assert plain_elapsed == held.plain_s == plain.plain_s == pytest.approx(rounds * (panel_s + synthesis_s))
    assert [one.judged for one in held.rounds] == [one.judged for one in plain.rounds]
    assert [one.speculative for one in held.rounds] == [False] + [True] * (rounds - 1)
    assert not any(one.speculative for one in plain.rounds)
    assert held.waste().calls == 0
    assert len(upstream.log) == rounds * 4


@pytest.mark.parametrize("speculate", [True, False])
def test_a_unanimous_first_round_ends_it_and_nothing_more_is_asked(speculate: bool) -> None:  # noqa: FBT001 - the table's
    upstream = Upstream({"a": [(1.0, YES)], "b": [(1.0, YES)], "c": [(1.0, YES)]})
    held, elapsed = hold(upstream, speculate=speculate)
    assert (held.ended, elapsed, held.waste().calls) == ("converged", 2.0, 0)
    assert len(upstream.log) == 4


def test_it_converges_when_nobody_changed_since_the_round_before() -> None:
    upstream = Upstream({"a": [(1.0, YES)], "b": [(1.0, YES)], "c": [(1.0, NO), (1.0, LESS)]})
    held, elapsed = hold(upstream, rounds=5)
    assert held.ended == "converged"
    assert [one.closed.answers["c"].verdict for one in held.rounds] == [NO, LESS, LESS]
    assert elapsed == 4.0


def test_a_straggler_does_not_hold_up_the_rounds() -> None:
    answers = never(5) | {"m4": [(6.0, YES)]}
    upstream = Upstream(answers)
    held, elapsed = hold(upstream, rounds=3)
    assert elapsed == pytest.approx(1 + 1 / 3 + 3)
    assert elapsed < 1.25 * hold(Upstream(never(5)), rounds=3)[1]
    assert upstream.asked(2) == upstream.asked(3) == ["m0", "m1", "m2", "m3"], "it was asked while it was out"
    assert result.final_ruling(held).cut == ["m4"]
    assert held.waste(1).calls == held.waste().calls == 1


def test_a_late_answer_joins_the_next_round_and_is_read_in_the_one_after() -> None:
    upstream = Upstream(never(5) | {"m4": [(1.9, NO), (1.0, NO)]})
    held, _ = hold(upstream, rounds=3)
    assert "m4" in held.rounds[0].closed.out
    assert held.rounds[1].closed.late == {"m4": 1}
    assert "m4" in upstream.asked(3)
    readers = [seen.prompt for seen in upstream.log if seen.n == 3 and seen.key == "m0"]
    assert "Reason m4-1." in readers[0]
    assert held.waste().calls == 0


def test_an_answer_within_the_patience_is_waited_for() -> None:
    held, elapsed = hold(Upstream(never(5) | {"m4": [(1.3, YES), (1.0, NO)]}), rounds=2)
    assert held.rounds[0].closed.out == frozenset()
    assert elapsed == pytest.approx(1.3 + 1 + 1)


CRITICAL = {"a": [(1.0, YES)], "b": [(1.0, YES)]}
"""Two that agree; where stakes are critical, a third that is out could still stop it."""


def test_a_bet_that_is_lost_is_cancelled_at_once_and_counted_to_the_call() -> None:
    told: list[Event] = []
    upstream = Upstream(CRITICAL | {"c": [(1.8, YES)]})
    held, elapsed = hold(upstream, council(["a", "b", "c"], stakes="critical", told=told))
    assert sorted((seen.key, seen.n, seen.ended) for seen in upstream.log if seen.is_cut) == [
        ("a", 2, 1.8),
        ("b", 2, 1.8),
        ("synthesis-1", 1, 1.8),
    ]
    assert held.ended == "converged"
    assert (held.discarded, held.waste(2).calls, held.waste().calls) == ((2,), 2, 3)
    assert elapsed == held.plain_s == pytest.approx(2.8), "the plain loop would have waited as long"
    assert Discarded(2) in told
    waste = held.waste().usage
    assert waste.tokens_in > 100
    assert waste.tokens_out == 0
    assert waste.cost_usd == pytest.approx(waste.tokens_in / 1e6)
    assert waste.is_partial


def test_an_answer_to_a_lost_bet_never_reaches_the_result() -> None:
    hasty = [(1.0, YES), (0.1, NO)]
    upstream = Upstream({"a": hasty, "b": [(1.0, YES), (2.0, NO)], "c": [(1.8, YES)]})
    plan = council(["a", "b", "c"], stakes="critical")
    held, _ = hold(upstream, plan)
    assert held.ended == "converged"
    assert result.final_ruling(held).decision == YES
    assert str(result.short(plan.asked, held)).count("said in round 2") == 0
    assert held.waste(2).calls == 2, "the answer that came is wasted too"


def test_a_bet_that_is_won_goes_on_and_the_dissenter_joins_it() -> None:
    upstream = Upstream(CRITICAL | {"c": [(1.8, NO)]})
    held, elapsed = hold(upstream, council(["a", "b", "c"], stakes="critical", rounds=2))
    assert held.discarded == ()
    assert held.rounds[1].closed.late == {"c": 1}
    assert result.final_ruling(held).decision == NO
    assert elapsed == pytest.approx(1 + 1 / 3 + 1 + 1)


def test_without_speculation_an_open_round_waits_for_its_straggler() -> None:
    plan = council(["a", "b", "c"], stakes="critical", speculate=False)
    held, elapsed = hold(Upstream(CRITICAL | {"c": [(6.0, YES)]}), plan)
    assert (held.ended, elapsed, len(held.rounds)) == ("converged", 7.0, 1)


def test_a_member_that_fails_later_keeps_its_answer_marked_with_its_round() -> None:
    upstream = Upstream(never(2) | {"x": [(1.0, YES), (0.5, "fail"), (0.5, "fail")]})
    plan = council(list(upstream.answers))
    held, _ = hold(upstream, plan)
    data = result.short(plan.asked, held)
    assert {vote["member"]: vote.get("round") for vote in data["votes"]} == {"m0": None, "m1": None, "x": 1}
    assert data["failed"] == [{"member": "x", "reason": "it was refused"}]


def test_a_round_without_quorum_ends_it_with_what_there_is_marked() -> None:
    fails = [(1.0, NO), (0.5, "fail")]
    upstream = Upstream({"a": [(1.0, YES)], "b": fails, "c": fails})
    plan = council(["a", "b", "c"])
    held, elapsed = hold(upstream, plan)
    data = result.short(plan.asked, held)
    assert (held.ended, data["decision"], data["converged"], elapsed) == ("no quorum", NO, False, 3.0)
    assert "no quorum" in data["note"]
    assert [vote.get("round") for vote in data["votes"]] == [None, 1, 1]


def test_a_first_round_without_quorum_has_no_verdict_and_no_synthesis() -> None:
    upstream = Upstream({"a": [(1.0, YES)], "b": [(0.5, "fail")], "c": [(0.5, "fail")]})
    plan = council(["a", "b", "c"])
    held, elapsed = hold(upstream, plan)
    assert (result.short(plan.asked, held)["decision"], elapsed, len(upstream.log)) == ("NO_VERDICT", 1.0, 3)


@pytest.mark.parametrize(
    ("synthesis", "why"),
    [
        pytest.param((1.0, "fail"), "it was refused", id="refused"),
        pytest.param((1.0, "I would rather not."), "the writer's answer could not be read", id="unreadable"),
    ],
)
def test_when_the_synthesis_fails_the_vote_stands(synthesis: tuple[float, str], why: str) -> None:
    upstream = Upstream({"a": [(1.0, YES)], "b": [(1.0, YES)], "c": [(1.0, YES)]}, synthesis)
    plan = council(["a", "b", "c"])
    data = result.short(plan.asked, hold(upstream, plan)[0])
    assert (data["decision"], data["synthesis"]) == (YES, f"no synthesis: {why}")


def test_a_council_of_one_round_asks_for_no_synthesis_and_cuts_by_the_stop_rule() -> None:
    upstream = Upstream({"a": [(1.0, YES)], "b": [(1.0, YES)], "c": [(9.0, NO)]})
    held, elapsed = hold(upstream, rounds=1)
    assert elapsed == pytest.approx(1.5)
    assert result.final_ruling(held).cut == ["c"]
    assert upstream.asked(1) == ["a", "b", "c"]
    assert held.rounds[0].written is None
    assert held.waste().calls == 1


def test_a_council_of_one_round_waits_for_a_member_that_can_decide() -> None:
    held, elapsed = hold(Upstream({"a": [(1.0, YES)], "b": [(1.0, NO)], "c": [(9.0, YES)]}), rounds=1)
    assert (result.final_ruling(held).decision, elapsed) == (YES, 9.0)


def test_the_deadline_ends_it_before_a_round_that_it_would_cut() -> None:
    held, elapsed = hold(Upstream(never(3)), rounds=5, deadline_s=2.5)
    assert (held.ended, len(held.rounds)) == ("deadline", 2)
    assert elapsed == 2.5
    assert [bool(one.written and one.written.synthesis) for one in held.rounds] == [True, False]


def test_members_that_hang_cost_the_deadline_only_where_a_quorum_needs_them() -> None:
    upstream = Upstream({"a": [(1.0, YES)], "b": [(1e6, YES)], "c": [(1e6, YES)]})
    plan = council(["a", "b", "c"], deadline_s=30)
    held, elapsed = hold(upstream, plan)
    assert (held.ended, elapsed, result.final_ruling(held).decision) == ("no quorum", 30.0, "NO_VERDICT")
    assert len(upstream.log) == 3


def test_a_used_up_budget_ends_it() -> None:
    held, _ = hold(Upstream(never(3)), rounds=5, max_cost_usd=0.0065)
    assert held.ended == "budget"
    assert len(held.rounds) == 2


def test_cancelling_it_closes_every_stream_at_once() -> None:
    upstream = Upstream(never(5) | {"m4": [(50.0, YES)]})

    async def main() -> float:
        with anyio.move_on_after(2.5):
            await deliberate(council(list(upstream.answers), rounds=5), upstream.ask, Limits(50), BOTTOMLESS)
        return trio.current_time()

    assert virtually(main) == 2.5
    assert upstream.in_flight == 0
    assert {seen.ended for seen in upstream.log if seen.is_cut} == {2.5}


def test_members_read_reasons_blind_and_each_in_another_order() -> None:
    upstream = Upstream({"alpha": [(1.0, YES)], "beta": [(1.0, NO)], "gamma": [(1.0, LESS)]})
    hold(upstream, rounds=2)
    prompts = {seen.key: seen.prompt for seen in upstream.log if seen.n == 2 and not seen.is_synthesis}
    for key, prompt in prompts.items():
        assert f"Your answer before:\n{upstream.answers[key][0][1]}" in prompt
        assert all(f"Title of {other}" not in prompt for other in prompts if other != key)
        assert all(f"Reason {other}-1." in prompt for other in prompts)
    places = {key: prompt.index("Reason gamma-1.") for key, prompt in prompts.items() if key != "gamma"}
    assert places["alpha"] > prompts["alpha"].index("Reason beta-1.")
    assert places["beta"] < prompts["beta"].index("Reason alpha-1.")


def test_a_synthesis_reads_who_changed_and_what_the_last_one_said() -> None:
    upstream = Upstream({"a": [(1.0, YES)], "b": [(1.0, YES)], "c": [(1.0, NO), (1.0, LESS)]})
    hold(upstream, rounds=2)
    second = next(seen.prompt for seen in upstream.log if seen.key == "synthesis-2")
    assert "Verdict changed since the round before: c." in second
    assert "agreement: All want it." in second


def test_a_key_in_a_synthesis_goes_no_further() -> None:
    key = "sk-or-v1-0123456789abcdef0123456789abcdef"
    fields = {"agreement": f"All saw {key}.", "dissent": "", "changed": "", "would_change": f"Hide {key}."}
    found = deliberation.read_synthesis(Answer(json.dumps(fields), "m"))
    assert found is not None
    assert found["agreement"].startswith("All saw ")
    assert "0123456789abcdef" not in str(found)


def test_everything_is_told_as_a_line() -> None:
    told: list[Event] = []
    upstream = Upstream({"a": [(1.0, YES)], "b": [(1.5, NO)], "c": [(1.9, "fail")]})
    hold(upstream, council(["a", "b", "c"], rounds=2, told=told))
    lines = [line(event) for event in told]
    assert lines[:6] == [
        "round 1: 3 asked",
        "round 1, a: PROCEED (80 % sure)",
        "round 1, b: STOP (80 % sure)",
        "round 1, c failed: it was refused",
        "round 1: STOP, 50 % agree",
        "round 2: 3 asked, speculatively",
    ]
    assert sum(isinstance(event, Answered) for event in told) == 6


def test_the_price_of_all_rounds_is_known_before_the_first_call() -> None:
    plan = council(["a", "b", "c"], rounds=3)
    jobs = plan.largest_jobs(plan.terms)
    assert len(jobs) == 3 * 3 + 3
    upstream = Upstream(never(3))
    hold(upstream, rounds=3)
    longest = max(len(seen.prompt) for seen in upstream.log)
    assert longest < max(len(job.prompt.system) + len(job.prompt.user) for job in jobs)
