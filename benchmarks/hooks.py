"""Hooks in the real client (its own durations, native and fanout by turns), and the runtime on its own.

    python -m benchmarks hooks

Durations are the client's telemetry, `total_duration_ms` of an event; the hooks' interpreter is named by its
real path. Sessions of each way alternate, so that a busy machine slows all of them.
"""

from __future__ import annotations

import os
import resource
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks import _hooks_launchers as hooks_launchers
from benchmarks import _hooks_lost as hooks_lost
from benchmarks import _hooks_rest as hooks_rest
from benchmarks.table import Row, faster
from e2e.client import Client, find_client
from e2e.hooked import PRICED, PYTHON, Hooked, prices
from fakes.hostile_hooks import HOSTILE
from fakes.model import Call, Text, serving, turns
from fakes.sandbox import Running, Sandbox, pre_tool_use
from fakes.telemetry import receiving
from fanout_hooks.warm.command import is_shim

CORPUS = Path(__file__).parent / "corpus"
ROUNDS = 3
CALLS = 16
PRICED_CALLS = 40
EVENTS = 40
LEARNING = 5
"""A session's first events: hooks are being learned, modules loaded."""
HELLO = """
import anyio
from mcp.server.lowlevel import Server
from mcp.server.stdio import stdio_server
from mcp.types import CallToolResult, ListToolsResult, TextContent

async def tools(ctx, params): return ListToolsResult(tools=[])
async def call(ctx, params): return CallToolResult(content=[TextContent(type="text", text="{}")])

async def main():
    server = Server("hello", on_list_tools=tools, on_call_tool=call)
    async with stdio_server() as (read, write):
        await server.run(read, write, server.create_initialization_options())
anyio.run(main)
"""
COUNT = """
import sys, time
path = sys.argv[1]
try:
    n = int(open(path).read())
except FileNotFoundError:
    n = 0
time.sleep(0.001)
open(path, "w").write(str(n + 1))
"""

INTERPRETERS = (
    ("distribution's", "/usr/bin/python3", {"warm": 24.0, "cold": 4.0}),
    ("version manager's", "python3", {"warm": 34.0}),
)
"""Whose it is, how hooks call it, how many times faster than natively each way should be."""

Hook = dict[str, Any]


def run() -> Iterable[Row]:
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        yield from _in_client(top)
        yield from _at_once(top / "at once")
        yield from _lanes(top / "lanes")
        yield _updates(top / "updates")
        yield from hooks_lost.rows(top / "lost")
        yield from hooks_rest.rows(top / "rest")
        in_client = None if find_client() is None else _by_turns
        yield from hooks_launchers.rows(top / "launchers", in_client, _all_natives)
        yield Row(f"hostile set of {len(HOSTILE)} hooks, 500 generated ones", "held by tests/warm")


# --- in the real client -------------------------------------------------------------------------------------


def _in_client(top: Path) -> Iterator[Row]:
    program = find_client()
    if program is None:
        yield Row("the real client", "not installed (make client)")
        return
    python = corpus("python")
    ways: dict[str, tuple[str, list[Hook]]] = {
        "native": ("native", python),
        "warm": ("warm", python),
        "cold": ("cold", python),
        "native mixed": ("native", [*python, *corpus("mixed")]),
        "warm mixed": ("warm", [*python, *corpus("mixed")]),
        "trivial": ("warm", [{"type": "command", "command": f"{PYTHON} {_trivial(top)}"}]),
        "hello": ("hello", []),
    }
    found = _by_turns(top, ways)
    middle = {name: statistics.median(some) for name, some in found.items() if some}
    yield from _compared(middle)
    yield from _other_interpreters(top)
    for kind in PRICED:
        page, told = prices(Client.make(program, top / f"priced {kind}"), kind, PRICED_CALLS)
        figure, ratio = f"{page:.1f} ms, {page / told:.2f} of telemetry", page / told
        what = f"cost page of 3 {kind} hooks"
        yield Row(what, figure, f"telemetry {told:.1f} ms", "0.9 to 1.1", 0.9 <= ratio <= 1.1)


