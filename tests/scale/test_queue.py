"""What travels through Redis: sealed, bound to its place, never pickled, and whole at the other end."""

from __future__ import annotations

import hashlib
import pickle
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from redis.exceptions import ResponseError

from fanout_mcp.engine.budget import Budget
from fanout_mcp.errors import BackendError, RateLimited, Rejected, SettingsError
from fanout_mcp.journal import is_whole
from fanout_mcp.scale.queue import (
    FORMAT,
    JUDGES,
    VERSION,
    Counts,
    Forged,
    NoPickle,
    Queue,
    Seal,
    Shard,
    Unit,
    judge_name,
    packed_outcome,
    packed_shard,
    reason,
    through_outages,
    unpacked_outcome,
    unpacked_shard,
)
from fanout_mcp.scale.queue import (
    JOB as FIELDS,
)
from fanout_mcp.scale.shared import shown
from fanout_mcp.scale.worker import named_judge
from fanout_mcp.state.audit import Origin
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Answer, Job, Outcome, Prompt
from fanout_mcp.usage import Usage

SEAL = Seal(b"s" * 32)
ORIGIN = Origin("trace", 0.5)
JOB = Job("a.py", Prompt("system", "user \ud800", ("digest",)), "m", {"type": "object"}, 7, ("x",), ("y",))


class Planted:
    def __reduce__(self) -> tuple[object, tuple[Path]]:
        return Path.touch, (Path("planted"),)


@given(st.recursive(st.none() | st.integers() | st.text(), st.lists))
def test_what_is_sealed_comes_back(value: object) -> None:
    assert SEAL.open("here", SEAL.close("here", value)) == value


@pytest.mark.parametrize("at", [0, 31, 32, -1])
def test_one_changed_byte_breaks_the_seal(at: int) -> None:
    data = bytearray(SEAL.close("here", [1, "two"]))
    data[at] ^= 1
    with pytest.raises(Forged):
        SEAL.open("here", bytes(data))


def test_a_seal_holds_for_one_place_and_one_secret() -> None:
    data = SEAL.close("here", 1)
    with pytest.raises(Forged):
        SEAL.open("there", data)
    with pytest.raises(Forged):
        Seal(b"other" * 8).open("here", data)


def test_a_pickle_is_not_read_and_reads_as_nothing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    instead = NoPickle("cloudpickle")
    instead.seal = SEAL
    refused = instead.loads(pickle.dumps(Planted()))
    assert (*refused, *refused[:1], *{**refused}, *refused.items()) == ()
    assert not list(tmp_path.iterdir())
    assert instead.loads(instead.dumps([1, {"two": 3}])) == [1, {"two": 3}]


def test_a_shard_is_the_same_at_the_other_end() -> None:
    shard = Shard("user:handle", "name", [Unit(JOB, "key", "p")], JUDGES[0], Budget(1.5, 10), ORIGIN)
    back = unpacked_shard("user:handle", "name", SEAL.open("x", SEAL.close("x", packed_shard(shard))))
    assert back == shard
    assert back.units[0].job.prompt.sources == ("digest",)


@pytest.mark.parametrize(
    "outcome",
    [
        Outcome(
            JOB,
            "answered",
            Answer("cut", "m2", Usage(1, 2, 0.5), None, truncated=True),
            usage=Usage(1, 2, 0.5),
        ),
        Outcome(JOB, "failed", error=Rejected("no"), reason="no", calls=2, passed=("m1: no",)),
        Outcome(JOB, "cut", reason="the budget is used up", cause="budget", usage=Usage(1, 0, None, True)),
    ],
    ids=lambda one: one.status,
)
def test_an_outcome_is_the_same_at_the_other_end_without_its_prompt(outcome: Outcome) -> None:
    given = SEAL.open("x", SEAL.close("x", packed_outcome(outcome, is_kept=False)))
    back = unpacked_outcome(given)
    assert (
        back.key,
        back.status,
        back.answer,
        back.reason,
        back.calls,
        back.passed,
        back.cause,
        back.usage,
    ) == (
        outcome.key,
        outcome.status,
        outcome.answer,
        outcome.reason,
        outcome.calls,
        outcome.passed,
        outcome.cause,
        outcome.usage,
    )
    assert type(back.error) is type(outcome.error)
    assert not back.job.prompt.user


def test_a_kept_answer_stays_in_the_cache() -> None:
    outcome = Outcome(JOB, "answered", Answer("a secret of the project", "m"))
    assert "secret" not in repr(packed_outcome(outcome, is_kept=True))


def test_an_error_that_this_version_does_not_know_is_a_failure_all_the_same() -> None:
    given = packed_outcome(Outcome(JOB, "failed", error=RateLimited("busy"), reason="busy"), is_kept=False)
    for name in ("Unheard", "FanoutError", "annotations"):
        error = unpacked_outcome([*given[:5], name, *given[6:]]).error
        assert type(error) is BackendError
        assert str(error) == "busy"


def test_what_judges_answers_is_ours_and_there() -> None:
    assert [judge_name(named_judge(name)) for name in JUDGES] == list(JUDGES)
    assert judge_name(is_whole) == JUDGES[0]
    assert judge_name(lambda _: True) is None
    with pytest.raises(SettingsError):
        named_judge("os:system")


@pytest.mark.parametrize(
    ("counts", "is_over"),
    [
        (Counts(10, 9), False),
        (Counts(10, 10), True),
        (Counts(10, 1, state="cancelled"), True),
        (Counts(10, 10, is_growing=True), False),
        (Counts(10, 10, state="cancelled", is_growing=True), True),
    ],
)
def test_a_batch_is_over_when_it_is_done_or_cancelled(counts: Counts, *, is_over: bool) -> None:
    assert counts.is_over is is_over


def test_an_address_is_shown_without_its_password() -> None:
    assert shown("rediss://user:word@redis.internal:6380/2?ssl=1") == "rediss://redis.internal:6380/2"


def test_without_its_packages_the_queue_says_what_to_install(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setitem(sys.modules, "docket", None)
    with pytest.raises(SettingsError, match=r"pip install '\.\[scale\]'"):
        Queue(Settings(tmp_path, tmp_path, redis_url="redis://127.0.0.1/0"))


def test_without_an_address_there_is_no_queue(tmp_path: Path) -> None:
    with pytest.raises(SettingsError, match="FANOUT_REDIS_URL"):
        Queue(Settings(tmp_path, tmp_path))


def test_a_job_with_another_field_is_of_another_version() -> None:
    assert "model" in FIELDS
    other = hashlib.sha256(repr((FORMAT, JUDGES, (*FIELDS, "more"))).encode()).hexdigest()
    same = hashlib.sha256(repr((FORMAT, JUDGES, FIELDS)).encode()).hexdigest()
    assert (same.startswith(VERSION), other.startswith(VERSION)) == (True, False)


def test_an_error_without_a_text_has_a_reason() -> None:
    assert reason(TimeoutError()) == "no answer in time"
    assert reason(ResponseError("NOPERM")) == "NOPERM"


@pytest.mark.anyio
@pytest.mark.parametrize("error", [ResponseError("MISCONF"), OSError("broken"), TimeoutError()], ids=repr)
async def test_whatever_redis_refuses_is_tried_again(
    error: Exception, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("fanout_mcp.scale.queue.LAST_LOOK_S", 0)
    outcomes: Iterator[Exception | None] = iter([error, error, None])

    async def work() -> str:
        if found := next(outcomes):
            raise found
        return "done"

    assert await through_outages(work) == "done"
