"""What was learned about hooks by watching them, by script and version: an edited hook is a new hook.

A session begins with what the file holds and looks at it again when another has saved. Who
saves takes the file's lock, reads what others saved meanwhile, and writes both together: what a hook writes
is locked in every session, so one must know what another has seen. Losing the file costs two slower events.
"""

from __future__ import annotations

import json
import os
import time
from typing import Any, NamedTuple

from fanout_hooks.client import files
from fanout_hooks.learn.observe import covering

# --- What is known of one script: how long it takes, what it touches, if it keeps clean. -------------------
# Effects are united over runs and sessions, for one run shows a lower bound only; too many paths become
# patterns of their folders, which say more than was seen and never less.

TRIALS = 2
"""Runs in its own process before a hook may share one."""
SLOW_MS = 25.0
"""Its own time beyond which a hook gets a lane: a trial's first imports count, other hooks wait meanwhile."""
MAX_CRASHES = 2
MAX_PATHS = 256


class Record(NamedTuple):
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
    """Return what distinguishes one version of a script from the next, "" when it isn't there."""
    try:
        about = os.stat(file)
    except OSError:
        return ""
    return f"{about.st_mtime_ns}:{about.st_size}:{about.st_ino}"


def after_run(
    before: Record, ms: float, effects: dict[str, Any] | None, taint: str, *, crashed: bool
) -> Record:
    known = before._replace(
        runs=min(before.runs + 1, TRIALS),
        ms=round(_taken(before, ms), 2),
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


def _taken(before: Record, ms: float) -> float:
    if before.runs < TRIALS:
        return min(before.ms, ms) if before.runs else ms
    return before.ms * 0.8 + ms * 0.2


# --- The file that keeps it: bounded, and locked while it is written. --------------------------------------
# It lies in the user's own state folder, not in the project: a repository can't claim that its hooks are
# harmless. What can't be read is nothing learned.

LOCK = "lock"
"""Beside the files, one for all projects: it is held for a few milliseconds."""
LOCK_LOOK_S = 0.002
MAX_RECORDS = 2000
MAX_BYTES = 8 << 20


class Learned(NamedTuple):
    """What a file holds: records by script, modules by interpreter."""

    records: dict[str, Record]
    modules: dict[str, list[str]]


def load(path: str) -> Learned:
    try:
        with files.opened(path) as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return Learned({}, {})
            data = json.loads(file.read(MAX_BYTES))
        records = {
            str(name): Record(
                **(own | {"reads": frozenset(own["reads"]), "writes": frozenset(own["writes"])})
            )
            for name, own in data["scripts"].items()
        }
        modules = {str(exe): list(map(str, names)) for exe, names in data["modules"].items()}
        return Learned(records, modules)
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return Learned({}, {})


def dump(learned: Learned) -> bytes:
    """Return the file's content; of more than it may hold, what was learned last."""
    head = f'{{"version":1,"modules":{_compact(learned.modules)},"scripts":{{'
    room = MAX_BYTES - len(head) - len("}}")
    kept: list[str] = []
    for file, record in reversed(learned.records.items()):
        plain = record._asdict() | {"reads": sorted(record.reads), "writes": sorted(record.writes)}
        own = f"{_compact(file)}:{_compact(plain)}"
        if len(own) < room and len(kept) < MAX_RECORDS:
            room -= len(own) + 1
            kept.append(own)
    return f"{head}{','.join(reversed(kept))}}}}}".encode()


def _compact(data: object) -> str:
    return json.dumps(data, separators=(",", ":"))


# --- One project's memory while hooks run -------------------------------------------------------------------

LOCK_S = 0.1
"""For others to save; then what was learned stays for the next save."""


class Memory:
    """The records of one project; `refresh` before an event, `save` after the answer is out."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._lock = os.path.join(os.path.dirname(path), LOCK)
        self._wait_s = LOCK_S
        self._seen = version_of(path)
        self._kept = load(path)
        """As the file was when it was last read or written."""
        self._records = dict(self._kept.records)
        self.modules = dict(self._kept.modules)
        self._noted: dict[str, None] = {}
        """Scripts of which something was learned that the file doesn't hold."""
        self._imported = False
        self.revision = 0
        """Goes up with everything that may change a plan."""

    def of(self, file: str) -> Record:
        version = version_of(file)
        known = self._records.get(file)
        return known if known is not None and known.version == version else Record(version)

    @property
    def written(self) -> frozenset[str]:
        return frozenset(path for own in self._records.values() for path in own.writes)

    def note(
        self, file: str, ms: float, *, effects: dict[str, Any] | None, taint: str = "", crashed: bool = False
    ) -> None:
        before = self.of(file)
        after = after_run(before, ms, effects, taint, crashed=crashed)
        self._records[file] = after
        # Times drift with every run; the file only has to know what changes a decision.
        if after._replace(ms=before.ms) != before or after.is_warm != before.is_warm:
            self._noted[file] = None
            self.revision += 1

    def note_modules(self, exe: str, names: set[str]) -> None:
        if not names <= set(self.modules.get(exe, ())):
            self.modules[exe] = sorted(names | set(self.modules.get(exe, ())))
            self._imported = True

    def refresh(self) -> None:
        """Take in what other sessions have saved; a look at the file when none has."""
        seen = version_of(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        theirs = load(self._path)
        records = dict(theirs.records)
        for file in self._noted:
            records.pop(file, None)  # what was learned last is last
            records[file] = self._with_theirs(file, theirs.records.get(file))
        modules = theirs.modules | {
            exe: sorted({*names, *theirs.modules.get(exe, ())}) for exe, names in self.modules.items()
        }
        self.revision += records != self._records
        self._kept, self._records, self.modules = theirs, records, modules

    def save(self) -> None:
        """Write the file when something changed that matters; what can't be written waits."""
        if not (self._noted or self._imported):
            return
        try:
            fd = files.own(self._lock)
        except OSError:
            return
        try:
            is_ours = files.lock(fd, time.monotonic() + self._wait_s, LOCK_LOOK_S)
            self._wait_s = LOCK_S if is_ours else 0.0  # who is held up once doesn't wait again
            if not is_ours:
                return
            self.refresh()
            learned = Learned(dict(self._records), dict(self.modules))
            files.replace(self._path, dump(learned))
        except OSError:
            return
        finally:
            os.close(fd)
        self._seen, self._kept = version_of(self._path), learned
        self._noted, self._imported = {}, False

    def _with_theirs(self, file: str, theirs: Record | None) -> Record:
        ours, base = self._records[file], self._kept.records.get(file)
        if theirs is None:
            return ours
        if theirs.version != ours.version:
            return theirs if theirs.version == version_of(file) else ours
        same = base is not None and base.version == ours.version
        return united(theirs, ours, base if base is not None and same else Record(ours.version))


def path_of(folder: str, project: str) -> str:
    """Return where a project's records lie: never in the project, whatever FANOUT_STATE_DIR says.

    A repository that sets it could ship records that call its hooks harmless.
    """
    if os.path.realpath(folder).startswith(os.path.realpath(project).rstrip("/") + "/"):
        folder = os.path.join(os.path.expanduser("~"), ".local", "state", "fanout", "hooks")
    return os.path.join(folder, "learned", name_of(project) + ".json")


def name_of(project: str) -> str:
    return files.digest(project, 12).hex()
