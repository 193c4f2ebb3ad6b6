"""One interpreter that hooks name in their commands: its zygote, its workers, and one event's run in them.

Theory of operation. `open` starts the hooks' own interpreter on zygote.py. A *seat* is a worker forked from
it. A batch (one event's fast hooks, in order) takes an idle seat, else a new one; a few may work side by
side, so that a hook that hangs doesn't hold up other events. Results come back one by one; the hook without a
result when its worker dies is the one that killed it. After a crash, a deadline, a taint or an answer that
can't be read the next hook gets the next seat.

A hook may stop or kill the process that it was forked from. Workers go on without their zygote: what they run
ends as it would have; what is left runs a process each. A stopped zygote is continued, when it is missed.
"""

from __future__ import annotations

import os
import signal
import socket
import time
from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, NamedTuple, TypeVar

from fanout_hooks.ahead import Ahead
from fanout_hooks.command import Program
from fanout_hooks.loop import Channel, Future, Loop, is_stopped, kill_group
from fanout_hooks.on_demand import LOOK_S
from fanout_hooks.sitting import SILENT, UNREADABLE, Ran, Sitting, Task

if TYPE_CHECKING:
    import subprocess

T = TypeVar("T")
STARTING_S = 10.0
PATIENCE_S = 0.1
"""How long a batch waits for a busy seat before it gets another one."""
SEATS_AT_ONCE = max(2, min(4, os.cpu_count() or 1))
MAX_SEATS = 50
IDLE_SEATS = 1
DEEP_LOOK_S = 5.0
FORK_S = 10.0
WATCH_S = 0.05
MAX_STOPS = 20
"""How often a process that we wait for is looked at: a stopped one answers never."""
STOPPED_S = 0.5
STAMP_BYTES = 8
MAX_DEATHS = 2
"""Workers that end before their hook has begun: then something else is wrong, a process each is better."""


class Scene(NamedTuple):
    """What all hooks of an event share."""

    stdin: int
    env: dict[str, str]
    cwd: str


class Seat:
    """One worker process, as seen from here."""

    __slots__ = ("channel", "died", "pid", "stamp")

    def __init__(self, channel: Channel, pid: int, stamp: bytes) -> None:
        self.channel = channel
        self.pid = pid
        self.stamp = stamp
        self.died: Future[int] = Future()


