"""The file of what was learned of a project's hooks: read, written within bounds, and locked meanwhile.

It lies in the user's own state folder, not in the project: a repository can't tell us that its hooks are
harmless. What can't be read is nothing learned.
"""

from __future__ import annotations

import fcntl
import json
import os
import time
from typing import Any, NamedTuple

from fanout_hooks import regular
from fanout_hooks.record import Record

LOCK = "lock"
"""Beside the files, one for all projects: it is held for a few milliseconds."""
LOCK_LOOK_S = 0.002
MAX_RECORDS = 2000
MAX_STARTS = 8
MAX_BYTES = 8 << 20

Starts = dict[tuple[str, ...], dict[str, Any]]


class Learned(NamedTuple):
    """What a file holds: records by script, modules by interpreter, what starts decide by their keys."""

    records: dict[str, Record]
    modules: dict[str, list[str]]
    starts: Starts


def load(path: str) -> Learned:
    try:
        with regular.opened(path) as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return Learned({}, {}, {})
            data = json.loads(file.read(MAX_BYTES))
        records = {
            str(name): Record(
                **(own | {"reads": frozenset(own["reads"]), "writes": frozenset(own["writes"])})
            )
            for name, own in data["scripts"].items()
        }
        modules = {str(exe): list(map(str, names)) for exe, names in data["modules"].items()}
        return Learned(records, modules, {tuple(key): dict(facts) for key, facts in data.get("starts", ())})
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Learned({}, {}, {})


def dump(learned: Learned) -> bytes:
    """Return the file's content; of more than it may hold, what was learned last."""
    starts = list(learned.starts.items())[-MAX_STARTS:]
    head = f'{{"version":1,"modules":{_compact(learned.modules)},"starts":{_compact(starts)},"scripts":{{'
    room = MAX_BYTES - len(head) - len("}}")
    kept: list[str] = []
    for file, record in reversed(learned.records.items()):
        own = f"{_compact(file)}:{_compact(_plain(record))}"
        if len(own) < room and len(kept) < MAX_RECORDS:
            room -= len(own) + 1
            kept.append(own)
    return f"{head}{','.join(reversed(kept))}}}}}".encode()


def locked(path: str, looks: int) -> int | None:
    """Return a descriptor that holds the lock until it is closed; None when it isn't to be had."""
    folder = os.path.dirname(path)
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        fd = os.open(os.path.join(folder, LOCK), flags, 0o600)
    except OSError:
        return None
    for look in range(looks):
        if look:
            time.sleep(LOCK_LOOK_S)
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            continue
        return fd
    os.close(fd)
    return None


def _plain(record: Record) -> dict[str, Any]:
    return record._asdict() | {"reads": sorted(record.reads), "writes": sorted(record.writes)}


def _compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"))
