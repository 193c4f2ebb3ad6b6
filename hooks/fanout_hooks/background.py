"""Starts the daily report in a process of its own, which nobody waits for.

Looked at after each PostToolUse, when the answer is out: the first one after 24 hours starts it.
"""

from __future__ import annotations

import os
import sys
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import subprocess

NAME = os.path.join(".claude", "memory", "hook_performance_report.md")
EVERY_S = 24 * 3600
AGAIN_S = 600
"""A report that fails is not tried at every event."""
_tried: dict[str, float] = {}
WRITE = """
import os, sys
sys.path.insert(0, sys.argv[1])
os.nice(10)
from fanout_hooks import daily
daily.write_daily(sys.argv[2])
"""


def is_due(project: str, now: float) -> bool:
    """Tell whether the report is a day old, or missing."""
    try:
        return now - os.lstat(os.path.join(project, NAME)).st_mtime >= EVERY_S
    except FileNotFoundError:
        return True
    except OSError:
        return False


def write_report_when_due(project: str, now: float | None = None) -> subprocess.Popen[bytes] | None:
    """Start the report's process when the file is a day old or missing; return it for tests to wait."""
    now = time.time() if now is None else now
    if now - _tried.get(project, 0.0) < AGAIN_S or not is_due(project, now):
        return None
    _tried[project] = now
    import subprocess  # 3 ms that only one event a day needs

    ours = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
    try:
        return subprocess.Popen(
            [sys.executable, "-I", "-S", "-c", WRITE, ours, project],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            start_new_session=True,
        )
    except OSError:
        return None
