"""The first answers are the server's own, and the server takes over at any moment without a difference."""

from __future__ import annotations

import json
import os
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import anyio
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from mcp_types.version import HANDSHAKE_PROTOCOL_VERSIONS, MODERN_PROTOCOL_VERSIONS

from fakes.wire_client import META, Wire
from fanout_hooks.client import hook_input
from fanout_hooks.client.home import state_folder
from fanout_hooks.run import claims
from fanout_mcp.edge.first import (
    ENVELOPE,
    LEGACY,
    MAX_HELD,
    MODERN,
    REPLAYED,
    First,
    Waiting,
    passed_on,
    taken_over,
)
from fanout_mcp.edge.loading import is_run_elsewhere
from fanout_mcp.edge.server import build
from fanout_mcp.edge.stdio import pipes

CLIENT = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}
INITIALIZED = {"jsonrpc": "2.0", "method": "notifications/initialized"}

Message = dict[str, Any]


def request(method: str, params: Any = None) -> Message:
    return {"jsonrpc": "2.0", "method": method, **({} if params is None else {"params": params})}


HELLO = request("initialize", CLIENT)
DISCOVER = request("server/discover", {"_meta": META})
UNKNOWN_TOOL = {"name": "nothing", "arguments": {}}

LATER = {
    "the list": request("tools/list"),
    "the list, no parameters": request("tools/list", {}),
    "the list, with a token": request("tools/list", {"_meta": {"progressToken": 1}}),
    "the list, a cursor": request("tools/list", {"cursor": "x"}),
    "the list, a list": request("tools/list", []),
    "the modern list": request("tools/list", {"_meta": META}),
    "the list of another version": request(
        "tools/list", {"_meta": {**META, ENVELOPE + "protocolVersion": "2031-01-01"}}
    ),
    "the list, half an envelope": request("tools/list", {"_meta": {ENVELOPE + "protocolVersion": MODERN}}),
    "discovery": DISCOVER,
    "discovery without parameters": request("server/discover"),
    "discovery by no one": request("server/discover", {"_meta": {**META, ENVELOPE + "clientInfo": 5}}),
    "a ping": request("ping"),
    "a modern ping": request("ping", {"_meta": META}),
    "a call": request("tools/call", UNKNOWN_TOOL),
    "a modern call": request("tools/call", {**UNKNOWN_TOOL, "_meta": META}),
    "an unknown method": request("prompts/list"),
    "another handshake": HELLO,
    "a handshake of a version that is not": request(
        "initialize", {**CLIENT, "protocolVersion": "1999-01-01"}
    ),
    "a handshake by no one": request("initialize", {"protocolVersion": "2025-06-18"}),
    "no protocol": {"method": "tools/list"},
}


class Heard(First):
    """Keeps what it would write to the client."""

    def __init__(self) -> None:
        super().__init__()
        self.answers: list[Message] = []

    def write(self, message: Message) -> None:
        self.answers.append(json.loads(json.dumps(message)))


def numbered(messages: Sequence[Message]) -> list[bytes]:
    return [
        json.dumps(
            message if "id" in message or message == INITIALIZED else {**message, "id": number}
        ).encode()
        for number, message in enumerate(messages)
    ]


async def from_server(data: bytes, wanted: set[int]) -> dict[Any, Message]:
    """Return what the server alone answers to these lines, by id."""
    found: dict[Any, Message] = {}
    (server_reads, to_server), (from_server, server_writes) = os.pipe(), os.pipe()
    os.write(to_server, b"\n")
    server = build()

    async def run() -> None:
        async with pipes(server_reads, server_writes, lambda: None, data) as (read, write):
            await server.run(read, write, server.create_initialization_options())

    with anyio.fail_after(30), os.fdopen(from_server, "rb") as answers:
        async with anyio.create_task_group() as tasks:
            tasks.start_soon(run)
            while wanted - set(found):
                line = await anyio.to_thread.run_sync(answers.readline)
                message = json.loads(line)
                found[message.get("id")] = message
            tasks.cancel_scope.cancel()
    os.close(to_server)
    return found


