"""Which failures are tried again, how often, after how long, and by which model."""

from __future__ import annotations

from dataclasses import replace

import pytest
import trio

from engine.fakes_engine import Upstream, job, jobs, perform, plan
from fakes.virtual import virtually
from fanout_mcp.engine import retry
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import run
from fanout_mcp.errors import (
    AllThinking,
    AuthRejected,
    BackendError,
    BadAnswer,
    ContextTooSmall,
    Filtered,
    ModelGone,
    NotAllowed,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from fanout_mcp.types import Answer, Ask, Job, Outcome, Route

LONGEST_WAITS: list[tuple[BackendError, list[float]]] = [
    (RateLimited("busy"), [0.5, 1.0, 2.0, 4.0, 8.0, 8.0, 8.0]),
    (Overloaded("busy"), [0.5, 1.0, 2.0, 4.0, 4.0]),
    (ServerFault("500"), [0.5, 1.0]),
    (Unreachable("down"), [0.5, 1.0]),
    (AllThinking("all thinking"), [0.0]),
    (BadAnswer("no JSON"), [0.0]),
    (AuthRejected("key"), []),
    (Rejected("n must be 1"), []),
]
"""A failure -> the longest wait in seconds before each further call; a new rule has its row here."""


@pytest.mark.parametrize(("error", "waits"), LONGEST_WAITS, ids=lambda value: type(value).__name__)
def test_each_failure_is_tried_again_as_often_as_its_rule_says(
    error: BackendError, waits: list[float]
) -> None:
    found = []
    for tries in range(1, 20):
        decided = retry.decide(error, tries, remaining_s=1_000.0, budget_left=3, chance=1.0)
        if isinstance(decided, retry.GiveUp):
            break
        found.append(decided.wait_s)
    assert found == waits


def test_a_retry_after_beyond_the_deadline_fails_now_and_names_it() -> None:
    (outcome,), elapsed = perform(Upstream(a=[(0.0, RateLimited("429", 30))]), [job("a")], plan(10))
    assert elapsed == 0
    assert "wait 30 s" in outcome.reason


# --- who stands in ---


def with_fallbacks(key: str, *models: str) -> Job:
    first, *rest = models
    return replace(job(key), model=first, fallbacks=tuple(rest))


def answering(**by_model: str | BackendError) -> Ask:
    async def ask(job: Job, /) -> Answer:
        await trio.sleep(1.0)
        said = by_model[job.model or ""]
        if isinstance(said, BackendError):
            raise said
        return Answer(said, job.model or "")

    return ask


@pytest.mark.parametrize(
    "error",
    [
        ModelGone("gone"),
        NotAllowed("not here"),
        QuotaSpent("no credit"),
        ContextTooSmall("too long"),
        RateLimited("busy", 500.0),
        Overloaded("busy", 500.0),
    ],
    ids=lambda error: type(error).__name__,
)
def test_the_next_model_is_asked_when_another_may_answer(error: BackendError) -> None:
    ask = answering(old=error, new="hello")
    (outcome,) = virtually(lambda: run([with_fallbacks("a", "old", "new")], ask, plan(10), Limits(5)))
    assert outcome.answer is not None
    assert (outcome.answer.model, outcome.calls, outcome.job.model) == ("new", 2, "old")
    assert outcome.passed[0].startswith(f"old: {error}")


@pytest.mark.parametrize(
    "error",
    [Filtered("no"), AuthRejected("key"), Rejected("n must be 1"), Unreachable("down")],
    ids=lambda error: type(error).__name__,
)
def test_no_other_model_is_asked_where_that_would_not_be_right(error: BackendError) -> None:
    ask = answering(old=error, new="hello")
    (outcome,) = virtually(lambda: run([with_fallbacks("a", "old", "new")], ask, plan(100), Limits(5)))
    assert (outcome.status, outcome.passed) == ("failed", ())


@pytest.mark.parametrize(
    "error", [AuthRejected("key"), QuotaSpent("no credit")], ids=lambda e: type(e).__name__
)
def test_another_provider_is_asked_where_the_key_or_its_credit_is_at_fault(error: BackendError) -> None:
    asked = replace(with_fallbacks("a", "old", "old-2"), elsewhere=("other:new",))
    ask = answering(old=error, **{"other:new": "hello"})
    (outcome,) = virtually(lambda: run([asked], ask, plan(10), Limits(5)))
    assert outcome.answer is not None
    assert (outcome.answer.model, outcome.calls) == ("other:new", 2), "the same key was not tried again"
    assert outcome.passed == (f"old: {error}",)


@pytest.mark.parametrize(
    "error",
    [
        ModelGone("gone"),
        ContextTooSmall("too long"),
        RateLimited("busy", 500.0),
        Filtered("no"),
        Rejected("n"),
    ],
    ids=lambda error: type(error).__name__,
)
def test_no_other_provider_is_asked_for_anything_else(error: BackendError) -> None:
    asked = replace(with_fallbacks("a", "old"), elsewhere=("other:new",))
    (outcome,) = virtually(lambda: run([asked], answering(old=error), plan(10), Limits(5)))
    assert outcome.status == "failed"


def test_a_job_that_names_no_stand_ins_has_those_of_its_providers_row() -> None:
    limits = Limits(5, route=lambda model: Route("p", ("new",) if model == "old" else ()))
    asked = replace(job("a"), model="old")
    ask = answering(old=ModelGone("gone"), new="hello")
    (outcome,) = virtually(lambda: run([asked], ask, plan(10), limits))
    assert outcome.answer is not None
    assert outcome.answer.model == "new"


def test_when_none_of_a_row_answers_each_is_named_with_its_reason() -> None:
    ask = answering(old=ModelGone("gone"), new=QuotaSpent("no credit"))
    (outcome,) = virtually(lambda: run([with_fallbacks("a", "old", "new")], ask, plan(10), Limits(5)))
    assert outcome.reason == "old: gone; then no credit"


def test_a_model_that_cools_down_beyond_the_deadline_is_stood_in_for_without_a_call() -> None:
    limits = Limits(5)

    async def main() -> list[Outcome]:
        limits.of("old").pushed_back(50.0)
        return await run([with_fallbacks("a", "old", "new")], answering(new="hi"), plan(10), limits)

    (outcome,) = virtually(main)
    assert (outcome.status, outcome.calls) == ("answered", 1)


# --- thinking ---


def test_an_answer_that_was_all_thinking_is_asked_once_more_with_a_larger_budget() -> None:
    asked: list[int] = []

    async def ask(job: Job, /) -> Answer:
        asked.append(job.max_tokens)
        if job.max_tokens < 3000:
            raise AllThinking("all thinking")
        return Answer("hi", "m")

    outcomes = virtually(lambda: run(jobs(8), ask, plan(10), Limits(50)))
    assert {outcome.status for outcome in outcomes} == {"answered"}, "not bounded by the run's retries"
    assert sorted(set(asked)) == [1500, 8000]
    asked.clear()

    async def never(job: Job, /) -> Answer:
        asked.append(job.max_tokens)
        raise AllThinking("all thinking")

    (outcome,) = virtually(lambda: run(jobs(1), never, plan(10), Limits(50)))
    assert (outcome.status, asked) == ("failed", [1500, 8000])
