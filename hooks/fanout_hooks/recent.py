"""Which path the last events of a project took, as its log says."""

from __future__ import annotations

import json
import os
from collections import Counter
from typing import Any

from fanout_hooks import perflog, regular
from fanout_hooks.client import events

TAIL_BYTES = 1 << 18
LAST = 100


def records(project: str, last: int = LAST) -> list[dict[str, Any]]:
    """Return the last records of the log, oldest first; what is no record is left out."""
    try:
        with regular.opened(perflog.path_of(project)) as file:
            file.seek(max(0, os.fstat(file.fileno()).st_size - TAIL_BYTES))
            lines = file.read().splitlines()[-last:]
    except OSError:
        return []
    found = []
    for line in lines:
        try:
            record = json.loads(line)
        except ValueError:
            continue
        if isinstance(record, dict):
            found.append(record)
    return found


def paths(project: str) -> str:
    """Return a clause about the last events that could be warm, "" when there were none."""
    seen = [own for own in records(project) if own.get("phase") in events.WARM]
    counts = Counter(str(own.get("path")) for own in seen)
    if not counts:
        return ""
    words = " and ".join(f"{count} {path}" for path, count in counts.most_common())
    return f" (of the last {len(seen)} events that have a warm path {words})"
