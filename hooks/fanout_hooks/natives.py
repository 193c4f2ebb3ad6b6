"""Hooks that Claude Code runs itself, from its transcripts: what fanout's own log can't know.

The client writes a line for a hook only when it had output or failed, so these figures are of such runs
alone; whoever shows them says "with output only".
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator
from typing import Any, NamedTuple

from fanout_hooks import entries, transcript
from fanout_hooks.config import short_name
from fanout_hooks.digest import Digest
from fanout_hooks.report import figures

OURS = (
    entries.SHOWN,
    *(f"{server}/{entries.TOOL}" for server in (entries.SERVER, entries.PLUGIN_SERVER)),
)
"""What the client writes for our lines, and for our calls to the server."""
MOST_FILES = 500
MARK = b'"durationMs"'


class Native(NamedTuple):
    """One hook that ran natively."""

    event: str
    name: str
    ms: Digest
    failures: int


def read(folder: str, since: float, most: int = MOST_FILES) -> list[Native]:
    """Return the native hooks of a project's transcripts (see `transcript.project_folder`) since a time."""
    found: dict[tuple[str, str], tuple[Digest, list[int]]] = {}
    for path in transcript.find(folder, since)[:most]:
        for run in _runs(path, since):
            event = run.name.partition(":")[0]
            name = short_name({"command": run.command})
            digest, failures = found.setdefault((event, name), (Digest(), []))
            digest.add(run.ms)
            if run.exit not in {0, 2, None}:
                failures.append(run.exit or 1)
    return [Native(event, name, ms, len(failed)) for (event, name), (ms, failed) in sorted(found.items())]


def is_ours(command: str) -> bool:
    """Say whether a run was one of our own entries: what they run is in our log already."""
    return command.startswith(entries.MARK) or command in OURS


def rows(natives: Iterable[Native]) -> list[dict[str, Any]]:
    """Return them for a report, the ones that took most time in all first."""
    return [
        {"event": own.event, "name": own.name, **figures(own.ms), "failures": own.failures}
        for own in sorted(natives, key=lambda own: -own.ms.total)
    ]


def _runs(path: str, since: float) -> Iterator[transcript.HookRun]:
    for run in transcript.hook_runs(_records(path)):
        if run.at >= since and not is_ours(run.command):
            yield run


def _records(path: str) -> Iterator[tuple[int, dict[str, Any]]]:
    """Yield the records that may tell a hook's time; the rest of a transcript is not even parsed."""
    try:
        with open(path, "rb") as file:
            for number, raw in enumerate(file, 1):
                if MARK not in raw or len(raw) > transcript.MAX_LINE:
                    continue
                try:
                    record = json.loads(raw)
                except (ValueError, RecursionError):
                    continue
                if isinstance(record, dict):
                    yield number, record
    except OSError:
        return
