"""Rates: those that a provider's row gives, and those that its refusals show."""

from __future__ import annotations

import itertools
from dataclasses import replace

import anyio
import pytest
import trio

from engine.fakes_engine import Upstream, job, jobs, perform, plan
from fakes.virtual import virtually
from fanout_mcp.engine.limits import AHEAD_S, LATE_S, MAX_MODELS, Limits, OwnMeter
from fanout_mcp.engine.run import run
from fanout_mcp.errors import RateLimited
from fanout_mcp.types import Answer, Job, Outcome, Rate, Route
from fanout_mcp.usage import Usage


def limited(rate: Rate, cap: int = 50) -> Limits:
    return Limits(cap, route=lambda _: Route("p", rate=rate))


def busiest(upstream: Upstream) -> int:
    times = [at for at, _ in upstream.started]
    return max(sum(at <= other < at + 1 for other in times) for at in times)


def test_calls_go_out_at_the_rate_of_the_provider_s_row() -> None:
    upstream = Upstream(0.1)
    _, elapsed = perform(upstream, jobs(200), limits=limited(Rate(20)))
    assert elapsed == pytest.approx(10.3, abs=0.2)
    assert busiest(upstream) <= 20


def test_debts_that_are_paid_off_are_forgotten() -> None:
    meter = OwnMeter()

    async def main() -> float:
        await meter.reserve("slow", "p", Rate(0.01), 0)
        for number in range(3 * MAX_MODELS):
            await meter.reserve(f"m{number}", "p", Rate(100), 0)
            await trio.sleep(0.02)
        return await meter.reserve("slow", "p", Rate(0.01), 0)

    assert virtually(main) > 40 - AHEAD_S
    assert len(meter.due) <= MAX_MODELS


def test_a_panel_below_the_rate_waits_for_nothing_but_its_pace() -> None:
    _, elapsed = perform(Upstream(1.0), jobs(3), limits=limited(Rate(100)))
    assert elapsed < 1.05


def test_each_model_has_the_rate_for_itself() -> None:
    upstream = Upstream(0.1)
    both = [replace(job(str(number)), model="pq"[number % 2]) for number in range(40)]
    _, elapsed = perform(upstream, both, limits=limited(Rate(10)))
    assert elapsed == pytest.approx(2.1, abs=0.2)


def test_tokens_are_set_aside_at_their_most_and_what_was_not_used_is_given_back() -> None:
    async def frugal(job: Job) -> Answer:
        await anyio.sleep(0.1)
        return Answer("x", "m", Usage(50, 50))

    async def main() -> float:  # 1,500 are set aside for each
        await run(jobs(60), frugal, plan(1000), limited(Rate(tokens_per_minute=60_000), cap=2))
        return trio.current_time()

    assert virtually(main) < 10  # set aside for good it would be 90 s


def test_what_a_call_used_beyond_its_most_is_paid_by_those_after_it() -> None:
    async def main() -> float:
        meter, rate = OwnMeter(), Rate(tokens_per_minute=60_000)
        await meter.reserve("m", "p", rate, 1_000)
        await meter.settle("m", rate, -20_000)
        return await meter.reserve("m", "p", rate, 1_000)

    assert virtually(main) > 10


def test_a_call_that_the_rate_lets_go_too_late_fails_at_once_and_says_so() -> None:
    limits = limited(Rate(0.1))

    async def main() -> list[Outcome]:
        return await run(jobs(2), Upstream(0.1).ask, plan(5.0), limits)

    first, second = virtually(main)
    assert first.status == "answered"
    assert second.status == "failed"
    assert "the limit of p/default has no room for another 10 s" in second.reason


def test_calls_that_are_cut_while_they_wait_waste_no_more_than_a_second_of_the_rate() -> None:
    limits = limited(Rate(10))

    async def main() -> float:
        with anyio.move_on_after(0.05):
            await run(jobs(50), Upstream(0.1).ask, plan(), limits)
        await run(jobs(1), Upstream(0.0).ask, plan(), limits)
        return trio.current_time()

    assert virtually(main) <= 0.05 + AHEAD_S + 0.2


def test_a_process_that_stood_still_sends_nothing_together_that_was_to_go_evenly() -> None:
    upstream, limits = Upstream(0.0), limited(Rate(20))

    async def main() -> None:
        clock = trio.lowlevel.current_clock()
        async with trio.open_nursery() as nursery:
            nursery.start_soon(run, jobs(40), upstream.ask, plan(), limits)
            await trio.sleep(0.5)
            clock.jump(0.8)  # type: ignore[attr-defined] # a MockClock

    virtually(main)
    within = [sum(at <= other <= at + LATE_S for other, _ in upstream.started) for at, _ in upstream.started]
    assert max(within) <= 4


class Refusing:
    """Lets so many calls through in any second, and refuses the rest a while later, as over a network."""

    def __init__(self, allows: int) -> None:
        self.allows, self.tries = allows, 0
        self.passed: list[float] = []

    async def ask(self, job: Job) -> Answer:
        self.tries += 1
        now = anyio.current_time()
        is_over = sum(at > now - 1 for at in self.passed) >= self.allows
        if not is_over:
            self.passed.append(now)
        await anyio.sleep(0.05)
        if is_over:
            raise RateLimited("429", 1.0)
        return Answer(job.key, "m")


@pytest.mark.parametrize(("allows", "cap"), list(itertools.product((30, 50, 90), (50, 100))))
def test_a_rate_that_no_one_gave_is_learned_from_the_refusals(allows: int, cap: int) -> None:
    upstream = Refusing(allows)

    async def main() -> tuple[int, float]:
        outcomes = await run(jobs(12 * allows), upstream.ask, plan(1000), Limits(cap))
        return sum(outcome.status == "answered" for outcome in outcomes), trio.current_time()

    answered, elapsed = virtually(main)
    assert answered == 12 * allows
    assert elapsed <= 1.2 * 12
    assert upstream.tries <= 1.1 * 12 * allows + cap


def test_a_few_refused_calls_show_no_rate() -> None:
    upstream = Upstream(1.0, {"0": [(0.1, RateLimited("429", 1.0)), (1.0, "0")]})
    _, elapsed = perform(upstream, jobs(8))
    assert elapsed == pytest.approx(2.1, abs=0.01)
