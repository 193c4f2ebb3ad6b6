"""Ask git without letting the repository run anything.

A repository's own .git/config names programs that git executes: core.fsmonitor at every `ls-files`, hooks,
pagers, external diffs, text conversions, clean filters. All of them are switched off here, and the commands
used compare commits or list names; none compares the worktree, which runs filters.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Final

TIMEOUT_S: Final = 30.0
MOST_COMMITS: Final = 500
"""How far back a hot spot is counted."""

_HARDENED: Final = (
    "git",
    "--no-pager",
    "--no-optional-locks",
    "-c",
    "core.fsmonitor=false",
    "-c",
    "core.hooksPath=/dev/null",
    "-c",
    "log.showSignature=false",
    "-c",
    "protocol.allow=never",
    "-c",
    "core.quotePath=false",
)


def git(folder: Path, *arguments: str, told: bytes = b"", timeout_s: float = TIMEOUT_S) -> bytes | None:
    """Return what git says in `folder`; None when there is no git, no repository, or it refuses.

    `told`: what it reads from its standard input.
    """
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GIT_")}
    environment |= {"GIT_CONFIG_NOSYSTEM": "1", "GIT_TERMINAL_PROMPT": "0", "LC_ALL": "C"}
    try:
        done = subprocess.run(
            [*_HARDENED, *arguments],
            cwd=folder,
            env=environment,
            input=told,
            capture_output=True,
            timeout=timeout_s,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    return done.stdout if done.returncode == 0 else None


def names(output: bytes) -> list[str]:
    """Split NUL-separated paths; what is no UTF-8 keeps its bytes as surrogates."""
    return [os.fsdecode(name) for name in output.split(b"\0") if name]


def churn(root: Path, commits: int = MOST_COMMITS) -> dict[str, int]:
    """Return in how many of the last commits each path below `root` changed; empty without history."""
    log = git(root, "log", "-n", str(commits), "--no-renames", "--name-only", "--relative", "-z", "--format=")
    counts: dict[str, int] = {}
    for name in names(log or b""):
        path = name.lstrip("\n")
        counts[path] = counts.get(path, 0) + 1
    return counts
