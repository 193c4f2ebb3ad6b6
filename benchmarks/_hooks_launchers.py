"""Hooks that Node and `uv run` start, first events and what is kept ready, beside the same natively."""

from __future__ import annotations

import json
import resource
import shutil
import statistics
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

from mcp import Client
from mcp.client.stdio import StdioServerParameters

from benchmarks._hooks_rest import CORPUS, held_by, some_events
from benchmarks._stage import SERVE, environment, stream
from benchmarks.table import Row, faster
from fakes.sandbox import PYTHON, Event, Running, Sandbox, pre_tool_use

NODES = 9
BURST = 20
GAP_S = 0.1
PAIRS = 10
CALL_GAP_S = 0.03
"""Between PreToolUse and PostToolUse of a call that does next to nothing."""
HOMES = 10
CALL_S = 1.0
"""What a tool call takes in the client; spares are started meanwhile."""
NODE = """
const fs = require('fs'), path = require('path');
const event = JSON.parse(fs.readFileSync(0, 'utf8'));
fs.appendFileSync(path.join(process.env.CLAUDE_PROJECT_DIR, 'seen{0}'), event.tool_name + '\\n');
if (/rm -rf/.test(event.tool_input.command)) process.exit(2);
"""
UV = """# /// script
# requires-python = ">=3.11"
# dependencies = ["python-dotenv"]
# ///
import json, re, sys
from dotenv import load_dotenv
load_dotenv()
event = json.load(sys.stdin)
if re.search("rm -rf", event["tool_input"]["command"]):
    sys.exit({0} and 2)
"""
"""With one small dependency, which public collections of hooks take for their keys."""

Hook = dict[str, Any]
InClient = Callable[[Path, dict[str, tuple[str, list[Hook]]], float], dict[str, list[float]]]
"""Runs sessions of each way by turns, calls of so many seconds; returns the milliseconds of their events."""
Natives = Callable[[Sandbox, list[str]], None]


def rows(top: Path, in_client: InClient | None, natives: Natives) -> Iterator[Row]:
    top.mkdir(parents=True, exist_ok=True)
    if in_client is not None:
        yield from _in_client(top, in_client)
    yield from _burst(top / "burst", natives)
    yield _pairs(top / "pairs", natives)
    yield _first(top, natives)
    yield from stream(lambda: _at_rest(top / "rest"))


def _scripts(folder: Path, kind: str, count: int) -> list[Hook]:
    folder.mkdir(parents=True, exist_ok=True)
    source, suffix, start = (NODE, ".js", "node") if kind == "node" else (UV, ".py", "uv run --script")
    made = []
    for number in range(count):
        path = folder / f"{kind}_{count}_{number}{suffix}"
        path.write_text(source.replace("{0}", str(number)))
        made.append({"type": "command", "command": f"{start} {path}"})
    return made


def _in_client(top: Path, in_client: InClient) -> Iterator[Row]:
    kinds = [("node", NODES, 5.0)]
    kinds += [("uv", 1, 4.0), ("uv", 13, 15.0)] if shutil.which("uv") else []
    for kind, count, bar in kinds:
        hooks = _scripts(top, kind, count)
        if kind == "uv" and not installs(hooks[0]["command"]):
            yield Row("warm event, `uv run --script` hooks", "not measured: uv can't install python-dotenv")
            return
        ways = {way: (way, hooks) for way in ("native", "warm")}
        found = in_client(top / f"{kind} {count}", ways, CALL_S)
        native, warm = (statistics.median(found[way]) for way in ("native", "warm"))
        what = (
            f"warm event, {count} `{'node' if kind == 'node' else 'uv run --script'}` hook{'s' * (count > 1)}"
        )
        yield faster(what, warm, native, bar)


def installs(command: str) -> bool:
    done = subprocess.run(
        command.split(), input=json.dumps(pre_tool_use()).encode(), capture_output=True, check=False
    )
    return done.returncode == 0


def _burst(folder: Path, natives: Natives) -> Iterator[Row]:
    """Run events that follow one another faster than all spares refill."""
    sandbox = Sandbox(folder)
    hooks = _scripts(sandbox.scripts, "node", NODES)
    sandbox.hooks("PreToolUse", *hooks)
    commands = [hook["command"] for hook in hooks]
    with sandbox.running() as running:
        running.event(pre_tool_use())
        running.settle()
        before = _cpu()
        native = [_timed(running, lambda: natives(sandbox, commands)) for _ in range(BURST)]
        between = _cpu()
        ours = [_timed(running, lambda: _event(running, pre_tool_use())) for _ in range(BURST)]
        running.settle()
        share = (_cpu() - between) / (between - before)
    one, other = statistics.median(native), statistics.median(ours)
    worst = max(ours) / max(native)
    figure = f"{other:.0f} ms, {one / other:.1f} x faster; the slowest {worst:.2f} of native's"
    bar = ">= 2 x, slowest <= 1.1"
    what = f"{BURST} events of {NODES} Node hooks, {GAP_S} s apart"
    yield Row(what, figure, f"native {one:.0f} ms", bar, one / other >= 2 and worst <= 1.1)
    yield Row(
        "CPU of these events, spares for the next one included",
        f"{share:.2f}",
        "native",
        "<= 1.3",
        share <= 1.3,
    )


