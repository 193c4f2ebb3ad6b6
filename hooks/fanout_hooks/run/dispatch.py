"""One event through the hooks: choose, order, run, decide, log.

    event -> choose (config) -> plan -> units, each when its predecessors have ended and its locks are free:
    a seat of an interpreter, or a lane -> decide -> answer, and after it the log

`handle` is this for one of many events in a loop; `run_event` for one alone, which prints its answer.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fanout_hooks.client import matchers
from fanout_hooks.client.hook_input import to_stdin
from fanout_hooks.client.places import claude_folder
from fanout_hooks.learn.memory import state_folder
from fanout_hooks.log import append as log_append
from fanout_hooks.run import choose as run_choose
from fanout_hooks.run import claims, decide
from fanout_hooks.run import decide as run_decide
from fanout_hooks.run.config import Hook
from fanout_hooks.run.loop import Future, sealed_file
from fanout_hooks.run.plan import Plan, Planned, Unit
from fanout_hooks.run.state import RuntimeState
from fanout_hooks.warm.command import Program
from fanout_hooks.warm.interpreter import HookInput, Ran, Task

MS = 1000
FORK_LOST = "the process that hooks are forked from was ended, by a hook perhaps; the others ran all the same"
MAX_SHOWN = 1000
MAX_LOGGED = 200
"""Characters of a failing hook's stderr, for the user and for the log."""


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
    lost: str = ""

    @property
    def has_failed(self) -> bool:
        """Say whether it gave no answer that counts; one that asked to work on owes none."""
        if run_decide.asked_for(self.stdout.encode()) is not None:
            return False
        return bool(self.lost) or self.timed_out or self.exit not in (0, 2)


class Handled(NamedTuple):
    """The answer, and what is left to do when it is out."""

    answer: Answer
    afterwards: Callable[[], None]


def run_event(runtime: RuntimeState, request: Request) -> int:
    """Run one event's hooks and print their answer; what is left to do is done when it is out."""
    handled = runtime.loop.run(handle(runtime, request))
    status = print_answer(handled.answer)
    handled.afterwards()
    return status


REPORTS_ON = ("UserPromptSubmit", "PostToolUse")
"""The daily report is looked at when a prompt is answered, and where PostToolUse hooks are adopted."""


async def handle(runtime: RuntimeState, request: Request) -> Handled:
    """Run the hooks of one event; the answer first, the log after it."""
    began = time.perf_counter()
    project = project_of(request)
    found = runtime.config(request.scopes, project, request.env)
    if request.only:
        run_choose.must_have(found, request.event, request.only)
    chosen = run_choose.choose(found, request.event, request.only)
    names = {own.hook: own.name for own in chosen}
    where = claims.folder(state_folder(request.env))
    hooks = run_choose.left_to_us([*names], request.event, project, claude_folder(request.env), where)
    notes = _unreported(runtime.news(found.problems), request)
    gate = (
        runtime.loop.spawn(runtime.gate(request.event, request.env, request.gate)) if request.gate else None
    )
    shown = _shown(request, hooks, names)
    run = Run(runtime, shown[0][0], runtime.plan(shown[0][1], project, _cwd_of(request), request.env))
    outcomes = await run.all()
    for other, own in shown[1:]:
        stood_in = Run(runtime, other, runtime.plan(own, project, _cwd_of(request), request.env))
        outcomes = sorted([*outcomes, *await stood_in.all()], key=lambda one: hooks.index(one.planned.hook))
        run.notes += stood_in.notes
    opinions = [decide.understand(_result(one), one.planned.hook.event) for one in outcomes]
    if len(shown) > 1:  # what a stand-in would make of its input the client doesn't hand to the tool itself
        own = shown[0][1]
        opinions = [
            opinion if one.planned.hook in own else opinion._replace(updated=None)
            for one, opinion in zip(outcomes, opinions, strict=True)
        ]
    if gate is not None:
        opinions.append(await gate)
    notes += run.notes + [
        _failure(one) for one, own in zip(outcomes, opinions, strict=False) if _is_unreported(one, own)
    ]
    decision = decide.decide(request.event, opinions, notes)
    if decision.overflow:
        from fanout_hooks.run.decide import kept_whole  # hardly ever

        decision = kept_whole(decision, project)
    elapsed = (time.perf_counter() - began) * MS

    def afterwards() -> None:
        run.plan.memory.save()
        if request.is_logged and (outcomes or any(own.note for own in opinions)):
            record = _record(request, run, outcomes, opinions, elapsed)
            try:
                log_append.append(log_append.path_of(project), record)
            except log_append.Unwritable as error:
                runtime.complain(f"the hook log: {error}")
        if request.is_logged and request.event.get("hook_event_name") in REPORTS_ON:
            log_append.write_report_when_due(project, state_folder(request.env))

    return Handled(Answer(decision.stdout, decision.exit, decision.stderr), afterwards)


