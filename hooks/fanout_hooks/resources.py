"""Locks on what hooks write, across events, sub-agents and sessions.

The race that costs users their state is between events: 20 parallel runs of one read-modify-write hook kept
1 to 4 of 20 updates. So before a hook runs, everything it is known to write is locked. Within this process a
table does it, all at once or none. Between processes each key is a byte, by its hash, of one file in the
user's own state folder: any number of locks costs one descriptor, leaves nothing to sweep, and ends with its
process. Bytes are taken in their order, so that nobody can hold what another one needs first.

The holders in this process end at their own limits. A lock that another process keeps for too long (it was
stopped, say) is passed over, and that is noted.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import NamedTuple

from fanout_hooks.loop import Future, Loop

POLL_S = 0.004
MAX_WAIT_S = 10.0
NAME = "held"


class Held(NamedTuple):
    """What one run holds; give it back with `release`."""

    keys: dict[str, bool]
    note: str = ""
    """What a reader of the log should know: which lock was not to be had, and why."""


class Locks:
    def __init__(self, loop: Loop, folder: str) -> None:
        self._loop = loop
        self._path = os.path.join(folder, NAME)
        self._fd = -1
        self._held: dict[str, int] = {}
        """Per key the number of readers, or -1 for a writer."""
        self._waiting: list[Future[bool]] = []

    async def acquire(self, keys: dict[str, bool], max_wait_s: float = MAX_WAIT_S) -> Held:
        """Lock all keys (True: for writing). Returns in any case."""
        if not keys:
            return Held({})
        while not all(self._free(key, writes=writes) for key, writes in keys.items()):
            freed: Future[bool] = Future()
            self._waiting.append(freed)
            await freed
        try:
            self._open()  # before the table says that something is held
        except OSError as error:
            note = f"went on without locks: {self._path}: {error.strerror or error}"
        else:
            note = ""
        for key, writes in keys.items():
            self._held[key] = -1 if writes else self._held.get(key, 0) + 1
        return Held(keys, note or await self._between_processes(keys, max_wait_s))

    def release(self, held: Held) -> None:
        for key, writes in held.keys.items():
            left = 0 if writes else self._held[key] - 1
            if left:
                self._held[key] = left
            else:
                self._held.pop(key, None)
                self._unlock(_byte(key))
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set(True)

    def _free(self, key: str, *, writes: bool) -> bool:
        count = self._held.get(key, 0)
        return count == 0 or (count > 0 and not writes)

    async def _between_processes(self, keys: dict[str, bool], max_wait_s: float) -> str:
        """Return what is to be noted. Who has a byte in this process has it for all readers in it."""
        note, waited = "", 0.0
        for byte, key in sorted((_byte(key), key) for key in keys):
            kind = fcntl.LOCK_EX if keys[key] else fcntl.LOCK_SH
            while True:
                try:
                    fcntl.lockf(self._fd, kind | fcntl.LOCK_NB, 1, byte)
                    break
                except (BlockingIOError, PermissionError):
                    if waited >= max_wait_s:
                        note = note or f"went on without the lock of {key}: another process keeps it"
                        break
                except OSError as error:
                    return f"went on without the lock of {key}: {error.strerror or error}"
                await self._loop.sleep(POLL_S)
                waited += POLL_S
        return note

    def _unlock(self, byte: int) -> None:
        if self._fd < 0:
            return
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)
        except OSError:
            return  # the process's end gives it back

    def _open(self) -> None:
        """Have the file open. Closing it gives back every lock, so it stays until somebody has removed it."""
        if self._fd >= 0 and (self._held or os.fstat(self._fd).st_nlink):
            return
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            self._fd = os.open(self._path, flags, 0o600)
        except FileNotFoundError:
            os.makedirs(os.path.dirname(self._path), mode=0o700, exist_ok=True)
            self._fd = os.open(self._path, flags, 0o600)


def _byte(key: str) -> int:
    """Return a key's place in the file, below 2^62: what all systems can lock."""
    digest = hashlib.blake2b(key.encode("utf-8", "surrogateescape"), digest_size=8).digest()
    return int.from_bytes(digest, "big") >> 2
