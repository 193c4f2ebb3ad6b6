"""When a silent call gets a twin. Off by default: a hedge may double the cost of what it hedges.

The delay is the provider's observed p95, with at least 20 samples, and at most 2 % of the latest calls to it
are twins ("The Tail at Scale", Dean and Barroso 2013: most of the gain for that little). They are counted by
provider, not by run: of a panel of three, one twin would be a third.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Hedge:
    """Switches hedging on."""

    least_samples: int = 20
    quantile: float = 0.95
    share: float = 0.02

    def delay(self, durations: Collection[float]) -> float | None:
        """Return after how many seconds a call is late, None while too little is known."""
        if len(durations) < self.least_samples:
            return None
        ordered = sorted(durations)
        return ordered[min(len(ordered) - 1, int(self.quantile * len(ordered)))]

    def allows(self, latest: Collection[bool]) -> bool:
        """Whether one more twin is within the share; `latest`: of each call, whether it was a twin."""
        return sum(latest) + 1 <= self.share * len(latest)
