"""Observe what a hook touches while it runs: an audit hook notes every open, rename and child process.

`sys.addaudithook` sees what the program really does and costs nothing that can be measured (21 hooks: 55
events, below 0.1 ms), where reading the source fails (of 902 file accesses in 427 real hooks, 66 % have no
literal path). What it doesn't see: children (so a hook that starts one is known as *spawning*), C libraries
(*opaque*), and stat (which changes nothing).

One run is a lower bound. So effects are united over runs, per content of the script (memory.py keeps them).

Runs under the hooks' interpreter: nothing newer than Python 3.8.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Set as AbstractSet
from typing import Any

SPAWNS = frozenset(
    "subprocess.Popen os.system os.posix_spawn os.exec os.fork os.forkpty os.spawn pty.spawn".split()
)
OPAQUE = frozenset(("ctypes.dlopen", "mmap.__new__", "socket.connect", "socket.bind"))
WRITES = {
    **dict.fromkeys(
        "os.remove os.rmdir os.truncate os.chmod os.utime sqlite3.connect shelve.open".split(), (0,)
    ),
    **dict.fromkeys(("os.link", "os.symlink"), (1,)),
    "os.rename": (0, 1),
}
"""Which arguments of an event name what it writes."""
VARIABLES = frozenset(("os.putenv", "os.unsetenv"))
LISTS = frozenset(("os.listdir", "os.scandir"))
WRITE_FLAGS = os.O_WRONLY | os.O_RDWR | os.O_APPEND | os.O_CREAT | os.O_TRUNC
MAX_EFFECTS = 64
"""Beyond it folders are noted instead of single files."""


class Effects:
    """What one hook did in this run: raw names, made comparable by `settled`."""

    __slots__ = ("opaque", "own", "reads", "spawns", "variables", "writes")

    def __init__(self) -> None:
        self.reads: set[str] = set()
        self.writes: set[str] = set()
        self.own: set[str] = set()
        """Made with O_EXCL under a new name (tempfile): no other hook's business."""
        self.spawns = False
        self.opaque = False
        self.variables: set[bytes] = set()
        """Environment variables set or unset, through `os.environ` or behind it."""

    def settled(self, ignored: tuple[str, ...], searched: frozenset[str]) -> dict[str, Any]:
        """Return the effects as real paths, less the interpreter's own files and the folders it searched."""
        writes = _paths(self.writes - self.own, ignored)
        reads = _paths(self.reads - self.own, ignored) - writes - searched
        return {
            "reads": sorted(covering(reads, MAX_EFFECTS)),
            "writes": sorted(covering(writes, MAX_EFFECTS)),
            "spawns": self.spawns,
            "opaque": self.opaque,
        }


class Watch:
    """The audit hook: installed once (it can't be removed), noting only while a hook runs."""

    __slots__ = ("effects", "pid")

    def __init__(self) -> None:
        self.effects: Effects | None = None
        self.pid = 0

    def install(self) -> None:
        self.pid = os.getpid()
        sys.addaudithook(self._see)

    def _see(self, event: str, args: tuple[Any, ...]) -> None:
        effects = self.effects
        if effects is None:
            return
        if event == "open":
            _opened(effects, args)
        elif event in SPAWNS:
            effects.spawns = True
        elif event in OPAQUE:
            effects.opaque = True
        elif event in WRITES:
            for at in WRITES[event]:
                _note(effects.writes, args[at])
        elif event in VARIABLES:
            effects.variables.add(os.fsencode(args[0]))
        elif event in LISTS:
            _note(effects.reads, args[0] if args else ".")


def _opened(effects: Effects, args: tuple[Any, ...]) -> None:
    path, mode, flags = args
    if not isinstance(path, (str, bytes)):
        return
    number = flags if isinstance(flags, int) else 0
    if number & os.O_EXCL and number & os.O_CREAT:
        _note(effects.own, path)
    writes = number & WRITE_FLAGS or (isinstance(mode, str) and mode[:1] in "wax+")
    _note(effects.writes if writes else effects.reads, path)


def _note(into: set[str], path: Any) -> None:
    if isinstance(path, int):
        return
    try:
        name = os.fsdecode(path)
        into.add(name if name.startswith("/") else os.path.join(os.getcwd(), name))
    except (TypeError, OSError):
        return


def _paths(raw: set[str], ignored: tuple[str, ...]) -> set[str]:
    return {real for real in map(_real, raw) if not real.startswith(ignored)}


def _real(path: str) -> str:
    try:
        return os.path.realpath(path)
    except (OSError, ValueError):
        return path


def covering(paths: AbstractSet[str], most: int) -> AbstractSet[str]:
    """Return at most so many paths or patterns that cover all of these; the deepest are joined first."""
    while len(paths) > most:
        deepest = max(path.count("/") for path in paths)
        paths = {_pattern_above(path) if path.count("/") == deepest else path for path in paths}
    return paths


def _pattern_above(path: str) -> str:
    """Return the pattern of all in a file's folder, of all in the folder above for a pattern."""
    return os.path.join(os.path.dirname(path.rstrip("*").rstrip("/")) or "/", "*")


def ignored_prefixes() -> tuple[str, ...]:
    """Return the places that belong to the interpreter and the system, not to hooks."""
    own = {sys.prefix, sys.base_prefix, sys.exec_prefix, os.path.dirname(os.__file__)}
    real = {os.path.realpath(one) for one in own}
    kept = sorted(one for one in own | real if one not in ("", "/"))
    inner = (one + name for name in ("/lib", "/pyvenv.cfg") for one in kept)
    return (*inner, "/proc/", "/dev/", "/sys/", "/etc/", "/usr/")
