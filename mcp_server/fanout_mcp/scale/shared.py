"""What processes and machines share through one Redis: answers, provider limits, cool-downs and dollars.

Theory of operation. One `Link` a process asks Redis from threads, each time one command or one script, so
that whatever belongs together is done at once, by Redis' own clock. Its keeper thread reports every BEAT_S
that the process is there, which also says how many replicas there are. Above it are three seams: a `Meter`
for the engine's limiters, a `Cache` for the journal, and the sums of dollars for the service and the policy.

Rules:
1. Redis may be away, or hang: a call waits for it CONNECT_S + REPLY_S at most, and once. After the first
   failure no call asks again until the keeper has reached it.
2. Meanwhile everything goes on: answers are those of the local cache, which has a copy of each answer that
   was asked for here; limits and dollars are this replica's share, by the replicas seen last. What was spent
   meanwhile is added as soon as Redis is back; a change has a key there, so that one whose reply was lost
   counts once.
3. Answers are sealed as in the local cache, with the user's secret (`cache.key`): who may write to Redis can
   take them away, but not change them. Limits and dollars are plain numbers.
4. JSON, no pickle; no key, no question and no password is in any name or message.
"""

from __future__ import annotations

import contextlib
import logging
import secrets
import threading
import time
from collections.abc import AsyncIterator, Callable, Iterable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final, TypeVar
from urllib.parse import quote, urlsplit

import anyio
import anyio.to_thread

from fanout_mcp.backends.providers import barred_host
from fanout_mcp.engine.limits import AHEAD_S, MAX_MODELS, OwnMeter, charges
from fanout_mcp.errors import SettingsError
from fanout_mcp.state import cache
from fanout_mcp.state.cache import Cache, Claimed, open_cache
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Answer, Json, Rate

if TYPE_CHECKING:
    from redis import Redis

log = logging.getLogger("fanout")
T = TypeVar("T")

PREFIX: Final = "fanout:"
CONNECT_S: Final = 0.06
REPLY_S: Final = 0.14
"""Redis answers in well under a millisecond, in another zone of a data centre in two; but its machine may be
busy, and both together are what a call may lose."""
BEAT_S: Final = 2.0
RETRY_S: Final = 0.5
BACK_S: Final = 1.0
"""From the first replica that finds Redis back to the moment when all use it: the others look meanwhile."""
SEEN_S: Final = 60
"""A replica counts for so long after its last beat."""
THREADS: Final = 8
MAX_CONNECTIONS: Final = 512
"""More than there can be concurrent callers: redis-py refuses what is beyond, as if Redis were away."""
ANSWER_KEPT_S: Final = 7 * 86_400
SUM_KEPT_S: Final = 40 * 86_400
"""A month's dollars, and some days."""
CHANGE_KEPT_S: Final = 600
"""An outage may be so long for a change whose reply it took to be counted once for sure."""

# --- scripts ------------------------------------------------------------------------------------------------
# Each is one step for all replicas, and takes Redis' time.

NOW: Final = "local t = redis.call('TIME'); local now = t[1] + t[2] / 1e6; "

RESERVE: Final = (
    NOW
    + """
local held, due = 0, {}
for i = 1, 2 do held = math.max(held, tonumber(redis.call('GET', KEYS[i]) or '0')) end
local wait = held - now
for i = 3, #KEYS do
  local debt = now + ARGV[3 * i - 5]
  due[i] = math.max(tonumber(redis.call('GET', KEYS[i]) or '0'), debt)
  wait = math.max(wait, due[i] - ARGV[3 * i - 6] - now)
end
if wait <= tonumber(ARGV[1]) then
  for i = 3, #KEYS do
    local till = math.max(due[i], held, now) + ARGV[3 * i - 7]
    redis.call('SET', KEYS[i], string.format('%.6f', till), 'EX', math.ceil(till - now) + 60)
  end
end
return string.format('%.6f', wait)
"""
)
"""KEYS: cool-downs of model and provider, then the debt of each rate. ARGV: how far ahead, then of each rate
cost, slack and the least debt. Its counterpart for one process is engine/limits.py's OwnMeter."""

