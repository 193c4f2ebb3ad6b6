"""Node hooks: processes started ahead, each used for one event of its hook (node_spare.cjs waits in them).

A Node hook's price is Node's start (50 ms of CPU), not its own work. A *spare* is the hook's own command with
a preload in front: Node has started, has not looked at the script, and waits. The event gives it folder,
variables and stdin; then Node reads and runs the script as it always does. So everything is native by itself:
a fresh module graph, CommonJS and ES modules, exit codes, open handles, rejections, children. What is given
ahead is only what Node decides before it reads a script: its options and what it takes from the environment,
so a spare serves only events whose environment is the same but for what the client sets for each.

A spare is used once. The next one is started when no hook of ours is at work, so that a burst of events is
never slower than natively: what finds no spare is started as its author wrote it, and one that is still
starting is taken all the same, for it is ahead. Two thirds of what Node does after the event is taking itself
apart: a program that ends with 0 reports so before (`is_over`), and is held there until spares for the next
event are ready or HOLD_S are over, for the processors are for them and for the other hooks first.

As many wait as memory and MAX_SPARES allow, and not longer than IDLE_S after their hook's last event. The
PostToolUse of a call may come before all are there again, and with hooks of its own. So those come first
that came after this event's hooks the last time (`followers`), then those that are used most; and a hook
whose uses outran its refill (`demand`) has more than one where there is room.
"""

from __future__ import annotations

import contextlib
import json
import os
import re
import socket
import time
from collections.abc import Sequence
from typing import NamedTuple, Protocol

from fanout_hooks.client.files import fcntl
from fanout_hooks.learn.memory import version_of
from fanout_hooks.warm.command import is_shim, which
from fanout_hooks.warm.interpreter import IDLE_S
from fanout_hooks.warm.loop import Command, Future, Holder, Loop, memory_file

PRELOAD = os.path.join(os.path.dirname(os.path.abspath(__file__)), "node_spare.cjs")
MAX_SPARES = 14
"""Some 6 MB each, and 30 MB of Node that they share."""
SPARE_BYTES = 100 << 20
"""Of memory that is free for one more spare: a machine that is short of it has better uses."""
AT_ONCE = max(1, min(4, os.cpu_count() or 1))
"""Spares that start side by side."""
SETTLE_S = 0.01
"""After an event, before spares are started: the answer is on its way, the next event may be, too."""
HOLD_S = 1.0
MAX_HELD = 24
READY_S = 10.0
MAX_DEATHS = 3
"""Spares that end before they are ready: this Node can't be kept warm."""
MAX_STDIN = 1 << 20
"""What a pipe takes in one piece (the system's limit for users)."""
MAX_WANTED = 200

NODES = ("node", "nodejs")
FLAGS = re.compile(
    r"--(no-(warnings|deprecation|addons|experimental-[a-z-]+)|(throw|trace)-deprecation|trace-(warnings|uncaught)"
    r"|enable-source-maps|experimental-(strip-types|transform-types|vm-modules|json-modules|wasm-modules"
    r"|import-meta-resolve|fetch|require-module|detect-module|sqlite|websocket|global-[a-z]+)"
    r"|preserve-symlinks(-main)?|expose-gc|use-strict|pending-deprecation|insecure-http-parser"
    r"|(unhandled-rejections|disable-warning|max-old-space-size|max-semi-space-size|stack-trace-limit"
    r"|stack-size|dns-result-order|max-http-header-size)=[\w:-]+)"
)
"""Options of one word that name no file to run and no other way of running."""
PER_EVENT = re.compile(r"CLAUDE\w*|PWD")
"""Variables that the client sets anew for each event, none of which Node itself looks at."""


class NodeProgram(NamedTuple):
    """A Node program: the command in words, the binary that it names."""

    words: tuple[str, ...]
    exe: str
    script: str
    shell: tuple[str, ...]
    """What starts it natively: how it ends by a signal, and who its parent is, is the shell's to say."""


