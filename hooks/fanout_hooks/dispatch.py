"""One event through the hooks: choose, order, run, decide, log.

    event -> choose (config) -> footprints, waits (conflicts) -> seats and lanes, under locks -> decide ->
    answer

Each hook has a way to run:
  warm    plain Python, known to be fast and clean: one after another in one seat, in configuration order
  trial   plain Python not known yet: the same chain, but a seat of its own
  alone   plain Python that is slow, starts processes or leaves things behind: a seat of its own, side by side
  lane    everything else: the command itself, side by side
Warm and trial hooks form one chain, so among them configuration order holds by itself; the others wait only
for hooks that they conflict with. What a hook is known to write is locked across events while it runs.

`run_event` is the whole for one event, for callers without a loop; `handle` is the same inside one.
"""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fanout_hooks import config, conflicts, decide, lanes, perflog
from fanout_hooks.command import Program, plain_python
from fanout_hooks.conflicts import Footprint
from fanout_hooks.event import to_stdin
from fanout_hooks.house import House
from fanout_hooks.interpreter import Scene
from fanout_hooks.loop import Future, Loop, memory_file, write_all
from fanout_hooks.memory import Memory
from fanout_hooks.sitting import Ran, Task

MS = 1000
KEEP_CONTEXT_S = 24 * 3600


class Answer(NamedTuple):
    """What goes back to the client."""

    stdout: str
    exit: int = 0
    stderr: str = ""


class Request(NamedTuple):
    """One event, and which registered hooks it is for."""

    event: dict[str, Any]
    scopes: tuple[str, ...]
    env: dict[str, str]
    only: str = ""
    gate: str = ""
    path: str = "warm"
    raw: bytes | None = None
    """The client's own bytes, where we have them."""
    is_logged: bool = True
    """Benchmarks keep what they do out of the log."""


class Planned(NamedTuple):
    """A hook and how it will run."""

    hook: config.Hook
    way: str
    program: Program | None
    file: str
    """The script's path, by which it is remembered."""


class Outcome(NamedTuple):
    """What became of a hook."""

    planned: Planned
    exit: int
    stdout: str
    stderr: str
    ms: float
    wait_ms: float
    timed_out: bool = False
    taint: str = ""


class Handled(NamedTuple):
    """The answer, and what is left to do when it is out."""

    answer: Answer
    afterwards: Callable[[], None]


def run_event(request: Request, state_folder: str) -> Answer:
    """Run one event's hooks from start to end."""
    loop = Loop()
    house = House(loop, state_folder)
    try:
        handled = loop.run(handle(house, request))
        handled.afterwards()
        return handled.answer
    finally:
        house.close()


async def handle(house: House, request: Request) -> Handled:
    """Run the hooks of one event; the answer first, the log after it."""
    began = time.perf_counter()
    project = request.env.get("CLAUDE_PROJECT_DIR") or str(request.event.get("cwd") or os.getcwd())
    found = house.config(request.scopes, project, request.env)
    hooks = config.choose(found, request.event, request.only)
    notes = house.news(found.problems)
    gate = house.loop.spawn(house.gate(request.event, request.env, request.gate)) if request.gate else None
    run = Run(house, request, project, hooks)
    outcomes = await run.all()
    opinions = [decide.understand(_left(one), one.planned.hook.event) for one in outcomes]
    if gate is not None:
        opinions.append(await gate)
    notes += run.notes
    decision = decide.decide(request.event, opinions, notes)
    if decision.overflow:
        decision = _kept_whole(decision, project)
    elapsed = (time.perf_counter() - began) * MS

    def afterwards() -> None:
        run.memory.save()
        if request.is_logged and (outcomes or any(own.note for own in opinions)):
            record = _record(request, run, outcomes, opinions, elapsed)
            try:
                perflog.append(perflog.path_of(project), record, house.on_rotate)
            except perflog.Unwritable as error:
                house.complain(f"the hook log: {error}")

    return Handled(Answer(decision.stdout, decision.exit, decision.stderr), afterwards)


