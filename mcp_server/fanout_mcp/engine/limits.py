"""How many calls one provider, and one of its models, may have in flight, and when.

Wide open until something speaks against it: a limiter starts at its cap, because waiting for evidence costs
every call. The first 429 or 529 cuts it to 0.7 of what is in flight (at most every half second); each success
of a call that started after the cut raises it by one, which doubles it every round trip, until the next cut.
Evidence ages: FORGOTTEN_S after the last cut it is wide open again, so that one 429 of an idle hour ago does
not slow a panel of eight. Where calls by the dozen went through in the second before a 429, their number is
the rate that the provider lets through, and calls go out evenly at SHARE of it for as long as the evidence
counts: places alone would send a burst at the end of every cool-down. A Retry-After holds back every call to
that model, not only the one that got it, for MAX_WAIT_S at most: then one of them finds out whether it is
still true. A call that has not that much time fails at once and says why.

A limit is one model's: gateways serve hundreds, and what is exhausted is mostly the provider behind one of
them. The whole provider is held back when it says that the limit is the account's, or when two of its models
push back within TWO_WITHIN_S; then for no longer than both of them ask for.

A rate that the user's row gives a model is kept to by a meter, which may count for several processes at once;
they share the cool-downs as well. What is cut and grown by evidence is this process's own.

Fair between consultations: free places go by turns to the runs that wait, so a panel of three never queues
behind a review of five hundred.
"""

from __future__ import annotations

from collections import Counter, OrderedDict, deque
from collections.abc import Callable, Collection, Mapping
from typing import Final, NamedTuple, Protocol

import anyio

from fanout_mcp.engine.retry import MAX_WAIT_S
from fanout_mcp.errors import BackendError, PushedBack, RateLimited
from fanout_mcp.types import Answer, Ask, Job, Rate, Route

CUT = 0.7
CUT_EVERY_S = 0.5
FORGOTTEN_S = 60.0
"""Providers count by the minute: a limit from before that no longer holds."""
PROVEN = 10
"""Calls that went through in a second; from fewer no rate is derived."""
SHARE = 0.97
"""Of a rate, learned or given: what goes out evenly arrives a little bunched, and a provider counts that."""
STANDSTILL_S = 5.0
"""A cut limit grows by one whenever no place has become free for so long, although a call waits for one: else
one silent call could keep all others from being asked until their deadline."""
SAMPLES = 200
"""Calls remembered per provider: what a hedge's delay and its share are derived from."""
MAX_MODELS: Final = 1_000
"""Known at once, about: a service's users may name any, and those at rest are forgotten beyond that."""

TWO_WITHIN_S = 10.0

# --- rates --------------------------------------------------------------------------------------------------
# Rules:
# 1. A rate is kept by its debt (GCRA): a call that goes adds what it costs, in seconds of the rate, to the
#    time at which all that went before is paid off. The next one goes once the debt is below the burst.
# 2. A place is reserved AHEAD_S before its time at most, so that calls that are cancelled while they wait
#    waste no more of the rate than that.
# 3. A call's tokens are set aside at their most, and what it did not need is given back.
# 4. A place that was slept through is given up, once: a process that stood still would else send at once what
#    was to go evenly.

AHEAD_S: Final = 1.0
LATE_S: Final = 0.1
REQUESTS_BURST_S: Final = 0.01
TOKENS_BURST_S: Final = 5.0
"""How far calls may run ahead of an even pace, in seconds of the rate; a single call always may. Providers
count tokens by the minute, but requests often by the second."""


class Charge(NamedTuple):
    """What one call costs of one rate. All in seconds of that rate."""

    name: str
    cost: float
    slack: float
    """The debt that it may still go with."""


def charges(name: str, rate: Rate, tokens: int, replicas: int = 1) -> list[Charge]:
    """Return what a call costs of each limit that is known, where so many processes share the limits."""
    costs = [
        ("requests", 1, SHARE * rate.requests_per_second, REQUESTS_BURST_S),
        ("tokens", tokens, SHARE * rate.tokens_per_minute / 60, TOKENS_BURST_S),
    ]
    known = [(kind, replicas * amount / each, burst) for kind, amount, each, burst in costs if each]
    return [Charge(f"{kind}:{name}", cost, max(0.0, burst - cost)) for kind, cost, burst in known]


class Meter(Protocol):
    """Counts what goes to models, by their names."""

    async def reserve(self, name: str, whole: str, rate: Rate, tokens: int) -> float:
        """Return after how many seconds this call may go; above AHEAD_S nothing was reserved: ask again."""

    async def settle(self, name: str, rate: Rate, unused: int) -> None:
        """Give back tokens that were set aside and not used; below 0: more were used."""

    async def hold(self, name: str, seconds: float) -> None:
        """Let no process call a model, or a whole provider, for so long."""


