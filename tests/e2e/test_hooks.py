"""A project's hooks in the real client: the same as natively, whichever way they run, and never lost."""

from __future__ import annotations

import difflib
import shutil
from collections import Counter
from pathlib import Path

import pytest

from e2e.client import ROOT, Client, Said, write_json
from e2e.hooked import (
    PYTHON,
    SERVER,
    Hooked,
    agent,
    bash,
    comparable,
    group,
    hostile_client,
    note_hook,
    python_hook,
    wait_until,
)
from fakes.model import Request, Text, ToolResult, Turn, serving, turns
from fanout_hooks.adoption import entries
from fanout_hooks.client import events
from fanout_hooks.run.launch import Launch

pytestmark = pytest.mark.e2e

EVENTS = sorted(events.WARM | events.COLD)


@pytest.fixture
def client(tmp_path: Path) -> Client:
    return hostile_client(tmp_path)


# --- every event --------------------------------------------------------------------------------------------

IN_ONE_SESSION = {
    "Setup",
    "InstructionsLoaded",
    "SessionStart",
    "UserPromptExpansion",
    "PreSkillShellCommand",
    "UserPromptSubmit",
    "MessageDisplay",
    "PreToolUse",
    "PermissionRequest",
    "PostToolUse",
    "PostToolUseFailure",
    "PostToolBatch",
    "SubagentStart",
    "SubagentStop",
    "CwdChanged",
    "Stop",
    "SessionEnd",
    "PreCompact",
    "PostCompact",
}
NOT_AWAITED = {"CwdChanged", "InstructionsLoaded"}
"""The client goes on beside their hooks and ends them with the session: how many run is up to chance."""


def awaited(names: list[str]) -> Counter[str]:
    return Counter(name for name in names if name not in NOT_AWAITED)


def a_session_with_every_event(client: Client, way: str) -> Hooked:
    """Run a session that triggers what `-p` can trigger, then compact it."""
    (client.project / "CLAUDE.md").write_text("Be brief.\n")
    (client.project / "sub").mkdir()
    commands = client.project / ".claude" / "commands"
    commands.mkdir(parents=True)
    (commands / "mycmd.md").write_text(
        "---\nallowed-tools: Bash(echo there)\n---\n!`echo there` Do the thing with $ARGUMENTS\n"
    )
    note = note_hook(client)
    hooked = Hooked.make(client, {event: [group(note)] for event in EVENTS}, way)
    script = turns(
        [
            [Text("I begin."), bash("echo hi")],
            [bash("cd sub && pwd")],  # early: the client doesn't wait for CwdChanged, and cuts it at the end
            [bash("ls ./nowhere")],
            [agent("a")],
            [bash("touch made")],
            [Text("all done")],
        ],
        agents={"[[sub:a]]": [[bash("echo in the agent")], [Text("a has looked")]]},
    )
    with serving(script) as model:
        said = client.say(model, "/mycmd foo bar", "--permission-mode", "default", "--init")
        assert said.result == "all done"
        client.say(model, "/compact keep the names", "--continue")
    return hooked


@pytest.fixture(scope="module")
def sessions(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Hooked]:
    """The same session three ways; the client runs for real, so all tests look at these."""
    return {
        way: a_session_with_every_event(hostile_client(tmp_path_factory.mktemp("top")), way)
        for way in ("native", "warm", "cold")
    }


@pytest.mark.parametrize("way", ["warm", "cold"])
def test_each_event_runs_its_hooks_once(sessions: dict[str, Hooked], way: str) -> None:
    native, ours = sessions["native"].events(), sessions[way].events()
    assert set(native) >= IN_ONE_SESSION
    assert awaited(ours) == awaited(native)
    assert set(ours) == set(native)
    assert awaited([record["phase"] for record in sessions[way].log()]) == awaited(ours)


@pytest.mark.parametrize("way", ["warm", "cold"])
def test_hooks_read_and_find_around_them_what_native_hooks_do(sessions: dict[str, Hooked], way: str) -> None:
    def records(hooked: Hooked) -> list[str]:
        found = [one for one in hooked.seen() if one["event"]["hook_event_name"] not in NOT_AWAITED]
        return "\n".join(sorted(comparable(one, hooked.client) for one in found)).splitlines()

    assert list(difflib.unified_diff(records(sessions["native"]), records(sessions[way]), n=0)) == []


def test_as_soon_as_the_server_is_loaded_all_events_are_warm_that_can_be(sessions: dict[str, Hooked]) -> None:
    log = sessions["warm"].log()
    ways = [(record["phase"], record["path"]) for record in log]
    begin = next(at for at, record in enumerate(log) if record["path"] == "warm")
    end = next(at for at, record in enumerate(log) if record["phase"] == "SessionEnd")
    assert {way for way in ways[begin:end] if way[1] != "warm"} <= {("CwdChanged", "cold")}
    assert {phase for phase, way in ways if way == "warm"} >= IN_ONE_SESSION - events.COLD - {
        "InstructionsLoaded",  # this one and the first prompt come before a server is sure to be loaded
        "PreSkillShellCommand",
        "UserPromptSubmit",
        "UserPromptExpansion",
        "PreCompact",  # a session of its own, and nothing else
        "PostCompact",
    }
    assert {phase for phase, way in ways if phase in events.COLD and way == "warm"} == set()
    assert {record["path"] for record in sessions["cold"].log()} == {"cold"}


