"""State that outlives one event: interpreters, locks, plans, what was learned and what was reported.

The supervisor keeps one for its whole life; the cold path has one for an event.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Coroutine, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fanout_hooks.client import config, files
from fanout_hooks.client.config import Hook
from fanout_hooks.client.files import fcntl
from fanout_hooks.client.places import claude_folder
from fanout_hooks.learn import memory
from fanout_hooks.learn.memory import Memory
from fanout_hooks.run import plan as plans
from fanout_hooks.run.decide import Opinion
from fanout_hooks.run.plan import Plan
from fanout_hooks.warm.command import Program
from fanout_hooks.warm.interpreter import IDLE_S, HookInput, Interpreter, key_of
from fanout_hooks.warm.loop import Ended, Future, Loop, on_stderr, sealed_file
from fanout_hooks.warm.prestart import Started

if TYPE_CHECKING:
    from fanout_hooks.run.lanes import Lanes
    from fanout_hooks.warm.node import NodeProgram, Spares
    from fanout_hooks.warm.uv import Answers


# --- What events share --------------------------------------------------------------------------------------

AT_ONCE = 50
"""Processes of hooks at work at one time; more wait their turn."""

MAX_PLANS = 64
MAX_INTERPRETERS = 16
"""At rest: each is a zygote and a worker."""
QUESTION_S = 60.0
"""For uv to say what it would start."""
IDLE_LOOK_S = 0.02
"""How often what is done between events looks whether an event is at work."""


class Places:
    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[Future[bool]] = []

    async def take(self) -> None:
        while self._free == 0:
            place: Future[bool] = Future()
            self._waiting.append(place)
            await place
        self._free -= 1

    @property
    def is_idle(self) -> bool:
        return self._free == AT_ONCE

    def give_back(self) -> None:
        self._free += 1
        if self._waiting:
            self._waiting.pop(0).set(True)


AskGate = Callable[[Loop, dict[str, Any], dict[str, str], str], Coroutine[Any, Any, Opinion]]
"""gate/watch.py's `opinion`: (loop, event, environment, mode of the entry)."""
WriteLog = Callable[[str, str, str, dict[str, Any] | None], str]
"""log/append.py's `after_event`: (project, state folder, event, record) -> what went wrong."""


