"""What fanout writes for an event: valid, complete, and a line of `sh` that never loses it."""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from fakes.user import sh
from fanout_hooks.adoption import entries
from fanout_hooks.adoption.entries import Registration
from fanout_hooks.client import events, matchers, places
from fanout_hooks.client import hook_input as inputs
from fanout_hooks.client.config import SCOPES, Hook
from fanout_hooks.client.home import state_folder
from fanout_hooks.client.places import PLUGIN_SERVER
from fanout_hooks.run import choose, claims, launch
from fanout_hooks.run.launch import Launch

EVENTS = sorted(events.WARM | events.COLD)
OWN = Launch("/usr/bin/python 3.11", "/opt/it's/__main__.py")


def hook(event: str, name: str = "a", **more: Any) -> Hook:
    return Hook(name, event, "user")._replace(**more)


@pytest.mark.parametrize("event", EVENTS)
@pytest.mark.parametrize(
    "to", [Registration("user", OWN), Registration("shared", None)], ids=["own", "committed"]
)
def test_for_each_event_the_entries_are_what_the_client_accepts(event: str, to: Registration) -> None:
    hooks = [hook(event), hook(event, "g", guard=True)]
    made = entries.adopted(hooks, to)
    assert entries.problems(made) == []
    assert all(entries.is_ours(entry) for _, _, entry in entries.each(made))
    kinds = [entry["type"] for _, _, entry in entries.each(made)]
    assert kinds == (["mcp_tool"] if event in events.WARM else []) + ["command", "command"]


@pytest.mark.parametrize("event", sorted(events.WARM))
def test_the_call_asks_for_every_field_of_its_event_by_name(event: str) -> None:
    group = entries.adopted([hook(event)], Registration("user", OWN))[event][0]
    asked = group["hooks"][0]["input"]
    assert asked["fanout_scopes"] == "user"
    names = [field.name for field in inputs.fields_of(event)]
    assert {name: asked[name] for name in names} == {name: "${" + name + "}" for name in names}
    assert len(asked) == len(names) + 1


def test_without_a_server_nothing_looks_for_one() -> None:
    group = entries.adopted([hook("Stop")], Registration("user", OWN, server=""))["Stop"][0]
    (entry,) = group["hooks"]
    assert "alive" not in entry["command"]


def test_a_guard_is_blocked_when_it_fails_and_never_looks_for_a_server() -> None:
    group = entries.adopted([hook("PreToolUse", "it's", guard=True)], Registration("user", OWN))[
        "PreToolUse"
    ][0]
    (entry,) = group["hooks"]
    assert entry["onFailure"] == "block"
    assert "alive" not in entry["command"]


@pytest.mark.parametrize(
    ("event", "timeouts", "expected"),
    [
        ("PreToolUse", [600.0], 601.0),
        ("PreToolUse", [5.0, 10.0], 16.0),
        ("UserPromptSubmit", [30.0, 30.0, 30.0], 91.0),
        ("SessionEnd", [1.5, 1.5, 1.5], 5.0),
        ("SessionEnd", [90.0], 60.0),
    ],
)
def test_an_entry_gives_each_of_its_hooks_the_hooks_own_time_even_in_a_row(
    event: str, timeouts: list[float], expected: float
) -> None:
    assert entries.timeout_of(event, [hook(event, timeout_s=one) for one in timeouts]) == expected


MATCHERS = st.sampled_from(
    [
        "",
        "*",
        "Bash",
        "Bash|Edit",
        "Edit, Write",
        "Task",
        "Agent",
        "^Ba",
        "mcp__.*",
        "(?:x)|Read",
        "my-tool",
        "(?i)x",
    ]
)
TOOLS = ("Bash", "BashOutput", "Edit", "Write", "Read", "Agent", "mcp__a__b", "NotebookEdit", "my-tool-lite")


