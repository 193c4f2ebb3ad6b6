"""How loaded this machine is at the moment: bounds on the clock are stretched by it."""

from __future__ import annotations

import time
from typing import Final

SAMPLE_S: Final = 0.05


def stretched(seconds: float) -> float:
    """Return a time limit for a quiet machine as it is now: other processes take their share of it."""
    began, cpu = time.monotonic(), time.thread_time()
    while time.thread_time() - cpu < SAMPLE_S:
        pass
    return seconds * max(1.0, (time.monotonic() - began) / SAMPLE_S)
