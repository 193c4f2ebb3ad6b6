"""Durations as a mergeable digest: counts in logarithmic buckets, so a report never needs the log again.

A bucket is 2 % wide and stands for its middle: by construction every quantile is within 1 % of the exact
one.
Digests of days, segments and machines merge by adding. Mean and total are exact.
"""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

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
        """Count a duration whose bucket is known."""
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


def of(durations: Iterable[float]) -> Digest:
    """Digest some durations in milliseconds."""
    digest = Digest()
    for ms in durations:
        digest.add(ms)
    return digest


def _middle(bucket: int) -> float:
    return 0.0 if bucket == ZERO else math.exp((bucket + 0.5) * _LOG_GROWTH)
