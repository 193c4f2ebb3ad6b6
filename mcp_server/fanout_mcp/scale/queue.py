"""Large calls through Redis: their questions wait in a queue, and `fanout worker` processes ask them.

Theory of operation. A call of a tool is a *batch*, under a handle that is bound to its user. Its questions go
into Redis as *shards* of up to SHARD questions, and for each shard one empty *ticket* goes into a Docket. A
worker that takes a ticket asks, by a script, for the next shard: users take turns, however many each has. It
may ask for more with the same one: a ticket that finds none left is over, so none is ever left without one.
Docket has the leases: a ticket whose worker died comes again, and finds the shard that it held. Answers are
in the cache that workers and callers share; what stays in Redis is what became of each question.

Rules:
1. Nothing from Redis is believed without the seal of the user's secret (state/cache.py), and nothing is ever
   unpickled: Docket, which would, finds JSON under a seal in the place of cloudpickle.
2. A call that is cancelled cancels its batch, unless another one waits for it or its handle was given out.
   One that its process cuts off, because it has to end itself, leaves it for the same call at another one.
3. Equal calls of one user join: the same first questions are the same batch.
4. Every script may run twice with the same result, and a repeated question is answered by the cache.
5. Every key has a hash of the format and one of the secret, and what workers take from one of their provider
   too: those of another version, team or provider on the same Redis never see what they could not ask.
"""

from __future__ import annotations

import gc
import hashlib
import hmac
import json
import secrets
import sys
import zlib
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager, suppress
from dataclasses import dataclass, field, fields, replace
from datetime import timedelta
from functools import partial
from importlib.util import find_spec
from types import ModuleType
from typing import TYPE_CHECKING, Final, NamedTuple, TypeVar
from urllib.parse import urlsplit

import anyio
import anyio.to_thread

from fanout_mcp import errors
from fanout_mcp.engine.budget import Budget
from fanout_mcp.errors import BackendError, FanoutError, SettingsError, StillRunning, why
from fanout_mcp.journal import IsGood, Portion, Remaining, looks
from fanout_mcp.scale.shared import Link, check, shown
from fanout_mcp.state import audit
from fanout_mcp.state.cache import own_secret, unpacked
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Answer, Job, Json, Outcome, Prompt
from fanout_mcp.usage import Usage

if TYPE_CHECKING:
    from docket import Docket
    from redis.asyncio import Redis

T = TypeVar("T")

JUDGES: Final = (
    "fanout_mcp.journal:is_whole",
    "fanout_mcp.review.reviewers:is_good",
    "fanout_mcp.tools.explore_modules:is_exploration",
    "fanout_mcp.tools.summarize_files:is_summary",
)
"""What decides whether an answer is kept. A worker runs these and nothing else that a message names."""
FORMAT: Final = 2
"""Of shards, results and scripts."""
JOB: Final = tuple(one.name for one in fields(Job) if one.name not in {"prompt", "on_request", "workspace"})
"""What a shard has of a job."""
VERSION: Final = hashlib.sha256(repr((FORMAT, JUDGES, JOB)).encode()).hexdigest()[:8]

SHARD: Final = 32
"""Questions that one ticket is for: what a ticket costs is shared by them."""
LEASE_S: Final = 30
"""After so long without a renewal, a worker counts as dead. Renewed four times as often."""
KEPT_S: Final = 2 * 86_400
WAITS_S: Final = 120
"""A call that has not shown itself for so long has died with its process, and waits no more."""
SHOWS_S: Final = 10.0
GROWING_S: Final = 60
"""A call that has not put all its shards, and puts none for so long, counts as dead."""
DEATHS: Final = 3
"""A question that was asked alone when so many workers died is not asked again."""
LISTED: Final = 100
"""A user's newest batches, which `fanout batch show` lists."""
EARLY_S: Final = 10.0
"""How long a call watches its batch before it may say that the batch takes too long for it."""
FIRST_LOOK_S: Final = 0.05
LAST_LOOK_S: Final = 0.5
CONNECT_S: Final = 0.5
REPLY_S: Final = 3.0
"""Redis that says nothing for so long counts as away."""
CONNECTIONS: Final = 2_000
"""Above the pool's own 100, Docket takes a full pool for an outage and pauses."""
TICKET: Final = "next_shard"
SEAL_BYTES: Final = 32


