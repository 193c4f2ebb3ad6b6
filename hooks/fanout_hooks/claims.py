"""Who runs an event: the warm path, or the cold one. Never both, never neither.

Each event has two entries in the settings: a call to the server, and the *sentinel*, a line of `sh` that
looks whether this client's server is there and otherwise runs the hooks itself. Both may come to the same
event: a server that is just starting is waited for by the client, while the sentinel found none. So whoever
wants to run an event makes a file of its name; the second to come finds it, and stands down.

The marks that the sentinel looks for: files named after the client's messaging socket and its process, with
the server's process in them. Both, for each may be missing: the client opens its socket beside starting its
servers, and goes on without it if it can't; a launcher (`uv run`) stands between the client and the server.
The session's id would not do: after `/clear` hooks carry a new one and the server keeps the old.

A claim lives for as long as the other path could still come, and no longer: an event without any id of its
own (a notification) may happen again in the same words.
"""

from __future__ import annotations

import contextlib
import os
import time

WARM_CLAIM_S = 5.0
"""The client starts both entries at once; a sentinel that comes later than this found no server long ago."""
COLD_CLAIM_S = 600.0
"""A call may wait this long for a server that is starting."""


def folder(state_folder: str) -> str:
    return os.path.join(state_folder, "alive")


def client_keys(env: dict[str, str], client: int) -> tuple[str, ...]:
    """Return the names of the client that started us, of which its hooks know one at least.

    The plugin's server has some of its own: entries that call the other one must not take it for theirs.
    """
    socket = os.path.basename(env.get("CLAUDE_CODE_MESSAGING_SOCKET", ""))
    kind = "@plugin" if env.get("CLAUDE_PLUGIN_ROOT") else ""
    return tuple(f"{key}{kind}" for key in (socket, f"pid-{client}") if key)


def claim(where: str, name: str, owner: str, now: float | None = None) -> bool:
    """Say whether this event is ours to run. Without a usable folder it is: better twice than never."""
    now = time.time() if now is None else now
    path = os.path.join(where, f"event-{name}")
    for _ in range(2):
        try:
            fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        except FileExistsError:
            if _stands(path, owner, now):
                return False
            with contextlib.suppress(OSError):
                os.unlink(path)
        except FileNotFoundError:
            with contextlib.suppress(OSError):
                os.makedirs(where, mode=0o700, exist_ok=True)
        except OSError:
            return True
        else:
            os.write(fd, owner.encode())
            os.close(fd)
            return True
    return True


def _stands(path: str, owner: str, now: float) -> bool:
    """Say whether somebody else's claim still counts; it is used up by the one who stood down for it."""
    try:
        with open(path) as file:
            by = file.read(200)
        age = now - os.lstat(path).st_mtime
        if by == owner:
            return False  # the same path never gets one event twice: this is a new one in the same words
        os.unlink(path)
    except OSError:
        return True
    return age < COLD_CLAIM_S


def drop(where: str, name: str) -> None:
    with contextlib.suppress(OSError):
        os.unlink(os.path.join(where, f"event-{name}"))


def sweep(where: str, now: float | None = None) -> None:
    """Remove claims that nobody can come for any more, and marks of servers that are gone."""
    now = time.time() if now is None else now
    try:
        names = os.listdir(where)
    except OSError:
        return
    for name in names:
        path = os.path.join(where, name)
        with contextlib.suppress(OSError):
            if name.startswith("event-"):
                if now - os.lstat(path).st_mtime > COLD_CLAIM_S:
                    os.unlink(path)
            elif not _is_alive(path):
                os.unlink(path)


def _is_alive(path: str) -> bool:
    with open(path) as file:
        text = file.read(20).strip()
    try:
        os.kill(int(text), 0)
    except (ValueError, ProcessLookupError):
        return False
    except PermissionError:
        return True
    return True


def mark(where: str, keys: tuple[str, ...], pid: int) -> None:
    """Leave the signs by which sentinels know that this client's server is there. Raises OSError."""
    os.makedirs(where, mode=0o700, exist_ok=True)
    for key in keys:
        path = os.path.join(where, f"server-{key}")
        temporary = f"{path}.{os.getpid()}.tmp"
        fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        os.write(fd, f"{pid}\n".encode())
        os.close(fd)
        os.replace(temporary, path)


def unmark(where: str, keys: tuple[str, ...], pid: int) -> None:
    for key in keys:
        path = os.path.join(where, f"server-{key}")
        with contextlib.suppress(OSError), open(path) as file:
            if file.read(20).strip() == str(pid):
                os.unlink(path)
