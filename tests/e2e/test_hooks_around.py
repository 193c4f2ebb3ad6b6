"""What surrounds a project's hooks in the real client: the environment, the user's folder, several scopes."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Mapping
from pathlib import Path

import pytest

from e2e.client import Client, write_json
from e2e.hooked import SERVER, Hooked, bash, group, hostile_client, note_hook, notes, python_hook
from fakes.model import Text, serving, turns

pytestmark = pytest.mark.e2e

AROUND = """
import json, os, sys
sys.stdin.read()
with open(sys.argv[1], "a") as file:
    file.write(json.dumps(dict(os.environ)) + "\\n")
"""
OF_THE_RUN = {
    "ANTHROPIC_BASE_URL",
    "CLAUDE_CODE_CHILD_NOTES_DIR",
    "CLAUDE_CODE_MESSAGING_SOCKET",
    "CLAUDE_CODE_MESSAGING_TOKEN",
    "CLAUDE_CODE_SESSION_ID",
    "CLAUDE_PID",
}
"""Differ from session to session."""
BLOCK = {
    "SECRET": "s",
    "SET": "server",
    "STARTED": "server",
    "BOTH": "server",
    "FANOUT_STATE_DIR": "/nowhere",
}


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return hostile_client(tmp_path)


def environments(
    client: Client, way: str, server: Mapping[str, object] | None = None
) -> list[dict[str, str]]:
    """Run a session with four tools; return what the hook found at the last two."""
    client.env |= {"STARTED": "client", "BOTH": "client"}
    hooked = Hooked.make(client, {"PreToolUse": [group(python_hook(client, "around", AROUND))]}, way)
    path = client.project / ".claude" / "settings.local.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), "env": {"SET": "1", "BOTH": "set"}}))
    if server is not None:
        hooked.register_server({**server, "env": BLOCK})
    with serving(turns([*[[bash("echo hi")]] * 4, [Text("done")]])) as model:
        assert client.say(model, "please do").result == "done"
    # Behind a launcher the server can't be sure to be the one that is called, before it is.
    assert {record["path"] for record in hooked.log()[-2:]} <= {way}
    found = [json.loads(line) for line in notes(client).read_text().splitlines()][-2:]
    assert len({(one["CLAUDE_PID"], one["CLAUDE_CODE_MESSAGING_SOCKET"]) for one in found}) == 1
    assert Path(found[0]["CLAUDE_CODE_MESSAGING_SOCKET"]).stem == found[0]["CLAUDE_PID"]
    return [{name: one[name].replace(str(client.home.parent), "/TOP") for name in one} for one in found]


def test_what_the_server_was_given_or_a_launcher_set_reaches_no_hook(tmp_path: Path) -> None:
    launcher = {"command": "sh", "args": ["-c", 'VIA=1 PATH="/x:$PATH" "$@"; exit $?', "sh"]}
    launched = {**launcher, "args": [*launcher["args"], SERVER["command"], *SERVER["args"]]}
    native, warm, behind = (
        [{name: one[name] for name in one.keys() - OF_THE_RUN} for one in found]
        for found in (
            environments(hostile_client(tmp_path / "native"), "native"),
            environments(hostile_client(tmp_path / "warm"), "warm", SERVER),
            environments(hostile_client(tmp_path / "behind"), "warm", launched),
        )
    )
    assert len(native) == 2
    assert warm == native
    assert behind == native


def test_hooks_of_a_user_whose_folder_is_moved_are_adopted_and_run(client: Client) -> None:
    moved = client.home / "moved claude"
    moved.mkdir()
    client.env["CLAUDE_CONFIG_DIR"] = str(moved)
    hooked = Hooked(client, "warm")
    state = json.loads((client.home / ".claude.json").read_text())
    write_json(moved / ".claude.json", {**state, "mcpServers": {"fanout": SERVER}})
    (moved / "settings.json").write_text(json.dumps({"hooks": {"PreToolUse": [group(note_hook(client))]}}))
    hooked.adopt("--scope", "user")
    assert [path.name for path in (moved / "fanout").iterdir() if path.suffix == ".json"] == ["hooks.json"]
    with serving(turns([*[[bash("sleep 2")]] * 3, [Text("done")]])) as model:  # the server loads meanwhile
        assert client.say(model, "please do").result == "done"
    assert hooked.events() == ["PreToolUse"] * 3
    assert hooked.log()[-1]["path"] == "warm"


@pytest.mark.parametrize("way", ["native", "warm", "cold"])
def test_a_hook_of_several_scopes_runs_once_an_event_beside_those_of_each(client: Client, way: str) -> None:
    """Natively the client runs equal hooks of all its files once."""
    shared = note_hook(client)
    for scope, name in (("user", "user"), ("local", "own"), ("project", "team")):
        own = {"type": "command", "command": f"echo {name} >>{notes(client).name}", "timeout": 30}
        client.settings({"hooks": {"PreToolUse": [group(own, shared)]}}, scope)
    hooked = Hooked(client, way)
    if way == "warm":
        hooked.register_server()
        state = json.loads((client.home / ".claude.json").read_text())
        write_json(client.home / ".claude.json", {**state, "mcpServers": {"fanout": SERVER}})
    if way != "native":
        hooked.adopt("--shared", "--scope", "user", "--scope", "local")
    calls = [[bash(f"sleep 2; echo {number}")] for number in range(3)]  # the server loads meanwhile
    with serving(turns([*calls, [Text("done")]])) as model:
        assert client.say(model, "please do").result == "done"
    assert hooked.events() == ["PreToolUse"] * 3
    words = (client.project / notes(client).name).read_text().split()
    assert Counter(words) == {"user": 3, "own": 3, "team": 3}
    assert {record["path"] for record in hooked.log()[-1:]} == ({way} if way != "native" else set())


def test_a_hook_of_several_scopes_is_not_lost_where_the_client_leaves_one_out(client: Client) -> None:
    for scope in ("user", "local"):
        client.settings({"hooks": {"PreToolUse": [group(note_hook(client))]}}, scope)
    hooked = Hooked(client, "cold")
    hooked.adopt()
    with serving(turns([[bash("echo hi")], [bash("echo hi")], [Text("done")]])) as model:
        assert client.say(model, "please do", "--setting-sources", "project,local").result == "done"
    assert hooked.events() == ["PreToolUse", "PreToolUse"]
