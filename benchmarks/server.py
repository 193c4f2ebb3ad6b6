"""The server beside a hello server on the same SDK: start, memory, one call, and what the model is shown.

python -m benchmarks server
"""

from __future__ import annotations

import json
import statistics
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import Any

from benchmarks._stage import SERVE, environment
from benchmarks.table import Row
from fakes.wire_client import Wire

HELLO = """
from mcp.server import MCPServer

server = MCPServer("hello")


@server.tool()
async def echo(text: str) -> str:
    return text


server.run()
"""
OURS = [sys.executable, *SERVE]
TIMES = 9
ALL_SHOWN, ORACLE_SHOWN = 6000, 1500
QUESTION = {"question": "Are you there?", "dry_run": True}


def started(command: Sequence[str], folder: Path) -> tuple[float, float, list[dict[str, Any]]]:
    """Start a server; return seconds until it listed its tools, its idle memory in MiB, and the tools."""
    began = time.perf_counter()
    with Wire(list(command), environment(folder), clean=True) as wire:
        tools = wire.ask("tools/list")["result"]["tools"]
        took = time.perf_counter() - began
        return took, memory(wire.process.pid), tools


def memory(pid: int) -> float:
    """Proportional set size in MiB: shared pages are counted once between the processes that share them."""
    lines = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
    return next(int(line.split()[1]) for line in lines if line.startswith("Pss:")) / 1024


def call_s(command: Sequence[str], folder: Path, call: Callable[[Wire], object], times: int = 200) -> float:
    """Return the median seconds of one warm call."""
    with Wire(list(command), environment(folder), clean=True) as wire:
        took = []
        for _ in range(times):
            began = time.perf_counter()
            call(wire)
            took.append(time.perf_counter() - began)
    return statistics.median(took)


def shown(tools: Sequence[dict[str, Any]]) -> int:
    """Return the bytes that the client passes on to the model: names, descriptions, input schemas."""
    names = ("name", "description", "inputSchema")
    seen = [{name: tool[name] for name in names} for tool in tools]
    return len(json.dumps(seen, separators=(",", ":"), ensure_ascii=False).encode())


def run() -> Iterator[Row]:
    with tempfile.TemporaryDirectory(prefix="fanout-bench-") as name:
        folder = Path(name)
        script = folder / "hello.py"
        script.write_text(HELLO)
        hello = [sys.executable, "-P", str(script)]
        pairs = [(started(hello, folder), started(OURS, folder)) for _ in range(TIMES + 1)][1:]
        bound, ours = (statistics.median(pair[side][0] for pair in pairs) for side in (0, 1))
        yield Row(
            "cold start to answered tools/list",
            f"{ours:.3f} s",
            f"{bound:.3f} s (hello server)",
            "<= 1.25 x the bound",
            ours <= 1.25 * bound,
        )
        bound, ours = (statistics.median(pair[side][1] for pair in pairs) for side in (0, 1))
        yield Row(
            "idle memory",
            f"{ours:.1f} MiB",
            f"{bound:.1f} MiB (hello server)",
            "<= 1.3 x the bound",
            ours <= 1.3 * bound,
        )
        tools = pairs[0][1][2]
        for what, chosen, most in (
            ("oracle_batch", [tool for tool in tools if tool["name"] == "oracle_batch"], ORACLE_SHOWN),
            (f"all {len(tools)} tools", tools, ALL_SHOWN),
        ):
            size = shown(chosen)
            yield Row(f"shown to the model: {what}", f"{size:,} bytes", "", f"<= {most:,}", size <= most)
        bound = call_s(hello, folder, lambda wire: wire.call("echo", {"text": "hello"}))
        ours = call_s(OURS, folder, lambda wire: wire.call("oracle_batch", QUESTION))
        yield Row(
            "one warm call without a model", f"{ours * 1e3:.2f} ms", f"{bound * 1e3:.2f} ms (hello echo)"
        )
