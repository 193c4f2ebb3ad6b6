"""Run hooks as processes, the way their authors wrote them, side by side (lanes).

Shells, other launchers, `isolate`, and Python that can't be kept warm. Each has its own process group,
its output goes to files in memory, and we wait for the process, never for the end of its pipe: a child that
keeps stdout open (a daemon, a watcher) would otherwise hold the turn. At the deadline the whole group is
killed, as it is when we go first (lanes.py).

A hook may stop or kill its parent, so that isn't us: each command has a *holder*, a process that starts it,
waits for it and ends as it did. A holder that was stopped is continued; one that was killed is the loss of
that hook's answer alone. GNU's `timeout` without a time is the cheapest one (a fork of ours copies thousands
of pages, 5 ms of CPU on both sides); where it isn't there, we fork.
"""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import time
from collections.abc import Iterable
from typing import NoReturn

from fanout_hooks.client import files
from fanout_hooks.client.config import Hook
from fanout_hooks.client.files import fcntl
from fanout_hooks.client.hook_input import HEAD, LOOK_S, asked_for
from fanout_hooks.warm.command import which
from fanout_hooks.warm.interpreter import HookInput
from fanout_hooks.warm.loop import (
    CONTROL,
    Command,
    Ended,
    Future,
    Holder,
    Loop,
    content,
    is_stopped,
    kill_group,
    memory_file,
)

# --- Hooks as processes -------------------------------------------------------------------------------------

MAX_TIMEOUT = 1 << 20
POLL_S = 0.005
"""Where the system has no pidfd (macOS), a child's end is looked for this often."""


def command_line(command: str, args: tuple[str, ...] | None) -> list[str]:
    """Return what to execute: the exec form as it is, else a shell as the client uses it."""
    return [command, *args] if args is not None else ["/bin/sh", "-c", command]


