"""`fanout worker`: asks what large calls of other processes put into the queue on Redis.

Theory of operation. Docket hands out tickets, at most as many at once as keep our limits busy; each is good
for one shard (queue.py), and for those after it while they end soon, since Docket takes its time to give out
the next one. A shard's questions are asked as the local journal asks them: through the engine with its
limits, retries and fallbacks, claimed and kept in the cache.

What a shard has cost so far is noted at its ticket, twice a second: if the worker dies, the next one has its
answers in the cache, and counts these dollars with its own. Those of the last half second, and of the calls
in flight, whose bills no one has seen, are in no sum.

A question that kills its worker comes again, with all that were at work beside it. So from the third time on
a shard's questions are asked one by one, one such shard a worker, and each is marked before: the one that
was marked when DEATHS workers died has failed, by name, and is not asked again.
"""

from __future__ import annotations

import argparse
import asyncio
import importlib
import logging
import math
import os
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack, closing, suppress
from dataclasses import dataclass, field
from datetime import timedelta
from functools import partial
from typing import Final

import anyio

from fanout_hooks.crash import explain_alike
from fanout_mcp.commands.flags import OK
from fanout_mcp.engine.budget import Budget
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan, Started, background
from fanout_mcp.errors import BackendError, FanoutError, SettingsError
from fanout_mcp.journal import Asking, InTurn, IsGood, one_at_a_time
from fanout_mcp.scale.queue import (
    DEATHS,
    JUDGES,
    LEASE_S,
    SHARD,
    TICKET,
    Forged,
    Queue,
    Taken,
    Unit,
    outages,
    packed_outcome,
    through_outages,
)
from fanout_mcp.scale.serve import return_memory, watched
from fanout_mcp.scale.shared import Shared, open_shared, shown
from fanout_mcp.scale.telemetry import Figures, Observed, count, exporting, gauges, shard_span
from fanout_mcp.state import audit, settings
from fanout_mcp.state.cache import Cache
from fanout_mcp.types import Backend, Outcome
from fanout_mcp.usage import Usage