SETTLE: Final = """
local due = redis.call('GET', KEYS[1])
if due then redis.call('SET', KEYS[1], string.format('%.6f', due - ARGV[1]), 'KEEPTTL') end
return 1
"""

HOLD: Final = (
    NOW
    + """
local till = now + ARGV[1]
if till > tonumber(redis.call('GET', KEYS[1]) or '0') then
  redis.call('SET', KEYS[1], string.format('%.6f', till), 'EX', math.ceil(ARGV[1]) + 1)
end
return 1
"""
)

CLAIM: Final = """
local value = redis.call('GET', KEYS[1])
if value then return value end
if redis.call('SET', KEYS[2], ARGV[1], 'NX', 'PX', ARGV[2]) then return 1 end
return 0
"""

KEEP: Final = """
redis.call('SET', KEYS[1], ARGV[2], 'EX', ARGV[3])
if redis.call('GET', KEYS[2]) == ARGV[1] then redis.call('DEL', KEYS[2]) end
return 1
"""

RELEASE: Final = """
for _, key in ipairs(KEYS) do
  if redis.call('GET', key) == ARGV[1] then redis.call('DEL', key) end
end
return 1
"""

RENEW: Final = """
for _, key in ipairs(KEYS) do
  local owner = redis.call('GET', key)
  if not owner or owner == ARGV[1] then redis.call('SET', key, ARGV[1], 'PX', ARGV[2]) end
end
return 1
"""
"""A lease that is gone was lost with Redis' memory: it is taken again, unless another process was first."""

TAKE: Final = """
local totals, taken = {}, redis.call('EXISTS', KEYS[1]) == 1
for i = 2, #KEYS do
  local usd, known, cap = ARGV[3 * i - 3], ARGV[3 * i - 2], tonumber(ARGV[3 * i - 1])
  local sum = tonumber(redis.call('GET', KEYS[i]) or known)
  totals[i - 1] = string.format('%.9f', taken and sum or sum + usd)
  if not taken and sum + usd > cap then return {i - 1, string.format('%.9f', sum)} end
end
if not taken then
  for i = 2, #KEYS do redis.call('SET', KEYS[i], totals[i - 1], 'EX', ARGV[1]) end
  redis.call('SET', KEYS[1], 1, 'EX', ARGV[2])
end
return {0, unpack(totals)}
"""
"""KEYS: the change's own, then the sums. A change whose reply was lost comes again, and counts once. ARGV:
how long sums and changes are kept, then of each sum dollars, what it was last (for a Redis that lost it) and
its cap."""

BEAT: Final = (
    NOW
    + """
redis.call('ZADD', KEYS[1], now, ARGV[1])
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', now - ARGV[2])
local left = 0
if ARGV[3] == '1' then
  redis.call('SET', KEYS[2], string.format('%.6f', now + ARGV[4]), 'NX', 'EX', 5)
  left = redis.call('GET', KEYS[2]) - now
end
return {redis.call('ZCARD', KEYS[1]), string.format('%.6f', left)}
"""
)
"""ARGV: who, for how long it counts, whether it was away, and after how long all go back to Redis at once:
one that used the whole rate already, beside another that still takes its share, would pass the limit."""


# --- link ---------------------------------------------------------------------------------------------------


class Away(Exception):
    """Redis can't be asked now."""


def shown(url: str) -> str:
    """Return where a URL leads, without user and password."""
    parts = urlsplit(url)
    return f"{parts.scheme}://{parts.netloc.rpartition('@')[2]}{parts.path}"


