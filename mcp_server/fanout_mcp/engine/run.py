"""The fan-out: jobs in, outcomes out. All tasks of the server are started in this file.

Theory of operation. Workers (never more than can be busy at once) pull jobs from one iterator, so a large
run has no task for each of its jobs. Each job is tried under a cancel scope of its
own: a failure is a value and never cancels a neighbour, and a job can be cut alone. A watcher ends the run
early, at the deadline or once the stop rule says that what is still out no longer matters; whatever it cuts
is named and says why. Cancelling the caller cancels everything below, which closes every stream upstream.

Rules:
1. One outcome for every job, whatever happens; `run` returns them in the order of the jobs.
2. Nothing waits beyond the deadline: not for a place, not for a cool-down, not for a retry.
3. Only a cancellation of ours cancels: a stray CancelledError or any other exception inside `ask` is that
   job's failure.
"""

from __future__ import annotations

import asyncio
import itertools
import os
import random
from collections.abc import AsyncIterator, Callable, Collection, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import NamedTuple

import anyio
from anyio.abc import TaskGroup

from fanout_hooks.crash import explain_alike
from fanout_mcp.engine import retry
from fanout_mcp.engine.budget import Budget
from fanout_mcp.engine.limits import Limiter, Limits, most_tokens
from fanout_mcp.errors import AllThinking, BackendError, PushedBack, RateLimited
from fanout_mcp.types import Answer, Ask, Cause, Job, Outcome, Progress, no_progress
from fanout_mcp.usage import UNREPORTED, Usage

# --- stop ---------------------------------------------------------------------------------------------------
# When the rest of a run no longer matters: a decided vote, and the grace that the stragglers then get.

GRACE_SHARE = 0.5
GRACE_MIN_S = 0.2


StopRule = Callable[[Collection[Outcome], Collection[str]], str]
"""(outcomes, keys of what is out) -> why the rest can't change the result any more, "" while it can. Pure."""


def grace(elapsed_s: float) -> float:
    """Return how long stragglers are still waited for once the result is decided."""
    return max(GRACE_MIN_S, GRACE_SHARE * elapsed_s)


# --- run ------------------------------------------------------------------------------------------

Take = Callable[[Outcome], None]


@dataclass(frozen=True, slots=True)
class Plan:
    """How a run is to go; everything but its jobs."""

    deadline_s: float
    stop: StopRule | None = None
    hedge: bool = False
    budget: Budget = field(default_factory=Budget)
    progress: Progress = no_progress
    describe: Callable[[Outcome], str] = lambda outcome: f"{outcome.key}: {outcome.status}"
    """The line that progress shows for an outcome."""
    is_paced: bool = True
    """False: what asks keeps to the rates itself, since it doesn't always call (limits.Limits.paced)."""
    on_outcome: Take | None = None
    """Called with each outcome as it arrives, in the order of arrival."""
    chance: Callable[[], float] = random.random
    """Spreads retry waits; tests pass a constant."""


async def run(jobs: Iterable[Job], ask: Ask, plan: Plan, limits: Limits) -> list[Outcome]:
    """Perform jobs (of unique keys) at once; return outcomes in order. Raises only cancellation."""
    return await _Run(tuple(jobs), ask, plan, limits).collect()


class _Ending(NamedTuple):
    """Why no further job is started; what is still out is cut for it."""

    cause: Cause | None
    why: str


GOING_ON = _Ending(None, "")


