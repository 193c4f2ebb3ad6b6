"""Asking that loses nothing: what was answered before costs no call, what arrives is on disk at once.

Theory of operation: the answers are the journal. Before a run the cache is asked for all its questions; what
it lacks goes through the engine, and each answer is stored before its place in the limiter is free. So a run
that is killed and started again asks at most what was in flight once more, and equal questions that are asked
at the same time, here or in another process, are one call (state/cache.py has the leases).

A large call can be asked by other processes: its portions then go to a Remote (scale/queue.py), whose workers
ask with the same Asking over the same cache, and the answers are read from there.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final, NamedTuple, Protocol, TypeVar

import anyio
import anyio.to_thread

from fanout_mcp.engine.budget import dollars
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan, Start, background
from fanout_mcp.errors import BackendError, StillRunning
from fanout_mcp.state import audit
from fanout_mcp.state.cache import Cache, OpenCache, open_cache
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Answer, Ask, Backend, Job, Json, Outcome, Progress, no_progress
from fanout_mcp.usage import Usage

T = TypeVar("T")

FIRST_LOOK_S: Final = 0.02
LAST_LOOK_S: Final = 0.25
"""How often another process's call is looked for: soon at first, then seldom."""

TELL_EVERY_S: Final = 0.5

IsGood = Callable[[Answer], bool]
InTurn = Callable[[Callable[[], Any]], Awaitable[Any]]
"""Runs blocking work in a thread."""


@dataclass(frozen=True, slots=True)
class Question:
    """A job, and what differs from call to call though the same is asked."""

    job: Job
    fence: str = ""
    """The random word around file content in its prompt."""
    material: str = ""
    """A digest of what an agent may read in the job's workspace; that folder's own name is not part of it."""


def is_whole(answer: Answer) -> bool:
    return not answer.truncated


class Portion(NamedTuple):
    """Questions of a call that other processes may ask."""

    keys: Mapping[str, str]
    """Job -> its key in the cache, of all questions: equal calls have equal portions."""
    missing: Sequence[Job]
    """Those without an answer yet."""
    is_good: IsGood
    plan: Plan
    provider_of: Callable[[str | None], str]
    """Whose a model is, for this process."""


Remaining = Callable[[], Awaitable[Sequence[Outcome]]]
"""Waits for the outcomes of a portion. An outcome that is answered without an answer has it in the cache."""


class Remote(Protocol):
    """The seam to other processes that ask in the place of this one; made for one call of a tool."""

    is_on: bool
    """Whether other processes ask."""
    problem: str
    """Why they don't where they should; empty while all is well."""

    async def begin(self, portion: Portion, total: int) -> Remaining | None:
        """Hand a portion over; None: it is to be asked here. `total`: questions of the whole call."""

    async def leave(self, *, is_wanted: bool) -> None:
        """The call has ended. What is left of it is cancelled unless it, or another caller, wants it."""


@dataclass(slots=True)
class Tally:
    """How far a call is; `line` is what the user sees."""

    total: int
    started: float
    done: int = 0
    cached: int = 0
    failed: int = 0
    usage: Usage = field(default_factory=Usage)

    def count(self, outcome: Outcome, *, is_good: bool) -> None:
        self.done += 1
        self.cached += outcome.status == "cached"
        self.failed += not is_good
        self.usage += outcome.usage

    def line(self, now: float) -> str:
        asked = self.done - self.cached
        spent = "cost unknown" if self.usage.cost_usd is None else dollars(self.usage.cost_usd)
        least = "at least " if self.usage.is_partial and self.usage.cost_usd is not None else ""
        parts = [
            f"{self.done:,} of {self.total:,} done",
            f"{self.cached:,} cached",
            f"{self.failed:,} failed",
            f"{least}{spent}" if asked else "$0",
        ]
        if asked and self.done < self.total:
            left = (now - self.started) / asked * (self.total - self.done)
            parts.append(f"about {f'{left:.0f} s' if left < 100 else f'{left / 60:.0f} min'} left")
        return ", ".join(parts)


