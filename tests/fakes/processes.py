"""What became of a process that a test did not start itself."""

from __future__ import annotations

import os
import time
from pathlib import Path


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
