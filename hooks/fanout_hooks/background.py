"""Starts the daily report in a process of its own, which nobody waits for.

Looked at after each PostToolUse, when the answer is out: the first one after 24 hours starts it, if there is
a log. Cold, every event is a process of its own, so what was tried is remembered in the user's state folder.
"""

from __future__ import annotations

import os
import stat
import sys
import time
from typing import TYPE_CHECKING

from fanout_hooks import memory, perflog

if TYPE_CHECKING:
    import subprocess

NAME = os.path.join(".claude", "memory", "hook_performance_report.md")
EVERY_S = 24 * 3600
AGAIN_S = 600
"""A report that fails, or takes long, is not tried at every event."""
WRITE = """
import os, sys
sys.path.insert(0, sys.argv[1])
os.nice(10)
from fanout_hooks import daily
daily.write_daily(sys.argv[2])
"""


def is_due(project: str, now: float) -> bool:
    """Tell whether there is a log, and its report is a day old or missing."""
    try:
        if not stat.S_ISREG(os.lstat(perflog.path_of(project)).st_mode):
            return False
    except OSError:
        return False
    try:
        return now - os.lstat(os.path.join(project, NAME)).st_mtime >= EVERY_S
    except FileNotFoundError:
        return True
    except OSError:
        return False


def write_report_when_due(
    project: str, state: str, now: float | None = None
) -> subprocess.Popen[bytes] | None:
    """Start the report's process when it is due; return it for tests. `state`: memory.state_folder."""
    now = time.time() if now is None else now
    if not is_due(project, now) or not _is_first(project, state, now):
        return None
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


def _is_first(project: str, state: str, now: float) -> bool:
    """Say whether nobody has tried it in these ten minutes; where that can't be kept, nobody tries."""
    folder, name = os.path.join(state, "daily"), memory.name_of(project)
    mark = f"{name}.{now // AGAIN_S:.0f}"
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        os.close(os.open(os.path.join(folder, mark), os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600))
        for other in os.listdir(folder):
            if other.startswith(name) and other != mark:
                os.unlink(os.path.join(folder, other))
    except FileNotFoundError:
        return True  # another sweeps, too
    except OSError:
        return False
    return True