class Lanes:
    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self._running: dict[int, Holder] = {}
        self._over: set[Holder] = set()
        """Their program has ended with 0: the rest ends in a moment, or never where a hook stopped it."""
        self._watched: set[int] = set()
        """A descriptor for each process that has not ended, an async hook's too."""
        self._lifeline: Lifeline | None = None
        self._timeout: str | None = None
        """Where it is, "" where it isn't; None as long as no one has looked."""

    async def run_hook(self, hook: Hook, given: HookInput) -> Ended:
        line = command_line(hook.command, hook.args)
        return await self.run(line, given.stdin, given.env, given.cwd, hook.timeout_s)

    async def run(
        self, line: list[str], stdin: int, env: dict[str, str], cwd: str, timeout_s: float
    ) -> Ended:
        out, err = memory_file("out"), memory_file("err")
        began = time.perf_counter()
        try:
            source = reopened(stdin)
            try:
                process = self.start(Command(line, (source, out, err), env, nearest(cwd)))
            except (OSError, ValueError) as error:
                # What a shell says of a command it can't start; the client, too, goes on.
                why = getattr(error, "strerror", None) or error
                return Ended(127, _ms(began), b"", f"{line[0]}: {why}\n".encode())
            finally:
                os.close(source)
            return await self.finish(process, out, err, timeout_s, began)
        finally:
            os.close(out)
            os.close(err)

    async def finish(
        self,
        process: Holder,
        out: int,
        err: int,
        timeout_s: float,
        began: float,
        over: Future[bool] | None = None,
    ) -> Ended:
        """See a command that was started to its end or its deadline.

        `over` is set when its program has ended with 0 and the process is all that is left to end, or ended.
        """
        ended = process.ended
        timed_out, alone_s = await self._wait(process, over or ended, out, timeout_s)
        self._forget(process)
        if over is not None and over.done and not ended.done:
            self._over.add(process)
            ended.then(lambda: self._over.discard(process))
            self._loop.leave(self._cut(process, timeout_s))
            return Ended(0, _ms(began), content(out), content(err))
        if alone_s is not None:
            self._loop.leave(self._cut(process, alone_s or timeout_s))
            return Ended(0, _ms(began), content(out), b"")
        if timed_out:
            await self._cut(process, 0.0)
        return Ended(process.returncode or 0, _ms(began), content(out), content(err), timed_out)

    async def discard(self, process: Holder) -> None:
        """End a command whose answer is of no use."""
        kill_group(process.pid)
        await process.ended
        self._forget(process)

    async def _wait(
        self, process: Holder, ended: Future[bool], out: int, timeout_s: float
    ) -> tuple[bool, float | None]:
        """Wait for a hook's end; return whether it overstayed, and for how long it asks to be left alone."""
        until = time.monotonic() + timeout_s
        while await self._loop.first(ended, min(LOOK_S, max(0.0, until - time.monotonic()))) is None:
            if time.monotonic() >= until:
                return True, None
            if is_stopped(process.pid):
                os.kill(process.pid, signal.SIGCONT)
            alone_s = asked_for(os.pread(out, HEAD, 0))
            if alone_s is not None:
                return False, alone_s
        return False, None

    async def _cut(self, process: Holder, after_s: float) -> None:
        if await self._loop.first(process.ended, after_s) is None:
            kill_group(process.pid)
            await process.ended

    def start(self, command: Command) -> Holder:
        if self._lifeline is None:
            self._lifeline = Lifeline()
        process = self._held(command) or _forked(command)
        self._watch_end(process)
        self._running[process.pid] = process
        self._lifeline.report(self._running)
        return process

    def _held(self, command: Command) -> Holder | None:
        """Start a command below `timeout`; None where that can't hold it."""
        line, (stdin, stdout, stderr), env, cwd, control = command
        if self._timeout is None:
            self._timeout = find_timeout()
        if not self._timeout or which(line[0], env, cwd) is None:
            return None
        passed = () if control is None else (fcntl.fcntl(control, fcntl.F_DUPFD_CLOEXEC, CONTROL),)
        try:
            if passed not in ((), (CONTROL,)):
                return None  # the number is taken here
            process = subprocess.Popen(
                [self._timeout, "--foreground", "0", *line],
                stdin=stdin,
                stdout=stdout,
                stderr=stderr,
                env=env,
                cwd=cwd,
                pass_fds=passed,
                start_new_session=True,
            )
        finally:
            for fd in passed:
                os.close(fd)
        process.returncode = 0  # it reaps nothing any more: that is the holder's to do
        return Holder(process.pid)

    def _watch_end(self, process: Holder) -> None:
        try:
            fd = os.pidfd_open(process.pid)
        except (AttributeError, OSError):
            self._loop.leave(self._poll(process))
            return

        def gone() -> None:
            self._unwatch(fd)
            process.poll(0)
            process.ended.set(True)

        self._watched.add(fd)
        self._loop.watch(fd, gone)

    def _unwatch(self, fd: int) -> None:
        self._watched.discard(fd)
        self._loop.unwatch(fd)
        os.close(fd)

    async def _poll(self, process: Holder) -> None:
        while process.poll() is None:
            await self._loop.sleep(POLL_S)
        process.ended.set(True)

    def _forget(self, process: Holder) -> None:
        self._running.pop(process.pid, None)
        if self._lifeline is not None:
            self._lifeline.report(self._running)

    def close(self) -> None:
        """End everything that is still at work, not what an ended hook left running on purpose."""
        for pid in self._running:
            kill_group(pid)
        # A disk may still hold some that were killed; the others had their time to end by themselves.
        for process in _still_there([*self._running.values(), *self._over]):
            kill_group(process.pid)
        for fd in list(self._watched):
            self._unwatch(fd)
        if self._lifeline is not None:
            self._lifeline.close()


def _still_there(processes: Iterable[Holder]) -> list[Holder]:
    """Wait ENDING_S at most for processes to end; return those that did not."""
    until = time.monotonic() + ENDING_S
    left = list(processes)
    while (left := [process for process in left if process.poll() is None]) and time.monotonic() < until:
        time.sleep(POLL_S)
    return left


