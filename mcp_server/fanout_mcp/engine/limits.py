"""How many calls one provider, and one of its models, may have in flight, and when.

Wide open until something speaks against it: a limiter starts at its cap, because waiting for evidence costs
every call. The first 429 or 529 cuts it to 0.7 of what is in flight (at most every half second); each
success of a call that started after the cut raises it by one, which doubles it every round trip, until the
next cut. Evidence ages: FORGOTTEN_S after the last cut it is wide open again, so that one 429 of an idle hour
ago does not slow a panel of eight. A Retry-After holds back every call to that model, not only the one
that got it, for MAX_WAIT_S at most: then one of them finds out whether it is still true. A call that has
not that much time fails at once and says why.

A limit is one model's: gateways serve hundreds, and what is exhausted is mostly the provider behind one of
them. The whole provider is held back when it says that the limit is the account's, or when two of its models
push back within TWO_WITHIN_S; then for no longer than both of them ask for.

Fair between consultations: free places go by turns to the runs that wait, so a panel of three
never queues behind a review of five hundred.
"""

from __future__ import annotations

from collections import OrderedDict, deque
from collections.abc import Callable, Collection, Mapping

import anyio

from fanout_mcp.engine.retry import MAX_WAIT_S
from fanout_mcp.errors import RateLimited

CUT = 0.7
CUT_EVERY_S = 0.5
FORGOTTEN_S = 60.0
"""Providers count by the minute: a limit from before that no longer holds."""
STANDSTILL_S = 5.0
"""A cut limit grows by one whenever no place has become free for so long, although a call waits for one: else
one silent call could keep all others from being asked until their deadline."""
SAMPLES = 200
"""Calls remembered per provider: what a hedge's delay and its share are derived from."""


TWO_WITHIN_S = 10.0
Models = tuple[str, ...]


class Limiter:
    """The calls to one model, or to a whole provider. Times are the event loop's."""

    def __init__(self, cap: int, whole: Limiter | None = None) -> None:
        """`whole`: the provider's own limiter, which every call to the model passes as well."""
        self.cap = cap
        self.whole = whole
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

    async def acquire(self, run: int, deadline: float) -> float:
        """Take one place for the run with this number, to be released; wait for its turn and the cool-down.

        Returns the time. Raises RateLimited when the cool-down outlasts the deadline.
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
            while (now := anyio.current_time()) < self._cool_until:
                self._check(deadline)
                await anyio.sleep_until(self._cool_until)
        except BaseException:
            self.release()
            raise
        return now

    @property
    def _cool_until(self) -> float:
        return self.cool_until if self.whole is None else max(self.cool_until, self.whole.cool_until)

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
            others = [one for one, until in self.whole.pushers.items() if one is not self and until > now]
            self.whole.pushers[self] = now + max(TWO_WITHIN_S, retry_after or 0.0)
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

    async def take_turn(self, run: int) -> None:
        if self._cut_at is not None and anyio.current_time() - self._cut_at >= FORGOTTEN_S:
            self.limit, self._cut_at = float(self.cap), None
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
                self._leave(run, turn)
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

    def _leave(self, run: int, turn: anyio.Event) -> None:
        self._waiting[run].remove(turn)
        if not self._waiting[run]:
            del self._waiting[run]

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


class Limits:
    """Limiters by provider and model, shared by all tool calls of a process."""

    def __init__(
        self,
        max_parallel: int,
        caps: Mapping[str, Callable[[], int]] | None = None,
        route: Callable[[str | None], tuple[str, Models, Models]] | None = None,
    ) -> None:
        """`caps`: how many calls providers take that run on this machine, asked again for each call.

        `route`: whose a model is, and the models to ask in its place, of its own provider and of others; None
        where one provider has all.
        """
        self._max_parallel = max_parallel
        self._caps = dict(caps or {})
        self._route = route
        self._wholes: dict[str, Limiter] = {}
        self._limiters: dict[tuple[str, str | None], Limiter] = {}

    def of(self, model: str | None = None) -> Limiter:
        """Return the limiter of a model."""
        provider = self._provider(model)
        whole = self.whole(provider)
        found = self._limiters.get((provider, model))
        if found is None:
            found = self._limiters[provider, model] = Limiter(self._max_parallel, whole)
        return found

    def _provider(self, model: str | None) -> str:
        return "" if self._route is None else self._route(model)[0]

    def workers(self, models: Collection[str | None]) -> int:
        """Return how many workers can be busy at once, so that none's wait keeps another's calls out."""
        return sum(self.whole(provider).cap for provider in {self._provider(model) for model in models})

    def stand_ins(self, model: str | None) -> tuple[Models, Models]:
        return self._route(model)[1:] if self._route is not None else ((), ())

    def whole(self, provider: str) -> Limiter:
        """Return the limiter of a whole provider."""
        found = self._wholes.setdefault(provider, Limiter(self._max_parallel))
        if (cap := self._caps.get(provider)) is not None:
            found.resize(min(self._max_parallel, cap()))
        return found