def connect(url: str) -> Redis:
    """Return a client; nothing is sent yet."""
    from redis.asyncio import Redis
    from redis.asyncio.retry import Retry
    from redis.backoff import NoBackoff

    return Redis.from_url(
        url,
        socket_connect_timeout=CONNECT_S,
        socket_timeout=REPLY_S,
        max_connections=CONNECTIONS,
        retry=Retry(NoBackoff(), 1),  # for a connection that was closed; outages are waited for by us
    )


def outages(*more: type[Exception]) -> tuple[type[Exception], ...]:
    """Return what a Redis raises that is away, full or closed to us; a socket may break while it is read."""
    from redis.exceptions import RedisError

    return RedisError, OSError, *more


def reason(error: Exception) -> str:
    return why(error).rstrip(".") or "no answer in time"


# --- seal ---------------------------------------------------------------------------------------------------


class Forged(FanoutError):
    """What Redis holds was not written by a fanout with this user's secret."""


class Seal:
    """JSON under an HMAC, bound to the place where it is found; checked before a byte of it is read."""

    def __init__(self, secret: bytes) -> None:
        self._key = hmac.new(secret, b"fanout queue", hashlib.sha256).digest()
        self.name = hashlib.sha256(self._key).hexdigest()[:8]

    def close(self, place: str, value: Json) -> bytes:
        packed = zlib.compress(json.dumps(value, separators=(",", ":"), default=str).encode(), 1)
        return self._mac(place, packed) + packed

    def open(self, place: str, data: bytes) -> Json:
        packed = data[SEAL_BYTES:]
        if not hmac.compare_digest(data[:SEAL_BYTES], self._mac(place, packed)):
            raise Forged(f"{place} in Redis was not written with the secret of this user; it is not read.")
        return json.loads(unpacked(packed))

    def _mac(self, place: str, packed: bytes) -> bytes:
        return hmac.new(self._key, place.encode() + b"\0" + packed, hashlib.sha256).digest()


class _Nothing(tuple[()]):
    """What was refused: no arguments, neither by place nor by name."""

    __slots__ = ()

    def keys(self) -> tuple[()]:
        return ()

    items = keys


class NoPickle(ModuleType):
    """What Docket imports as `cloudpickle`: arguments, results, exceptions, strikes and snapshots pass here.

    It raises nothing: one bad message would end a worker, and come again to the next one.
    """

    seal: Seal | None = None

    def dumps(self, value: object) -> bytes:
        if self.seal is None:
            raise SettingsError("The queue was used before it had a secret.")
        return self.seal.close("docket", value)

    def loads(self, data: bytes) -> Json:
        with suppress(FanoutError, ValueError, zlib.error):
            if self.seal is not None:
                return self.seal.open("docket", data)
        return _Nothing()  # tickets carry nothing anyway


_no_pickle: Final = NoPickle("cloudpickle")


def docket_without_pickle(url: str, name: str, seal: Seal) -> Docket:
    """Return our Docket. Raises SettingsError where it would unpickle."""
    _no_pickle.seal = seal
    sys.modules["cloudpickle"] = _no_pickle
    from docket import Docket, execution, strikelist, worker

    if any(vars(module).get("cloudpickle") is not _no_pickle for module in (execution, strikelist, worker)):
        raise SettingsError("Docket was loaded with pickle before the queue was opened; it is not used.")
    joined = "&" if urlsplit(url).query else "?"
    pooled = url if "max_connections=" in url else f"{url}{joined}max_connections={CONNECTIONS}"
    made = Docket(name, pooled, execution_ttl=timedelta(0))
    made.tasks.clear()  # Docket's own ones may sleep and print
    return made


# --- what travels -------------------------------------------------------------------------------------------


class Unit(NamedTuple):
    """A question, its key in the cache, and the provider that the caller would ask."""

    job: Job
    key: str
    provider: str


class Shard(NamedTuple):
    """Questions that a worker takes at once."""

    batch: str
    name: str
    units: Sequence[Unit]
    judge: str
    budget: Budget
    """Of the whole batch."""
    origin: audit.Origin
    """The call that put it there."""


def packed_shard(shard: Shard) -> Json:
    rows = [
        [unit.key, unit.provider, unit.job.prompt.system, unit.job.prompt.user, unit.job.prompt.sources]
        + [getattr(unit.job, name) for name in JOB]
        for unit in shard.units
    ]
    return [shard.judge, shard.budget.max_cost_usd, shard.budget.max_tokens, shard.origin, rows]


