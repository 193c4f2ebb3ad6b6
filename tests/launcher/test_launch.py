"""The launcher as a client sees it: real processes, a fake `uv`, and the real server at the end."""

from __future__ import annotations

import dataclasses
import json
import shutil
import signal
import subprocess
from collections.abc import Iterator
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest

from fakes.checkout import Checkout
from fakes.few import few
from fakes.wire_client import Wire
from fanout_mcp.edge.first import First
from launcher.environment import Environment, SetUp

QUESTION = {"question": "may we?", "dry_run": True}
LEGACY = {
    "protocolVersion": "2025-06-18",
    "capabilities": {},
    "clientInfo": {"name": "test", "version": "1"},
}


@pytest.fixture
def checkout(tmp_path: Path) -> Iterator[Checkout]:
    checkout = Checkout.make(tmp_path)
    yield checkout
    checkout.close()


def say(wire: Wire, method: str, params: dict[str, Any], number: int | None = None) -> None:
    """Send a message of the older protocol: nothing in `_meta` but what is given."""
    message = {"jsonrpc": "2.0", "method": method, "params": params}
    wire.write(json.dumps(message | ({} if number is None else {"id": number})).encode() + b"\n")


def start_call(wire: Wire, **fields: Any) -> Any:
    return wire.send("tools/call", {"name": "oracle_batch", "arguments": QUESTION}, **fields)


def decision(answer: dict[str, Any]) -> str:
    told: str = answer["result"]["structuredContent"]["decision"]
    return told


@pytest.mark.parametrize("as_plugin", few([True, False], True), ids=["as a plugin", "in a clone"])
def test_the_handshake_is_answered_while_the_environment_is_made(
    checkout: Checkout, *, as_plugin: bool
) -> None:
    with checkout.start(as_plugin=as_plugin) as wire:
        found = wire.ask("server/discover")["result"]
        listed = wire.ask("tools/list")["result"]["tools"]
        assert found["supportedVersions"] == ["2026-07-28"]
        assert "oracle_batch" in found["instructions"]
        assert "oracle_batch" in [tool["name"] for tool in listed]
        call = start_call(wire)
        checkout.finish_install()
        assert decision(wire.answer(call)) == "NOT_ASKED"


@pytest.mark.slow
def test_the_older_handshake_is_repeated_to_the_real_server(checkout: Checkout) -> None:
    with checkout.start() as wire:
        say(wire, "initialize", LEGACY, 0)
        answer = wire.answer(0)["result"]
        assert answer["protocolVersion"] == "2025-06-18"
        assert answer["serverInfo"]["name"] == "fanout"
        say(wire, "notifications/initialized", {})
        say(wire, "tools/call", {"name": "oracle_batch", "arguments": QUESTION}, 1)
        checkout.finish_install()
        assert decision(wire.answer(1)) == "NOT_ASKED"
        assert wire.notes == []
        say(wire, "ping", {}, 2)
        assert wire.answer(2)["result"] == {}


def test_a_waiting_call_hears_what_goes_on(checkout: Checkout) -> None:
    with checkout.start() as wire:
        params = {"name": "oracle_batch", "arguments": QUESTION, "_meta": {"progressToken": 7}}
        say(wire, "tools/call", params, 1)
        note = wire.read()
        assert note["method"] == "notifications/progress"
        assert note["params"]["progressToken"] == 7
        assert note["params"]["message"] in {
            f"setting up fanout's environment (first use only): {step}"
            for step in ("creating it", "installing its packages")
        }


def test_a_hook_never_waits_for_an_install(checkout: Checkout) -> None:
    with checkout.start() as wire:
        result = wire.call("run_hooks", {"hook_event_name": "PreToolUse"})
        assert result["content"] == [{"type": "text", "text": ""}]
        assert not result["isError"]


@pytest.mark.slow
def test_a_cancelled_call_is_not_passed_on(checkout: Checkout) -> None:
    with checkout.start() as wire:
        cancelled = start_call(wire)
        wire.notify("notifications/cancelled", {"requestId": cancelled})
        call = start_call(wire)
        checkout.finish_install()
        assert decision(wire.answer(call)) == "NOT_ASKED"
        assert cancelled not in [note.get("id") for note in wire.notes]


@pytest.mark.slow
def test_a_failed_install_says_why_and_the_next_call_tries_again(checkout: Checkout) -> None:
    with checkout.start() as wire:
        call = start_call(wire)
        checkout.finish_install("fail")
        failed = wire.answer(call)["result"]
        assert failed["isError"]
        assert "error: no route to the index" in failed["content"][0]["text"]
        assert "By hand: python3 -m venv" in failed["content"][0]["text"]
        again = start_call(wire)
        checkout.finish_install()
        assert decision(wire.answer(again)) == "NOT_ASKED"


