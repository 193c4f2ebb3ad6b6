"""Where the gate's history lives: one small file a session, locked for each decision, replaced whole.

A file and not memory, because warm and cold hooks of one session may alternate. Whatever is wrong with it
(locked too long, damaged, not ours) the gate goes on without history, and without history nothing is denied.
"""

from __future__ import annotations

import fcntl
import hashlib
import json
import os
import stat
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from fanout_hooks.gate import Agent, Call, History, Scope, Verdict

LOCK_WAIT_S = 2.0
"""A decision holds the lock for about a millisecond; longer means a stopped process."""
KEEP_SESSIONS_S = 7 * 24 * 3600
MAX_BYTES = 4 << 20
Step = Callable[[History], tuple[History, Verdict]]


class Unusable(Exception):
    """The state can't be used now; the text says why. The gate then passes everything."""


def folder(env: dict[str, str]) -> str:
    """Return the user's own state folder for the gate."""
    if env.get("FANOUT_STATE_DIR"):
        return os.path.join(env["FANOUT_STATE_DIR"], "gate")
    base = env.get("XDG_STATE_HOME") or os.path.join(
        env.get("HOME") or os.path.expanduser("~"), ".local", "state"
    )
    return os.path.join(base, "fanout", "gate")


def update(where: str, session: str, step: Step, wait_s: float = LOCK_WAIT_S) -> Verdict:
    """Run one pure step on a session's history, under its lock. Raises Unusable."""
    name = hashlib.sha256(session.encode("utf-8", "replace")).hexdigest()[:32]
    path = os.path.join(where, name + ".json")
    try:
        os.makedirs(where, mode=0o700, exist_ok=True)
        with _locked(os.path.join(where, name + ".lock"), wait_s):
            before = _read(path)
            after, verdict = step(before)
            if after != before:
                _write(path, after)
    except OSError as error:
        raise Unusable(f"{where}: {error.strerror or error}") from error
    return verdict


def peek(where: str, session: str) -> History:
    """Return a session's history as it stands (files are replaced whole, so no lock is needed)."""
    name = hashlib.sha256(session.encode("utf-8", "replace")).hexdigest()[:32]
    return _read(os.path.join(where, name + ".json"))


def sweep(where: str, now: float) -> int:
    """Remove what sessions of more than a week ago left; return how many files went."""
    gone = 0
    try:
        names = os.listdir(where)
    except OSError:
        return 0
    for name in names:
        path = os.path.join(where, name)
        try:
            if now - os.lstat(path).st_mtime > KEEP_SESSIONS_S:
                os.unlink(path)
                gone += 1
        except OSError:
            continue  # another session swept it first
    return gone


@contextmanager
def _locked(path: str, wait_s: float) -> Iterator[None]:
    fd = os.open(path, os.O_RDWR | os.O_CREAT | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        until = time.monotonic() + wait_s
        while True:
            try:
                fcntl.flock(fd, fcntl.LOCK_EX | fcntl.LOCK_NB)
                break
            except BlockingIOError:
                if time.monotonic() > until:
                    raise Unusable("another process has held the gate's lock for too long") from None
                time.sleep(0.002)
        yield
    finally:
        os.close(fd)


def _read(path: str) -> History:
    try:
        fd = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC)
    except FileNotFoundError:
        return History()
    with os.fdopen(fd, "rb") as file:
        about = os.fstat(file.fileno())
        if not stat.S_ISREG(about.st_mode) or about.st_uid != os.getuid():
            raise Unusable(f"{path} is not a file of ours")
        raw = file.read(MAX_BYTES + 1)
    try:
        return _from_json(json.loads(raw))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError):
        os.replace(path, path + ".damaged")  # kept for whoever wonders; the session starts anew
        return History()


def _write(path: str, history: History) -> None:
    temporary = f"{path}.{os.getpid()}.tmp"
    fd = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_TRUNC | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
    try:
        with os.fdopen(fd, "wb") as file:
            file.write(json.dumps(_to_json(history), ensure_ascii=True, separators=(",", ":")).encode())
        os.replace(temporary, path)
    except OSError:
        os.unlink(temporary)
        raise


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
        return Scope(**(own | calls | lists))

    return History(
        {str(key): scope(own) for key, own in data["scopes"].items()},
        {str(key): Agent(**agent) for key, agent in data["agents"].items()},
    )