@rules(deadline=None)
@given(st.lists(MATCHERS, min_size=1, max_size=4))
def test_every_list_of_matchers_has_groups_that_fire_when_one_of_them_does_and_never_else(
    wanted: list[str],
) -> None:
    groups = choose.groups_of("PreToolUse", wanted)
    for tool in TOOLS:
        fires = any(matchers.meets(one, "PreToolUse", tool) for one in groups)
        assert fires == any(matchers.meets(one, "PreToolUse", tool) for one in wanted)


def test_all_groups_of_an_event_hold_equal_entries_for_the_client_runs_those_once() -> None:
    hooks = [hook("PreToolUse", matcher="Bash"), hook("PreToolUse", "b", matcher="^mcp__")]
    made = entries.adopted(hooks, Registration("user", OWN))["PreToolUse"]
    assert [own["matcher"] for own in made] == ["Bash", "^mcp__"]
    assert made[0]["hooks"] == made[1]["hooks"]


def test_events_without_a_matcher_get_none() -> None:
    made = entries.adopted([hook("Stop", matcher="Bash")], Registration("user", OWN))
    assert "matcher" not in made["Stop"][0]


# --- the line of sh -----------------------------------------------------------------------------------------


class Session:
    """A state folder, a fake of our own process that says what it was started with, and an environment."""

    def __init__(self, tmp_path: Path) -> None:
        self.project = tmp_path / "pro 'ject"
        self.home = tmp_path / "ho me"
        for folder in (self.project, self.home):
            folder.mkdir()
        self.script = tmp_path / "our's.py"
        self.script.write_text(
            "import sys; print('cold', sys.flags.isolated, sys.flags.no_site, *sys.argv[1:])"
        )
        self.env = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.home),
            "CLAUDE_PROJECT_DIR": str(self.project),
            "CLAUDE_CODE_MESSAGING_SOCKET": "/run/cc/77.sock",
            "CLAUDE_PID": "4711",
            "p": "/from/outside",
            "m": "/from/outside",
        }
        self.state = state_folder(self.env)
        self.run = self.project / ".claude" / "fanout" / "run"

    def registration(self, scope: str = "user", server: str = places.SERVER) -> Registration:
        own = Launch(os.path.realpath(sys.executable), str(self.script))
        if scope == "shared":
            launch.write(self.state, own)
            self.run.parent.mkdir(parents=True, exist_ok=True)
            self.run.write_text(entries.RUN)
        return Registration(scope, None if scope == "shared" else own, server)

    def line(self, to: Registration, **more: Any) -> str:
        group = entries.adopted([hook("PreToolUse", **more)], to)["PreToolUse"][0]
        return str(group["hooks"][-1]["command"])

    def mark(self, pid: int, key: str = "77.sock") -> None:
        claims.mark(claims.folder(self.state), (key,), pid)


@pytest.fixture
def session(tmp_path: Path) -> Session:
    return Session(tmp_path)


COLD = "cold 1 1 cold --scopes"


@pytest.mark.parametrize("scope", ["user", "local", "shared"])
def test_without_a_server_our_process_runs_isolated(session: Session, scope: str) -> None:
    done = sh(session.line(session.registration(scope)), session.env)
    assert (done.returncode, done.stdout, done.stderr) == (0, f"{COLD} {scope}\n", "")


def test_with_this_clients_server_alive_the_line_steps_back(session: Session) -> None:
    session.mark(os.getpid())
    done = sh(session.line(session.registration()), session.env)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


@pytest.mark.parametrize(
    ("server_knows", "hook_knows"),
    [
        ("both", "both"),
        ("both", "the socket"),
        ("both", "the process"),
        ("the process", "both"),
        ("the process", "the process"),
    ],
)
def test_a_server_and_hooks_that_know_one_thing_of_their_client_in_common_find_each_other(
    session: Session, server_knows: str, hook_knows: str
) -> None:
    out = {"the socket": "CLAUDE_PID", "the process": "CLAUDE_CODE_MESSAGING_SOCKET"}
    server, own = (
        {name: value for name, value in session.env.items() if name != out.get(knows)}
        for knows in (server_knows, hook_knows)
    )
    claims.mark(claims.folder(session.state), claims.client_keys(server, 4711), os.getpid())
    assert sh(session.line(session.registration()), own).stdout == ""


