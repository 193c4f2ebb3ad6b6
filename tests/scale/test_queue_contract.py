"""What holds for the questions of a call, whether this process asks them or workers do over Redis."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from fakes.queued import PLAN, ask, questions, settings_in, working
from fakes.redis_server import MISSING, PROGRAM, redis_server
from fakes.scripted import Reply, Scripted
from fanout_mcp.engine.budget import Budget
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan
from fanout_mcp.errors import Rejected
from fanout_mcp.journal import Question, open_journal
from fanout_mcp.types import Outcome, no_progress

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.skipif(PROGRAM is None, reason=MISSING),
]


Asks = Callable[[Sequence[Question], Plan], Coroutine[None, None, list[Outcome]]]


@pytest.fixture(scope="module")
def redis_url(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    with redis_server(tmp_path_factory.mktemp("redis")) as server:
        yield server.url


@dataclass
class Place:
    """Where the questions of a call are asked."""

    name: str
    folder: Path
    url: str

    @asynccontextmanager
    async def asking(self, backend: Scripted) -> AsyncIterator[Asks]:
        settings = settings_in(self.folder, self.url)
        if self.name == "workers":
            async with working(settings, backend) as queue:
                yield lambda given, plan: ask(settings, queue, given, plan)
            return

        async def here(given: Sequence[Question], plan: Plan) -> list[Outcome]:
            async with open_journal(settings, backend, Limits(4), no_progress, len(given)) as journal:
                return await journal.ask(given, plan)

        yield here


@pytest.fixture(params=["this process", "workers"])
def place(request: pytest.FixtureRequest, tmp_path: Path, redis_url: str) -> Place:
    return Place(request.param, tmp_path, redis_url)


def texts(outcomes: Sequence[Outcome]) -> list[str]:
    return [outcome.answer.text if outcome.answer else outcome.status for outcome in outcomes]


async def test_every_question_has_its_outcome_in_order(place: Place) -> None:
    backend = Scripted({f"file{n}?": Reply(f"answer {n}", 0.01 * (n % 3)) for n in range(99, -1, -1)})
    async with place.asking(backend) as asks:
        outcomes = await asks(questions(100), PLAN)
    assert texts(outcomes) == [f"answer {n}" for n in range(100)]
    assert [outcome.key for outcome in outcomes] == [f"file{n}" for n in range(100)]
    assert {(outcome.calls, outcome.usage.tokens_in) for outcome in outcomes} == {(1, 100)}
    assert backend.peak <= 4


async def test_the_second_call_costs_nothing(place: Place) -> None:
    backend = Scripted()
    async with place.asking(backend) as asks:
        await asks(questions(20), PLAN)
        again = await asks(questions(20), PLAN)
    assert len(backend.asked) == 20
    assert {(one.status, one.calls, one.usage.tokens_in) for one in again} == {("cached", 0, 0)}


async def test_what_is_new_in_a_later_call_is_asked_alone(place: Place) -> None:
    backend = Scripted()
    async with place.asking(backend) as asks:
        await asks(questions(20), PLAN)
        outcomes = await asks(questions(30), PLAN)
    assert len(backend.asked) == 30
    assert [one.status for one in outcomes] == ["cached"] * 20 + ["answered"] * 10


async def test_a_failure_is_a_value_with_its_reason_and_asked_again_the_next_time(place: Place) -> None:
    backend = Scripted({"file3?": [Reply(error=Rejected("not this one")), Reply("now")]}, Reply("fine"))
    async with place.asking(backend) as asks:
        first, second = await asks(questions(9), PLAN), await asks(questions(9), PLAN)
    assert texts(first) == ["fine"] * 3 + ["failed"] + ["fine"] * 5
    assert first[3].reason == "not this one"
    assert isinstance(first[3].error, Rejected)
    assert texts(second) == ["fine"] * 3 + ["now"] + ["fine"] * 5


async def test_an_answer_that_is_cut_is_used_and_asked_again_the_next_time(place: Place) -> None:
    backend = Scripted({"file3?": [Reply("half", truncated=True), Reply("whole")]}, Reply("fine"))
    async with place.asking(backend) as asks:
        assert texts(await asks(questions(9), PLAN))[3] == "half"
        assert texts(await asks(questions(9), PLAN))[3] == "whole"
    assert len(backend.asked) == 10


async def test_equal_calls_at_once_are_paid_once(place: Place) -> None:
    backend = Scripted(default=Reply("fine", 0.1))
    results: list[list[Outcome]] = []
    async with place.asking(backend) as asks:

        async def one() -> None:
            results.append(await asks(questions(40), PLAN))

        async with anyio.create_task_group() as tasks:
            for _ in range(4):
                tasks.start_soon(one)
    assert len(backend.asked) == 40
    assert sum(outcome.calls for outcomes in results for outcome in outcomes) == 40
    assert [texts(outcomes) for outcomes in results] == [["fine"] * 40] * 4


async def test_a_call_that_is_cancelled_ends_what_it_asks_within_two_seconds(place: Place) -> None:
    backend = Scripted(default=Reply(delay_s=3600))
    async with place.asking(backend) as asks:
        with anyio.fail_after(30):
            async with anyio.create_task_group() as tasks:
                tasks.start_soon(asks, questions(50), PLAN)
                while backend.in_flight < 4:
                    await anyio.lowlevel.checkpoint()
                tasks.cancel_scope.cancel()
            with anyio.fail_after(2):
                while backend.in_flight:
                    await anyio.lowlevel.checkpoint()
            assert backend.cancelled == 4


async def test_a_budget_that_is_used_up_cuts_the_rest(place: Place) -> None:
    backend = Scripted(default=Reply("fine"))  # 0.001 dollars each
    async with place.asking(backend) as asks:
        outcomes = await asks(questions(400), Plan(60, budget=Budget(0.05)))
    cut = [outcome for outcome in outcomes if outcome.cause == "budget"]
    assert 50 <= len(backend.asked) <= 50 + 8 * 16  # what other shards had in flight beside
    assert len(cut) == 400 - len(backend.asked)
    assert "the budget of" in cut[0].reason
