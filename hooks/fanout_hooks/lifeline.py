"""Ends the processes that we run when we are gone, however we went: even killed with our whole group.

A line of `sh` in a session of its own reads which process groups are at work. Its pipe ends when nobody holds
the other end any more, and then it kills those of the last line. So a hook ends with its event, as natively;
what a hook that has ended left running on purpose goes on, as natively, for its group is named no more.

One gap is left: between a process's start and its naming, some 0.1 ms, in which only we know of it.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterable

WATCH = (
    "groups=; while read -r line; do groups=$line; done; "
    'for group in $groups; do kill -s KILL -- "-$group"; done'
)
ENDING_S = 1.0


class Lifeline:
    """Start it before the first process that it is for."""

    def __init__(self) -> None:
        read, self._pipe = os.pipe()
        try:
            self._watch = subprocess.Popen(
                ["/bin/sh", "-c", WATCH],
                stdin=read,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(read)

    def tell(self, groups: Iterable[int]) -> None:
        """Say which process groups are at work: these, and no others."""
        with contextlib.suppress(OSError):  # somebody killed it
            os.write(self._pipe, (" ".join(map(str, groups)) + "\n").encode())

    def close(self) -> None:
        os.close(self._pipe)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._watch.wait(ENDING_S)