def answers_of(messages: Sequence[Message], *, held_by: int) -> dict[Any, Message]:
    """Return all answers when the server takes over after `held_by` messages."""
    first, lines = Heard(), numbered(messages)
    for line in lines[:held_by]:
        first.on_line(line)
    given = {one["id"]: one for one in first.answers}
    assert len(given) == len(first.answers)
    data = first.rest() + b"".join(line + b"\n" for line in lines[held_by:])
    wanted = {number for number, one in enumerate(messages) if one != INITIALIZED} - set(given)
    later = anyio.run(from_server, data, wanted) if wanted else {}
    assert not set(later) & set(given)
    assert not {*REPLAYED} & set(later)
    return {**given, **later}


BEGINNINGS = {"older": [HELLO, INITIALIZED], "modern": [DISCOVER], "none": []}


@pytest.mark.parametrize("later", LATER)
@pytest.mark.parametrize("beginning", BEGINNINGS)
def test_an_answer_is_the_one_that_the_server_gives(beginning: str, later: str) -> None:
    messages = [*BEGINNINGS[beginning], LATER[later]]
    assert answers_of(messages, held_by=len(messages)) == answers_of(messages, held_by=0)


@settings(max_examples=40, deadline=None)
@given(
    st.sampled_from(sorted(BEGINNINGS)),
    st.lists(st.sampled_from(sorted(LATER)), max_size=6),
    st.integers(0, 9),
)
def test_the_server_takes_over_after_any_message(beginning: str, later: list[str], held_by: int) -> None:
    messages = [*BEGINNINGS[beginning], *(LATER[one] for one in later)]
    assert answers_of(messages, held_by=held_by) == answers_of(messages, held_by=0)


@pytest.mark.parametrize("version", [*HANDSHAKE_PROTOCOL_VERSIONS, *MODERN_PROTOCOL_VERSIONS, "soon"])
def test_every_version_of_the_protocol_is_agreed_as_the_server_does(version: str) -> None:
    messages = [request("initialize", {**CLIENT, "protocolVersion": version})]
    assert answers_of(messages, held_by=1) == answers_of(messages, held_by=0)


def test_the_versions_are_those_of_the_sdk() -> None:
    assert {*LEGACY} == {*HANDSHAKE_PROTOCOL_VERSIONS}
    assert tuple(MODERN_PROTOCOL_VERSIONS) == (MODERN,)


@pytest.mark.parametrize("size", [0, 1, 4096, 4097, 3 * MAX_HELD], ids=str)
def test_what_was_read_reaches_the_process_that_takes_over(size: int) -> None:
    data = os.urandom(size)
    assert taken_over(int(passed_on(data)[1])) == data


def test_both_first_questions_are_answered_without_any_import_beyond_the_standard_library() -> None:
    code = (
        "import sys, runpy; sys.argv[1:] = ['serve']\n"
        "from fanout_mcp.edge import first\n"
        "serve = first.First.serve\n"
        "def spy(self, *_):\n"
        "    rest = serve(self, lambda _: True)\n"
        "    print('\\n'.join(sys.modules), file=sys.stderr)\n"
        "    sys.exit(0)\n"
        "first.First.serve = spy\n"
        "runpy.run_module('fanout_mcp', run_name='__main__')\n"
    )
    with Wire([sys.executable, "-I", "-c", code]) as wire:
        listed = wire.ask("tools/list")["result"]["tools"]
        assert "oracle_batch" in [tool["name"] for tool in listed]
        wire.process.wait(20)
        assert wire.process.stderr is not None
        loaded = wire.process.stderr.read().decode().split()
    assert {one for one in loaded if one.startswith("fanout")} == {
        "fanout_mcp",
        "fanout_mcp.edge",
        "fanout_mcp.edge.first",
        "fanout_mcp.edge.loading",
    }
    assert not {"asyncio", "argparse", "logging", "pathlib", "dataclasses", "subprocess", "mcp"} & {*loaded}


def serve() -> Wire:
    return Wire([sys.executable, "-I", "-m", "fanout_mcp", "serve"])


def test_a_call_in_the_same_breath_as_the_handshake_is_answered() -> None:
    lines = numbered([HELLO, INITIALIZED, request("tools/list"), request("tools/call", UNKNOWN_TOOL)])
    with serve() as wire:
        wire.write(b"\n".join(lines) + b"\n")
        assert wire.answer(0)["result"]["serverInfo"]["name"] == "fanout"
        assert wire.answer(2)["result"]["tools"]
        assert "There is no tool of that name" in str(wire.answer(3)["result"])
        assert wire.notes == []


