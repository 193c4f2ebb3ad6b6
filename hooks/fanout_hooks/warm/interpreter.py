"""One Python interpreter kept warm: its zygote, the workers forked from it, and the batches that run in them.

Theory of operation. `open` starts the hooks' own interpreter on zygote.py. A *worker* is a process forked
from it. A batch (one event's fast hooks, in order) takes an idle worker, else a new one; a few may work side
by side, so that a hook that hangs doesn't hold up other events. Results come back one by one; the hook
without a result when its worker dies is the one that killed it. After a crash, a deadline, a taint or an
answer that can't be read the next hook gets the next worker.

A hook may stop or kill the process that it was forked from. Workers go on without their zygote: what they run
ends as it would have; what is left runs a process each. A stopped zygote is continued, when it is missed.
"""

from __future__ import annotations

import json
import os
import signal
import socket
import struct
import subprocess
import time
from collections.abc import Callable, Iterable, Iterator
from typing import Any, NamedTuple, Self, TypeVar

from fanout_hooks.client.files import upwards
from fanout_hooks.client.hook_input import HEAD, LOOK_S, asked_for
from fanout_hooks.learn.memory import version_of
from fanout_hooks.warm.command import Program, is_shim, of_python
from fanout_hooks.warm.loop import Channel, Future, Loop, content, is_stopped, kill_group, memory_file
from fanout_hooks.warm.prestart import command_line

# --- The interpreter: its zygote, and the workers that run batches. -----------------------------------------

T = TypeVar("T")
STARTING_S = 10.0
PATIENCE_S = 0.1
"""How long a batch waits for a busy worker before it gets another one."""
WORKERS_AT_ONCE = max(2, min(4, os.cpu_count() or 1))
MAX_WORKERS = 50
IDLE_WORKERS = 1
IDLE_S = 600.0
"""After its last event what is kept ready is given back."""
DEEP_LOOK_S = 5.0
FORK_S = 10.0
ENDING_S = 0.2
"""A zygote ends by itself when it sees our end of the socket closing."""
WATCH_S = 0.05
MAX_STOPS = 20
"""How often a process that we wait for is looked at: a stopped one answers never."""
STOPPED_S = 0.5
STAMP_BYTES = 8
MAX_DEATHS = 2
"""Workers that end before their hook has begun: then something else is wrong, a process each is better."""


class HookInput(NamedTuple):
    stdin: int
    env: dict[str, str]
    cwd: str
    answered: Future[bool]
    """Set when the event's answer is out, or takes so long that others may want what waits for it."""


class Worker(NamedTuple):
    channel: Channel
    pid: int
    died: Future[int]