class _Run:
    """One run's state; made for one call, and gone with it."""

    _numbers = itertools.count(1)

    def __init__(self, jobs: tuple[Job, ...], ask: Ask, plan: Plan, limits: Limits) -> None:
        self.number = next(self._numbers)
        self.jobs, self.ask, self.plan, self.limits = jobs, ask, plan, limits
        self.scopes: dict[str, anyio.CancelScope] = {}
        self.ended = GOING_ON
        self.decided = anyio.Event()
        self.done = self.calls = self.retries = 0
        self.usage = Usage()
        self.started = self.deadline = 0.0

    async def collect(self) -> list[Outcome]:
        outcomes: dict[str, Outcome] = {}
        outstanding = {job.key: None for job in self.jobs}
        if len(outstanding) != len(self.jobs):
            raise ValueError("the jobs of a run need unique keys")

        def take(outcome: Outcome) -> None:
            outcomes[outcome.key] = outcome
            del outstanding[outcome.key]
            if self.plan.stop is None or self.decided.is_set() or not outstanding:
                return
            if why := self.plan.stop(outcomes.values(), outstanding):
                self.ended = _Ending("decided", why)
                self.decided.set()

        await self.perform(take)
        return [outcomes[job.key] for job in self.jobs]

    def spend(self, used: Usage) -> None:
        self.usage += used
        if not self.ended.cause and (why := self.plan.budget.spent(self.usage)):
            self.ended = _Ending("budget", why)

    async def perform(self, take: Take) -> None:
        self.started = anyio.current_time()
        self.deadline = self.started + self.plan.deadline_s
        async with anyio.create_task_group() as watch:
            watch.start_soon(self._watch)
            waiting = iter(self.jobs)
            busy = self.limits.workers({job.model for job in self.jobs})
            async with anyio.create_task_group() as workers:
                for _ in range(min(busy, len(self.jobs))):
                    workers.start_soon(self._work, waiting, take)
            if self.decided.is_set():
                watch.cancel_scope.cancel()
            else:  # what a cancelled task leaves to the garbage collector would hold all prompts
                self.decided.set()

    async def _watch(self) -> None:
        """End the run early: at the deadline, or a grace after the result is decided."""
        with anyio.move_on_at(self.deadline):
            await self.decided.wait()
            if self.done == len(self.jobs):
                return
            await anyio.sleep(grace(anyio.current_time() - self.started))
        if not self.decided.is_set():
            self.ended = _Ending("deadline", f"the deadline of {self.plan.deadline_s:.3g} s passed")
        for scope in list(self.scopes.values()):
            scope.cancel()

    async def _work(self, waiting: Iterable[Job], take: Take) -> None:
        for job in waiting:
            outcome = await self._perform(job)
            self.done += 1
            take(outcome)
            if self.plan.on_outcome is not None:
                self.plan.on_outcome(outcome)
            self.plan.progress(self.done, len(self.jobs), self.plan.describe(outcome))

    async def _perform(self, job: Job) -> Outcome:
        """Try one job until it is answered, given up, or cut."""
        if self.ended.cause:
            return Outcome(job, "cut", reason=f"not started: {self.ended.why}", cause=self.ended.cause)
        attempts = _Attempts(self, job)
        result: Answer | BackendError | None = None
        with anyio.CancelScope() as scope:
            self.scopes[job.key] = scope
            try:
                result = await attempts.until_settled()
            finally:
                del self.scopes[job.key]
        return attempts.outcome(result)


class _Attempts:
    """The calls made for one job."""

    def __init__(self, owner: _Run, job: Job) -> None:
        if job.fallbacks is None:
            route = owner.limits.route(job.model)
            job = replace(job, fallbacks=route.fallbacks, elsewhere=route.elsewhere)
        self.run, self.job = owner, job
        self.asked = job
        self.passed: list[str] = []
        """Why each model before the present one was given up."""
        self.calls = 0
        self.usage = Usage()
        self.failures: dict[retry.Rule, int] = {}
        """Failed calls by the rule for them: a 429 before it does not cost an empty answer its retry."""
        self.why = ""

    def outcome(self, result: Answer | BackendError | None) -> Outcome:
        made = Outcome(self.asked, "answered", calls=self.calls, usage=self.usage, passed=tuple(self.passed))
        if isinstance(result, Answer):
            return replace(made, answer=result)
        if result is None:
            cause, why = self.run.ended
            return replace(made, status="cut", reason=why, cause=cause)
        reason = "; then ".join([*self.passed, self._reason(result)])
        return replace(made, status="failed", error=result, reason=reason)

    async def until_settled(self) -> Answer | BackendError:
        """Try the job's model, then each that replaces it, while there is a reason to."""
        result = await self._until_given_up()
        while isinstance(result, BackendError) and not self.run.ended.cause:
            following = self._following(result)
            if following is None:
                break
            self.passed.append(f"{self.job.model or 'the default model'}: {self._reason(result)}")
            self.job = following
            self.failures.clear()
            self.why = ""
            result = await self._until_given_up()
        return result

    def _following(self, error: BackendError) -> Job | None:
        """Return the job for the next model, None where none may be asked for this error."""
        job = self.job
        if isinstance(error, retry.CROSSES) and job.elsewhere:
            # What the first provider's other models would say is known: its key is the same.
            return replace(job, model=job.elsewhere[0], fallbacks=(), elsewhere=job.elsewhere[1:])
        if isinstance(error, retry.FALLS_BACK) and job.fallbacks:
            return replace(job, model=job.fallbacks[0], fallbacks=job.fallbacks[1:])
        return None

    async def _until_given_up(self) -> Answer | BackendError:
        limiter = self.run.limits.of(self.job.model)
        while True:
            try:
                began = await limiter.acquire(self.run.number, self.run.deadline, self._most_tokens())
                (limiter.whole or limiter).twins.append(False)
            except RateLimited as error:
                return error
            try:
                result = await self._try(limiter, began)
            finally:
                limiter.release()
            if isinstance(result, Answer):
                return result
            if self.run.ended.cause == "budget":
                self.why = f"not tried again: {self.run.ended.why}"
                return result
            left = retry.budget(self.run.calls - self.run.retries) - self.run.retries
            remaining = self.run.deadline - anyio.current_time()
            rule = retry.rule_for(result)
            tries = self.failures[rule] = self.failures.get(rule, 0) + 1
            match retry.decide(result, tries, remaining, left, self.run.plan.chance()):
                case retry.GiveUp(why):
                    self.why = why
                    return result
                case retry.Again(wait_s, counted):
                    self.run.retries += counted
                    if isinstance(result, AllThinking):
                        larger = retry.larger_budget(self.job.max_tokens)
                        self.job = replace(self.job, max_tokens=larger)
                    await anyio.sleep(wait_s)

    def _reason(self, error: BackendError) -> str:
        return f"{error} ({self.why})" if self.why else str(error)

    def _most_tokens(self) -> int | None:
        return most_tokens(self.job) if self.run.plan.is_paced else None

    async def _try(self, limiter: Limiter, began: float) -> Answer | BackendError:
        most = self._most_tokens()
        result = await self._call_or_hedge(limiter)
        if most is not None:
            await limiter.learn(began, most, result)
        if isinstance(result, Answer):
            limiter.succeeded(began, anyio.current_time())
        elif isinstance(result, PushedBack):
            limiter.pushed_back(result.retry_after, for_all_models=result.for_all_models)
            await limiter.share_cool_down()
        return result

    async def _call_or_hedge(self, limiter: Limiter) -> Answer | BackendError:
        hedged = limiter.whole or limiter  # counted by provider: retry.py
        delay = retry.late_after(hedged.durations) if self.run.plan.hedge else None
        if delay is None:
            return await self._call()
        results: list[Answer | BackendError] = []
        started = 1

        def settle(tasks: TaskGroup, result: Answer | BackendError) -> None:
            results.append(result)
            if isinstance(result, Answer) or len(results) == started:
                tasks.cancel_scope.cancel()  # the loser's stream closes

        async def first(tasks: TaskGroup) -> None:
            settle(tasks, await self._call())

        async def twin(tasks: TaskGroup) -> None:
            nonlocal started
            with suppress(RateLimited):
                await limiter.acquire(self.run.number, self.run.deadline, self._most_tokens())
                try:
                    started += 1
                    settle(tasks, await self._call())
                finally:
                    limiter.release()

        async with anyio.create_task_group() as tasks:
            tasks.start_soon(first, tasks)
            await anyio.sleep(delay)
            if not results and retry.allows_twin(hedged.twins):
                hedged.twins.append(True)
                tasks.start_soon(twin, tasks)
        return next((result for result in results if isinstance(result, Answer)), results[0])

    async def _call(self) -> Answer | BackendError:
        self.calls += 1
        self.run.calls += 1
        used = UNREPORTED
        sent = 0

        def on_request(billed: Usage) -> None:
            nonlocal sent, used
            sent += 1
            used = billed + UNREPORTED
            self.calls += sent > 1  # the backend asked again by itself, in another form

        try:
            result = await self._ask(replace(self.job, on_request=on_request))
            used = result.usage
        finally:
            self.usage += used
            self.run.spend(used)
        return result

    async def _ask(self, job: Job) -> Answer | BackendError:
        try:
            return await self.run.ask(job)
        except BackendError as error:
            return error
        except anyio.get_cancelled_exc_class():
            if _is_ours():
                raise
            return BackendError("the call was cancelled from within the backend")
        except Exception as error:  # noqa: BLE001 - a defect of one backend costs one job, never its neighbours
            return BackendError(explain_alike("the backend", error, os.environ))


