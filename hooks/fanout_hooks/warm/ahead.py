"""Forks the hooks' interpreter from our own cold process, while that still reads what the event needs.

A second interpreter costs 10 to 40 ms. Where the hooks' one is the same binary as ours, a fork that has
caught up (startup.py) is the same; what "the same" is was seen at an earlier event, whose zygote was started
by the hooks' own command. The fork looks at itself before it serves: when anything differs (a package was
installed, say) it says so and ends, this event's hooks run a process each, and the next event starts a real
one.
"""

from __future__ import annotations

import gc
import os
import socket
from collections.abc import Iterable
from typing import Any, NamedTuple

from fanout_hooks.learn.memory import Memory
from fanout_hooks.warm import startup, zygote

HARMLESS = "PYTHONDONTWRITEBYTECODE="
"""The one variable of Python's that can be obeyed after the start."""
ALLOWED_FLAGS = frozenset("uBs")

Key = tuple[str, ...]


class ForkedZygote(NamedTuple):
    """A zygote that is just getting ready."""

    key: Key
    control: socket.socket
    pid: int = 0


def fork(memory: Memory, env: dict[str, str]) -> ForkedZygote | None:
    """Fork the interpreter that this project's hooks used last; None when it is not ours to fork."""
    key = next((key for key in reversed(memory.starts) if _is_ours(key, memory.starts[key], env)), None)
    if key is None:
        return None
    ours, theirs = socket.socketpair()
    pid = os.fork()
    if pid == 0:
        try:
            _serve(theirs.detach(), key, memory.starts[key], memory.modules.get(key[0], ()))
        finally:
            os._exit(70)
    theirs.close()
    return ForkedZygote(key, ours, pid)


def _is_ours(key: Key, facts: dict[str, Any], env: dict[str, str]) -> bool:
    python = {f"{name}={value}" for name, value in env.items() if name.startswith("PYTHON")}
    return (
        bool(facts)
        and ALLOWED_FLAGS.issuperset(key[1])
        and {part for part in key if part.startswith("PYTHON")} == python
        and all(one.startswith(HARMLESS) for one in python)
        and startup.is_same_binary(facts["executable"])
    )


def _serve(control: int, key: Key, facts: dict[str, Any], modules: Iterable[str]) -> None:
    """Be the zygote. Nothing of the cold process stays open: its stdout is what the client waits for."""
    os.setsid()
    null = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(null, number)
    os.dup2(control, 3, inheritable=False)
    close_from(4)
    here = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    differs = startup.become(facts, here)
    gc.enable()
    zygote.serve_once(socket.socket(fileno=3), key[1], differs, modules)


def close_from(first: int) -> None:
    """Close every descriptor from this number on."""
    try:
        last = max(map(int, os.listdir("/dev/fd")))
    except OSError:
        last = os.sysconf("SC_OPEN_MAX")
    os.closerange(first, last + 1)
