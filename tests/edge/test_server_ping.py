"""While a tool digests a hostile file and a hostile answer, the server answers a ping at once."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from operator import itemgetter
from pathlib import Path
from typing import Any
from urllib.request import Request, urlopen

import pytest

from fakes import upstream
from fakes.load import stretched
from fakes.wire_client import Wire

pytestmark = pytest.mark.slow

SERVE = [sys.executable, "-P", "-m", "fanout_mcp", "serve"]
AT_ONCE_S = 0.2
"""By the clock, without the time for which the machine had no processor for the server or for this test."""
PROC = Path("/proc/self/schedstat")
MAX_ATTEMPTS = 3
FILE, ATTACHED, ANSWER, LINE = 390_000, 190_000, 3_900_000, 9_000
PIECES = {
    "JWT": "-eyJ-eyJ",
    "keys": "sk-",
    "addresses": "https://a:b@c ",
    "names": "token: password=a1b2 key:",
    "braces": '{"verdict": [{"',
    "spaces": " ",
    "thinking": "<think></think>",
    "answers": '{"findings": [], "verdict": "STOP", "purpose": "", "ideas": ["a"], "statements": []}',
    "quotes": "{'a': \"b\", ",
    "not ASCII": "é\u0416\u4e2d ",
}
CALLS: list[tuple[str, dict[str, Any]]] = [
    (
        "oracle_batch",
        {"question": "Is it wise?", "files": ["attached.md"], "deadline_s": 20, "max_cost_usd": 100},
    ),
    (
        "council",
        {
            "question": "Is it wise?",
            "rounds": 2,
            "files": ["attached.md"],
            "deadline_s": 20,
            "max_cost_usd": 100,
        },
    ),
    ("batch_review", {"patterns": ["hostile.md", "hostile.py"], "max_cost_usd": 100}),
    ("summarize_files", {"paths": ["hostile.md", "hostile.py"], "max_cost_usd": 100}),
    ("explore_modules", {"modules": ["part"], "max_cost_usd": 100}),
    ("agent_swarm", {"task": "Look at it.", "count": 2}),
    ("hook_report", {}),
]


@contextmanager
def answering(text: str) -> Iterator[str]:
    """Serve from another process: sending 4 MB would hold up the clock of this one."""
    with subprocess.Popen(
        [sys.executable, upstream.__file__, "--port", "0"], stdout=subprocess.PIPE
    ) as process:
        assert process.stdout is not None
        url = f"http://127.0.0.1:{json.loads(process.stdout.readline())['port']}"
        data = json.dumps([{"text": text}]).encode()
        urlopen(Request(f"{url}/_rules", data=data, method="POST")).read()
        try:
            yield f"{url}/v1"
        finally:
            process.kill()


@contextmanager
def beside(piece: str, tmp_path: Path) -> Iterator[Wire]:
    """Serve a project whose files, and a provider whose answers, are made of a hostile text."""
    tmp_path.mkdir()
    lines = f"{piece * (LINE // len(piece.encode()))}\n" * (FILE // LINE)
    (tmp_path / "pyproject.toml").write_text("")
    (tmp_path / "hostile.md").write_text(piece * (FILE // len(piece.encode())))
    (tmp_path / "attached.md").write_text(lines[:ATTACHED])
    (tmp_path / "hostile.py").write_text(f'"""{lines}"""\n')
    part = tmp_path / "part"
    part.mkdir()
    (part / "hostile.py").write_text(f'"""{lines}"""\n\n\ndef run():\n    """{lines[:ATTACHED]}"""\n')
    (part / "README.md").write_text(lines)
    log = tmp_path / ".claude" / "memory" / "hook_performance.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text(lines)
    with answering(piece * (ANSWER // (len(json.dumps(piece)) - 2))) as url:
        env = {
            "FANOUT_BASE_URL": url,
            "FANOUT_MODEL": "maker/first",
            "FANOUT_STATE_DIR": str(tmp_path / "fanout"),
            "CLAUDE_PROJECT_DIR": str(tmp_path),
        }
        with Wire(SERVE, env, timeout=120) as wire:
            wire.call("hook_report", {})
            yield wire


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
@pytest.mark.parametrize(("tool", "arguments"), CALLS, ids=[tool for tool, _ in CALLS])
def test_a_ping_is_answered_at_once(piece: str, tool: str, arguments: dict[str, Any], tmp_path: Path) -> None:
    # What a text costs it costs each time, in a new project with nothing kept; a machine is late by chance.
    for attempt in range(MAX_ATTEMPTS):
        with beside(piece, tmp_path / str(attempt)) as server:
            took = pings(server, tool, arguments)
        worst = [max(column) for column in zip(*took, strict=True)]
        if max(worst[:2]) <= AT_ONCE_S:
            return
    pytest.fail(f"{sorted(took)[-3:]}, {sorted(took, key=itemgetter(1))[-3:]}")


def pings(server: Wire, tool: str, arguments: dict[str, Any]) -> list[tuple[float, float, float]]:
    """Ping while a tool works; return the clock without waits for a processor, processor time, the clock."""
    server.call(tool, {"unknown": 1})  # the tool is loaded: what is measured is the text
    call = server.send("tools/call", {"name": tool, "arguments": arguments})
    took: list[tuple[float, float, float]] = []
    while not any(note.get("id") == call for note in server.notes):
        used, before = processor_s(server), queued_ns(server)
        began = time.monotonic()
        server.answer(server.send("ping"))
        clock = time.monotonic() - began
        queued = sum(now - before.get(task, 0) for task, now in queued_ns(server).items()) / 1e9
        took.append((clock - queued, processor_s(server) - used, clock))
    return took


def processor_s(server: Wire) -> float:
    """Return the seconds of processor time of a process, all threads; the clock, where there is no /proc."""
    if not PROC.exists():
        return time.monotonic()
    fields = Path(f"/proc/{server.process.pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")


def queued_ns(server: Wire) -> dict[Path, int]:
    """Return for how long each thread of the server and of this test was ready and had no processor, so far.

    On two cores with fourteen that want them a thread that is ready waits 0.2 s: that is what made the clock
    bad, never the server. A loop that computes is not in this queue, nor is one that waits for anything else.
    """
    found: dict[Path, int] = {}
    for pid in (str(server.process.pid), "self") if PROC.exists() else ():
        for task in Path(f"/proc/{pid}/task").iterdir():
            with suppress(OSError):  # the thread has ended
                found[task] = int((task / "schedstat").read_text().split()[1])
    return found


@pytest.mark.parametrize("piece", PIECES.values(), ids=PIECES)
def test_the_server_ends_at_once_while_it_digests_a_hostile_answer(piece: str, tmp_path: Path) -> None:
    with beside(piece, tmp_path / "project") as hostile:
        hostile.send("tools/call", {"name": CALLS[0][0], "arguments": CALLS[0][1]})
        hostile.answer(hostile.send("ping"))
        began = time.monotonic()
        hostile.process.send_signal(signal.SIGTERM)
        hostile.process.wait(timeout=60)
        assert time.monotonic() - began < stretched(2)
