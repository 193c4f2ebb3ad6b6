"""Calls at once: none waits much longer than another, and none is lost, however many there are."""

from __future__ import annotations

import statistics
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.wire_client import Wire
from fanout_mcp.source.workers import Workers

pytestmark = pytest.mark.slow

SERVE = [sys.executable, "-P", "-m", "fanout_mcp", "serve"]
PROBE = "fanout_mcp.source.workers_main:probe"
MAX_RATIO = 4.0
FOLDERS, FILES = 32, 12


@pytest.fixture
def server(tmp_path: Path) -> Iterator[Wire]:
    project = tmp_path / "project"
    for folder in range(FOLDERS):
        (project / f"part{folder}").mkdir(parents=True)
        for file in range(FILES):
            body = "".join(f"def f{n}(x=[]):\n    if x: return eval(x)\n" for n in range(60))
            (project / f"part{folder}" / f"m{file}.py").write_text(f'"""Part {folder}."""\n{body}')
    env = {"HOME": str(tmp_path), "FANOUT_BACKEND": "plan", "CLAUDE_PROJECT_DIR": str(project)}
    with Wire(SERVE, {**env, "PATH": "/usr/bin:/bin"}, timeout=120, clean=True) as wire:
        wire.call("summarize_files", {"paths": ["part0/m0.py"], "engine": "static"})
        yield wire


def timed(wire: Wire, calls: list[tuple[str, dict[str, Any]]]) -> list[float]:
    """Send all calls at once; return how long each took, in seconds."""
    began: dict[str, float] = {}

    def send() -> None:
        for number, (name, arguments) in enumerate(calls):
            began[f"call-{number}"] = time.monotonic()
            wire.send("tools/call", {"name": name, "arguments": arguments}, id=f"call-{number}")

    sender = threading.Thread(target=send)
    sender.start()
    took: dict[str, float] = {}
    while len(took) < len(calls):
        message = wire.read()
        if str(message.get("id")) in began:
            assert not message["result"].get("isError"), message
            took[message["id"]] = time.monotonic() - began[message["id"]]
    sender.join()
    return list(took.values())


@pytest.mark.parametrize("name", ["batch_review", "summarize_files", "explore_modules"])
def test_of_32_calls_at_once_the_last_takes_at_most_four_times_the_median(server: Wire, name: str) -> None:
    field = {"batch_review": "patterns", "summarize_files": "paths", "explore_modules": "modules"}[name]
    calls = [(name, {field: [f"part{number}"], "engine": "static"}) for number in range(32)]
    took = timed(server, calls)
    assert max(took) <= MAX_RATIO * statistics.median(took), sorted(took)


def test_of_2_000_calls_at_once_none_is_lost(server: Wire) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("summarize_files", {"paths": [f"part{number % FOLDERS}/m{number % FILES}.py"], "engine": "static"})
        for number in range(2_000)
    ]
    assert len(timed(server, calls)) == 2_000


def test_a_call_of_many_items_lets_short_ones_that_came_later_end_first() -> None:
    pool = Workers(1)
    ended: list[str] = []

    def many() -> None:
        pool.map_now(PROBE, ["nap"] * 200)
        ended.append("long")

    long = threading.Thread(target=many)
    try:
        pool.map_now(PROBE, [1])
        long.start()
        while not pool._out:
            continue
        pool.map_now(PROBE, [2])
        ended.append("short")
        long.join()
    finally:
        pool.close()
    assert ended == ["short", "long"]
