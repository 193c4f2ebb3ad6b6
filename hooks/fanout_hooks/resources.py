"""Locks on what hooks write, across events, sub-agents and sessions.

The race that costs users their state is between events: 20 parallel runs of one read-modify-write hook kept
1 to 4 of 20 updates. So before a hook runs, everything it is known to write is locked. Within this process a
table gives all of it at once, to one who holds nothing; between processes it is `flock` on one small file a
resource, in the user's own state folder, taken in sorted order. So nothing can block in a circle.

A lock that another process holds for too long (it was stopped, say) is passed over, and that is noted. Within
this process a run waits as long as the hooks before it may take by their own limits.
"""

from __future__ import annotations

import fcntl
import hashlib
import os
from typing import NamedTuple

from fanout_hooks.loop import Future, Loop

POLL_S = 0.004
MAX_WAIT_S = 10.0


class Held(NamedTuple):
    """What one run holds; give it back with `release`."""

    keys: dict[str, bool]
    fds: tuple[int, ...]
    late: str = ""
    """The resource whose lock did not come in time."""


class Locks:
    def __init__(self, loop: Loop, folder: str) -> None:
        self._loop = loop
        self._folder = folder
        self._held: dict[str, int] = {}
        """Per key the number of readers, or -1 for a writer."""
        self._waiting: list[Future[bool]] = []

    async def acquire(self, keys: dict[str, bool], max_wait_s: float = MAX_WAIT_S) -> Held:
        """Lock all keys (True: for writing). Returns in any case."""
        if not keys:
            return Held({}, ())
        while not all(self._free(key, writes=writes) for key, writes in keys.items()):
            freed: Future[bool] = Future()
            self._waiting.append(freed)
            await freed
        for key, writes in keys.items():
            self._held[key] = -1 if writes else self._held.get(key, 0) + 1
        return await self._between_processes(keys, max_wait_s)

    def release(self, held: Held) -> None:
        for fd in held.fds:
            os.close(fd)
        for key, writes in held.keys.items():
            left = 0 if writes else self._held[key] - 1
            if left:
                self._held[key] = left
            else:
                self._held.pop(key, None)
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set(True)

    def _free(self, key: str, *, writes: bool) -> bool:
        count = self._held.get(key, 0)
        return count == 0 or (count > 0 and not writes)

    async def _between_processes(self, keys: dict[str, bool], max_wait_s: float) -> Held:
        fds: list[int] = []
        late = ""
        waited = 0.0
        for key in sorted(keys):
            fd = self._open(key)
            if fd is None:
                continue
            kind = fcntl.LOCK_EX if keys[key] else fcntl.LOCK_SH
            while True:
                try:
                    fcntl.flock(fd, kind | fcntl.LOCK_NB)
                except OSError:
                    if waited >= max_wait_s:
                        late = late or key
                        break
                    await self._loop.sleep(POLL_S)
                    waited += POLL_S
                else:
                    break
            fds.append(fd)
        return Held(keys, tuple(fds), late)

    def _open(self, key: str) -> int | None:
        name = hashlib.sha256(key.encode("utf-8", "surrogateescape")).hexdigest()[:32]
        path = os.path.join(self._folder, name)
        flags = os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC
        try:
            return os.open(path, flags, 0o600)
        except FileNotFoundError:
            try:
                os.makedirs(self._folder, mode=0o700, exist_ok=True)
                return os.open(path, flags, 0o600)
            except OSError:
                return None
        except OSError:
            return None  # no lock is better than no hook; within this process the table still holds
