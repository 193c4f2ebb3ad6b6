"""A hook whose first line is {"async": true} holds nothing up from there on, and works on."""

from __future__ import annotations

import json
import os
import select
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

import fanout_hooks
from fakes.sandbox import Entry, Running, Sandbox, prompt
from fanout_hooks.client.hook_input import to_stdin
from fanout_hooks.run import lanes
from fanout_hooks.run.decide import HookResult, Opinion, understand
from fanout_hooks.warm.loop import Future, Loop, sealed_file

ENTRY = str(Path(fanout_hooks.__file__).with_name("__main__.py"))
LINE = '{"async": true}'
SHELL = f"echo $$ >pid; echo '{LINE}'; read told <go; echo $told >out"
PYTHON = f"""
import os
open("pid", "w").write(str(os.getpid()))
print('{LINE}', flush=True)
told = open("go").readline()
open("out", "w").write(told)
"""


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    """Return one with two FIFOs: `go`, for which the hooks wait, and `out`, into which they write it."""
    own = Sandbox(tmp_path)
    for name in ("go", "out"):
        os.mkfifo(own.project / name)
    return own


@pytest.fixture(params=["shell", "python"])
def entry(request: pytest.FixtureRequest, sandbox: Sandbox) -> Entry:
    return {"command": SHELL} if request.param == "shell" else sandbox.python("own", PYTHON)


@pytest.fixture
def works_on(sandbox: Sandbox) -> Iterator[None]:
    """Say in the end whether the hook is still there to do its work."""
    yield
    go = os.open(sandbox.project / "go", os.O_RDWR)  # doesn't wait for a hook that may be gone
    out = os.open(sandbox.project / "out", os.O_RDONLY | os.O_NONBLOCK)
    try:
        os.write(go, b"done\n")
        poll = select.poll()
        poll.register(out, select.POLLIN)
        assert poll.poll(20_000)
        assert os.read(out, 100).strip() == b"done"
    finally:
        os.close(go)
        os.close(out)


@pytest.mark.usefixtures("works_on")
def test_the_event_does_not_wait_for_it_and_it_outlives_the_server(sandbox: Sandbox, entry: Entry) -> None:
    sandbox.hooks("UserPromptSubmit", entry, "echo kept")
    with sandbox.running() as run:
        answer = json.loads(run.event(prompt()).stdout)
    assert answer == {
        "hookSpecificOutput": {"hookEventName": "UserPromptSubmit", "additionalContext": "kept"}
    }


@pytest.mark.usefixtures("works_on")
def test_it_outlives_a_cold_event(sandbox: Sandbox, entry: Entry) -> None:
    sandbox.hooks("UserPromptSubmit", entry)
    done = subprocess.run(
        [sys.executable, "-I", "-S", ENTRY, "cold", "--scopes", "local"],
        input=to_stdin(sandbox.here(prompt())),
        env=sandbox.env | {"FANOUT_STATE_DIR": str(sandbox.state)},
        cwd=sandbox.project,
        stdout=subprocess.PIPE,
        check=True,
    )
    assert done.stdout == b""


def _is_cut(run: Running, pid: int) -> bool:
    """Say whether a process ends while the loop runs."""
    ended: Future[bool] = Future()
    try:
        fd = os.pidfd_open(pid)
    except ProcessLookupError:
        return True

    async def seen() -> bool:
        run.loop.watch(fd, lambda: ended.set(True))
        found = await run.loop.first(ended, 20.0)
        run.loop.unwatch(fd)
        return found is True

    try:
        return run.loop.run(seen())
    finally:
        os.close(fd)


@pytest.mark.parametrize("asks", [True, False], ids=["the limit it asks for", "its own limit"])
@pytest.mark.parametrize("kind", ["shell", "python"])
def test_it_is_cut_at(sandbox: Sandbox, kind: str, *, asks: bool) -> None:
    line = '{"async": true, "asyncTimeout": 1}' if asks else LINE
    entry = {"command": SHELL} if kind == "shell" else sandbox.python("own", PYTHON.replace(LINE, line))
    if kind == "shell":
        entry["command"] = SHELL.replace(LINE, line)
    sandbox.hooks("UserPromptSubmit", entry | {"timeout": 600 if asks else 2})
    with sandbox.running() as run:
        assert run.event(prompt()).stdout == "{}"
        pid = int((sandbox.project / "pid").read_text())
        assert _is_cut(run, pid)