class OwnMeter:
    """Counts this process alone. `replicas`: how many share the limits, of which it takes its part."""

    def __init__(self) -> None:
        self.replicas = 1
        self.due: dict[str, float] = {}
        """By charge: when all that went before is paid off."""

    async def reserve(self, name: str, whole: str, rate: Rate, tokens: int) -> float:  # noqa: ARG002 - the seam
        now = anyio.current_time()
        wanted = charges(name, rate, tokens, self.replicas)
        wait = max((self.due.get(one.name, 0.0) - one.slack - now for one in wanted), default=0.0)
        if wait <= AHEAD_S:
            self.owe({one.name: max(self.due.get(one.name, 0.0), now) + one.cost for one in wanted})
        return max(0.0, wait)

    def owe(self, due: Mapping[str, float]) -> None:
        self.due |= due
        if len(self.due) > MAX_MODELS:
            now = anyio.current_time()
            self.due = {name: till for name, till in self.due.items() if till > now}

    async def settle(self, name: str, rate: Rate, unused: int) -> None:
        for one in charges(name, rate._replace(requests_per_second=0), unused, self.replicas):
            self.due[one.name] = self.due.get(one.name, 0.0) - one.cost

    async def hold(self, name: str, seconds: float) -> None: ...  # its limiter knows


class Metered(NamedTuple):
    """What a limiter counts with, and under which names."""

    meter: Meter
    name: str
    whole: str
    rate: Rate


# --- places -------------------------------------------------------------------------------------------------


