"""What only POSIX has, for modules that must also import where it is missing (Windows, where no hook runs).

There the locks are none and the flags that are missing are left out: reports and settings of one user are all
that is read and written there.
"""

import os
import time

try:
    import fcntl as fcntl  # noqa: PLC0414 - for others to import
except ImportError:
    from types import SimpleNamespace

    names = ("LOCK_EX", "LOCK_SH", "LOCK_NB", "LOCK_UN")
    fcntl = SimpleNamespace(  # type: ignore[assignment]
        **dict.fromkeys(names, 0), flock=lambda *_: None, lockf=lambda *_: None
    )


def flags(*names: str) -> int:
    """Return the flags of `os.open` by name, without those that the system doesn't have."""
    value = 0
    for name in names:
        value |= getattr(os, name, 0)
    return value


def lock(fd: int, until: float, look_s: float) -> bool:
    """Take a file's lock, by `until` on the monotonic clock at the latest; say whether it was to be had."""
    while True:
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            if time.monotonic() >= until:
                return False
            time.sleep(look_s)
        except OSError:
            return False  # a file system without locks
        else:
            return True