class Interpreter:
    """Start it with `open`; when `broken` is set, its hooks run a process each instead."""

    def __init__(self, loop: Loop, *, has_lost: bool = False) -> None:
        self.loop = loop
        self.has_lost = has_lost
        """A zygote that had served was ended, this one's or the one's before, and it is not reported yet."""
        self.broken = ""
        self.pid = 0
        """The zygote's process, 0 as long as it isn't known."""
        self.has_served = False
        self.used_at = 0.0
        """When an event last asked for it, on the clock of `time.monotonic`."""
        self._stops = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._control: Channel | None = None
        self._ready: Future[bool] = Future()
        self._forking: list[tuple[Channel, Future[Worker | None]]] = []
        self._workers: dict[int, Worker] = {}
        self._idle: list[Worker] = []
        self._waiting: list[Future[bool]] = []
        self._looks: list[Future[bool]] = []
        """Of workers that will be idle after them; they wait for their event's answer."""
        self._runs = 0
        self._suspects: set[str] = set()
        """Scripts of an event that left something behind, and it isn't known which of them did."""
        self.modules: set[str] = set()
        """Standard modules that hooks were seen to import: new workers have them from the start."""

    # --- the zygote ------------------------------------------------------------------------------------

    def open(self, program: Program, env: dict[str, str], cwd: str, started: int | None = None) -> None:
        """Start the zygote by the very command that starts the hooks; `ready` waits until it serves.

        `started`: the socket of one that was started so already.
        """
        try:
            ours = self._spawned(program, env, cwd) if started is None else socket.socket(fileno=started)
        except OSError as error:
            self._break(f"{program.exe}: {error.strerror or error}")
            return
        self._control = Channel(self.loop, ours)
        self.loop.leave(self._listen(self._control, program.exe))

    def _spawned(self, program: Program, env: dict[str, str], cwd: str) -> socket.socket:
        """Return our end of the socket to a new zygote. Raises OSError."""
        ours, theirs = socket.socketpair()
        try:
            with theirs:
                self._process = subprocess.Popen(
                    command_line(program.exe, program.flags, theirs.fileno()),
                    env=env,
                    cwd=cwd,
                    pass_fds=(theirs.fileno(),),
                    stdin=subprocess.DEVNULL,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    start_new_session=True,
                )
        except OSError:
            ours.close()
            raise
        return ours

    async def ready(self) -> bool:
        return await self._watched(self._ready, STARTING_S) is True

    async def _watched(self, future: Future[T], limit_s: float) -> T | None:
        """Wait for what the zygote has to do. Stopped, it is continued, and killed when that is in vain."""
        until = time.monotonic() + limit_s
        while await self.loop.first(future, WATCH_S) is None and not future.done:
            if self.pid and is_stopped(self.pid):
                self._stops += 1
                os.kill(self.pid, signal.SIGCONT)
            is_late = time.monotonic() >= until
            if self.pid and (is_late or self._stops > MAX_STOPS):
                kill_group(self.pid)
                self._break("the process that hooks are forked from was stopped")
            if is_late:
                return None
        return future.result()

    async def _listen(self, control: Channel, exe: str) -> None:
        try:
            while (message := await control.get()) is not None:
                self._on_message(message)
        finally:
            self._break(f"{exe} can't be kept warm")

    def _on_message(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self.pid = message["ready"]
            self._ready.set(True)
        elif "forked" in message:
            channel, future = self._forking.pop(0)
            worker = Worker(channel, message["forked"], Future())
            self._workers[worker.pid] = worker
            self.has_served = True
            future.set(worker)
        elif "died" in message:
            gone = self._workers.pop(message["died"], None)
            if gone is not None:
                self._forget(gone)
                gone.died.set(message["status"])

    def _break(self, why: str) -> None:
        """Go on without a zygote: hooks at work end by themselves, no worker begins another event."""
        if self.broken:
            return
        self.broken = why
        self.has_lost |= self.has_served
        self._ready.set(False)
        for channel, future in self._forking:
            channel.close()
            future.set(None)
        self._forking.clear()
        for worker in self._idle:
            worker.channel.close()
        self._workers.clear()
        self._idle.clear()
        self._free_one()
        if self._process is not None:
            self._process.poll()

    def close(self) -> None:
        """End the zygote; it takes its workers along."""
        for worker in self._workers.values():
            worker.channel.close()
        for channel, _ in self._forking:
            channel.close()
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            try:
                self._process.wait(ENDING_S)
            except subprocess.TimeoutExpired:
                self._process.kill()
                self._process.wait()

    def takes_notice_of_loss(self) -> bool:
        """Say whether a zygote that had served was lost, once."""
        is_lost, self.has_lost = self.has_lost, False
        return is_lost

    @property
    def is_at_rest(self) -> bool:
        """Say whether nothing is lost by closing it."""
        return self._runs == 0 and len(self._idle) == len(self._workers)

    # --- workers ---------------------------------------------------------------------------------------

    async def _fork(self) -> Worker | None:
        if self._control is None or self._control.closed:
            return None
        if not await self.ready():
            return None
        ours, theirs = socket.socketpair()
        future: Future[Worker | None] = Future()
        stamp = os.urandom(STAMP_BYTES)
        self._forking.append((Channel(self.loop, ours, stamp), future))
        with theirs:
            self._control.send({"do": "fork", "stamp": stamp.hex()}, (theirs.fileno(),))
        return await self._watched(future, FORK_S)

    async def _take(self) -> Worker | None:
        """Return a worker: an idle one, a new one, or after a while yet another one."""
        while True:
            if self._idle:
                return self._idle.pop()
            for due in self._looks:
                due.set(True)
            count = len(self._workers) + len(self._forking)
            if self.broken or (count < WORKERS_AT_ONCE and not self._looks):
                return await self._fork()
            free: Future[bool] = Future()
            self._waiting.append(free)
            if await self.loop.first(free, PATIENCE_S) is None and len(self._workers) < MAX_WORKERS:
                return await self._fork()

    def _give_back(self, worker: Worker) -> None:
        if worker.died.done:
            return
        if self.broken:
            worker.channel.close()
            return
        if len(self._idle) >= IDLE_WORKERS and not self._waiting:
            worker.channel.close()  # it ends by itself; nothing at rest but one worker
            return
        self._idle.append(worker)
        self._free_one()

    def _free_one(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set(True)

    def _forget(self, worker: Worker) -> None:
        if worker in self._idle:
            self._idle.remove(worker)
        worker.channel.close()
        self._free_one()

    def _kill(self, worker: Worker) -> None:
        """End a worker through the zygote, which knows whether it is still there; without one ourselves."""
        if worker.died.done:
            return
        if self.broken or self._control is None or is_stopped(self.pid):
            kill_group(worker.pid)
        else:
            self._control.send({"do": "kill", "pid": worker.pid})

    def preload(self, names: Iterable[str]) -> None:
        new = set(names) - self.modules
        if new and self._control is not None:
            self.modules |= new
            self._control.send({"do": "import", "names": sorted(new)})

    # --- running ---------------------------------------------------------------------------------------

    async def run(
        self, tasks: list[Task], hook_input: HookInput, on_result: Callable[[Ran], None], *, alone: bool
    ) -> bool:
        """Run hooks in order, each result to `on_result` as it comes; False when there is no interpreter.

        `alone`: the first (only) hook gets a process that no other hook had before or has after.
        """
        left, deaths = list(tasks), 0
        self._runs += 1
        try:
            while left:
                worker = await (self._fork() if alone else self._take())
                if worker is None or deaths > MAX_DEATHS:
                    return False
                before = len(left)
                left = await self._run_in(worker, left, hook_input, on_result, alone=alone)
                deaths += len(left) == before
            return True
        finally:
            self._runs -= 1

    async def _run_in(
        self,
        worker: Worker,
        tasks: list[Task],
        hook_input: HookInput,
        on_result: Callable[[Ran], None],
        *,
        alone: bool,
    ) -> list[Task]:
        """Run tasks in one worker until it is done or spoilt; return what is left."""
        with Batch(tasks, worker.channel.stamp) as batch:
            hooks = [
                {
                    "i": task.place,
                    "script": task.program.script,
                    "argv": task.program.argv,
                    "exe": task.program.exe,
                    "shares": bool(task.program.base),
                    "version": environment_version(task.program.exe) if task.program.base else "",
                    "env": task.given,
                    "deep": alone or task.program.script in self._suspects,
                }
                for task in tasks
            ]
            job = {"hooks": hooks, "cwd": hook_input.cwd, "env": hook_input.env}
            worker.channel.send(job, (hook_input.stdin, batch.out, batch.err, batch.results.fileno()))
            batch.sent()
            while not batch.is_over():
                message, alone_s = await self._next_message(worker, batch, looks=alone)
                for ran in batch.new_results():
                    # Known there before anything that waited runs.
                    if ran.taint and self._control is not None:
                        self._control.send({"do": "leave", "pid": worker.pid})
                    on_result(ran)
                if batch.left and alone_s is not None:
                    self._detach(worker, alone_s or batch.left[0].timeout_s)
                    on_result(batch.detach())
                    return batch.left
                if batch.is_over():
                    break
                guilty = None
                if message is None:
                    guilty = batch.died(await self._end_of(worker))
                elif batch.unreadable or "over" in message:  # nothing more will come
                    self._kill(worker)
                    guilty = batch.lost(UNREADABLE if batch.unreadable else SILENT)
                else:
                    continue
                worker.channel.close()
                if guilty is not None:
                    on_result(guilty)
                return batch.left
            put_off = None if alone or batch.spoilt else hook_input.answered
            look = self._check_after(worker, tasks, put_off, alone=alone, is_last=batch.is_last)
            self.loop.leave(look)
            return batch.left

    async def _next_message(
        self, worker: Worker, batch: Batch, *, looks: bool
    ) -> tuple[dict[str, Any] | None, float | None]:
        """Wait until the worker says that there are results; None when it has died (or was killed).

        `looks`: its hook may ask to be left alone; then return for how long.
        """
        message = self.loop.spawn(worker.channel.get())
        stopped_since = 0.0
        while await self.loop.first(message, _patience(batch, looks=looks)) is None and not message.done:
            if batch.time_left() <= 0:  # else another hook runs by now, with its own time
                batch.timed_out = True
                self._kill(worker)
                await self.loop.first(message, STOPPED_S)
                if not message.done:
                    worker.channel.close()
                break
            if batch.unreadable:
                self._kill(worker)
                worker.channel.close()
                break
            alone_s = batch.asked_for() if looks else None
            if alone_s is not None:
                return {}, alone_s
            if not is_stopped(worker.pid):
                stopped_since = 0.0
            elif not stopped_since:
                stopped_since = time.monotonic()
            elif time.monotonic() - stopped_since > STOPPED_S:
                self._kill(worker)  # it stopped itself, and nothing here would continue it
                worker.channel.close()
                break
        return await message, None

    async def _end_of(self, worker: Worker) -> int:
        """Return the exit status of a worker that sends no more: its socket is closed, or can't be read."""
        if await self.loop.first(worker.died, 0.2) is None and not worker.died.done:
            self._kill(worker)
            if not self.broken:
                await self._watched(worker.died, 2.0)
        return worker.died.result() if worker.died.done else -signal.SIGKILL

    def _detach(self, worker: Worker, alone_s: float) -> None:
        """Leave a worker to its hook, which may outlive us; while we live, its limit holds."""
        if self._control is not None:
            self._control.send({"do": "spare", "pid": worker.pid})
        worker.channel.close()
        self.loop.leave(self._cut(worker, alone_s))

    async def _cut(self, worker: Worker, after_s: float) -> None:
        if await self.loop.first(worker.died, after_s) is None:
            self._kill(worker)

    async def _check_after(
        self, worker: Worker, tasks: list[Task], answered: Future[bool] | None, *, alone: bool, is_last: bool
    ) -> None:
        """Have the deep look taken; a clean worker serves again, any other is ended.

        A look takes longer than most hooks, so the event's others, in other interpreters, come first; but
        not those that want this very worker.
        """
        due: Future[bool] = Future()
        if answered is not None:
            self._looks.append(due)
            answered.then(lambda: due.set(True))
        if answered is None or self._waiting:
            due.set(True)
        await due
        worker.channel.send({"look": True})
        message = await self.loop.first(self.loop.spawn(_last_message(worker.channel)), DEEP_LOOK_S)
        if answered is not None:
            self._looks.remove(due)
        self.preload(message.get("modules", ()) if message is not None else ())
        scripts = {task.program.script for task in tasks}
        if message is not None and not message.get("taint") and not is_last:
            self._suspects -= scripts
            if not alone:
                self._give_back(worker)
                return
        elif not alone:
            self._suspects |= scripts  # one of them did it: from now on each is looked at right away
        worker.channel.close()  # ends the worker, not what its hooks left running on purpose
        if await self.loop.first(worker.died, 1.0) is None and not self.broken:
            self._kill(worker)
        if not alone and not self._idle and not self.broken:  # have one ready before it is needed
            another = await self._fork()
            if another is not None:
                self._give_back(another)


def _patience(batch: Batch, *, looks: bool) -> float:
    return min(max(0.0, batch.time_left()), LOOK_S if looks else STOPPED_S)


async def _last_message(channel: Channel) -> dict[str, Any] | None:
    """Return what a worker reports after its deep look; a message about results may come before."""
    while True:
        message = await channel.get()
        if message is None or "done" in message:
            return message


# --- One batch of hooks in one worker: what it was asked, where it writes, what it has reported. ------------
# The worker sends a row before each hook and one after it, over a socket that only we read. What has been
# sent can't be taken back, but a hook may send bytes too: what doesn't begin with the worker's stamp, or
# isn't the row that has to come next, is *unreadable*. It is the loss of the hook that had begun, and of no
# other: the rows before it were written before it ran, and nothing after it is believed.
#
# A row: the stamp, three lengths of four bytes, then JSON, stdout and stderr. JSON is one of
#
#     {"begin": place, "last": whether the process may not be used after this hook, "at": monotonic seconds}
#     {"i": place, "exit", "ms", "taint", "spoilt", "at", "effects", "kept": true where it printed much}

MAX_ROW = 8 << 20
_LENGTHS = struct.Struct(">III")
UNREADABLE = "wrote into fanout's own channel"
SILENT = "kept fanout's own code from answering"
EFFECTS = {"reads": list, "writes": list, "spawns": bool, "opaque": bool}


class Task(NamedTuple):
    place: int
    program: Program
    timeout_s: float
    given: dict[str, str]
    """Variables that it has beside its event's."""


class Ran(NamedTuple):
    """What became of it. `exit` is negative for a signal, as in subprocess."""

    place: int
    exit: int
    ms: float
    stdout: bytes
    stderr: bytes
    timed_out: bool = False
    taint: str = ""
    effects: dict[str, Any] | None = None
    lost: str = ""
    """Why what it answered is not known."""


class Batch:
    """Use it as a context: its files are closed at the end."""

    def __init__(self, tasks: list[Task], stamp: bytes) -> None:
        self.left = list(tasks)
        self.out, self.err = (memory_file(name) for name in ("out", "err"))
        self._ours, self.results = socket.socketpair()
        self._ours.setblocking(False)
        self.timed_out = False
        self.spoilt = False
        """The process can't be used for what is left."""
        self.is_last = False
        """The hook that has begun could make the process say anything."""
        self.unreadable = False
        self._stamp = stamp
        self._received = bytearray()
        self._begun = False
        self._since = time.monotonic()
        self._ran: list[Ran] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.sent()
        self._ours.close()
        for fd in (self.out, self.err):
            os.close(fd)

    def sent(self) -> None:
        """Close the worker's end here: it has its own."""
        self.results.close()

    def is_over(self) -> bool:
        return self.spoilt or not self.left

    def time_left(self) -> float:
        """Return the seconds that the hook which runs now may still take."""
        self._take_in()
        if not self.left or self.unreadable:
            return 1.0
        return self._since + self.left[0].timeout_s - time.monotonic()

    def new_results(self) -> list[Ran]:
        self._take_in()
        found, self._ran = self._ran, []
        return found

    def asked_for(self) -> float | None:
        """Return for how long the hook that runs asks to be left alone."""
        return asked_for(os.pread(self.out, HEAD, 0))

    def detach(self) -> Ran:
        """Return the result of the hook that runs: no one waits for it any more."""
        stdout = content(self.out)
        return Ran(self.left.pop(0).place, 0, self._ms(), stdout, b"", taint="worked on after its answer")

    def died(self, status: int) -> Ran | None:
        """Return the result of the hook that was running when the process ended; None when none was."""
        self._take_in()
        if self.unreadable:
            return self.lost(UNREADABLE)
        if not self._begun:
            return None
        stdout, stderr = content(self.out), content(self.err)
        place = self.left.pop(0).place
        return Ran(place, status, self._ms(), stdout, stderr, self.timed_out, "ended the process")

    def lost(self, why: str) -> Ran | None:
        """Return the result of the hook whose answer can't be known; None when none had begun.

        What one that has ended left running may write, too: its own answer is here, the next one is innocent.
        """
        if not self._begun:
            return None
        place = self.left.pop(0).place
        return Ran(place, 1, self._ms(), b"", content(self.err), taint=why, lost=why)

    def _ms(self) -> float:
        return round((time.monotonic() - self._since) * 1000, 3)

    # --- rows ------------------------------------------------------------------------------------------

    def _take_in(self) -> None:
        """Read what has come. After the last row that counts nothing does."""
        while not (self.unreadable or self.spoilt):
            try:
                data = self._ours.recv(1 << 18)
            except BlockingIOError:
                return
            except OSError:
                data = b""
            if not data:
                return
            self._received += data
            while self._row():
                pass

    def _row(self) -> bool:
        """Take in the next row if it is whole and counts; say whether there may be another."""
        head = len(self._stamp)
        if not self._stamp.startswith(self._received[:head]):
            self.unreadable = True
            return False
        begin = head + _LENGTHS.size
        if len(self._received) < begin:
            return False
        body, out, err = _LENGTHS.unpack_from(self._received, head)
        end = begin + body + out + err
        if end > MAX_ROW:
            self.unreadable = True
            return False
        if len(self._received) < end:
            return False
        row = self._received[begin : begin + body]
        stdout = bytes(self._received[begin + body : end - err]) if out else b""
        stderr = bytes(self._received[end - err : end]) if err else b""
        del self._received[:end]
        try:
            self._believe(json.loads(row), stdout, stderr)
        except (ValueError, KeyError, TypeError, AttributeError, IndexError, RecursionError):
            self.unreadable = True
        return not (self.unreadable or self.spoilt)

    def _believe(self, row: dict[str, Any], stdout: bytes, stderr: bytes) -> None:
        """Take in a row that has to come now. Raises what shows that it is none."""
        if "begin" in row:
            if self._begun or row["begin"] != self.left[0].place:
                raise ValueError("another hook than the next has begun")
            self._begun, self.is_last, self._since = True, bool(row["last"]), float(row["at"])
            return
        if not self._begun or row["i"] != self.left[0].place:
            raise ValueError("a result of another hook than the one that has begun")
        if row.get("kept"):
            stdout, stderr = content(self.out), content(self.err)
        taint = str(row["taint"])
        effects = row["effects"]
        if effects is not None and not all(isinstance(effects[name], kind) for name, kind in EFFECTS.items()):
            raise ValueError("effects of another form")
        place = self.left[0].place
        self._ran.append(
            Ran(place, int(row["exit"]), float(row["ms"]), stdout, stderr, False, taint, effects)
        )
        del self.left[0]
        self._begun, self._since = False, float(row["at"])
        self.spoilt = bool(taint or row["spoilt"] or self.is_last)


# --- What distinguishes one interpreter from another: its command, and what a shim would choose by. ---------

VERSION_FILES = (
    *(".python-version", ".tool-versions"),
    *(".mise.toml", "mise.toml", ".mise.local.toml", "mise.local.toml"),
    *(".config/mise.toml", ".config/mise/config.toml", ".mise/config.toml", "mise/config.toml"),
)
"""What a version manager's shim decides by in the folder or above it."""
VARIABLES = ("PYENV_VERSION", "ASDF_PYTHON_VERSION", "MISE_PYTHON_VERSION")
MANAGERS = (b"pyenv", b"asdf", b"mise")
"""In the scripts of those that decide by nothing else."""


def key_of(program: Program, env: dict[str, str], cwd: str) -> tuple[str, ...]:
    """Return what distinguishes interpreters: the command, its environment, a shim's choice."""
    about = os.stat(program.exe)
    choice = _chosen_by(program.exe, env, cwd) if is_shim(program.exe) else ()
    python = tuple(f"{name}={value}" for name, value in sorted(env.items()) if name.startswith("PYTHON"))
    # A shared one is put into each version of an environment: pristine.py.
    version = "" if program.base else environment_version(program.exe)
    own = (program.interpreter, program.flags, str(about.st_ino), str(about.st_mtime_ns), version)
    return (*own, *choice, *python)


def environment_version(exe: str) -> str:
    """Return what differs once something was installed in an interpreter's environment; "" without one."""
    if not os.path.exists(os.path.join(os.path.dirname(os.path.dirname(exe)), "pyvenv.cfg")):
        return ""
    config, _, *sites = of_python(exe)
    return " ".join(map(version_of, (config, *sites)))


def _chosen_by(exe: str, env: dict[str, str], cwd: str) -> Iterator[str]:
    yield from (f"{name}={env[name]}" for name in VARIABLES if name in env)
    for folder in upwards(cwd):
        yield from _those_there(folder, VERSION_FILES)
    # The global choice: pyenv's, two above its shims, and asdf's.
    yield from _those_there(os.path.dirname(os.path.dirname(exe)), ("version",))
    yield from _those_there(env.get("HOME", ""), (".tool-versions", ".config/mise/config.toml"))
    with open(exe, "rb") as file:
        head = file.read(4096)
    if not any(manager in head for manager in MANAGERS):
        yield cwd


def _those_there(folder: str, names: Iterable[str]) -> Iterator[str]:
    for name in names:
        path = os.path.join(folder, name)
        version = version_of(path)
        if version:
            yield f"{path}:{version}"