def test_it_may_well_end_at_once_and_is_no_failure(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("UserPromptSubmit", sandbox.python("own", f"print('{LINE}')"), f"echo '{LINE}'; exit 3")
    with sandbox.running() as run:
        for _ in range(4):
            assert run.event(prompt()).stdout == "{}"


@pytest.mark.parametrize(
    ("printed", "more"),
    [
        ("", {}),
        ("plain", {}),
        ('{"systemMessage": "late"}', {"message": "late"}),
        ('{"hookSpecificOutput": {"hookEventName": "Stop", "additionalContext": "c"}}', {"context": "c"}),
        ('{"decision": "block", "reason": "too late"}', {}),
        ('{"trunc', {}),
    ],
)
@pytest.mark.parametrize("status", [0, 1, 2])
def test_it_has_no_verdict_but_what_it_had_printed_by_its_end_is_heard(
    printed: str, more: dict[str, Any], status: int
) -> None:
    said = understand(HookResult("own", status, f"{LINE}\n{printed}\n", "err", on_failure="block"), "Stop")
    assert said == Opinion("own", **more)


@pytest.mark.parametrize(
    "line", ['{"async": false}', '{"async": 1}', '{"asynchronous": true}', '{"a": {"async": true}}', "async"]
)
def test_any_other_first_line_asks_for_nothing(line: str) -> None:
    blocked = understand(HookResult("own", 2, f"{line}\n", "no"), "Stop")
    assert (blocked.decision, blocked.reason) == ("deny", "no")


# --- holders ------------------------------------------------------------------------------------------------

ENDS = {
    "exit 0": 0,
    "exit 2": 2,
    "exit 137": 137,
    "kill -s KILL $$": -9,
    "kill -s TERM $$": -15,
    "kill -s ABRT $$": -6,
    "kill -s KILL $PPID; exit 3": -9,
}


@pytest.mark.parametrize("has_timeout", [True, False], ids=["timeout", "a fork of ours"])
@pytest.mark.parametrize("line", ENDS)
def test_a_command_ends_as_it_did_whatever_holds_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, line: str, *, has_timeout: bool
) -> None:
    if not has_timeout:
        monkeypatch.setattr(lanes, "find_timeout", lambda: "")
    elif not lanes.find_timeout():
        pytest.skip("there is no GNU timeout here")
    loop = Loop()
    own = lanes.Lanes(loop)
    stdin = sealed_file("stdin", b"given")
    env = {"PATH": os.environ["PATH"], "NAME": "value"}
    text = f'printf "%s %s %s" "$(cat)" "$NAME" "$PWD"; echo err >&2; {line}'
    try:
        ended = loop.run(own.run(["/bin/sh", "-c", text], stdin, env, str(tmp_path), 30.0))
    finally:
        own.close()
        os.close(stdin)
    assert (ended.exit, ended.timed_out) == (ENDS[line], False)
    assert (ended.stdout, ended.stderr) == (f"given value {tmp_path}".encode(), b"err\n")


@pytest.mark.parametrize("text", ['#!/bin/sh\nshift 2\n"$@"\nexit $?\n', "GNU coreutils" + " " * (1 << 20)])
def test_what_may_end_otherwise_than_its_command_is_not_taken_for_timeout(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str
) -> None:
    assert lanes.find_timeout() in ("", "/usr/bin/timeout", "/bin/timeout")
    other = tmp_path / "timeout"
    other.write_text(text)  # the first says 137 of a command that was killed
    other.chmod(0o755)
    monkeypatch.setattr(os, "defpath", str(tmp_path))
    assert lanes.find_timeout() == ""
    monkeypatch.setattr(os, "defpath", str(tmp_path / "none"))
    assert lanes.find_timeout() == ""


def test_a_program_that_is_not_there_is_said_in_the_words_of_a_shell(tmp_path: Path) -> None:
    loop = Loop()
    own = lanes.Lanes(loop)
    stdin = sealed_file("stdin", b"")
    try:
        ended = loop.run(own.run(["nowhere-at-all"], stdin, {"PATH": "/usr/bin"}, str(tmp_path), 30.0))
    finally:
        own.close()
        os.close(stdin)
    assert ended.exit == 127
    assert ended.stderr.startswith(b"nowhere-at-all: ")
