"""What replicas share through a real Redis: answers, limits and cool-downs; and what they do without it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import anyio
import anyio.lowlevel
import anyio.to_thread
import pytest

from fakes.company import Company, company
from fakes.hostile_server import NoBackend
from fakes.redis_server import MISSING, PROGRAM, RedisServer, redis_server, settings_of
from fakes.replica import busiest, finish, replicas, steady
from fakes.service import running
from fakes.upstream import Rule, Upstream, serving, until
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import BudgetExceeded, InvalidInput, RateLimited
from fanout_mcp.journal import Asking, is_whole, one_at_a_time
from fanout_mcp.scale.serve import USER, Service, User
from fanout_mcp.scale.shared import Away, Link, Shared, open_shared
from fanout_mcp.scale.telemetry import Figures
from fanout_mcp.state import audit
from fanout_mcp.state import cache as module
from fanout_mcp.state.audit import Call
from fanout_mcp.tools.oracle_batch import TOOL
from fanout_mcp.tools.services import Services
from fanout_mcp.types import Answer, Job, Prompt, Rate
from fanout_mcp.usage import Usage

if TYPE_CHECKING:
    from redis import Redis

    from fanout_mcp.types import Backend

__all__ = ["company"]

pytestmark = [pytest.mark.anyio, pytest.mark.slow, pytest.mark.skipif(PROGRAM is None, reason=MISSING)]

ANSWER = Answer("It holds.", "m")
SLOW = 2
BUNCHED = 1.25
"""On a busy machine what should have gone out evenly goes out together; benchmarks/shared.py has the bars."""


@pytest.fixture
def redis(tmp_path: Path) -> Iterator[RedisServer]:
    with redis_server(tmp_path) as server:
        yield server


def _plant(redis: Redis, value: bytes) -> bool:
    return bool(redis.set("fanout:answer:key2", value))


def times_of(upstream: Upstream) -> list[float]:
    return [seen.started for seen in upstream.log]


def test_four_replicas_that_ask_the_same_make_each_call_once(tmp_path: Path, redis: RedisServer) -> None:
    with (
        serving(Rule(delay=0.05)) as upstream,
        replicas(tmp_path, 4, "journal", 200, urls=(upstream.url, redis.url), rounds=5) as running,
    ):
        found = finish(running)
        assert [sum(one["statuses"].values()) for one in found] == [1000] * 4
        assert {name for one in found for name in one["statuses"]} <= {"answered", "cached"}
        assert {one["problem"] for one in found} == {""}
        assert len(upstream.log) == 200


def test_two_replicas_keep_to_the_limit_of_the_provider_s_row(tmp_path: Path, redis: RedisServer) -> None:
    row = "requests_per_second = 100"
    with (
        serving(Rule(delay=0.1)) as upstream,
        replicas(tmp_path, 2, "engine", 400, urls=(upstream.url, redis.url), limit=row) as running,
    ):
        assert [one["statuses"] for one in finish(running)] == [{"answered": 400}] * 2
        assert steady(times_of(upstream)) <= 101
        assert busiest(times_of(upstream)) <= BUNCHED * 100


def test_without_redis_each_replica_keeps_to_its_share_and_shares_again_later(
    tmp_path: Path, redis: RedisServer
) -> None:
    row = "requests_per_second = 60"
    with (
        serving(Rule(delay=0.1)) as upstream,
        replicas(tmp_path, 2, "journal", 480, urls=(upstream.url, redis.url), limit=row) as running,
    ):
        time.sleep(2.5)
        redis.kill()
        time.sleep(3)
        redis.start()
        found = finish(running)
        assert [one["statuses"].get("failed", 0) for one in found] == [0, 0]
        assert all("went on without the shared Redis" in one["problem"] for one in found)
        assert busiest(times_of(upstream)) <= BUNCHED * 60


def test_a_redis_that_the_policy_forbids_meanwhile_is_left_and_taken_up_again(
    redis: RedisServer, company: Company
) -> None:
    link = Link(redis.url)
    for words, is_away in (("", False), ('hosts = ["gw.corp.example"]', True), ("hosts = ['*']", False)):
        company.says(f"unpriced = true\n{words}\n")
        link._beat()
        assert link.is_away is is_away
    link.close()


async def test_a_redis_that_hangs_costs_a_call_a_fifth_of_a_second_once(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with open_shared(settings_of(tmp_path, redis.url)) as shared:
        meter, cache = shared.meter, shared.open_cache(tmp_path / "cache", tmp_path / "user")
        await meter.reserve("m", "p", Rate(100), 10)
        redis.hang()
        began = time.monotonic()
        async with anyio.create_task_group() as tasks:
            for _ in range(50):
                tasks.start_soon(meter.reserve, "m", "p", Rate(100), 10)
            tasks.start_soon(anyio.to_thread.run_sync, cache.claim, "key")
        first, began = time.monotonic() - began, time.monotonic()
        for _ in range(50):
            await meter.reserve("m", "p", Rate(100), 10)
        assert not cache.keep("key", ANSWER)
        shared.dollars.add(["a"], 1.0)
        assert time.monotonic() - began < 0.1
        assert first < 0.2 * SLOW
        assert shared.figures()["fanout_redis_up"] == 0
        redis.go_on()
        await until(lambda: not shared.link.is_away)
        assert await shared.dollars.take({"a": 1.5}, 1.0) == ("a", 1.0)
        assert cache.known(["key"]) == {"key": ANSWER}
        assert cache.keep("later", ANSWER)
        assert shared.figures()["fanout_redis_outages_total"] == 1
        cache.close()


async def test_dollars_of_a_day_are_one_sum_for_all_replicas(tmp_path: Path, redis: RedisServer) -> None:
    async with (
        open_shared(settings_of(tmp_path, redis.url)) as one,
        open_shared(settings_of(tmp_path, redis.url)) as other,
    ):
        taken = [await each.dollars.take({"alice": 1.0}, 0.3) for each in (one, other, one, other)]
        assert [each is None for each in taken] == [True, True, True, False]
        one.dollars.add(["alice"], -0.3)
        with anyio.fail_after(30):
            while await other.dollars.take({"alice": 1.0}, 0.3) is not None:
                await anyio.lowlevel.checkpoint()
        assert await other.dollars.take({"bob": 1.0}, 0.3) is None


@pytest.mark.parametrize("cap", [1.0, 0.1], ids=["goes on", "is refused meanwhile"])
async def test_dollars_whose_reply_is_lost_count_once(
    tmp_path: Path, redis: RedisServer, monkeypatch: pytest.MonkeyPatch, cap: float
) -> None:
    async with (
        open_shared(settings_of(tmp_path, redis.url)) as one,
        open_shared(settings_of(tmp_path, redis.url)) as other,
    ):
        run = one.link.run

        def without_reply(*given: Any) -> Any:
            run(*given)
            one.link._lose(TimeoutError("the reply is lost"))
            raise Away

        one.link.replicas = 5
        with monkeypatch.context() as lost:
            lost.setattr(one.link, "run", without_reply)
            is_taken = await one.dollars.take({"alice": cap}, 0.1) is None
        assert is_taken == (cap == 1.0)
        await until(lambda: not one.link.is_away)
        assert await one.dollars.take({"bob": 1.0}, 0.1) is None  # after a report
        refused = await other.dollars.take({"alice": 0.0}, 0.1)
        assert refused is not None
        assert refused[1] == pytest.approx(0.1 if is_taken else 0.0)


async def test_dollars_are_given_back_without_waiting_for_redis(tmp_path: Path, redis: RedisServer) -> None:
    async with open_shared(settings_of(tmp_path, redis.url)) as other:
        async with open_shared(settings_of(tmp_path, redis.url)) as one:
            assert await one.dollars.take({"alice": 1.0}, 0.9) is None
            redis.hang()
            began = time.monotonic()
            one.dollars.add(["alice"], -0.5)
            assert time.monotonic() - began < 0.05
            redis.go_on()
        await until(lambda: not other.link.is_away)
        refused = await other.dollars.take({"alice": 0.0}, 0.1)
        assert refused is not None
        assert refused[1] == pytest.approx(0.4)


async def test_dollars_that_wait_for_a_redis_that_hangs_keep_nothing_else_waiting(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with open_shared(settings_of(tmp_path, redis.url)) as shared:
        redis.hang()
        done = anyio.Event()

        async def take() -> None:
            assert await shared.dollars.take({"alice": 1.0}, 0.1) is None
            done.set()

        turns = 0
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(take)
            while not done.is_set():
                await anyio.lowlevel.checkpoint()
                turns += 1
        assert shared.link.is_away
        assert turns > 100
        redis.go_on()


async def test_dollars_set_aside_at_once_never_pass_the_cap(tmp_path: Path, redis: RedisServer) -> None:
    async with (
        open_shared(settings_of(tmp_path, redis.url)) as one,
        open_shared(settings_of(tmp_path, redis.url)) as other,
    ):
        taken = []

        async def take(each: Shared) -> None:
            taken.append(await each.dollars.take({"alice": 1.0}, 0.05))

        async with anyio.create_task_group() as tasks:
            for each in [one, other] * 50:
                tasks.start_soon(take, each)
        assert taken.count(None) == 20


async def test_a_redis_that_forgot_everything_is_told_the_sums_again(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with open_shared(settings_of(tmp_path, redis.url)) as shared:
        await shared.dollars.take({"alice": 1.0}, 0.6)
        redis.kill()
        assert await shared.dollars.take({"alice": 1.0}, 0.5) is not None
        assert await shared.dollars.take({"alice": 1.0}, 0.1) is None
        redis.start()
        await until(lambda: not shared.link.is_away)
        async with open_shared(settings_of(tmp_path, redis.url)) as other:
            refused = await other.dollars.take({"alice": 1.0}, 0.4)
            assert refused is not None
            assert refused[1] == pytest.approx(0.7)


async def test_a_cool_down_holds_every_replica_back(tmp_path: Path, redis: RedisServer) -> None:
    async with (
        open_shared(settings_of(tmp_path, redis.url)) as one,
        open_shared(settings_of(tmp_path, redis.url)) as other,
    ):
        limits = Limits(4, shared=one.meter), Limits(4, shared=other.meter)
        limiter = limits[0].of("m")
        limiter.pushed_back(30.0)
        await limiter.share_cool_down()
        with pytest.raises(RateLimited, match="no room for another 30 s"):
            await limits[1].of("m").acquire(1, anyio.current_time() + 5, 0)
        await limits[1].of("another").acquire(1, anyio.current_time() + 5, 0)
        limiter.pushed_back(30.0, for_all_models=True)
        await limiter.share_cool_down()
        with pytest.raises(RateLimited):
            await limits[1].of("a third").acquire(1, anyio.current_time() + 5, 0)


async def test_tokens_that_a_call_did_not_use_are_given_back_to_all(
    tmp_path: Path, redis: RedisServer
) -> None:
    rate = Rate(tokens_per_minute=6_000)
    async with (
        open_shared(settings_of(tmp_path, redis.url)) as one,
        open_shared(settings_of(tmp_path, redis.url)) as other,
    ):
        assert await one.meter.reserve("m", "p", rate, 3_000) == 0
        assert await other.meter.reserve("m", "p", rate, 100) == pytest.approx(26, abs=1)
        await one.meter.settle("m", rate, 2_900)
        assert await other.meter.reserve("m", "p", rate, 100) == 0


async def test_an_answer_that_someone_else_wrote_into_redis_is_not_believed(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with open_shared(settings_of(tmp_path, redis.url)) as shared:
        cache = shared.open_cache(tmp_path / "cache", tmp_path / "user")
        stranger = shared.open_cache(tmp_path / "cache2", tmp_path / "stranger")
        cache.keep("key", ANSWER)
        assert stranger.known(["key"]) == {}
        for value in (b"", b"x" * 40, b"\x80\x05cos\nsystem\n."):
            shared.link.ask(partial(_plant, value=value))
            assert cache.known(["key2"]) == {}
            assert cache.claim("key2") == "theirs"
            assert cache.claim("key2") == "mine"
            cache.release("key2")
        cache.close()
        stranger.close()


async def test_the_lease_of_a_call_is_renewed_and_that_of_a_dead_replica_ends(
    tmp_path: Path, redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(module, "LEASE_S", 0.6)
    async with open_shared(settings_of(tmp_path, redis.url)) as shared:
        cache, other = (
            shared.open_cache(tmp_path / name, tmp_path / "user") for name in ("cache", "another")
        )
        assert cache.claim("long") == "mine"
        end = time.monotonic() + 1.5
        while time.monotonic() < end:
            assert other.claim("long") == "theirs"
            await anyio.sleep(0.05)
        cache._closing.set()  # what a killed process no longer does
        await until(lambda: other.claim("long") == "mine")
        cache.close()
        other.close()


async def test_a_neighbour_does_not_ask_again_what_is_in_flight_when_redis_goes_away(
    tmp_path: Path, redis: RedisServer
) -> None:
    async with (
        open_shared(settings_of(tmp_path, redis.url)) as one,
        open_shared(settings_of(tmp_path, redis.url)) as other,
    ):
        asking, neighbour = (each.open_cache(tmp_path / "cache", tmp_path / "user") for each in (one, other))
        assert asking.claim("key") == "mine"
        redis.kill()
        assert neighbour.claim("key") == "theirs"
        asking.keep("key", ANSWER)
        assert neighbour.claim("key") == ANSWER
        asking.close()
        neighbour.close()


async def test_after_an_outage_answers_count_as_kept_again(tmp_path: Path, redis: RedisServer) -> None:
    async def answered(_: Job) -> Answer:
        return ANSWER

    jobs = [Job(name, Prompt("", "")) for name in ("before", "meanwhile", "after")]
    async with open_shared(settings_of(tmp_path, redis.url)) as shared:
        cache = shared.open_cache(tmp_path / "cache", tmp_path / "user")
        asking = Asking(answered, cache, {job.key: job.key for job in jobs}, is_whole, one_at_a_time())
        await asking.ask(jobs[0])
        redis.hang()
        await asking.ask(jobs[1])
        redis.go_on()
        await until(lambda: not shared.link.is_away)
        await asking.ask(jobs[2])
        assert asking.kept == {"before", "after"}
        assert cache.problem
        cache.close()


async def test_replicas_are_counted_and_leave_at_their_end(tmp_path: Path, redis: RedisServer) -> None:
    async with open_shared(settings_of(tmp_path, redis.url)):
        async with open_shared(settings_of(tmp_path, redis.url)) as second:
            assert second.figures()["fanout_replicas"] == 2
        async with open_shared(settings_of(tmp_path, redis.url)) as third:
            assert third.figures()["fanout_replicas"] == 2


async def test_a_user_s_dollars_of_a_day_bind_on_every_replica_of_a_service(
    tmp_path: Path, redis: RedisServer
) -> None:
    request = SimpleNamespace(scope={USER: User("carol", max_usd_per_day=0.5)})
    carol: Any = SimpleNamespace(request=request, meta=None)
    services = Services(settings_of(tmp_path, redis.url), cast("Backend", NoBackend()), Limits(8))
    given = TOOL.arguments.model_validate({"question": "Is it wise?"})
    async with (
        open_shared(settings_of(tmp_path, redis.url)) as one,
        open_shared(settings_of(tmp_path, redis.url)) as other,
    ):
        first, second = (Service(Figures(), None, dollars=each.dollars, shared=each) for each in (one, other))
        record = Call("oracle_batch", 0.3)
        async with first.admitted(carol, services, given, record):
            with pytest.raises(BudgetExceeded, match=r"\$0\.2 are left"):
                async with second.admitted(carol, services, given, Call("oracle_batch", 0.3)):
                    pass
            record.usd = 0.1
        one.link._beat()  # its keeper is about to report as well
        async with second.admitted(carol, services, given, Call("oracle_batch", 0.3)):
            pass
        figures = second.metrics()
        assert "fanout_redis_up 1" in figures
        assert "fanout_replicas 2" in figures


async def test_what_workers_spent_is_in_the_service_s_figures_and_line_but_not_twice_in_its_sum(
    tmp_path: Path, redis: RedisServer, capsys: pytest.CaptureFixture[str]
) -> None:
    request = SimpleNamespace(scope={USER: User("carol", max_usd_per_day=0.5)})
    carol: Any = SimpleNamespace(request=request, meta=None)
    services = Services(settings_of(tmp_path, redis.url), cast("Backend", NoBackend()), Limits(8))
    given = TOOL.arguments.model_validate({"question": "Is it wise?"})
    async with open_shared(settings_of(tmp_path, redis.url)) as shared:
        service = Service(Figures(), None, dollars=shared.dollars, shared=shared)
        with audit.call("oracle_batch", 0.3) as record:
            async with service.admitted(carol, services, given, record):
                record.usd = 0.1
                audit.charge(Usage(30, 4, 0.25))
        figures = service.metrics()
        assert 'fanout_cost_usd_total{tool="oracle_batch"} 0.35' in figures
        assert 'fanout_tokens_total{kind="in"} 30' in figures
        assert '"usd": 0.35' in capsys.readouterr().err
        assert await shared.dollars.take({audit.sum_of("user"): 0.1}, 0.01) == (audit.sum_of("user"), 0.1)


async def test_a_refused_call_s_line_names_its_user(tmp_path: Path, company: Company) -> None:
    company.says(company.logged())
    request = SimpleNamespace(scope={USER: User("carol", frozenset())})
    carol: Any = SimpleNamespace(request=request, meta=None)
    services = Services(settings_of(tmp_path, ""), cast("Backend", NoBackend()), Limits(8))
    given = TOOL.arguments.model_validate({"question": "Is it wise?"})
    service = Service(Figures(), None)
    with pytest.raises(InvalidInput, match="needs the scope"), audit.call("oracle_batch") as record:
        async with service.admitted(carol, services, given, record):
            pass
    assert '"user":"carol"' in company.log.read_text()


def test_a_service_s_replica_answers_what_another_one_asked(tmp_path: Path, redis: RedisServer) -> None:
    known = Rule(text='{"purpose": "It prints one.", "notes": []}')
    with serving(known) as upstream, ExitStack() as stack:
        services = []
        for folder in (tmp_path / "one", tmp_path / "other"):
            config = folder / "home" / ".config" / "fanout"
            config.mkdir(parents=True)
            (config / "cache.key").write_bytes(b"k" * 32)
            more = {"FANOUT_REDIS_URL": redis.url, "FANOUT_BASE_URL": upstream.url, "FANOUT_MODEL": "m"}
            services.append(stack.enter_context(running(folder, env=more)))
        for service in services:
            answer = service.call("summarize_files", {"paths": ["app.py"], "engine": "model"})
            assert answer["structuredContent"]["files"][0]["purpose"] == "It prints one.", answer
        assert len(upstream.log) == 1
        figures = services[-1].get("/metrics")[1]
        assert "fanout_redis_up 1\n" in figures
        assert "fanout_replicas 2\n" in figures
