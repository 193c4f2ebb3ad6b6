"""A cold event whose input, disk or interpreter is not as it should be: the event goes on, a guard denies."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

import fanout_hooks
from fakes.sandbox import Sandbox, pre_tool_use
from fanout_hooks import __main__
from fanout_hooks.client import hook_input
from fanout_hooks.client.home import state_folder
from fanout_hooks.log import append as log_append
from fanout_hooks.run import claims
from fanout_hooks.run.plan import WORTH_A_START

ENTRY = str(Path(fanout_hooks.__file__).with_name("__main__.py"))
COLD = [sys.executable, "-I", "-S", ENTRY, "cold"]
WHOLE = b'{"hook_event_name": "Stop"}\n'
OLDER = """
import runpy, sys
sys.version_info = (3, 9, 18)
sys.argv = sys.argv[1:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


@pytest.mark.slow
def test_an_event_of_100_mb_reaches_the_hook_whole(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", "wc -c > counted; echo no >&2; exit 2")
    given = hook_input.to_stdin(sandbox.here(pre_tool_use("x" * (100 << 20))))
    done = subprocess.run(
        [*COLD, "--scopes", "local"], input=given, env=sandbox.env, capture_output=True, check=False
    )
    assert json.loads(done.stdout)["hookSpecificOutput"]["permissionDecision"] == "deny"
    assert int((sandbox.project / "counted").read_text()) == len(given)


def test_more_than_any_event_can_have_is_refused_before_it_fills_the_memory(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setattr(__main__, "MAX_EVENT", 1000)
    path = tmp_path / "event"
    path.write_bytes(WHOLE + b" " * 1000)
    with path.open("rb") as file:
        assert __main__.read_stdin(file.fileno()) is None


@pytest.mark.parametrize(
    ("sent", "read"), [(WHOLE, WHOLE), (WHOLE[:-1], None), (b'{"hook_event', None), (b"", None)]
)
def test_a_stdin_that_is_never_closed_is_waited_for_only_so_long(sent: bytes, read: bytes | None) -> None:
    ours, theirs = os.pipe()
    os.write(theirs, sent)
    try:
        assert __main__.read_stdin(ours, 0.05) == read
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_full_disk_costs_the_log_its_line_and_the_event_nothing(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", "echo no >&2; exit 2")
    log = Path(log_append.path_of(str(sandbox.project)))
    log.parent.mkdir(parents=True)
    log.write_bytes(b"x" * 8191 + b"\n")
    # A limit on the size of files stands in for a disk that has no more room for them. -B: Python would leave
    # compiled modules that end there, and every later process would fail on them.
    done = subprocess.run(
        ["/bin/sh", "-c", 'ulimit -f 8; exec "$@"', "sh", COLD[0], "-B", *COLD[1:], "--scopes", "local"],
        input=hook_input.to_stdin(sandbox.here(pre_tool_use())),
        env=sandbox.env,
        capture_output=True,
        text=False,
        check=False,
    )
    assert json.loads(done.stdout)["hookSpecificOutput"]["permissionDecision"] == "deny"
    assert b"the hook log: " in done.stderr
    assert log.read_bytes() == b"x" * 8191 + b"\n"
    with pytest.raises(log_append.Unwritable, match="not a regular file"):
        log_append.append("/dev/full", {})


def test_an_older_python_says_so_in_one_line_and_only_a_guard_denies(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    for more, code in ([], 0), (["--only", "guard"], 2):
        done = subprocess.run(
            [sys.executable, "-I", "-S", "-c", OLDER, ENTRY, "cold", *more],
            input=WHOLE,
            env=sandbox.env,
            capture_output=True,
            check=False,
        )
        assert (done.returncode, done.stdout) == (code, b"")
        assert done.stderr.startswith(b"fanout: its hooks need Python 3.11 or newer; ")
        assert done.stderr.count(b"\n") == 1


def test_claims_that_are_over_are_swept_where_every_event_is_cold(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", "true")
    env = sandbox.env | {"FANOUT_STATE_DIR": str(sandbox.state)}
    alive = Path(claims.folder(state_folder(env)))
    alive.mkdir(parents=True, mode=0o700)
    over = alive / "event-over"
    over.touch()
    os.utime(over, (0, 0))
    for number in range(200):
        event = sandbox.here(pre_tool_use(tool_use_id=f"toolu_{number}"))
        subprocess.run(
            [*COLD, "--scopes", "local"],
            input=hook_input.to_stdin(event),
            env=env,
            check=True,
        )
        if not over.exists():
            break
    assert not over.exists()


@pytest.mark.parametrize(
    ("hooks", "ways"),
    [(WORTH_A_START - 1, ["lane"] * 4), (WORTH_A_START, ["trial", "trial", "warm", "warm"])],
    ids=["few, as they are written", "enough for an interpreter of ours"],
)
def test_the_cold_processs_output_ends_with_it(tmp_path: Path, hooks: int, ways: list[str]) -> None:
    """The client waits for the end of stdout: nothing that was forked may hold it open."""
    sandbox = Sandbox(tmp_path)
    sandbox.hooks("PreToolUse", *[sandbox.python(f"h{number}", "print('{}')") for number in range(hooks)])
    env = sandbox.env | {"FANOUT_STATE_DIR": str(sandbox.state)}
    for number in range(4):
        read, write = os.pipe()
        event = hook_input.to_stdin(sandbox.here(pre_tool_use(tool_use_id=f"toolu_{number}")))
        done = subprocess.run(
            [*COLD, "--scopes", "local"],
            input=event,
            stdout=write,
            stderr=subprocess.PIPE,
            env=env,
            cwd=sandbox.project,
            timeout=60,
            check=True,
        )
        os.close(write)
        while os.read(read, 4096):
            pass
        os.close(read)
        assert done.stderr == b""
    assert [{own["lane"] for own in row["hooks"]} for row in sandbox.log()] == [{way} for way in ways]
