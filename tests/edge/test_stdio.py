"""What a client should never send: refused or ignored, never fatal, and the next call is answered."""

from __future__ import annotations

import json
import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.wire_client import META, Wire, hostile

pytestmark = pytest.mark.slow

ECHO = {"name": "echo", "arguments": {}, "_meta": META}


@pytest.fixture(scope="module")
def server() -> Iterator[Wire]:
    with hostile() as wire:
        assert wire.is_well()
        yield wire


@pytest.mark.parametrize(
    "line",
    [
        pytest.param(b"{", id="no JSON"),
        pytest.param(b"", id="blank"),
        pytest.param(b"   \t ", id="spaces"),
        pytest.param(b"\xef\xbb\xbf", id="a byte order mark alone"),
        pytest.param(b"\xff\xfe\x00garbage", id="invalid UTF-8"),
        pytest.param(b"[" * 200_000, id="200,000 brackets"),
        pytest.param(b'{"a":' * 200_000, id="200,000 braces"),
        pytest.param(b'{"jsonrpc":"2.0","id":' + b"9" * 5_000 + b"}", id="a number of 5,000 digits"),
        pytest.param(b'{"jsonrpc":"2.0","method":"notifications/cancelled"}', id="cancel without params"),
        pytest.param(
            b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":{"a":1}}}',
            id="cancel of no id",
        ),
        pytest.param(
            b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":"gone"}}',
            id="cancel of an unknown id",
        ),
        pytest.param(b'{"jsonrpc":"2.0","id":1,"result":{}}', id="an answer nobody asked for"),
        pytest.param(
            b'{"jsonrpc":"2.0","id":"x","error":{"code":1,"message":"m"}}', id="an error nobody asked for"
        ),
        pytest.param(b'"text"', id="a JSON text"),
        pytest.param(b"null", id="null"),
    ],
)
def test_noise_is_ignored(server: Wire, line: bytes) -> None:
    server.write(line + b"\n")
    assert server.is_well()


@pytest.mark.parametrize(
    ("fields", "answered", "code"),
    [
        pytest.param({"id": None}, None, -32600, id="id null"),
        pytest.param({"id": 1.5}, None, -32600, id="id 1.5"),
        pytest.param({"id": True}, None, -32600, id="id true"),
        pytest.param({"id": {"a": 1}}, None, -32600, id="id an object"),
        pytest.param({"id": "p1", "params": [1]}, "p1", -32602, id="params a list"),
        pytest.param({"id": "p2", "params": "x"}, "p2", -32602, id="params a text"),
        pytest.param({"id": "v", "jsonrpc": "1.0"}, "v", -32600, id="JSON-RPC 1.0"),
        pytest.param({"id": "m", "method": "tools/cull"}, "m", -32601, id="an unknown method"),
        pytest.param({"id": "n", "params": {"_meta": META}}, "n", -32602, id="a call without a name"),
    ],
)
def test_a_request_that_is_wrong_is_answered(
    server: Wire, fields: dict[str, Any], answered: str | None, code: int
) -> None:
    request = {"jsonrpc": "2.0", "method": "tools/call", "params": ECHO, **fields}
    server.write(json.dumps(request).encode() + b"\n")
    answer = server.answer(answered)
    assert answer["error"]["code"] == code
    assert server.is_well()


def test_a_batch_is_refused(server: Wire) -> None:
    server.write(
        json.dumps([{"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ECHO}]).encode() + b"\n"
    )
    assert "one message a line" in server.answer(None)["error"]["message"]


@pytest.mark.parametrize("number", ["x" * 1_000_000, 10**29, "\u00e9\u2028", -1])
def test_a_legal_id_comes_back(server: Wire, number: Any) -> None:
    server.write(
        json.dumps({"jsonrpc": "2.0", "id": number, "method": "tools/call", "params": ECHO}).encode() + b"\n"
    )
    assert "result" in server.answer(number) or number == 10**29


def test_a_line_may_end_as_windows_ends_it_and_begin_with_a_byte_order_mark(server: Wire) -> None:
    request = {"jsonrpc": "2.0", "id": "crlf", "method": "tools/call", "params": ECHO}
    server.write(b"\xef\xbb\xbf" + json.dumps(request).encode() + b"\r\n")
    assert "result" in server.answer("crlf")


def test_a_lone_surrogate_in_an_argument_is_replaced_not_dropped(server: Wire) -> None:
    params = {**ECHO, "arguments": {"question": "a\ud83d"}}
    line = json.dumps({"jsonrpc": "2.0", "id": "lone", "method": "tools/call", "params": params})
    server.write(line.encode() + b"\n")
    assert server.answer("lone")["result"]["structuredContent"]["question"] == "a\ufffd"


def test_a_line_over_the_limit_is_thrown_away_as_it_comes(server: Wire) -> None:
    before = _resident_kb(server)
    for _ in range(3):
        for _piece in range(64):
            server.write(b"x" * 1_048_576)
        server.write(b"\n")
    assert "at most 16,777,216 bytes" in server.answer(None)["error"]["message"]
    assert server.is_well()
    assert _resident_kb(server) - before < 80_000


def test_two_thousand_calls_are_all_answered(server: Wire) -> None:
    for start in range(0, 2_000, 100):  # in turns: this client doesn't read while it writes
        waiting = {f"many-{number}" for number in range(start, start + 100)}
        for number in sorted(waiting):
            server.send("tools/call", {"name": "echo", "arguments": {}}, id=number)
        while waiting:
            message = server.read()
            assert message["result"]["isError"] is False
            waiting.remove(message["id"])


def test_a_duplicate_id_in_flight_is_no_mix_up(server: Wire) -> None:
    for question in ("one", "two"):
        server.send("tools/call", {"name": "echo", "arguments": {"question": question}}, id="twin")
    answers = [server.answer("twin"), server.answer("twin")]
    questions = [a["result"]["structuredContent"]["question"] for a in answers if "result" in a]
    assert set(questions) <= {"one", "two"}
    assert len(questions) == len(set(questions))
    assert server.is_well()


@pytest.mark.parametrize("seed", range(3))
def test_random_noise_never_takes_it_down(server: Wire, seed: int) -> None:
    chance = random.Random(seed)
    whole = json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": ECHO}).encode()
    for _ in range(300):
        line = bytearray(whole)
        for _flip in range(chance.randrange(1, 9)):
            line[chance.randrange(len(line))] = chance.randrange(256)
        server.write(bytes(line[: chance.randrange(1, len(line) + 1)]).replace(b"\n", b" ") + b"\n")
        if chance.random() < 0.1:
            assert server.is_well()
    assert server.is_well()


def _resident_kb(wire: Wire) -> int:
    status = Path(f"/proc/{wire.process.pid}/status").read_text()
    return int(next(line.split()[1] for line in status.splitlines() if line.startswith("VmRSS")))
