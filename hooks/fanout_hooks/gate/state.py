"""Where the gate's history lives: one small file a session, locked for each decision, replaced whole.

A file and not memory, because warm and cold hooks of one session may alternate. Whatever is wrong with it
(locked too long, damaged, not ours) the gate goes on without history, and without history nothing is denied.
"""

from __future__ import annotations

import contextlib
import json
import os
import time
from collections.abc import Callable
from typing import Any, NamedTuple, TypeVar

from fanout_hooks.client import files
from fanout_hooks.client.files import fcntl
from fanout_hooks.client.home import state_folder
from fanout_hooks.gate import governor
from fanout_hooks.gate.gate import Agent, Call, History, Scope, Verdict

KEEP_SESSIONS_S = 7 * 24 * 3600
MAX_BYTES = 4 << 20
DAMAGE = (ValueError, TypeError, KeyError, AttributeError, RecursionError)
"""What reading something else than our own JSON comes to."""
Step = Callable[[History], tuple[History, Verdict]]
T = TypeVar("T")


class Unusable(Exception):
    """The state can't be used now; the text says why. The gate then passes everything."""


def folder(env: dict[str, str]) -> str:
    return os.path.join(os.path.dirname(state_folder(env)), "gate")


class Done(NamedTuple):
    verdict: Verdict
    note: str = ""


def attempt(where: str, session: str, step: Step) -> Done | None:
    """Run one pure step on a session's history, under its lock. None: another process holds it now.

    It never waits, for it is called in a loop that serves other events too. Raises Unusable.
    """
    path = _path(where, session)

    def change() -> Done:
        before, note = _read(path)
        after, verdict = step(before)
        if after != before:
            is_new = not os.path.exists(path)
            files.replace(path, json.dumps(_to_json(after), separators=(",", ":")).encode())
            if is_new:
                sweep(where, time.time())
        return Done(verdict, note)

    return _locked(path, change)


def peek(where: str, session: str) -> History:
    """Return a session's history as it is now (files are replaced whole, so no lock is needed)."""
    try:
        raw = _load(_path(where, session))
        return History() if raw is None else _from_json(json.loads(raw))
    except OSError as error:
        raise Unusable(f"{where}: {error.strerror or error}") from error
    except DAMAGE:
        return History()  # the next step, under the lock, sets it aside


def count(where: str, step: Callable[[governor.Ledger], tuple[governor.Ledger, T]]) -> T | None:
    """Run a pure step on the ledger of all sessions, under its lock; return its value.

    None: another process holds the lock now. Raises Unusable.
    """
    path = os.path.join(where, governor.FILE)

    def change() -> T:
        before = governor.read(path)
        after, value = step(before)
        if after != before:
            governor.write(path, after)
        return value

    return _locked(path, change)


def has_launches(where: str, session: str) -> bool:
    """Say whether agents of a session are counted as running, without a lock: a look before most events."""
    path = os.path.join(where, governor.FILE)
    try:
        raw = files.read(path, governor.MAX_BYTES)
    except OSError:
        return False
    if json.dumps(session).encode() not in raw:
        return False
    return any(own.session == session and not own.ended for own in governor.parsed(raw).launches)


def _path(where: str, session: str) -> str:
    return os.path.join(where, files.digest(session).hex() + ".json")


def sweep(where: str, now: float) -> int:
    """Remove what sessions of more than a week ago left; return how many files went.

    A lock's own time says nothing (it is never written): it goes with its session.
    """
    gone = 0
    try:
        names = os.listdir(where)
    except OSError:
        return 0
    for name in names:
        path = os.path.join(where, name)
        try:
            if now - _last_used(path) > KEEP_SESSIONS_S:
                os.unlink(path)
                gone += 1
        except OSError:
            continue  # another session swept it first
    return gone


def _last_used(path: str) -> float:
    with contextlib.suppress(FileNotFoundError):
        return os.lstat(path.removesuffix(".lock")).st_mtime
    return os.lstat(path).st_mtime


def _locked(path: str, change: Callable[[], T]) -> T | None:
    """Change a file under its lock; None: another process holds it. Raises Unusable, for the change, too."""
    try:
        fd = files.own(path + ".lock")
        try:
            fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return change()
        except BlockingIOError:
            return None
        finally:
            os.close(fd)
    except OSError as error:
        raise Unusable(f"{path}: {error.strerror or error}") from error


def _read(path: str) -> tuple[History, str]:
    """Return the history and, when the file was damaged and set aside, a note that says so."""
    raw = _load(path)
    if raw is None:
        return History(), ""
    try:
        return _from_json(json.loads(raw)), ""
    except DAMAGE:
        os.replace(path, path + ".damaged")  # kept for the curious; the session starts again
        return History(), f"had a damaged history: it is set aside as {path}.damaged, and a new one is begun"


def _load(path: str) -> bytes | None:
    try:
        with files.opened(path) as file:
            if os.fstat(file.fileno()).st_uid != os.getuid():
                raise Unusable(f"{path} is not a file of ours")
            return file.read(MAX_BYTES + 1)
    except FileNotFoundError:
        return None


def _to_json(history: History) -> dict[str, Any]:
    def scope(own: Scope) -> dict[str, Any]:
        return own._replace(open=(), last=())._asdict() | {
            "open": [call._asdict() for call in own.open],
            "last": [call._asdict() for call in own.last],
        }

    return {
        "scopes": {key: scope(own) for key, own in history.scopes.items()},
        "agents": {key: agent._asdict() for key, agent in history.agents.items()},
    }


def _from_json(data: dict[str, Any]) -> History:
    def scope(own: dict[str, Any]) -> Scope:
        calls = {name: tuple(Call(**call) for call in own[name]) for name in ("open", "last")}
        lists = {name: tuple(own[name]) for name in ("sent_back", "split")}
        known = {name: own[name] for name in Scope._fields if name in own}  # another version may have others
        return Scope(**(known | calls | lists))

    return History(
        {str(key): scope(own) for key, own in data["scopes"].items()},
        {str(key): Agent(**agent) for key, agent in data["agents"].items()},
    )