def unpacked_shard(batch: str, name: str, given: Json) -> Shard:
    judge, usd, tokens, origin, rows = given
    units = []
    for key, provider, system, user, sources, *values in rows:
        named = dict(zip(JOB, values, strict=True))
        for listed in ("fallbacks", "elsewhere"):
            named[listed] = None if named[listed] is None else tuple(named[listed])
        units.append(Unit(Job(prompt=Prompt(system, user, tuple(sources)), **named), key, provider))
    return Shard(batch, name, units, judge, Budget(usd, tokens), audit.Origin(*origin))


NO_PROMPT: Final = Prompt("", "")
"""Of what was asked: a batch may hold gigabytes of prompts."""


def packed_outcome(outcome: Outcome, *, is_kept: bool) -> Json:
    """An answer that is kept is in the cache; another one may be of use all the same."""
    answer, used = outcome.answer, outcome.usage
    text = None if answer is None or is_kept else [answer.text, answer.model, answer.data, answer.truncated]
    return [
        outcome.key,
        outcome.status,
        [used.tokens_in, used.tokens_out, used.cost_usd, used.is_partial],
        outcome.calls,
        outcome.reason,
        type(outcome.error).__name__ if outcome.error else None,
        outcome.cause,
        outcome.passed,
        outcome.job.model,
        text,
    ]


def unpacked_outcome(given: Json) -> Outcome:
    key, status, used, calls, reason, name, cause, passed, model, text = given
    usage = Usage(*used)
    return Outcome(
        Job(key, NO_PROMPT, model),
        status,
        None if text is None else Answer(text[0], text[1], usage, text[2], text[3]),
        _error(name, reason) if name else None,
        reason,
        cause,
        calls,
        usage,
        tuple(passed),
    )


def _error(name: str, reason: str) -> BackendError:
    found = getattr(errors, name, BackendError)
    is_leaf = isinstance(found, type) and issubclass(found, BackendError)
    return found(reason) if is_leaf else BackendError(reason)


# --- scripts ------------------------------------------------------------------------------------------------
# A user is in `users` as long as `todo` of that user is not empty. A shard that is no longer in `shards` is
# done or cancelled, and its name elsewhere is ignored.

IS_OVER: Final = """
local function is_over(batch, growing)
  local total, done, state = unpack(redis.call('HMGET', batch, 'total', 'done', 'state'))
  if not total or state == 'cancelled' then return true end
  return tonumber(done or 0) >= tonumber(total) and redis.call('EXISTS', growing) == 0
end
"""
"""Counts.is_over for scripts."""

JOIN: Final = (
    IS_OVER
    + """
local place, listed, prefix, user, call, kept = KEYS[1], KEYS[2], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
local batch = redis.call('GET', place)
if not batch or is_over(prefix .. 'batch:' .. batch, prefix .. 'growing:' .. batch) then
  batch = user .. ':' .. call
  redis.call('SET', place, batch, 'EX', kept)
  redis.call('HSETNX', prefix .. 'batch:' .. batch, 'total', 0)
  redis.call('LPUSH', listed, batch)
  redis.call('LTRIM', listed, 0, ARGV[5] - 1)
  redis.call('EXPIRE', listed, kept)
end
redis.call('ZADD', prefix .. 'waiting:' .. batch, redis.call('TIME')[1], call)
redis.call('SET', prefix .. 'growing:' .. batch, 1, 'EX', ARGV[6])
for _, kind in ipairs({'batch:', 'waiting:'}) do redis.call('EXPIRE', prefix .. kind .. batch, kept) end
return batch
"""
)

PUT: Final = """
local batch, shards, done, growing = KEYS[1], KEYS[2], KEYS[3], KEYS[6]
local todo, users, name, ref, user, payload = KEYS[4], KEYS[5], ARGV[1], ARGV[2], ARGV[3], ARGV[4]
if redis.call('HGET', batch, 'state') == 'cancelled' then return 0 end
redis.call('SET', growing, 1, 'EX', ARGV[7])
if redis.call('HEXISTS', done, name) == 1 then return 0 end
if redis.call('HSETNX', shards, name, payload) == 1 then
  redis.call('HINCRBY', batch, 'total', ARGV[5])
  if redis.call('RPUSH', todo, ref) == 1 then redis.call('RPUSH', users, user) end
  for _, key in ipairs({batch, shards, todo}) do redis.call('EXPIRE', key, ARGV[6]) end
  return 2
end
if redis.call('HGET', shards, name) == payload then return 2 end
return 1
"""
"""A shard names the call that put it there: what is there already and equal was put by this call, whose reply
was lost."""

