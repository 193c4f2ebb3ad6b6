"""What was learned of hooks by watching them, per script and its version: an edited hook is a new hook.

A session begins with what the file holds (memory_file.py) and looks at it again when another has saved. Who
saves takes the file's lock, reads what others saved meanwhile, and writes both together: what a hook writes
is locked in every session, so one must know what another has seen. Losing the file costs two slower events.
"""

from __future__ import annotations

import hashlib
import os
from typing import Any

from fanout_hooks import memory_file, record, regular
from fanout_hooks.memory_file import Learned
from fanout_hooks.record import Record, version_of

LOCK_LOOKS = 50
"""A tenth of a second for others to save; then what was learned stays for the next save."""


class Memory:
    """The records of one project; `refresh` before an event, `save` after the answer is out."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._looks = LOCK_LOOKS
        self._seen = version_of(path)
        self._kept = memory_file.load(path)
        """As the file was when it was last read or written."""
        self._records = dict(self._kept.records)
        self.modules = dict(self._kept.modules)
        self.starts = dict(self._kept.starts)
        self._noted: dict[str, None] = {}
        """Scripts of which something was learned that the file doesn't hold."""
        self._started: memory_file.Starts = {}
        self._imported = False
        self.revision = 0
        """Goes up with everything that may change a plan."""

    def of(self, file: str) -> Record:
        version = version_of(file)
        known = self._records.get(file)
        return known if known is not None and known.version == version else Record(version)

    @property
    def written(self) -> frozenset[str]:
        """Everything that some known hook writes."""
        return frozenset(path for own in self._records.values() for path in own.writes)

    def note(
        self, file: str, ms: float, *, effects: dict[str, Any] | None, taint: str = "", crashed: bool = False
    ) -> None:
        """Take in one run."""
        before = self.of(file)
        after = record.after(before, ms, effects, taint, crashed=crashed)
        self._records[file] = after
        # Times drift with every run; the file only has to know what changes a decision.
        if after._replace(ms=before.ms) != before or after.is_warm != before.is_warm:
            self._noted[file] = None
            self.revision += 1

    def note_modules(self, exe: str, names: set[str]) -> None:
        if not names <= set(self.modules.get(exe, ())):
            self.modules[exe] = sorted(names | set(self.modules.get(exe, ())))
            self._imported = True

    def note_start(self, key: tuple[str, ...], facts: dict[str, Any]) -> None:
        """Keep what an interpreter's start decides (startup.py); no facts: forget it."""
        if self.starts.get(key, {}) != facts:
            self._started[key] = facts
            self.starts = _with(self.starts, {key: facts})

    def refresh(self) -> None:
        """Take in what other sessions have saved; a look at the file when none has."""
        seen = version_of(self._path)
        if seen == self._seen:
            return
        self._seen = seen
        theirs = memory_file.load(self._path)
        records = dict(theirs.records)
        for file in self._noted:
            records.pop(file, None)  # what was learned last stands last
            records[file] = self._with_theirs(file, theirs.records.get(file))
        modules = theirs.modules | {
            exe: sorted({*names, *theirs.modules.get(exe, ())}) for exe, names in self.modules.items()
        }
        self.revision += records != self._records
        self._kept, self._records, self.modules = theirs, records, modules
        self.starts = _with(theirs.starts, self._started)

    def save(self) -> None:
        """Write the file anew when something changed that matters; what can't be written waits."""
        if not (self._noted or self._started or self._imported):
            return
        lock = memory_file.locked(self._path, self._looks)
        self._looks = LOCK_LOOKS if lock is not None else 1  # who is held up once doesn't wait again
        if lock is None:
            return
        try:
            self.refresh()
            learned = Learned(dict(self._records), dict(self.modules), dict(self.starts))
            regular.replace(self._path, memory_file.dump(learned))
        except OSError:
            return
        finally:
            os.close(lock)
        self._seen, self._kept = version_of(self._path), learned
        self._noted, self._started, self._imported = {}, {}, False

    def _with_theirs(self, file: str, theirs: Record | None) -> Record:
        ours, base = self._records[file], self._kept.records.get(file)
        if theirs is None:
            return ours
        if theirs.version != ours.version:
            return theirs if theirs.version == version_of(file) else ours
        same = base is not None and base.version == ours.version
        return record.united(theirs, ours, base if base is not None and same else Record(ours.version))


def state_folder(env: dict[str, str]) -> str:
    """Return the user's own folder for what the hooks' processes keep."""
    if env.get("FANOUT_STATE_DIR"):
        return os.path.join(env["FANOUT_STATE_DIR"], "hooks")
    base = env.get("XDG_STATE_HOME") or os.path.join(
        env.get("HOME") or os.path.expanduser("~"), ".local", "state"
    )
    return os.path.join(base, "fanout", "hooks")


def path_of(folder: str, project: str) -> str:
    """Return where a project's records lie: never in the project, whatever FANOUT_STATE_DIR says.

    A repository that sets it could ship records that call its hooks harmless.
    """
    if os.path.realpath(folder).startswith(os.path.realpath(project).rstrip("/") + "/"):
        folder = os.path.join(os.path.expanduser("~"), ".local", "state", "fanout", "hooks")
    return os.path.join(folder, "learned", name_of(project) + ".json")


def name_of(project: str) -> str:
    """Return a project's name in the state folder."""
    return hashlib.sha256(project.encode("utf-8", "surrogateescape")).hexdigest()[:24]


def _with(starts: memory_file.Starts, changed: memory_file.Starts) -> memory_file.Starts:
    """Return starts with the changed ones last, for those are in use; without facts they are left out."""
    kept = {key: facts for key, facts in starts.items() if key not in changed}
    return kept | {key: facts for key, facts in changed.items() if facts}
