"""Measure this project's own events natively, cold and warm: what adopting gains on this machine.

    native   all hooks of the event at once, a process each, as Claude Code starts them
    cold     our process from its start to its answer
    warm     the same in a process that keeps its interpreters

The client's own part (a few milliseconds, the same for all three) is in none of them. The hooks are run for
real, so what they do is done; only our log is left out. The median of rounds in which the three take turns.
"""

from __future__ import annotations

import argparse
import json
import os
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from fanout_hooks.adoption import check
from fanout_hooks.adoption.check import PathInUse
from fanout_hooks.adoption.consent import (
    NONE_ADOPTED,
    OK,
    WRONG,
    add_project,
    confirm,
    must_have,
    project_of,
    say,
    say_json,
)
from fanout_hooks.client import config, events, settings
from fanout_hooks.client import hook_input as inputs
from fanout_hooks.client.matchers import meets
from fanout_hooks.client.places import Place
from fanout_hooks.log import report
from fanout_hooks.run import lanes
from fanout_hooks.run.choose import choose
from fanout_hooks.run.dispatch import Request, handle
from fanout_hooks.run.launch import Launch
from fanout_hooks.run.state import RuntimeState
from fanout_hooks.warm.loop import Loop, kill_group, sealed_file

ROUNDS = 7
WARM_UP = 3
"""Rounds that don't count: a hook is known after two runs."""
FAR_S = 60.0
BETWEEN_S = 0.05
READY_S = 10.0


class Measured(NamedTuple):
    """One event of one scope, in milliseconds."""

    event: str
    scope: str
    hooks: int
    native_ms: float
    cold_ms: float
    warm_ms: float | None
    """None where the client has no warm path."""


def measure(own: Place, env: dict[str, str], rounds: int = ROUNDS, only: str | None = None) -> list[Measured]:
    """Measure every event that has adopted hooks. Raises settings.Refused."""
    found, measured = own.held(), []
    env = env | {"CLAUDE_PROJECT_DIR": own.project, "CLAUDECODE": "1"}
    for event in dict.fromkeys(hook.event for hook in found.hooks):
        if only in (None, event):
            sample = sample_event(event, own.project, found)
            hooks = [*choose(found, sample)]
            warm = hooks if event in events.WARM else ()
            ms = by_turns(hooks, warm, sample, env, rounds, cold_scope=own.scope)
            measured.append(Measured(event, own.scope, len(hooks), ms["native"], ms["cold"], ms.get("warm")))
    return measured


class Given(RuntimeState):
    """Runs hooks that no hooks.json holds."""

    def __init__(self, loop: Loop, state: str, hooks: config.Config) -> None:
        super().__init__(loop, state)
        self._given = hooks
        self.stay()

    def config(self, scopes: Sequence[str], *_: object, **__: object) -> config.Config:
        return config.Config() if scopes else self._given


def by_turns(
    hooks: Sequence[config.Hook],
    warm: Sequence[config.Hook],
    sample: dict[str, Any],
    env: dict[str, str],
    rounds: int,
    cold_scope: str = "",
    between_s: float = BETWEEN_S,
) -> dict[str, float]:
    """Run an event's hooks natively, in a process that stays and, of a scope, cold, by turns.

    Return the median milliseconds of the rounds that count, by way. Nothing is learned or logged of it.
    `between_s`: how long nothing runs before each of them. Raises settings.Refused when the hooks don't end.
    """
    raw, project = inputs.to_stdin(sample), env["CLAUDE_PROJECT_DIR"]
    with tempfile.TemporaryDirectory(prefix="fanout-bench-") as state:
        own = env | {"FANOUT_STATE_DIR": state}
        runtime = Given(Loop(), state, config.Config(tuple(warm)))
        request = Request(sample, (), own, is_logged=False)
        ways: dict[str, Callable[[], object]] = {"native": lambda: run_natively(hooks, raw, env, project)}
        if cold_scope:
            ways["cold"] = lambda: _cold(cold_scope, raw, own, project)
        if warm:
            ways["warm"] = lambda: runtime.loop.run(handle(runtime, request)).afterwards()
        try:
            return _medians(
                str(sample["hook_event_name"]),
                ways,
                rounds,
                lambda: runtime.loop.run(_settled(runtime, between_s)),
            )
        finally:
            runtime.close()


