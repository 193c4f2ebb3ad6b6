"""Jobs run at once, each ends in exactly one outcome, and nothing outlives its time."""

from __future__ import annotations

import asyncio
import gc

import anyio
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fakes_engine import Boom, Step, Upstream, job, jobs, perform, plan, two_agree
from fakes.virtual import virtually
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import background, run
from fanout_mcp.errors import (
    BadAnswer,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from fanout_mcp.types import Answer, Job, Outcome


def test_all_jobs_run_at_once_and_come_back_in_their_order() -> None:
    upstream = Upstream(a=[(3.0, "A")], b=[(1.0, "B")], c=[(2.0, "C")])
    outcomes, elapsed = perform(upstream, [job("a"), job("b"), job("c")])
    assert [outcome.answer.text for outcome in outcomes if outcome.answer] == ["A", "B", "C"]
    assert elapsed == 3.0


def test_five_hundred_jobs_take_as_many_waves_as_the_cap_demands() -> None:
    assert perform(Upstream(0.1), jobs(500), limits=Limits(500))[1] == pytest.approx(0.1)
    upstream = Upstream(0.1)
    assert perform(upstream, jobs(500), limits=Limits(50))[1] == pytest.approx(1.0)
    assert upstream.most == 50


def test_a_failing_job_is_a_value_and_leaves_its_neighbours_alone() -> None:
    upstream = Upstream(a=[(0.5, Boom("no"))], b=[(0.1, ValueError("defect"))])
    outcomes, elapsed = perform(upstream, [job("a"), job("b"), job("c")])
    assert [outcome.status for outcome in outcomes] == ["failed", "failed", "answered"]
    reasons = [outcome.reason.partition(";")[0] for outcome in outcomes[:2]]
    assert reasons == ["no", "the backend failed, which is a defect of fanout"]
    assert elapsed == 1.0


def test_a_straggler_is_cut_half_the_elapsed_time_after_the_vote_is_decided() -> None:
    upstream = Upstream(a=[(1.0, "yes")], b=[(1.0, "yes")], c=[(6.0, "no")])
    outcomes, elapsed = perform(upstream, [job("a"), job("b"), job("c")], plan(stop=two_agree))
    assert elapsed == 1.5
    assert (outcomes[2].status, outcomes[2].reason, outcomes[2].cause) == ("cut", "two agree", "decided")
    assert upstream.closed == [(1.5, "c")]


def test_an_answer_within_the_grace_still_counts() -> None:
    upstream = Upstream(a=[(1.0, "yes")], b=[(1.0, "yes")], c=[(1.4, "no")])
    outcomes, elapsed = perform(upstream, [job("a"), job("b"), job("c")], plan(stop=two_agree))
    assert [outcome.status for outcome in outcomes] == ["answered"] * 3
    assert elapsed == pytest.approx(1.4)


def test_an_undecided_vote_waits_within_the_deadline() -> None:
    upstream = Upstream(a=[(1.0, "yes")], b=[(1.0, "no")], c=[(6.0, "yes")])
    assert perform(upstream, [job("a"), job("b"), job("c")], plan(stop=two_agree))[1] == 6.0
    upstream = Upstream(a=[(1.0, "yes")], b=[(1.0, "no")], c=[(6.0, "yes")])
    outcomes, elapsed = perform(upstream, [job("a"), job("b"), job("c")], plan(4.0, stop=two_agree))
    assert elapsed == 4.0
    assert (outcomes[2].reason, outcomes[2].cause) == ("the deadline of 4 s passed", "deadline")


def test_one_429_is_waited_for_when_the_others_disagree_and_cut_when_they_agree() -> None:
    limited: list[Step] = [(0.0, RateLimited("429", 1.0)), (1.0, "yes")]
    upstream = Upstream(a=limited, b=[(1.0, "yes")], c=[(1.0, "no")])
    outcomes, elapsed = perform(upstream, [job("a"), job("b"), job("c")], plan(stop=two_agree))
    assert [outcome.status for outcome in outcomes] == ["answered"] * 3
    assert elapsed == 2.0
    upstream = Upstream(a=limited, b=[(1.0, "yes")], c=[(1.0, "yes")])
    outcomes, elapsed = perform(upstream, [job("a"), job("b"), job("c")], plan(stop=two_agree))
    assert outcomes[0].status == "cut"
    assert elapsed == 1.5


def test_when_all_fail_with_500_the_run_ends_within_three_seconds() -> None:
    upstream = Upstream(scripts={str(n): [(0.0, ServerFault("500"))] for n in range(8)})
    outcomes, elapsed = perform(upstream, jobs(8))
    assert {outcome.status for outcome in outcomes} == {"failed"}
    assert elapsed <= 1.5
    assert sum(outcome.calls for outcome in outcomes) == 8 + 3, "the retry budget of a small run is three"


def test_a_passing_fault_is_tried_again() -> None:
    upstream = Upstream(a=[(0.1, Unreachable("reset")), (0.1, ServerFault("502")), (0.1, "yes")])
    (outcome,), elapsed = perform(upstream, [job("a")])
    assert (outcome.status, outcome.calls) == ("answered", 3)
    assert elapsed == pytest.approx(0.1 * 3 + 0.5 + 1.0)


@pytest.mark.parametrize(
    ("error", "calls"),
    [
        pytest.param(Rejected("400"), 1, id="4xx never"),
        pytest.param(BadAnswer("html"), 2, id="bad answer once"),
        pytest.param(RateLimited("429", 3600), 1, id="a wait beyond reason never"),
    ],
)
def test_what_a_second_try_would_not_change_is_not_tried_again(error: Exception, calls: int) -> None:
    (outcome,), _ = perform(Upstream(a=[(0.0, error)]), [job("a")])
    assert (outcome.status, outcome.calls) == ("failed", calls)


def test_cancelling_the_caller_closes_every_call_at_once() -> None:
    upstream = Upstream(60.0)

    async def main() -> float:
        with trio.move_on_after(2.2):
            await run(jobs(8), upstream.ask, plan(), Limits(50))
        return trio.current_time()

    assert virtually(main) == 2.2
    assert [time for time, _ in upstream.closed] == [2.2] * 8
    assert upstream.in_flight == 0


async def test_a_stray_cancelled_error_is_that_jobs_failure() -> None:
    async def ask(asked: Job) -> Answer:
        if asked.key == "0":
            raise asyncio.CancelledError
        return Answer("fine", "m")

    outcomes = await run(jobs(2), ask, plan(), Limits(5))
    assert [outcome.status for outcome in outcomes] == ["failed", "answered"]


@pytest.mark.both_loops
async def test_a_real_cancellation_passes_through() -> None:
    upstream = Upstream(60.0)
    with anyio.fail_after(30), anyio.move_on_after(0.01) as scope:
        await run(jobs(3), upstream.ask, plan(), Limits(5))
    assert scope.cancelled_caught
    assert upstream.in_flight == 0


def test_progress_grows_by_one_for_each_outcome() -> None:
    seen: list[tuple[int, int | None]] = []
    perform(Upstream(0.1), jobs(7), plan(progress=lambda done, total, message: seen.append((done, total))))
    assert seen == [(number, 7) for number in range(1, 8)]


def test_a_large_run_has_no_task_for_each_of_its_jobs() -> None:
    tasks = 0

    def count(_: Outcome) -> None:
        nonlocal tasks
        tasks = max(tasks, trio.lowlevel.current_statistics().tasks_living)

    outcomes, _ = perform(Upstream(0.1), jobs(5_000), plan(on_outcome=count), Limits(50))
    assert len(outcomes) == 5_000
    assert 50 <= tasks < 70


def test_equal_keys_are_refused() -> None:
    with pytest.raises(ValueError, match="unique"):
        perform(Upstream(), [job("a"), job("a")])


# --- speculation -------------------------------------------------------------------------------------------


def test_a_background_run_goes_on_while_its_owner_works_and_is_cancelled_at_once() -> None:
    upstream = Upstream(1.0, b=[(5.0, "late")])

    async def main() -> tuple[list[str], float]:
        async with background() as start:
            started = start([job("a"), job("b")], upstream.ask, plan(), Limits(5))
            await trio.sleep(1.5)
            assert list(started.outcomes) == ["a"]
            started.cancel()
            got = await started.result()
            return [outcome.key for outcome in got], trio.current_time()

    assert virtually(main) == (["a"], 1.5)
    assert upstream.closed == [(1.5, "b")]


def test_leaving_the_block_cancels_what_still_runs() -> None:
    upstream = Upstream(60.0)

    async def main() -> float:
        async with background() as start:
            start(jobs(3), upstream.ask, plan(), Limits(5))
            await trio.sleep(1)
        return trio.current_time()

    assert virtually(main) == 1.0
    assert upstream.in_flight == 0


# --- for every ... -----------------------------------------------------------------------------------------

STEPS = st.lists(
    st.tuples(
        st.sampled_from([0.0, 0.3, 1.0, 7.0, 200.0]),
        st.sampled_from(
            [
                "yes",
                "no",
                Boom("x"),
                ServerFault("500"),
                BadAnswer("b"),
                RateLimited("429", 2.0),
                RateLimited("429"),
                KeyError(),
            ]
        ),
    ),
    min_size=1,
    max_size=4,
)


@settings(max_examples=150, deadline=None)
@given(
    st.lists(STEPS, min_size=1, max_size=12),
    st.integers(1, 6),
    st.sampled_from([0.5, 5.0, 50.0]),
    st.booleans(),
)
def test_every_job_has_exactly_one_outcome_in_order_within_cap_and_deadline(
    scripts: list[list[tuple[float, str | Exception]]],
    cap: int,
    deadline: float,
    stops: bool,  # noqa: FBT001
) -> None:
    upstream = Upstream(scripts={str(n): steps for n, steps in enumerate(scripts)})
    how = plan(deadline, stop=two_agree if stops else None)
    outcomes, elapsed = perform(upstream, jobs(len(scripts)), how, Limits(cap))
    assert [outcome.key for outcome in outcomes] == [str(n) for n in range(len(scripts))]
    assert upstream.most <= cap
    assert elapsed <= deadline
    assert upstream.in_flight == 0
    assert sum(outcome.calls for outcome in outcomes) == len(upstream.started)
    assert all(outcome.is_answered == (outcome.status == "answered") for outcome in outcomes)
    assert all(outcome.reason for outcome in outcomes if not outcome.is_answered)


def test_a_run_leaves_no_question_to_the_garbage_collector() -> None:
    upstream = Upstream(0.0)

    async def main() -> int:
        await run([job("unlike-any-other")], upstream.ask, plan(), Limits(4))
        async with background() as start:
            await start([job("unlike-any-other")], upstream.ask, plan(), Limits(4)).result()
        return sum(type(one) is Job and one.key == "unlike-any-other" for one in gc.get_objects())

    gc.collect()
    gc.disable()
    try:
        assert asyncio.run(main()) == 0
    finally:
        gc.enable()
