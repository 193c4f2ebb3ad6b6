"""The counts of a hook log, by day, event and hook, as digests that merge by adding.

Kept by day (UTC), because periods are compared. rollup.py makes one from the log.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Mapping
from typing import Any, Literal, NamedTuple

# --- A digest of durations ----------------------------------------------------------------------------------
# Counts in logarithmic buckets, so a report never needs the log again. A bucket is 2 % wide and stands for
# its middle: every quantile is within 1 % of the exact one. Digests of days, segments and machines merge by
# adding. Mean and total are exact.

GROWTH = 1.02
_LOG_GROWTH = math.log(GROWTH)
ZERO = -(10**6)
"""The bucket of everything below a microsecond (a log written with two decimals has zeros)."""
SMALLEST_MS = 0.001
ROUNDING = 1e-6
"""0.07 of a hundred is a little more than seven in floating point."""


class Digest:
    """Counts by bucket, with total, least and greatest; milliseconds throughout."""

    __slots__ = ("buckets", "count", "greatest", "least", "total")

    def __init__(self) -> None:
        self.buckets: dict[int, int] = {}
        self.count = 0
        self.total = 0.0
        self.least = math.inf
        self.greatest = 0.0

    def add(self, ms: float, times: int = 1) -> None:
        """Count a duration; what is negative or no number counts as nothing measured."""
        if ms >= 0 and ms != math.inf:
            self.add_to(bucket_of(ms), ms, times)

    def add_to(self, bucket: int, ms: float, times: int) -> None:
        self.buckets[bucket] = self.buckets.get(bucket, 0) + times
        self.count += times
        self.total += ms * times
        self.least = min(self.least, ms)
        self.greatest = max(self.greatest, ms)

    def merge(self, other: Digest) -> None:
        for bucket, times in other.buckets.items():
            self.buckets[bucket] = self.buckets.get(bucket, 0) + times
        self.count += other.count
        self.total += other.total
        self.least = min(self.least, other.least)
        self.greatest = max(self.greatest, other.greatest)

    @property
    def mean(self) -> float:
        return self.total / self.count if self.count else 0.0

    def quantile(self, share: float) -> float:
        """Return the least duration that `share` (0 to 1) of all don't exceed; 0 when nothing was counted.

        The nearest rank: of few durations the high percentiles are the greatest, so that no stall is hidden.
        """
        if not self.count:
            return 0.0
        rank, seen = max(1, math.ceil(share * self.count - ROUNDING)), 0
        for bucket in sorted(self.buckets):
            seen += self.buckets[bucket]
            if seen >= rank:
                return min(max(_middle(bucket), self.least), self.greatest)
        return self.greatest

    def above(self, ms: float) -> int:
        """Count the durations above a limit (to the bucket)."""
        return sum(times for bucket, times in self.buckets.items() if _middle(bucket) > ms)

    def to_json(self) -> dict[str, Any]:
        least = self.least if self.count else 0.0
        buckets = {str(bucket): self.buckets[bucket] for bucket in sorted(self.buckets)}
        return {
            "n": self.count,
            "total": round(self.total, 4),
            "least": least,
            "greatest": self.greatest,
            "b": buckets,
        }

    @classmethod
    def from_json(cls, data: dict[str, Any]) -> Digest:
        """Read what to_json wrote. Raises ValueError, KeyError or TypeError for anything else."""
        digest = cls()
        digest.buckets = {int(bucket): int(times) for bucket, times in data["b"].items()}
        digest.count = int(data["n"])
        if digest.count != sum(digest.buckets.values()):
            raise ValueError("a digest's counts don't add up")
        digest.total = float(data["total"])
        digest.least = float(data["least"]) if digest.count else math.inf
        digest.greatest = float(data["greatest"])
        return digest


def bucket_of(ms: float) -> int:
    """Return the bucket of a duration in milliseconds, 0 or more."""
    return math.floor(math.log(ms) / _LOG_GROWTH) if ms >= SMALLEST_MS else ZERO


def _middle(bucket: int) -> float:
    return 0.0 if bucket == ZERO else math.exp((bucket + 0.5) * _LOG_GROWTH)


# --- The tally of a log -------------------------------------------------------------------------------------

FORM = 6
"""Of what `to_json` writes; another form is counted again from the log."""
SAMPLES = 5
"""Whole records kept of each event and day, so that a typical one can be drawn."""
MAX_NOTES = 100
"""Of a day; five times as many are kept apart while they are counted."""
PAID_LANES = ("lane", "alone", "spare")
"""Where a hook has its own process."""


class HookTally(NamedTuple):
    """One hook of one event on one day."""

    ms: Digest
    wait_ms: Digest
    """Of runs in a lane: a warm hook's waiting is the running of those before it."""
    last: dict[str, str]
    """`error`: the head of what it wrote on stderr when it failed last."""
    counts: Counter[str]
    """`failures`, `timeouts`, and `exit N`, `decision D`, `lane L` by what they were."""


