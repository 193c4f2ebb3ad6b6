"""A consultation on the `claude` backend beside the same number of bare `claude -p`, the real client in both.

    python -m benchmarks claude

The model behind it is scripted and answers after 1 s; what is measured is starting, waiting and ending the
processes. Bare means: all at once, the same arguments, nothing around them. Cold: each turn asks another
model, so that no process waits for it. Warm: the same panel again, where at most four processes wait; the
bound is the model's own second.
"""

from __future__ import annotations

import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterator, Mapping
from itertools import cycle
from pathlib import Path

import anyio
from mcp import Client as McpClient

from benchmarks._stage import in_turn, server, stream
from benchmarks.table import Row
from e2e.client import Client, find_client
from fakes.model import Call, Model, Request, Text, Turn, serving
from fanout_mcp.backends.clients import Call as ClientCall
from fanout_mcp.backends.clients import claude_arguments
from fanout_mcp.panel.answer import SCHEMA
from fanout_mcp.types import Job, Prompt

ANSWER_S = 1.0
PAUSE_S = 0.5
"""Before a second question: whoever asks it has read the first answer. Meanwhile the processes forget."""
TIMES = 3
MODELS = ("sonnet", "opus", "claude-sonnet-5-5", "claude-opus-5-5")
PANELS = {3: "quick", 8: "all"}
POSITION = {
    "verdict": "PROCEED",
    "confidence": 80,
    "summary": "It holds.",
    "reasons": ["It was asked."],
    "blocker": None,
    "smallest_change": None,
}


ROUNDS = 3
WRITER = "You report what a panel"
SYNTHESIS = {"agreement": "All.", "dissent": "", "changed": "", "would_change": "A measurement."}


def script(request: Request) -> Turn:
    """Answer after a second; members of a council change their verdict in round 2, so round 3 is held."""
    if request.turn:
        return [Text("done")]
    time.sleep(ANSWER_S)
    if WRITER in request.system:
        return [Call("StructuredOutput", SYNTHESIS)]
    is_split = "Round 2 of a discussion" in request.opening or "haiku" in str(request.body.get("model"))
    return [Call("StructuredOutput", {**POSITION, "verdict": "SIMPLIFY" if is_split else "PROCEED"})]


async def rows(program: str) -> AsyncIterator[Row]:
    with tempfile.TemporaryDirectory(prefix="fanout-bench-") as name, serving(script) as model:
        client = Client.make(program, Path(name))
        config = client.home / ".config" / "fanout" / "config.toml"
        config.parent.mkdir(parents=True)
        config.write_text("claude_api_key = true\n")  # the scripted model knows no login
        env = environment(client, model, Path(program).parent)
        empty = Path(name) / "empty"
        empty.mkdir()
        async with server(**env) as mcp:
            for count, preset in PANELS.items():
                others = cycle(MODELS)
                bound, cold = await in_turn(
                    TIMES,
                    [
                        lambda n=count: bare(program, n, env, empty),  # type: ignore[misc]
                        lambda p=preset, n=count, m=others: ask(mcp, p, n, next(m)),  # type: ignore[misc]
                    ],
                )
                _, warm = await in_turn(
                    TIMES,
                    [lambda: anyio.sleep(PAUSE_S), lambda p=preset, n=count: ask(mcp, p, n, "sonnet")],  # type: ignore[misc]
                )
                yield Row(
                    f"claude backend, {count} members, cold",
                    f"{cold:.2f} s",
                    f"{bound:.2f} s (bare claude -p)",
                    "<= 1.1 x the bound",
                    cold <= 1.1 * bound,
                )
                yield Row(
                    f"claude backend, {count} members, the second question",
                    f"{warm:.2f} s",
                    f"{ANSWER_S:.2f} s (the model's own time)",
                    "<= 1.1 x the bound",
                    warm <= 1.1 * ANSWER_S,
                )
            yield await council(mcp, program, env, empty)


async def council(mcp: McpClient, program: str, env: Mapping[str, str], folder: Path) -> Row:
    """Hold three rounds; the bound's legs are bare processes: as many as members, and one that writes."""
    panel, one, ours = await in_turn(
        TIMES,
        [lambda: bare(program, 3, env, folder), lambda: bare(program, 1, env, folder), lambda: hold(mcp)],
    )
    bound = panel + one + (ROUNDS - 1) * max(panel, one)
    return Row(
        f"council of {ROUNDS} rounds, 3 members",
        f"{ours:.2f} s",
        f"{bound:.2f} s (from bare claude -p)",
        "<= 1.2 x the bound",
        ours <= 1.2 * bound,
    )


async def hold(mcp: McpClient) -> None:
    models = ["sonnet", "sonnet", "haiku"]
    asked = {"question": "Is it?", "models": models, "rounds": ROUNDS, "quorum": 3, "deadline_s": 300}
    result = await mcp.call_tool("council", asked)
    data = result.structured_content or {}
    if len(data.get("rounds", ())) != ROUNDS:
        raise RuntimeError(f"the council ended early: {data or result.content}")


def environment(client: Client, model: Model, folder: Path) -> dict[str, str]:
    path = f"{folder}{os.pathsep}{os.environ.get('PATH', '')}"
    return {**client.environment(model), "PATH": path, "FANOUT_BACKEND": "claude"}


async def ask(mcp: McpClient, preset: str, count: int, model: str) -> None:
    """Ask so that no one is cut: bare processes all answer too."""
    asked = {"question": "Is it?", "preset": preset, "models": [model], "quorum": count, "deadline_s": 120}
    result = await mcp.call_tool("oracle_batch", asked)
    data = result.structured_content or {}
    if data.get("decision") != "PROCEED" or len(data["votes"]) != count:
        raise RuntimeError(f"the panel did not answer: {data or result.content}")


async def bare(program: str, count: int, env: Mapping[str, str], folder: Path) -> None:
    """The same processes, started all at once."""
    job = Job("judge", Prompt("You judge.", "Is it?"), schema=SCHEMA)
    command = [program, *claude_arguments(ClientCall(job, "sonnet", "", "", ""))]
    quiet = {**env, "FANOUT_CHILD": "1", "CLAUDE_CODE_MAX_RETRIES": "1"}

    async def one() -> None:
        await anyio.run_process(command, input=b"Is it?", env=quiet, cwd=folder)

    async with anyio.create_task_group() as tasks:
        for _ in range(count):
            tasks.start_soon(one)


def run() -> Iterator[Row]:
    program = find_client()
    if program is None:
        yield Row("claude backend", "not measured: `make e2e` installs the client")
    else:
        yield from stream(lambda: rows(program))
