"""The shell command as a user runs it: its result, time, CPU-seconds, and its memory while it runs."""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from benchmarks._stage import environment

COMMAND = (sys.executable, "-P", "-m", "fanout_mcp")


@dataclass(frozen=True)
class Done:
    data: Any
    seconds: float
    cpu_s: float


def fanout(folder: Path, home: Path, *arguments: str, **env: str) -> Done:
    """Run it in a folder, in silence."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [*COMMAND, *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment(home, **env), capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return Done(json.loads(done.stdout), time.monotonic() - began, cpu)


@dataclass
class Watched:
    """What a run's progress lines told, and the memory of it and its workers at each, in megabytes."""

    first_s: float = 0.0
    """Until a first file was done."""
    own: list[float] = field(default_factory=list)
    whole: list[float] = field(default_factory=list)
    """Resident, workers included."""
    peak: float = 0.0
    """The highest that the kernel saw of the process, and of its workers, added up."""


def watched(folder: Path, home: Path, *arguments: str) -> Watched:
    found = Watched()
    peaks: dict[int, float] = {}
    began = time.monotonic()
    with subprocess.Popen(
        [*COMMAND, *arguments],
        cwd=folder,
        env=environment(home),
        text=True,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    ) as process:
        assert process.stderr is not None
        for line in process.stderr:
            if not found.first_s and not line.startswith("0/"):
                found.first_s = time.monotonic() - began
            family = [process.pid, *_children(process.pid)]
            peaks.update((pid, _megabytes(pid, "VmHWM")) for pid in family)
            resident = [_megabytes(pid, "VmRSS") for pid in family]
            found.own.append(resident[0])
            found.whole.append(sum(resident))
    if process.returncode:
        raise RuntimeError(f"{arguments} ended with {process.returncode}")
    found.peak = sum(peaks.values())
    return found


def _children(pid: int) -> list[int]:
    try:
        tasks = list(Path(f"/proc/{pid}/task").iterdir())
        return [int(child) for task in tasks for child in (task / "children").read_text().split()]
    except OSError:
        return []


def _megabytes(pid: int, name: str) -> float:
    """Return a figure of a process as the kernel counts it; 0 once it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) / 1e3 for line in text.splitlines() if line.startswith(name)), 0)
