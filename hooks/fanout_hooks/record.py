"""What is known of one version of a hook's script: how long it takes, what it touches, if it keeps clean.

Effects are united over runs and sessions, for one run shows a lower bound only; too many paths become
patterns of their folders, which say more than was seen and never less.
"""

from __future__ import annotations

import os
from typing import Any, NamedTuple

from fanout_hooks.observe import covering

TRIALS = 2
"""Runs in a process of its own before a hook may share one."""
SLOW_MS = 25.0
"""Its own time beyond which a hook gets a lane: a trial's first imports count, other hooks wait meanwhile."""
MAX_CRASHES = 2
MAX_PATHS = 256


class Record(NamedTuple):
    """One version of one script."""

    version: str
    runs: int = 0
    ms: float = 0.0
    reads: frozenset[str] = frozenset()
    writes: frozenset[str] = frozenset()
    spawns: bool = False
    opaque: bool = False
    crashes: int = 0
    taint: str = ""

    @property
    def is_learned(self) -> bool:
        return self.runs >= TRIALS

    @property
    def is_warm(self) -> bool:
        """Say whether it is known to be fast and to leave nothing behind."""
        clean = not self.spawns and not self.taint and self.crashes < MAX_CRASHES
        return self.is_learned and clean and self.ms < SLOW_MS


def version_of(file: str) -> str:
    """Return what tells one version of a script from the next, "" when it isn't there."""
    try:
        about = os.stat(file)
    except OSError:
        return ""
    return f"{about.st_mtime_ns}:{about.st_size}:{about.st_ino}"


def after(before: Record, ms: float, effects: dict[str, Any] | None, taint: str, *, crashed: bool) -> Record:
    """Return what is known after one more run."""
    known = before._replace(
        runs=min(before.runs + 1, TRIALS),
        ms=round(min(before.ms, ms) if 0 < before.runs < TRIALS else _smoothed(before, ms), 2),
        crashes=before.crashes + crashed,
        taint=before.taint or ("" if crashed else taint),
    )
    if effects is None:
        return known
    return known._replace(
        reads=bounded(before.reads | set(effects["reads"])),
        writes=bounded(before.writes | set(effects["writes"])),
        spawns=before.spawns or bool(effects["spawns"]),
        opaque=before.opaque or bool(effects["opaque"]),
    )


def united(theirs: Record, ours: Record, base: Record) -> Record:
    """Return what two sessions know together that began with `base`; all of one version."""
    return ours._replace(
        runs=min(theirs.runs + ours.runs - base.runs, TRIALS),
        ms=min(theirs.ms, ours.ms) if theirs.runs and not base.is_learned else ours.ms,
        crashes=theirs.crashes + ours.crashes - base.crashes,
        reads=bounded(theirs.reads | ours.reads),
        writes=bounded(theirs.writes | ours.writes),
        spawns=theirs.spawns or ours.spawns,
        opaque=theirs.opaque or ours.opaque,
        taint=theirs.taint or ours.taint,
    )


def bounded(paths: frozenset[str]) -> frozenset[str]:
    return frozenset(covering(paths, MAX_PATHS))


def _smoothed(before: Record, ms: float) -> float:
    return ms if before.runs == 0 else before.ms * 0.8 + ms * 0.2
