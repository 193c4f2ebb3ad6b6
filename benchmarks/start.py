"""The first answer: `initialize` and `tools/list` from process start, in each way that the server is started.

    python -m benchmarks start

The bound is a loop of the standard library on the same interpreter, which answers both from constants. A
hello server on the TypeScript SDK is measured too where `make client` has installed that SDK.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from benchmarks._stage import ROOT, environment
from benchmarks.server import memory
from benchmarks.table import Row
from fakes.wire_client import Wire
from fanout_mcp.registration.plan import server_entry
from launcher.environment import Environment

LOOP = """
import json, sys

for line in sys.stdin:
    message = json.loads(line)
    if "id" in message:
        sys.stdout.write(json.dumps({"jsonrpc": "2.0", "id": message["id"], "result": {}}) + "\\n")
        sys.stdout.flush()
"""
HELLO = """
const { McpServer } = require("@modelcontextprotocol/sdk/server/mcp.js");
const { StdioServerTransport } = require("@modelcontextprotocol/sdk/server/stdio.js");
const server = new McpServer({ name: "hello", version: "1" });
server.registerTool("echo", { description: "Echo" }, async () => ({ content: [] }));
server.connect(new StdioServerTransport());
"""
HANDSHAKE = {
    "protocolVersion": "2025-11-25",
    "capabilities": {},
    "clientInfo": {"name": "bench", "version": "1"},
}
MODULES = ROOT / ".client" / "suite" / "node_modules"
TIMES = 11
MOST_RAW, MOST_NODE = 3.0, 0.35
EVENT = {"hook_event_name": "Notification"}
EVENTS, ROUNDS = 60, 5
HOP_MS, HOP_MIB = 0.3, 12.0


def started(command: Sequence[str], folder: Path) -> Wire:
    """Start a server; `python3` is this interpreter, for the launchers look it up."""
    env = environment(folder)
    env["PATH"] = f"{Path(sys.executable).parent}{os.pathsep}{env['PATH']}"
    return Wire(list(command), env, clean=True)


def first_answers_s(command: Sequence[str], folder: Path) -> float:
    """Return the seconds from process start until both questions are answered, one after the other."""
    began = time.perf_counter()
    with started(command, folder) as wire:
        for number, (method, params) in enumerate((("initialize", HANDSHAKE), ("tools/list", {}))):
            message = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
            wire.write(json.dumps(message).encode() + b"\n")
            assert "result" in wire.answer(number)
        return time.perf_counter() - began


def by_turns(commands: dict[str, list[str]], folder: Path) -> dict[str, float]:
    """Return the median seconds of each; all run in each turn, and the first turn warms the disk."""
    turns = [{name: first_answers_s(one, folder) for name, one in commands.items()} for _ in range(TIMES + 1)]
    return {name: statistics.median(turn[name] for turn in turns[1:]) for name in commands}


def run() -> Iterator[Row]:
    if not Environment(None).is_ready():
        raise RuntimeError("the clone's environment is older than pyproject.toml; run `make test` first")
    entry = server_entry()
    clone = json.loads((ROOT / ".mcp.json").read_text())["mcpServers"]["fanout"]
    plugin = json.loads((ROOT / ".claude-plugin" / "plugin.json").read_text())["mcpServers"]["fanout"]
    with tempfile.TemporaryDirectory(prefix="fanout-bench-") as name:
        folder = Path(name)
        (folder / "loop.py").write_text(LOOP)
        launch, data = str(ROOT / "mcp_server" / "launch.py"), str(folder / "data")
        commands = {
            "raw": [entry["command"], "-I", str(folder / "loop.py")],
            "installed": [entry["command"], *entry["args"]],
            "clone": [clone["command"], *clone["args"]],
            "plugin": [plugin["command"], *plugin["args"][:2], launch, data],
        }
        if (MODULES / "@modelcontextprotocol" / "sdk").exists():
            (folder / "hello.cjs").write_text(HELLO)
            (folder / "node_modules").symlink_to(MODULES)
            commands["node"] = [shutil.which("node") or "node", str(folder / "hello.cjs")]
        took = by_turns(commands, folder)
        for what, side in (
            ("`fanout install`", "installed"),
            ("a clone's .mcp.json", "clone"),
            ("the plugin", "plugin"),
        ):
            yield Row(
                f"initialize and tools/list from process start: {what}",
                f"{took[side] * 1e3:.0f} ms ({took[side] / took['raw']:.1f} x)",
                f"{took['raw'] * 1e3:.0f} ms (raw loop, same interpreter)",
                f"<= {MOST_RAW:.0f} x the bound",
                took[side] <= MOST_RAW * took["raw"],
            )
        if "node" in took:
            ratio = took["installed"] / took["node"]
            yield Row(
                "the same beside a hello server on the TypeScript SDK",
                f"{ratio:.2f} x",
                f"{took['node'] * 1e3:.0f} ms (hello)",
                f"<= {MOST_NODE} x the bound",
                ratio <= MOST_NODE,
            )
        yield from hop(commands["installed"], commands["clone"], folder)


def hop(straight: Sequence[str], launched: Sequence[str], folder: Path) -> Iterator[Row]:
    """Measure what is left of the launcher once the server runs: nothing should be."""
    took: tuple[list[float], list[float]] = ([], [])
    sizes: tuple[list[float], list[float]] = ([], [])
    for _ in range(ROUNDS):  # one after another: of two servers in a session one stands down for hooks
        for command, times, size in zip((straight, launched), took, sizes, strict=True):
            with started(command, folder) as wire:
                wire.call("run_hooks", EVENT)
                for _ in range(EVENTS):
                    began = time.perf_counter()
                    wire.call("run_hooks", EVENT)
                    times.append((time.perf_counter() - began) * 1e3)
                size.append(memory(wire.process.pid))
    bound, ours = map(statistics.median, took)
    yield Row(
        "a warm hook event behind the launcher",
        f"{ours - bound:+.2f} ms",
        f"{bound:.2f} ms (server alone)",
        f"<= {HOP_MS} ms more",
        ours - bound <= HOP_MS,
    )
    bound, ours = map(statistics.median, sizes)
    yield Row(
        "memory behind the launcher",
        f"{ours - bound:+.1f} MiB",
        f"{bound:.1f} MiB (server alone)",
        f"<= {HOP_MIB:.0f} MiB more",
        ours - bound <= HOP_MIB,
    )
