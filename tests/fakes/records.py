"""Records of the hook log, as dispatch writes them."""

from __future__ import annotations

import json
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from fanout_hooks.log import append
from fanout_hooks.log.tally import Digest

NOW = 1_795_000_000.0
"""2026-11-18, in the middle of the day (UTC)."""
DAY = 86_400


def row(name: str, ms: float, **more: Any) -> dict[str, Any]:
    """One hook of an event."""
    base = {"name": name, "batch": 1, "ms": ms, "wait_ms": 0.0, "exit": 0, "decision": "none", "lane": "warm"}
    return {**base, **more}


def record(
    *hooks: dict[str, Any],
    phase: str = "PreToolUse",
    at: float = NOW,
    own_ms: float | None = None,
    **more: Any,
) -> dict[str, Any]:
    """One event; its time is what its hooks take one after another, unless said otherwise."""
    total = round(sum(hook["ms"] for hook in hooks), 2)
    base = {
        "timestamp": append.stamp(at),
        "phase": phase,
        "total_hooks": len(hooks),
        "batches": 1,
        "elapsed_ms": total,
        "failures": sum(hook["exit"] not in (0, 2) or bool(hook.get("timed_out")) for hook in hooks),
        "session_id": "s1",
        "sequential_ms": total,
        **({} if own_ms is None else {"own_ms": own_ms}),
        "path": "warm",
        "hooks": list(hooks),
    }
    return {**base, **more}


def line(data: dict[str, Any]) -> bytes:
    return json.dumps(data, separators=(",", ":")).encode()


def write(project: Path, *records: dict[str, Any]) -> Path:
    """Append records to a project's log."""
    path = Path(append.path_of(str(project)))
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("ab") as file:
        file.write(b"".join(line(data) + b"\n" for data in records))
    return path


def digest_of(durations: Iterable[float]) -> Digest:
    """Digest some durations in milliseconds."""
    digest = Digest()
    for ms in durations:
        digest.add(ms)
    return digest


def day(at: float) -> str:
    return time.strftime("%Y-%m-%d", time.gmtime(at))