def node_of(
    words: Sequence[str], env: dict[str, str], cwd: str, shell: Sequence[str] = ()
) -> NodeProgram | None:
    """Return the Node program of a command in words, or None when it can't be started ahead."""
    exe = which(words[0], env, cwd)
    # A version manager's `node` is a script or a link to another program: which Node it means may change.
    if exe is None or os.path.basename(os.path.realpath(exe)) not in NODES or is_shim(exe):
        return None
    if not all(FLAGS.fullmatch(own) for own in env.get("NODE_OPTIONS", "").split()):
        return None
    at = 1
    while at < len(words) and FLAGS.fullmatch(words[at]):
        at += 1
    if at >= len(words) or words[at].startswith("-"):
        return None
    return NodeProgram(tuple(words), exe, words[at], tuple(shell))


def shell_of(command: str, args: tuple[str, ...] | None) -> tuple[str, ...]:
    """Return the shell that starts a hook's command natively, for words that follow it."""
    if args is not None:
        return ()
    return ("/bin/sh", "-c", 'exec "$0" "$@"' if command.split()[:1] == ["exec"] else '"$0" "$@"')


class Starter(Protocol):
    """What starts and ends commands (run/lanes.py)."""

    def start(self, command: Command) -> Holder: ...
    async def discard(self, process: Holder) -> None: ...


Key = tuple[NodeProgram, str, str]
"""The command, the version of its Node, the folder."""


class Spare:
    """One process that waits. Its files are open here until `close`."""

    def __init__(self, starter: Starter, program: NodeProgram, env: dict[str, str], cwd: str) -> None:
        self.env = env
        self.cwd = cwd
        self.is_ready: Future[bool] = Future()
        """False when it ended before."""
        self.is_over: Future[bool] = Future()
        """Set when the program reports that it has ended with 0, or the process has ended."""
        self._pipes: tuple[int, ...] = ()
        """Of the program's report, and of what holds it after that; both ends."""
        self.out, self.err = memory_file("out"), memory_file("err")
        stdin, self._stdin = os.pipe()
        self._ours, theirs = socket.socketpair()
        try:
            line = [*program.shell, program.words[0], "-r", PRELOAD, *program.words[1:]]
            files = (stdin, self.out, self.err)
            self.process = starter.start(Command(line, files, env, cwd, theirs.fileno()))
        except OSError:
            self.close()
            raise
        finally:
            os.close(stdin)
            theirs.close()

    def wait_ready(self, loop: Loop) -> None:
        """Have `is_ready` set when Node has started, or has ended."""
        number = self._ours.fileno()

        def on_byte() -> None:
            loop.unwatch(number)
            try:
                self.is_ready.set(self._ours.recv(1) == b"!")
            except OSError:
                self.is_ready.set(False)

        loop.watch(number, on_byte)
        self.process.ended.then(lambda: self.is_ready.set(False))
        self.is_ready.then(lambda: loop.unwatch(number))

    def fits(self, env: dict[str, str]) -> bool:
        """Say whether Node has decided nothing by variables that are others now."""
        if env is self.env:
            return True
        return _lasting(env) == _lasting(self.env)

    def give(self, loop: Loop, stdin: bytes, env: dict[str, str], hold: Future[bool]) -> bool:
        """Hand over the event; False when it can't be, and then the spare is of no use."""
        changed = {name: value for name, value in env.items() if self.env.get(name) != value}
        gone = [name for name in self.env if name not in env]
        given = {"cwd": self.cwd, "set": changed, "unset": gone, **self._watch_end(loop, env, hold)}
        body = json.dumps(given).encode()
        try:
            if len(stdin) > 1 << 16:
                fcntl.fcntl(self._stdin, fcntl.F_SETPIPE_SZ, MAX_STDIN)
            os.set_blocking(self._stdin, False)
            if stdin and os.write(self._stdin, stdin) < len(stdin):
                return False
            self._ours.setblocking(False)
            return self._ours.send(len(body).to_bytes(4, "big") + body) == len(body) + 4
        except (OSError, AttributeError):
            return False
        finally:
            self._end_input()

    def was_taken(self) -> bool:
        """Say whether the event got to the program: what was killed before has done nothing."""
        with contextlib.suppress(OSError):
            return self._ours.recv(16, socket.MSG_DONTWAIT).endswith(b".")
        return False

    def _watch_end(self, loop: Loop, env: dict[str, str], hold: Future[bool]) -> dict[str, list[str]]:
        """Return where the program reports its end, and where it waits after that, until `hold` is set.

        Nothing where it can't, or Node has more to do.
        """
        self.process.ended.then(lambda: self.is_over.set(True))
        if env.get("NODE_V8_COVERAGE"):
            return {}
        read, write = os.pipe()
        held, holding = os.pipe()
        self._pipes = (read, write, held)
        hold.then(lambda: os.close(holding))
        paths = [f"/proc/{os.getpid()}/fd/{fd}" for fd in (write, held)]
        try:
            named = [[path, os.readlink(path)] for path in paths]
        except OSError:  # a system without /proc
            return {}
        loop.watch(read, lambda: self.is_over.set(True))
        self.is_over.then(lambda: loop.unwatch(read))
        return {"end": named[0], "hold": named[1]}

    def _end_input(self) -> None:
        if self._stdin >= 0:
            os.close(self._stdin)
        self._stdin = -1

    def close(self) -> None:
        self._end_input()
        self.is_ready.set(False)
        self.is_over.set(False)
        self._ours.close()
        for fd in (self.out, self.err, *self._pipes):
            os.close(fd)