class RuntimeState:
    """What events share: the process that runs them hands in the gate and the log, which lie above us."""

    def __init__(
        self,
        loop: Loop,
        state_folder: str,
        ask_gate: AskGate | None = None,
        write_log: WriteLog | None = None,
        *,
        is_for_one: bool = False,
        started: Started | None = None,
    ) -> None:
        self.loop = loop
        self._started = started
        self.is_for_one = is_for_one
        """This process ends with the event."""
        self.ask_gate = ask_gate
        self.write_log = write_log
        loop.complain = self.complain
        self.places = Places(AT_ONCE)
        self.locks = Locks(loop, os.path.join(state_folder, "locks"))
        self._state = state_folder
        self._configs: dict[tuple[tuple[str, ...], str, str], tuple[tuple[Any, ...], config.Config]] = {}
        """By scopes, project and the user's folder: what the files' state was, and what they said."""
        self._memories: dict[str, Memory] = {}
        self._interpreters: dict[tuple[str, ...], Interpreter] = {}
        self._used: tuple[Program, Memory] | None = None
        self._declares: dict[tuple[tuple[str, ...], str, str], frozenset[str]] = {}
        self._declared: frozenset[str] = frozenset()
        """What hooks say that they write, by the same key and together."""
        self._plans: dict[tuple[Any, ...], tuple[dict[str, str], Plan]] = {}
        self._reported: set[str] = set()
        self._lanes: Lanes | None = None
        self._spares: Spares | None = None
        self._to_open: dict[tuple[str, ...], tuple[Program, dict[str, str], str, Memory]] = {}
        self.is_opening = False
        self.uv: Answers | None = None
        """What uv said of scripts; None in a process that stays for one event only."""

    def config(
        self, scopes: Sequence[str], project: str, env: dict[str, str], *, is_registered: bool = True
    ) -> config.Config:
        """Return what scopes' hooks.json hold; what an unregistered one declares locks nothing."""
        claude = claude_folder(env)
        state = tuple(
            memory.version_of(config.path_of(scope, project, claude))
            for scope in scopes
            if scope in config.SCOPES
        )
        key = (tuple(scopes), project, claude)
        known = self._configs.get(key)
        if known is None or known[0] != state:
            known = self._configs[key] = (state, config.load(scopes, project, claude))
            self._declares.pop(key, None)
        if is_registered and key not in self._declares:
            self._declares[key] = plans.declared(known[1].hooks, project)
            self._declared = frozenset[str]().union(*self._declares.values())
        return known[1]

    def memory(self, project: str) -> Memory:
        if project not in self._memories:
            self._memories[project] = Memory(memory.path_of(self._state, project))
        known = self._memories[project]
        known.refresh()
        return known

    def plan(self, hooks: Sequence[Hook], project: str, cwd: str, env: dict[str, str]) -> Plan:
        """Return how these hooks run, made again only when something has changed."""
        memory = self.memory(project)
        key = (tuple(hooks), project, cwd, self._declared)
        known = self._plans.get(key)
        if known is not None and known[0] is env and known[1].is_still_good:
            return known[1]
        if len(self._plans) > MAX_PLANS:
            self._plans.clear()
        made = plans.make(
            hooks, project, cwd, env, memory, self._declared, self.uv, is_for_one=self.is_for_one
        )
        self._plans[key] = (env, made)
        return made

    def interpreter(self, program: Program, env: dict[str, str], cwd: str, known: Memory) -> Interpreter:
        key = key_of(program, env, cwd)
        interpreter = self._interpreters.pop(key, None)
        if interpreter is None or (interpreter.broken and interpreter.has_served):
            if interpreter is not None:
                interpreter.close()
            has_lost = interpreter is not None and interpreter.takes_notice_of_loss()
            interpreter = Interpreter(self.loop, has_lost=has_lost)
            interpreter.open(program, env, cwd, self._take_started(program, env, cwd))
            self._used = (program, known)
            interpreter.preload(known.modules.get(program.interpreter, ()))
        interpreter.used_at = time.monotonic()
        self._interpreters[key] = interpreter  # the one used last is last
        for old in list(self._interpreters)[:-MAX_INTERPRETERS]:
            if self._interpreters[old].is_at_rest:
                self._interpreters.pop(old).close()
        return interpreter

    def _take_started(self, program: Program, env: dict[str, str], cwd: str) -> int | None:
        """Return the socket of the interpreter that was started ahead, if it is this one."""
        own = self._started
        if own is None or not own.is_for(program.exe, program.flags, env, cwd):
            return None
        self._started = None
        return own.fd

    def used(self) -> tuple[str, str, Iterable[str]]:
        """Return the last interpreter's command, its flags and the modules that hooks load in it."""
        if self._used is None:
            return "", "", ()
        program, known = self._used
        return program.exe, program.flags, known.modules.get(program.interpreter, ())

    def give_back(self, idle_s: float = IDLE_S) -> None:
        """End the interpreters that no event has used for `idle_s`; the next one starts its own again."""
        for key, own in list(self._interpreters.items()):
            if own.is_at_rest and time.monotonic() - own.used_at >= idle_s:
                self._interpreters.pop(key).close()

    def ready_interpreter(
        self, program: Program, env: dict[str, str], cwd: str, known: Memory
    ) -> Interpreter | None:
        """Return a program's interpreter if it is ready; else it will be, some time after this event.

        Each of uv's environments may have its own: to start a dozen in an event would take longer than the
        hooks take natively.
        """
        key = key_of(program, env, cwd)
        interpreter = self._interpreters.get(key)
        if interpreter is not None and (interpreter.pid or interpreter.broken):
            return self.interpreter(program, env, cwd, known)
        self._to_open[key] = (program, env, cwd, known)
        return None

    def _prepare(self, program: Program, env: dict[str, str], cwd: str) -> None:
        """Start the interpreter that uv has just named, before its next event."""
        project = env.get("CLAUDE_PROJECT_DIR") or cwd
        if self.ready_interpreter(program, env, cwd, self.memory(project)) is None:
            self._open_soon()

    def _open_soon(self) -> None:
        if self._to_open and not self.is_opening:
            self.is_opening = True
            self.loop.leave(self._open())

    async def _open(self) -> None:
        """Start the interpreters that were asked for, one after another, while no hook is at work."""
        try:
            while self._to_open:
                await self._idle()
                program, env, cwd, known = self._to_open.pop(next(iter(self._to_open)))
                await self.interpreter(program, env, cwd, known).ready()
        finally:
            self.is_opening = False

    async def _idle(self) -> None:
        while not self.places.is_idle:
            await self.loop.sleep(IDLE_LOOK_S)

    async def run_node(self, program: NodeProgram, hook: Hook, hook_input: HookInput) -> tuple[Ended, str]:
        """Run a Node hook in the process that waits for it, else as written; return also which it was."""
        began = time.perf_counter()
        env, cwd = hook_input.env, hook_input.cwd
        stdin = os.pread(hook_input.stdin, os.fstat(hook_input.stdin).st_size, 0)
        spare = self.spares.take(program, stdin, env, cwd)
        try:
            if spare is not None:
                try:
                    ended = await self.lanes.finish(
                        spare.process, spare.out, spare.err, hook.timeout_s, began, spare.is_over
                    )
                    if ended.timed_out or spare.was_taken():
                        return ended, "spare"
                finally:
                    spare.close()
            # There is none, or it was killed before the event got to it.
            return await self.lanes.run_hook(hook, hook_input), "lane"
        finally:
            self.spares.done()

    @property
    def spares(self) -> Spares:
        if self._spares is None:
            from fanout_hooks.warm.node import Spares

            self._spares = Spares(self.loop, self.lanes)
        return self._spares

    def stay(self) -> None:
        """Keep things ready for later events: this process will see more than one."""
        from fanout_hooks.warm.uv import Answers

        self.uv = Answers(self._question, self._plans.clear, self._prepare, self._state)

    async def _question(self, line: list[str], env: dict[str, str], cwd: str) -> Ended:
        await self._idle()
        stdin = sealed_file("stdin", b"")
        try:
            return await self.lanes.run(line, stdin, env, cwd, QUESTION_S)
        finally:
            os.close(stdin)

    @property
    def is_settling(self) -> bool:
        """Say whether something is still being made ready for later events."""
        is_asking = self.uv is not None and self.uv.is_asking
        return is_asking or self.is_opening or (self._spares is not None and self._spares.is_filling)

    def settle(self) -> None:
        """Get ready for the next event, now that one's answer is out; only a process that stays calls it."""
        if self._spares is not None:
            self._spares.refill()
        if self.uv is not None and self.uv.has_questions:
            self.loop.leave(self.uv.ask())
        self._open_soon()

    @property
    def lanes(self) -> Lanes:
        """Return the commands at work; with subprocess 4 ms, which an event of Python hooks does without."""
        if self._lanes is None:
            from fanout_hooks.run.lanes import Lanes

            self._lanes = Lanes(self.loop)
        return self._lanes

    def unreported(self, problems: Iterable[str]) -> list[str]:
        """Return the problems that this process hasn't reported yet; from now on it has."""
        new = [problem for problem in problems if problem not in self._reported]
        self._reported.update(new)
        return new

    def complain(self, text: str) -> None:
        if self.unreported([text]):
            on_stderr(text)

    def close(self) -> None:
        if self._spares is not None:
            self._spares.close()
        if self._lanes is not None:
            self._lanes.close()
        for interpreter in self._interpreters.values():
            interpreter.close()
        self.locks.close()