def check(url: str) -> None:
    """Raise SettingsError where Redis' client is missing, or the policy lets nothing be sent to this Redis.

    Judged by what the client makes of the URL: its own reading unquotes a host, and has a port in the query.
    """
    try:
        from redis import ConnectionPool
    except ImportError as error:
        raise SettingsError(
            "A Redis is set (FANOUT_REDIS_URL or redis_url in config.toml), but its client is not "
            "installed: pip install '.[scale]' in fanout's clone."
        ) from error
    try:
        opened = ConnectionPool.from_url(url).connection_kwargs
    except ValueError:  # its own text may have the password
        raise SettingsError(f"The Redis URL {shown(url)} can't be used: redis://HOST:PORT/0.") from None
    host = str(opened.get("host", "localhost"))
    named = f"[{host}]" if ":" in host else quote(host, safe="")
    if barred := barred_host(f"redis://{named}:{opened.get('port', 6379)}"):
        raise SettingsError(f"The Redis {shown(url)} can't be used: {barred}.")


class Link:
    """One process's way to Redis. Its methods may block for CONNECT_S + REPLY_S: call them from threads."""

    def __init__(self, url: str) -> None:
        """Raise SettingsError, as `check`."""
        check(url)
        from redis import Redis, RedisError
        from redis.backoff import NoBackoff
        from redis.retry import Retry

        self._url, self.where = url, shown(url)
        self.replicas = 1
        """Processes that were there in the last minute, this one included."""
        self.outages = 0
        self.problem = ""
        """What a receipt says of an outage, empty while there was none; the address is for the log alone."""
        self.is_away = False
        self.is_leaving = False
        """The process ends before its calls do: what they wait for goes on without them."""
        self.on_beat: list[Callable[[], object]] = []
        self._errors: tuple[type[Exception], ...] = (RedisError, OSError, SettingsError)
        self._id = secrets.token_hex(8)
        self._lock = threading.Lock()
        self._closing = threading.Event()
        self._hurry = threading.Event()
        self._keeper = threading.Thread(target=self._keep, name="fanout redis", daemon=True)
        self._redis: Redis = Redis.from_url(
            url,
            socket_connect_timeout=CONNECT_S,
            socket_timeout=REPLY_S,
            retry=Retry(NoBackoff(), 0),  # a second try would wait as long again
            max_connections=MAX_CONNECTIONS,
        )

    def start(self) -> None:
        self._beat()
        self._keeper.start()

    def ask(self, work: Callable[[Redis], T]) -> T:
        """Return what Redis answers. Raises Away."""
        if self.is_away:
            raise Away
        try:
            return work(self._redis)
        except self._errors as error:
            self._lose(error)
            raise Away from None

    def run(self, script: str, keys: Sequence[str], *values: str | bytes | float) -> Json:
        """Run a script on names, to which our prefix is put. Raises Away."""
        names = [PREFIX + key for key in keys]
        return self.ask(lambda redis: redis.register_script(script)(names, values))

    def hurry(self) -> None:
        """Have the keeper report now; one that Redis is away from waits for its time."""
        if not self.is_away:
            self._hurry.set()

    def close(self) -> None:
        """End the keeper, after one last report."""
        self._closing.set()
        self._hurry.set()
        if self._keeper.is_alive():
            self._keeper.join()
            self._beat()
        with contextlib.suppress(Away):
            self.ask(lambda redis: redis.zrem(f"{PREFIX}replicas", self._id))
        self._redis.close()

    def _keep(self) -> None:
        while True:
            self._hurry.wait(RETRY_S if self.is_away else BEAT_S)
            self._hurry.clear()
            if self._closing.is_set():
                return
            self._beat()

    def _beat(self) -> None:
        """Report that we are there; this alone finds out that Redis is back."""
        keys = [f"{PREFIX}replicas", f"{PREFIX}back"]
        values = (self._id, SEEN_S, int(self.is_away), BACK_S)
        try:
            check(self._url)  # the policy may have changed
            count, left = self._redis.register_script(BEAT)(keys, values)
        except self._errors as error:
            self._lose(error)
            return
        # A Redis that began again does not know the others yet.
        self.replicas = max(self.replicas, int(count)) if self.is_away else int(count)
        if self.is_away:
            self._closing.wait(max(0.0, float(left)))
        with self._lock:
            was_away, self.is_away = self.is_away, False
        if was_away:
            log.warning("Redis at %s is back: limits and answers are shared again", self.where)
        for work in self.on_beat:
            with contextlib.suppress(Away):
                work()

    def _lose(self, error: Exception) -> None:
        with self._lock:
            if self.is_away:
                return
            self.is_away = True
            self.outages += 1
            self.problem = "went on without the shared Redis for a while"
        log.warning(
            "Redis at %s is away (%s): calls go on, with limits at 1/%d and answers of this machine",
            *(self.where, error, self.replicas),
        )


