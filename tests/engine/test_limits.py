"""One provider's calls: how many at once, when, and which of them twice."""

from __future__ import annotations

from dataclasses import replace

import anyio
import pytest
import trio

from engine.fakes_engine import Step, Upstream, job, jobs, perform, plan
from fakes.virtual import virtually
from fanout_mcp.engine.limits import MAX_MODELS, Limits
from fanout_mcp.engine.run import run
from fanout_mcp.errors import (
    RateLimited,
)
from fanout_mcp.types import Job, Outcome, Route


def test_a_cool_down_holds_back_every_call_to_that_provider_and_no_other() -> None:
    upstream = Upstream(0.1, a=[(0.0, RateLimited("429", 2.0)), (0.1, "A")])
    todo = [job("a"), *[job(f"p{n}") for n in range(3)], replace(job("q0"), model="q")]
    outcomes, _ = perform(upstream, todo, limits=Limits(2, route=lambda model: Route(model or "p")))
    assert {outcome.status for outcome in outcomes} == {"answered"}
    began = {key: time for time, key in upstream.started}
    assert began["p1"] >= 2.0
    assert began["q0"] < 0.5


def test_after_a_429_the_limit_falls_and_rises_again() -> None:
    limits = Limits(40)
    limiter = limits.of()

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
        return await run([job("a"), job("b"), job("c")], upstream.ask, plan(hedge=True), limits)

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
        outcomes = await run([job("slow"), job("x")], upstream.ask, plan(hedge=True), limits)
        return outcomes[0], trio.current_time() - began

    outcome, elapsed = virtually(main)
    assert elapsed == 2.0
    assert (outcome.answer and outcome.answer.text, outcome.calls) == ("twin", 2)
    assert [key for _, key in upstream.closed] == ["slow"]


# --- by model ---


def by_model(key: str, model: str) -> Job:
    return replace(job(key), model=model)


def test_after_one_429_of_a_model_a_panel_of_eight_others_starts_whole() -> None:
    upstream = Upstream(1.0, first=[(0.0, RateLimited("429", 50.0))])
    limits = Limits(50)

    async def main() -> tuple[list[Outcome], float]:
        await run([by_model("first", "m-busy")], upstream.ask, plan(10), limits)
        panel = [by_model(f"p{n}", f"m{n}") for n in range(8)]
        return await run(panel, upstream.ask, plan(10), limits), trio.current_time()

    outcomes, elapsed = virtually(main)
    assert {outcome.status for outcome in outcomes} == {"answered"}
    assert (elapsed, upstream.most) == (1.0, 8)


@pytest.mark.parametrize(
    ("errors", "closed"),
    [
        pytest.param([RateLimited("429", 5.0)], False, id="one model"),
        pytest.param([RateLimited("429", 5.0)] * 2, True, id="two models"),
        pytest.param([RateLimited("429", 5.0, for_all_models=True)], True, id="the provider says all"),
    ],
)
def test_the_whole_provider_waits_when_it_says_so_or_two_of_its_models_do(
    errors: list[RateLimited], *, closed: bool
) -> None:
    limits = Limits(50)

    async def main() -> float:
        for number, error in enumerate(errors):
            limits.of(f"m{number}").pushed_back(error.retry_after, for_all_models=error.for_all_models)
        await limits.of("another").acquire(1, 100.0)
        return trio.current_time()

    assert virtually(main) == (5.0 if closed else 0.0)


def test_what_another_model_said_long_ago_does_not_close_the_provider() -> None:
    limits = Limits(50)

    async def main() -> float:
        limits.of("m1").pushed_back(None)
        await trio.sleep(11)
        limits.of("m2").pushed_back(5.0)
        await limits.of("another").acquire(1, 100.0)
        return trio.current_time()

    assert virtually(main) == 11.0


def test_the_cap_is_the_providers_over_all_its_models() -> None:
    upstream = Upstream(1.0)
    todo = [by_model(str(n), f"m{n % 4}") for n in range(12)]
    _, elapsed = perform(upstream, todo, limits=Limits(3))
    assert (upstream.most, elapsed) == (3, 4.0)


def test_of_any_number_of_models_those_at_rest_are_forgotten_and_one_that_is_held_back_is_not() -> None:
    limits = Limits(50)

    async def main() -> bool:
        held = limits.of("held")
        held.pushed_back(30.0)
        for number in range(3 * MAX_MODELS):
            limits.of(f"m{number}")
        return limits.of("held") is held

    assert virtually(main)
    assert len(limits._limiters) <= MAX_MODELS


def test_a_silent_call_does_not_keep_the_others_out_after_a_cut() -> None:
    limits = Limits(50)
    limiter = limits.of()

    async def main() -> tuple[list[Outcome], float]:
        limiter.in_flight = 1
        limiter.pushed_back(None)  # the limit is 1
        limiter.in_flight = 0
        todo = [job("silent"), *jobs(3)]
        upstream = Upstream(1.0, silent=[(10_000.0, "never")])
        return await run(todo, upstream.ask, plan(30), limits), trio.current_time()

    outcomes, _ = virtually(main)
    assert [outcome.status for outcome in outcomes] == ["cut", "answered", "answered", "answered"]


def test_a_cap_that_changes_holds_from_the_next_call_on() -> None:
    caps = [1]
    limits = Limits(50, {"p": lambda: caps[0]}, lambda _: Route("p"))
    upstream = Upstream(1.0)

    async def main() -> tuple[float, float]:
        began = anyio.current_time()
        await run([job("a"), job("b")], upstream.ask, plan(), limits)
        between = anyio.current_time()
        caps[0] = 2
        await run([job("c"), job("d")], upstream.ask, plan(), limits)
        return between - began, anyio.current_time() - between

    assert virtually(main) == (2.0, 1.0)