class Interpreter:
    """Start it with `open`; when `broken` is set, its hooks run a process each instead."""

    def __init__(self, loop: Loop, before: Interpreter | None = None) -> None:
        self.loop = loop
        self._lost = before
        """One that served and was ended, whose loss is not reported yet."""
        self.broken = ""
        self.start: dict[str, Any] | None = None
        """What its start decided; nothing: a fork of ours that is not like a real start."""
        self.key: tuple[str, ...] = ()
        self.pid = 0
        """The zygote's process, 0 as long as it isn't known."""
        self.has_served = False
        self._is_reported = False
        self._stops = 0
        self.is_fork = False
        """Don't wait for it to be ready: fewer turns, and it answers when it is."""
        self._process: subprocess.Popen[bytes] | None = None
        self._control: Channel | None = None
        self._ready: Future[bool] = Future()
        self._forking: list[tuple[Channel, Future[Seat | None], bytes]] = []
        self._seats: dict[int, Seat] = {}
        self._idle: list[Seat] = []
        self._waiting: list[Future[bool]] = []
        self._runs = 0
        self._suspects: set[str] = set()
        """Scripts of an event that left something behind, and nobody knows which of them it was."""
        self.modules: set[str] = set()
        """Standard modules that hooks were seen to import: new workers have them from the start."""

    # --- the zygote ------------------------------------------------------------------------------------

    def open(self, program: Program, env: dict[str, str], cwd: str) -> None:
        """Start the zygote; `ready` tells when it serves."""
        from fanout_hooks.starting import (
            CannotStart,
            start_zygote,
        )  # with subprocess 4 ms; a fork needs neither

        try:
            self._process, ours = start_zygote(program, env, cwd)
        except CannotStart as error:
            self._break(str(error))
            return
        self._control = Channel(self.loop, ours)
        self.loop.leave(self._listen(self._control, program.exe))

    def take_over(self, ahead: Ahead, modules: Iterable[str]) -> None:
        """Use the zygote that our own process forked."""
        self._control = Channel(self.loop, ahead.control)
        self.modules.update(modules)
        self.is_fork = True
        self.pid = ahead.pid
        self.loop.leave(self._listen(self._control, ahead.key[0]))

    async def ready(self) -> bool:
        """Wait until the zygote serves; False when it never will."""
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
                self._hear(message)
        finally:
            self._break(f"{exe} can't be kept warm")

    def _hear(self, message: dict[str, Any]) -> None:
        if "ready" in message:
            self.start = message["ready"]
            self.pid = message["pid"]
            self._ready.set(True)
        elif "unlike" in message:
            self.start = {}
        elif "forked" in message:
            channel, future, stamp = self._forking.pop(0)
            seat = Seat(channel, message["forked"], stamp)
            self._seats[seat.pid] = seat
            self.has_served = True
            future.set(seat)
        elif "died" in message:
            gone = self._seats.pop(message["died"], None)
            if gone is not None:
                self._forget(gone)
                gone.died.set(message["status"])

    def _break(self, why: str) -> None:
        """Go on without a zygote: hooks at work end by themselves, no worker begins another event."""
        if self.broken:
            return
        self.broken = why
        self._ready.set(False)
        for channel, future, _ in self._forking:
            channel.close()
            future.set(None)
        self._forking.clear()
        for seat in self._idle:
            seat.channel.close()
        self._seats.clear()
        self._idle.clear()
        self._free_one()
        if self._process is not None:
            self._process.poll()

    def close(self) -> None:
        """End the zygote; it takes its workers along."""
        for channel in [seat.channel for seat in self._seats.values()] + [one for one, _, _ in self._forking]:
            channel.close()
        if self._control is not None:
            self._control.close()
        if self._process is not None:
            from fanout_hooks.starting import end

            end(self._process)

    def takes_notice_of_loss(self) -> bool:
        """Say whether a zygote that had served was lost, once."""
        before, self._lost = self._lost, None
        is_lost = before is not None and before.takes_notice_of_loss()
        if self.broken and self.has_served and not self._is_reported:
            self._is_reported = is_lost = True
        return is_lost

    @property
    def is_at_rest(self) -> bool:
        """Say whether nothing is lost by closing it."""
        return self._runs == 0 and len(self._idle) == len(self._seats)

    # --- seats -----------------------------------------------------------------------------------------

    async def _fork(self) -> Seat | None:
        if self._control is None or self._control.closed:
            return None
        if not self.is_fork and not await self.ready():
            return None
        ours, theirs = socket.socketpair()
        future: Future[Seat | None] = Future()
        stamp = os.urandom(STAMP_BYTES)
        self._forking.append((Channel(self.loop, ours, stamp), future, stamp))
        with theirs:
            self._control.send({"do": "fork", "stamp": stamp.hex()}, (theirs.fileno(),))
        return await self._watched(future, FORK_S)

    async def _take(self) -> Seat | None:
        """Return a seat: an idle one, a new one, or after a while yet another one."""
        while True:
            if self._idle:
                return self._idle.pop()
            if len(self._seats) + len(self._forking) < SEATS_AT_ONCE or self.broken:
                return await self._fork()
            free: Future[bool] = Future()
            self._waiting.append(free)
            if await self.loop.first(free, PATIENCE_S) is None and len(self._seats) < MAX_SEATS:
                return await self._fork()

    def _give_back(self, seat: Seat) -> None:
        if seat.died.done:
            return
        if self.broken:
            seat.channel.close()
            return
        if len(self._idle) >= IDLE_SEATS and not self._waiting:
            seat.channel.close()  # it ends by itself; nothing at rest but one worker
            return
        self._idle.append(seat)
        self._free_one()

    def _free_one(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set(True)

    def _forget(self, seat: Seat) -> None:
        if seat in self._idle:
            self._idle.remove(seat)
        seat.channel.close()
        self._free_one()

    def _kill(self, seat: Seat) -> None:
        """End a worker through the zygote, which knows whether it is still there; without one ourselves."""
        if seat.died.done:
            return
        if self.broken or self._control is None or is_stopped(self.pid):
            kill_group(seat.pid)
        else:
            self._control.send({"do": "kill", "pid": seat.pid})

    def preload(self, names: Iterable[str]) -> None:
        """Have the zygote import standard modules."""
        new = set(names) - self.modules
        if new and self._control is not None:
            self.modules |= new
            self._control.send({"do": "import", "names": sorted(new)})

    async def warm_up(self) -> None:
        """Have a seat ready before it is needed."""
        if not self._idle:
            seat = await self._fork()
            if seat is not None:
                self._give_back(seat)

    # --- running ---------------------------------------------------------------------------------------

    async def run(self, tasks: list[Task], scene: Scene, tell: Callable[[Ran], None], *, alone: bool) -> bool:
        """Run hooks in order and tell each result as it comes; False when the interpreter doesn't serve.

        `alone`: the first (only) hook gets a process that nobody had before or has after.
        """
        left, deaths = list(tasks), 0
        self._runs += 1
        try:
            while left:
                seat = await (self._fork() if alone else self._take())
                if seat is None or deaths > MAX_DEATHS:
                    return False
                before = len(left)
                left = await self._run_in(seat, left, scene, tell, alone=alone)
                deaths += len(left) == before
            return True
        finally:
            self._runs -= 1

    async def _run_in(
        self, seat: Seat, tasks: list[Task], scene: Scene, tell: Callable[[Ran], None], *, alone: bool
    ) -> list[Task]:
        """Run tasks in one seat until it is done or spoilt; return what is left."""
        with Sitting(tasks, seat.stamp) as sitting:
            hooks = [
                {
                    "i": task.place,
                    "script": task.program.script,
                    "argv": task.program.argv,
                    "exe": task.program.exe,
                    "deep": alone or task.program.script in self._suspects,
                }
                for task in tasks
            ]
            job = {"hooks": hooks, "cwd": scene.cwd, "env": scene.env}
            seat.channel.send(job, (scene.stdin, sitting.out, sitting.err, sitting.results.fileno()))
            sitting.sent()
            while not sitting.is_over():
                message, alone_s = await self._word_from(seat, sitting, looks=alone)
                for ran in sitting.news():
                    tell(ran)
                if sitting.left and alone_s is not None:
                    self._let_go(seat, alone_s or sitting.left[0].timeout_s)
                    tell(sitting.let_go())
                    return sitting.left
                if sitting.is_over():
                    break
                guilty = None
                if message is None:
                    guilty = sitting.died(await self._end_of(seat))
                elif sitting.unreadable or "done" in message:  # nothing more will come
                    self._kill(seat)
                    guilty = sitting.lost(UNREADABLE if sitting.unreadable else SILENT)
                else:
                    continue
                seat.channel.close()
                if guilty is not None:
                    tell(guilty)
                return sitting.left
            self.loop.leave(self._look_back(seat, tasks, alone=alone, is_last=sitting.is_last))
            return sitting.left

    async def _word_from(
        self, seat: Seat, sitting: Sitting, *, looks: bool
    ) -> tuple[dict[str, Any] | None, float | None]:
        """Wait until the seat says that there are results; None when it has died (or was killed).

        `looks`: its hook may ask to be left alone; then return for how long.
        """
        word = self.loop.spawn(seat.channel.get())
        stopped_since = 0.0
        while await self.loop.first(word, _patience(sitting, looks=looks)) is None and not word.done:
            if sitting.time_left() <= 0:  # else another hook runs by now, with its own time
                sitting.timed_out = True
                self._kill(seat)
                await self.loop.first(word, STOPPED_S)
                if not word.done:
                    seat.channel.close()
                break
            if sitting.unreadable:
                self._kill(seat)
                seat.channel.close()
                break
            alone_s = sitting.asked_for() if looks else None
            if alone_s is not None:
                return {}, alone_s
            if not is_stopped(seat.pid):
                stopped_since = 0.0
            elif not stopped_since:
                stopped_since = time.monotonic()
            elif time.monotonic() - stopped_since > STOPPED_S:
                self._kill(seat)  # it stopped itself, and nothing here would continue it
                seat.channel.close()
                break
        return await word, None

    async def _end_of(self, seat: Seat) -> int:
        """Return the exit status of a seat that speaks no more: its socket is closed, or full of nonsense."""
        if await self.loop.first(seat.died, 0.2) is None and not seat.died.done:
            self._kill(seat)
            if not self.broken:
                await self._watched(seat.died, 2.0)
        return seat.died.result() if seat.died.done else -signal.SIGKILL

    def _let_go(self, seat: Seat, alone_s: float) -> None:
        """Leave a seat to its hook, which may outlive us; as long as we live it may overstay no more."""
        if self._control is not None:
            self._control.send({"do": "spare", "pid": seat.pid})
        seat.channel.close()
        self.loop.leave(self._cut(seat, alone_s))

    async def _cut(self, seat: Seat, after_s: float) -> None:
        if await self.loop.first(seat.died, after_s) is None:
            self._kill(seat)

    async def _look_back(self, seat: Seat, tasks: list[Task], *, alone: bool, is_last: bool) -> None:
        """Wait for the deep look; a clean seat serves again, any other is ended."""
        message = await self.loop.first(self.loop.spawn(_last_word(seat.channel)), DEEP_LOOK_S)
        self.preload(message.get("modules", ()) if message is not None else ())
        scripts = {task.program.script for task in tasks}
        if message is not None and not message.get("taint") and not is_last:
            self._suspects -= scripts
            if not alone:
                self._give_back(seat)
                return
        elif not alone:
            self._suspects |= scripts  # one of them did it: from now on each is looked at right away
        seat.channel.close()  # ends the worker, not what its hooks left running on purpose
        if await self.loop.first(seat.died, 1.0) is None and not self.broken:
            self._kill(seat)
        if not alone and not self._idle and not self.broken:
            await self.warm_up()


def _patience(sitting: Sitting, *, looks: bool) -> float:
    return min(max(0.0, sitting.time_left()), LOOK_S if looks else STOPPED_S)


async def _last_word(channel: Channel) -> dict[str, Any] | None:
    """Return what a seat says after its deep look; a message about results may come before."""
    while True:
        message = await channel.get()
        if message is None or "done" in message:
            return message