def _shown(
    request: Request, hooks: Sequence[Hook], names: dict[Hook, str]
) -> list[tuple[Request, list[Hook]]]:
    """Return an event's hooks by how they are shown it: first as it is, then as another tool's call."""
    shown = {"": (request, list[Hook]())}
    for hook in hooks:
        event = matchers.seen_as(request.event, names[hook])
        if event is request.event:
            shown[""][1].append(hook)
        else:
            other = request._replace(event=event, raw=None)
            shown.setdefault(names[hook], (other, []))[1].append(hook)
    return list(shown.values())


class Run:
    """One event's hooks while they run."""

    def __init__(self, runtime: RuntimeState, request: Request, plan: Plan) -> None:
        self.runtime = runtime
        self.plan = plan
        self.began = time.perf_counter()
        self.notes: list[str] = []
        self.env = request.env
        self.project = project_of(request)
        self.cwd = _cwd_of(request)
        self.stdin = request.raw if request.raw is not None else to_stdin(request.event)
        self.ended: list[Future[Outcome]] = [Future() for _ in plan.planned]

    async def all(self) -> list[Outcome]:
        """Run everything; results in configuration order, whoever ended first."""
        if not self.ended:
            return []
        stdin = sealed_file("stdin", self.stdin)
        try:
            hook_input = HookInput(stdin, self.env, self.cwd)
            units = [self.runtime.loop.spawn(self._unit(unit, hook_input)) for unit in self.plan.units]
            for unit in units:
                await unit
        finally:
            os.close(stdin)
        return [ended.result() for ended in self.ended]

    async def _unit(self, unit: Unit, hook_input: HookInput) -> None:
        for place in unit.before:
            await self.ended[place]
        held = await self.runtime.locks.acquire(unit.locks)
        if held.note:
            self.notes.append(held.note)
        await self.runtime.places.take()
        try:
            await self._go(unit.places, hook_input)
        except Exception as error:  # noqa: BLE001 - the edge: our own mistake must cost no hook's event
            from fanout_hooks.crash import explain

            why = explain("running it", error, self.env)
            self.runtime.complain(why)
            self._fail_rest(unit.places, f"fanout could not run it: {why}")
        finally:
            self.runtime.places.give_back()
            self.runtime.locks.release(held)

    async def _go(self, unit: Sequence[int], hook_input: HookInput) -> None:
        waited = self._waited()
        first = self.plan.planned[unit[0]]
        left: Sequence[int] = unit
        if first.program is not None:
            left = await self._in_seats(unit, first.program, hook_input, waited)
        if left:
            await self._in_lanes(left, hook_input, waited)

    async def _in_lanes(self, unit: Sequence[int], hook_input: HookInput, waited: float) -> None:
        from fanout_hooks.run.lanes import work_of

        lanes = self.runtime.lanes
        for place in unit:
            hook = self.plan.planned[place].hook
            if hook.type == "http":
                from fanout_hooks.client import policy  # hardly ever: `adopt` leaves them to the client

                hook = policy.bounded(hook, policy.read(self.project, claude_folder(self.env)))
            line, env = work_of(hook, hook_input.env)
            ended = await lanes.run(line, hook_input.stdin, env, hook_input.cwd, hook.timeout_s)
            self._end(
                place, Ran(place, ended.exit, ended.ms, ended.stdout, ended.stderr, ended.timed_out), waited
            )

    async def _in_seats(
        self, unit: Sequence[int], program: Program, hook_input: HookInput, waited: float
    ) -> Sequence[int]:
        """Run Python hooks warm; return those that must run as processes after all."""
        interpreter = self.runtime.interpreter(program, hook_input.env, hook_input.cwd, self.plan.memory)
        tasks = []
        for place in unit:
            own = self.plan.planned[place]
            assert own.program is not None  # noqa: S101 - units of warm hooks hold programs only
            tasks.append(Task(place, own.program, own.hook.timeout_s))
        alone = self.plan.planned[unit[0]].way != "warm"
        await interpreter.run(tasks, hook_input, lambda ran: self._learned(ran, waited), alone=alone)
        if interpreter.takes_notice_of_loss():
            self.notes.append(FORK_LOST)
        self.plan.memory.note_modules(program.exe, interpreter.modules)
        if interpreter.start is not None:
            self.plan.memory.note_start(interpreter.key, interpreter.start)
        return [place for place in unit if not self.ended[place].done]

    def _learned(self, ran: Ran, waited: float) -> None:
        planned, crashed = self.plan.planned[ran.place], ran.timed_out or ran.exit < 0
        self.plan.memory.note(planned.file, ran.ms, effects=ran.effects, taint=ran.taint, crashed=crashed)
        if planned.way == "trial":
            # Trials run one after another. Should the client cut the event, the next one begins further on.
            self.plan.memory.save()
        self._end(ran.place, ran, waited)

    def _end(self, place: int, ran: Ran, waited: float) -> None:
        stdout, stderr = (data.decode("utf-8", "replace") for data in (ran.stdout, ran.stderr))
        planned = self.plan.planned[place]
        self.ended[place].set(
            Outcome(planned, ran.exit, stdout, stderr, ran.ms, waited, ran.timed_out, ran.taint, ran.lost)
        )

    def _fail_rest(self, unit: Sequence[int], why: str) -> None:
        for place in unit:
            self.ended[place].set(Outcome(self.plan.planned[place], 1, "", why, 0.0, self._waited()))

    def _waited(self) -> float:
        return round((time.perf_counter() - self.began) * MS, 2)