def _by_turns(
    top: Path, ways: dict[str, tuple[str, list[Hook]]], pause_s: float = 0.0
) -> dict[str, list[float]]:
    """Run sessions of each way by turns; return the milliseconds of their events.

    The scripted model answers at once; each call takes `pause_s`, as calls and models do.
    """
    program = find_client()
    assert program is not None
    made = {name: _project(top / name, program, way, hooks) for name, (way, hooks) in ways.items()}
    found: dict[str, list[float]] = {name: [] for name in ways}
    for _ in range(ROUNDS):
        for name, hooked in made.items():
            found[name] += _session(hooked, pause_s)
    return found


def _other_interpreters(top: Path) -> Iterator[Row]:
    """Measure the same hooks as most people start them: fanout is in an environment of its own here."""
    for whose, python, bars in INTERPRETERS:
        found_at = shutil.which(python)
        if found_at is None or is_shim(found_at) != (python == "python3"):
            yield Row(f"21 Python hooks by a {whose} `{python}`", "not measured: there is none here")
            continue
        hooks = corpus("python", python)
        found = _by_turns(top / whose, {way: (way, hooks) for way in ("native", *bars)})
        middle = {way: statistics.median(some) for way, some in found.items()}
        for way, bar in bars.items():
            what = f"{way} event of 21 Python hooks, by a {whose} `{python}`"
            yield faster(what, middle[way], middle["native"], bar)


def _compared(middle: dict[str, float]) -> Iterator[Row]:
    for name, bar in (("warm", 20.0), ("cold", 1.0)):
        yield faster(f"{name} event, 21 Python hooks", middle[name], middle["native"], bar)
    mixed = middle["native mixed"] / middle["warm mixed"]
    figure = f"{middle['warm mixed']:.0f} ms, {mixed:.1f} x faster"
    yield Row("warm event, 21 Python and 4 other hooks", figure, f"native {middle['native mixed']:.0f} ms")
    over = middle["trivial"] - middle["hello"]
    figure, bound = f"{middle['trivial']:.1f} ms, {over:.1f} over", f"bare mcp_tool {middle['hello']:.1f} ms"
    good = middle["trivial"] <= 12 and over <= 6
    yield Row("warm event, one trivial hook", figure, bound, "<= 12 ms, <= 6 over", good)


def corpus(name: str, python: str = PYTHON) -> list[Hook]:
    return [
        {"type": "command", "command": f"{'sh' if path.suffix == '.sh' else python} {path}"}
        for path in sorted((CORPUS / name).iterdir())
    ]


def _trivial(top: Path) -> Path:
    path = top / "trivial.py"
    path.write_text("import sys\nsys.stdin.read()\n")
    return path


def _project(folder: Path, program: str, way: str, hooks: list[Hook]) -> Hooked:
    client = Client.make(program, folder)
    if way != "hello":
        return Hooked.make(client, {"PreToolUse": [{"hooks": hooks}]}, way)
    hooked = Hooked.make(
        client,
        {"PreToolUse": [{"hooks": [{"type": "mcp_tool", "server": "fanout", "tool": "hook", "input": {}}]}]},
        "native",
    )
    script = folder / "hello.py"
    script.write_text(HELLO)
    hooked.register_server({"command": sys.executable, "args": [str(script)]})
    return hooked


def _session(hooked: Hooked, pause_s: float) -> list[float]:
    """Return the durations of one session's PreToolUse events, but for the first ones."""
    commands = [f"sleep {pause_s}; true {number}" if pause_s else f"true {number}" for number in range(CALLS)]
    calls = [[Call("Bash", {"command": command, "description": "x"})] for command in commands]
    with serving(turns([*calls, [Text("done")]])) as model, receiving() as told:
        hooked.client.say(model, "please", env=told.env)
        return told.durations("PreToolUse")[LEARNING:]


# --- the runtime on its own ---------------------------------------------------------------------------------


def _at_once(folder: Path) -> Iterator[Row]:
    sandbox = Sandbox(folder)
    hooks = corpus("python")
    sandbox.hooks("PreToolUse", *hooks)
    events = [pre_tool_use(f"echo {number}", tool_use_id=f"toolu_{number}") for number in range(8)]
    native, warm, cpu = [], [], []
    with sandbox.running() as running:
        for _ in range(4):
            running.event(events[0])
        for _ in range(5):
            native.append(_seconds(lambda: _all_natives(sandbox, [hook["command"] for hook in hooks] * 8)))
            warm.append(_seconds(lambda: running.events(events)))
            cpu.append(_cpu(running, sandbox, hooks))
    ratio = statistics.median(native) / statistics.median(warm)
    figure = f"{statistics.median(warm) * 1000:.0f} ms, {ratio:.0f} x faster"
    bound = f"native {statistics.median(native) * 1000:.0f} ms"
    yield Row("8 events at once, 21 hooks each, warm", figure, bound, ">= 40 x", ratio >= 40)
    share = statistics.median(a / b for a, b in cpu)
    yield Row(
        "CPU of a warm event of 21 hooks", f"1/{1 / share:.0f} of native", "", "<= 1/30", share <= 1 / 30
    )


