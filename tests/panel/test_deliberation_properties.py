"""For every order of arrival and every failure: speculation moves time, and nothing else."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Sequence

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fanout_mcp.panel import result
from fanout_mcp.panel.council import Deliberation
from fanout_mcp.panel.deliberation import Closed
from fanout_mcp.panel.vote import Ballot, Stakes, decide
from panel.fakes_council import SYNTHESIS, Turn, Upstream, council, hold

SAID = st.sampled_from(["PROCEED", "PROCEED", "SIMPLIFY", "STOP", "ABSTAIN", "fail"])
DELAYS = st.sampled_from([0.1, 0.9, 1.0, 1.1, 1.4, 2.0, 3.7, 9.0])
TURNS = st.lists(st.tuples(DELAYS, SAID), min_size=1, max_size=5)
MEMBERS = st.lists(TURNS, min_size=1, max_size=5).map(
    lambda each: {f"m{place}": turns for place, turns in enumerate(each)}
)
SYNTHESES = st.tuples(st.sampled_from([0.1, 1.0, 2.5]), st.sampled_from([SYNTHESIS, SYNTHESIS, "fail"]))
KINDS: list[Stakes] = ["exploration", "production", "critical"]
STAKES = st.sampled_from(KINDS)
pytestmark = pytest.mark.slow  # generated sets

many = settings(max_examples=100, deadline=None)

BET_LOST: dict[str, list[Turn]] = {
    "a": [(1.0, "PROCEED"), (0.1, "STOP")],
    "b": [(1.0, "PROCEED"), (2.0, "STOP")],
    "c": [(1.8, "PROCEED")],
}

LATE_VOICE: dict[str, list[Turn]] = {
    "a": [(0.1, "SIMPLIFY")],
    "b": [(0.9, "PROCEED")],
    "c": [(0.1, "PROCEED")],
}
"""b's first answer comes while round 2 is open and round 3 a bet: it can't be passed over."""


def plain_loop(rounds: Sequence[Closed], most: int, ballot: Ballot) -> tuple[str, str, int]:
    """What a loop without speculation makes of the answers that were there at each round's close."""
    latest: dict[str, str] = {}
    for number, there in enumerate(rounds, 1):
        said = {key: position.verdict for key, position in there.answers.items()}
        before, latest = dict(latest), latest | said
        takes = [verdict for verdict in said.values() if verdict != "ABSTAIN"]
        decision = decide(Counter(latest.values()), ballot).decision
        if len(takes) < ballot.quorum:
            return decision, "no quorum", number
        same = len(set(takes)) == 1 if number == 1 else all(before.get(k) == v for k, v in said.items())
        if same and 2 * len(takes) >= len(said) and not _could_turn(latest, there.out, ballot):
            return decision, "converged", number
        if number == most:
            return decision, "rounds", number
    raise AssertionError("it went on")


def _could_turn(latest: dict[str, str], out: frozenset[str], ballot: Ballot) -> bool:
    """Try every way in which those who are out might still answer, or not."""
    known = [verdict for key, verdict in latest.items() if key not in out]
    now = decide(Counter(known), ballot).decision
    ways: set[tuple[str, ...]] = {()}
    for _ in out:
        ways = {tuple(sorted([*way, more])) for way in ways for more in ("", "PROCEED", "SIMPLIFY", "STOP")}
    return bool(out) and (
        now == "NO_VERDICT" or any(decide(Counter([*known, *way]), ballot).decision != now for way in ways)
    )


@many
@given(MEMBERS, SYNTHESES, st.integers(2, 5), st.data())
def test_the_verdict_is_the_plain_loops_for_the_answers_that_were_there(
    answers: dict[str, list[Turn]],
    synthesis: Turn,
    rounds: int,
    data: st.DataObject,
) -> None:
    plan = council(
        list(answers),
        rounds=rounds,
        speculate=data.draw(st.booleans()),
        stakes=data.draw(STAKES),
        quorum=data.draw(st.one_of(st.none(), st.integers(1, len(answers)))),
        deadline_s=1000,
    )
    held, _ = hold(Upstream(answers, synthesis), plan)
    closed = [one.closed for one in held.rounds]
    decision, ended, number = plain_loop(closed, rounds, plan.asked.ballot)
    assert (result.final_ruling(held).decision, held.ended, len(held.rounds)) == (decision, ended, number)