# --- limits -------------------------------------------------------------------------------------------------


class SharedMeter:
    """A Meter (engine/limits.py) that counts for all replicas."""

    def __init__(self, link: Link) -> None:
        self.waited_s = 0.0
        self._link, self._own = link, OwnMeter()
        # Each of the two goes on with the other's debts: what still waits for its time would else go out
        # beside a full rate.
        self._moved: dict[str, int] = {}
        """By model: the outage after which Redis got our debts."""
        self._threads = anyio.CapacityLimiter(THREADS)

    async def reserve(self, name: str, whole: str, rate: Rate, tokens: int) -> float:
        wanted = charges(name, rate, tokens)
        keys = [f"hold:{name}", f"hold:{whole}", *(f"due:{one.name}" for one in wanted)]
        outages, now = self._link.outages, anyio.current_time()
        due = self._own.due if self._moved.get(name) != outages else {}
        own = [due.get(one.name, 0.0) - now for one in wanted]
        # Others may still have calls that wait for their time up to AHEAD_S from now.
        debts = [max(debt, AHEAD_S) if debt > 0 else 0.0 for debt in own]
        values = [
            figure for one, debt in zip(wanted, debts, strict=True) for figure in (one.cost, one.slack, debt)
        ]
        try:
            wait = max(0.0, float(await self._run(RESERVE, keys, AHEAD_S, *values)))
        except Away:
            self._own.replicas = self._link.replicas
            wait = await self._own.reserve(name, whole, rate, tokens)
        else:
            if len(self._moved) >= MAX_MODELS:
                self._moved.clear()
            self._moved[name] = outages
            if wait <= AHEAD_S:
                self._own.owe({one.name: now + wait for one in wanted})
        self.waited_s += wait if wait <= AHEAD_S else wait - AHEAD_S / 2
        return wait

    async def settle(self, name: str, rate: Rate, unused: int) -> None:
        for one in charges(name, rate._replace(requests_per_second=0), unused):
            try:
                await self._run(SETTLE, [f"due:{one.name}"], one.cost)
            except Away:
                await self._own.settle(name, rate, unused)

    async def hold(self, name: str, seconds: float) -> None:
        with contextlib.suppress(Away):  # this process's own limiter knows already
            await self._run(HOLD, [f"hold:{name}"], seconds)

    async def _run(self, script: str, keys: Sequence[str], *values: float) -> Json:
        if self._link.is_away:
            raise Away
        work = partial(self._link.run, script, keys, *values)
        return await anyio.to_thread.run_sync(work, abandon_on_cancel=True, limiter=self._threads)


# --- dollars ------------------------------------------------------------------------------------------------


