"""Single events in the real client: the first to the hundredth in a new home, and what the gate adds.

    python -m benchmarks events

Sessions natively and by fanout alternate, each in a new home. Durations are the client's telemetry. The
scripted model's first answer takes a second, as a real one's does at least; with one that answers at once,
the first events come while the server is still starting.
"""

from __future__ import annotations

import statistics
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator, Sequence
from functools import partial
from pathlib import Path

from benchmarks._hooks_launchers import NODE, UV, installs
from benchmarks.hooks import HELLO, Hook, corpus
from benchmarks.table import Row
from e2e.client import Client, find_client
from e2e.gate_talk import session
from e2e.hooked import PYTHON, Hooked
from fakes.model import Call, Request, Text, Turn, serving, turns
from fakes.telemetry import receiving
from fanout_hooks.adoption.entries import log_and_gate_entries

HOMES = 20
FIRST_S = 1.0
TO_TENTH = (1, 2, 3, 10)
GATED = ("UserPromptSubmit", "PostToolBatch")
ROUNDS = 5
PROMPTS = 10
MAX_ADDED_MS = 4.0
SETTLING = 2
"""A session's first events of the gate, in which the server starts."""
PLAIN = "import json, sys\njson.load(sys.stdin)\n"


def run() -> Iterable[Row]:
    program = find_client()
    if program is None:
        yield Row("the real client", "not installed (make client)")
        return
    with tempfile.TemporaryDirectory() as folder:
        top = Path(folder)
        few = [_written(top / f"few{number}.py", PLAIN, PYTHON) for number in range(3)]
        nodes = [
            _written(top / f"node{number}.js", NODE.replace("{0}", str(number)), "node")
            for number in range(9)
        ]
        uv = [_written(top / "one.py", UV.replace("{0}", "0"), "uv run --script")]
        measured = partial(_from_the_first, program)
        for wait_s, model in ((FIRST_S, "a model that takes a second"), (0.0, "one that answers at once")):
            python = f"21 Python hooks, {model}"
            yield from measured(top / f"python {wait_s}", python, corpus("python"), TO_TENTH, wait_s=wait_s)
            yield from measured(
                top / f"node {wait_s}", f"9 Node hooks, {model}", nodes, TO_TENTH, wait_s=wait_s
            )
        if installs(uv[0]["command"]):
            yield from measured(top / "uv", "1 `uv run --script` hook", uv, TO_TENTH, wait_s=FIRST_S)
        else:
            yield Row("events of 1 `uv run --script` hook", "not measured: uv can't install python-dotenv")
        yield from measured(top / "few", "3 Python hooks", few, (*TO_TENTH, 100), wait_s=FIRST_S)
        yield from _gate(program, top / "gate")


def _written(path: Path, source: str, program: str) -> Hook:
    path.write_text(source)
    return {"type": "command", "command": f"{program} {path}"}


def _from_the_first(
    program: str, top: Path, what: str, hooks: list[Hook], events: Sequence[int], *, wait_s: float
) -> Iterator[Row]:
    """Compare events by their number in a session, each in homes that know nothing of these hooks."""
    found: dict[str, list[list[float]]] = {"native": [], "warm": []}
    for number in range(HOMES):
        for way, sessions in found.items():
            client = Client.make(program, top / f"{way} {number}")
            hooked = Hooked.make(client, {"PreToolUse": [{"hooks": hooks}]}, way)
            sessions.append(_session(hooked.client, max(events), wait_s))
    for event in events:
        native, ours = (statistics.median(one[event - 1] for one in found[way]) for way in ("native", "warm"))
        name = f"event {event} in a new home, {what}, median of {HOMES}"
        figure, bound = f"{ours:.0f} ms, {ours / native:.2f} of native", f"native {native:.0f} ms"
        yield Row(name, figure, bound, "<= 1.1 or 15 ms", ours <= max(1.1 * native, native + 15))


def _session(client: Client, calls: int, wait_s: float) -> list[float]:
    """Return the durations of PreToolUse in a session of so many tool calls."""
    script = turns(
        [
            *([Call("Bash", {"command": f"true {number}", "description": "x"})] for number in range(calls)),
            [Text("done")],
        ]
    )

    def answer(request: Request) -> Turn:
        if not request.turn and request.tools:
            time.sleep(wait_s)
        return script(request)

    with serving(answer) as model, receiving() as told:
        assert client.say(model, "please", env=told.env).result == "done"
        return told.durations("PreToolUse")


def _gate(program: str, top: Path) -> Iterator[Row]:
    """Compare what the gate's entries take with a bare mcp_tool hook of a server that does nothing."""
    hello = Hooked.make(
        Client.make(program, top / "bare"),
        {
            event: [{"hooks": [{"type": "mcp_tool", "server": "fanout", "tool": "hook", "input": {}}]}]
            for event in GATED
        },
        "native",
    )
    script = top / "hello.py"
    script.write_text(HELLO)
    hello.register_server({"command": sys.executable, "args": [str(script)]})
    gated = Hooked(Client.make(program, top / "gated"), "warm")
    gated.client.settings({"hooks": log_and_gate_entries(with_log=False)}, "user")
    gated.register_server()
    found: dict[str, dict[str, list[float]]] = {
        way: {event: [] for event in GATED} for way in ("bare", "gate")
    }
    for _ in range(ROUNDS):
        for way, hooked in (("bare", hello), ("gate", gated)):
            for event, took in _prompts(hooked.client).items():
                found[way][event] += took[SETTLING:]
    for event in GATED:
        bare, ours = (statistics.median(found[way][event]) for way in ("bare", "gate"))
        figure = f"{ours:.1f} ms, {ours - bare:.1f} over"
        good = ours - bare <= MAX_ADDED_MS
        yield Row(
            f"gate on, {event}", figure, f"bare mcp_tool {bare:.1f} ms", f"<= {MAX_ADDED_MS:.0f} over", good
        )


def _prompts(client: Client) -> dict[str, list[float]]:
    """Return the durations of the gate's events in a session of some prompts, one tool call each."""
    script = [
        turn
        for number in range(PROMPTS)
        for turn in ([Call("Bash", {"command": f"true {number}", "description": "x"})], [Text("done")])
    ]
    with serving(turns(script)) as model, receiving() as told:
        client.env |= told.env
        with session(client, model) as said:
            for number in range(PROMPTS):
                said.say(f"please {number}")
        return {event: told.durations(event) for event in GATED}