def _medians(
    event: str, ways: dict[str, Callable[[], object]], rounds: int, before: Callable[[], None]
) -> dict[str, float]:
    times: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(WARM_UP + rounds):
        for name, way in ways.items():
            before()
            began = time.perf_counter()
            try:
                way()
            except subprocess.TimeoutExpired:
                raise settings.Refused(
                    f"{event}: its hooks did not end in {FAR_S:g} s ({name}) and were killed; nothing was "
                    "kept. `--event` measures another event alone"
                ) from None
            times[name].append((time.perf_counter() - began) * 1000)
    return {name: round(statistics.median(some[WARM_UP:]), 1) for name, some in times.items()}


async def _settled(runtime: RuntimeState, pause_s: float) -> None:
    """Wait as long as things are made ready: between events Claude works, for seconds as a rule."""
    runtime.settle()
    until = time.monotonic() + READY_S
    await runtime.loop.sleep(pause_s)
    while runtime.is_settling and time.monotonic() < until:
        await runtime.loop.sleep(pause_s)


def run_natively(hooks: Sequence[config.Hook], raw: bytes, env: dict[str, str], cwd: str) -> None:
    """Start all command hooks at once, as the client does, and wait for them. Raises TimeoutExpired."""
    _run([lanes.command_line(hook.command, hook.args) for hook in hooks], raw, env, cwd)


def _cold(scope: str, raw: bytes, env: dict[str, str], cwd: str) -> None:
    ours = Launch.own()
    line = [ours.python, "-I", "-S", ours.script, "cold", "--scopes", scope, "--log", "off"]
    _run([line], raw, env, cwd)


def _run(lines: Sequence[Sequence[str]], raw: bytes, env: dict[str, str], cwd: str) -> None:
    given, running, late = sealed_file("stdin", raw), list[subprocess.Popen[bytes]](), threading.Event()

    def cut() -> None:
        late.set()
        for process in running:
            if process.poll() is None:
                kill_group(process.pid)

    # `wait(timeout)` looks every 50 ms whether a process has ended: too coarse for what is measured here.
    timer = threading.Timer(FAR_S, cut)
    timer.start()
    try:
        for line in lines:
            with os.fdopen(lanes.reopened(given)) as stdin, suppress(OSError):  # no such program: no time
                process = subprocess.Popen(
                    line,
                    stdin=stdin,
                    stdout=subprocess.DEVNULL,
                    stderr=subprocess.DEVNULL,
                    env=env,
                    cwd=cwd,
                    start_new_session=True,
                )
                running.append(process)
        for process in running:
            process.wait()
    except BaseException:
        cut()
        for process in running:
            process.wait()
        raise
    finally:
        timer.cancel()
        os.close(given)
    if late.is_set():
        raise subprocess.TimeoutExpired(lines[0], FAR_S)


# --- a sample of each event ---------------------------------------------------------------------------------

SAMPLES: dict[str, Any] = {
    "tool_name": "Bash",
    "tool_input": {"command": "ls -la", "description": "List the files"},
    "tool_response": {"stdout": "", "stderr": "", "interrupted": False, "isImage": False},
    "tool_use_id": "toolu_bench",
    "session_id": "bench",
    "permission_mode": "default",
    "prompt": "Please look at this",
    "source": "startup",
    "reason": "other",
    "trigger": "manual",
    "agent_type": "general-purpose",
}
_BY_FORM: dict[str, Any] = {"s": "", "n": 1, "b": False, "j": {}, "v": ""}


def sample_event(event: str, project: str, found: config.Config) -> dict[str, Any]:
    """Return an event that as many of its hooks as can be derived from their matchers run on."""
    made = {field.name: SAMPLES.get(field.name, _BY_FORM[field.form]) for field in inputs.fields_of(event)}
    made |= {"hook_event_name": event, "cwd": project}
    field = events.of(event).matches
    if field:
        made[field] = _most_matched(event, str(SAMPLES.get(field, "")), found)
    return made


def _most_matched(event: str, usual: str, found: config.Config) -> str:
    matchers = [hook.matcher for hook in found.hooks if hook.event == event]
    words = [word.strip() for matcher in matchers for word in matcher.replace(",", "|").split("|")]
    candidates = [usual, *(word for word in words if word.replace("_", "").isalnum())]
    lists = events.of(event).lists_names
    return max(
        candidates,
        key=lambda value: sum(bool(meets(one, event, value, lists_names=lists)) for one in matchers),
    )


# --- what is kept -------------------------------------------------------------------------------------------