def _is_ours() -> bool:
    """Say whether the running task is being cancelled by a scope above it, or by its own event loop."""
    if anyio.current_effective_deadline() == float("-inf"):
        return True
    try:
        task = asyncio.current_task()
    except RuntimeError:
        return True  # trio knows no cancellation but a scope's
    return task is not None and task.cancelling() > 0


# --- speculation -------------------------------------------------------------------------------------------


class Started:
    """A run that goes on in the background: look at what has come, wait for its end, or cancel it at once."""

    def __init__(self, tasks: TaskGroup, jobs: Sequence[Job], ask: Ask, plan: Plan, limits: Limits) -> None:
        self.jobs = tuple(jobs)
        self.outcomes: dict[str, Outcome] = {}
        """What has arrived so far, in the order of arrival."""
        self._scope = anyio.CancelScope()
        self._finished = anyio.Event()
        self._told = plan.on_outcome
        # Not kept: each would hold the other, and all prompts, until the garbage collector comes.
        tasks.start_soon(self._perform, _Run(self.jobs, ask, replace(plan, on_outcome=self._arrived), limits))

    async def result(self) -> list[Outcome]:
        """Wait for the end; outcomes in the order of the jobs, of a cancelled run as far as they go."""
        await self._finished.wait()
        return [self.outcomes[job.key] for job in self.jobs if job.key in self.outcomes]

    def cancel(self) -> None:
        """Close every stream of this run at once."""
        self._scope.cancel()

    async def _perform(self, run: _Run) -> None:
        try:
            with self._scope:
                for outcome in await run.collect():
                    self.outcomes.setdefault(outcome.key, outcome)
        finally:
            self._finished.set()

    def _arrived(self, outcome: Outcome) -> None:
        self.outcomes[outcome.key] = outcome
        if self._told is not None:
            self._told(outcome)


Start = Callable[[Sequence[Job], Ask, Plan, Limits], Started]
"""Starts a run that goes on while the caller does something else; `background` yields it."""


@asynccontextmanager
async def background() -> AsyncIterator[Start]:
    """Own the runs started within; on leaving, whatever still goes on is cancelled at once."""
    async with anyio.create_task_group() as tasks:
        yield partial(Started, tasks)
        tasks.cancel_scope.cancel()
