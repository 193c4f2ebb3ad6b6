"""What a lost server costs: each way of losing it 100 times, with real processes and no client.

The two entries of an event are played as the client starts them: the sentinel's own line of `sh`, and a call
over the server's bridge where there is a server. A guard's entry runs beside them. An observer writes down
each event it saw; the guard denies each.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
from collections.abc import Awaitable, Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any, NamedTuple

from benchmarks.table import Row
from fakes.sandbox import PYTHON, Sandbox, pre_tool_use
from fanout_hooks.adoption import entries
from fanout_hooks.client import config
from fanout_hooks.client import hook_input as events
from fanout_hooks.run import claims
from fanout_hooks.run.launch import Launch
from fanout_mcp.edge.hook_bridge import HookBridge

TIMES = 100
AT_ONCE = 4
OBSERVER = """
import json, os, sys
fd = os.open(sys.argv[1], os.O_WRONLY | os.O_APPEND | os.O_CREAT, 0o600)
os.write(fd, (json.load(sys.stdin)["tool_use_id"] + "\\n").encode())
"""
GUARD = "import sys\nsys.stderr.write('no')\nsys.exit(2)\n"

Event = dict[str, Any]
Play = Callable[["HookInput", int], Awaitable[bool]]


class HookInput(NamedTuple):
    """A project whose hooks are adopted: the lines of its entries."""

    sandbox: Sandbox
    env: dict[str, str]
    sentinel: str
    guard: str
    seen: Path

    @classmethod
    def make(cls, folder: Path) -> HookInput:
        sandbox = Sandbox(folder)
        seen = folder / "seen"
        observer = sandbox.python("observer", OBSERVER)
        observer["command"] += f" {seen}"
        sandbox.hooks("PreToolUse", observer, sandbox.python("guard", GUARD, guard=True))
        env = sandbox.env | {"FANOUT_STATE_DIR": str(sandbox.state), "CLAUDE_PID": str(os.getpid())}
        found = config.load(("local",), str(sandbox.project), str(sandbox.home / ".claude"))
        launch = Launch(PYTHON, Launch.own().script)
        groups = entries.adopted(found.hooks, entries.Registration("local", launch))["PreToolUse"]
        plain, guard = (
            [entry["command"] for entry in group["hooks"] if entry["type"] == "command"] for group in groups
        )
        return cls(sandbox, env, plain[0], guard[0], seen)

    @property
    def alive(self) -> str:
        return claims.folder(str(Path(self.env["FANOUT_STATE_DIR"]) / "hooks"))

    def start(self, line: str, event: Event) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            ["/bin/sh", "-c", line],
            input=events.to_stdin(self.sandbox.here(event)),
            capture_output=True,
            env=self.env,
            cwd=self.sandbox.project,
            check=False,
        )

    def counts(self) -> dict[str, int]:
        rows = self.seen.read_text().split() if self.seen.exists() else []
        return {name: rows.count(name) for name in rows}


def rows(top: Path) -> Iterator[Row]:
    for name, what, play in (
        ("absent", "absent", _absent),
        ("other", "not approved, another session's server is running", _other),
        ("before", "killed before the event", _killed_before),
    ):
        hook_input = HookInput.make(top / name)
        yield _row(what, hook_input, _in_parallel(hook_input, play))
    yield asyncio.run(_row_of(top / "connecting", "still connecting", _connecting))
    yield asyncio.run(_row_of(top / "mid", "killed in mid-event", _killed_amid))


def _event(number: int) -> Event:
    return pre_tool_use(f"echo {number}", tool_use_id=f"toolu_{number}")


def _row(what: str, hook_input: HookInput, denied: int, allowed_losses: int = 0) -> Row:
    counts = {f"toolu_{number}": hook_input.counts().get(f"toolu_{number}", 0) for number in range(TIMES)}
    counts = {name: count for name, count in counts.items() if count}
    once = sum(counts.get(f"toolu_{number}") == 1 for number in range(TIMES))
    figure = f"{denied} of {TIMES} denied, {once} observed once, {TIMES - len(counts)} not"
    good = denied == TIMES and once >= TIMES - allowed_losses
    bar = "all denied" + (", all observed once" if not allowed_losses else "")
    return Row(f"server {what}", figure, "", bar, good)


def _in_parallel(hook_input: HookInput, play: Callable[[HookInput], None]) -> int:
    for number in range(3):  # known hooks are what a real project has
        hook_input.start(hook_input.sentinel, _event(-number - 1))
    hook_input.seen.unlink(missing_ok=True)
    play(hook_input)
    with ThreadPoolExecutor(AT_ONCE) as pool:
        ended = list(pool.map(lambda number: _both(hook_input, _event(number)), range(TIMES)))
    return sum(ended)


def _both(hook_input: HookInput, event: Event) -> bool:
    """Start the sentinel and the guard as the client does; say whether the guard denied."""
    guard = subprocess.Popen(
        ["/bin/sh", "-c", hook_input.guard],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env=hook_input.env,
        cwd=hook_input.sandbox.project,
    )
    hook_input.start(hook_input.sentinel, event)
    said, _ = guard.communicate(events.to_stdin(hook_input.sandbox.here(event)))
    return guard.returncode == 2 or b'"deny"' in said


def _absent(_: HookInput) -> None: ...


def _other(hook_input: HookInput) -> None:
    claims.mark(hook_input.alive, ("pid-1",), os.getpid())


def _killed_before(hook_input: HookInput) -> None:
    """Leave the mark of a server that had no time to take it away."""
    dead = subprocess.Popen(["true"])
    dead.wait()
    claims.mark(hook_input.alive, (f"pid-{os.getpid()}",), dead.pid)


# --- with a server's bridge ---------------------------------------------------------------------------------


async def _row_of(folder: Path, what: str, play: Play) -> Row:
    hook_input = HookInput.make(folder)
    before = dict(os.environ)
    os.environ.clear()
    os.environ.update(hook_input.env)  # as the client gives its own to the server
    try:
        for number in range(3):
            await asyncio.to_thread(hook_input.start, hook_input.sentinel, _event(-number - 1))
        hook_input.seen.unlink(missing_ok=True)
        denied = 0
        for number in range(TIMES):
            denied += await play(hook_input, number)
    finally:
        os.environ.clear()
        os.environ.update(before)
    return _row(what, hook_input, denied, TIMES if play is _killed_amid else 0)


def arguments_of(event: Event) -> dict[str, Any]:
    """Return what the client gives to the call for an event."""
    given = events.mcp_input("PreToolUse", ("local",))
    return {name: _filled(value, event) for name, value in given.items()}


def _filled(value: str, event: Event) -> str:
    if not value.startswith("${"):
        return value
    found = event.get(value[2:-1], "")
    return found if isinstance(found, str) else json.dumps(found)


async def _connecting(hook_input: HookInput, number: int) -> bool:
    """The sentinel finds no server; the call waits for one that is just starting, and then comes too."""
    event = _event(number)
    bridge = HookBridge()
    both = asyncio.create_task(asyncio.to_thread(_both, hook_input, event))
    await bridge.handle(arguments_of(hook_input.sandbox.here(event)))
    denied = await both
    await bridge.close()
    return denied


async def _killed_amid(hook_input: HookInput, number: int) -> bool:
    """The process that runs the hooks dies with the event; the client gets no opinion, the guard denies."""
    event = _event(number)
    bridge = HookBridge()
    # An event before it: then the process is there, and sentinels leave events to it.
    await bridge.handle(arguments_of(hook_input.sandbox.here(_event(-TIMES - number))))
    both = asyncio.create_task(asyncio.to_thread(_both, hook_input, event))
    call = asyncio.create_task(bridge.handle(arguments_of(hook_input.sandbox.here(event))))
    await asyncio.sleep(0.001 * (number % 20))
    link = bridge._link  # noqa: SLF001 - whom to kill is inside
    if link is not None and link.process is not None:
        os.kill(link.process.pid, signal.SIGKILL)
    await call
    denied = await both
    await bridge.close()
    return denied