SHARD_S: Final = 1_800.0
"""How long a shard's questions may take, with all waits: whatever time its caller has left."""
CHECK_S: Final = 0.5
"""How often a shard at work looks whether its batch was cancelled, and notes what it has cost."""
ALONE_FROM: Final = 3
"""Deliveries of a shard from which on its questions are asked one by one."""
GOES_ON_S: Final = 5.0
"""How long a ticket is good for further shards. Docket renews no lease once it has lost Redis or is to stop,
and waits then for the tickets that are at work."""
RECONNECT_S: Final = 1.0
LOOK_S: Final = 0.05
"""How often Docket looks for what has ended; its own quarter of a second leaves places idle."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--health", metavar="HOST:PORT", help="serve /livez, /readyz and /metrics there (default: off)"
    )
    parser.epilog = (
        "It asks with this user's providers and keys; FANOUT_REDIS_URL, or redis_url in config.toml, says "
        "where the queue is. On SIGTERM it finishes its calls in progress. See docs/operations.md."
    )


def run(args: argparse.Namespace) -> int:
    from fanout_mcp.commands.shell import run_async

    had = settings.read()
    return_memory()
    _log_to_stderr()
    with exporting(os.environ):
        run_async(lambda: _work(had, args.health))
    return OK


def _log_to_stderr() -> None:
    """Write a line when Redis goes and one when it is back; Docket has more, some with a whole traceback."""
    handler = logging.StreamHandler(sys.stderr)
    handler.setFormatter(_Line("fanout worker: %(message)s"))
    handler.addFilter(lambda record: not (record.name.startswith("docket") and _is_away(sys.exc_info()[1])))
    for name in ("docket", "fanout"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.WARNING)


def _is_away(error: BaseException | None) -> bool:
    """Say whether this is an outage, which `Link` reports; what Redis refuses is not."""
    from redis.exceptions import RedisError, ResponseError

    return isinstance(error, RedisError | OSError) and not isinstance(error, ResponseError)


class _Line(logging.Formatter):
    def format(self, record: logging.LogRecord) -> str:
        record.exc_info = record.exc_text = record.stack_info = None
        return super().format(record)


async def _work(had: settings.Settings, health: str | None) -> None:
    from fanout_mcp.edge.opening import open_services

    async with Queue(had).used():
        pass  # a Redis that can't be reached ends the worker here: services would go on without it
    async with AsyncExitStack() as stack:
        shared = await stack.enter_async_context(open_shared(had))
        services = await stack.enter_async_context(open_services(had, shared))
        if not services.backend.has_model:
            raise SettingsError("A worker needs a model; `fanout doctor` says why there is none.")
        queue = Queue(had, services.backend.provider)
        await stack.enter_async_context(queue.used())
        sys.stderr.write(f"fanout worker: {shown(queue.url)}, {had.max_parallel} calls at once\n")
        cache = stack.enter_context(closing(services.open_cache(had.cache, had.config_dir)))
        worker = Worker(queue, services.backend, services.limits, cache, services.spent)
        if health is not None:
            await stack.enter_async_context(watched(health, partial(worker.metrics, shared), worker.is_ready))
        await worker.run()


@dataclass(slots=True)
class Worker:
    """Takes tickets until it is cancelled; what is at work then is finished."""

    queue: Queue
    backend: Backend
    limits: Limits
    cache: Cache
    spent: audit.Spent | None = None
    figures: Figures = field(default_factory=Figures)
    alone: anyio.Lock = field(default_factory=anyio.Lock)
    in_turn: InTurn = field(default_factory=one_at_a_time)
    at_work: dict[str, list[Started]] = field(default_factory=dict)
    """Batch -> its shards that are being asked."""
    loop_task: asyncio.Task[object] | None = None
    """Where Docket's loop runs."""
    loop_cancels: int = 0
    """How often that task had been cancelled before."""

    async def run(self, lease_s: float = LEASE_S) -> None:
        from docket import Worker as DocketWorker
        from docket.dependencies import TaskKey

        async def next_shard(ticket: str = TaskKey()) -> None:
            await self.use(ticket)

        # Twice what may be in flight: a shard's last questions leave places free for the next one's first.
        at_once = 2 * math.ceil(self.queue.max_parallel / SHARD)
        self.queue.docket.register(next_shard, [TICKET])
        async with DocketWorker(
            self.queue.docket,
            concurrency=at_once,
            redelivery_timeout=timedelta(seconds=lease_s),
            reconnection_delay=timedelta(seconds=RECONNECT_S),
            minimum_check_interval=timedelta(seconds=LOOK_S),
            schedule_automatic_tasks=False,
        ) as worker:
            self.loop_task = asyncio.current_task()
            self.loop_cancels = self.loop_task.cancelling() if self.loop_task else 0
            await worker.run_forever()

    def is_stopping(self) -> bool:
        """Docket catches the cancellation and waits for what is at work: only the task's count shows it."""
        return self.loop_task is not None and self.loop_task.cancelling() > self.loop_cancels

    def is_ready(self) -> bool:
        return self.loop_task is not None and not self.is_stopping()

    def metrics(self, shared: Shared) -> str:
        return self.figures.text(gauges(self.limits, shared))

    async def use(self, ticket: str) -> None:
        """Ask shards, and say what became of them."""
        until = anyio.current_time() + GOES_ON_S
        while (taken := await self._taken(ticket)) is not None:
            await self._use(taken)
            if self.is_stopping() or anyio.current_time() >= until:
                return

    async def _use(self, taken: Taken) -> None:
        user, _, _ = taken.shard.batch.rpartition(":")
        audit.who.set("")  # the shard before may have been another user's
        if user != audit.caller():
            audit.who.set(user)
        record: audit.Call | None = None
        began, trace_id = anyio.current_time(), ""
        try:
            with (
                shard_span(taken.shard.origin.trace) as trace_id,
                audit.call("batch", spent=self.spent, origin=taken.shard.origin) as record,
            ):
                record.usd = taken.usd
                outcomes = await self._outcomes(taken, record)
                record.verdict = "cancelled" if outcomes is None else "done"
        except FanoutError as error:  # such as a provider that is not enabled here
            outcomes = _failed(taken.shard.units, str(error))
        except Exception as error:  # noqa: BLE001 - callers would wait for ever for a shard without a result
            outcomes = _failed(taken.shard.units, explain_alike("the worker", error, os.environ))
        if record is not None:
            count(self.figures, record, anyio.current_time() - began, trace_id)
        if outcomes is None:
            return
        rows = [packed_outcome(one, is_kept=is_kept) for one, is_kept in outcomes]
        usd = record.usd if record is not None else 0.0
        await through_outages(lambda: self.queue.finish(taken.ticket, taken.shard, rows, usd))

    async def _taken(self, ticket: str) -> Taken | None:
        while True:
            try:
                return await through_outages(lambda: self.queue.take(ticket))
            except Forged as error:
                sys.stderr.write(f"fanout worker: {error}\n")

    async def _outcomes(self, taken: Taken, record: audit.Call) -> list[tuple[Outcome, bool]] | None:
        """Return the outcomes, and of each whether the cache has its answer; None for a cancelled batch."""
        shard = taken.shard
        for unit in shard.units:
            own = self.backend.route(unit.job.model).provider
            if own != unit.provider:
                return _failed(shard.units, f"this worker asks {own}, the question is for {unit.provider}")
        if taken.times < ALONE_FROM:
            return await self._asked(taken, shard.units, record)
        async with self.alone:
            outcomes: list[tuple[Outcome, bool]] = []
            for unit in shard.units:
                if unit.key in taken.dead:
                    outcomes += _failed([unit], f"given up: it ended its worker {DEATHS} times")
                    continue
                await through_outages(partial(self.queue.note, taken.ticket, at=unit.key, usd=record.usd))
                found = await self._asked(taken, [unit], record)
                if found is None:
                    return None
                outcomes += found
            return outcomes

    async def _asked(
        self, taken: Taken, units: Sequence[Unit], record: audit.Call
    ) -> list[tuple[Outcome, bool]] | None:
        shard = taken.shard
        counts = await through_outages(lambda: self.queue.counts(shard.batch))
        if counts is None or counts.state == "cancelled":
            return None
        record.earlier_usd = counts.usd
        spent = Usage(counts.tokens, 0, counts.usd + record.usd)
        if why := shard.budget.spent(spent):
            return [
                (Outcome(unit.job, "cut", reason=f"not started: {why}", cause="budget"), False)
                for unit in units
            ]
        plan = Plan(SHARD_S, budget=_left(shard.budget, spent), is_paced=False)
        keys = {unit.job.key: unit.key for unit in units}
        observed = Observed(self.backend, self.figures)
        asking = Asking(
            self.limits.paced(observed.ask), self.cache, keys, named_judge(shard.judge), self.in_turn
        )
        async with background() as start:
            started = start([unit.job for unit in units], asking.ask, plan, self.limits)
            beside = self.at_work.setdefault(shard.batch, [])
            beside.append(started)
            try:
                while True:
                    with anyio.move_on_after(CHECK_S):
                        found = [asking.settled(one) for one in await started.result()]
                        return [(one, one.key in asking.kept) for one in found]
                    if await self._is_cancelled(taken, record.usd):
                        for one in beside:  # at once, else the places of one go to the next
                            one.cancel()
            finally:
                beside.remove(started)
                if not beside:
                    self.at_work.pop(shard.batch, None)

    async def _is_cancelled(self, taken: Taken, usd: float) -> bool:
        """Note what was spent so far; return whether the batch was cancelled meanwhile."""
        with suppress(*outages()):
            await self.queue.note(taken.ticket, usd=usd)
            counts = await self.queue.counts(taken.shard.batch)
            return counts is None or counts.state == "cancelled"
        return False


def named_judge(name: str) -> IsGood:
    """Return what decides whether an answer is kept. Raises SettingsError for what is not one of ours."""
    if name not in JUDGES:
        raise SettingsError(f"{name} is not a way to judge an answer.")
    module, _, function = name.partition(":")
    found: IsGood = getattr(importlib.import_module(module), function)
    return found


def _left(allowed: Budget, spent: Usage) -> Budget:
    return Budget(
        None if allowed.max_cost_usd is None else allowed.max_cost_usd - (spent.cost_usd or 0.0),
        None if allowed.max_tokens is None else allowed.max_tokens - spent.total_tokens,
    )


def _failed(units: Sequence[Unit], reason: str) -> list[tuple[Outcome, bool]]:
    error = BackendError(reason)
    return [(Outcome(unit.job, "failed", error=error, reason=reason), False) for unit in units]