NEXT: Final = """
local held, users, prefix, turns = KEYS[1], KEYS[2], ARGV[1], ARGV[3]
local function found(ref)
  local batch, name = string.match(ref, '^(.*) (%S+)$')
  local payload = redis.call('HGET', prefix .. 'shards:' .. batch, name)
  if not payload then return nil end
  local times = redis.call('HINCRBY', held, 'times', 1)
  redis.call('HSET', held, 'ref', ref)
  redis.call('EXPIRE', held, ARGV[2])
  local dead, at = redis.call('HGET', held, 'dead') or '', redis.call('HGET', held, 'at')
  if at then
    if redis.call('HINCRBY', held, 'at:' .. at, 1) == tonumber(ARGV[4]) then
      dead = dead .. at .. ' '
      redis.call('HSET', held, 'dead', dead)
    end
    redis.call('HDEL', held, 'at')
  end
  return {batch, name, payload, times, dead, redis.call('HGET', held, 'usd') or '0'}
end
local ref = redis.call('HGET', held, 'ref')
local shard = ref and found(ref)
if shard then return shard end
redis.call('DEL', held)
while true do
  local user = redis.call('LPOP', users)
  if not user then return nil end
  local todo = turns .. 'todo:' .. user
  ref = redis.call('LPOP', todo)
  if redis.call('LLEN', todo) > 0 then redis.call('RPUSH', users, user) end
  shard = ref and found(ref)
  if shard then return shard end
end
"""

FINISH: Final = """
local held, batch, shards, done = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
if redis.call('HGET', held, 'ref') == ARGV[4] then redis.call('DEL', held) end
if redis.call('HDEL', shards, ARGV[1]) == 0 then return 0 end
redis.call('HSET', done, ARGV[1], ARGV[2])
for at = 5, #ARGV, 2 do redis.call('HINCRBYFLOAT', batch, ARGV[at], ARGV[at + 1]) end
for _, key in ipairs({batch, shards, done}) do redis.call('EXPIRE', key, ARGV[3]) end
return 1
"""
"""By now the ticket may hold another shard: a worker that counted as dead may end late."""

CANCEL: Final = (
    IS_OVER
    + """
if is_over(KEYS[1], KEYS[3]) then return 0 end
redis.call('HSET', KEYS[1], 'state', 'cancelled')
redis.call('DEL', KEYS[2])
return 1
"""
)

LEAVE: Final = (
    IS_OVER
    + """
local batch, shards, growing, waiting = KEYS[1], KEYS[2], KEYS[3], KEYS[4]
redis.call('ZREM', waiting, ARGV[1])
if redis.call('EXISTS', batch) == 0 then return 0 end
if ARGV[2] == '1' then redis.call('HSET', batch, 'given_out', 1) end
local since = '(' .. (redis.call('TIME')[1] - ARGV[3])
if redis.call('ZCOUNT', waiting, since, '+inf') > 0 then return 0 end
redis.call('DEL', growing)
local is_empty = redis.call('HGET', batch, 'total') == '0'
if redis.call('HEXISTS', batch, 'given_out') == 1 then return 0 end
if is_over(batch, growing) and not is_empty then return 0 end
redis.call('HSET', batch, 'state', 'cancelled')
redis.call('DEL', shards)
return 1
"""
)


WAIT: Final = """
redis.call('ZADD', KEYS[1], redis.call('TIME')[1], ARGV[1])
redis.call('EXPIRE', KEYS[1], ARGV[2])
"""


class Done(NamedTuple):
    """What became of a shard."""

    usd: float
    rows: list[Json]


class Counts(NamedTuple):
    """How far a batch is. `usd`: by the providers' bills, else by their prices."""

    total: int = 0
    done: int = 0
    failed: int = 0
    cached: int = 0
    tokens: int = 0
    usd: float = 0.0
    state: str = ""
    is_growing: bool = False
    """A call has more for it."""

    @property
    def is_over(self) -> bool:
        return self.state == "cancelled" or (self.done >= self.total and not self.is_growing)