NEW_LINE = b"\n"
EVENT = {
    "fanout_scopes": "local",
    "hook_event_name": "UserPromptSubmit",
    "session_id": "s",
    "prompt_id": "p",
    "prompt": "look",
}


@pytest.mark.parametrize("way", ["from the start", "taken over"])
def test_an_event_whose_hooks_another_process_runs_does_not_wait_for_the_server_to_load(
    tmp_path: Path, way: str
) -> None:
    begun = way == "taken over"
    where = claims.folder(state_folder({"FANOUT_STATE_DIR": str(tmp_path)}))
    assert claims.claim(where, hook_input.claim_name(hook_input.from_input(EVENT), "local"), "cold")
    lines = numbered(
        [
            HELLO,
            INITIALIZED,
            request("tools/list"),
            request("tools/call", UNKNOWN_TOOL),  # only the server can answer this one
            request("tools/call", {"name": "run_hooks", "arguments": EVENT}),
        ]
    )
    answered = [json.dumps({**HELLO, "id": REPLAYED[0]}).encode(), lines[1]] if begun else []
    code = (
        "import os, sys; from fanout_mcp.edge.first import passed_on\n"
        f"words = passed_on({b''.join(line + NEW_LINE for line in answered)!r}) if {begun} else []\n"
        "os.execv(sys.executable, [sys.executable, '-I', '-m', 'fanout_mcp', 'serve', *words])\n"
    )
    with Wire([sys.executable, "-I", "-c", code], {"FANOUT_STATE_DIR": str(tmp_path)}) as wire:
        wire.write(b"".join(line + NEW_LINE for line in lines[2 if begun else 0 :]))
        assert wire.answer(4)["result"]["content"][0]["text"] == "{}"
        assert {note["id"] for note in wire.notes} == ({2} if begun else {0, 2}), "not 3: it isn't loaded"
        assert "There is no tool of that name" in str(wire.answer(3)["result"])


def test_the_server_reads_that_the_client_has_its_tools_and_answers_it_nothing() -> None:
    first = Heard()
    for line in numbered([HELLO, INITIALIZED, request("tools/list"), request("tools/list")]):
        first.on_line(line)
    again = [json.loads(line) for line in first.rest().splitlines()]
    assert [one.get("id") for one in again] == [REPLAYED[0], None, REPLAYED[1]]
    assert (again[2]["method"], len(first.answers)) == ("tools/list", 3)
    later = Heard()
    later.take(first.rest())
    assert (later.is_listed, later.answers) == (True, [])


def test_an_event_that_no_one_has_claimed_or_one_before_in_the_same_words_waits_for_the_server(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("FANOUT_STATE_DIR", str(tmp_path))
    call = Waiting(b"", "tools/call", 1, {"name": "run_hooks", "arguments": EVENT}, time.monotonic())
    assert not is_run_elsewhere(call)
    where = claims.folder(state_folder({"FANOUT_STATE_DIR": str(tmp_path)}))
    name = hook_input.claim_name(hook_input.from_input(EVENT), "local")
    assert claims.claim(where, name, "cold")
    path = Path(where) / f"event-{name}"
    os.utime(path, (time.time() - 60,) * 2)
    assert not is_run_elsewhere(call)
    os.utime(path)
    assert is_run_elsewhere(call)
    assert f"server {os.getpid()}  " in path.read_text().splitlines(), "that we came is kept"


def test_a_line_that_comes_in_halves_around_the_takeover_is_whole() -> None:
    with serve() as wire:
        assert wire.ask("tools/list")["result"]["tools"]
        call = json.dumps({**request("tools/call", {**UNKNOWN_TOOL, "_meta": META}), "id": "half"}).encode()
        wire.write(call[:20])
        wire.write(call[20:] + b"\n")
        assert "There is no tool of that name" in str(wire.answer("half")["result"])


def test_a_line_longer_than_what_is_held_goes_to_the_server() -> None:
    arguments = {"question": "x" * (2 * MAX_HELD), "dry_run": True}
    with serve() as wire:
        result = wire.call("oracle_batch", arguments)
        assert "question has 2,097,152 characters" in result["content"][0]["text"]


def test_it_ends_with_a_client_that_closes_its_end() -> None:
    with serve() as wire:
        wire.ask("tools/list")
        assert wire.process.stdin is not None
        wire.process.stdin.close()
        assert wire.process.wait(20) == 0
