"""Jobs run at once, each ends in exactly one outcome, and nothing outlives its time."""

from __future__ import annotations

import asyncio
from collections.abc import Collection, Sequence

import anyio
import pytest
import trio
from hypothesis import given, settings
from hypothesis import strategies as st

from engine.fakes_engine import Boom, Step, Upstream, job, jobs, plan
from fakes.virtual import virtually
from fanout_mcp.engine.budget import Budget
from fanout_mcp.engine.hedge import Hedge
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan, background, run
from fanout_mcp.errors import (
    BackendError,
    BadAnswer,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
    UnreadableAnswer,
)
from fanout_mcp.types import Answer, Ask, Job, Outcome
from fanout_mcp.usage import UNTOLD, Usage


def perform(
    upstream: Upstream, todo: Sequence[Job], how: Plan | None = None, limits: Limits | None = None
) -> tuple[list[Outcome], float]:
    """Run in virtual time; return outcomes and the seconds they took."""

    async def main() -> tuple[list[Outcome], float]:
        got = await run(todo, upstream.ask, how or plan(), limits or Limits(50))
        return got, trio.current_time()

    return virtually(main)


def two_agree(outcomes: Sequence[Outcome], outstanding: Collection[str]) -> str:
    said = [outcome.answer.text for outcome in outcomes if outcome.answer]
    return "two agree" if any(said.count(text) >= 2 for text in said) else ""


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
    assert [outcome.reason for outcome in outcomes[:2]] == ["no", "the backend failed: ValueError"]
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


def test_a_retry_after_beyond_the_deadline_fails_now_and_names_it() -> None:
    (outcome,), elapsed = perform(Upstream(a=[(0.0, RateLimited("429", 30))]), [job("a")], plan(10))
    assert elapsed == 0
    assert "wait 30 s" in outcome.reason


def test_a_cool_down_holds_back_every_call_to_that_provider_and_no_other() -> None:
    upstream = Upstream(0.1, a=[(0.0, RateLimited("429", 2.0)), (0.1, "A")])
    todo = [job("a"), *[job(f"p{n}") for n in range(3)], job("q0", "q")]
    outcomes, _ = perform(upstream, todo, limits=Limits(2))
    assert {outcome.status for outcome in outcomes} == {"answered"}
    began = {key: time for time, key in upstream.started}
    assert began["p1"] >= 2.0
    assert began["q0"] < 0.5


def test_after_a_429_the_limit_falls_and_rises_again() -> None:
    limits = Limits(40)
    limiter = limits.of("p")

    async def main() -> list[float]:
        seen = []
        limiter.in_flight = 40
        limiter.pushed_back(None)
        seen.append(limiter.limit)
        limiter.pushed_back(None)
        seen.append(limiter.limit)
        await anyio.sleep(0.5)
        limiter.pushed_back(None)
        seen.append(round(limiter.limit, 1))
        limiter.succeeded(0.4, 0.6)
        seen.append(round(limiter.limit, 1))
        limiter.succeeded(0.5, 0.6)
        seen.append(round(limiter.limit, 1))
        return seen

    assert virtually(main) == [28.0, 28.0, 19.6, 19.6, 20.6]


@pytest.mark.parametrize(("later", "at_once"), [(50.0, 29), (61.0, 40)], ids=["remembered", "forgotten"])
def test_a_429_is_forgotten_after_a_minute(later: float, at_once: int) -> None:
    upstream = Upstream(1.0, {"0": [(0.5, RateLimited("429", 0.0)), (1.0, "0")]})
    limits = Limits(40)

    async def main() -> None:
        await run(jobs(40), upstream.ask, plan(), limits)
        await trio.sleep_until(later)
        await run(jobs(40), upstream.ask, plan(), limits)

    virtually(main)
    assert [time for time, _ in upstream.started].count(later) == at_once


def test_a_small_consultation_is_not_starved_by_a_large_one() -> None:
    upstream = Upstream(1.0)
    limits = Limits(10)

    async def main() -> float:
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, jobs(200), upstream.ask, plan(), limits)
            await trio.sleep(0.5)
            await run([job("x"), job("y"), job("z")], upstream.ask, plan(), limits)
            nursery.cancel_scope.cancel()
            return trio.current_time()

    assert virtually(main) == 2.0


