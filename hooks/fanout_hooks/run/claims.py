"""Decide which process runs an event, the warm path's or the cold one: never two, never none.

Each event has two entries in the settings: a call to the server, and the *sentinel*, a line of `sh` that
looks whether this client's server is there and otherwise runs the hooks itself. Both may come to the same
event: a server that is just starting is waited for by the client, while the sentinel found none. And several
settings files may register the same. So each process that wants to run an event makes a file of its name;
those that come later find it, add their line, and stand down. One that finds its own line there has a new
event in the same words: the client runs equal entries once, so no entry gets one event twice.

The marks that the sentinel looks for: files named after the client's messaging socket and its process, with
the server's process in them. Both, for each may be missing: the client opens its socket beside starting its
servers, and goes on without it if it can't; a launcher (`uv run`) is between the client and the server.
The session's id would not do: after `/clear` hooks carry a new one and the server keeps the old.

A claim lives for as long as others could still come, and no longer: an event without any id of its own (a
notification) may happen again in the same words.
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import time
from collections.abc import Iterator

from fanout_hooks.client import files
from fanout_hooks.client.files import NEW, fcntl

WARM_CLAIM_S = 5.0
"""The client starts both entries at once; a sentinel that comes later than this found no server long ago."""
COLD_CLAIM_S = 600.0
"""A call may wait this long for a server that is starting."""
KEPT_S = {"event": COLD_CLAIM_S, "reported": 7 * 24 * 3600.0}
"""By what a file's name begins with; the latter is longer than a session lasts."""
MAX_CLAIM = 1 << 16


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
    """Say whether this event is ours to run. Without a usable folder it is: better twice than never.

    `owner` is one line that distinguishes an entry of the settings from all others.
    """
    now = time.time() if now is None else now
    path = os.path.join(where, f"event-{name}")
    for _ in range(2):
        try:
            _make(path, owner)
        except FileExistsError:
            with contextlib.suppress(FileNotFoundError):  # dropped just now: once more
                return _is_new(where, path, owner, now)
        except OSError:
            return True
        else:
            return True
    return True


def _make(path: str, owner: str) -> None:
    """Make a claim. Raises OSError; then there is none that others could find."""
    fd = files.own(path, NEW | os.O_APPEND)
    try:
        os.write(fd, f"{owner}\n".encode())
    except OSError:
        os.unlink(path)
        raise
    finally:
        os.close(fd)


def _is_new(where: str, path: str, owner: str, now: float) -> bool:
    """Say whether what the claim was for is over; else add ourselves to those who came for it.

    Raises FileNotFoundError when the claim is gone.
    """
    is_new = False
    try:
        with _alone(where):
            fd = os.open(path, os.O_RDWR | os.O_APPEND | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(fd, "rb+", buffering=0) as file:
                came = file.read(MAX_CLAIM).decode("utf-8", "replace").splitlines()
                is_new = owner in came or now - os.fstat(fd).st_mtime >= COLD_CLAIM_S
                if is_new:
                    file.truncate(0)
                file.write(f"{owner}\n".encode())
    except FileNotFoundError:
        raise
    except OSError:
        return is_new  # a disk that is full between two writes: what was found out holds
    return is_new


@contextlib.contextmanager
def _alone(where: str) -> Iterator[None]:
    fd = os.open(where, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        fcntl.flock(fd, fcntl.LOCK_EX)
        yield
    finally:
        os.close(fd)


def report_once(where: str, session: str, text: str) -> bool:
    """Say whether no process of this session has reported a text yet. Where that can't be kept: yes."""
    name = hashlib.sha256(f"{session}\n{text}".encode("utf-8", "replace")).hexdigest()[:32]
    try:
        os.close(files.own(os.path.join(where, f"reported-{name}"), NEW))
    except FileExistsError:
        return False
    except OSError:
        return True
    return True


def drop(where: str, name: str) -> None:
    files.remove(os.path.join(where, f"event-{name}"))


def sweep(where: str, now: float | None = None) -> None:
    """Remove claims that none can come for any more, and marks of servers that are gone."""
    now = time.time() if now is None else now
    try:
        names = os.listdir(where)
    except OSError:
        return
    for name in names:
        path, kept_s = os.path.join(where, name), KEPT_S.get(name.partition("-")[0])
        with contextlib.suppress(OSError):
            if kept_s is None:
                is_over = not files.is_running(_pid_in(path))
            else:
                is_over = now - os.lstat(path).st_mtime > kept_s
            if is_over:
                os.unlink(path)


def _pid_in(path: str) -> str:
    with open(path, errors="replace") as file:
        return file.read(20).strip()


def mark(where: str, keys: tuple[str, ...], pid: int) -> None:
    """Leave the signs by which sentinels know that this client's server is there. Raises OSError."""
    os.makedirs(where, mode=0o700, exist_ok=True)
    for key in keys:
        files.replace(os.path.join(where, f"server-{key}"), f"{pid}\n".encode())


def unmark(where: str, keys: tuple[str, ...], pid: int) -> None:
    for key in keys:
        path = os.path.join(where, f"server-{key}")
        with contextlib.suppress(OSError):
            if _pid_in(path) == str(pid):
                os.unlink(path)
