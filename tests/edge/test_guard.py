"""Whatever a tool, a client or the system does: a clear answer, the process alive, the next call answered."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.load import stretched
from fakes.processes import is_gone
from fakes.wire_client import HOSTILE, META, Wire, hostile

pytestmark = pytest.mark.slow

NAME_OF_AN_EXCEPTION = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Exit|Interrupt|Cancelled|Group)\b")

QUICK_S = 0.45
"""The client kills 0.5 s after it asked; measured from outside, with the machine busy."""


@pytest.fixture(scope="module")
def state(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("state")


@pytest.fixture(scope="module")
def server(state: Path) -> Iterator[Wire]:
    with hostile(HOSTILE_API_KEY="sk-very-secret-key", FANOUT_STATE_DIR=str(state)) as wire:
        yield wire


@pytest.mark.parametrize(
    ("tool", "sentence"),
    [
        ("foreign_cancel", "was cancelled from inside"),
        ("cancelled_future", "was cancelled from inside"),
        ("system_exit", "failed, which is a defect of fanout"),
        ("task_exit", "failed, which is a defect of fanout"),
        ("interrupt", "failed, which is a defect of fanout"),
        ("recursion", "nested too deeply"),
        ("memory", "ran out of memory"),
        ("group", "Name a file that exists."),
        ("defect", "failed, which is a defect of fanout"),
    ],
)
def test_what_a_tool_raises_is_an_error_result_and_the_next_call_is_answered(
    server: Wire, tool: str, sentence: str
) -> None:
    result = server.call(tool)
    assert result["isError"]
    assert sentence in result["content"][0]["text"]
    assert "sk-very-secret" not in json.dumps(result)
    assert not NAME_OF_AN_EXCEPTION.search(json.dumps(result))
    assert server.is_well()


def test_text_that_is_no_text_is_cleaned(server: Wire) -> None:
    result = server.call("surrogate")
    assert result["structuredContent"]["bad"] == [None, None]
    assert json.loads(result["content"][0]["text"]) == result["structuredContent"]
    assert not set("\x00\x1b\u202e\ud83d") & set(result["structuredContent"]["text"])
    assert server.is_well()


def test_a_value_nested_beyond_every_parser_is_cut(server: Wire) -> None:
    assert "\u2026" in server.call("deep")["content"][0]["text"]
    assert server.is_well()


def test_a_result_that_the_client_would_not_show_is_kept_in_a_file(server: Wire, state: Path) -> None:
    data = server.call("huge")["structuredContent"]
    kept = Path(data["report"])
    assert kept.is_relative_to(state)
    assert len(json.loads(kept.read_text())["text"]) == 60_000
    assert "60,011 characters" in data["too_long"]


def test_prints_and_children_stay_off_the_wire(server: Wire) -> None:
    assert server.call("prints")["structuredContent"] == {"printed": True}
    assert server.strays == []


def test_a_full_stderr_that_nobody_reads_stops_nothing(server: Wire) -> None:
    assert server.call("noisy")["structuredContent"] == {"noisy": True}


def test_secrets_of_the_environment_do_not_reach_the_log(state: Path) -> None:
    with hostile(HOSTILE_API_KEY="sk-very-secret-key", FANOUT_STATE_DIR=str(state)) as wire:
        wire.call("defect")
        wire.process.terminate()
        assert wire.process.stderr is not None
        log = wire.process.stderr.read().decode()
    assert "ValueError: [secret]" in log


def test_a_backend_that_cannot_be_opened_is_an_answer_and_is_tried_again() -> None:
    with hostile(HOSTILE_BACKEND="broken") as wire:
        shown = wire.call("echo")["content"][0]["text"]
        assert shown.startswith("Opening the backend failed, which is a defect of fanout")
        assert not NAME_OF_AN_EXCEPTION.search(shown)
        assert wire.is_well()


def test_a_defect_leaves_its_trace_in_a_file_for_its_user_alone(state: Path) -> None:
    with hostile(HOSTILE_API_KEY="sk-very-secret-key", FANOUT_STATE_DIR=str(state)) as wire:
        shown = wire.call("defect")["content"][0]["text"]
    path = Path(shown.partition("The trace is in ")[2].partition(";")[0])
    assert path.parent == state / "crashes"
    assert path.stat().st_mode & 0o777 == 0o600
    trace = path.read_text()
    assert "ValueError: [secret]" in trace
    assert "sk-very-secret" not in trace


def test_a_hook_event_is_answered_by_the_bridge_and_never_listed(server: Wire) -> None:
    assert server.call("run_hooks", {"hook_event_name": "Stop"})["content"][0]["text"] == '{"event":"Stop"}'
    listed = [tool["name"] for tool in server.ask("tools/list")["result"]["tools"]]
    assert "run_hooks" not in listed


def test_a_hook_event_goes_on_when_the_bridge_is_gone(server: Wire) -> None:
    result = server.call("run_hooks", {"raise": True})
    assert result["content"][0]["text"] == ""
    assert not result["isError"]


def test_progress_is_coalesced_and_strictly_increasing(server: Wire) -> None:
    server.notes.clear()
    meta = {**META, "progressToken": "t"}
    server.write(_line("tools/call", {"name": "members", "arguments": {}, "_meta": meta}, "progress"))
    server.answer("progress")
    values = [note["params"]["progress"] for note in server.notes]
    assert values == sorted(set(values))
    assert 2 <= len(values) <= 20  # 200 reports in about half a second
    assert server.notes[-1]["params"]["message"].endswith("the last member")


def test_a_cancelled_call_ends_at_once_and_is_not_answered(tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with hostile(HOSTILE_JOURNAL=str(journal)) as wire:
        number = wire.send("tools/call", {"name": "hang", "arguments": {}})
        _until(lambda: journal.exists() and "child" in journal.read_text())
        wire.notify("notifications/cancelled", {"requestId": number})
        _until(lambda: "flushed" in journal.read_text())
        assert wire.is_well()
        assert all(note.get("id") != number for note in wire.notes)


@pytest.mark.parametrize(
    ("how", "status"),
    [("SIGTERM", 143), ("SIGINT", 130), ("SIGHUP", 129), ("closed input", 0), ("closed output", 0)],
)
def test_however_the_end_comes_it_is_quick_and_complete(how: str, status: int, tmp_path: Path) -> None:
    journal = tmp_path / "journal"
    with hostile(HOSTILE_JOURNAL=str(journal)) as wire:
        wire.call("run_hooks", {"hook_event_name": "Stop"})
        wire.send("tools/call", {"name": "hang", "arguments": {}})
        _until(lambda: journal.exists() and "child" in journal.read_text())
        started = time.monotonic()
        _end(wire, how)
        assert wire.process.wait(30) == status
        took = time.monotonic() - started
    written = journal.read_text()
    assert took < stretched(QUICK_S)
    assert {"flushed", "bridge closed", "services closed"} <= set(written.splitlines())
    assert is_gone(int(written.split()[1]))


@pytest.mark.parametrize("how", ["SIGTERM", "closed input", "closed output"])
def test_a_call_that_refuses_to_end_does_not_hold_up_the_end(how: str, tmp_path: Path) -> None:
    with hostile() as wire:
        meta = {**META, "progressToken": 1}
        wire.write(_line("tools/call", {"name": "stubborn", "arguments": {}, "_meta": meta}, 9))
        assert wire.read()["method"] == "notifications/progress"
        started = time.monotonic()
        _end(wire, how)
        wire.process.wait(30)
        assert time.monotonic() - started < stretched(QUICK_S)


def test_a_server_that_writes_to_a_file_is_served_too(tmp_path: Path) -> None:
    asked = _line("tools/call", {"name": "echo", "arguments": {"count": 7}, "_meta": META}, 1)
    command, out = [sys.executable, "-P", str(HOSTILE)], tmp_path / "out"
    with out.open("wb") as stdout:
        process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=stdout, stderr=subprocess.DEVNULL, bufsize=0
        )
    assert process.stdin is not None
    with process.stdin as stdin:
        stdin.write(asked)
        until = time.monotonic() + 20
        while not out.read_bytes().endswith(b"\n") and time.monotonic() < until:
            time.sleep(0.02)  # a file can only be looked at
    assert process.wait(20) == 0
    assert json.loads(out.read_bytes().splitlines()[0])["id"] == 1


def _end(wire: Wire, how: str) -> None:
    if how == "closed input":
        assert wire.process.stdin is not None
        wire.process.stdin.close()
    elif how == "closed output":
        assert wire.process.stdout is not None
        wire.process.stdout.close()
    else:
        os.kill(wire.process.pid, signal.Signals[how])


def _line(method: str, params: dict[str, Any], number: Any) -> bytes:
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


def _until(condition: Any, seconds: float = 10) -> None:
    """Wait for another process to have written; there is no event to wait on between two processes."""
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it never happened"
        time.sleep(0.005)
