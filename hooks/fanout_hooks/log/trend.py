"""Decide whether something became slower or faster, or whether it is noise: compares two digests.

Durations of hooks are skewed and heavy-tailed, so ranks are compared and not means: the Mann-Whitney test on
the buckets, ties corrected. Many hooks are looked at together, so the p values are corrected by Holm's
method: with nothing changed, at most one report in twenty names any hook at all. And a change that none would
feel is not a trend: the median must have moved by 5 % and by 0.05 ms.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Literal, NamedTuple

from fanout_hooks.log.tally import Digest

ALPHA = 0.05
MIN_COUNT = 20
"""Below this the normal approximation of the rank test is no longer good, and nothing is claimed."""
MIN_CHANGE = 0.05
MIN_MS = 0.05
Direction = Literal["slower", "faster", "steady", "unknown"]


class Trend(NamedTuple):
    """How a hook or event compares with the period before."""

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