class Dollars:
    """Sums by name, such as a user's of a day; of this process alone where there is no link.

    `add` never waits: the link's keeper reports it. `take` decides, so it asks Redis itself.
    """

    def __init__(self, link: Link | None = None) -> None:
        self._link = link
        self._lock = threading.RLock()
        self._today = ""
        self._known: dict[str, float] = {}
        """The sums as Redis had them last."""
        self._own: dict[str, dict[str, float]] = {}
        """Changes that Redis may not have yet, by their key; under "" those that were never sent."""
        if link is not None:
            link.on_beat.append(self._report)

    async def take(self, caps: Mapping[str, float], usd: float) -> tuple[str, float] | None:
        """Set dollars aside under each name; where that would pass a cap, return its name and its sum."""
        self._forget()
        if self._link is None or self._link.is_away:
            return self._take_alone(caps, usd, "")
        return await anyio.to_thread.run_sync(self._take_together, caps, usd)

    def _take_together(self, caps: Mapping[str, float], usd: float) -> tuple[str, float] | None:
        change = ""
        with contextlib.suppress(Away):
            self._report()
            change = secrets.token_hex(8)
            return self._change(change, dict.fromkeys(caps, usd), caps)
        return self._take_alone(caps, usd, change)

    def _forget(self) -> None:
        """Forget the sums of days and months that are over, which their names end with (audit.sum_of)."""
        today = time.strftime("%Y-%m-%d", time.gmtime())
        if today == self._today:
            return
        with self._lock:
            self._today = today
            for sums in (self._known, *(self._own.values() if self._link is None else ())):
                for name in list(sums):
                    day = name.rpartition(":")[2]
                    if day[:4].isdecimal() and not today.startswith(day):
                        del sums[name]

    def add(self, names: Iterable[str], usd: float) -> None:
        """Add dollars, or give them back (below 0)."""
        self._note("", names, usd)
        if self._link is not None:
            self._link.hurry()

    def _change(
        self, change: str, sums: Mapping[str, float], caps: Mapping[str, float]
    ) -> tuple[str, float] | None:
        """Add to sums in Redis, all or none, and once. Raises Away."""
        if self._link is None:
            raise Away
        values: list[str | float] = []
        for name, usd in sums.items():
            values += [f"{usd:.9f}", self._known.get(name, 0.0), min(caps.get(name, 1e15), 1e15)]
        keys = [f"change:{change}", *(f"usd:{name}" for name in sums)]
        refused, *totals = self._link.run(TAKE, keys, SUM_KEPT_S, CHANGE_KEPT_S, *values)
        if refused:
            return list(sums)[refused - 1], float(totals[0])
        with self._lock:
            self._known |= {name: float(each) for name, each in zip(sums, totals, strict=True)}
        return None

    def _take_alone(self, caps: Mapping[str, float], usd: float, change: str) -> tuple[str, float] | None:
        """Take from this replica's share of what was left when Redis was asked last."""
        replicas = self._link.replicas if self._link is not None else 1
        with self._lock:
            for name, cap in caps.items():
                known = self._known.get(name, 0.0)
                own = sum(sums.get(name, 0.0) for sums in self._own.values())
                if own + usd > (cap - known) / replicas:
                    if change:  # Redis may have taken it: once for sure, and then back
                        self._note(change, caps, usd)
                        self._note("", caps, -usd)
                    return name, known + own * replicas
            self._note(change, caps, usd)
        return None

    def _note(self, change: str, names: Iterable[str], usd: float) -> None:
        with self._lock:
            sums = self._own.setdefault(change, {})
            for name in names:
                sums[name] = sums.get(name, 0.0) + usd

    def _report(self) -> None:
        """Add to Redis what it may not have yet. Raises Away."""
        with self._lock:
            if unsent := self._own.pop("", None):
                self._own[secrets.token_hex(8)] = unsent
            changes = list(self._own.items())
        for change, sums in changes:
            self._change(change, sums, {})
            with self._lock:
                self._own.pop(change, None)


# --- answers ------------------------------------------------------------------------------------------------


