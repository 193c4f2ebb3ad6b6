"""What outlives one event: interpreters, locks, what was learned, what was already said.

The supervisor keeps one for its whole life; the cold path has one for an event.
"""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from fanout_hooks import config, memory
from fanout_hooks import plan as plans
from fanout_hooks.ahead import Ahead
from fanout_hooks.claude_folder import claude_folder
from fanout_hooks.command import Program
from fanout_hooks.config import Hook
from fanout_hooks.decide import Opinion
from fanout_hooks.identity import key_of
from fanout_hooks.interpreter import Interpreter
from fanout_hooks.loop import Future, Loop, on_stderr
from fanout_hooks.memory import Memory
from fanout_hooks.plan import Plan
from fanout_hooks.resources import Locks

if TYPE_CHECKING:
    from fanout_hooks.lanes import Lanes

AT_ONCE = 50
"""Processes of hooks at work at one time; more wait their turn."""

MAX_PLANS = 64
MOST_INTERPRETERS = 4
"""At rest: each is a zygote and a worker. A project's hooks rarely name two."""


class Places:
    """A bound on what runs at once."""

    def __init__(self, count: int) -> None:
        self._free = count
        self._waiting: list[Future[bool]] = []

    async def take(self) -> None:
        while self._free == 0:
            place: Future[bool] = Future()
            self._waiting.append(place)
            await place
        self._free -= 1

    def give_back(self) -> None:
        self._free += 1
        if self._waiting:
            self._waiting.pop(0).set(True)


class House:
    def __init__(self, loop: Loop, state_folder: str) -> None:
        self.loop = loop
        loop.complain = self.complain
        self.places = Places(AT_ONCE)
        self.locks = Locks(loop, os.path.join(state_folder, "locks"))
        self._state = state_folder
        self._configs: dict[tuple[tuple[str, ...], str, str], tuple[tuple[Any, ...], config.Config]] = {}
        """By scopes, project and the user's folder: what the files' state was, and what they said."""
        self._memories: dict[str, Memory] = {}
        self._interpreters: dict[tuple[str, ...], Interpreter] = {}
        self._declared: frozenset[str] = frozenset()
        self._plans: dict[tuple[Any, ...], tuple[dict[str, str], Plan]] = {}
        self._said: set[str] = set()
        self._ahead: Ahead | None = None
        self._lanes: Lanes | None = None

    def config(self, scopes: Sequence[str], project: str, env: dict[str, str]) -> config.Config:
        """Return the hooks of the registered scopes, read again when a file has changed."""
        claude = claude_folder(env)
        state = tuple(
            _state_of(config.path_of(scope, project, claude)) for scope in scopes if scope in config.SCOPES
        )
        key = (tuple(scopes), project, claude)
        known = self._configs.get(key)
        if known is None or known[0] != state:
            known = self._configs[key] = (state, config.load(scopes, project, claude))
            held = [plans.declared(own.hooks, at) for (_, at, _), (_, own) in self._configs.items()]
            self._declared = frozenset[str]().union(*held)
        return known[1]

    def expect(self, project: str, known: Memory, ahead: Ahead | None) -> None:
        """Take over what the cold path began before there was a house."""
        self._memories[project] = known
        self._ahead = ahead

    def memory(self, project: str) -> Memory:
        if project not in self._memories:
            self._memories[project] = Memory(memory.path_of(self._state, project))
        known = self._memories[project]
        known.refresh()
        return known

    def plan(self, hooks: Sequence[Hook], project: str, cwd: str, env: dict[str, str]) -> Plan:
        """Return how these hooks run, made anew only when something has changed."""
        memory = self.memory(project)
        key = (tuple(hooks), project, cwd, self._declared)
        known = self._plans.get(key)
        if known is not None and known[0] is env and known[1].is_still_good:
            return known[1]
        if len(self._plans) > MAX_PLANS:
            self._plans.clear()
        made = plans.make(hooks, project, cwd, env, memory, self._declared)
        self._plans[key] = (env, made)
        return made

    def interpreter(self, program: Program, env: dict[str, str], cwd: str, known: Memory) -> Interpreter:
        """Return the interpreter that a program's command names, started at its first use."""
        key = key_of(program, env, cwd)
        interpreter = self._interpreters.pop(key, None)
        if interpreter is None or (interpreter.broken and interpreter.start):  # it served, and is gone
            lost = interpreter
            if lost is not None:
                lost.close()
            interpreter = Interpreter(self.loop, lost)
            if self._ahead is not None and self._ahead.key == key:
                interpreter.take_over(self._ahead, known.modules.get(program.exe, ()))
            else:
                interpreter.open(program, env, cwd)
                interpreter.preload(known.modules.get(program.exe, ()))
            interpreter.key = key
        self._interpreters[key] = interpreter  # the one used last stands last
        for old in list(self._interpreters)[:-MOST_INTERPRETERS]:
            if self._interpreters[old].is_at_rest:
                self._interpreters.pop(old).close()
        return interpreter

    @property
    def lanes(self) -> Lanes:
        """Return the commands at work; with subprocess 4 ms, which an event of Python hooks does without."""
        if self._lanes is None:
            from fanout_hooks.lanes import Lanes

            self._lanes = Lanes(self.loop)
        return self._lanes

    async def gate(self, event: dict[str, Any], env: dict[str, str], mode: str) -> Opinion:
        """Return what the sequential-agent gate says of an event."""
        from fanout_hooks.gate_watch import opinion

        return await opinion(self.loop, event, env, mode)

    def news(self, problems: Iterable[str]) -> list[str]:
        """Return what the user wasn't told yet."""
        new = [problem for problem in problems if problem not in self._said]
        self._said.update(new)
        return new

    def complain(self, text: str) -> None:
        """Say something on stderr, once."""
        if self.news([text]):
            on_stderr(text)

    def close(self) -> None:
        """End every process that is at work or waits for some."""
        if self._lanes is not None:
            self._lanes.close()
        for interpreter in self._interpreters.values():
            interpreter.close()


def _state_of(path: str) -> tuple[int, int, int]:
    try:
        about = os.stat(path)
    except OSError:
        return (0, 0, 0)
    return (about.st_mtime_ns, about.st_size, about.st_ino)