class Limiter:
    """The calls to one model, or to a whole provider. Times are the event loop's."""

    def __init__(self, cap: int, whole: Limiter | None = None, metered: Metered | None = None) -> None:
        """`whole`: the provider's own limiter, which every call to the model passes as well."""
        self.cap = cap
        self.whole = whole
        self.metered = metered
        self.pushers: dict[Limiter, float] = {}
        """Of a provider: until when each model that pushed back counts as one that does."""
        self.limit = float(cap)
        self.in_flight = 0
        self.cool_until = 0.0
        self.durations: deque[float] = deque(maxlen=SAMPLES)
        self.twins: deque[bool] = deque(maxlen=SAMPLES)
        """Of each of the latest calls, whether it was a hedge's twin."""
        self._cut_at: float | None = None
        self._moved_at = 0.0
        """When a place was taken or became free last."""
        self._waiting: OrderedDict[int, deque[anyio.Event]] = OrderedDict()
        self._sent: deque[float] = deque(maxlen=SAMPLES)
        """When the latest calls went out that were not refused."""
        self._gap_s = self._next_at = 0.0
        """The learned rate: seconds between two calls, and when the next one may go."""
        self._gate = anyio.Lock()

    async def acquire(self, run: int, deadline: float, tokens: int | None = None) -> float:
        """Take one place for the run with this number, to be released; wait for its turn and the cool-down.

        `tokens`: the most that its call may use; None: what is done there keeps to the rate by itself.
        Returns the time. Raises RateLimited when the cool-down or the rate outlasts the deadline.
        """
        self._check(deadline)
        await self.take_turn(run)
        try:
            if self.whole is not None:
                await self.whole.take_turn(run)
        except BaseException:
            self.leave_place()
            raise
        try:
            await self._cool_down(deadline)
            return anyio.current_time() if tokens is None else await self.pace(deadline, tokens)
        except BaseException:
            self.release()
            raise

    async def pace(self, deadline: float, tokens: int) -> float:
        """Wait until the given and the learned rate let a call go; return the time. Raises RateLimited."""
        if self.metered is not None:
            await self._reserve(self.metered, deadline, tokens)
            await self._cool_down(deadline)  # it may have begun meanwhile
        if self._gap_s:
            await self._go_evenly(deadline)
        now = anyio.current_time()
        self._sent.append(now)
        return now

    async def learn(self, began: float, tokens: int, result: Answer | BackendError) -> None:
        """Take note of what became of a call that `pace` let go at `began`."""
        if self.metered is not None and not result.usage.is_partial:
            unused = tokens - result.usage.total_tokens
            await self.metered.meter.settle(self.metered.name, self.metered.rate, unused)
        is_refused = isinstance(result, PushedBack) and result.retry_after
        is_given = self.metered is not None and self.metered.rate.requests_per_second
        if not is_refused or is_given or began not in self._sent:
            return
        self._sent.remove(began)
        passed = sum(began - 1 < sent <= began for sent in self._sent)
        if passed >= PROVEN:
            self._gap_s = 1 / (SHARE * passed)

    async def _go_evenly(self, deadline: float) -> None:
        async with self._gate:
            await anyio.sleep_until(self._next_at)
            await self._cool_down(deadline)
            now = anyio.current_time()
            # A timer is late by a little: the next one is not, else the rate would never be reached.
            self._next_at = self._gap_s + (self._next_at if now - self._next_at < self._gap_s else now)

    async def _cool_down(self, deadline: float) -> None:
        while anyio.current_time() < self._cool_until:
            self._check(deadline)
            await anyio.sleep_until(self._cool_until)

    async def _reserve(self, metered: Metered, deadline: float, tokens: int) -> None:
        is_late = False
        while True:
            wait = await metered.meter.reserve(metered.name, metered.whole, metered.rate, tokens)
            at = anyio.current_time() + wait
            if at > deadline:
                raise RateLimited(
                    f"not asked: the limit of {metered.name} has no room for another {wait:.0f} s, longer "
                    "than this can wait"
                )
            if wait > AHEAD_S:
                await anyio.sleep_until(at - AHEAD_S / 2)
                continue
            await anyio.sleep_until(at)
            if is_late or anyio.current_time() <= at + LATE_S:
                return
            is_late = True  # rule 4

    async def share_cool_down(self) -> None:
        """Report the cool-downs of the model and its provider to the processes that share the limits."""
        if self.metered is None:
            return
        now = anyio.current_time()
        for name, limiter in ((self.metered.name, self), (self.metered.whole, self.whole or self)):
            if limiter.cool_until > now:
                await self.metered.meter.hold(name, limiter.cool_until - now)

    @property
    def _cool_until(self) -> float:
        return self.cool_until if self.whole is None else max(self.cool_until, self.whole.cool_until)

    @property
    def is_at_rest(self) -> bool:
        """Whether a new limiter would do the same."""
        now = anyio.current_time()
        is_cut = self._cut_at is not None and now - self._cut_at < FORGOTTEN_S
        return not (is_cut or self.cool_until > now or self.in_flight or self._waiting)

    def _check(self, deadline: float) -> None:
        if self._cool_until > deadline:
            left = self._cool_until - anyio.current_time()
            which = "provider" if self._cool_until > self.cool_until else "model"
            raise RateLimited(
                f"not asked: the {which} wants no calls for another {left:.0f} s, longer than this can wait"
            )

    def release(self) -> None:
        self.leave_place()
        if self.whole is not None:
            self.whole.leave_place()

    def resize(self, cap: int) -> None:
        """Take another cap; what is in flight beyond it stays."""
        self.cap = cap
        self.limit = float(cap) if self._cut_at is None else min(self.limit, float(cap))
        self._serve()

    def leave_place(self) -> None:
        self.in_flight -= 1
        self._moved_at = anyio.current_time()
        self._serve()

    def succeeded(self, started: float, ended: float) -> None:
        self.durations.append(ended - started)
        if self.whole is not None:
            self.whole.succeeded(started, ended)
        if self._cut_at is not None and started >= self._cut_at:
            self.limit = min(float(self.cap), self.limit + 1)
            self._serve()

    def pushed_back(self, retry_after: float | None, *, for_all_models: bool = False) -> None:
        """Take note of a 429 or 529. `retry_after` in seconds, None when the provider did not say."""
        now = anyio.current_time()
        if self.whole is not None:
            recent = {one: until for one, until in self.whole.pushers.items() if until > now}
            others = [one for one in recent if one is not self]
            self.whole.pushers = {**recent, self: now + max(TWO_WITHIN_S, retry_after or 0.0)}
            if for_all_models:
                self.whole.pushed_back(retry_after)
            elif others:  # only as long as both ask for: one model's long wait may be its own
                theirs = max(one.cool_until for one in others) - now
                self.whole.pushed_back(None if retry_after is None else max(0.0, min(retry_after, theirs)))
        if retry_after is not None:
            self.cool_until = max(self.cool_until, now + min(retry_after, MAX_WAIT_S))
        if self._cut_at is None or now - self._cut_at >= CUT_EVERY_S:
            self.limit = max(1.0, min(self.limit, self.in_flight) * CUT)
            self._cut_at = now

    @property
    def waiting(self) -> int:
        return sum(len(turns) for turns in self._waiting.values())

    async def take_turn(self, run: int) -> None:
        if self._cut_at is not None and anyio.current_time() - self._cut_at >= FORGOTTEN_S:
            self.limit, self._cut_at, self._gap_s = float(self.cap), None, 0.0
            self._serve()
        if self.in_flight < int(self.limit) and not self._waiting:
            self.in_flight += 1
            return
        turn = anyio.Event()
        self._moved_at = max(self._moved_at, anyio.current_time() if not self._waiting else 0.0)
        self._waiting.setdefault(run, deque()).append(turn)
        try:
            while not turn.is_set():
                with anyio.move_on_at(self._moved_at + STANDSTILL_S):
                    await turn.wait()
                self._open_after_standstill()
        except BaseException:
            if turn.is_set():  # served and cancelled at once: pass the place on
                self.leave_place()
            else:
                self._waiting[run].remove(turn)
                if not self._waiting[run]:
                    del self._waiting[run]
            raise

    def _open_after_standstill(self) -> None:
        """Add a place where none has become free for so long: what holds them may never answer."""
        now = anyio.current_time()
        if now < self._moved_at + STANDSTILL_S:
            return
        self._moved_at = now
        if self._waiting and self.limit < self.cap:
            self.limit = min(float(self.cap), self.limit + 1)
            self._serve()

    def _serve(self) -> None:
        """Give free places to the runs that wait, one each by turns."""
        while self._waiting and self.in_flight < int(self.limit):
            run, turns = self._waiting.popitem(last=False)
            turn = turns.popleft()
            if turns:
                self._waiting[run] = turns
            self.in_flight += 1
            self._moved_at = anyio.current_time()
            turn.set()


