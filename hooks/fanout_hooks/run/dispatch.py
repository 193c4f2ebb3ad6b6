"""One event through the hooks: choose, plan, run, decide, answer; the log comes after the answer.

`handle` is the whole flow, for one of many events in a loop. `run_event` is the same for one alone, whose
answer it prints. A plan's units run side by side (`_run`): each begins when those before it have ended and
its locks are free, in a warm interpreter's worker or as its own process (a lane).
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable, Sequence
from typing import Any, NamedTuple

from fanout_hooks.client import matchers
from fanout_hooks.client.config import SCOPES, Hook
from fanout_hooks.client.home import state_folder
from fanout_hooks.client.hook_input import asked_for, to_stdin
from fanout_hooks.run import choose as choosing
from fanout_hooks.run import claims, decide
from fanout_hooks.run.plan import Plan, Planned, Unit
from fanout_hooks.run.state import RuntimeState
from fanout_hooks.warm.interpreter import HookInput, Ran, Task
from fanout_hooks.warm.loop import Future, sealed_file

MS = 1000
FORK_LOST = "the process that hooks are forked from was ended, by a hook perhaps; the others ran all the same"
HOLD_S = 0.1
"""How long what ended hooks leave to do is put off at most: the processors are for those still at work."""
MAX_SHOWN = 1000
MAX_LOGGED = 200
"""Characters of a failing hook's stderr, for the user and for the log."""


class Request(NamedTuple):
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
    started_ms: float = 0.0
    """What our process took until it could look at the event."""


class Outcome(NamedTuple):
    planned: Planned
    result: decide.HookResult
    ms: float
    wait_ms: float
    taint: str = ""
    lost: str = ""

    @property
    def has_failed(self) -> bool:
        """Say whether it gave no usable answer; one that asked to work on owes none."""
        if asked_for(self.result.stdout.encode()) is not None:
            return False
        return bool(self.lost) or self.result.timed_out or self.result.exit not in (0, 2)


class Handled(NamedTuple):
    """The answer, and what is left to do when it is out."""

    answer: decide.Decision
    afterwards: Callable[[], None]


def run_event(runtime: RuntimeState, request: Request) -> int:
    """Run one event's hooks and print their answer as a command hook does; return the exit code."""
    answer, afterwards = runtime.loop.run(handle(runtime, request))
    sys.stdout.write(answer.stdout if answer.stdout != "{}" else "")
    sys.stdout.flush()
    sys.stderr.write(answer.stderr)
    afterwards()
    return answer.exit


async def handle(runtime: RuntimeState, request: Request) -> Handled:
    """Run the hooks of one event, and return the answer with what is left to do after it."""
    began = time.perf_counter()
    event, env = request.event, request.env
    project, state = project_of(request), state_folder(env)

    # Which hooks: those that are registered and match, without what another scope's entry runs already.
    found = runtime.config(request.scopes, project, env)
    if request.only:
        choosing.must_have(found, event, request.only)
    names = choosing.choose(found, event, request.only)
    others = [scope for scope in SCOPES if scope not in request.scopes] if names else []
    held = [runtime.config((scope,), project, env, is_registered=False) for scope in others]
    elsewhere = [hook for one in held for hook in one.hooks]
    hooks = choosing.left_to_us([*names], event, elsewhere, claims.folder(state))
    session = str(event.get("session_id") or "")
    problems = [
        one
        for one in runtime.unreported(found.problems)
        if claims.report_once(claims.folder(state), session, one)  # cold, each event is its own process
    ]

    # The gate makes up its mind while the hooks run: it may wait for sibling calls.
    gate = None
    if request.gate and runtime.ask_gate is not None:
        gate = runtime.loop.spawn(runtime.ask_gate(runtime.loop, event, env, request.gate))

    # Run them. A hook that is meant by another tool's name is shown the call under that name: the hooks of
    # each such name have an input, and a plan, of their own.
    (first, own), *stand_ins = _by_input(request, hooks, names)
    answered, started = runtime.loop.timer(HOLD_S), time.perf_counter()
    plan = runtime.plan(own, project, _cwd_of(request), env)
    outcomes, notes = await _run(runtime, first, plan, answered, started)
    for other, theirs in stand_ins:
        their_plan = runtime.plan(theirs, project, _cwd_of(request), env)
        more, noted = await _run(runtime, other, their_plan, answered, started)
        outcomes, notes = outcomes + more, notes + noted
    outcomes.sort(key=lambda one: hooks.index(one.planned.hook))  # answers are joined in configuration order

    # Decide: one answer from all of them. The client ignores what a stand-in would make of its input.
    opinions = [decide.understand(one.result, one.planned.hook.event) for one in outcomes]
    opinions = [
        said if one.planned.hook in own else said._replace(updated=None)
        for one, said in zip(outcomes, opinions, strict=True)
    ]
    failures = [
        _failure(one) for one, said in zip(outcomes, opinions, strict=True) if _is_unreported(one, said)
    ]
    if gate is not None:
        opinions.append(await gate)
    decision = decide.decide(event, opinions, problems + notes + failures)
    if decision.overflow:
        decision = decide.kept_whole(decision, project)
    elapsed_ms = (time.perf_counter() - began) * MS + request.started_ms

    def afterwards() -> None:
        answered.set(True)
        plan.memory.save()
        if request.is_logged and runtime.write_log is not None:
            has_run = bool(outcomes) or any(said.note for said in opinions)
            record = _record(request, plan, notes, outcomes, opinions, elapsed_ms) if has_run else None
            problem = runtime.write_log(project, state, str(event.get("hook_event_name")), record)
            if problem:
                runtime.complain(problem)

    return Handled(decision, afterwards)


