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
import os
import time
from collections.abc import Mapping
from typing import Any, BinaryIO

from fanout_hooks.client import files
from fanout_hooks.client.files import NEW, fcntl

WARM_CLAIM_S = 5.0
"""The client starts both entries at once; a sentinel that comes later than this found no server long ago."""
COLD_CLAIM_S = 600.0
"""A call may wait this long for a server that is starting."""
KEPT_S = {"event": COLD_CLAIM_S, "reported": 7 * 24 * 3600.0}
"""By what a file's name begins with; the latter is longer than a session lasts."""
MAX_CLAIM = 1 << 16
TRIES = 3


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
    for _ in range(TRIES):
        try:
            file = os.fdopen(files.own(path, files.OWN | os.O_APPEND), "rb+", buffering=0)
        except OSError:
            return True
        with file:
            with contextlib.suppress(OSError):  # a file system without locks
                fcntl.flock(file.fileno(), fcntl.LOCK_EX)
            about = os.fstat(file.fileno())
            if about.st_nlink:  # else it was dropped just now: once more
                return _is_ours(file, path, owner, now - about.st_mtime)
    return True


def of_call(server: int, arguments: Mapping[str, Any]) -> str:
    """Return the `owner` of a call to a server: one entry, whether it has loaded or not."""
    return f"server {server} {arguments.get('fanout_gate', '')} {arguments.get('fanout_from', '')}"


def came(where: str, name: str) -> float:
    """Return when one last came to this event, as seconds since the epoch. Raises OSError where none did."""
    return os.stat(os.path.join(where, f"event-{name}")).st_mtime


def _is_ours(file: BinaryIO, path: str, owner: str, age_s: float) -> bool:
    """Say whether no one has come yet, or what the claim was for is over; add ourselves to those who came."""
    came = file.read(MAX_CLAIM).decode("utf-8", "replace").splitlines()
    is_ours = not came or owner in came or age_s >= COLD_CLAIM_S
    try:
        if is_ours:
            file.truncate(0)
        file.write(f"{owner}\n".encode())
    except OSError:  # a full disk: what was found out holds
        if is_ours:
            files.remove(path)
    return is_ours


def report_once(where: str, session: str, text: str) -> bool:
    """Say whether no process of this session has reported a text yet. Where that can't be kept: yes."""
    name = files.digest(f"{session}\n{text}").hex()
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
    for key in keys:
        files.replace(os.path.join(where, f"server-{key}"), f"{pid}\n".encode())


def unmark(where: str, keys: tuple[str, ...], pid: int) -> None:
    for key in keys:
        path = os.path.join(where, f"server-{key}")
        with contextlib.suppress(OSError):
            if _pid_in(path) == str(pid):
                os.unlink(path)
