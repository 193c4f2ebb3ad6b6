"""Servers that fail, in the real client: guards always deny, others lose the event under way at most."""

from __future__ import annotations

import os
import signal
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from e2e.client import Client
from e2e.hooked import SERVER, Hooked, bash, group, hostile_client, note_hook, notes, python_hook, wait_until
from fakes.model import Call, Request, Text, ToolResult, Turn, serving, turns

pytestmark = pytest.mark.e2e


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return hostile_client(tmp_path)


ROUNDS = 10
DENY = """
import sys
if "deny" in sys.stdin.read():
    sys.stderr.write("the guard says no")
    sys.exit(2)
"""
KILL = """
import json, os, pathlib, signal, sys
if "kill" in json.load(sys.stdin)["tool_input"].get("command", ""):
    (mark,) = pathlib.Path(os.environ["HOME"], ".local/state/fanout/hooks/alive").glob("server-pid-*")
    open(sys.argv[1] + ".killed", "a").write(mark.read_text())
    os.kill(int(mark.read_text()), signal.SIGKILL)
"""
LINE = [str(SERVER["command"]), *SERVER["args"]]


def guarded(client: Client, *, is_killed: bool = False) -> dict[str, list[dict[str, Any]]]:
    guard = python_hook(client, "guard", DENY, onFailure="block", timeout=20)
    kill = [python_hook(client, "kill", KILL)] if is_killed else []
    note = note_hook(client)
    return {"PreToolUse": [group(guard, *kill, note, matcher="Bash")], "Stop": [group(note)]}


def denied(results: list[ToolResult]) -> list[bool]:
    return [result.is_error and "the guard says no" in result.text for result in results]


def commands(hooked: Hooked) -> list[str]:
    return [
        record["event"]["tool_input"]["command"]
        for record in hooked.seen()
        if "tool_input" in record["event"]
    ]


@pytest.mark.parametrize("trouble", ["absent", "not approved", "broken", "still connecting"])
def test_without_a_server_that_answers_nothing_is_lost_and_nothing_runs_twice(
    client: Client, trouble: str
) -> None:
    hooked = Hooked.make(client, guarded(client), "none")
    if trouble == "not approved":
        hooked.register_server(is_approved=False)
    elif trouble == "broken":
        hooked.register_server({"command": "false"})
    elif trouble == "still connecting":
        hooked.register_server({"command": "sh", "args": ["-c", 'sleep 4; exec "$0" "$@"', *LINE]})
    hooked.adopt("--warm")
    # All in one message, so that all of them meet a server that is still connecting.
    asked = [f"echo {'deny' if number % 2 else 'plain'} {number}" for number in range(ROUNDS)]
    with serving(turns([[bash(command) for command in asked], [Text("done")]])) as model:
        client.say(model, "please do")
        results = model.last.tool_results
    assert sorted(result.text.strip() for result in results if not result.is_error) == sorted(
        command.removeprefix("echo ") for command in asked if "plain" in command
    )
    assert sum(denied(results)) == ROUNDS // 2
    assert sorted(commands(hooked)) == sorted(asked)
    assert Counter(hooked.events()) == {"PreToolUse": len(asked), "Stop": 1}


def in_rounds(hooked: Hooked, own: list[str], before: Callable[[], None] = lambda: None) -> list[list[bool]]:
    """Play rounds of: have the server started, then some commands; return what was denied in each.

    Any call of a tool makes the client start a server that has died. `before` happens before the commands.
    """
    steps = len(own) + 1

    def script(request: Request) -> Turn:
        number, step = divmod(request.turn, steps)
        if number == ROUNDS:
            return [Text("done")]
        if step == 0:
            return [Call("mcp__fanout__oracle_batch", {})]
        if step == 1:
            wait_until(lambda: mark_of(hooked) is not None)
            before()
        return [bash(f"{own[step - 1]} {number}")]

    with serving(script) as model:
        said = hooked.client.say(model, "please do")
        assert said.result == "done"
        results = denied(model.last.tool_results)
    return [results[at + 1 : at + steps] for at in range(0, steps * ROUNDS, steps)]


def mark_of(hooked: Hooked) -> int | None:
    """Return the server's process if it runs and has said so."""
    for path in (hooked.state() / "alive").glob("server-pid-*"):
        try:
            server = int(path.read_text())
            if "Z" not in Path(f"/proc/{server}/stat").read_text().rpartition(")")[2]:
                return server
        except (OSError, ValueError):
            continue
    return None


def test_a_server_killed_in_mid_event_costs_that_events_observers_at_most(client: Client) -> None:
    hooked = Hooked.make(client, guarded(client, is_killed=True))
    assert in_rounds(hooked, ["echo kill", "echo deny"]) == [[False, True]] * ROUNDS
    ran = commands(hooked)
    assert [command for command in ran if "kill" not in command] == each_round("echo deny")
    assert len(ran) == len(set(ran))
    assert len(set(notes(client).with_suffix(".jsonl.killed").read_text().split())) == ROUNDS


def test_a_server_killed_between_events_costs_nothing(client: Client) -> None:
    hooked = Hooked.make(client, guarded(client))

    def kill() -> None:
        server = mark_of(hooked)
        assert server is not None
        os.kill(server, signal.SIGKILL)
        wait_until(lambda: mark_of(hooked) is None)  # dead, and perhaps not buried yet

    assert in_rounds(hooked, ["echo deny"], kill) == [[True]] * ROUNDS
    assert commands(hooked) == each_round("echo deny")
    assert hooked.events().count("Stop") == 1


def each_round(command: str) -> list[str]:
    return [f"{command} {number}" for number in range(ROUNDS)]
