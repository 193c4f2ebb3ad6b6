"""Dollars of calls whose questions workers ask: counted to their user as they are spent, and bounded."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, cast

import anyio
import anyio.lowlevel
import pytest
from redis.asyncio import Redis

from fakes.company import Company, company
from fakes.queued import Audited, ask, opened, questions, settings_in, until, working
from fakes.redis_server import MISSING, PROGRAM, RedisServer, redis_server
from fakes.scripted import Reply, Scripted
from fanout_mcp.engine.budget import Budget
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan
from fanout_mcp.errors import Rejected, StillRunning
from fanout_mcp.scale.queue import JUDGES, Shard, Unit
from fanout_mcp.scale.shared import Dollars
from fanout_mcp.scale.worker import Worker
from fanout_mcp.state import audit
from fanout_mcp.state.cache import open_cache
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Answer, Job, ModelPrice, Outcome, Prompt
from fanout_mcp.usage import Usage

if TYPE_CHECKING:
    from fanout_mcp.types import Backend

__all__ = ["company"]

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.skipif(PROGRAM is None, reason=MISSING),
]

UNBILLED: Final = Reply("fine", usage=Usage(1_000, 0))
"""A cent each, at PRICED's price."""
PRICED: Final = {"": ModelPrice(10.0, 10.0)}
SHORT: Final = Plan(deadline_s=0.5)


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis") as one:
        yield one


@pytest.fixture
def settings(tmp_path: Path, server: RedisServer) -> Settings:
    return settings_in(tmp_path, server.url)


async def spent_by(dollars: Dollars, span: str = "user") -> float:
    """Return a sum of this user's: it is in what refuses more."""
    refused = await dollars.take({audit.sum_of(span): -1e6}, 0.0)
    assert refused is not None
    return refused[1]


def reasons(outcomes: list[Outcome]) -> set[str]:
    return {one.reason for one in outcomes}


@pytest.mark.parametrize("span", audit.SPANS)
async def test_what_no_provider_bills_is_counted_to_its_user_by_its_price(
    settings: Settings, span: str
) -> None:
    dollars = Dollars()
    async with working(settings, Scripted(default=UNBILLED, prices=PRICED), spent=dollars) as queue:
        audit.who.set("carol")
        with audit.call("summarize_files", 1.0, dollars) as record:
            await ask(settings, queue, questions(40))
        [handle] = await queue.batches()
        assert (await queue.own(handle)).usd == pytest.approx(0.4)
        assert record.elsewhere.cost_usd == pytest.approx(0.4)
        assert record.elsewhere.tokens_in == 40_000
    assert await spent_by(dollars, span) == pytest.approx(0.4)


async def test_a_user_with_a_limit_is_asked_no_model_of_unknown_price(settings: Settings) -> None:
    backend = Scripted(default=UNBILLED)
    async with working(settings, backend, spent=Dollars()) as queue:
        audit.who.set("carol")
        with audit.call("summarize_files", 1.0) as record:
            record.max_usd_per_day = 5.0
            outcomes = await ask(settings, queue, questions(20))
    assert all("is not known" in reason for reason in reasons(outcomes))
    assert backend.asked == []


async def test_what_a_cancelled_call_has_cost_is_counted(settings: Settings) -> None:
    backend = Scripted(default=replace(UNBILLED, delay_s=0.1), prices=PRICED)
    dollars = Dollars()
    async with working(settings, backend, spent=dollars) as queue:
        audit.who.set("carol")
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(ask, settings, queue, questions(400))
            await until(lambda: len(backend.asked) > 80)
            tasks.cancel_scope.cancel()
        await until(lambda: not backend.in_flight)
        with anyio.fail_after(30):
            while await spent_by(dollars) < 0.8 - 1e-6:
                await anyio.lowlevel.checkpoint()