class Taken(NamedTuple):
    """A shard in a worker's hands."""

    ticket: str
    shard: Shard
    times: int
    """How often it was taken, this time included: each time before, its worker died."""
    dead: frozenset[str]
    """Keys of the questions that are given up: DEATHS workers died while they were asked, alone."""
    usd: float
    """What the workers that died had spent on it, and no one has counted."""


class Unknown(FanoutError):
    """No such batch, or another user's: the message is the same for both."""


class Queue:
    """One a process. Nothing is opened before it is used.

    `provider`: the backend's own, for calls and workers; without one, batches can be shown and cancelled.
    """

    def __init__(self, settings: Settings, provider: str = "", link: Link | None = None) -> None:
        if not settings.redis_url:
            raise SettingsError(
                "There is no queue: FANOUT_REDIS_URL, or redis_url in your config.toml, says where its Redis "
                "is, such as rediss://user:password@host:6379/0."
            )
        if find_spec("docket") is None:
            raise SettingsError(
                "A Redis is set, and what the queue needs is not installed: pip install '.[scale]' in "
                "fanout's clone."
            )
        check(settings.redis_url)
        self.url, self._config_dir, self.max_parallel = (
            settings.redis_url,
            settings.config_dir,
            settings.max_parallel,
        )
        self.link = link
        self._provider = _digest([provider])[:8]
        self._stack = AsyncExitStack()
        self._opening = anyio.Lock()
        self._is_open = False

    async def open(self) -> None:
        """Connect. Raises SettingsError and redis' errors."""
        async with self._opening:
            if self._is_open:
                return
            # In a thread: Docket takes a second to import, and hook events pass through this loop.
            docket, self.redis = await anyio.to_thread.run_sync(self._prepared)
            gc.freeze()  # what it imported stays: edge/opening.py
            docket.register(_nothing, [TICKET])
            self._join, self._put, self._next, self._finish, self._cancel, self._wait, self._leave = (
                self.redis.register_script(text) for text in (JOIN, PUT, NEXT, FINISH, CANCEL, WAIT, LEAVE)
            )
            async with AsyncExitStack() as stack:
                stack.push_async_callback(self.redis.aclose)
                await self.redis.ping()
                self.docket = await stack.enter_async_context(docket)
                self._stack, self._is_open = stack.pop_all(), True

    def _prepared(self) -> tuple[Docket, Redis]:
        self.seal = Seal(own_secret(self._config_dir))
        name = f"fanout-{VERSION}-{self.seal.name}"
        self.prefix, self.turns = f"{name}:", f"{name}:{self._provider}:"
        return docket_without_pickle(self.url, f"{name}-{self._provider}", self.seal), connect(self.url)

    async def close(self) -> None:
        with anyio.CancelScope(shield=True), suppress(Exception):  # Redis may be gone by now
            await self._stack.aclose()

    @asynccontextmanager
    async def used(self) -> AsyncIterator[None]:
        """Be open for a command, which ends where Redis fails. Raises SettingsError."""
        try:
            await self.open()
            yield
        except outages() as error:
            raise SettingsError(f"{shown(self.url)} can't be used: {reason(error)}.") from None
        finally:
            await self.close()

    def call(self) -> Call:
        return Call(self)

    def _keys(self, name: str, *kinds: str) -> list[str]:
        return [f"{self.prefix}{kind}:{name}" for kind in kinds]

    # Callers' side.

    async def join(self, user: str, first: str, call: str) -> str:
        """Return the batch of this user's that began with the same questions, or a new one."""
        found = await self._join(
            [f"{self.prefix}join:{user}:{first}", f"{self.prefix}batches:{user}"],
            [self.prefix, user, call, KEPT_S, LISTED, GROWING_S],
        )
        return _text(found)

    async def complete(self, batch: str) -> None:
        """Say that all shards are put."""
        await self.redis.delete(*self._keys(batch, "growing"))

    async def wait(self, batch: str, call: str) -> None:
        """Remember that a call waits for a batch; it says so again every SHOWS_S seconds."""
        await self._wait(self._keys(batch, "waiting"), [call, KEPT_S])

    async def put(self, shard: Shard) -> bool:
        """Hand a shard to the workers, unless an equal call did; return whether this call put it."""
        check(self.url)  # the policy may have changed
        user, _, _ = shard.batch.rpartition(":")
        ref = f"{shard.batch} {shard.name}"
        # In a thread: it takes milliseconds, for hundreds of shards, and hook events pass through this loop.
        payload = await anyio.to_thread.run_sync(lambda: self.seal.close(ref, packed_shard(shard)))
        found = await self._put(
            [
                *self._keys(shard.batch, "batch", "shards", "done"),
                *(f"{self.turns}todo:{user}", f"{self.turns}users"),
                *self._keys(shard.batch, "growing"),
            ],
            [shard.name, ref, user, payload, len(shard.units), KEPT_S, GROWING_S],
        )
        if found:  # also where it was there: who put it may have died before its ticket
            with anyio.fail_after(REPLY_S):
                # A digest: Docket puts the key into spans, where no user's name belongs.
                await self.docket.add(TICKET, key=_digest([ref]))()
        return bool(found == 2)

    async def look(self, batch: str, names: Sequence[str] = ()) -> tuple[Counts | None, dict[str, Done]]:
        """Return how far a batch is, and what became of those of its shards that are done.

        None: there is no such batch (any more).
        """
        of_batch, growing, of_shards = self._keys(batch, "batch", "growing", "done")
        async with self.redis.pipeline() as steps:
            steps.hmget(of_batch, list(Counts._fields[:7]))
            steps.exists(growing)
            if names:
                steps.hmget(of_shards, list(names))
            values, is_growing, *found = await steps.execute()
        arrived = {
            name: Done(*self.seal.open(f"{batch} {name} done", data))
            for name, data in zip(names, found[0] if found else (), strict=True)
            if data is not None
        }
        if values[0] is None:
            return None, arrived
        total, done, failed, cached, tokens = (int(float(one or 0)) for one in values[:5])
        usd, state = float(values[5] or 0), _text(values[6] or b"")
        return Counts(total, done, failed, cached, tokens, usd, state, bool(is_growing)), arrived

    async def counts(self, batch: str) -> Counts | None:
        return (await self.look(batch))[0]

    async def own(self, handle: str) -> Counts:
        """Return how far a batch of the caller's own is. Raises Unknown."""
        user, _, _ = handle.rpartition(":")
        counts = await self.counts(handle) if user == audit.caller() else None
        if counts is None:
            raise Unknown(f"You have no batch {handle!r}; `fanout batch show` lists yours.")
        return counts

    async def batches(self) -> list[str]:
        return [
            _text(one) for one in await self.redis.lrange(f"{self.prefix}batches:{audit.caller()}", 0, -1)
        ]

    async def failed(self, batch: str) -> dict[str, str]:
        """Return question -> reason of those that failed."""
        names = [_text(one) for one in await self.redis.hkeys(*self._keys(batch, "done"))]
        rows = [row for done in (await self.look(batch, names))[1].values() for row in done.rows]
        return {row[0]: row[4] for row in rows if row[1] not in {"answered", "cached"}}

    async def cancel(self, batch: str) -> bool:
        return bool(await self._cancel(self._keys(batch, "batch", "shards", "growing")))

    async def leave(self, batch: str, call: str, *, is_wanted: bool) -> None:
        keys = self._keys(batch, "batch", "shards", "growing", "waiting")
        await self._leave(keys, [call, int(is_wanted), WAITS_S])

    async def has_workers(self) -> bool:
        with anyio.fail_after(REPLY_S):
            return bool(await self.docket.workers())

    # Workers' side.

    async def take(self, ticket: str) -> Taken | None:
        """Return the shard that this ticket held before, else the one of the user whose turn it is."""
        found = await self._next(
            [*self._keys(ticket, "held"), f"{self.turns}users"], [self.prefix, KEPT_S, self.turns, DEATHS]
        )
        if found is None:
            return None
        batch, name, payload, times, dead, usd = found
        batch, name = batch.decode(), name.decode()
        try:
            given = self.seal.open(f"{batch} {name}", payload)
        except Forged:
            await self.redis.hdel(*self._keys(batch, "shards"), name)
            raise
        shard = unpacked_shard(batch, name, given)
        return Taken(ticket, shard, times, frozenset(dead.decode().split()), float(usd))

    async def note(self, ticket: str, **so_far: str | float) -> None:
        """Remember what the next worker is to know if this one dies: `usd`, and `at`, what is asked alone."""
        [held] = self._keys(ticket, "held")
        async with self.redis.pipeline() as steps:
            steps.hset(held, items=[one for pair in so_far.items() for one in pair])
            steps.expire(held, KEPT_S)
            await steps.execute()

    async def finish(self, ticket: str, shard: Shard, rows: list[Json], usd: float) -> None:
        """Say what became of a shard. A second time, or of a cancelled batch, it is passed over."""
        result = self.seal.close(f"{shard.batch} {shard.name} done", Done(usd, rows))
        added = {
            "done": len(rows),
            "failed": sum(row[1] not in {"answered", "cached"} for row in rows),
            "cached": sum(row[1] == "cached" for row in rows),
            "tokens": sum(row[2][0] + row[2][1] for row in rows),
            "usd": usd,
        }
        pairs = [value for pair in added.items() for value in pair]
        await self._finish(
            [*self._keys(ticket, "held"), *self._keys(shard.batch, "batch", "shards", "done")],
            [shard.name, result, KEPT_S, f"{shard.batch} {shard.name}", *pairs],
        )