class Journal:
    """The asking of one call of a tool: any number of portions, one tally."""

    def __init__(
        self,
        cache: Cache,
        backend: Backend,
        limits: Limits,
        start: Start,
        *,
        progress: Progress,
        total: int,
        remote: Remote | None = None,
    ) -> None:
        self.cache = cache
        self.remote = remote
        self.tally = Tally(total, anyio.current_time())
        self._backend, self._limits, self._start, self._progress = backend, limits, start, progress
        self._told = float("-inf")
        self._in_turn = one_at_a_time()

    @property
    def problem(self) -> str:
        """Why answers are not kept, or not asked for where they should be; empty while all is well."""
        return self.cache.problem or (self.remote.problem if self.remote else "")

    def ahead(self, portions: int) -> float:
        """How many portions to begin before the first one's end is waited for; other processes get all."""
        return float("inf") if self.remote is not None and self.remote.is_on else portions

    async def ask(
        self, questions: Sequence[Question], plan: Plan, is_good: IsGood = is_whole
    ) -> list[Outcome]:
        """Return an outcome a question, in order. Answers that are not good are used, and asked again."""
        return await (await self.begin(questions, plan, is_good)).outcomes()

    async def begin(self, questions: Sequence[Question], plan: Plan, is_good: IsGood = is_whole) -> Begun:
        """Start asking and return at once, so that the next portion can be made ready meanwhile."""
        keys, known = await self._in_turn(lambda: self._known(questions))
        found: dict[str, Outcome] = {}
        for question in questions:
            answer = known.get(keys[question.job.key])
            if answer is not None:
                outcome = _remembered(Outcome(question.job, "cached", answer))
                found[outcome.key] = outcome
                self._tell(outcome, is_good=True)
        missing = [question.job for question in questions if question.job.key not in found]
        if self.remote is not None:
            portion = Portion(keys, missing, is_good, plan, lambda model: self._backend.route(model).provider)
            remaining = await self.remote.begin(portion, self.tally.total)
            if remaining is not None:
                return Begun(list(keys), found, self._kept(keys, plan, is_good, remaining))
        one = Asking(self._limits.paced(self._backend.ask), self.cache, keys, is_good, self._in_turn)

        def on_outcome(outcome: Outcome) -> None:
            self._tell(one.settled(outcome), is_good=outcome.key in one.good)

        plan = replace(plan, on_outcome=on_outcome, progress=no_progress, is_paced=False)
        started = self._start(missing, one.ask, plan, self._limits)

        async def settled() -> list[Outcome]:
            return [one.settled(outcome) for outcome in await started.result()]

        return Begun(list(keys), found, settled)

    def _kept(self, keys: Mapping[str, str], plan: Plan, is_good: IsGood, remaining: Remaining) -> Remaining:
        """Add the answers, which other processes left in the cache, to their outcomes.

        It holds no question: all portions of a large call are begun at once, and may be gigabytes.
        """
        until = anyio.current_time() + plan.deadline_s

        async def outcomes() -> list[Outcome]:
            arrived = await remaining()
            known = await self._left({keys[one.key] for one in arrived if _is_elsewhere(one)}, until)
            found = [
                _remembered(one) if one.status == "cached" else one
                for one in (_with_answer(one, known.get(keys[one.key])) for one in arrived)
            ]
            good = await self._in_turn(
                lambda: [one.answer is not None and is_good(one.answer) for one in found]
            )
            for outcome, is_one in zip(found, good, strict=True):
                self._tell(outcome, is_good=is_one)
            return found

        return outcomes

    async def _left(self, keys: set[str], until: float) -> dict[str, Answer]:
        """Return the answers that other processes left; those of a cache that is away are waited for."""
        known: dict[str, Answer] = {}
        waits = looks()
        while missing := list(keys - known.keys()):
            was_away = self.cache.is_away
            known |= await self._in_turn(partial(self.cache.known, missing))
            if not (was_away or self.cache.is_away) or anyio.current_time() >= until:
                break
            await anyio.sleep(next(waits))
        return known

    def _known(self, questions: Sequence[Question]) -> tuple[dict[str, str], dict[str, Answer]]:
        keys = {question.job.key: self.cache.key(self._identity(question)) for question in questions}
        return keys, self.cache.known(list(keys.values()))

    def _identity(self, question: Question) -> Json:
        """Everything that may change the answer, and who asks: what one has asked is no other's to know."""
        job = question.job
        texts = [job.prompt.system, job.prompt.user]
        if question.fence:
            texts = [text.replace(question.fence, "FENCE") for text in texts]
        schema = dict(job.schema) if job.schema is not None else None
        return [
            self._backend.name,
            self._backend.provider,
            job.model,
            *texts,
            schema,
            job.max_tokens,
            question.material,
            audit.who.get(),
        ]

    def _tell(self, outcome: Outcome, *, is_good: bool) -> None:
        self.tally.count(outcome, is_good=is_good)
        now, is_last = anyio.current_time(), self.tally.done == self.tally.total
        if is_last or now - self._told >= TELL_EVERY_S:
            self._told = now
            self._progress(self.tally.done, self.tally.total, self.tally.line(now))


def one_at_a_time() -> InTurn:
    """Return what does blocking work in a thread, one at a time: the file has one writer anyway.

    What comes while the thread is busy is done in its next turn, all together: to wake a thread costs more
    than most of the work.
    """
    lock, waiting = anyio.Lock(fast_acquire=True), list[_Work]()

    async def in_turn(work: Callable[[], Any]) -> Any:
        own = _Work(work)
        waiting.append(own)
        with anyio.CancelScope(shield=True):  # a lease that was taken must be known, to be given up
            async with lock:
                if own in waiting:
                    turn = waiting.copy()
                    waiting.clear()
                    try:
                        await anyio.to_thread.run_sync(lambda: list(map(_Work.do, turn)))
                    except BaseException as error:  # no thread, or asyncio's own cancellation
                        for one in turn:
                            one.interrupt(error)
                        raise
        if own.error is not None:
            raise own.error
        return own.result

    return in_turn