class Run:
    """One event's hooks while they run."""

    def __init__(self, house: House, request: Request, project: str, hooks: Sequence[config.Hook]) -> None:
        self.house = house
        self.project = project
        self.began = time.perf_counter()
        self.notes: list[str] = []
        cwd = str(request.event.get("cwd") or project)
        self.memory: Memory = house.memory(project)
        self.env = request.env
        self.planned = [self._plan(hook, cwd) for hook in hooks]
        self.footprints = [self._footprint(planned) for planned in self.planned]
        self.waits = conflicts.waits(self.footprints)
        self.levels = conflicts.levels(
            len(hooks), [wait for wait in self.waits if wait.why != "the same worker"]
        )
        self.ended: list[Future[Outcome]] = [Future() for _ in hooks]
        self.stdin = request.raw if request.raw is not None else to_stdin(request.event)
        self.cwd = cwd

    # --- planning --------------------------------------------------------------------------------------

    def _plan(self, hook: config.Hook, cwd: str) -> Planned:
        if hook.type != "command":
            return Planned(hook, "lane", None, "")
        program = None if hook.isolate else plain_python(hook.command, hook.args, self.env, cwd)
        if program is None:
            return Planned(hook, "lane", None, "")
        file = os.path.join(cwd, program.script)
        record = self.memory.of(file)
        if not record.is_learned:
            return Planned(hook, "trial", program, file)
        return Planned(hook, "warm" if record.is_warm else "alone", program, file)

    def _footprint(self, planned: Planned) -> Footprint:
        hook = planned.hook
        reads, writes = (_absolute(paths, self.project) for paths in (hook.reads, hook.writes))
        resources = frozenset(hook.resources)
        if planned.file:
            record = self.memory.of(planned.file)
            reads, writes = reads | record.reads, writes | record.writes
        if planned.way == "trial" or (planned.way == "lane" and not (reads or writes or resources)):
            resources |= {f"hook {planned.file or hook.identity}"}  # not known: at least never beside itself
        return Footprint(hook.name, reads, writes, resources, hook.after, planned.way in ("warm", "trial"))

    def _units(self) -> list[list[int]]:
        """Return what is started together: runs of warm hooks that wait for nobody outside the chain."""
        outside = {wait.later for wait in self.waits if not self.footprints[wait.earlier].in_turn}
        units: list[list[int]] = []
        last_warm: list[int] | None = None
        for place, planned in enumerate(self.planned):
            if (
                planned.way == "warm"
                and last_warm is not None
                and place not in outside
                and self._joins(place, last_warm)
            ):
                last_warm.append(place)
                continue
            units.append([place])
            if planned.way in ("warm", "trial"):
                last_warm = units[-1] if planned.way == "warm" else None
        return units

    def _joins(self, place: int, unit: list[int]) -> bool:
        program, first = self.planned[place].program, self.planned[unit[0]].program
        assert program is not None and first is not None  # noqa: S101, PT018 - warm hooks are programs
        return (program.exe, program.flags) == (first.exe, first.flags)

    # --- running ---------------------------------------------------------------------------------------

    async def all(self) -> list[Outcome]:
        """Run everything; results in configuration order, whoever ended first."""
        if not self.planned:
            return []
        stdin = memory_file("stdin")
        try:
            write_all(stdin, self.stdin)
            scene = Scene(stdin, self.env, self.cwd)
            units = [self.house.loop.spawn(self._unit(unit, scene)) for unit in self._units()]
            for unit in units:
                await unit
        finally:
            os.close(stdin)
        return [ended.result() for ended in self.ended]

    async def _unit(self, unit: list[int], scene: Scene) -> None:
        before = {wait.earlier for wait in self.waits if wait.later in unit} - set(unit)
        for place in sorted(before):
            await self.ended[place]
        keys: dict[str, bool] = {}
        written = self.memory.written
        for place in unit:
            for key, writes in conflicts.lock_keys(self.footprints[place], written).items():
                keys[key] = keys.get(key, False) or writes
        held = await self.house.locks.acquire(keys)
        if held.late:
            self.notes.append(f"went on without the lock of {held.late}: another process keeps it")
        await self.house.places.take()
        try:
            await self._go(unit, scene)
        except Exception as error:  # noqa: BLE001 - the edge: our own mistake must cost no hook's event
            self.house.complain(f"{type(error).__name__}: {error}")
            self._fail_rest(unit, f"fanout could not run it: {error}")
        finally:
            self.house.places.give_back()
            self.house.locks.release(held)

    async def _go(self, unit: list[int], scene: Scene) -> None:
        waited = self._waited()
        first = self.planned[unit[0]]
        left = unit
        if first.program is not None:
            left = await self._in_seats(unit, first.program, scene, waited)
        for place in left:
            hook = self.planned[place].hook
            line = (
                lanes.http_line(hook) if hook.type == "http" else lanes.command_line(hook.command, hook.args)
            )
            env = lanes.http_env(hook, scene.env) if hook.type == "http" else scene.env
            ended = await lanes.run(self.house.loop, line, scene.stdin, env, scene.cwd, hook.timeout_s)
            self._end(
                place, Ran(place, ended.exit, ended.ms, ended.stdout, ended.stderr, ended.timed_out), waited
            )

    async def _in_seats(self, unit: list[int], program: Program, scene: Scene, waited: float) -> list[int]:
        """Run Python hooks warm; return those that must run as processes after all."""
        interpreter = self.house.interpreter(program, scene.env, scene.cwd, self.memory)
        tasks = []
        for place in unit:
            own = self.planned[place]
            assert own.program is not None  # noqa: S101 - units of warm hooks hold programs only
            tasks.append(Task(place, own.program, own.hook.timeout_s))
        alone = self.planned[unit[0]].way != "warm"
        await interpreter.run(tasks, scene, lambda ran: self._learned(ran, waited), alone=alone)
        self.memory.note_modules(program.exe, interpreter.modules)
        return [place for place in unit if not self.ended[place].done]

    def _learned(self, ran: Ran, waited: float) -> None:
        crashed = ran.timed_out or ran.exit < 0
        self.memory.note(
            self.planned[ran.place].file, ran.ms, effects=ran.effects, taint=ran.taint, crashed=crashed
        )
        self._end(ran.place, ran, waited)

    def _end(self, place: int, ran: Ran, waited: float) -> None:
        stdout, stderr = (data.decode("utf-8", "replace") for data in (ran.stdout, ran.stderr))
        planned = self.planned[place]
        self.ended[place].set(
            Outcome(planned, ran.exit, stdout, stderr, ran.ms, waited, ran.timed_out, ran.taint)
        )

    def _fail_rest(self, unit: list[int], why: str) -> None:
        for place in unit:
            self.ended[place].set(Outcome(self.planned[place], 1, "", why, 0.0, self._waited()))

    def _waited(self) -> float:
        return round((time.perf_counter() - self.began) * MS, 2)