class EventTally(NamedTuple):
    """One event on one day."""

    elapsed: Digest
    own: Digest
    """What fanout itself took of it."""
    counts: Counter[str]
    """`failures` (of hooks), `failed` (events with one), `sequential_us` (the hooks' times summed), `path P`
    (events by path) and `us P` (their time)."""
    hours: Counter[str]
    """Events by hour, "00" to "23", and `us HH`, the time they took together."""
    hooks: dict[str, HookTally]
    samples: list[dict[str, Any]]


def empty_event() -> EventTally:
    return EventTally(Digest(), Digest(), Counter(), Counter(), {}, [])


class Tally:
    """What a log holds, all of it by day: "2026-11-24", UTC."""

    def __init__(self) -> None:
        self.days: dict[str, dict[str, EventTally]] = {}
        """By day and event."""
        self.gates: dict[str, Counter[str]] = {}
        self.notes: dict[str, Counter[str]] = {}
        self.damaged: Counter[str] = Counter()
        """Lines that are none; "" where no line around them names a day."""

    def event(self, day: str, phase: str) -> EventTally:
        events = self.days.setdefault(day, {})
        if phase not in events:
            events[phase] = empty_event()
        return events[phase]

    def note(self, day: str, notes: Mapping[str, int] | Iterable[str]) -> None:
        """Count what was noted on a day; of very many different notes, the more frequent."""
        counts = self.notes.setdefault(day, Counter())
        counts.update(notes)
        if len(counts) > 5 * MAX_NOTES:
            self.notes[day] = Counter(dict(counts.most_common(MAX_NOTES)))

    def merge(self, other: Tally) -> None:
        self.damaged.update(other.damaged)
        for day, notes in other.notes.items():
            self.note(day, notes)
        for day, counts in other.gates.items():
            self.gates.setdefault(day, Counter()).update(counts)
        for day, events in other.days.items():
            for phase, event in events.items():
                merge_event(self.event(day, phase), event)

    def to_json(self) -> dict[str, Any]:
        return {
            "form": FORM,
            "damaged": self.damaged,
            "notes": {day: dict(notes.most_common(MAX_NOTES)) for day, notes in self.notes.items()},
            "gates": self.gates,
            "days": {
                day: {phase: _event_json(event) for phase, event in events.items()}
                for day, events in self.days.items()
            },
        }

    @classmethod
    def from_json(cls, data: Any) -> Tally:
        """Read what to_json wrote. Raises ValueError, KeyError, TypeError or AttributeError."""
        if data["form"] != FORM:
            raise ValueError("a tally of another form")
        tally = cls()
        tally.damaged = _counter(data["damaged"])
        tally.notes = {day: _counter(notes) for day, notes in data["notes"].items()}
        tally.gates = {day: _counter(counts) for day, counts in data["gates"].items()}
        for day, events in data["days"].items():
            tally.days[day] = {phase: _event_of(event) for phase, event in events.items()}
        return tally


def merge_event(into: EventTally, event: EventTally) -> None:
    into.elapsed.merge(event.elapsed)
    into.own.merge(event.own)
    into.counts.update(event.counts)
    into.hours.update(event.hours)
    for name, hook in event.hooks.items():
        own = hook_of(into.hooks, name)
        own.ms.merge(hook.ms)
        own.wait_ms.merge(hook.wait_ms)
        own.last.update(hook.last)
        own.counts.update(hook.counts)
    keep_samples(into, event.samples)


def keep_samples(event: EventTally, samples: list[dict[str, Any]]) -> None:
    event.samples.extend(samples)
    del event.samples[:-SAMPLES]


def hook_of(hooks: dict[str, HookTally], name: str) -> HookTally:
    hook = hooks.get(name)
    if hook is None:
        hook = hooks[name] = HookTally(Digest(), Digest(), {}, Counter())
    return hook


def _event_json(event: EventTally) -> dict[str, Any]:
    hooks = {
        name: [hook.ms.to_json(), hook.wait_ms.to_json(), hook.last, hook.counts]
        for name, hook in event.hooks.items()
    }
    digests = {"elapsed": event.elapsed.to_json(), "own": event.own.to_json()}
    return {**event._asdict(), **digests, "hooks": hooks}


def _counter(data: Any) -> Counter[str]:
    return Counter({name: int(count) for name, count in data.items()})


