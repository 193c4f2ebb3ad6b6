"""Context beyond what the client shows: kept whole in a file of the project's state for a day, and named."""

from __future__ import annotations

import contextlib
import os
import time

from fanout_hooks import decide
from fanout_hooks.regular import folder_in

KEEP_CONTEXT_S = 24 * 3600


def kept_whole(decision: decide.Decision, project: str) -> decide.Decision:
    """Put the context that doesn't fit into a file of the project's state, and name it."""
    try:
        folder = folder_in(project, ".claude", "fanout", "cache")
        path = os.path.join(folder, f"context-{time.time_ns():x}.txt")
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _sweep(folder)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8", errors="replace") as file:
            file.write(decision.overflow)
    except OSError:
        return decision
    return decide.with_overflow(decision, path)


def _sweep(folder: str) -> None:
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        with contextlib.suppress(OSError):  # another event sweeps, too
            if name.startswith("context-") and time.time() - os.lstat(path).st_mtime > KEEP_CONTEXT_S:
                os.unlink(path)