def _lasting(env: dict[str, str]) -> dict[str, str]:
    return {name: value for name, value in env.items() if not PER_EVENT.fullmatch(name)}


class Wanted:
    """A hook that runs again and again, and its spare."""

    def __init__(self) -> None:
        self.env: dict[str, str] = {}
        self.uses = 0
        self.last = 0.0
        self.deaths = 0
        self.demand = 1
        """The most uses of it before it had its spares again."""
        self.uses_since = 0
        self.followers: set[Key] = set()
        """The hooks that were used next, after its latest use but one."""
        self.spares: list[Spare] = []


class Spares:
    """The spares of all Node hooks. Nothing is started before `refill` was called once."""

    def __init__(self, loop: Loop, starter: Starter) -> None:
        self._loop = loop
        self._starter = starter
        self._wanted: dict[Key, Wanted] = {}
        self._at_work = 0
        self._held: list[Future[bool]] = []
        self._taken: set[Key] = set()
        """The hooks used since the last `refill`; the ones used before are `_latest`."""
        self._latest: set[Key] = set()
        self.is_filling = self._is_watching = False

    def __len__(self) -> int:
        """Return how many wait, or are about to."""
        return sum(not one.process.ended.done for own in self._wanted.values() for one in own.spares)

    def take(self, program: NodeProgram, stdin: bytes, env: dict[str, str], cwd: str) -> Spare | None:
        """Return the hook's spare with the event in it, or None: then it runs as written.

        Call `done` in any case when the hook has ended.
        """
        self._at_work += 1
        key = (program, version_of(program.exe), cwd)
        wanted = self._wanted.setdefault(key, Wanted())
        wanted.env, wanted.last = env, time.monotonic()
        wanted.uses += 1
        wanted.uses_since += 1
        wanted.demand = max(wanted.demand, wanted.uses_since)
        self._taken.add(key)
        while wanted.spares:
            spare = wanted.spares.pop(0)
            hold = self._loop.timer(HOLD_S)
            self._held.append(hold)
            self._release(MAX_HELD)
            if not spare.process.ended.done and spare.fits(env) and spare.give(self._loop, stdin, env, hold):
                return spare
            self._drop(spare)
        return None

    def _release(self, kept: int = 0) -> None:
        """Let programs that have ended take themselves apart, but for the latest ones."""
        while len(self._held) > kept:
            self._held.pop(0).set(True)

    def done(self) -> None:
        self._at_work -= 1

    def refill(self) -> None:
        """Start what is missing, in the background; call it when an event's answer is out."""
        if self._taken:
            for key in self._latest & self._wanted.keys():
                self._wanted[key].followers = self._taken
            self._latest, self._taken = self._taken, set()
        if self._wanted and not self.is_filling:
            self.is_filling = True
            self._loop.leave(self._fill())
        if self._wanted and not self._is_watching:
            self._is_watching = True
            self._loop.leave(self._watch())

    async def _fill(self) -> None:
        """Keep AT_ONCE spares starting while no hook is at work and one is missing."""
        try:
            await self._loop.sleep(SETTLE_S)
            starting: list[Spare] = []
            while not self._at_work:
                missing = self._missing()
                for key in missing[: max(0, AT_ONCE - len(starting))]:
                    spare = self._start(key)
                    if spare is not None:
                        starting.append(spare)
                if not starting:
                    self._release()
                    return
                await self._loop.first(_any_of([spare.is_ready for spare in starting]), READY_S)
                starting = [spare for spare in starting if not spare.is_ready.done]
        finally:
            self.is_filling = False

    def _missing(self) -> list[Key]:
        """Return which spares are to be started, in that order; drop those that others need more."""
        chosen = self._chosen()
        missing = list(chosen)
        for key, wanted in self._wanted.items():
            for spare in wanted.spares[chosen.count(key) :]:
                wanted.spares.remove(spare)
                self._drop(spare)
            for _ in wanted.spares:
                missing.remove(key)
            if key not in missing:
                wanted.uses_since = 0
        return missing

    def _chosen(self) -> list[Key]:
        """Return which hooks have a spare, each as often as it has some; as many as there is room."""
        now = time.monotonic()
        for key in [key for key, own in self._wanted.items() if now - own.last > IDLE_S]:
            self._forget(key)
        while len(self._wanted) > MAX_WANTED:
            self._forget(min(self._wanted, key=lambda key: self._wanted[key].last))
        able = [key for key, own in self._wanted.items() if own.deaths < MAX_DEATHS]
        known = self._latest & self._wanted.keys()
        next_ones = set().union(*(self._wanted[key].followers for key in known))
        able.sort(key=lambda key: (key not in next_ones, -self._wanted[key].uses))
        more = [key for nth in range(1, MAX_SPARES) for key in able if self._wanted[key].demand > nth]
        return (able + more)[: min(MAX_SPARES, _room())]

    def _start(self, key: Key) -> Spare | None:
        program, _, cwd = key
        wanted = self._wanted[key]
        try:
            spare = Spare(self._starter, program, wanted.env, cwd)
        except OSError:
            wanted.deaths += 1
            return None
        wanted.spares.append(spare)
        spare.wait_ready(self._loop)
        spare.is_ready.then(lambda: self._looked_at(wanted, spare))
        return spare

    def _looked_at(self, wanted: Wanted, spare: Spare) -> None:
        if spare not in wanted.spares:
            return  # taken, or dropped
        if spare.is_ready.result():
            wanted.deaths = 0
            return
        wanted.deaths += 1
        wanted.spares.remove(spare)
        self._drop(spare)

    async def _watch(self) -> None:
        """Give back what no event has used for IDLE_S."""
        try:
            while self._wanted:
                oldest = min(own.last for own in self._wanted.values())
                await self._loop.sleep(max(1.0, oldest + IDLE_S - time.monotonic()))
                if not self._at_work:
                    self._chosen()
        finally:
            self._is_watching = False

    def _forget(self, key: Key) -> None:
        for spare in self._wanted.pop(key).spares:
            self._drop(spare)

    def _drop(self, spare: Spare) -> None:
        self._loop.leave(self._starter.discard(spare.process))
        spare.close()

    def close(self) -> None:
        """Let every spare end: its end of the socket closes."""
        self._release()
        for wanted in self._wanted.values():
            spares, wanted.spares = wanted.spares, []  # first: closing reports that it will never be ready
            for spare in spares:
                spare.close()
        self._wanted.clear()


def _any_of(futures: list[Future[bool]]) -> Future[bool]:
    either: Future[bool] = Future()
    for future in futures:
        future.then(lambda: either.set(True))
    return either


def _room() -> int:
    with contextlib.suppress(OSError, ValueError, IndexError), open("/proc/meminfo") as file:
        for line in file:
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) * 1024 // SPARE_BYTES
    return MAX_SPARES