# --- what hooks answer --------------------------------------------------------------------------------------

ANSWERS = """
import json, sys, time
event = json.load(sys.stdin)
command = event["tool_input"].get("command", "")
def say(**own):
    print(json.dumps({"hookSpecificOutput": {"hookEventName": "PreToolUse", **own}}))
if "deny" in command:
    say(permissionDecision="deny", permissionDecisionReason="not this one")
elif "exit two" in command:
    sys.stderr.write("nor this one")
    sys.exit(2)
elif "ask" in command:
    say(permissionDecision="ask", permissionDecisionReason="are you sure?")
elif "allow" in command:
    say(permissionDecision="allow")
elif "rewrite" in command:
    say(updatedInput={**event["tool_input"], "command": "echo written anew"})
elif "context" in command:
    say(additionalContext="CONTEXT OF THE HOOK")
elif "crash" in command:
    raise RuntimeError("oops")
elif "garbage" in command:
    print('{"hookSpecificOutput": {"hookEv')
elif "hang" in command:
    time.sleep(60)
"""
COMMANDS = [
    "echo deny",
    "echo exit two",
    "echo ask",
    "touch allow",
    "touch unasked",
    "echo rewrite",
    "echo context",
    "echo crash",
    "echo garbage",
    "echo hang",
    "echo plain",
]


def answers_of(client: Client, way: str) -> tuple[list[ToolResult], Said, list[Request], Hooked]:
    hook = python_hook(client, "answers", ANSWERS, timeout=2)
    hooked = Hooked.make(client, {"PreToolUse": [group(hook, matcher="Bash")]}, way)
    with serving(turns([[bash(command)] for command in COMMANDS])) as model:
        said = client.say(model, "please do", "--permission-mode", "default")
        return model.last.tool_results, said, list(model.requests), hooked


def test_every_answer_of_a_hook_has_the_effect_that_it_has_natively(tmp_path: Path) -> None:
    found, contexts = {}, {}
    for way in ("native", "warm", "cold"):
        client = hostile_client(tmp_path / way)
        results, said, requests, hooked = answers_of(client, way)
        assert len(results) == len(COMMANDS)
        found[way] = {
            command: (result.is_error, comparable({"text": result.text}, client))
            for command, result in zip(COMMANDS, results, strict=True)
        }
        contexts[way] = ["CONTEXT OF THE HOOK" in request.news for request in requests]
        assert (client.project / "allow").exists()
        assert not (client.project / "unasked").exists()
        if way != "native":
            assert any("printed something that starts like JSON" in note for note in said.notes)
            assert any(record["hooks"][0].get("timed_out") for record in hooked.log())
    # Natively the hook's own command line stands before the reason of an exit code 2; ours is a clean reason.
    assert "nor this one" in found["native"].pop("echo exit two")[1]
    for way in ("warm", "cold"):
        assert found[way].pop("echo exit two") == (
            True,
            '{\n "text": "PreToolUse:Bash hook error: nor this one"\n}',
        )
        assert found[way] == found["native"]
        assert contexts[way] == contexts["native"]


@pytest.mark.usefixtures("tmux")
def test_in_a_running_terminal_session_adopted_hooks_take_over_and_answer(client: Client) -> None:
    answers, note = python_hook(client, "answers", ANSWERS), note_hook(client)
    seen = ("Notification", "PermissionRequest", "ConfigChange", "PreCompact", "PostCompact", "SessionEnd")
    hooks = {event: [group(note)] for event in seen}
    hooked = Hooked.make(client, {**hooks, "PreToolUse": [group(answers, note)]}, "native")
    hooked.register_server()
    script = turns(
        [
            [bash("echo natively")],
            [Text("the first is done")],
            [bash("echo deny")],
            [bash("echo rewrite")],
            [bash("echo context")],
            [bash("echo ask")],
            [Text("the second is done")],
        ]
    )
    with (
        serving(script) as model,
        client.terminal(model, "--permission-mode", "default", size=(200, 60)) as screen,
    ):
        screen.type("please begin")
        screen.wait_for("the first is done")
        assert hooked.log() == []
        hooked.adopt()
        wait_until(lambda: "ConfigChange" in hooked.events())  # the client has read the new settings
        screen.type("please go on")
        screen.wait_for("Do you want to proceed", "are you sure?")
        wait_until(lambda: "Notification" in hooked.events())  # some seconds after it asked
        screen.press("Enter")
        screen.wait_for("the second is done")
        results = model.last.tool_results
        screen.type("/compact keep the names")
        screen.wait_for("Compacted|Conversation compacted|compacted")
        screen.type("/exit")
        wait_until(lambda: "SessionEnd" in hooked.events())
    assert [(result.is_error, result.text.strip()) for result in results] == [
        (False, "natively"),
        (True, "PreToolUse:Bash hook error: not this one"),
        (False, "written anew"),
        (False, "context"),
        (False, "ask"),
    ]
    assert any("CONTEXT OF THE HOOK" in request.news for request in model.requests)
    # The first one starts what the server had no reason to start before there were hooks to call it.
    tools = [record["path"] for record in hooked.log() if record["phase"] == "PreToolUse"]
    assert len(tools) == 4
    assert tools[1:] == ["warm"] * 3
    later = {record["phase"]: record["path"] for record in hooked.log()}
    waited = ("Notification", "PermissionRequest", "PreCompact", "PostCompact")
    assert [later[phase] for phase in waited] == ["warm"] * 4
    assert Counter(hooked.events())["PreToolUse"] == 5
    assert {"PreCompact", "PostCompact", "ConfigChange"} <= set(hooked.events())