def keep(project: str, measured: list[Measured], now: float | None = None) -> str:
    """Write the baseline that reports compare with; return its path. Raises settings.Refused."""
    day = time.strftime("%Y-%m-%d", time.gmtime(now))
    rows = {}
    for event in dict.fromkeys(one.event for one in measured):
        # The client starts all scopes' hooks of an event at once; the slowest scope is what it waits for.
        mine = [one for one in measured if one.event == event]
        slowest = max(mine, key=lambda one: one.native_ms)
        rows[event] = {
            "hooks": sum(one.hooks for one in mine),
            "native_ms": slowest.native_ms,
            "cold_ms": slowest.cold_ms,
            "warm_ms": slowest.warm_ms,
        }
    data = {"date": day, "python": sys.version.split()[0], "cores": os.cpu_count(), "events": rows}
    path = report.baseline_path(project)
    settings.replace(path, (json.dumps(data, indent=2) + "\n").encode(), 0o600)
    return path


# --- `fanout-hooks bench`: native, cold and warm side by side, and the baseline for reports. ----------------

NOISE = 0.05
"""Closer than this two medians of some rounds are the same."""
MIN_MS = 0.1
WHOLE_FROM = 9.95


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--yes", action="store_true", help="don't ask before running the hooks for real")
    parser.add_argument("--event", help="only this event")
    parser.add_argument(
        "--rounds",
        type=_rounds,
        default=ROUNDS,
        metavar="N",
        help="number of rounds that count (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, nothing else")


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of rounds, which is 1 or more")
    return int(text)


def run(args: argparse.Namespace) -> int:
    env, project = dict(os.environ), project_of(args)
    scopes = check.adopted_scopes(project, env)
    if not scopes:
        say(NONE_ADOPTED)
        return WRONG
    must_have(args.event, [hook.event for own in scopes for hook in own.held().hooks])
    if not args.json:
        runs = 3 * (args.rounds + WARM_UP)
        say(f"Each hook is run {runs} times, for real, with a made-up event: what it does is done.")
    if not confirm(args, "Nothing was run."):
        return OK
    found = [one for own in scopes for one in measure(own, env, args.rounds, args.event)]
    if args.json:
        say_json([one._asdict() for one in found])
    else:
        say(to_text(found, args.rounds, check.path_in_use(project, env)))
    if args.event is None:
        path = keep(project, found)
        if not args.json:
            say(f"\nKept as the baseline of reports: {path}")
    return OK


def to_text(found: Sequence[Measured], rounds: int, path: PathInUse) -> str:
    counted = "1 round" if rounds == 1 else f"{rounds} rounds"
    parts = [f"Milliseconds an event, the median of {counted}.", _table(found)]
    if path.path == "cold":
        parts.append(f"Here events run cold: {path.why}.")
    here = [
        (one, one.cold_ms if path.path != "warm" or one.warm_ms is None else one.warm_ms) for one in found
    ]
    slower = [
        (one.event, own_ms - one.native_ms)
        for one, own_ms in here
        if compared(one.native_ms, own_ms).endswith("slower")
    ]
    if slower:
        named = "\n".join(f"  {event} by {ms:.0f} ms" for event, ms in slower)
        undo = "What that buys is order, isolation and the log. `fanout-hooks restore` undoes it."
        parts.append(f"Slower here than natively:\n{named}\n{undo}")
    return "\n\n".join(parts)


def _table(found: Sequence[Measured]) -> str:
    width = max(len("event"), *(len(one.event) for one in found))
    lines = [f"{'event':<{width}} {'scope':<6}{'hooks':>6}{'native':>8}{'cold':>20}{'warm':>20}"]
    for one in found:
        begin = f"{one.event:<{width}} {one.scope:<6}{one.hooks:>6}{one.native_ms:>8.1f}"
        lines.append(begin + _cell(one.native_ms, one.cold_ms) + _cell(one.native_ms, one.warm_ms))
    return "\n".join(line.rstrip() for line in lines)


def _cell(native_ms: float, own_ms: float | None) -> str:
    return f"{'-':>8}" if own_ms is None else f"{own_ms:>8.1f}{compared(native_ms, own_ms):>12}"


def compared(native_ms: float, own_ms: float) -> str:
    ratio = max(native_ms, MIN_MS) / max(own_ms, MIN_MS)
    if abs(ratio - 1) <= NOISE:
        return "the same"
    times, word = (ratio, "faster") if ratio > 1 else (1 / ratio, "slower")
    return f"{times:.0f}x {word}" if times >= WHOLE_FROM else f"{times:.1f}x {word}"