def find_timeout() -> str:
    """Return the path of GNU's `timeout`, else "": others don't end by the signal that their command did."""
    path = which("timeout", {"PATH": os.defpath}, "/") or ""
    try:
        is_gnu = b"GNU coreutils" in files.read(path, MAX_TIMEOUT, follow=True)
    except OSError:  # there is none, or it is a part of a larger program
        is_gnu = False
    return path if is_gnu else ""


def _forked(command: Command) -> Holder:
    pid = os.fork()
    if pid == 0:
        _hold(*command)
    return Holder(pid)


def _hold(
    line: list[str], files: tuple[int, int, int], env: dict[str, str], cwd: str, control: int | None
) -> NoReturn:
    """Be a command's holder: one process group with it, and no descriptor but its own."""
    status = 127
    passed: tuple[int, ...] = ()
    try:
        os.setsid()
        for number, fd in enumerate(files):
            os.dup2(fd, number)
        if control is not None:
            os.dup2(control, 3)
        close_from(3 if control is None else 4)
        if control is not None:
            passed = (os.dup2(3, CONTROL),)
            os.close(3)
        try:
            process = subprocess.Popen(line, env=env, cwd=cwd, pass_fds=passed)
            for fd in passed:
                os.close(fd)
            status = process.wait()
        except (OSError, ValueError) as error:
            # What a shell says of a command it can't start; the client, too, goes on.
            os.write(2, f"{line[0]}: {error}\n".encode("utf-8", "replace"))
        if status < 0:
            import resource  # a core was written already, where one is wanted

            resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
            if -status not in (signal.SIGKILL, signal.SIGSTOP):
                signal.signal(-status, signal.SIG_DFL)
            os.kill(os.getpid(), -status)
    finally:
        os._exit(status & 0xFF)


def reopened(fd: int) -> int:
    """Return a descriptor of the same content with its own position, at the start."""
    try:
        return os.open(f"/proc/self/fd/{fd}", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        copy = memory_file("stdin")
        os.write(copy, os.pread(fd, os.fstat(fd).st_size, 0))
        os.lseek(copy, 0, os.SEEK_SET)
        return copy


def nearest(folder: str) -> str:
    """Return the folder, or the nearest one above it that is still there."""
    return next(filter(os.path.isdir, files.upwards(folder)), "/")


def _ms(began: float) -> float:
    return round((time.perf_counter() - began) * 1000, 3)


def close_from(first: int) -> None:
    try:
        last = max(map(int, os.listdir("/dev/fd")))
    except OSError:
        last = os.sysconf("SC_OPEN_MAX")
    os.closerange(first, last + 1)


# --- Ends hooks when we are killed --------------------------------------------------------------------------
# The processes that we run end when we are gone, however we went: even killed with our whole group.
# A line of `sh` in its own session reads which process groups are at work. Its pipe ends when no one
# holds the other end any more, and then it kills those of the last line. So a hook ends with its event, as
# natively; what a hook that has ended left running on purpose goes on, as natively, for its group is named
# no more.
#
# One gap is left: between a process's start and its naming, some 0.1 ms, in which only we know of it.

WATCH = (
    "groups=; while read -r line; do groups=$line; done; "
    'for group in $groups; do kill -s KILL -- "-$group"; done'
)
ENDING_S = 1.0


class Lifeline:
    """Start it before the first process that it is for."""

    def __init__(self) -> None:
        read, self._pipe = os.pipe()
        try:
            self._watch = subprocess.Popen(
                ["/bin/sh", "-c", WATCH],
                stdin=read,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                env={},
                start_new_session=True,
            )
        except OSError:
            os.close(self._pipe)
            raise
        finally:
            os.close(read)

    def report(self, groups: Iterable[int]) -> None:
        """Say which process groups are at work: these, and no others."""
        with contextlib.suppress(OSError):  # it was killed
            os.write(self._pipe, (" ".join(map(str, groups)) + "\n").encode())

    def close(self) -> None:
        os.close(self._pipe)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._watch.wait(ENDING_S)