def _by_input(
    request: Request, hooks: Sequence[Hook], names: dict[Hook, str]
) -> list[tuple[Request, list[Hook]]]:
    """Return an event's hooks by the input they get: the event as it is, then as another tool's call."""
    found = {"": (request, list[Hook]())}
    for hook in hooks:
        event = matchers.seen_as(request.event, names[hook])
        if event is request.event:
            found[""][1].append(hook)
        else:
            other = request._replace(event=event, raw=None)
            found.setdefault(names[hook], (other, []))[1].append(hook)
    return list(found.values())


# --- Running a plan -----------------------------------------------------------------------------------------


async def _run(
    runtime: RuntimeState, request: Request, plan: Plan, answered: Future[bool], started: float
) -> tuple[list[Outcome], list[str]]:
    """Run what was planned; return the outcomes in configuration order, and notes for the user.

    `started`: when the event's first hook could start; from then on a hook's waiting counts.
    """
    if not plan.planned:
        return [], []
    notes: list[str] = []
    ended: list[Future[Outcome]] = [Future() for _ in plan.planned]

    async def run_unit(unit: Unit, hook_input: HookInput) -> None:
        for place in unit.before:
            await ended[place]
        notes.extend(filter(None, [await runtime.locks.acquire(unit.locks)]))
        await runtime.places.take()
        wait_ms = round((time.perf_counter() - started) * MS, 2)

        def end(ran: Ran, way: str = "") -> None:
            planned, at = plan.planned[ran.place], ended[ran.place]
            planned = planned._replace(way=way or planned.way)
            out, err = (data.decode("utf-8", "replace") for data in (ran.stdout, ran.stderr))
            name, on_failure = planned.hook.name, planned.hook.on_failure
            result = decide.HookResult(name, ran.exit, out, err, ran.timed_out, on_failure)
            at.set(Outcome(planned, result, ran.ms, wait_ms, ran.taint, ran.lost))

        try:
            if plan.planned[unit.places[0]].program is not None:
                notes.extend(await _run_warm(runtime, plan, unit, hook_input, end))
            # What no worker has taken (there is no interpreter, or it was lost) runs as a process each.
            for place in [place for place in unit.places if not ended[place].done]:
                end(*await _run_lane(runtime, plan, place, hook_input))
        except Exception as error:  # noqa: BLE001 - the edge: our own mistake must cost no hook's event
            from fanout_hooks.crash import explain

            why = explain("running it", error, request.env)
            runtime.complain(why)
            for place in unit.places:  # those that have ended keep their outcome
                end(Ran(place, 1, 0.0, b"", f"fanout could not run it: {why}".encode()))
        finally:
            runtime.places.give_back()
            runtime.locks.release(unit.locks)

    stdin = sealed_file("stdin", to_stdin(request.event) if request.raw is None else request.raw)
    try:
        shared = HookInput(stdin, request.env, _cwd_of(request), answered)
        for unit in [runtime.loop.spawn(run_unit(unit, shared)) for unit in plan.units]:
            await unit
    finally:
        os.close(stdin)
    return [one.result() for one in ended], notes


async def _run_warm(
    runtime: RuntimeState, plan: Plan, unit: Unit, hook_input: HookInput, end: Callable[[Ran], None]
) -> list[str]:
    """Run a unit's Python hooks in a worker, as far as there is one; learn from each; return notes."""
    tasks = [
        Task(place, own.program, own.hook.timeout_s, own.given or {})
        for place, own in ((place, plan.planned[place]) for place in unit.places)
        if own.program is not None
    ]
    program = tasks[0].program
    given = plan.planned[unit.places[0]].given
    if given is None:
        interpreter = runtime.interpreter(program, hook_input.env, hook_input.cwd, plan.memory)
    else:
        env = hook_input.env | given
        ready = runtime.ready_interpreter(program, env, hook_input.cwd, plan.memory)
        if ready is None:
            return []
        interpreter = ready

    def on_result(ran: Ran) -> None:
        planned, crashed = plan.planned[ran.place], ran.timed_out or ran.exit < 0
        plan.memory.note(planned.file, ran.ms, effects=ran.effects, taint=ran.taint, crashed=crashed)
        if planned.way == "trial":
            # Should the client cut the event, what was learned so far stands for the next one.
            plan.memory.save()
        end(ran)

    alone = plan.planned[unit.places[0]].way != "warm"
    await interpreter.run(tasks, hook_input, on_result, alone=alone)
    plan.memory.note_modules(program.interpreter, interpreter.modules)
    return [FORK_LOST] if interpreter.takes_notice_of_loss() else []


