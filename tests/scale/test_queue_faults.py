"""The queue when something dies, lies or is not there: no question is lost, and none runs code."""

from __future__ import annotations

import asyncio
import base64
import gc
import pickle
from collections import Counter
from collections.abc import AsyncIterator, Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import pytest
from redis.asyncio import Redis

from fakes.queued import PLAN, ask, asked, opened, process, questions, settings_in, until, worker, working
from fakes.redis_server import MISSING, PROGRAM, RedisServer, redis_server
from fakes.scripted import Reply, Scripted
from fanout_mcp.engine.budget import Budget
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan
from fanout_mcp.errors import InvalidInput, StillRunning
from fanout_mcp.journal import Question, open_journal
from fanout_mcp.scale import queue as module
from fanout_mcp.scale.queue import DEATHS, JUDGES, TICKET, Counts, Queue, Shard, Unit, Unknown, packed_outcome
from fanout_mcp.scale.shared import Link
from fanout_mcp.scale.worker import Worker
from fanout_mcp.state import audit
from fanout_mcp.state.cache import open_cache
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Answer, Job, Outcome, Prompt, Route, no_progress

if TYPE_CHECKING:
    from docket import Docket  # the queue has to be the first to import it

    from fanout_mcp.types import Backend

pytestmark = [
    pytest.mark.slow,
    pytest.mark.anyio,
    pytest.mark.skipif(PROGRAM is None, reason=MISSING),
]

LEASE_S = 2.0
Fields = dict[Any, Any]


@pytest.fixture
def server(tmp_path: Path) -> Iterator[RedisServer]:
    (tmp_path / "redis").mkdir()
    with redis_server(tmp_path / "redis", appends=True) as one:
        yield one


@pytest.fixture
def settings(tmp_path: Path, server: RedisServer) -> Settings:
    return settings_in(tmp_path, server.url)


def answered(outcomes: list[Outcome]) -> int:
    return sum(outcome.is_answered for outcome in outcomes)


@pytest.mark.parametrize("killed_after", [160, 396], ids=["in the middle", "at the tail"])
async def test_a_worker_that_is_killed_loses_nothing(
    tmp_path: Path, server: RedisServer, settings: Settings, killed_after: int
) -> None:
    results: list[list[Outcome]] = []

    async def call() -> None:
        async with opened(settings) as queue:
            results.append(await ask(settings, queue, questions(400)))

    with (
        worker(tmp_path, server.url, lease_s=LEASE_S) as first,
        worker(tmp_path, server.url, lease_s=LEASE_S),
    ):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await until(lambda: len(asked(tmp_path)) >= killed_after)
            first.kill()
    assert answered(results[0]) == 400
    assert len(asked(tmp_path)) <= 400 + 16  # what the killed one had in flight


async def test_a_lease_is_renewed_while_an_answer_takes_longer_than_it(
    tmp_path: Path, server: RedisServer, settings: Settings
) -> None:
    with (
        worker(tmp_path, server.url, 3 * LEASE_S, LEASE_S),
        worker(tmp_path, server.url, 3 * LEASE_S, LEASE_S),
    ):
        async with opened(settings) as queue:
            assert answered(await ask(settings, queue, questions(40))) == 40
    assert set(Counter(key for key, _ in asked(tmp_path)).values()) == {1}