@pytest.mark.parametrize("mark", ["dead", "another client's", "the plugin's", "empty", "garbage"])
def test_any_other_mark_is_no_reason_to_step_back(session: Session, mark: str) -> None:
    key = {"another client's": "78.sock", "the plugin's": "77.sock@plugin"}.get(mark, "77.sock")
    session.mark(os.getpid(), key)
    content = {"dead": "4194999\n", "empty": "", "garbage": "; rm -rf x"}.get(mark)
    if content is not None:
        (Path(claims.folder(session.state)) / f"server-{key}").write_text(content)
    assert sh(session.line(session.registration()), session.env).stdout == f"{COLD} user\n"


@pytest.mark.skipif(not Path("/proc/self/stat").exists(), reason="the system doesn't tell who is dead")
def test_a_server_that_was_killed_and_is_not_buried_yet_is_no_reason_to_step_back(
    session: Session,
) -> None:
    with subprocess.Popen(["/bin/sleep", "60"]) as server:
        server.kill()
        os.waitid(os.P_PID, server.pid, os.WEXITED | os.WNOWAIT)
        session.mark(server.pid)
        assert sh(session.line(session.registration()), session.env).stdout == f"{COLD} user\n"


def test_entries_that_call_the_plugins_server_look_for_that_one(session: Session) -> None:
    keys = claims.client_keys(session.env | {"CLAUDE_PLUGIN_ROOT": "/x"}, 1)
    claims.mark(claims.folder(session.state), keys, os.getpid())
    assert sh(session.line(session.registration(server=PLUGIN_SERVER)), session.env).stdout == ""


def test_a_committed_line_steps_back_only_for_users_whose_own_settings_call_the_server(
    session: Session,
) -> None:
    line = session.line(session.registration("shared"))
    session.mark(os.getpid())
    assert sh(line, session.env).stdout == f"{COLD} shared\n"
    warm = session.project / ".claude" / "fanout" / "state" / "warm"
    warm.parent.mkdir()
    warm.write_text("\n{}")
    assert sh(line, session.env).stdout == ""
    warm.write_text("@plugin\n{}")
    assert sh(line, session.env).stdout == f"{COLD} shared\n"


def test_the_state_folder_is_the_sessions(session: Session, tmp_path: Path) -> None:
    line = session.line(session.registration())
    for more in ({"FANOUT_STATE_DIR": str(tmp_path / "f s")}, {"XDG_STATE_HOME": str(tmp_path / "x s")}):
        env = session.env | more
        assert sh(line, env).stdout == f"{COLD} user\n"
        claims.mark(claims.folder(state_folder(env)), ("77.sock",), os.getpid())
        assert sh(line, env).stdout == ""


def test_an_interpreter_that_is_gone_is_replaced_by_the_one_on_the_path(session: Session) -> None:
    to = session.registration()
    line = session.line(to._replace(launch=Launch("/gone/python", str(session.script))))
    folder = session.home / "bin"
    folder.mkdir()
    (folder / "python3").symlink_to(os.path.realpath(sys.executable))
    assert sh(line, session.env | {"PATH": f"{folder}:/usr/bin:/bin"}).stdout == f"{COLD} user\n"


@pytest.mark.parametrize("scope", ["user", "local", "shared"])
def test_where_fanout_is_gone_the_originals_run(session: Session, scope: str) -> None:
    to = session.registration(scope)
    session.script.unlink()
    root = session.home if scope == "user" else session.project
    folder = root / ".claude" / "fanout" / ("state" if scope == "local" else "")
    folder.mkdir(parents=True, exist_ok=True)
    (folder / "originals.py").write_text("import sys; print('originals', *sys.argv[1:])")
    file = "../hooks.local.json" if scope == "local" else "hooks.json"
    assert sh(session.line(to), session.env).stdout == f"originals {file}\n"
    assert sh(session.line(to, guard=True), session.env).stdout == f"originals {file} a\n"