def test_cancelling_the_caller_closes_every_call_at_once() -> None:
    upstream = Upstream(60.0)

    async def main() -> float:
        with trio.move_on_after(2.2):
            await run(jobs(8), upstream.ask, plan(), Limits(50))
        return trio.current_time()

    assert virtually(main) == 2.2
    assert [time for time, _ in upstream.closed] == [2.2] * 8
    assert upstream.in_flight == 0


async def test_a_stray_cancelled_error_is_that_jobs_failure(anyio_backend: str) -> None:
    if anyio_backend != "asyncio":
        pytest.skip("trio knows no stray cancellation")

    async def ask(asked: Job) -> Answer:
        if asked.key == "0":
            raise asyncio.CancelledError
        return Answer("fine", "m")

    outcomes = await run(jobs(2), ask, plan(), Limits(5))
    assert [outcome.status for outcome in outcomes] == ["failed", "answered"]


test_a_stray_cancelled_error_is_that_jobs_failure = pytest.mark.anyio(
    test_a_stray_cancelled_error_is_that_jobs_failure
)


@pytest.mark.anyio
async def test_a_real_cancellation_passes_through() -> None:
    upstream = Upstream(60.0)
    with anyio.fail_after(5), anyio.move_on_after(0.01) as scope:
        await run(jobs(3), upstream.ask, plan(), Limits(5))
    assert scope.cancelled_caught
    assert upstream.in_flight == 0


def test_a_used_up_budget_starts_no_further_call_and_says_so() -> None:
    async def ask(asked: Job) -> Answer:
        await anyio.sleep(1)
        return Answer("x", "m", Usage(10, 10, 0.4))

    async def main() -> list[Outcome]:
        return await run(jobs(6), ask, plan(budget=Budget(max_cost_usd=1.0)), Limits(1))

    outcomes = virtually(main)
    assert [outcome.status for outcome in outcomes] == ["answered"] * 3 + ["cut"] * 3
    assert "budget of $1 is used up" in outcomes[5].reason
    assert outcomes[5].cause == "budget"


def bills(*answers: Answer | BackendError) -> Ask:
    """Answers, or fails, in this order; the last one for ever."""
    left = list(answers)

    async def ask(_: Job) -> Answer:
        await anyio.sleep(1)
        said = left.pop(0) if len(left) > 1 else left[0]
        if isinstance(said, BackendError):
            raise type(said)(str(said)).billed(said.usage)
        return said

    return ask


def settle(ask: Ask, count: int, how: Plan, cap: int = 1) -> list[Outcome]:
    return virtually(lambda: run(jobs(count), ask, how, Limits(cap)))


HALF = Usage(10, 10, 0.5)


def test_answers_that_are_of_no_use_are_paid_for_all_the_same() -> None:
    useless = UnreadableAnswer("no JSON in it").billed(HALF)
    outcomes = settle(bills(useless), 60, plan(budget=Budget(max_cost_usd=1.0)))
    assert [outcome.status for outcome in outcomes] == ["failed"] * 2 + ["cut"] * 58
    assert sum((outcome.usage for outcome in outcomes), Usage()).cost_usd == 1.0


def test_an_answer_without_a_price_does_not_switch_the_budget_off() -> None:
    free = Answer("x", "m", Usage(10, 10))
    outcomes = settle(bills(free, Answer("x", "m", HALF)), 60, plan(budget=Budget(max_cost_usd=1.0)))
    assert [outcome.status for outcome in outcomes] == ["answered"] * 3 + ["cut"] * 57
    used = sum((outcome.usage for outcome in outcomes), Usage())
    assert (used.cost_usd, used.is_partial) == (1.0, True)


def test_a_failed_try_is_part_of_what_its_job_consumed() -> None:
    (outcome,) = settle(bills(BadAnswer("empty").billed(HALF), Answer("x", "m", HALF)), 1, plan())
    assert (outcome.calls, outcome.usage) == (2, Usage(20, 20, 1.0))