def test_a_hook_that_comes_as_the_install_fails_has_no_opinion(tmp_path: Path) -> None:
    set_up = SetUp.__new__(SetUp)
    set_up.environment, set_up.is_made, set_up.failure = Environment(str(tmp_path)), False, ""
    set_up.builder = cast("subprocess.Popen[bytes]", SimpleNamespace(poll=lambda: 1))
    answers: list[tuple[int, str, bool]] = []
    waiting = [
        SimpleNamespace(id=1, method="tools/call", params={"name": "run_hooks"}),
        SimpleNamespace(id=2, method="tools/call", params={"name": "oracle_batch"}),
    ]
    heard = SimpleNamespace(
        waiting=waiting,
        answer_text=lambda number, text, *, is_error: answers.append((number, text, is_error)),
    )
    assert not set_up.is_ready(cast("First", heard))
    assert answers[0] == (1, "", False)
    assert answers[1][::2] == (2, True)


@pytest.mark.slow
def test_two_sessions_at_once_make_one_environment(checkout: Checkout) -> None:
    with checkout.start() as one, checkout.start() as other:
        first, second = start_call(one), start_call(other)
        checkout.finish_install()
        assert decision(one.answer(first)) == decision(other.answer(second)) == "NOT_ASKED"
    assert checkout.steps() == ["venv", "pip"]


@pytest.mark.slow
def test_an_install_outlives_the_session_that_started_it(checkout: Checkout) -> None:
    with checkout.start() as wire:
        wire.ask("tools/list")
        assert wire.process.stdin is not None
        wire.process.stdin.close()
        assert wire.process.wait(30) == 0
    with checkout.start() as wire:
        call = start_call(wire)
        checkout.finish_install()
        assert decision(wire.answer(call)) == "NOT_ASKED"
    assert checkout.steps() == ["venv", "pip"]


def install(checkout: Checkout) -> None:
    with checkout.start() as wire:
        call = start_call(wire)
        checkout.finish_install()
        wire.answer(call)


def test_where_the_environment_is_ready_the_launcher_becomes_the_server(checkout: Checkout) -> None:
    install(checkout)
    with checkout.start() as wire:
        wire.answer(start_call(wire))
        command = Path(f"/proc/{wire.process.pid}/cmdline").read_bytes().split(b"\0")
        assert command[1:5] == [b"-I", b"-m", b"fanout_mcp", b"serve"]


@pytest.mark.slow
def test_an_edited_source_gets_another_environment(checkout: Checkout) -> None:
    install(checkout)
    (checkout.source / "pyproject.toml").write_text("# a newer version\n")
    install(checkout)
    assert checkout.steps() == ["venv", "pip"] * 2
    assert len(list(checkout.data.glob("env-*"))) == 2


@pytest.mark.slow
def test_a_plugin_that_runs_from_a_clone_takes_the_environment_of_the_clone(checkout: Checkout) -> None:
    with checkout.start(as_plugin=False) as wire:
        call = start_call(wire)
        checkout.finish_install()
        wire.answer(call)
    with checkout.start() as wire:
        assert decision(wire.answer(start_call(wire))) == "NOT_ASKED"
    assert checkout.steps() == ["venv", "pip"]
    assert not checkout.data.exists()


@pytest.mark.slow
def test_a_copy_of_a_clone_is_never_served_from_the_clone(checkout: Checkout, tmp_path: Path) -> None:
    with checkout.start(as_plugin=False) as wire:
        call = start_call(wire)
        checkout.finish_install()
        wire.answer(call)
    shutil.copytree(checkout.source, tmp_path / "copy", symlinks=True)
    copied = dataclasses.replace(checkout, source=tmp_path / "copy")
    with copied.start() as wire:
        call = start_call(wire)
        copied.finish_install()
        assert decision(wire.answer(call)) == "NOT_ASKED"
    assert checkout.steps() == ["venv", "pip"] * 2


@pytest.mark.slow
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_reaches_the_server_behind_the_launcher(checkout: Checkout, number: signal.Signals) -> None:
    with checkout.start() as wire:
        call = start_call(wire)
        checkout.finish_install()
        wire.answer(call)
        wire.process.send_signal(number)
        assert wire.process.wait(30) == 128 + number


@pytest.mark.slow
def test_both_end_when_the_client_closes_its_end(checkout: Checkout) -> None:
    with checkout.start() as wire:
        call = start_call(wire)
        checkout.finish_install()
        wire.answer(call)
        assert wire.process.stdin is not None
        wire.process.stdin.close()
        assert wire.process.wait(30) == 0


@pytest.mark.parametrize(
    "line", [b"", b"{", b"[]", b'"x"', b"[" * 100_000, b"\xff\xfe", b'{"method": 5}', b'{"id": 1}'], ids=repr
)
def test_a_line_that_is_no_message_is_passed_over(checkout: Checkout, line: bytes) -> None:
    with checkout.start() as wire:
        wire.write(line + b"\n")
        assert "tools" in wire.ask("tools/list")["result"]