async def _nothing() -> None:
    """Stands for the ticket's task where tickets are only written."""


def _text(value: bytes | str) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "surrogateescape")


async def through_outages(work: Callable[[], Awaitable[T]], until: float = float("inf")) -> T:
    """Do what may be repeated until Redis answers. Raises redis' error once the time is up.

    Each of its errors is an outage, a lost permission or a full disk too: the work is not to be lost.
    """
    while True:
        try:
            return await work()
        except outages():
            if anyio.current_time() >= until:
                raise
            await anyio.sleep(LAST_LOOK_S)


# --- a call -------------------------------------------------------------------------------------------------


@dataclass(slots=True)
class Call:
    """A call of a tool whose questions workers ask; see journal.Remote."""

    queue: Queue
    problem: str = ""
    is_on: bool = False
    batch: str = ""
    until: float = float("inf")
    name: str = field(default_factory=lambda: secrets.token_hex(16))
    """Hard to guess: a batch that this call begins has it in its handle."""
    own: set[str] = field(default_factory=set)
    """Shards that no equal call had put there before: these are what this call's receipt has."""
    _questions: str = ""
    """A digest of the first portion's."""
    _seen: int = 0
    _has_put: bool = False
    _first: tuple[float, int] | None = None
    """When this call began to wait, and how much was done then."""
    _is_decided: bool = False
    _shown: float = float("-inf")

    async def begin(self, portion: Portion, total: int) -> Remaining | None:
        self._questions = self._questions or _digest(portion.keys.values())
        self._seen += len(portion.keys)
        judge = judge_name(portion.is_good)
        # The queue is for more questions than one process asks at once.
        can_go = total > self.queue.max_parallel and judge is not None and _can_travel(portion)
        if not self._is_decided and portion.missing:
            self._is_decided = True
            self.is_on = can_go and await self._starts(portion)
        if not self.is_on or judge is None or not can_go:
            return None
        await self._show()
        missing = {job.key: job for job in portion.missing}
        origin = await audit.hand_over(portion.missing)
        names: dict[str, list[str]] = {}
        every = list(portion.keys)
        for keys in (every[at : at + SHARD] for at in range(0, len(every), SHARD)):
            # Named by all its questions: what is known by now must not make another shard of it.
            name = _digest(portion.keys[key] for key in keys)
            if jobs := [missing[key] for key in keys if key in missing]:
                units = [Unit(job, portion.keys[job.key], portion.provider_of(job.model)) for job in jobs]
                shard = Shard(self.batch, name, units, judge, portion.plan.budget, origin)
                if not await self._puts(shard):
                    return None
                names[name] = [job.key for job in jobs]
        if self._seen >= total and self._has_put:
            await self._lasting(lambda: self.queue.complete(self.batch))
        return lambda: self._outcomes(names)

    async def _puts(self, shard: Shard) -> bool:
        """Say whether the shard is in the queue; the first one doesn't wait for Redis, others have to."""
        put = partial(self.queue.put, shard)
        try:
            is_own = await (self._lasting(put) if self._has_put else put())
        except outages() as error:
            self.is_on, self.problem = False, f"asked from this process: {_unusable(error)}"
            return False
        self._has_put = True
        if is_own:
            self.own.add(shard.name)
        return True

    async def _starts(self, portion: Portion) -> bool:
        """Join a batch, and return whether that was possible: there must be workers."""
        if self.queue.link is not None and self.queue.link.is_away:
            self.problem = f"asked from this process: {self.queue.link.problem}"
            return False
        try:
            await self.queue.open()
            if not await self.queue.has_workers():
                self.problem = (
                    "asked from this process: no `fanout worker` of this version and provider is running"
                )
                return False
            self.batch = await self.queue.join(audit.caller(), self._questions, self.name)
        except outages(SettingsError) as error:
            self.problem = f"asked from this process: {_unusable(error)}"
            return False
        self._shown = anyio.current_time()
        self.until = self._shown + portion.plan.deadline_s
        return True

    async def _lasting(self, work: Callable[[], Awaitable[T]]) -> T:
        try:
            return await through_outages(work, self.until)
        except outages() as error:
            raise StillRunning(f"Redis does not answer: {reason(error)}. {self._how()}") from None

    async def _show(self) -> None:
        now = anyio.current_time()
        if now - self._shown >= SHOWS_S:
            self._shown = now
            await self._lasting(lambda: self.queue.wait(self.batch, self.name))

    async def _outcomes(self, waiting: Mapping[str, Sequence[str]]) -> list[Outcome]:
        left, outcomes = dict(waiting), list[Outcome]()
        waits = looks(FIRST_LOOK_S, LAST_LOOK_S)
        while left:
            await self._show()
            counts, arrived = await self._lasting(lambda: self.queue.look(self.batch, list(left)))
            for name, done in arrived.items():
                by_key = {row[0]: row for row in done.rows}
                if name in self.own:
                    used = [row[2] for row in done.rows]
                    audit.charge(Usage(sum(one[0] for one in used), sum(one[1] for one in used), done.usd))
                # A shard of an equal call that began later has fewer questions: more were known by then.
                outcomes += [
                    self._counted(name, unpacked_outcome(by_key[key]))
                    if key in by_key
                    else Outcome(Job(key, NO_PROMPT), "cached")
                    for key in left.pop(name)
                ]
            if left and (counts is None or counts.state == "cancelled"):
                return outcomes + [_gone(key) for keys in left.values() for key in keys]
            if left and counts is not None:
                self._check_time(counts)
                await anyio.sleep(next(waits))
        return outcomes

    def _counted(self, name: str, outcome: Outcome) -> Outcome:
        if name in self.own:
            return outcome
        status = "cached" if outcome.status == "answered" else outcome.status
        return replace(outcome, status=status, calls=0, usage=Usage())

    def _check_time(self, counts: Counts) -> None:
        """Raise StillRunning once the batch can't end within the call's time."""
        now = anyio.current_time()
        since, before = self._first = self._first or (now, counts.done)
        rate = (counts.done - before) / (now - since) if now > since else 0.0
        is_slow = now - since >= EARLY_S and rate and (counts.total - counts.done) / rate > self.until - now
        if is_slow or now >= self.until:
            raise StillRunning(f"{counts.done:,} of {counts.total:,} are done. {self._how()}")

    def _how(self) -> str:
        if audit.who.get():  # a service's user has no shell for a handle
            return "The rest goes on: make the same call again; it joins it and pays for nothing twice."
        return (
            f"The rest goes on without this call: `fanout batch wait {self.batch}` waits for it, and the "
            "same call again joins it and pays for nothing twice."
        )

    async def leave(self, *, is_wanted: bool) -> None:
        is_cut = self.queue.link is not None and self.queue.link.is_leaving
        if self.batch:
            with suppress(*outages()):
                await self.queue.leave(self.batch, self.name, is_wanted=is_wanted or is_cut)


def _unusable(error: Exception) -> str:
    return f"the queue can't be used: {reason(error)}"


def _gone(key: str) -> Outcome:
    why_gone = "its batch was cancelled, or is no longer in Redis"
    return Outcome(Job(key, NO_PROMPT), "cut", reason=why_gone)


def judge_name(is_good: IsGood) -> str | None:
    name = f"{is_good.__module__}:{getattr(is_good, '__qualname__', '')}"
    return name if name in JUDGES else None


def _can_travel(portion: Portion) -> bool:
    """A folder that an agent reads is on this machine, and a client has this user's login."""
    from fanout_mcp.backends.providers import CLIENTS

    models = {job.model for job in portion.missing}
    return all(job.workspace is None for job in portion.missing) and not any(
        portion.provider_of(model) in CLIENTS for model in models
    )


def _digest(keys: Iterable[str]) -> str:
    return hashlib.sha256("\n".join(keys).encode()).hexdigest()[:32]
