"""Whatever a hook does to its process, its descriptors or its parent, its neighbours' denials stand."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path
from typing import Any

import pytest

import fanout_hooks
from fakes.few import few
from fakes.sandbox import PYTHON, Sandbox, pre_tool_use
from fakes.silencing_hooks import CALM, SHELL, Silencing, generated
from fanout_hooks.client.home import state_folder
from fanout_hooks.client.hook_input import to_stdin
from fanout_hooks.learn.memory import path_of
from fanout_hooks.run.dispatch import FORK_LOST

SEED = 10
SHORT, WHOLE = 9, 330
LIMIT_S = 1
ENTRY = Path(fanout_hooks.__file__).with_name("__main__.py")
BY_JSON = """
import json
own = {"hookEventName": "PreToolUse", "permissionDecision": "deny", "permissionDecisionReason": "no by JSON"}
print(json.dumps({"hookSpecificOutput": own}))
"""
BY_EXIT = "import sys\nsys.stdin.read()\nsys.stderr.write('no by exit code')\nsys.exit(2)\n"
REASONS = ("no by JSON", "no by exit code")

LOST = "its answer is lost"

COUNTS = [
    pytest.param(SHORT, id="short"),
    pytest.param(WHOLE, id="whole", marks=pytest.mark.slow),
]


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    own = Sandbox(tmp_path)
    own.env["FANOUT_STATE_DIR"] = str(tmp_path / "own state")
    own.state = Path(state_folder(own.env))
    return own


def registered(sandbox: Sandbox, silencing: list[Silencing]) -> None:
    """Register each hook between two that deny, for a tool of its own."""
    by_json, by_exit = sandbox.python("by_json", BY_JSON), sandbox.python("by_exit", BY_EXIT)
    for number, one in enumerate(silencing):
        silent = sandbox.python(f"silent_{number}", one.source, timeout=LIMIT_S)
        sandbox.hooks("PreToolUse", by_json, silent, by_exit, matcher=f"Tool{number}")


def call(number: int, command: str, run: int) -> dict[str, Any]:
    return pre_tool_use(command, tool_name=f"Tool{number}", tool_use_id=f"toolu_{number}_{command}_{run}")


def lost(answer: str) -> list[str]:
    """Return which denials an answer lacks."""
    own = json.loads(answer or "{}").get("hookSpecificOutput", {})
    reason = own.get("permissionDecisionReason", "")
    return [one for one in REASONS if own.get("permissionDecision") != "deny" or one not in reason]


@pytest.mark.parametrize("count", COUNTS)
def test_no_warm_hook_silences_another(count: int, sandbox: Sandbox) -> None:
    silencing = generated(SEED, count)
    registered(sandbox, silencing)
    found = []
    with sandbox.running() as run:
        for number, one in enumerate(silencing):
            commands = ("calm", "calm", "now", "now") if number % 3 else ("now", "now", "calm", "now")
            for turn, command in enumerate(commands):
                gone = lost(run.event(call(number, command, turn)).stdout)
                found += [f"{number} ({one.what}), event {turn} ({command}): {gone}"] * bool(gone)
    assert "\n".join(found) == ""


@pytest.mark.parametrize("count", COUNTS)
def test_no_cold_hook_silences_another(count: int, sandbox: Sandbox) -> None:
    silencing = generated(SEED + 1, count)
    registered(sandbox, silencing)
    with sandbox.running() as run:  # what the project's sessions have learned of them
        for number in range(0, count, 2):
            for turn in range(2):
                run.event(call(number, "calm", turn))
    assert Path(path_of(str(sandbox.state), str(sandbox.project))).exists()
    found = []
    for number, one in enumerate(silencing):
        gone = lost(cold(sandbox, call(number, "now", 0)))
        found += [f"{number} ({one.what}): {gone}"] * bool(gone)
    assert "\n".join(found) == ""


@pytest.mark.parametrize("command", few(SHELL, next(iter(SHELL))))
@pytest.mark.parametrize("way", ["warm", "cold"])
def test_no_shell_silences_another(command: str, way: str, sandbox: Sandbox) -> None:
    deny = f"sleep 0.3; exec {PYTHON} {sandbox.script('by_exit', BY_EXIT)}"
    silent = {"type": "command", "command": command, "timeout": LIMIT_S}
    sandbox.hooks("PreToolUse", sandbox.python("by_json", BY_JSON), silent, deny)
    for turn in range(2):
        event = call(0, "now", turn)
        if way == "cold":
            assert lost(cold(sandbox, event)) == []
            continue
        with sandbox.running() as run:
            assert lost(run.event(event).stdout) == []


ELSEWHERE = """
import socket, stat
ends = socket.socketpair()
ends[1].detach()
for fd in range(201, 220):
    try:
        if stat.S_ISSOCK(os.fstat(fd).st_mode): os.dup2(ends[0].fileno(), fd)
    except OSError:
        pass
"""
SEEN = {
    "bytes in our channel": (
        "for fd in range(200, 260):\n    try: os.write(fd, b'x')\n    except OSError: pass",
        LOST,
    ),
    "our channel elsewhere": (ELSEWHERE, LOST),
    "the parent killed": ("os.kill(os.getppid(), 9)", FORK_LOST),
    "its own end": ("os.kill(os.getpid(), 9)", "the hook silent_0 gave no usable answer (signal 9)"),
}


@pytest.mark.parametrize("kind", SEEN)
def test_the_user_reads_of_it_and_the_next_event_is_as_ever(kind: str, sandbox: Sandbox) -> None:
    source, said = SEEN[kind]
    registered(sandbox, [Silencing(kind, f"{CALM}\nimport os\n{source}\n")])
    with sandbox.running() as run:
        for turn in range(2):
            run.event(call(0, "calm", turn))
        answer = run.event(call(0, "now", 0)).stdout
        assert lost(answer) == []
        second = run.event(call(0, "calm", 2)).stdout
        assert lost(second) == []
        # A process that was killed dies a little later: it may be the next event that misses it.
        messages = [json.loads(one).get("systemMessage", "") for one in (answer, second)]
        assert "".join(messages).count(said) == 1
        third = run.event(call(0, "calm", 3)).stdout
        assert lost(third) == []
        assert "systemMessage" not in json.loads(third)


def cold(sandbox: Sandbox, event: dict[str, Any]) -> str:
    done = subprocess.run(
        [PYTHON, "-I", "-S", str(ENTRY), "cold", "--scopes", "local"],
        input=to_stdin(sandbox.here(event)),
        env=sandbox.env,
        cwd=sandbox.project,
        capture_output=True,
        timeout=60,
        check=False,
    )
    return done.stdout.decode("utf-8", "replace") if done.returncode == 0 else os.strerror(done.returncode)