async def test_joining_a_batch_that_takes_long_costs_nothing_again_and_leaves_nothing_reserved(
    settings: Settings,
) -> None:
    backend = Scripted(default=replace(UNBILLED, delay_s=0.5), prices=PRICED)
    dollars = Dollars()
    async with working(settings, backend, spent=dollars) as queue:
        for _ in range(3):
            with audit.call("summarize_files", 1.0, dollars), pytest.raises(StillRunning):
                await ask(settings, queue, questions(40), SHORT)
        [handle] = await queue.batches()
        with anyio.fail_after(30):
            while not (await queue.own(handle)).is_over:
                await anyio.lowlevel.checkpoint()
        assert await spent_by(dollars, "day") == pytest.approx(0.4)


async def test_batches_that_outlive_their_calls_end_at_the_user_s_dollars_of_a_day(
    settings: Settings,
) -> None:
    backend = Scripted(default=replace(UNBILLED, delay_s=0.05), prices=PRICED)
    async with working(settings, backend, spent=Dollars()) as queue:
        audit.who.set("carol")
        with audit.call("summarize_files", 1.0) as record:
            record.max_usd_per_day = 0.5
            with pytest.raises(StillRunning):
                await ask(settings, queue, questions(400), SHORT)
        [handle] = await queue.batches()
        with anyio.fail_after(60):
            while not (counts := await queue.own(handle)).is_over:
                await anyio.lowlevel.checkpoint()
        assert "the $0.5 that this service allows you a day are spent" in str(await queue.failed(handle))
    assert 0.5 <= counts.usd < 1.2  # what was at work when it was used up is finished
    assert counts.failed > 200


async def test_what_a_worker_spent_on_a_shard_before_it_died_is_counted_by_the_next_one(
    settings: Settings,
) -> None:
    asked = questions(2)
    units = [Unit(one.job, f"key of {one.job.key}", "scripted") for one in asked]
    backends = [
        Scripted({asked[1].job.key: Reply(delay_s=delay_s)}, default=UNBILLED, prices=PRICED)
        for delay_s in (3600.0, 0.0)
    ]
    sums, cache = [Dollars(), Dollars()], open_cache(settings.cache, settings.config_dir)
    async with opened(settings) as queue, anyio.create_task_group() as tasks:
        batch = await queue.join("carol", "first", "call")
        await queue.put(Shard(batch, "name", units, JUDGES[0], Budget(), audit.Origin("one")))
        first, second = (
            Worker(queue, cast("Backend", Audited(one)), Limits(4), cache, spent)
            for one, spent in zip(backends, sums, strict=True)
        )
        tasks.start_soon(first.use, "ticket")
        [held] = queue._keys("ticket", "held")
        with anyio.fail_after(30):
            while not float(await queue.redis.hget(held, "usd") or 0):
                await anyio.lowlevel.checkpoint()
        cache.release(units[1].key)  # as the end of a dead worker's lease does
        await second.use("ticket")
        counts = await queue.counts(batch)
        assert counts is not None
        assert (counts.done, counts.cached) == (2, 1)
        assert counts.usd == pytest.approx(0.011)
        audit.who.set("carol")
        assert await spent_by(sums[1]) == pytest.approx(0.011)
        tasks.cancel_scope.cancel()
    cache.close()


async def test_a_ticket_goes_on_to_the_shards_of_all_users_each_for_its_own(settings: Settings) -> None:
    seen: dict[str, str] = {}

    class Noting(Scripted):
        async def ask(self, job: Job) -> Answer:
            seen[job.key] = audit.caller()
            return await super().ask(job)

    cache, own = open_cache(settings.cache, settings.config_dir), str(os.getuid())
    async with opened(settings) as queue:
        batches = [await queue.join(user, "first", "call") for user in ("carol", own)]
        for batch in batches:
            for name in ("one", "two"):
                unit = Unit(Job(f"{batch} {name}", Prompt("s", "q")), f"{batch}{name}", "scripted")
                await queue.put(Shard(batch, name, [unit], JUDGES[0], Budget(), audit.Origin("trace")))
        worker = Worker(queue, cast("Backend", Audited(Noting())), Limits(4), cache)
        await worker.use("ticket")
        assert [counts.done for batch in batches if (counts := await queue.counts(batch))] == [2, 2]
    assert [user for key, user in seen.items() if key.startswith("carol")] == ["carol"] * 2
    assert [user for key, user in seen.items() if key.startswith(own)] == [own] * 2
    assert audit.who.get() == ""
    cache.close()