@pytest.mark.parametrize("scope", ["user", "local", "shared"])
def test_where_nothing_is_left_a_guard_denies_and_the_rest_goes_on_with_a_line_that_helps(
    session: Session, scope: str
) -> None:
    to = session.registration(scope)
    session.script.unlink()
    for guard, status in ((False, 1), (True, 2)):
        done = sh(session.line(to, guard=guard), session.env)
        assert (done.returncode, done.stdout) == (status, "")
        assert re.fullmatch(
            r"fanout is not (at .* any more; install it again, or take it out|installed, .* missing): .*\n",
            done.stderr,
        )


@pytest.mark.parametrize("damage", ["missing", "empty", "a folder", "a merge's marks", "other line ends"])
def test_without_a_whole_committed_program_a_guard_denies_and_the_rest_goes_on(
    session: Session, damage: str
) -> None:
    to = session.registration("shared")
    session.run.unlink()
    texts = {"empty": "", "a merge's marks": f"<<<<<<< HEAD\n{entries.RUN}=======\n>>>>>>> other\n"}
    texts["other line ends"] = entries.RUN.replace("\n", "\r\n")
    if damage == "a folder":
        session.run.mkdir()
    elif damage in texts:
        session.run.write_bytes(texts[damage].encode())
    for guard, status in ((False, 1), (True, 2)):
        done = sh(session.line(to, guard=guard), session.env)
        assert (done.returncode, done.stdout) == (status, "")
        assert done.stderr.startswith(f"'{session.run}' is missing or damaged: ")


def test_a_committed_line_is_short_and_its_program_names_no_place_of_this_machine(session: Session) -> None:
    assert len(session.line(session.registration("shared"), guard=True)) <= 360
    assert max(map(len, entries.RUN.splitlines())) <= 120
    assert str(session.home) not in entries.RUN


def test_the_real_cold_path_takes_an_event_from_the_line(session: Session) -> None:
    folder = session.home / ".claude" / "fanout"
    folder.mkdir(parents=True)
    entry = {"type": "command", "command": 'echo \'{"systemMessage": "ran"}\''}
    (folder / "hooks.json").write_text(
        json.dumps({"version": 1, "hooks": {"PreToolUse": [{"hooks": [entry]}]}})
    )
    line = session.line(Registration("user", Launch.own()))
    event = {
        "hook_event_name": "PreToolUse",
        "session_id": "s",
        "cwd": str(session.project),
        "tool_name": "Bash",
    }
    done = sh(line, session.env, json.dumps(event) + "\n")
    assert json.loads(done.stdout) == {"systemMessage": "ran"}


@pytest.mark.parametrize("scope", SCOPES)
def test_every_line_of_a_scope_has_a_name_that_the_client_shows_instead_of_it(scope: str) -> None:
    hooks = [
        Hook(name="a", event="Stop", scope=scope, command="true"),
        Hook(name="b", event="SessionStart", scope=scope, command="true"),
        Hook(name="c", event="PreToolUse", scope=scope, command="true", guard=True),
    ]
    made = entries.adopted(hooks, Registration(scope, None))
    lines = [entry for _, _, entry in entries.each(made) if entry["type"] == "command"]
    assert [entry["statusMessage"] for entry in lines] == [places.SHOWN] * 3


def test_while_hooks_run_the_client_shows_what_they_ask_it_to_show() -> None:
    hooks = [hook("Stop"), hook("Stop", "b", status="Checking"), hook("Stop", "c", status="Linting")]
    made = entries.adopted(hooks, Registration("user", OWN))["Stop"][0]
    assert made["hooks"][-1]["statusMessage"] == "Checking; Linting"
