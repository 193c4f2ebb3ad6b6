"""When the rest of a run no longer matters: a decided vote, and the grace that the stragglers then get."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from typing import Protocol

from fanout_mcp.types import Outcome

GRACE_SHARE = 0.5
GRACE_LEAST_S = 0.2


class StopRule(Protocol):
    """Pure: can what is still out change the result?"""

    def __call__(self, outcomes: Sequence[Outcome], outstanding: Collection[str]) -> str:
        """Return why the rest doesn't matter any more, "" while it does. `outstanding`: keys."""


def grace(elapsed_s: float) -> float:
    """Return how long stragglers are still waited for once the result is decided."""
    return max(GRACE_LEAST_S, GRACE_SHARE * elapsed_s)
