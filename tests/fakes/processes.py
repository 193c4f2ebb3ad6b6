"""What became of a process, and what it holds."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import NamedTuple


def is_gone(pid: int) -> bool:
    """Gone, or a zombie that waits for whatever adopted it."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"
    except (FileNotFoundError, ProcessLookupError):
        return True


def ends(pid: int, within_s: float = 20.0) -> bool:
    """Say whether a process ends before long."""
    until = time.monotonic() + within_s
    while not is_gone(pid):
        if time.monotonic() >= until:
            return False
        os.sched_yield()
    return True


class Held(NamedTuple):
    """Of a process: resident memory in kB, and open descriptors."""

    kb: int
    descriptors: int


def at_rest(pid: int, rest_s: float = 2.0) -> Held:
    """Return the least that a process held within so many seconds: what it was doing may end meanwhile."""
    process = Path(f"/proc/{pid}")
    least = Held(1 << 40, 1 << 20)
    until = time.monotonic() + rest_s
    while time.monotonic() < until:
        status = (process / "status").read_text()
        resident = next(int(line.split()[1]) for line in status.splitlines() if line.startswith("VmRSS"))
        least = Held(min(least.kb, resident), min(least.descriptors, len(list((process / "fd").iterdir()))))
        time.sleep(0.1)
    return least
