"""What replicas share, where there is no Redis, none that answers, or none that may be asked."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path

import anyio
import anyio.lowlevel
import pytest

from fakes.company import Company, company
from fakes.redis_server import settings_of
from fanout_mcp.engine.limits import AHEAD_S
from fanout_mcp.errors import NotAllowed, Rejected, SettingsError
from fanout_mcp.scale.shared import Dollars, Link, open_shared
from fanout_mcp.state import audit
from fanout_mcp.types import Answer, Job, ModelPrice, Prompt, Rate
from fanout_mcp.usage import Usage

__all__ = ["company"]

NOWHERE = "redis://user:hunter2@127.0.0.1:1/0"
ANSWER = Answer("It holds.", "m")


async def test_dollars_are_counted_without_a_redis_too() -> None:
    dollars = Dollars()
    assert await dollars.take({"day": 1.0, "month": 2.0}, 0.7) is None
    assert await dollars.take({"day": 1.0, "month": 2.0}, 0.7) == ("day", 0.7)
    dollars.add(["day", "month"], -0.5)
    assert await dollars.take({"day": 1.0, "month": 2.0}, 0.7) is None


async def test_dollars_of_a_day_that_is_over_are_forgotten_and_those_of_its_month_are_not(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    dollars, caps = Dollars(), {"day:7:2026-11-29": 1.0, "month:7:2026-11": 1.5}

    def it_is(day: int) -> None:
        monkeypatch.setattr(time, "gmtime", lambda: datetime(2026, 11, day, tzinfo=UTC).timetuple())

    it_is(29)
    assert await dollars.take(caps, 0.7) is None
    assert await dollars.take(caps, 0.7) == ("day:7:2026-11-29", 0.7)
    it_is(30)
    assert await dollars.take(caps, 0.7) is None
    assert await dollars.take({"month:7:2026-11": 1.5}, 0.7) == ("month:7:2026-11", 1.4)


async def test_a_redis_that_is_not_there_costs_no_answer(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    began = time.monotonic()
    async with open_shared(settings_of(tmp_path, NOWHERE)) as shared:
        cache = shared.open_cache(tmp_path / "cache", tmp_path / "user")
        assert cache.claim("key") == "mine"
        assert not cache.keep("key", ANSWER)
        assert cache.known(["key"]) == {"key": ANSWER}
        assert cache.claim("key") == ANSWER
        assert await shared.meter.reserve("m", "p", Rate(1), 10) == 0
        assert 0 < await shared.meter.reserve("m", "p", Rate(1), 10) <= AHEAD_S + 0.1
        await shared.meter.hold("p", 3)
        assert await shared.dollars.take({"a": 1.0}, 0.8) is None
        assert await shared.dollars.take({"a": 1.0}, 0.8) == ("a", 0.8)
        assert shared.figures()["fanout_redis_up"] == 0
        cache.close()
    assert time.monotonic() - began < 5
    assert cache.problem == "went on without the shared Redis for a while"
    assert "redis://127.0.0.1:1/0" in caplog.text
    assert [record.message.count("is away") for record in caplog.records] == [1]
    assert "hunter2" not in caplog.text + cache.problem


async def test_a_replica_without_redis_takes_its_share_of_the_limits(tmp_path: Path) -> None:
    async with open_shared(settings_of(tmp_path, NOWHERE)) as shared:
        shared.link.replicas = 4
        assert await shared.meter.reserve("m", "p", Rate(1), 0) == 0
        assert await shared.meter.reserve("m", "p", Rate(1), 0) == pytest.approx(4.1, abs=0.2)
        assert await shared.dollars.take({"a": 1.0}, 0.25) is None
        assert await shared.dollars.take({"a": 1.0}, 0.25) == ("a", 1.0)


def test_a_url_that_can_t_be_used_is_named_without_its_password() -> None:
    with pytest.raises(SettingsError) as caught:
        Link("redis://user:hunter2@127.0.0.1:6379/0?socket_timeout=soon")
    assert "hunter2" not in str(caught.value)


def test_without_the_extra_one_sentence_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "redis", None)
    with pytest.raises(SettingsError, match=r"pip install '\.\[scale\]'"):
        Link(NOWHERE)


async def _one(used_usd: float = 0.1) -> None:
    async def price() -> ModelPrice:
        return ModelPrice(1.0, 1.0)

    async with audit.asking(Job("a", Prompt("s", "q"), model="m"), price, "p") as answered:
        answered(Answer("x", "m", Usage(1, 1, used_usd)))


async def _asked(spent: Dollars, most_usd: float, used_usd: float) -> None:
    with audit.call("oracle_batch", most_usd, spent):
        await _one(used_usd)


class Slow(Dollars):
    async def take(self, caps: Mapping[str, float], usd: float) -> tuple[str, float] | None:
        await anyio.lowlevel.checkpoint()
        return await super().take(caps, usd)


async def test_a_call_whose_questions_leave_at_once_sets_its_dollars_aside_once(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.says("max_usd_per_day = 1.0\n" + company.logged())
    monkeypatch.setattr(audit, "is_append_only", lambda _: True)
    with audit.call("oracle_batch", 0.6, Slow()):
        async with anyio.create_task_group() as tasks:
            for _ in range(3):
                tasks.start_soon(_one)
    assert [one["state"] for one in map(json.loads, company.log.read_text().splitlines())] == [
        "asking",
        "done",
    ]


async def test_the_policy_s_dollars_of_a_day_hold_on_all_machines_at_once(
    company: Company, monkeypatch: pytest.MonkeyPatch
) -> None:
    company.says("max_usd_per_day = 1.0\n" + company.logged())
    monkeypatch.setattr(audit, "is_append_only", lambda _: True)
    spent = Dollars()  # in the place of one that other machines count in as well
    await spent.take({f"day:{os.getuid()}:{time.strftime('%Y-%m-%d', time.gmtime())}": 9}, 0.5)
    await _asked(spent, 0.4, 0.1)
    await _asked(spent, 0.4, 0.1)
    with pytest.raises(Rejected, match=r"allows \$1 a day: \$0\.70 are spent or set aside"):
        await _asked(spent, 0.4, 0.1)
    await _asked(spent, 0.3, 0.3)
    with pytest.raises((Rejected, NotAllowed)):
        await _asked(spent, 0.1, 0.1)