async def _run_lane(runtime: RuntimeState, plan: Plan, place: int, hook_input: HookInput) -> tuple[Ran, str]:
    hook, node, way = plan.planned[place].hook, plan.planned[place].node, "lane"
    if node is not None:
        ended, way = await runtime.run_node(node, hook, hook_input)
    else:
        ended = await runtime.lanes.run_hook(hook, hook_input)
    return Ran(place, ended.exit, ended.ms, ended.stdout, ended.stderr, ended.timed_out), way


# --- What the user reads of a hook that failed --------------------------------------------------------------


def _is_unreported(outcome: Outcome, opinion: decide.Opinion) -> bool:
    """Say whether the user doesn't read of a failure anyway: as the reason of a denial, or as a problem."""
    blocks = opinion.decision == "deny" and outcome.planned.hook.on_failure == "block"
    return outcome.has_failed and not blocks and not opinion.problem


def _failure(outcome: Outcome) -> str:
    """Return what the user reads of a hook that failed, as natively: how it ended and what it wrote."""
    name = outcome.planned.hook.name
    if outcome.lost:
        return f"the hook {name} {outcome.lost}, so its answer is lost; the other hooks ran as usual"
    code = outcome.result.exit
    how = f"signal {-code}" if code < 0 else f"exit code {code}"
    said = error_head(outcome.result.stderr, MAX_SHOWN)
    return f"the hook {name} gave no usable answer ({how}){': ' + said if said else ''}"


def error_head(stderr: str, most: int) -> str:
    """Return what is worth showing of a hook's stderr: a traceback says at its end what went wrong."""
    said = "".join(one if one.isprintable() or one in "\n\t" else "\ufffd" for one in stderr.strip())
    if len(said) <= most:
        return said
    half = most // 2 - 2
    return f"{said[:half]} \u2026 {said[-half:]}"


# --- The answer and the log's line --------------------------------------------------------------------------


def _record(
    request: Request,
    plan: Plan,
    notes: list[str],
    outcomes: Sequence[Outcome],
    opinions: Sequence[decide.Opinion],
    elapsed_ms: float,
) -> dict[str, Any]:
    """Return the event's line for the log, but for its timestamp (docs/hooks.md says what each key is)."""
    levels = {own.hook: level for own, level in zip(plan.planned, plan.levels, strict=True)}
    rows = [
        {
            "name": one.planned.hook.name,
            "batch": levels.get(one.planned.hook, 1),
            "ms": round(one.ms, 2),
            "wait_ms": round(one.wait_ms, 2),
            "exit": one.result.exit,
            "decision": opinion.decision or "none",
            "lane": one.planned.way,
        }
        | ({"timed_out": True} if one.result.timed_out else {})
        | ({"left": one.taint} if one.taint else {})
        | (
            {"error": said}
            if one.has_failed and (said := one.lost or error_head(one.result.stderr, MAX_LOGGED))
            else {}
        )
        for one, opinion in zip(outcomes, opinions, strict=False)
    ]
    notes = notes + [f"{own.name} {own.problem}" for own in opinions if own.problem]
    record = {  # log/rollup.py reads the keys in this order fastest
        "phase": request.event.get("hook_event_name"),
        "total_hooks": len(outcomes),
        "batches": max(plan.levels, default=0),
        "elapsed_ms": round(elapsed_ms, 2),
        "failures": sum(one.result.timed_out or one.result.exit not in (0, 2) for one in outcomes),
        "session_id": request.event.get("session_id"),
        "sequential_ms": round(sum(one.ms for one in outcomes), 2),
        "own_ms": round(_own_ms(outcomes, elapsed_ms), 2),
        "path": request.path,
        "hooks": rows,
    }
    gate = next((own.note for own in opinions[len(outcomes) :]), None)
    return record | ({"gate": gate} if gate else {}) | ({"notes": notes} if notes else {})


def _own_ms(outcomes: Sequence[Outcome], elapsed_ms: float) -> float:
    """Return what fanout itself took: the time in which none of the hooks ran."""
    spans: dict[tuple[float, object], float] = {}
    for number, one in enumerate(outcomes):
        # Warm hooks of one worker run one after another, with the wait of the first.
        chain = (one.wait_ms, "warm" if one.planned.way == "warm" else number)
        spans[chain] = spans.get(chain, 0.0) + one.ms
    busy = end = 0.0
    for (begin, _), ms in sorted(spans.items(), key=lambda span: span[0][0]):
        busy += max(0.0, begin + ms - max(begin, end))
        end = max(end, begin + ms)
    return max(0.0, elapsed_ms - busy)


def _cwd_of(request: Request) -> str:
    return str(request.event.get("cwd") or project_of(request))


def project_of(request: Request) -> str:
    return request.env.get("CLAUDE_PROJECT_DIR") or str(request.event.get("cwd") or os.getcwd())