def _pairs(folder: Path, natives: Natives) -> Row:
    """Run PreToolUse and PostToolUse of short calls, with the same hooks, by turns with the same natively."""
    sandbox = Sandbox(folder)
    hooks = _scripts(sandbox.scripts, "node", NODES)
    commands = [hook["command"] for hook in hooks]
    events = [pre_tool_use() | {"hook_event_name": name} for name in ("PreToolUse", "PostToolUse")]
    for event in events:
        sandbox.hooks(event["hook_event_name"], *hooks)
    native, ours = [], []
    with sandbox.running() as running:
        for _ in range(PAIRS):
            for event, gap in zip(events, (CALL_S, CALL_GAP_S), strict=True):
                ours.append(_timed(running, partial(_event, running, event), gap))
            native += [
                _timed(running, lambda: natives(sandbox, commands), gap) for gap in (CALL_S, CALL_GAP_S)
            ]
    one, other = statistics.median(native), statistics.median(ours[2:])
    worst = max(ours[2:]) / max(native)
    figure = f"{other:.0f} ms, {one / other:.1f} x faster; the slowest {worst:.2f} of native's"
    what = f"PreToolUse and PostToolUse of {NODES} Node hooks, {CALL_GAP_S} s apart"
    good = one / other >= 2 and worst <= 1.1
    return Row(what, figure, f"native {one:.0f} ms", ">= 2 x, slowest <= 1.1", good)


def _event(running: Running, event: Event) -> None:
    running.event(event)
    running.runtime.settle()


def _timed(running: Running, call: Callable[[], None], gap_s: float = GAP_S) -> float:
    """Return the milliseconds of a call, after a gap in which what follows an event goes on."""
    running.loop.run(running.loop.sleep(gap_s))
    began = time.perf_counter()
    call()
    return (time.perf_counter() - began) * 1000


def _cpu() -> float:
    """Return the CPU seconds of this process and of its children that have ended."""
    used = [resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)]
    return sum(own.ru_utime + own.ru_stime for own in used)


def _first(top: Path, natives: Natives) -> Row:
    """Measure the first event in a home that knows nothing of these hooks."""
    native, ours = [], []
    for number in range(HOMES):
        sandbox = Sandbox(top / f"home {number}")
        commands = [f"{PYTHON} {path}" for path in sorted(CORPUS.iterdir())]
        sandbox.hooks("PreToolUse", *commands)
        began = time.perf_counter()
        natives(sandbox, commands)
        native.append((time.perf_counter() - began) * 1000)
        with sandbox.running() as running:
            began = time.perf_counter()
            running.event(pre_tool_use())
            ours.append((time.perf_counter() - began) * 1000)
    one, other = statistics.median(native), statistics.median(ours)
    good = other <= max(1.1 * one, one + 15)
    figure = f"{other:.0f} ms, {other / one:.2f} of native"
    return Row("first event in a new home, 21 Python hooks", figure, f"native {one:.0f} ms", "<= 1.1", good)


async def _at_rest(folder: Path) -> AsyncIterator[Row]:
    """Measure what is kept ready for hooks of both kinds, and for very many Node hooks."""
    python = [{"type": "command", "command": f"{PYTHON} {path}"} for path in sorted(CORPUS.iterdir())]
    for nodes, others, bar in ((NODES, python, 150), (41, [], 160)):
        sandbox = Sandbox(folder / str(nodes))
        sandbox.hooks("PreToolUse", *others, *_scripts(sandbox.scripts, "node", nodes))
        env = environment(folder, CLAUDE_PROJECT_DIR=str(sandbox.project))
        command = StdioServerParameters(
            command=sys.executable, args=list(SERVE), env=env, cwd=sandbox.project
        )
        async with Client(command) as client:
            await some_events(client, sandbox, 8)
            held, count, cpu = await held_by()
        figure = f"{held:.0f} MB in {count} processes, {cpu * 1000:.0f} ms of CPU"
        what = f"processes kept ready for {nodes} Node and {len(others)} Python hooks"
        yield Row(what, figure, "", f"<= {bar} MB, no CPU", held <= bar and cpu == 0)
