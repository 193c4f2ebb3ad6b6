"""The process that workers are forked from; the hooks' own command starts it.

`python3 -s zygote.py FD FLAGS`: whatever `python3` is (a virtual environment's, a version manager's), its
path, site packages and environment are the hooks' own, because nothing but that command decided them. It
imports little, starts no thread, runs no hook, and so can fork at any time. The supervisor starts it as a new
process, never by forking: it stays free of what the supervisor is.

Commands over the socket: {"do": "fork", "stamp"} with a socket for the child, {"do": "kill", "pid"},
{"do": "spare", "pid"} (that one may outlive us), {"do": "leave", "pid"} (what its hooks started may outlive
it), {"do": "import", "names"}. It reports {"ready": its pid}, {"forked": pid}, {"died": pid, "status"}.

Runs under the hooks' interpreter: nothing newer than Python 3.8; older ones are sent away.
"""

from __future__ import annotations

import sys

if sys.version_info < (3, 8):  # noqa: UP036 - this file is run by whatever Python the hooks' command is
    sys.exit("fanout: this Python is older than 3.8, so its hooks run one process each")

import os
import select
import signal
import socket
from collections.abc import Iterable
from os import _exit
from typing import Any

_OWN = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def _borrow() -> Any:
    """Import our worker.py, and leave no trace of our folder for the hooks."""
    first = sys.path[0] if sys.path else ""
    here = os.path.dirname(os.path.abspath(__file__))
    if first and os.path.abspath(first) == here:
        del sys.path[0]
    sys.path.insert(0, _OWN)
    # The user's PYTHONDONTWRITEBYTECODE is about their folders; without a cache of ours each start compiles.
    writes, sys.dont_write_bytecode = sys.dont_write_bytecode, False
    try:
        import importlib.machinery

        from fanout_hooks.warm import worker
    finally:
        sys.path.remove(_OWN)
        sys.dont_write_bytecode = writes
    del importlib
    for name in [name for name in sys.modules if name.partition(".")[0] == "fanout_hooks"]:
        del sys.modules[name]
    sys.path_importer_cache.clear()
    return worker


class Zygote:
    """Forks on request, reaps what it forked, and takes everything along when the supervisor goes."""

    def __init__(self, control: socket.socket, flags: str, worker: Any) -> None:
        self.control = control
        self.flags = flags
        self.worker = worker
        self.children: set[int] = set()
        self.spared: set[int] = set()
        self.single: set[int] = set()
        """Workers whose hook has ended and left processes in their group on purpose, as it may natively."""
        self.wakeup, write = os.pipe()
        for fd in (self.wakeup, write):
            os.set_blocking(fd, False)
        signal.signal(signal.SIGCHLD, lambda *_: None)
        signal.set_wakeup_fd(write, warn_on_full_buffer=False)
        self.write = write

    def serve(self) -> None:
        """Serve until the other side is gone: by its end, or by an error where something was left unread."""
        try:
            self._serve()
        except ConnectionError:
            self._end()

    def _serve(self) -> None:
        while True:
            ready, _, _ = select.select([self.control.fileno(), self.wakeup], [], [])
            if self.wakeup in ready:
                os.read(self.wakeup, 4096)
                self._reap()
            if self.control.fileno() in ready:
                got = self.worker.receive(self.control)
                if got is None:
                    self._end()
                self._handle_command(*got)

    def _handle_command(self, message: dict[str, Any], fds: list[int]) -> None:
        if message["do"] == "fork":
            self._fork(fds[0], bytes.fromhex(message["stamp"]))
        elif message["do"] == "kill" and message["pid"] in self.children:
            self._kill(message["pid"])
        elif message["do"] == "spare":
            self.spared.add(message["pid"])
        elif message["do"] == "leave":
            self.single.add(message["pid"])
        elif message["do"] == "import":
            _import(message["names"])

    def _fork(self, fd: int, stamp: bytes) -> None:
        pid = os.fork()
        if pid == 0:
            signal.set_wakeup_fd(-1)
            for own in (self.wakeup, self.write):
                os.close(own)
            self.control.close()
            try:
                self.worker.become(socket.socket(fileno=fd), self.flags, stamp)
            finally:
                _exit(70)  # whatever a hook made of os._exit: it must not go on as a second zygote
        self.children.add(pid)
        os.close(fd)
        self.worker.send(self.control, {"forked": pid})

    def _reap(self) -> None:
        while self.children:
            try:
                pid, status = os.waitpid(-1, os.WNOHANG)
            except ChildProcessError:
                return
            if pid == 0:
                return
            self.children.discard(pid)
            self.spared.discard(pid)
            self.single.discard(pid)
            code = -os.WTERMSIG(status) if os.WIFSIGNALED(status) else os.WEXITSTATUS(status)
            self.worker.send(self.control, {"died": pid, "status": code})

    def _end(self) -> None:
        for pid in self.children - self.spared:
            self._kill(pid)
        os._exit(0)

    def _kill(self, pid: int) -> None:
        for end in (os.kill,) if pid in self.single else (os.killpg, os.kill):
            try:
                end(pid, signal.SIGKILL)
            except OSError:
                continue


def _import(names: Iterable[str]) -> None:
    """Load standard modules that hooks were seen to use, so that new workers have them from the start."""
    import importlib

    for name in names:
        try:
            importlib.import_module(name)
        except Exception:  # noqa: BLE001, S112 - a module that hooks may import, but that doesn't load here
            continue


def main() -> None:
    """Serve until the other side is gone."""
    control = socket.socket(fileno=int(sys.argv[1]))
    os.set_inheritable(control.fileno(), False)
    flags = sys.argv[2]
    del sys.argv[1:]
    worker = _borrow()
    worker.send(control, {"ready": os.getpid()})
    Zygote(control, flags, worker).serve()


if __name__ == "__main__":
    main()
