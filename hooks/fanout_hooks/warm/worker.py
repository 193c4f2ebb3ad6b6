"""Run Python hooks one after another in one process, as if each had its own.

Theory of operation. A hook's price is its interpreter (15 to 40 ms), not its own work (0.1 ms). So one
process, forked from a zygote of the very interpreter that the hooks' command names, runs them in turn. Before
each hook it gives what a fresh process would have: a fresh `__main__`, stdin, stdout and stderr on fresh
descriptors, environment, folder, umask, path, argv, signals. After each it ends the hook as an interpreter
would (threads joined, atexit run, buffers flushed, objects dropped) and looks whether anything stayed behind.
What can be put back is put back; anything else is *taint*: it is reported, and the process is not used again.

Three looks, by price:
  prevent  before and after each hook: everything that is cheap to set
  check    after each hook: descriptors, threads
  deep     every module, its classes, limits: at once after a hook whose code could change them, or whom we
           don't know yet, and after the last hook of an event, when its answer is out: until then the
           processor is for hooks in other interpreters

A crash or a hang ends the hook, and no other: the supervisor sees which hook had no result yet,
its output so far is in memory that outlives us, and the next process goes on with the next hook.

A hook may replace any function and write into any descriptor. So what runs here after a hook uses only
messages.py; a row goes out before the next hook begins, over a socket whose other end no hook can reach, with
the stamp that only we and the supervisor know; and before each hook we say whether this process may be used
after it. What the supervisor can't read costs the hook that had begun its answer, and ends this process.

This file runs under the hooks' interpreter, not under ours: nothing newer than Python 3.8, standard library
only, and as few imports as possible, for each is already there when a hook looks at sys.modules.
"""

from __future__ import annotations

import _socket
import sys
from fcntl import F_DUPFD_CLOEXEC
from fcntl import fcntl as _fcntl
from os import _exit
from typing import TYPE_CHECKING, Any

from fanout_hooks.learn.observe import Effects, Watch, ignored_prefixes
from fanout_hooks.warm import program
from fanout_hooks.warm.messages import HEAD, encode, io, os, receive, send, signal, time
from fanout_hooks.warm.pristine import Pristine, open_fds

if TYPE_CHECKING:
    import socket
    from collections.abc import Callable

SMALL_STDIN = 48 * 1024
"""Fits a socket's buffer whole: then stdin is a socket, as under the client; else a file in memory."""
LARGE_OUTPUT = 64 * 1024
"""More stays in its file, and the process that wrote it is not used again: rows fit a socket's buffer."""
FD_FLOOR = 200
"""Our own descriptors live above; a hook's own come from 3 upwards, as in a fresh process."""


REPORT_S = 0.005
"""Hooks outside this process may wait for a result; one message for several costs both sides less."""
MAX_KNOWN = 4096
"""Raw paths remembered of a script: one that makes a new file each time must not fill the memory."""
_DONTWAIT = _socket.MSG_DONTWAIT
_socketpair = _socket.socketpair
NOISY = frozenset(("antigravity", "this", "__main__"))
"""Standard modules that do something when imported."""