def test_a_used_up_budget_pays_for_no_second_try() -> None:
    (outcome,) = settle(bills(BadAnswer("empty").billed(HALF)), 1, plan(budget=Budget(max_cost_usd=0.5)))
    assert (outcome.calls, outcome.status) == (1, "failed")
    assert outcome.reason == "empty (not tried again: the budget of $0.5 is used up)"


def test_of_a_cancelled_call_nobody_knows_the_bill() -> None:
    upstream = Upstream(a=[(1.0, "yes")], b=[(1.0, "yes")], c=[(6.0, "no")])
    outcomes, _ = perform(upstream, [job("a"), job("b"), job("c")], plan(stop=two_agree))
    assert outcomes[2].usage == UNTOLD
    assert (UNTOLD + HALF).fields()["cost_is_at_least"]


def test_a_wait_beyond_reason_holds_nobody_back_for_longer_than_a_minute() -> None:
    limits = Limits(5)

    async def main() -> tuple[Outcome, float]:
        await run([job("a")], Upstream(a=[(0.0, RateLimited("429", 3600))]).ask, plan(), limits)
        (outcome,) = await run([job("b")], Upstream(1.0).ask, plan(), limits)
        return outcome, trio.current_time()

    outcome, elapsed = virtually(main)
    assert (outcome.status, elapsed) == ("answered", 61.0)


def test_a_cool_down_that_outlasts_the_deadline_fails_at_once_and_says_so() -> None:
    limits = Limits(5)
    healthy = Upstream(1.0)

    async def main() -> tuple[list[Outcome], float]:
        await run([job("a")], Upstream(a=[(0.0, RateLimited("429", 3600))]).ask, plan(), limits)
        return await run(jobs(3), healthy.ask, plan(20.0), limits), trio.current_time()

    outcomes, elapsed = virtually(main)
    assert ([outcome.status for outcome in outcomes], elapsed) == (["failed"] * 3, 0.0)
    assert "wants no calls for another 60 s" in outcomes[0].reason
    assert healthy.started == []


def test_twins_are_a_fiftieth_of_the_calls_to_a_provider_and_wait_for_a_place() -> None:
    limits = Limits(1)
    slow: list[Step] = [(30.0, "late")]

    async def main(known: int) -> list[Outcome]:
        await run(jobs(known), Upstream(1.0).ask, plan(), limits)
        upstream = Upstream(a=slow, b=slow, c=slow)
        return await run([job("a"), job("b"), job("c")], upstream.ask, plan(hedge=Hedge()), limits)

    def calls(known: int, cap: int) -> list[int]:
        nonlocal limits
        limits = Limits(cap)
        return sorted(outcome.calls for outcome in virtually(lambda: main(known)))

    assert calls(21, cap=60) == [1, 1, 1], "of 24 none"
    assert calls(60, cap=60) == [1, 1, 2], "of 63 one"
    assert calls(60, cap=3) == [1, 1, 1], "all places are taken"


def test_a_late_call_gets_a_twin_once_the_provider_is_known() -> None:
    upstream = Upstream(1.0, slow=[(30.0, "late"), (1.0, "twin")], x=[(0.5, "soon")])
    limits = Limits(60)

    async def main() -> tuple[Outcome, float]:
        await run(jobs(50), upstream.ask, plan(), limits)
        began = trio.current_time()
        outcomes = await run([job("slow"), job("x")], upstream.ask, plan(hedge=Hedge()), limits)
        return outcomes[0], trio.current_time() - began

    outcome, elapsed = virtually(main)
    assert elapsed == 2.0
    assert (outcome.answer and outcome.answer.text, outcome.calls) == ("twin", 2)
    assert [key for _, key in upstream.closed] == ["slow"]


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
        async with background() as runs:
            started = runs.start([job("a"), job("b")], upstream.ask, plan(), Limits(5))
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
        async with background() as runs:
            runs.start(jobs(3), upstream.ask, plan(), Limits(5))
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
