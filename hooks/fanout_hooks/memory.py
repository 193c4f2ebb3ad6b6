"""What was learned of hooks by watching them: how long they take, what they touch, whether they keep clean.

Kept per script and its version (what the file system says of it): an edited hook is a new hook. Effects are
united over runs, for one run shows a lower bound only. The file lies in the user's own state folder, not in
the project: a repository can't tell us that its hooks are harmless. Losing it costs two slower events.
"""

from __future__ import annotations

import hashlib
import json
import os
from typing import Any, NamedTuple

TRIALS = 2
"""Runs in a process of its own before a hook may share one."""
SLOW_MS = 25.0
"""Its own time beyond which a hook gets a lane: a trial's first imports count, other hooks wait meanwhile."""
MAX_CRASHES = 2
MAX_RECORDS = 2000
MAX_PATHS = 256
MAX_STARTS = 8
MAX_BYTES = 8 << 20


Starts = dict[tuple[str, ...], dict[str, Any]]


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


Learned = tuple[dict[str, Record], dict[str, list[str]], Starts]


def version_of(file: str) -> str:
    """Return what tells one version of a script from the next, "" when it isn't there."""
    try:
        about = os.stat(file)
    except OSError:
        return ""
    return f"{about.st_mtime_ns}:{about.st_size}:{about.st_ino}"


class Memory:
    """The records of one project; `save` after the answer is out."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._changed = False
        self.revision = 0
        """Goes up with everything that may change a plan."""
        self._records, self.modules, self.starts = _load(path)

    def of(self, file: str) -> Record:
        version = version_of(file)
        known = self._records.get(file)
        return known if known is not None and known.version == version else Record(version)

    @property
    def written(self) -> frozenset[str]:
        """Everything that some known hook writes."""
        return frozenset(path for record in self._records.values() for path in record.writes)

    def note(
        self, file: str, ms: float, *, effects: dict[str, Any] | None, taint: str = "", crashed: bool = False
    ) -> None:
        """Take in one run."""
        before = self.of(file)
        after = before._replace(
            runs=min(before.runs + 1, TRIALS),
            ms=round(min(before.ms, ms) if 0 < before.runs < TRIALS else _smoothed(before, ms), 2),
            crashes=before.crashes + crashed,
            taint=before.taint or ("" if crashed else taint),
        )
        if effects is not None:
            after = after._replace(
                reads=_bounded(before.reads | set(effects["reads"])),
                writes=_bounded(before.writes | set(effects["writes"])),
                spawns=before.spawns or bool(effects["spawns"]),
                opaque=before.opaque or bool(effects["opaque"]),
            )
        self._records[file] = after
        # Times drift with every run; the file only has to know what changes a decision.
        if after._replace(ms=before.ms) != before or after.is_warm != before.is_warm:
            self._changed = True
            self.revision += 1

    def note_modules(self, exe: str, names: set[str]) -> None:
        if not names <= set(self.modules.get(exe, ())):
            self.modules[exe] = sorted(names | set(self.modules.get(exe, ())))
            self._changed = True

    def note_start(self, key: tuple[str, ...], facts: dict[str, Any]) -> None:
        """Keep what an interpreter's start decides (startup.py); no facts: forget it."""
        if self.starts.get(key, {}) == facts:
            return
        self.starts.pop(key, None)
        if facts:
            self.starts[key] = facts
        self._changed = True

    def save(self) -> None:
        """Write the file anew when something changed that matters; a failure costs only what was learned."""
        if not self._changed:
            return
        self._changed = False
        kept = dict(list(self._records.items())[-MAX_RECORDS:])
        data = {
            "version": 1,
            "scripts": {file: _to_json(record) for file, record in kept.items()},
            "modules": self.modules,
            "starts": list(self.starts.items())[-MAX_STARTS:],
        }
        temporary = f"{self._path}.{os.getpid()}.tmp"
        try:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            fd = os.open(
                temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600
            )
            with os.fdopen(fd, "w") as file:
                json.dump(data, file, separators=(",", ":"))
            os.replace(temporary, self._path)
        except OSError:
            return


def state_folder(env: dict[str, str]) -> str:
    """Return the user's own folder for what the hooks' processes keep."""
    if env.get("FANOUT_STATE_DIR"):
        return os.path.join(env["FANOUT_STATE_DIR"], "hooks")
    base = env.get("XDG_STATE_HOME") or os.path.join(
        env.get("HOME") or os.path.expanduser("~"), ".local", "state"
    )
    return os.path.join(base, "fanout", "hooks")


def path_of(folder: str, project: str) -> str:
    """Return where a project's records lie."""
    name = hashlib.sha256(project.encode("utf-8", "surrogateescape")).hexdigest()[:24]
    return os.path.join(folder, "learned", name + ".json")


def _smoothed(before: Record, ms: float) -> float:
    return ms if before.runs == 0 else before.ms * 0.8 + ms * 0.2


def _bounded(paths: frozenset[str]) -> frozenset[str]:
    if len(paths) <= MAX_PATHS:
        return paths
    return frozenset(os.path.dirname(path) + "/*" for path in paths)


def _to_json(record: Record) -> dict[str, Any]:
    return record._asdict() | {"reads": sorted(record.reads), "writes": sorted(record.writes)}


def _load(path: str) -> Learned:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
        with os.fdopen(fd, "rb") as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                return {}, {}, {}
            data = json.loads(file.read(MAX_BYTES))
        records = {
            str(name): Record(
                **(own | {"reads": frozenset(own["reads"]), "writes": frozenset(own["writes"])})
            )
            for name, own in data["scripts"].items()
        }
        modules = {str(exe): list(map(str, names)) for exe, names in data["modules"].items()}
        return records, modules, {tuple(key): dict(facts) for key, facts in data.get("starts", ())}
    except (OSError, ValueError, TypeError, KeyError, AttributeError, RecursionError):
        return {}, {}, {}
