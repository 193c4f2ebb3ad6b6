"""A warm hook finds around it what the client would have given it, whatever the server itself was given."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
from pathlib import Path

import pytest

from fakes.few import few
from fakes.sandbox import Sandbox, pre_tool_use
from fanout_hooks.log.append import after_event
from fanout_hooks.run import supervisor
from fanout_hooks.run.state import RuntimeState
from fanout_hooks.warm.loop import Channel, Loop


def test_a_warm_hooks_environment_is_the_sessions_not_the_servers() -> None:
    base = {"PATH": "/bin", "CLAUDE_CODE_SESSION_ID": "old", "CLAUDE_EFFORT": "low"}
    env = supervisor.for_event(base, {"session_id": "new", "cwd": "/w", "effort": {"level": "high"}}, 42)
    wanted = {"CLAUDE_CODE_SESSION_ID": "new", "CLAUDE_EFFORT": "high", "CLAUDE_PID": "42", "PWD": "/w"}
    assert wanted.items() <= env.items()


CLIENT = {"PATH": "/bin", "BOTH": "client"}


@pytest.mark.parametrize(
    ("block", "found"),
    [
        ({}, CLIENT),
        ({"SECRET": "s"}, CLIENT),
        ({"BOTH": "server"}, CLIENT),
        ({"BOTH": "client", "PATH": "/server"}, CLIENT),
    ],
    ids=["none", "a name of its own", "a name of the client's", "the same value"],
)
def test_what_a_server_was_given_alone_is_the_clients_again_or_gone(
    block: dict[str, str], found: dict[str, str]
) -> None:
    assert supervisor.restored(CLIENT | block, block, CLIENT) == found


SERVER = """
import json, os
from fanout_hooks.run import supervisor
client, env = supervisor.of_session(dict(os.environ), os.getpid())
print(json.dumps([client, env]))
"""
FAKE_CLIENT = """
import os, subprocess, sys
started = {**os.environ, "AT_RUN": "client", "SECRET": "s", "BOTH": "server", "FANOUT_GATE": "warn",
           "CLAUDE_CODE_MESSAGING_SOCKET": f"/run/{os.getpid()}.sock"}
print(os.getpid(), flush=True)
sys.exit(subprocess.call(sys.argv[1:], env=started))
"""


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system doesn't tell")
@pytest.mark.parametrize("launcher", [[], ["sh", "-c", 'PATH=/x LAUNCHED=1 "$@"; exit $?', "sh"]], ids=len)
def test_names_of_the_registration_and_a_launchers_changes_are_undone(
    launcher: list[str], tmp_path: Path
) -> None:
    block = {"SECRET": "s", "BOTH": "server", "SETTINGS": "server", "FANOUT_GATE": "warn"}
    own = {"command": "x", "env": block}
    (tmp_path / ".claude").mkdir()
    (tmp_path / ".mcp.json").write_text(json.dumps({"mcpServers": {"fanout": own}}))
    (tmp_path / ".claude" / "settings.json").write_text(json.dumps({"env": {"SETTINGS": "1"}}))
    client = {
        "PATH": os.environ["PATH"],
        "HOME": str(tmp_path),
        "CLAUDE_PROJECT_DIR": str(tmp_path),
        "BOTH": "client",
    }
    line = [sys.executable, "-c", FAKE_CLIENT, *launcher, sys.executable, "-c", SERVER]
    done = subprocess.run(line, env=client, capture_output=True, text=True, check=True)
    pid, answer = done.stdout.splitlines()
    found, env = json.loads(answer)
    assert found == int(pid)
    socket = {"CLAUDE_CODE_MESSAGING_SOCKET": f"/run/{pid}.sock"}
    wanted = client | socket | {"AT_RUN": "client", "SETTINGS": "1", "FANOUT_GATE": "warn"}
    added_by_python = {
        name: value for name, value in env.items() if name in ("LC_CTYPE", "PWD", "_", "SHLVL")
    }
    assert env == wanted | added_by_python


PLUGINS = {
    "CLAUDE_PLUGIN_ROOT": "/server",
    "CLAUDE_PLUGIN_DATA": "/server",
    "CLAUDE_PLUGIN_OPTION_DEPTH": "9",
    "CLAUDE_CODE_LAUNCHED_BY_SESSION_IDS": "a,b",
    "CLAUDE_EFFORT": "low",
}


@pytest.mark.skipif(not Path("/proc/self/environ").exists(), reason="the system doesn't tell")
@pytest.mark.parametrize("name", few(PLUGINS, "CLAUDE_EFFORT"))
@pytest.mark.parametrize("set_by", ["the client's start", "settings", "both", "no one"])
@pytest.mark.parametrize("server", ["a plugin's", "a registered one"])
def test_what_the_user_set_reaches_hooks_and_what_a_plugins_server_was_given_does_not(
    name: str, set_by: str, server: str, tmp_path: Path
) -> None:
    (tmp_path / ".claude").mkdir()
    client = {"PATH": os.environ["PATH"], "HOME": str(tmp_path), "CLAUDE_PROJECT_DIR": str(tmp_path)}
    wanted = None
    if set_by in ("the client's start", "both"):
        client[name] = wanted = "/client"
    if set_by in ("settings", "both"):
        wanted = "/settings"
        (tmp_path / ".claude" / "settings.local.json").write_text(json.dumps({"env": {name: wanted}}))
    given = {name: PLUGINS[name]} if server == "a plugin's" else {name: wanted} if wanted else {}
    start = FAKE_CLIENT.replace('"FANOUT_GATE": "warn",', f"**{given!r},")
    line = [sys.executable, "-c", start, sys.executable, "-c", SERVER]
    done = subprocess.run(line, env=client, capture_output=True, text=True, check=True)
    _, env = json.loads(done.stdout.splitlines()[1])
    for_hooks = supervisor.for_event(env, {"session_id": "s", "cwd": "/w"}, 42)
    assert for_hooks.get(name) == wanted


def test_the_last_event_is_logged_although_the_server_closes_as_soon_as_it_has_the_answer(
    tmp_path: Path,
) -> None:
    sandbox, loop, pids = Sandbox(tmp_path), Loop(), (os.getpid(), os.getpid())
    sandbox.hooks("PreToolUse", "true")
    ours, theirs = (Channel(loop, end) for end in socket.socketpair())
    runtime = RuntimeState(loop, str(sandbox.state), None, after_event)

    async def server() -> None:
        ours.send({"id": 1, "arguments": sandbox.here(pre_tool_use()) | {"fanout_scopes": "local"}})
        assert await ours.get() == {"id": 1, "answer": "{}"}
        ours.close()

    try:
        loop.leave(server())
        loop.run(supervisor.Supervisor(runtime, theirs, sandbox.env, pids).serve())
    finally:
        runtime.close()
    assert len(sandbox.log()) == 1


def test_an_event_whose_end_fails_costs_no_other_event_its_own(
    tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    sandbox, pids = Sandbox(tmp_path), (os.getpid(), os.getpid())
    runtime = RuntimeState(Loop(), str(sandbox.state))
    ours, theirs = socket.socketpair()
    done: list[str] = []

    def fail() -> None:
        raise RuntimeError("no log today")

    one = supervisor.Supervisor(runtime, Channel(runtime.loop, theirs), sandbox.env, pids)
    one._left += [lambda: done.append("before"), fail, lambda: done.append("after")]
    try:
        one._follow_up()
    finally:
        runtime.close()
        one.server.close()
        ours.close()
    assert (done, one._left) == (["before", "after"], [])
    assert "finishing an event failed, which is a defect of fanout" in capfd.readouterr().err