@dataclass(slots=True, eq=False)
class _Work:
    work: Callable[[], Any]
    result: Any = None
    error: Exception | None = None
    is_done: bool = False

    def do(self) -> None:
        try:
            self.result = self.work()
        except Exception as error:  # noqa: BLE001 - its caller's, and no neighbour's
            self.error = error
        self.is_done = True

    def interrupt(self, error: BaseException) -> None:
        """Without an error its caller would take None for the result."""
        if not self.is_done:
            self.error = error if isinstance(error, Exception) else RuntimeError("interrupted")


def looks(first_s: float = FIRST_LOOK_S, last_s: float = LAST_LOOK_S) -> Iterator[float]:
    """Yield how long to wait before each further look."""
    while True:
        yield first_s
        first_s = min(last_s, 1.5 * first_s)


@dataclass(slots=True)
class Asking:
    """The seam between engine and cache: an `Ask` that asks once, however many callers ask the same."""

    call: Ask
    cache: Cache
    keys: Mapping[str, str]
    is_good: IsGood
    in_turn: InTurn
    shared: set[str] = field(default_factory=set)
    """Jobs that another process's call answered."""
    good: set[str] = field(default_factory=set)
    kept: set[str] = field(default_factory=set)
    """Jobs that were answered here, and whose answers are where other processes look for them."""

    async def ask(self, job: Job) -> Answer:
        key = self.keys[job.key]
        waits = looks()
        while (claimed := await self.in_turn(lambda: self.cache.claim(key))) == "theirs":  # noqa: ASYNC110 - another process has it
            await anyio.sleep(next(waits))
        if isinstance(claimed, Answer):
            self.shared.add(job.key)
            self.good.add(job.key)
            return replace(claimed, usage=Usage())
        return await self._call(job, key)

    async def _call(self, job: Job, key: str) -> Answer:
        is_kept = False
        try:
            answer = await self.call(job)
            is_kept = await self.in_turn(lambda: self._keep(job, key, answer))
            return answer
        finally:
            if not is_kept:
                with anyio.CancelScope(shield=True):
                    await self.in_turn(lambda: self.cache.release(key))

    def _keep(self, job: Job, key: str, answer: Answer) -> bool:
        """Keep a good answer; reading a bad one may take its time, so this is for a thread."""
        if not self.is_good(answer):
            return False
        self.good.add(job.key)
        if self.cache.keep(key, answer):
            self.kept.add(job.key)
        return True

    def settled(self, outcome: Outcome) -> Outcome:
        return _remembered(outcome) if outcome.key in self.shared else outcome


@dataclass(frozen=True, slots=True)
class Begun:
    """A portion that is being asked."""

    keys: Sequence[str]
    found: dict[str, Outcome]
    remaining: Remaining

    async def outcomes(self) -> list[Outcome]:
        for outcome in await self.remaining():
            self.found[outcome.key] = outcome
        return [self.found[key] for key in self.keys]


def _is_elsewhere(outcome: Outcome) -> bool:
    return outcome.answer is None and outcome.status in {"answered", "cached"}


def _with_answer(outcome: Outcome, answer: Answer | None) -> Outcome:
    if not _is_elsewhere(outcome):
        return outcome
    if answer is not None:
        return replace(outcome, answer=replace(answer, usage=outcome.usage))
    error = BackendError(
        "another process answered this, and its answer is not in the cache here: "
        "worker and caller need the same cache"
    )
    return replace(outcome, status="failed", error=error, reason=str(error))


def _remembered(outcome: Outcome) -> Outcome:
    """It was paid for before: no call, no tokens, no money."""
    answer = outcome.answer and replace(outcome.answer, usage=Usage())
    return replace(outcome, status="cached", answer=answer, calls=0, usage=Usage())


@asynccontextmanager
async def open_journal(
    settings: Settings,
    backend: Backend,
    limits: Limits,
    progress: Progress,
    total: int,
    *,
    opens: OpenCache = open_cache,
    remote: Remote | None = None,
) -> AsyncIterator[Journal]:
    """Yield a journal over the project's cache; over none, and it says so, where there can't be one."""
    cache = await anyio.to_thread.run_sync(opens, settings.cache, settings.config_dir)
    is_wanted = False
    try:
        async with background() as start:
            try:
                yield Journal(cache, backend, limits, start, progress=progress, total=total, remote=remote)
            except StillRunning:
                is_wanted = True
                raise
    except BaseExceptionGroup as group:  # a task group wraps what the caller's block raises
        if len(group.exceptions) == 1:
            raise group.exceptions[0] from None
        raise
    finally:
        with anyio.CancelScope(shield=True):
            if remote is not None:
                await remote.leave(is_wanted=is_wanted)
            await anyio.to_thread.run_sync(cache.close)