def _event_of(data: Any) -> EventTally:
    hooks = {
        name: HookTally(
            Digest.from_json(ms),
            Digest.from_json(wait),
            {what: str(text) for what, text in last.items()},
            _counter(counts),
        )
        for name, (ms, wait, last, counts) in data["hooks"].items()
    }
    samples = [sample for sample in data["samples"] if isinstance(sample, dict)]
    counts, hours = _counter(data["counts"]), _counter(data["hours"])
    elapsed, own = Digest.from_json(data["elapsed"]), Digest.from_json(data["own"])
    return EventTally(elapsed, own, counts, hours, hooks, samples)


# --- Comparing two digests ----------------------------------------------------------------------------------
# Whether something became slower or faster, or whether it is noise. Durations of hooks are skewed and
# heavy-tailed, so ranks are compared and not means: the Mann-Whitney test on the buckets, ties corrected.
# Many hooks are looked at together, so the p values are corrected by Holm's method: with nothing changed, at
# most one report in twenty names any hook at all. And a change that none would feel is not a trend: the
# median must have moved by 5 % and by 0.05 ms.

ALPHA = 0.05
MIN_COUNT = 20
"""Below this the normal approximation of the rank test is no longer good, and nothing is claimed."""
MIN_CHANGE = 0.05
MIN_MS = 0.05
Direction = Literal["slower", "faster", "steady", "unknown"]


class Trend(NamedTuple):
    direction: Direction
    change: float = 0.0
    """Of the median: 0.2 is 20 % slower."""
    p: float = 1.0
    """Corrected for all that were compared together."""


UNKNOWN = Trend("unknown")


def compare(before: Mapping[str, Digest], now: Mapping[str, Digest]) -> dict[str, Trend]:
    """Judge every name of `now` against the same name of `before`, corrected for looking at all of them."""
    p_values = {
        name: rank_test(before[name], digest)
        for name, digest in now.items()
        if name in before and min(before[name].count, digest.count) >= MIN_COUNT
    }
    corrected = holm(p_values)
    return {
        name: _judged(before[name], digest, corrected[name]) if name in corrected else UNKNOWN
        for name, digest in now.items()
    }


def rank_test(one: Digest, two: Digest) -> float:
    """Return the two-sided p value of the Mann-Whitney test on two digests (normal approximation, ties)."""
    n, m = one.count, two.count
    if not n or not m:
        return 1.0
    below, ranks, ties = 0.0, 0.0, 0.0
    for bucket in sorted(one.buckets.keys() | two.buckets.keys()):
        a, b = one.buckets.get(bucket, 0), two.buckets.get(bucket, 0)
        both = a + b
        ranks += a * (below + (both + 1) / 2)
        ties += both**3 - both
        below += both
    u = ranks - n * (n + 1) / 2
    total = n + m
    variance = n * m / 12 * (total + 1 - ties / (total * (total - 1)))
    if variance <= 0:
        return 1.0
    distance = max(abs(u - n * m / 2) - 0.5, 0.0) / math.sqrt(variance)
    return math.erfc(distance / math.sqrt(2))


def holm(p_values: Mapping[str, float]) -> dict[str, float]:
    """Correct p values for having been looked at together (Holm 1979): monotone, at most 1."""
    corrected: dict[str, float] = {}
    worst = 0.0
    for position, name in enumerate(sorted(p_values, key=p_values.__getitem__)):
        worst = max(worst, min(1.0, p_values[name] * (len(p_values) - position)))
        corrected[name] = worst
    return corrected


def exceeds(digest: Digest, limit_ms: float, share: float) -> float:
    """Return the p value of "the quantile `share` is at most `limit_ms`": small means it is really above.

    A binomial test: were the quantile at the limit, a share of 1 - `share` of all durations would lie above.
    """
    above, n, q = digest.above(limit_ms), digest.count, 1 - share
    if not n or above <= n * q:
        return 1.0
    return _binomial_tail(above, n, q)


def _judged(before: Digest, now: Digest, p: float) -> Trend:
    old, new = before.quantile(0.5), now.quantile(0.5)
    change = (new - old) / old if old else 0.0
    if p >= ALPHA or abs(change) < MIN_CHANGE or abs(new - old) < MIN_MS:
        return Trend("steady", change, p)
    return Trend("slower" if change > 0 else "faster", change, p)


def _binomial_tail(k: int, n: int, q: float) -> float:
    """P(X >= k) for X of a binomial distribution, summed from its largest term down."""
    if q <= 0:
        return 0.0
    log_term = math.lgamma(n + 1) - math.lgamma(k + 1) - math.lgamma(n - k + 1)
    term = math.exp(log_term + k * math.log(q) + (n - k) * math.log1p(-q))
    tail = 0.0
    for i in range(k, n + 1):
        tail += term
        if term < tail * 1e-12:
            break
        term *= (n - i) / (i + 1) * q / (1 - q)
    return min(1.0, tail)