class SharedCache(Cache):
    """The local cache with Redis before it: the first process to ask pays, on any machine."""

    def __init__(self, link: Link, *local: Any) -> None:
        super().__init__(*local)
        self.link = link
        self._late: set[str] = set()
        """Answers kept while Redis was away."""

    @property
    def is_away(self) -> bool:
        return self.link.is_away

    def known(self, keys: Sequence[str]) -> dict[str, Answer]:
        found: dict[str, Answer] = {}
        for start in range(0, len(keys), 500):
            found |= self._fetched(keys[start : start + 500])
        rest = [key for key in keys if key not in found]
        return found | super().known(rest) if rest else found

    def _fetched(self, keys: Sequence[str]) -> dict[str, Answer]:
        names = [f"{PREFIX}answer:{key}" for key in keys]
        try:
            values = self._linked().ask(lambda redis: redis.mget(names))
        except Away:
            self._note()
            return {}
        opened = {key: self._opened(key, value) for key, value in zip(keys, values, strict=True)}
        return {key: answer for key, answer in opened.items() if answer is not None}

    def claim(self, key: str) -> Claimed:
        try:
            reply = self._linked().run(CLAIM, self._names(key), self._owner, _ms(cache.LEASE_S))
            if isinstance(reply, bytes):
                if (answer := self._opened(key, reply)) is not None:
                    return answer
                self._linked().ask(lambda redis: redis.delete(PREFIX + self._names(key)[0]))  # not ours
                return "theirs"  # for this look: the next one claims it
        except Away:
            self._note()
            return super().claim(key)
        if not reply:
            return "theirs"
        self._held.add(key)
        self._renew()
        claimed = super().claim(key)  # here too, for neighbours that find Redis away meanwhile
        if claimed == "theirs":
            self.release(key)
        elif claimed != "mine":  # from a time without Redis
            self.keep(key, claimed)
        return claimed

    def keep(self, key: str, answer: Answer) -> bool:
        super().keep(key, answer)
        try:
            values = (self._owner, self._sealed(key, answer), ANSWER_KEPT_S)
            self._linked().run(KEEP, self._names(key), *values)
        except Away:
            self._late.add(key)
            self._renew()
            self._note()
            return False
        return True

    def release(self, key: str) -> None:
        super().release(key)
        with contextlib.suppress(Away):
            self._linked().run(RELEASE, self._names(key)[1:], self._owner)

    def _extend(self) -> None:
        super()._extend()
        self._bring_late()
        if leases := [self._names(key)[1] for key in self._held.copy()]:
            with contextlib.suppress(Away):
                self._linked().run(RENEW, leases, self._owner, _ms(cache.LEASE_S))

    def _bring_late(self) -> None:
        if self.link.is_away or not self._late:
            return
        late, self._late = self._late, set()
        for key, answer in super().known(list(late)).items():
            self.keep(key, answer)

    def close(self) -> None:
        self._bring_late()
        for key in self._held.copy():
            self.release(key)
        super().close()

    def _linked(self) -> Link:
        if not self._secret:  # without one there is no seal
            raise Away
        return self.link

    def _note(self) -> None:
        self.problem = self.problem or self.link.problem

    @staticmethod
    def _names(key: str) -> list[str]:
        return [f"answer:{key}", f"lease:{key}"]


def _ms(seconds: float) -> int:
    return int(1000 * seconds)


# --- all of it ----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Shared:
    """What the edge hands down: one a process."""

    link: Link
    meter: SharedMeter
    dollars: Dollars

    def open_cache(self, folder: Path, config_folder: Path) -> Cache:
        return open_cache(folder, config_folder, partial(SharedCache, self.link))

    def figures(self) -> dict[str, float]:
        """As /metrics shows them."""
        return {
            "fanout_redis_up": not self.link.is_away,
            "fanout_redis_outages_total": self.link.outages,
            "fanout_replicas": self.link.replicas,
            "fanout_limiter_wait_seconds_total": self.meter.waited_s,
        }


@asynccontextmanager
async def open_shared(settings: Settings) -> AsyncIterator[Shared]:
    """Yield what is shared through the user's Redis. Raises SettingsError, never for a Redis that is away."""
    link = await anyio.to_thread.run_sync(Link, settings.redis_url or "")
    shared = Shared(link, SharedMeter(link), Dollars(link))
    try:
        await anyio.to_thread.run_sync(link.start)
        yield shared
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(link.close)
