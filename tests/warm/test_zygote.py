"""The process that workers are forked from takes them along, however its supervisor goes."""

from __future__ import annotations

import json
import os
import signal
import socket
import subprocess
import sys
from pathlib import Path

import fanout_hooks
from fakes.processes import ends
from fanout_hooks.warm import messages

ZYGOTE = str(Path(fanout_hooks.__file__).parent / "warm" / "zygote.py")


def _forked(control: socket.socket) -> int:
    """Return the pid of the worker that was reported, and leave the report unread."""
    report = b""
    while not report.endswith(b"}"):
        report = control.recv(4096, socket.MSG_PEEK)
    return int(json.loads(report[messages.HEAD :])["forked"])


def test_a_supervisor_that_goes_with_a_report_unread_leaves_no_worker_behind() -> None:
    control, theirs = socket.socketpair()
    worker, its = socket.socketpair()
    with control, worker:
        with theirs:
            zygote = subprocess.Popen(
                [sys.executable, "-s", ZYGOTE, str(theirs.fileno()), ""], pass_fds=(theirs.fileno(),)
            )
        assert messages.receive(control) == ({"ready": zygote.pid}, [])
        with its:
            messages.send(control, {"do": "fork", "stamp": ""}, (its.fileno(),))
        pid = _forked(control)
        os.kill(pid, signal.SIGSTOP)  # it doesn't notice by itself, as one that runs a hook
        control.close()
        assert zygote.wait(20) == 0
        assert ends(pid)