# --- Locks on what hooks write, across events, sub-agents and sessions. -------------------------------------
# The race that costs users their state is between events: 20 parallel runs of one read-modify-write hook kept
# 1 to 4 of 20 updates. So before a hook runs, everything it is known to write is locked. Within this process
# a table does it, all at once or none. Between processes each key is a byte, by its hash, of one file in the
# user's own state folder: any number of locks costs one descriptor, leaves nothing to sweep, and ends with
# its process. Bytes are taken in their order, so no process can hold what another one needs first.
#
# The holders in this process end at their own limits. A lock that another process keeps for too long (it was
# stopped, say) is passed over, and that is noted.

POLL_S = 0.004
MAX_WAIT_S = 10.0
NAME = "held"


class Locks:
    def __init__(self, loop: Loop, folder: str) -> None:
        self._loop = loop
        self._path = os.path.join(folder, NAME)
        self._fd = -1
        self._held: dict[str, int] = {}
        """Per key the number of readers, or -1 for a writer."""
        self._waiting: list[Future[bool]] = []

    async def acquire(self, keys: dict[str, bool], max_wait_s: float = MAX_WAIT_S) -> str:
        """Lock all keys (True: for writing) until their `release`, in any case.

        Return what a reader of the log should know: which lock was not to be had, and why.
        """
        if not keys:
            return ""
        while not all(self._free(key, writes=writes) for key, writes in keys.items()):
            freed: Future[bool] = Future()
            self._waiting.append(freed)
            await freed
        try:
            self._open()  # before the table says that something is held
        except OSError as error:
            note = f"went on without locks: {self._path}: {error.strerror or error}"
        else:
            note = ""
        for key, writes in keys.items():
            self._held[key] = -1 if writes else self._held.get(key, 0) + 1
        return note or await self._between_processes(keys, max_wait_s)

    def release(self, keys: dict[str, bool]) -> None:
        for key, writes in keys.items():
            left = 0 if writes else self._held[key] - 1
            if left:
                self._held[key] = left
            else:
                self._held.pop(key, None)
                self._unlock(_byte(key))
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            future.set(True)

    def _free(self, key: str, *, writes: bool) -> bool:
        count = self._held.get(key, 0)
        return count == 0 or (count > 0 and not writes)

    async def _between_processes(self, keys: dict[str, bool], max_wait_s: float) -> str:
        """Return what is to be noted. Who has a byte in this process has it for all readers in it."""
        note, waited = "", 0.0
        for byte, key in sorted((_byte(key), key) for key in keys):
            kind = fcntl.LOCK_EX if keys[key] else fcntl.LOCK_SH
            while True:
                try:
                    fcntl.lockf(self._fd, kind | fcntl.LOCK_NB, 1, byte)
                    break
                except (BlockingIOError, PermissionError):
                    if waited >= max_wait_s:
                        note = note or f"went on without the lock of {key}: another process keeps it"
                        break
                except OSError as error:
                    return f"went on without the lock of {key}: {error.strerror or error}"
                await self._loop.sleep(POLL_S)
                waited += POLL_S
        return note

    def _unlock(self, byte: int) -> None:
        if self._fd < 0:
            return
        try:
            fcntl.lockf(self._fd, fcntl.LOCK_UN, 1, byte)
        except OSError:
            return  # the process's end gives it back

    def close(self) -> None:
        """Give back every lock: what a closed file held is free."""
        if self._fd >= 0:
            os.close(self._fd)
            self._fd = -1

    def _open(self) -> None:
        """Have the file open. Closing it gives back every lock, so it stays until it has been removed."""
        if self._fd >= 0 and (self._held or os.fstat(self._fd).st_nlink):
            return
        self.close()
        self._fd = files.own(self._path)


def _byte(key: str) -> int:
    """Return a key's place in the file, below 2^62: what all systems can lock."""
    return int.from_bytes(files.digest(key, 8), "big") >> 2