def _all_natives(sandbox: Sandbox, commands: list[str]) -> None:
    """Start every command at once, as the client does, and wait for all."""
    started = [
        subprocess.Popen(
            ["/bin/sh", "-c", command],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=sandbox.env,
            cwd=sandbox.project,
        )
        for command in commands
    ]
    for one in started:
        one.communicate(b'{"hook_event_name":"PreToolUse","tool_name":"Bash","tool_input":{"command":"x"}}\n')


def _cpu(running: Running, sandbox: Sandbox, hooks: list[Hook]) -> tuple[float, float]:
    """Return the CPU seconds of EVENTS warm events, and of as many native ones (of one, multiplied)."""
    before = _spent(running)
    for _ in range(EVENTS):
        running.event(pre_tool_use())
    warm = _spent(running) - before
    ours = resource.getrusage(resource.RUSAGE_CHILDREN)
    _all_natives(sandbox, [hook["command"] for hook in hooks])
    now = resource.getrusage(resource.RUSAGE_CHILDREN)
    return warm, EVENTS * (now.ru_utime + now.ru_stime - ours.ru_utime - ours.ru_stime)


def _spent(running: Running) -> float:
    """Return the CPU seconds of this process, the zygotes with what they buried, and their live workers."""
    total = time.process_time()
    for own in running.runtime._interpreters.values():  # noqa: SLF001 - what it costs is inside
        assert own._process is not None  # noqa: SLF001
        for pid in (own._process.pid, *own._workers):  # noqa: SLF001
            fields = _about(pid, "stat").rpartition(")")[2].split()
            total += sum(map(int, fields[11:15])) / os.sysconf("SC_CLK_TCK")
    return total


def _about(pid: int, what: str) -> str:
    """Return what the system says of a process; nothing when it has just been buried."""
    try:
        return Path(f"/proc/{pid}/{what}").read_text()
    except (FileNotFoundError, ProcessLookupError):
        return ""


def _lanes(folder: Path) -> Iterator[Row]:
    free, chained = Sandbox(folder / "free"), Sandbox(folder / "chain")
    free.hooks("PreToolUse", *[f"sleep 0.3; : {number}" for number in range(10)])
    entries: list[Hook | str] = [
        {"type": "command", "command": f"sleep 0.3; : {number}", "resources": ["one"]} for number in range(3)
    ]
    chained.hooks("PreToolUse", *entries, *[f"sleep 0.3; : {number}" for number in range(3, 10)])
    times = {}
    for name, sandbox in (("free", free), ("chain", chained)):
        with sandbox.running() as running:
            times[name] = statistics.median(_seconds(lambda: running.event(pre_tool_use())) for _ in range(5))
    yield Row(
        "10 shell hooks of 0.3 s", f"{times['free']:.3f} s", "0.300 s", "<= 0.36 s", times["free"] <= 0.36
    )
    good = 0.9 <= times["chain"] <= 1.0
    yield Row("the same, 3 in one chain", f"{times['chain']:.3f} s", "0.900 s", "0.9 to 1.0 s", good)


def _updates(folder: Path) -> Row:
    sandbox = Sandbox(folder)
    counter = sandbox.project / "counter"
    entry = sandbox.python("count", COUNT)
    sandbox.hooks("PreToolUse", entry | {"command": f"{entry['command']} {counter}"})
    events = [pre_tool_use(tool_use_id=f"toolu_{number}") for number in range(20)]
    kept = []
    with sandbox.running() as running:
        for _ in range(50):
            counter.unlink(missing_ok=True)
            running.events(events)
            kept.append(int(counter.read_text()))
    figure = f"{min(kept)} of 20 kept in the worst of 50 runs"
    return Row("one read-modify-write hook, 20 events at once", figure, "", "20 of 20", min(kept) == 20)


def _seconds(call: Any) -> float:
    began = time.perf_counter()
    call()
    return time.perf_counter() - began