def most_tokens(job: Job) -> int:
    return job.prompt.tokens + job.max_tokens


class Limits:
    """Limiters by provider and model, shared by all tool calls of a process."""

    def __init__(
        self,
        max_parallel: int,
        caps: Mapping[str, Callable[[], int]] | None = None,
        route: Callable[[str | None], Route] | None = None,
        *,
        shared: Meter | None = None,
    ) -> None:
        """`caps`: how many calls providers take that run on this machine, asked again for each call.

        `route`: whose a model is, the models to ask in its place, of its own provider and of others, and what
        is allowed of it; None where one provider has all. `shared`: counts for several processes.
        """
        self._max_parallel = max_parallel
        self._caps = dict(caps or {})
        self.route = route or (lambda _: Route(""))
        self._shared, self._own = shared, OwnMeter()
        self._wholes: dict[str, Limiter] = {}
        self._limiters: dict[tuple[str, str | None], Limiter] = {}

    def of(self, model: str | None = None) -> Limiter:
        provider = self.route(model).provider
        whole = self.whole(provider)
        found = self._limiters.get((provider, model))
        if found is None:
            if len(self._limiters) >= MAX_MODELS:
                self._limiters = {at: one for at, one in self._limiters.items() if not one.is_at_rest}
            metered = self._metered(provider, model)
            found = self._limiters[provider, model] = Limiter(self._max_parallel, whole, metered)
        return found

    def paced(self, ask: Ask) -> Ask:
        """Wrap an `Ask` so that its real calls keep to the rates."""

        async def asked(job: Job, /) -> Answer:
            limiter, tokens = self.of(job.model), most_tokens(job)
            began = await limiter.pace(float("inf"), tokens)
            try:
                answer = await ask(job)
            except BackendError as error:
                await limiter.learn(began, tokens, error)
                raise
            await limiter.learn(began, tokens, answer)
            return answer

        return asked

    def _metered(self, provider: str, model: str | None) -> Metered | None:
        rate = self.route(model).rate
        if provider in self._caps or (self._shared is None and rate == Rate()):
            return None  # a client on this machine has its user's own login
        return Metered(self._shared or self._own, f"{provider}/{model or 'default'}", provider, rate)

    def workers(self, models: Collection[str | None]) -> int:
        """Return how many workers can be busy at once, so that none's wait keeps another's calls out."""
        return sum(self.whole(provider).cap for provider in {self.route(model).provider for model in models})

    def whole(self, provider: str) -> Limiter:
        found = self._wholes.setdefault(provider, Limiter(self._max_parallel))
        if (cap := self._caps.get(provider)) is not None:
            found.resize(min(self._max_parallel, cap()))
        return found

    def now(self) -> dict[str, tuple[int, int, int]]:
        """Return by provider: calls in flight, calls that wait for a place, and the places that there are."""
        waiting = Counter({name: whole.waiting for name, whole in self._wholes.items()})
        for (name, _), one in self._limiters.items():
            waiting[name] += one.waiting
        return {
            name: (whole.in_flight, waiting[name], int(whole.limit)) for name, whole in self._wholes.items()
        }