class Worker:
    """This process: what it may use, and the picture of how it has to look between hooks."""

    def __init__(self, sock: Any, flags: str, stamp: bytes) -> None:
        self.sock = sock
        self.stamp = stamp
        self.parent = os.getppid()
        self.unbuffered = "u" in flags
        self.safe_path = "I" in flags or "P" in flags or bool(getattr(sys.flags, "safe_path", False))
        self.watch = Watch()
        self.watch.install()
        self.programs = program.Programs()
        self.known: dict[tuple[str, tuple[int, ...]], set[str]] = {}
        self.forms = {
            number: (stream.encoding, stream.errors)
            for number, stream in enumerate((sys.__stdin__, sys.__stdout__, sys.__stderr__))
            if stream is not None
        }
        self.pristine = Pristine(frozenset(open_fds()))
        self.real: dict[str, str] = {}
        self.reported = set(sys.modules)

    def serve(self) -> None:
        """Run jobs until the supervisor has gone. Does not return when a hook ends the process."""
        while True:
            got = receive(self.sock)
            if got is None:
                _exit(0)
            message, fds = got
            fds = [_parked(fd) for fd in fds]
            self.run(message, fds)
            for fd in fds:
                os.close(fd)
            self.pristine.picture.accept()

    def run(self, job: dict[str, Any], fds: list[int]) -> None:
        """Run one event's hooks in order, then look at everything.

        Results go row by row over a socket of this event; messages only say that there are some, or that it
        is over. Then a message asks for the look, and the last one says whether this process may be used
        again.
        """
        stdin, out, err, results = fds
        rows = _socket.socket(fileno=results)
        kept = self.pristine.kept_fds
        self.pristine.kept_fds = kept | frozenset(fds)
        size = os.fstat(stdin).st_size
        payload = os.pread(stdin, size, 0) if size <= SMALL_STDIN else None
        taint, reported_at, last = "", time.monotonic(), False
        for hook in job["hooks"]:
            file = os.path.join(job["cwd"], hook["script"])
            last = self.programs.reaches_in(file, hook["script"])

            def begin(place: int = hook["i"], last: bool = last) -> None:  # noqa: FBT001 - bound, not passed
                self._row(rows, {"begin": place, "last": last, "at": time.monotonic()})

            result = self._one(hook, job, (stdin, out, err), payload, begin)
            taint = self._note(rows, result, out, err)
            if taint or last:
                break
            if time.monotonic() - reported_at > REPORT_S and hook is not job["hooks"][-1]:
                reported_at = time.monotonic()
                self._send({"more": True})
        self._send({"over": True})
        self._drop_output()
        rows.detach()
        if receive(self.sock) is None:
            _exit(0)
        self.pristine.kept_fds = kept | frozenset(fds)
        self.pristine.reseed()
        taint = taint or self.pristine.taint(deep=True)
        self.pristine.kept_fds = kept
        self._send({"done": True, "taint": taint, "modules": self._new_modules()})

    def _one(
        self,
        hook: dict[str, Any],
        job: dict[str, Any],
        fds: tuple[int, int, int],
        payload: bytes | None,
        begin: Callable[[], None],
    ) -> dict[str, Any]:
        effects = Effects()
        began = time.perf_counter()
        self._reset_process(hook, job, fds, payload)
        script, file = hook["script"], os.path.join(job["cwd"], hook["script"])
        self.watch.effects = effects
        try:
            status = program.start(self.programs, file, script, begin)
        except BaseException:
            _end_as(1)
            raise
        self.watch.effects = None
        if os.getpid() != self.watch.pid:
            _exit(status & 0xFF)  # a hook's own child that went on as if it were the hook
        try:
            self.pristine.put_back()
            self.pristine.put_back_variables(effects.variables)
            taint = "started a process" if effects.spawns else self._taint(file, deep=hook["deep"])
            if os.getppid() != self.parent:
                taint = "ended the process that it was forked from"
            return {
                "i": hook["i"],
                "exit": status,
                "ms": round((time.perf_counter() - began) * 1000, 3),
                "taint": taint,
                "spoilt": self._spoilt(file),
                "at": time.monotonic(),
                "effects": self._new_effects(file, effects),
            }
        except BaseException:
            _end_as(status)
            raise

    def _taint(self, file: str, *, deep: bool) -> str:
        deep = deep or self.pristine.had_foreign or self.programs.may_patch(file)
        if deep:
            self.pristine.reseed()
        return self.pristine.taint(deep=deep)

    def _spoilt(self, file: str) -> str:
        """Return why this process can't go on although the hook did nothing wrong that we could see."""
        picture = self.pristine.picture
        if self.programs.may_patch(file) and picture.new():
            return "loaded modules that it may have changed"
        # A helper's code was not looked at. Standard modules only: they are there from the start of the next
        # worker, while what is installed would cost each event one.
        if self.pristine.had_foreign and picture.has_new_standard():
            return "loaded modules that its own may have changed"
        return ""

    def _new_modules(self) -> list[str]:
        if self.pristine.is_shared and self.pristine.picture.bound():
            return []
        standard = getattr(sys, "stdlib_module_names", ())
        loaded = set(sys.modules) - self.reported
        self.reported |= loaded
        return sorted(name for name in loaded if name.partition(".")[0] in standard and name not in NOISY)

    def _note(self, rows: Any, result: dict[str, Any], out: int, err: int) -> str:
        """Hand out a hook's result with what it printed; return why this process can't go on, or ""."""
        try:
            sizes = [os.fstat(fd).st_size for fd in (out, err)]
            is_large = sum(sizes) > LARGE_OUTPUT
            if is_large:
                result["spoilt"] = result["spoilt"] or "printed much"
                result["kept"] = True
                self._row(rows, result)
                return str(result["spoilt"])
            printed = [os.pread(fd, size, 0) for fd, size in zip((out, err), sizes)]  # noqa: B905 - 3.8
            self._row(rows, result, *printed)
            for fd, size in zip((out, err), sizes):  # noqa: B905 - as above
                if size:
                    os.ftruncate(fd, 0)
                os.lseek(fd, 0, os.SEEK_SET)
        except BaseException:
            _end_as(result["exit"])  # the hook closed our files: its exit code is all that can be reported
            raise
        return str(result["taint"] or result["spoilt"])

    def _row(self, rows: Any, row: dict[str, Any], out: bytes = b"", err: bytes = b"") -> None:
        """Put a row where the supervisor finds it. The next hook can neither change it nor take it back."""
        body = encode(row).encode()
        lengths = b"".join([len(part).to_bytes(HEAD, "big") for part in (body, out, err)])
        data = self.stamp + lengths + body + out + err
        try:
            sent = rows.send(data, _DONTWAIT)
        except BlockingIOError:
            sent = 0
        if sent < len(data):
            self._send({"more": True})  # so that it is read there, and there is room for the rest
            rows.sendall(data[sent:])
            self._send({"more": True})

    def _send(self, message: dict[str, Any]) -> None:
        try:
            send(self.sock, message, (), self.stamp)
        except BaseException:  # noqa: BLE001 - a hook closed it, or the supervisor is gone
            _exit(0)  # the results are where they are read

    def _new_effects(self, file: str, effects: Effects) -> dict[str, Any] | None:
        """Return what no earlier run showed; raw paths are compared, for real ones are expensive."""
        raw = {f"r{path}" for path in effects.reads} | {f"w{path}" for path in effects.writes}
        raw |= {name for name in ("spawns", "opaque") if getattr(effects, name)}
        known = self.known.setdefault((file, self.programs.version(file)), {""})
        if raw <= known:
            return None
        if len(known) > MAX_KNOWN:
            known.clear()
        known |= raw
        searched = frozenset(map(self._real, (*sys.path, self.programs.folder(file))))
        return effects.settled((*ignored_prefixes(), os.path.realpath(file)), searched)

    def _real(self, folder: str) -> str:
        """Return a folder's real path; those that are searched for modules stay where they are."""
        if folder not in self.real:
            self.real[folder] = os.path.realpath(folder)
        return self.real[folder]

    def _reset_process(
        self, hook: dict[str, Any], job: dict[str, Any], fds: tuple[int, int, int], payload: bytes | None
    ) -> None:
        """Give the process everything that a fresh one would have for this hook."""
        _chdir(job["cwd"])
        self.pristine.set_environ(job["env"], hook["env"])
        if hook["shares"]:
            self.pristine.enter(hook["exe"], hook["version"])
        if payload is None:
            stdin = os.open(f"/proc/self/fd/{fds[0]}", os.O_RDONLY)
        else:
            ours, theirs = _socketpair()  # without the wrapper's enums
            ours.send(payload)
            ours.close()
            stdin = theirs.detach()
        os.dup2(stdin, 0)
        os.close(stdin)
        for number in (1, 2):
            os.dup2(fds[number], number)
        self._streams()
        sys.argv = [hook["script"], *hook["argv"]]
        sys.executable = hook["exe"]
        if not self.safe_path:
            sys.path.insert(0, self.programs.folder(os.path.join(job["cwd"], hook["script"])))

    def _drop_output(self) -> None:
        null = os.open(os.devnull, os.O_RDWR)
        for number in (0, 1, 2):
            os.dup2(null, number)
        if null > 2:
            os.close(null)

    def _streams(self) -> None:
        reader = io.BufferedReader(io.FileIO(0, "r", closefd=False))
        sys.stdin = io.TextIOWrapper(reader, *self.forms[0])
        vars(sys)["__stdin__"] = sys.stdin  # "final" to type checkers, and what a fresh process has
        for number, name in ((1, "stdout"), (2, "stderr")):
            raw = io.FileIO(number, "w", closefd=False)
            stream = io.TextIOWrapper(
                io.BufferedWriter(raw),
                *self.forms[number],
                newline="\n",
                line_buffering=number == 2,
                write_through=self.unbuffered,
            )
            setattr(sys, name, stream)
            setattr(sys, f"__{name}__", stream)


def _end_as(status: int) -> None:
    """End this process as the hook would have ended its own."""
    try:
        if status < 0:
            signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
    finally:
        _exit(status & 0xFF)


def _chdir(path: str) -> None:
    """Go to the event's folder; where it is gone, to the nearest one above."""
    while True:
        try:
            os.chdir(path)
        except OSError:
            above = os.path.dirname(path)
            if above in ("", path):
                return
            path = above
        else:
            return


def _parked(fd: int) -> int:
    high = _fcntl(fd, F_DUPFD_CLOEXEC, FD_FLOOR)
    os.close(fd)
    return int(high)


def become(sock: socket.socket, flags: str, stamp: bytes) -> None:
    """Turn a just forked process into a worker. Does not return."""
    os.setsid()
    signal.set_wakeup_fd(-1)
    for sig in (signal.SIGCHLD, signal.SIGTERM, signal.SIGHUP):
        signal.signal(sig, signal.SIG_DFL)
    own = _socket.socket(fileno=_parked(sock.detach()))
    Worker(own, flags, stamp).serve()