@many
@example(BET_LOST, (1.0, SYNTHESIS), 3, "critical")
@example(LATE_VOICE, (0.1, SYNTHESIS), 3, "exploration")
@given(MEMBERS, SYNTHESES, st.integers(2, 5), STAKES)
def test_no_answer_to_a_cancelled_round_is_used_and_every_other_answer_counts_once(
    answers: dict[str, list[Turn]], synthesis: Turn, rounds: int, stakes: Stakes
) -> None:
    upstream = Upstream(answers, synthesis)
    held, _ = hold(upstream, council(list(answers), rounds=rounds, stakes=stakes, deadline_s=1000))
    used = [
        (key, one.closed.late.get(key, one.closed.n))
        for one in held.rounds
        for key in (*one.closed.answers, *one.closed.failed)
    ]
    last = len(held.rounds)
    assert len(used) == len(set(used))
    assert all(n <= last for _, n in used)
    assert all(
        said.summary == f"said in round {one.closed.late.get(key, one.closed.n)}"
        for one in held.rounds
        for key, said in one.closed.answers.items()
    )
    arrived = {(seen.key, seen.n) for seen in upstream.log if not seen.is_cut and not seen.is_synthesis}
    assert {pair for pair in arrived if pair[1] <= last} == set(used)
    if held.discarded:
        assert (held.ended, held.discarded) == ("converged", (last + 1,))


@many
@example(BET_LOST, (1.0, SYNTHESIS), 3, "critical")
@given(MEMBERS, SYNTHESES, st.integers(1, 5), STAKES)
def test_the_waste_is_what_the_upstream_saw_in_vain(
    answers: dict[str, list[Turn]], synthesis: Turn, rounds: int, stakes: Stakes
) -> None:
    upstream = Upstream(answers, synthesis)
    held, _ = hold(upstream, council(list(answers), rounds=rounds, stakes=stakes, deadline_s=1000))
    last = len(held.rounds)
    written = Counter(seen.key for seen in upstream.log if seen.is_synthesis)
    cut = sum(seen.is_cut for seen in upstream.log)
    in_vain = sum(not seen.is_cut and not seen.is_synthesis and seen.n > last for seen in upstream.log)
    twice = sum(
        sum(not seen.is_cut for seen in upstream.log if seen.key == key) - 1
        for key, times in written.items()
        if times > 1
    )
    assert held.waste().calls == cut + in_vain + twice
    assert held.waste().calls == sum(held.waste(n).calls for n in range(1, last + 2))
    assert len(held.ledger.entries) == len(upstream.log)


@many
@given(
    st.integers(1, 5).flatmap(
        lambda count: st.lists(st.lists(SAID, min_size=5, max_size=5), min_size=count, max_size=count)
    ),
    st.lists(st.sampled_from([0.5, 1.0, 2.0]), min_size=5, max_size=5),
    st.sampled_from([0.5, 1.0, 3.0]),
    st.integers(2, 5),
    STAKES,
)
def test_without_stragglers_both_loops_are_equal_and_the_time_is_the_stated_one(
    said: list[list[str]], legs: list[float], synthesis_s: float, rounds: int, stakes: Stakes
) -> None:
    answers = {f"m{place}": list(zip(legs, turns, strict=True)) for place, turns in enumerate(said)}
    plans = [council(list(answers), rounds=rounds, stakes=stakes, speculate=how) for how in (True, False)]
    (held, elapsed), (plain, plain_elapsed) = (
        hold(Upstream(answers, (synthesis_s, SYNTHESIS)), plan) for plan in plans
    )
    assert [one.closed for one in held.rounds] == [one.closed for one in plain.rounds]
    assert [one.judged for one in held.rounds] == [one.judged for one in plain.rounds]
    assert (held.ended, held.waste().calls) == (plain.ended, 0)
    assert plain_elapsed == pytest.approx(held.plain_s)
    panels = synthesised = 0.0
    for one, leg in zip(held.rounds, legs, strict=False):
        panels += leg
        if one.written is not None:
            synthesised = max(panels, synthesised) + synthesis_s
    assert elapsed == pytest.approx(max(panels, synthesised))
    assert not math.isnan(elapsed)


@many
@given(MEMBERS, st.integers(2, 5), STAKES)
def test_speculation_never_makes_it_slower_than_the_plain_loop_with_its_own_legs(
    answers: dict[str, list[Turn]], rounds: int, stakes: Stakes
) -> None:
    held, elapsed = hold(
        Upstream(answers), council(list(answers), rounds=rounds, stakes=stakes, deadline_s=1000)
    )
    assert elapsed <= held.plain_s + 1e-6


def _positions(held: Deliberation) -> set[str]:
    return set(result.final_ruling(held).positions)


@many
@given(MEMBERS, st.integers(1, 5))
def test_every_member_is_accounted_for(answers: dict[str, list[Turn]], rounds: int) -> None:
    held, _ = hold(Upstream(answers), council(list(answers), rounds=rounds, deadline_s=1000))
    said = result.final_ruling(held)
    assert _positions(held) | set(said.failed) | set(said.cut) == set(answers)
