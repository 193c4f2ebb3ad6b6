"""While a tool digests a hostile file and a hostile answer, the server answers a ping at once."""

from __future__ import annotations

import signal
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.upstream import Rule, serving
from fakes.wire_client import Wire

pytestmark = pytest.mark.slow

SERVE = [sys.executable, "-P", "-m", "fanout_mcp", "serve"]
AT_ONCE_S = 0.2
FILE, ANSWER = 390_000, 3_900_000
PIECES = {
    "JWT": "-eyJ-eyJ",
    "keys": "sk-",
    "addresses": "https://a:b@c ",
    "names": "token: password=a1b2 key:",
    "braces": '{"verdict": [{"',
    "spaces": " ",
}
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("oracle_batch", {"question": "Is it wise?", "files": ["hostile.md"], "deadline_s": 20}),
    ("council", {"question": "Is it wise?", "rounds": 2, "files": ["hostile.md"], "deadline_s": 20}),
    ("batch_review", {"patterns": ["hostile.md", "hostile.py"], "max_cost_usd": 100}),
    ("summarize_files", {"paths": ["hostile.md", "hostile.py"], "max_cost_usd": 100}),
    ("explore_modules", {"modules": ["."], "max_cost_usd": 100}),
    ("agent_swarm", {"task": "Look at it.", "count": 2}),
    ("hook_report", {}),
]


@pytest.fixture(params=PIECES)
def hostile(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Wire]:
    piece = PIECES[request.param]
    (tmp_path / "hostile.md").write_text(piece * (FILE // len(piece)))
    (tmp_path / "hostile.py").write_text(f'"""{piece * (FILE // len(piece))}"""\n')
    log = tmp_path / ".claude" / "memory" / "hook_performance.jsonl"
    log.parent.mkdir(parents=True)
    log.write_text(piece * (FILE // len(piece)))
    rule = Rule(text=piece * (ANSWER // len(piece)))
    with serving() as upstream:
        upstream.rules[:] = [rule]
        env = {
            "FANOUT_BASE_URL": upstream.url,
            "FANOUT_MODEL": "maker/first",
            "FANOUT_STATE_DIR": str(tmp_path / "fanout"),
            "CLAUDE_PROJECT_DIR": str(tmp_path),
        }
        with Wire(SERVE, env, timeout=120) as wire:
            wire.call("hook_report", {})
            yield wire


@pytest.mark.parametrize(("tool", "arguments"), CALLS, ids=[tool for tool, _ in CALLS])
def test_a_ping_is_answered_at_once(hostile: Wire, tool: str, arguments: dict[str, Any]) -> None:
    hostile.call(tool, {"unknown": 1})  # the tool is loaded: what is measured is the text
    call = hostile.send("tools/call", {"name": tool, "arguments": arguments})
    waits: list[float] = []
    while not any(note.get("id") == call for note in hostile.notes):
        began = time.monotonic()
        hostile.answer(hostile.send("ping"))
        waits.append(time.monotonic() - began)
    assert max(waits) <= AT_ONCE_S, f"{max(waits):.2f} s, of {len(waits)}"


def test_the_server_ends_at_once_while_it_digests_a_hostile_answer(hostile: Wire) -> None:
    hostile.send("tools/call", {"name": CALLS[0][0], "arguments": CALLS[0][1]})
    hostile.answer(hostile.send("ping"))
    began = time.monotonic()
    hostile.process.send_signal(signal.SIGTERM)
    hostile.process.wait(timeout=10)
    assert time.monotonic() - began < 2