async def test_a_redis_that_is_killed_for_seconds_loses_nothing(
    tmp_path: Path, server: RedisServer, settings: Settings
) -> None:
    results: list[list[Outcome]] = []

    async def call() -> None:
        async with opened(settings) as queue:
            results.append(await ask(settings, queue, questions(400)))

    with worker(tmp_path, server.url, lease_s=LEASE_S), worker(tmp_path, server.url, lease_s=LEASE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            await until(lambda: len(asked(tmp_path)) >= 100)
            server.kill()
            await anyio.sleep(2)
            server.start()
    assert answered(results[0]) == 400
    assert set(Counter(key for key, _ in asked(tmp_path)).values()) == {1}


async def test_a_question_that_kills_its_workers_is_failed_by_name_and_no_other(
    tmp_path: Path, server: RedisServer, settings: Settings
) -> None:
    given = [*questions(50), *questions(1, "poison"), *questions(50, "other")]
    results: list[list[Outcome]] = []

    async def call() -> None:
        async with opened(settings) as queue:
            results.append(await ask(settings, queue, given))
            tasks.cancel_scope.cancel()

    async def keep_a_worker() -> None:
        while True:
            with worker(tmp_path, server.url, lease_s=LEASE_S) as one:
                await until(lambda: one.poll() is not None)

    with worker(tmp_path, server.url, lease_s=LEASE_S):
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(keep_a_worker)
    failed = [outcome for outcome in results[0] if not outcome.is_answered]
    assert [(outcome.key, outcome.reason) for outcome in failed] == [
        ("poison0", "given up: it ended its worker 3 times")
    ]
    assert Counter(key for key, _ in asked(tmp_path))["poison0"] == 2 + 3  # among others, then alone


async def test_a_big_batch_does_not_keep_another_users_small_one_waiting(settings: Settings) -> None:
    backend = Scripted(default=Reply("fine", 0.05))
    async with working(settings, backend) as queue:

        async def big() -> None:
            audit.who.set("alice")
            await ask(settings, queue, questions(5_000))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(big)
            await until(lambda: len(backend.asked) >= 100)
            audit.who.set("bob")
            before = len(backend.asked)
            assert answered(await ask(settings, queue, questions(8, "small"))) == 8
            assert len(backend.asked) - before < 200
            tasks.cancel_scope.cancel()


async def test_a_call_holds_no_question_that_is_in_the_queue(
    tmp_path: Path, server: RedisServer, settings: Settings
) -> None:
    with worker(tmp_path, server.url):
        async with (
            opened(settings) as queue,
            open_journal(settings, Scripted(), Limits(4), no_progress, 64, remote=queue.call()) as journal,
        ):
            begun = [await journal.begin(questions(32, name), PLAN) for name in ("early", "late")]
            gc.collect()
            held = [one for one in gc.get_objects() if type(one) is Prompt]
            assert [one for one in held if one.user.startswith(("what is early", "what is late"))] == []
            assert [answered(await one.outcomes()) for one in begun] == [32, 32]


async def test_a_call_whose_time_is_up_gives_a_handle_and_an_equal_one_joins_its_batch(
    settings: Settings,
) -> None:
    backend = Scripted(default=Reply("fine", 0.5))
    async with working(settings, backend) as queue:
        with pytest.raises(StillRunning) as first:
            await ask(settings, queue, questions(20), Plan(deadline_s=1))
        with pytest.raises(StillRunning) as again:
            await ask(settings, queue, questions(20), Plan(deadline_s=0.5))
        handle = str(first.value).split("`fanout batch wait ")[1].split("`")[0]
        assert handle in str(again.value)
        assert len(handle.rpartition(":")[2]) * 4 >= 128  # bits, in hexadecimal digits
        with anyio.fail_after(30):
            while not (counts := await queue.own(handle)).is_over:
                await anyio.lowlevel.checkpoint()
        assert (counts.total, counts.done, counts.failed) == (20, 20, 0)
        assert {one.status for one in await ask(settings, queue, questions(20))} == {"cached"}
    assert len(backend.asked) == 20


async def test_a_batch_that_can_not_end_in_time_gives_its_handle_early(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "EARLY_S", 1.0)
    async with working(settings, Scripted(default=Reply("fine", 0.2))) as queue:
        with anyio.fail_after(30), pytest.raises(StillRunning, match="of 5,000 are done"):
            await ask(settings, queue, questions(5_000), Plan(deadline_s=60))


async def test_what_workers_spend_is_counted_to_the_call_and_once(settings: Settings) -> None:
    async with working(settings, Scripted(default=Reply("fine", 0.1))) as queue:
        spent: list[float] = []

        async def call() -> None:
            with audit.call("summarize_files", 1.0) as record:
                await ask(settings, queue, questions(40))
            spent.append(record.elsewhere.cost_usd or 0.0)

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            tasks.start_soon(call)
        assert sum(spent) == pytest.approx(0.04)


async def test_a_cancelled_batch_ends_within_two_seconds_and_its_call_reads_why(settings: Settings) -> None:
    backend = Scripted(default=Reply(delay_s=3600))
    results: list[list[Outcome]] = []
    async with working(settings, backend) as queue:

        async def call() -> None:
            results.append(await ask(settings, queue, questions(100)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            while backend.in_flight < 4:
                await anyio.lowlevel.checkpoint()
            with anyio.fail_after(2):
                [handle] = await queue.batches()
                assert await queue.cancel(handle)
                while backend.in_flight:
                    await anyio.lowlevel.checkpoint()
    assert {(one.status, one.reason) for one in results[0]} == {
        ("cut", "its batch was cancelled, or is no longer in Redis")
    }
    assert backend.cancelled == 4


async def test_a_call_that_ends_leaves_what_another_call_waits_for(settings: Settings) -> None:
    backend = Scripted(default=Reply("fine", 0.3))
    results: list[list[Outcome]] = []
    async with working(settings, backend) as queue:

        async def call() -> None:
            results.append(await ask(settings, queue, questions(20)))

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(call)
            while not backend.in_flight:
                await anyio.lowlevel.checkpoint()
            with anyio.move_on_after(0.4):
                await ask(settings, queue, questions(20))
    assert answered(results[0]) == 20


async def test_a_call_that_was_killed_keeps_no_later_one_from_cancelling(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    audit.who.set("alice")
    backend = Scripted(default=Reply(delay_s=3600))
    async with working(settings, backend) as queue:
        with process(
            "call", settings.root.parent, settings.redis_url, "alice", 20, settings.max_parallel
        ) as one:
            await until(lambda: backend.in_flight > 0)
            one.kill()
        monkeypatch.setattr(module, "WAITS_S", 0)
        with anyio.move_on_after(1):
            await ask(settings, queue, questions(20, "alice-"))
        assert len(await queue.batches()) == 1
        await until(lambda: not backend.in_flight, 2)


@pytest.mark.parametrize(
    "attempt", ["{handle}", "bob:{bare}", "{bare}", ":{bare}", "alice :{bare}", "Alice:{bare}"]
)
async def test_another_users_batch_reads_as_one_that_is_not_there(settings: Settings, attempt: str) -> None:
    async with working(settings, Scripted(default=Reply(delay_s=3600))) as queue:
        audit.who.set("alice")
        with pytest.raises(StillRunning):
            await ask(settings, queue, questions(20), Plan(deadline_s=0.1))
        [handle] = await queue.batches()
        audit.who.set("bob")
        assert await queue.batches() == []
        given = attempt.format(handle=handle, bare=handle.rpartition(":")[2])
        with pytest.raises(Unknown) as refused:
            await queue.own(given)
        with pytest.raises(Unknown) as unknown:
            await queue.own(f"bob:{'0' * 32}")
        assert str(refused.value).replace(given, "") == str(unknown.value).replace(f"bob:{'0' * 32}", "")
        audit.who.set("alice")
        await queue.cancel(handle)


async def test_equal_questions_of_two_users_are_two_batches(settings: Settings) -> None:
    async with working(settings, Scripted(default=Reply(delay_s=3600))) as queue:
        for user in ("alice", "bob"):
            audit.who.set(user)
            with pytest.raises(StillRunning, match="make the same call again") as refused:
                await ask(settings, queue, questions(20), Plan(deadline_s=0.1))
            [handle] = await queue.batches()
            assert handle.startswith(f"{user}:")
            assert handle not in str(refused.value)  # a service's user has no shell
            await queue.cancel(handle)


# --- what is planted in Redis -------------------------------------------------------------------------------


class Planted:
    """A pickle that makes a file when it is read."""

    def __init__(self, place: Path) -> None:
        self.place = place

    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (self.place,)


@pytest.fixture
async def redis(server: RedisServer) -> AsyncIterator[Redis]:
    client = Redis.from_url(server.url)
    yield client
    await client.aclose()


async def test_no_planted_pickle_runs_at_any_of_the_five_places(
    tmp_path: Path, settings: Settings, redis: Redis
) -> None:
    made = tmp_path / "made"
    planted = pickle.dumps(Planted(made))
    pickle.loads(planted)
    assert made.exists()  # it would
    made.unlink()
    async with opened(settings) as before:
        docket = before.docket
        strike: Fields = {"direction": "strike", "function": "another", "operator": "==", "value": planted}
        await redis.xadd(f"{docket.name}:strikes", strike)
        await docket._ensure_stream_and_group()
    message: Fields = {"key": "k", "when": "2026-01-01T00:00:00+00:00", "function": TICKET, "attempt": "1"}
    for args, kwargs in ((planted, pickle.dumps({})), (pickle.dumps(()), planted), (planted, planted)):
        await redis.xadd(docket.stream_key, {**message, "args": args, "kwargs": kwargs})
    backend = Scripted(default=Reply("fine"))
    async with working(settings, backend) as queue:
        with anyio.fail_after(60):
            assert answered(await ask(settings, queue, questions(40))) == 40
        # A snapshot reads what waits, and a caller of Docket what came back: results and exceptions.
        await redis.xadd(queue.docket.stream_key, {**message, "args": planted, "kwargs": planted})
        await queue.docket.snapshot()
        for kind in ("completed", "failed"):
            await read_back(queue.docket, redis, kind, planted)
    assert not made.exists()


async def read_back(docket: Docket, redis: Redis, state: str, planted: bytes) -> None:
    """Have Docket read a task with its result, or its exception, that someone else stored."""
    key, data = f"planted-{state}", base64.b64encode(planted).decode()
    run: Fields = {
        "function": TICKET,
        "args": planted,
        "kwargs": planted,
        "when": "0",
        "state": state,
        "result_key": key,
    }
    await redis.hset(docket.runs_key(key), mapping=run)
    await docket.result_storage.put(key, {"data": data}, ttl=60)
    execution = await docket.get_execution(key)
    assert execution is not None
    with suppress(TypeError):  # what was refused is no exception
        assert await execution.get_result() == ()


async def test_a_forged_shard_is_dropped_and_the_genuine_ones_are_asked(
    settings: Settings, redis: Redis, capfd: pytest.CaptureFixture[str]
) -> None:
    backend = Scripted(default=Reply("fine"))
    async with opened(settings) as queue:
        shards = f"{queue.prefix}shards:mallory:0"
        await redis.hset(shards, "s", pickle.dumps([1]))
        await redis.rpush(f"{queue.turns}todo:mallory", "mallory:0 s")
        await redis.rpush(f"{queue.turns}users", "mallory")
    async with working(settings, backend) as queue:
        assert answered(await ask(settings, queue, questions(40))) == 40
    assert not await redis.exists(shards)
    assert "was not written with the secret" in capfd.readouterr().err


async def test_a_worker_of_another_version_leaves_what_it_does_not_know(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    theirs, ours = Scripted(default=Reply("theirs")), Scripted(default=Reply("ours"))
    async with working(settings, theirs):
        monkeypatch.setattr(module, "VERSION", "newer")
        here = Scripted(default=Reply("here"))
        async with opened(settings) as queue:
            assert answered(await ask(settings, queue, questions(20), PLAN, here)) == 20
        assert len(here.asked) == 20  # no worker of its version: asked at once, from here
        async with working(settings, ours) as queue:
            await ask(settings, queue, questions(20, "more"))
    assert (len(theirs.asked), len(ours.asked)) == (0, 20)


@pytest.mark.parametrize(
    ("url", "reason"),
    [("redis://127.0.0.1:1/0", "the queue can't be used"), (None, "no `fanout worker` of this version")],
    ids=["no Redis", "no worker"],
)
async def test_without_a_queue_the_call_asks_from_here_and_says_so(
    tmp_path: Path, server: RedisServer, url: str | None, reason: str
) -> None:
    settings = settings_in(tmp_path, url or server.url)
    queue = module.Queue(settings)
    async with open_journal(settings, Scripted(), Limits(4), no_progress, 20, remote=queue.call()) as journal:
        assert answered(await journal.ask(questions(20), PLAN)) == 20
        assert reason in journal.problem
    await queue.close()


async def test_a_redis_that_hangs_is_one_that_is_away(
    server: RedisServer, settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "REPLY_S", 0.3)
    for is_open in (False, True):
        queue = module.Queue(settings)
        if is_open:
            await queue.open()
        server.hang()
        with anyio.fail_after(20):
            async with open_journal(
                settings, Scripted(), Limits(4), no_progress, 20, remote=queue.call()
            ) as journal:
                assert answered(await journal.ask(questions(20, f"{is_open}"), PLAN)) == 20
                assert "the queue can't be used" in journal.problem
        server.go_on()
        await queue.close()


async def test_a_small_call_and_one_of_agents_stay_here(settings: Settings) -> None:
    backend, here = Scripted(default=Reply("worker")), Scripted(default=Reply("here"))
    async with working(settings, backend) as queue:
        await ask(settings, queue, questions(4), PLAN, here)
        agents = [Question(Job(f"a{n}", Prompt("s", f"{n}"), workspace=settings.root)) for n in range(20)]
        await ask(settings, queue, agents, PLAN, here)
    assert (len(backend.asked), len(here.asked)) == (0, 24)


async def test_a_worker_of_another_provider_is_not_seen(settings: Settings) -> None:
    theirs, here = Scripted(default=Reply("theirs")), Scripted(default=Reply("here"))
    async with working(settings, theirs, provider="one.example"), opened(settings, "two.example") as queue:
        call = queue.call()
        async with open_journal(settings, here, Limits(4), no_progress, 20, remote=call) as journal:
            assert answered(await journal.ask(questions(20), PLAN)) == 20
        assert "of this version and provider" in call.problem
    assert (len(theirs.asked), len(here.asked)) == (0, 20)


class Refusing(Scripted):
    def route(self, model: str | None) -> Route:
        raise InvalidInput(f"{model}: its provider is not enabled.")


async def test_a_worker_that_may_not_use_a_provider_says_so(settings: Settings) -> None:
    async with working(settings, Refusing()) as queue:
        outcomes = await ask(settings, queue, questions(20))
    assert {(one.status, one.reason) for one in outcomes} == {
        ("failed", "None: its provider is not enabled.")
    }


# --- a batch, step by step ----------------------------------------------------------------------------------


def shard_of(batch: str, name: str = "s", count: int = 2) -> Shard:
    units = [Unit(question.job, f"key of {question.job.key}", "") for question in questions(count)]
    return Shard(batch, name, units, JUDGES[0], Budget(), audit.Origin())


async def settled(queue: Queue, shard: Shard) -> None:
    rows = [packed_outcome(Outcome(unit.job, "answered"), is_kept=True) for unit in shard.units]
    await queue.finish("ticket", shard, rows, 0.0)


async def counted(queue: Queue, batch: str) -> Counts:
    counts = await queue.counts(batch)
    assert counts is not None
    return counts


async def test_equal_calls_at_once_join_before_the_first_shard_and_the_last_to_leave_cancels(
    settings: Settings,
) -> None:
    async with opened(settings) as queue:
        joined: list[str] = []

        async def join(call: str) -> None:
            joined.append(await queue.join("alice", "first", call))

        async with anyio.create_task_group() as tasks:
            for call in "abcab":  # a repeated step is the same one
                tasks.start_soon(join, call)
        assert len(set(joined)) == 1
        for call in "ab":
            await queue.leave(joined[0], call, is_wanted=False)
        assert (await counted(queue, joined[0])).state == ""
        await queue.leave(joined[0], "c", is_wanted=False)
        assert (await counted(queue, joined[0])).state == "cancelled"
        assert await queue.join("alice", "first", "d") != joined[0]


async def test_a_batch_between_two_portions_is_not_over_and_can_be_cancelled(settings: Settings) -> None:
    async with opened(settings) as queue:
        for is_complete in (False, True):
            batch = await queue.join("alice", f"{is_complete}", f"{is_complete}")
            await queue.put(shard_of(batch))
            await settled(queue, shard_of(batch))
            assert not (await counted(queue, batch)).is_over
            if is_complete:
                await queue.complete(batch)
            assert (await counted(queue, batch)).is_over is is_complete
            assert await queue.cancel(batch) is not is_complete
            assert not await queue.put(shard_of(batch, "more")) or is_complete


async def test_a_batch_whose_call_died_between_two_portions_ends(
    settings: Settings, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "GROWING_S", 1)
    async with opened(settings) as queue:
        batch = await queue.join("alice", "first", "call")
        await queue.put(shard_of(batch))
        await settled(queue, shard_of(batch))
        with anyio.fail_after(10):
            while not (await counted(queue, batch)).is_over:
                await anyio.lowlevel.checkpoint()


async def test_a_worker_that_ends_late_leaves_the_shard_that_its_ticket_holds_by_then(
    settings: Settings, redis: Redis
) -> None:
    async with opened(settings) as queue:
        batch = await queue.join("alice", "first", "call")
        for name in ("one", "two"):
            await queue.put(shard_of(batch, name))
        for name in ("one", "two"):
            taken = await queue.take("ticket")
            assert taken is not None
            assert taken.shard.name == name
            await settled(queue, shard_of(batch, "one"))
        again = await queue.take("ticket")
        assert again is not None
        assert (again.shard.name, again.times) == ("two", 2)
        await settled(queue, shard_of(batch, "two"))
        assert [name async for name in redis.scan_iter(f"{queue.prefix}held:*")] == []


async def test_a_worker_that_is_to_stop_finishes_its_shards_and_takes_no_further_one(
    settings: Settings,
) -> None:
    class Blocked(Scripted):
        async def ask(self, job: Job) -> Answer:
            waits.append(job.key)
            await go_on.wait()
            return await Scripted.ask(self, job)

    go_on, waits = anyio.Event(), list[str]()
    cache = open_cache(settings.cache, settings.config_dir)
    async with opened(settings) as own, opened(settings) as queue:
        batch = await queue.join("alice", "first", "call")
        for n in range(6):
            unit = Unit(Job(f"job{n}", Prompt("s", f"q{n}")), f"key{n}", "scripted")
            await queue.put(Shard(batch, f"s{n}", [unit], JUDGES[0], Budget(), audit.Origin()))
        running = asyncio.create_task(Worker(own, cast("Backend", Blocked()), Limits(4), cache).run())
        await until(lambda: len(waits) == 2)
        running.cancel()
        await anyio.lowlevel.checkpoint()
        go_on.set()
        with anyio.fail_after(30):
            await running
        assert (await counted(queue, batch)).done == len(waits) == 2
    cache.close()


async def test_deaths_are_counted_by_question(settings: Settings) -> None:
    async with opened(settings) as queue:
        batch = await queue.join("alice", "first", "call")
        await queue.put(shard_of(batch))
        seen: list[frozenset[str]] = []
        for key in ("one", "two", "one", "two", "one", "two", "three"):
            taken = await queue.take("ticket")
            assert taken is not None
            seen.append(taken.dead)
            await queue.note("ticket", at=key)
        assert seen == [frozenset()] * (2 * DEATHS - 1) + [{"one"}, {"one", "two"}]


async def test_what_comes_late_leaves_nothing_in_redis_for_good(settings: Settings, redis: Redis) -> None:
    async with opened(settings) as queue:
        batch = await queue.join("alice", "first", "call")
        await queue.put(shard_of(batch))
        await queue.take("ticket")
        await settled(queue, shard_of(batch))
        await queue.note("ticket", at="late", usd=0.5)
        await queue.leave("alice:gone", "call", is_wanted=True)
        names = [name async for name in redis.scan_iter(f"{queue.prefix}*")]
        lasting = [name for name in names if await redis.ttl(name) < 0]
        assert b"held:ticket" in b" ".join(names)
        assert lasting == []


async def test_no_users_name_is_in_what_docket_puts_into_spans(settings: Settings, redis: Redis) -> None:
    async with opened(settings) as queue:
        await queue.put(shard_of(await queue.join("alice", "first", "call")))
        assert await redis.xlen(queue.docket.stream_key) == 1
        assert b"alice" not in repr(await redis.xrange(queue.docket.stream_key)).encode()


# --- a Redis that goes --------------------------------------------------------------------------------------


async def test_a_redis_that_is_known_to_be_away_is_not_asked(settings: Settings, server: RedisServer) -> None:
    link = Link(server.url)
    link.is_away, link.problem = True, "it is away"
    queue = Queue(settings, link=link)
    server.hang()
    with anyio.fail_after(2):
        async with open_journal(
            settings, Scripted(), Limits(4), no_progress, 20, remote=queue.call()
        ) as journal:
            assert answered(await journal.ask(questions(20), PLAN)) == 20
            assert journal.problem == "asked from this process: it is away"
    server.go_on()


class Losing(Queue):
    async def put(self, shard: Shard) -> bool:
        raise TimeoutError


async def test_a_call_that_could_put_nothing_is_asked_from_here(settings: Settings) -> None:
    async with working(settings, Scripted(default=Reply("worker"))):
        queue = Losing(settings)
        call, here = queue.call(), Scripted(default=Reply("here"))
        async with open_journal(settings, here, Limits(4), no_progress, 20, remote=call) as journal:
            assert answered(await journal.ask(questions(20), PLAN)) == 20
        assert call.problem == "asked from this process: the queue can't be used: no answer in time"
        assert (await counted(queue, call.batch)).state == "cancelled"
        await queue.close()
    assert len(here.asked) == 20


async def test_a_call_whose_answers_are_all_known_opens_no_queue(tmp_path: Path) -> None:
    settings = settings_in(tmp_path, "redis://127.0.0.1:1/0")
    here = Scripted(default=Reply("here"))
    async with open_journal(settings, here, Limits(4), no_progress, 20) as journal:
        await journal.ask(questions(20), PLAN)
    call = Queue(settings).call()
    async with open_journal(settings, here, Limits(4), no_progress, 20, remote=call) as journal:
        assert {one.status for one in await journal.ask(questions(20), PLAN)} == {"cached"}
    assert call.problem == ""