# --- many at once -------------------------------------------------------------------------------------------

COUNT = """
import json, os, sys
json.load(sys.stdin)
path = os.path.join(os.environ["CLAUDE_PROJECT_DIR"], "count.txt")
try:
    count = int(open(path).read())
except FileNotFoundError:
    count = 0
open(path, "w").write(str(count + 1))
"""


def test_fourteen_agents_at_once_lose_no_event_and_no_update(client: Client) -> None:
    count, note = python_hook(client, "count", COUNT), note_hook(client)
    hooks = {
        "PreToolUse": [group(count, note)],
        "SubagentStart": [group(note)],
        "SubagentStop": [group(note)],
    }
    hooked = Hooked.make(client, hooks)
    marks = [f"m{number}" for number in range(14)]
    script = turns(
        [[agent(mark) for mark in marks], [Text("all done")]],
        agents={f"[[sub:{mark}]]": [[bash(f"echo {mark}")], [Text(f"{mark} is done")]] for mark in marks},
    )
    with serving(script) as model:
        said = client.say(model, "send all of them")
    assert said.result == "all done"
    assert Counter(hooked.events()) == {"PreToolUse": 28, "SubagentStart": 14, "SubagentStop": 14}
    assert (client.project / "count.txt").read_text() == "28"
    inside = [record["event"] for record in hooked.seen() if record["event"].get("agent_id")]
    by_agent = Counter(event["agent_id"] for event in inside)
    assert len(by_agent) == 14
    assert set(by_agent.values()) == {3}


SLOW_END = """
import sys, time
sys.stdin.read()
time.sleep(0.5)
open(sys.argv[1], "a").write('{"event": {"hook_event_name": "ended"}}\\n')
"""


def test_hooks_of_half_a_second_end_within_the_time_that_a_session_gives_its_end(client: Client) -> None:
    hooked = Hooked.make(client, {"SessionEnd": [group(python_hook(client, "end", SLOW_END))]})
    with serving(turns([[Text("done")]])) as model:
        client.say(model, "hello")
        client.say(model, "hello")
    assert hooked.events() == ["ended", "ended"]
    assert [record["hooks"][0]["exit"] for record in hooked.log()] == [0, 0]


# --- the plugin ---------------------------------------------------------------------------------------------


def test_the_plugin_brings_log_and_gate_and_nothing_runs_twice_beside_any_settings(client: Client) -> None:
    plugin = client.home.parent / "plug in"
    shutil.copytree(ROOT / "hooks", plugin / "hooks", ignore=shutil.ignore_patterns("__pycache__"))
    about = {"name": "fanout", "version": "0.1.0", "mcpServers": {"fanout": SERVER}}
    write_json(plugin / ".claude-plugin" / "plugin.json", about)
    hooked = Hooked(client, "plugin")

    def waves(*words: str) -> int:
        script = turns([[agent("a")], [Text("all done")]], agents={"[[sub:a]]": [[Text("a is done")]]})
        before = len(hooked.log())
        with serving(script) as model:
            said = client.say(model, "send one", *words)
        assert said.result == "all done"
        return sum("wave" in record.get("gate", {}) for record in hooked.log()[before:])

    with_plugin = ("--plugin-dir", str(plugin))
    assert waves(*with_plugin) == 1
    client.settings({"hooks": entries.log_and_gate_entries()}, "user")
    other = Launch(PYTHON, str(plugin / "hooks" / "run.py"))
    client.settings({"hooks": entries.log_and_gate_entries(launch=other)}, "local")
    assert waves() == 1  # both cold, by different lines
    hooked.register_server()
    assert waves(*with_plugin) == 1  # both warm, by different calls


def test_the_first_event_is_warm_where_the_server_has_connected_before_it(client: Client) -> None:
    hooked = Hooked.make(client, {"PreToolUse": [group(note_hook(client))]}, "warm")
    script = turns([[bash("true")], [Text("done")]])

    def answer(request: Request) -> Turn:
        if request.tools and not request.turn:
            wait_until(lambda: any((hooked.state() / "alive").glob("server-*.sock")))
        return script(request)

    with serving(answer) as model:
        assert client.say(model, "please").result == "done"
    assert [record["path"] for record in hooked.log()] == ["warm"]