# --- the answer and the log ---------------------------------------------------------------------------------


def _left(outcome: Outcome) -> decide.Left:
    hook = outcome.planned.hook
    return decide.Left(
        hook.name, outcome.exit, outcome.stdout, outcome.stderr, outcome.timed_out, hook.on_failure
    )


def _kept_whole(decision: decide.Decision, project: str) -> decide.Decision:
    """Put the context that doesn't fit into a file of the project's state, and name it."""
    folder = os.path.join(project, ".claude", "fanout", "cache")
    path = os.path.join(folder, f"context-{time.time_ns():x}.txt")
    try:
        os.makedirs(folder, mode=0o700, exist_ok=True)
        _sweep(folder)
        fd = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
        with os.fdopen(fd, "w", encoding="utf-8", errors="replace") as file:
            file.write(decision.overflow)
    except OSError:
        return decision
    return decide.with_overflow(decision, path)


def _sweep(folder: str) -> None:
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if name.startswith("context-") and time.time() - os.lstat(path).st_mtime > KEEP_CONTEXT_S:
            os.unlink(path)


def _record(
    request: Request,
    run: Run,
    outcomes: Sequence[Outcome],
    opinions: Sequence[decide.Opinion],
    elapsed: float,
) -> dict[str, Any]:
    """Return the event's line for the log."""
    rows = [
        {
            "name": one.planned.hook.name,
            "batch": level,
            "ms": round(one.ms, 2),
            "wait_ms": round(one.wait_ms, 2),
            "exit": one.exit,
            "decision": opinion.decision or "none",
            "lane": one.planned.way,
        }
        | ({"timed_out": True} if one.timed_out else {})
        | ({"left": one.taint} if one.taint else {})
        for one, level, opinion in zip(outcomes, run.levels, opinions, strict=False)
    ]
    notes = run.notes + [f"{own.name} {own.problem}" for own in opinions if own.problem]
    record = {
        "timestamp": perflog.stamp(),
        "phase": request.event.get("hook_event_name"),
        "total_hooks": len(outcomes),
        "batches": max(run.levels, default=0),
        "elapsed_ms": round(elapsed, 2),
        "failures": sum(one.timed_out or one.exit not in (0, 2) for one in outcomes),
        "session_id": request.event.get("session_id"),
        "sequential_ms": round(sum(one.ms for one in outcomes), 2),
        "path": request.path,
        "hooks": rows,
    }
    gate = next((own.note for own in opinions[len(outcomes) :]), None)
    return record | ({"gate": gate} if gate else {}) | ({"notes": notes} if notes else {})


def _absolute(paths: Sequence[str], project: str) -> frozenset[str]:
    return frozenset(os.path.realpath(os.path.join(project, os.path.expanduser(path))) for path in paths)


def plan(hooks: Sequence[config.Hook], project: str, env: dict[str, str], state_folder: str) -> Run:
    """Return how an event's hooks would run, without running them: for `graph` and `check`."""
    event = {"hook_event_name": hooks[0].event if hooks else "", "cwd": project}
    return Run(House(Loop(), state_folder), Request(event, (), env), project, hooks)


def main_json(answer: Answer) -> int:
    """Print an answer as a command hook does; return the exit code."""
    sys.stdout.write(answer.stdout if answer.stdout != "{}" else "")
    sys.stdout.flush()
    if answer.stderr:
        sys.stderr.write(answer.stderr)
    return answer.exit


def dumps(value: Any) -> str:
    return json.dumps(value, separators=(",", ":"))