# --- what failed -------------------------------------------------------------------------------------------


def _is_unreported(outcome: Outcome, opinion: decide.Opinion) -> bool:
    """Say whether the user doesn't read of a failure anyway: as the reason of a denial, or as a problem."""
    blocks = opinion.decision == "deny" and outcome.planned.hook.on_failure == "block"
    return outcome.has_failed and not blocks and not opinion.problem


def _failure(outcome: Outcome) -> str:
    """Return what the user reads of a hook that failed, as natively: how it ended and what it wrote."""
    name = outcome.planned.hook.name
    if outcome.lost:
        return f"the hook {name} {outcome.lost}, so its answer is lost; the other hooks ran as usual"
    how = f"signal {-outcome.exit}" if outcome.exit < 0 else f"exit code {outcome.exit}"
    said = error_head(outcome.stderr, MAX_SHOWN)
    return f"the hook {name} gave no usable answer ({how}){': ' + said if said else ''}"


def error_head(stderr: str, most: int) -> str:
    """Return what is worth showing of a hook's stderr: a traceback says at its end what went wrong."""
    said = "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in stderr.strip())
    if len(said) <= most:
        return said
    half = most // 2 - 2
    return f"{said[:half]} \u2026 {said[-half:]}"


# --- the answer and the log ---------------------------------------------------------------------------------


def _result(outcome: Outcome) -> decide.HookResult:
    hook = outcome.planned.hook
    return decide.HookResult(
        hook.name, outcome.exit, outcome.stdout, outcome.stderr, outcome.timed_out, hook.on_failure
    )


def _record(
    request: Request,
    run: Run,
    outcomes: Sequence[Outcome],
    opinions: Sequence[decide.Opinion],
    elapsed: float,
) -> dict[str, Any]:
    """Return the event's line for the log."""
    levels = {own.hook: level for own, level in zip(run.plan.planned, run.plan.levels, strict=True)}
    rows = [
        {
            "name": one.planned.hook.name,
            "batch": levels.get(one.planned.hook, 1),
            "ms": round(one.ms, 2),
            "wait_ms": round(one.wait_ms, 2),
            "exit": one.exit,
            "decision": opinion.decision or "none",
            "lane": one.planned.way,
        }
        | ({"timed_out": True} if one.timed_out else {})
        | ({"left": one.taint} if one.taint else {})
        | ({"error": said} if (said := _error(one)) else {})
        for one, opinion in zip(outcomes, opinions, strict=False)
    ]
    notes = run.notes + [f"{own.name} {own.problem}" for own in opinions if own.problem]
    record = {
        "timestamp": log_append.stamp(),
        "phase": request.event.get("hook_event_name"),
        "total_hooks": len(outcomes),
        "batches": max(run.plan.levels, default=0),
        "elapsed_ms": round(elapsed, 2),
        "failures": sum(one.timed_out or one.exit not in (0, 2) for one in outcomes),
        "session_id": request.event.get("session_id"),
        "sequential_ms": round(sum(one.ms for one in outcomes), 2),
        "path": request.path,
        "hooks": rows,
    }
    gate = next((own.note for own in opinions[len(outcomes) :]), None)
    return record | ({"gate": gate} if gate else {}) | ({"notes": notes} if notes else {})


def _error(outcome: Outcome) -> str:
    return (outcome.lost or error_head(outcome.stderr, MAX_LOGGED)) if outcome.has_failed else ""


def _unreported(problems: list[str], request: Request) -> list[str]:
    """Return what the session wasn't told yet by another of our processes."""
    if not problems:
        return []
    from fanout_hooks.gate import state  # hardly ever

    where, session = state.folder(request.env), str(request.event.get("session_id") or "")
    return [problem for problem in problems if state.is_news(where, session, problem)]


def _cwd_of(request: Request) -> str:
    return str(request.event.get("cwd") or project_of(request))


def project_of(request: Request) -> str:
    return request.env.get("CLAUDE_PROJECT_DIR") or str(request.event.get("cwd") or os.getcwd())


def print_answer(answer: Answer) -> int:
    """Print an answer as a command hook does; return the exit code."""
    sys.stdout.write(answer.stdout if answer.stdout != "{}" else "")
    sys.stdout.flush()
    if answer.stderr:
        sys.stderr.write(answer.stderr)
    return answer.exit
