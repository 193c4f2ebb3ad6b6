"""The client cuts an event, or the server goes: what was learned stays, and no hook runs on."""

from __future__ import annotations

import json
import os
import select
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from pathlib import Path

import pytest

import fanout_hooks
from fakes.few import few
from fakes.processes import ends, is_gone
from fakes.sandbox import Entry, Event, Sandbox, prompt
from fanout_hooks.client.hook_input import to_stdin
from fanout_hooks.learn.memory import Memory, path_of
from fanout_hooks.run.plan import WORTH_A_START
from fanout_hooks.warm import messages

ENTRY = str(Path(fanout_hooks.__file__).with_name("__main__.py"))


def _cold(sandbox: Sandbox, event: Event) -> subprocess.Popen[bytes]:
    """Start an event as the client does: in a process group of its own."""
    process = subprocess.Popen(
        [sys.executable, "-I", "-S", ENTRY, "cold", "--scopes", "local"],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        env=sandbox.env | {"FANOUT_STATE_DIR": str(sandbox.state)},
        cwd=sandbox.project,
        start_new_session=True,
    )
    assert process.stdin is not None
    process.stdin.write(to_stdin(sandbox.here(event)))
    process.stdin.close()
    return process


@contextmanager
def _cold_cut(sandbox: Sandbox, event: Event) -> Iterator[None]:
    """Run an event cold, and in the end kill its process group, as the client does at its time limit."""
    process = _cold(sandbox, event)
    try:
        yield
    finally:
        os.killpg(process.pid, signal.SIGKILL)
        process.wait()


@contextmanager
def _supervised(sandbox: Sandbox, event: Event, *, is_killed: bool) -> Iterator[None]:
    """Have a supervisor run an event, and in the end close its socket as the server does, or kill it."""
    ours, theirs = socket.socketpair()
    with ours, theirs:
        process = subprocess.Popen(
            [sys.executable, "-I", "-S", ENTRY, "supervisor", str(theirs.fileno())],
            pass_fds=(theirs.fileno(),),
            env=sandbox.env | {"FANOUT_STATE_DIR": str(sandbox.state)},
            start_new_session=True,
        )
        given = {
            name: value if isinstance(value, str) else json.dumps(value)
            for name, value in sandbox.here(event).items()
        }
        messages.send(ours, {"id": 1, "arguments": given | {"fanout_scopes": "local"}})
        try:
            yield
        finally:
            if is_killed:
                os.killpg(process.pid, signal.SIGKILL)
            ours.close()
            process.wait(20)


WAYS: dict[str, Callable[[Sandbox, Event], AbstractContextManager[None]]] = {
    "the event is cut": _cold_cut,
    "the server ends": partial(_supervised, is_killed=False),
    "the supervisor is killed": partial(_supervised, is_killed=True),
}


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """Return a sandbox with a FIFO `now`, by which a hook says how far it is."""
    own = Sandbox(tmp_path)
    os.mkfifo(own.project / "now")
    return own


def _said(sandbox: Sandbox) -> str:
    """Wait for what a hook writes. Opened for both, so that the wait has an end where no hook comes."""
    said = os.open(sandbox.project / "now", os.O_RDWR)
    try:
        assert select.select([said], [], [], 60)[0], "no hook wrote in 60 s"
        return os.read(said, 4096).decode()
    finally:
        os.close(said)


LASTS = {
    "shell": "sleep 600 & echo $$ $! >pids; sleep 600",
    "python": """
import os, subprocess, time
child = subprocess.Popen(["sleep", "600"])
open("pids", "w").write(f"{os.getpid()} {child.pid}")
time.sleep(600)
""",
}
TELLS = "cat pids >now"
"""Started after the hook that lasts: when it speaks, that one is not just being started any more."""


def _lasting(sandbox: Sandbox, kind: str) -> Entry:
    os.mkfifo(sandbox.project / "pids")
    return sandbox.python("lasts", LASTS[kind]) if kind == "python" else {"command": LASTS[kind]}


@pytest.mark.parametrize("way", few(WAYS, "the event is cut"))
@pytest.mark.parametrize("kind", LASTS)
def test_no_hook_outlives_its_event(sandbox: Sandbox, way: str, kind: str) -> None:
    sandbox.hooks("UserPromptSubmit", _lasting(sandbox, kind), TELLS)
    with WAYS[way](sandbox, prompt()):
        pids = [int(pid) for pid in _said(sandbox).split()]
    assert [ends(pid) for pid in pids] == [True, True]


LEAVES = {
    "shell": "sleep 600 & echo $! >left",
    "python": "import subprocess; open('left', 'w').write(str(subprocess.Popen(['sleep', '600']).pid))",
}


@pytest.mark.parametrize("way", few(WAYS, "the event is cut"))
@pytest.mark.parametrize("kind", LEAVES)
def test_what_a_hook_that_has_ended_left_running_goes_on_as_it_does_natively(
    sandbox: Sandbox, way: str, kind: str
) -> None:
    leaves = sandbox.python("leaves", LEAVES[kind]) if kind == "python" else {"command": LEAVES[kind]}
    lasts = {"command": LASTS["shell"], "name": "lasts", "after": ["leaves"]}
    tells = {"command": TELLS, "after": ["leaves"]}
    os.mkfifo(sandbox.project / "pids")
    sandbox.hooks("UserPromptSubmit", leaves | {"name": "leaves"}, lasts, tells)
    with WAYS[way](sandbox, prompt()):
        pids = [int(pid) for pid in _said(sandbox).split()]
    assert [ends(pid) for pid in pids] == [True, True]
    left = int((sandbox.project / "left").read_text())
    assert not is_gone(left)
    os.kill(left, signal.SIGKILL)


def test_what_a_cut_event_has_learned_stays_so_the_next_one_begins_further_on(sandbox: Sandbox) -> None:
    first = sandbox.script("first", "open('ran', 'a').write('1')")
    cut = "open('ran', 'a').write('2'); open('now', 'w').write('cut'); import time; time.sleep(600)"
    sandbox.hooks(
        "UserPromptSubmit",
        sandbox.python("first", first.read_text()) | {"name": "first"},
        sandbox.python("second", cut, after=["first"]),
        *[sandbox.python(f"more{number}", "") for number in range(WORTH_A_START)],
    )
    for runs in (1, 2):
        with _cold_cut(sandbox, prompt(str(runs))):
            _said(sandbox)
            known = Memory(path_of(str(sandbox.state / "hooks"), str(sandbox.project)))
        assert known.of(str(first)).runs == runs
    assert (sandbox.project / "ran").read_text() == "1212"