async def test_a_shard_whose_reply_was_lost_is_its_call_s_and_another_call_s_is_not(
    settings: Settings,
) -> None:
    async with opened(settings) as queue:
        unit = Unit(questions(1)[0].job, "key", "scripted")
        shard = Shard("u:handle", "name", [unit], JUDGES[0], Budget(), audit.Origin("one"))
        assert [await queue.put(shard) for _ in range(2)] == [True, True]
        assert not await queue.put(shard._replace(origin=audit.Origin("other")))


# --- by policy ----------------------------------------------------------------------------------------------


def lines(company: Company) -> list[Mapping[str, Any]]:
    return [json.loads(line) for line in company.log.read_text().splitlines()]


async def test_a_call_and_its_workers_have_lines_that_belong_together(
    settings: Settings, company: Company
) -> None:
    company.says(company.logged())
    async with working(settings, Scripted(default=UNBILLED, prices=PRICED)) as queue:
        with audit.call("summarize_files", 1.0) as record:
            await ask(settings, queue, questions(20))
    first, *workers, last = lines(company)
    assert (first["trace"], first["state"], first["reserved_usd"]) == (record.trace, "asking", 1.0)
    assert (last["trace"], last["cost_usd"]) == (record.trace, 0)
    assert [(one["call"], one["state"]) for one in workers] == [
        (record.trace, "asking"),
        (record.trace, "done"),
    ]
    assert (workers[-1]["verdict"], workers[-1]["cost_usd"]) == ("done", pytest.approx(0.2))


@pytest.mark.parametrize(
    ("words", "reason"),
    [
        ("max_usd_per_day = 0.5\n", r"allows \$0\.5 a day"),
        ("sources_may_leave = false\n", "lets no sources leave"),
    ],
    ids=["dollars", "sources"],
)
async def test_what_the_policy_refuses_does_not_reach_redis(
    settings: Settings, company: Company, monkeypatch: pytest.MonkeyPatch, words: str, reason: str
) -> None:
    company.says(words + company.logged())
    monkeypatch.setattr(audit, "is_append_only", lambda _: True)
    job = questions(1)[0].job
    attached = replace(job, prompt=replace(job.prompt, sources=("0" * 64,)))
    given = [*questions(20, "more"), replace(questions(1)[0], job=attached)]
    backend = Scripted(default=UNBILLED, prices=PRICED)
    async with working(settings, backend, spent=Dollars()) as queue:
        with audit.call("summarize_files", 1.0, Dollars()), pytest.raises(Rejected, match=reason):
            await ask(settings, queue, given)
        async with Redis.from_url(str(settings.redis_url)) as redis:
            assert await redis.keys(f"{queue.prefix}shards:*") == []
    assert backend.asked == []


async def test_dollars_that_a_call_has_set_aside_are_its_workers_to_spend(
    settings: Settings, company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.says("max_usd_per_day = 1.0\n" + company.logged())
    monkeypatch.setattr(audit, "is_append_only", lambda _: True)
    dollars = Dollars()
    async with working(settings, Scripted(default=UNBILLED, prices=PRICED), spent=dollars) as queue:
        with audit.call("summarize_files", 0.9, dollars):
            outcomes = await ask(settings, queue, questions(80))
    assert reasons(outcomes) == {""}
    assert await spent_by(dollars, "day") == pytest.approx(0.8)


async def test_the_policy_s_dollars_a_call_bound_the_whole_batch(
    settings: Settings, company: Company
) -> None:
    company.says("max_usd_per_call = 0.5\n" + company.logged())
    async with working(settings, Scripted(default=UNBILLED, prices=PRICED)) as queue:
        with audit.call("summarize_files", 0.5) as record, suppress(StillRunning):
            await ask(settings, queue, questions(400))
    assert (record.elsewhere.cost_usd or 0.0) < 1.2  # of 4: what was at work then is finished
