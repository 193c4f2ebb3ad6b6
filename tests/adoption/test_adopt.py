"""Adopting moves what fanout can run, leaves the rest, and can be undone byte for byte."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as rules
from hypothesis import strategies as st

from fakes.user import User, command, group
from fanout_hooks.adoption import adopt, native, restore
from fanout_hooks.adoption import entries as adoption_entries
from fanout_hooks.client import config, events, places

GUARD = command("python3 guard.py", onFailure="block", timeout=5)
LOG = command("python3 log.py")
PROMPT = {"type": "prompt", "prompt": "is it safe?"}
BY_HAND = """{
    "permissions": {"allow": ["Bash(ls)"], "deny": []},
    "hooks": {"PreToolUse": [{"matcher": "Bash", "hooks": [{"type":"command", "command": "python3 log.py"},
                                                           {"type": "prompt", "prompt": "is it safe?"}]}],
              "SessionEnd": [ {"hooks": [{"type": "command","command": "echo bye"}]} ] },
    "env": {"NAME": "\\u00e4\\/"}
}"""


def ours(settings: dict[str, Any], kind: str = "") -> list[tuple[str, dict[str, Any]]]:
    return [
        (event, entry)
        for event, _, entry in adoption_entries.each(settings["hooks"])
        if adoption_entries.is_ours(entry) and kind in ("", entry["type"])
    ]


def test_a_hook_moves_over_unchanged_and_our_entries_take_its_place(user: User) -> None:
    user.register_server()
    user.write("user", {"model": "opus", "hooks": {"PreToolUse": [group(LOG, matcher="Bash")]}})
    done = user.run("adopt", "--all", "--yes")
    assert done.status == 0
    assert user.held("user")["hooks"] == {"PreToolUse": [group(LOG, matcher="Bash")]}
    settings = user.settings("user")
    assert settings["model"] == "opus"
    assert [entry["type"] for _, entry in ours(settings)] == ["mcp_tool", "command"]
    assert [event for event, _ in ours(settings)] == ["PreToolUse", "PreToolUse"]
    assert settings["hooks"]["PreToolUse"][0]["matcher"] == "Bash"


def test_restoring_brings_back_the_file_byte_for_byte_and_leaves_nothing_behind(user: User) -> None:
    user.register_server()
    user.write("local", BY_HAND)
    before = user.files()
    assert user.run("adopt", "--all", "--yes").status == 0
    assert user.files() != before
    assert "byte for byte" in user.run("restore", "--yes").out
    assert user.files() == before


ENTRIES = st.sampled_from(
    [
        GUARD,
        LOG,
        PROMPT,
        command("echo x", **{"async": True}),
        command("echo y", statusMessage="…"),
        command("w", args=["a b"]),
        command("v", **{"if": "Bash"}),
        {"type": "http", "url": "http://127.0.0.1:1/x"},
    ]
)
GROUPS = st.builds(
    lambda entries, matcher: group(*entries, matcher=matcher),
    st.lists(ENTRIES, max_size=3),
    st.sampled_from([None, "", "*", "Bash", "Edit|Write", "mcp__.*", "Ba("]),
)
EVENTS = st.sampled_from(
    ["PreToolUse", "Stop", "SessionStart", "SessionEnd", "UserPromptSubmit", "Elicitation", "_comment"]
)
HOOKS = st.dictionaries(EVENTS, st.lists(GROUPS, max_size=3), min_size=1)


@rules(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(HOOKS, st.sampled_from([None, 2, 4, "\t"]), st.sampled_from(["fanout", ""]))
def test_every_settings_file_is_adopted_validly_keeps_each_hook_once_and_comes_back(
    user: User, hooks: dict[str, Any], indent: Any, server: str
) -> None:
    path = user.write("local", json.dumps({"a": 1, "hooks": hooks, "b": "ä"}, indent=indent))
    before = path.read_bytes()
    own = user.place("local")
    plan = adopt.plan_adoption(own, server, takes_all=True)
    if not plan.is_change:
        return
    adopt.perform(plan, own)
    settings = user.settings("local")
    assert adoption_entries.problems(settings["hooks"]) == []
    left = [
        entry
        for _, _, entry in adoption_entries.each(settings["hooks"])
        if not adoption_entries.is_ours(entry)
    ]
    held = [native.plain_entry(entry) for _, _, entry in adoption_entries.each(user.held("local")["hooks"])]
    unique = {json.dumps(entry) for _, _, entry in adoption_entries.each(hooks)}
    assert {json.dumps(entry) for entry in left + held} == unique
    events = {event for event, _, _ in adoption_entries.each(user.held("local")["hooks"])}
    assert {event for event, _ in ours(settings)} == events
    assert not adopt.plan_adoption(own, server, takes_all=True).is_change
    back = restore.plan_restoration(own)
    assert back is not None
    restore.perform(back, own)
    assert path.read_bytes() == before


@pytest.mark.parametrize(
    ("event", "entry", "why"),
    [
        ("PreToolUse", PROMPT, "only Claude Code itself runs prompt hooks"),
        ("Stop", {"type": "agent", "prompt": "x"}, "only Claude Code itself runs agent hooks"),
        ("Stop", {"type": "mcp_tool", "server": "a", "tool": "b"}, "runs mcp_tool hooks"),
        ("PreToolUse", command("x", **{"if": "Bash(git *)"}), "can do what if asks for"),
        ("Stop", command("x", **{"async": True}), "what async asks for"),
        ("Stop", command("x", asyncRewake=True), "what asyncRewake asks for"),
        ("Stop", command("x", once=True), "what once asks for"),
        ("Stop", command("x", shell="bash"), "what shell asks for"),
        ("Elicitation", command("x"), "hand on what these hooks answer"),
        ("NoSuchEvent", command("x"), "Claude Code knows no event of this name"),
        ("FileChanged", command("x"), "Claude Code itself watches the files that its matcher names"),
        ("SessionStart", {"type": "http", "url": "http://127.0.0.1:1"}, "sends no http hooks at this event"),
        ("PreToolUse", {"type": "http", "url": "http://127.0.0.1:1"}, "by its policy"),
        ("PreToolUse", command("x", matcher="(?i)bash"), "is not read here as Claude Code reads it"),
        ("PostToolUse", command("x", timeout=0), "Claude Code ignores it: timeout must be"),
        ("UserPromptSubmit", command("x", holdsTools=True), "what holdsTools asks for"),
    ],
)
def test_what_only_the_client_can_do_stays_and_is_named(
    user: User, event: str, entry: dict[str, Any], why: str
) -> None:
    matcher = entry.pop("matcher", None)
    path = user.write("local", {"hooks": {event: [group(entry, matcher=matcher)]}})
    before = path.read_bytes()
    assert why in " ".join(user.run("adopt", "--all", "--yes").out.split())
    assert path.read_bytes() == before
    assert why in " ".join(user.run("check").out.split())


def test_hooks_of_file_changes_that_were_adopted_once_are_named_and_restored(
    user: User, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = {"Stop": [group(LOG)], "FileChanged": [group(LOG, matcher=".envrc")]}
    user.write("local", {"hooks": before})
    with monkeypatch.context() as earlier:
        earlier.setitem(events.BY_NAME, "FileChanged", events.of("FileChanged")._replace(way="cold"))
        user.run("adopt", "--all", "--yes")
    assert user.held("local")["hooks"] == before
    done = user.run("check")
    assert done.status == 1
    assert "FileChanged[0].hooks[0]: Claude Code itself watches the files" in done.out
    user.run("restore", "--yes")
    assert user.settings("local")["hooks"] == before


def test_without_consent_nothing_is_written(user: User) -> None:
    user.write("local", BY_HAND)
    before = user.files()
    done = user.run("adopt", "--all")
    assert done.status == 1
    assert "--yes" in done.err
    assert '+                        "type": "command",' in done.out  # the diff was shown
    assert user.files() == before


def test_adopting_twice_changes_nothing(user: User) -> None:
    user.write("local", BY_HAND)
    user.run("adopt", "--all", "--yes")
    before = user.files()
    assert "nothing to change" in user.run("adopt", "--all", "--yes").out
    assert user.files() == before


def test_a_hook_added_later_runs_natively_is_named_by_check_and_taken_by_the_next_adopt(user: User) -> None:
    user.write("local", BY_HAND)
    user.run("adopt", "--all", "--yes")
    settings = user.settings("local")
    settings["hooks"]["Stop"] = [group(command("python3 late.py"))]
    user.write("local", settings)
    assert "Stop: late stays native" in user.run("check").out
    user.run("adopt", "--all", "--yes")
    assert user.held("local")["hooks"]["Stop"] == [group(command("python3 late.py"))]
    assert user.run("restore", "--yes").status == 0
    restored = user.settings("local")["hooks"]
    assert restored["Stop"] == [group(command("python3 late.py"))]
    assert restored["SessionEnd"] == json.loads(BY_HAND)["hooks"]["SessionEnd"]
    assert not any(adoption_entries.is_ours(entry) for _, _, entry in adoption_entries.each(restored))


def test_what_was_changed_in_hooks_json_comes_back_changed(user: User) -> None:
    user.write("local", {"hooks": {"Stop": [group(command("python3 a.py"))]}})
    user.run("adopt", "--all", "--yes")
    held = user.held("local")
    held["hooks"]["Stop"][0]["hooks"][0] |= {"command": "python3 b.py", "writes": ["x"]}
    user.hold("local", held)
    assert "as they now stand in hooks.json" in user.run("restore", "--yes").out
    assert user.settings("local")["hooks"] == {"Stop": [group(command("python3 b.py"))]}


def test_edits_of_the_rest_of_the_file_survive_and_the_hooks_keep_their_bytes(user: User) -> None:
    path = user.write("local", BY_HAND)
    user.run("adopt", "--all", "--yes")
    path.write_text(path.read_text().replace('"deny": []', '"deny": ["Bash(rm *)"]'))
    user.run("restore", "--yes")
    assert path.read_text() == BY_HAND.replace('"deny": []', '"deny": ["Bash(rm *)"]')


def test_what_blocks_when_it_fails_becomes_a_guard_with_an_entry_of_its_own(user: User) -> None:
    user.register_server()
    user.write("local", {"hooks": {"PreToolUse": [group(GUARD, LOG, matcher="Bash")]}})
    user.run("adopt", "--all", "--yes")
    held = user.held("local")["hooks"]["PreToolUse"][0]["hooks"]
    assert [entry.get("guard", False) for entry in held] == [True, False]
    guards = [entry for _, entry in ours(user.settings("local")) if entry.get("onFailure") == "block"]
    assert len(guards) == 1
    assert "--only guard" in guards[0]["command"]


def test_the_committed_file_is_touched_only_when_asked_and_mentioned_otherwise(user: User) -> None:
    path = user.write("shared", BY_HAND)
    done = user.run("adopt", "--all", "--yes")
    assert "`fanout-hooks adopt --shared` takes them" in done.out
    assert path.read_text() == BY_HAND


def test_a_committed_file_holds_no_path_of_this_machine_and_no_server(user: User, tmp_path: Path) -> None:
    user.register_server()
    user.write("shared", BY_HAND)
    user.run("adopt", "--all", "--shared", "--yes")
    text = user.path("shared").read_text()
    assert str(tmp_path) not in text
    assert places.TOOL not in text
    assert [event for event, _ in ours(user.settings("local"), "mcp_tool")] == ["PreToolUse"]
    assert "hooks.local.json" in (user.project / ".claude/fanout/.gitignore").read_text().splitlines()


def test_committed_and_own_files_come_back_byte_for_byte(user: User) -> None:
    user.register_server()
    user.write("shared", BY_HAND)
    user.write("local", BY_HAND)
    before = user.files()
    assert user.run("adopt", "--all", "--scope", "shared", "--scope", "local", "--yes").status == 0
    assert user.run("restore", "--yes").status == 0
    assert user.files() == before


def test_restoring_the_local_scope_leaves_what_is_committed(user: User) -> None:
    for scope in ("shared", "local"):
        user.write(scope, BY_HAND)
    user.run("adopt", "--all", "--shared", "--scope", "local", "--yes")
    folder = user.project / ".claude" / "fanout"
    user.run("restore", "--scope", "local", "--yes")
    assert {"run", "originals.py", "hooks.json"} <= {path.name for path in folder.iterdir()}


def test_a_scope_restores_while_another_stays_adopted(user: User) -> None:
    user.register_server()
    for scope in ("shared", "local", "user"):
        user.write(scope, BY_HAND)
    user.run("adopt", "--all", "--shared", "--scope", "local", "--scope", "user", "--yes")
    user.run("restore", "--scope", "local", "--yes")
    assert [entry["input"]["fanout_scopes"] for _, entry in ours(user.settings("local"))] == ["shared"]
    user.run("restore", "--yes")
    for scope in ("shared", "user"):
        assert user.path(scope).read_text() == BY_HAND
    assert user.settings("local") == json.loads(BY_HAND)


@pytest.mark.parametrize(
    ("content", "why"),
    [
        ('{"hooks": {"Stop": [}', "line 1"),
        ('{"hooks": {"PreToolUse": [{"hooks": [{"type": "command"}]}]}}', "'command' is missing"),
        ('{"hooks": {"PreToolUse": [{"hooks": [{"type": "callback"}]}]}}', "its type must be one of"),
        ('{"hooks": {"PreToolUse": [{"hooks": [{"type":"command","command":"x","timeout":0}]}]}}', "above 0"),
        ('{"hooks": {"PreToolUse": [{"hooks": [{"type":"command","command":"x","once":1}]}]}}', "once must"),
        ('{"hooks": {"PermissionRequest": {}}}', "PermissionRequest must be a list of groups"),
        ('{"hooks": {"PreToolUse": [{"matcher": null, "hooks": []}]}}', "matcher must be a text"),
        ('{"hooks": {"PreToolUse": [{"matcher": "Bash"}]}}', 'must be {"matcher"'),
        ('{"hooks": {"old": {"PreToolUse": [{"hooks": []}]}}}', "old is not an event"),
        ('{"hooks": []}', '"hooks" must be an object'),
    ],
)
def test_settings_that_the_client_refuses_are_refused_and_left_as_they_are(
    user: User, content: str, why: str
) -> None:
    path = user.write("local", content)
    done = user.run("adopt", "--all", "--yes")
    assert done.status == 1
    assert why in done.err
    assert str(path) in done.err
    assert path.read_text() == content
    assert why in user.run("check").out


@pytest.mark.parametrize(
    "bad",
    [
        {"PostToolUse": [group(command("x", timeout=0))]},
        {"PostToolUse": [group(command("x", timeout="10"))]},
        {"PostToolUse": [group(command("x", timeout=None))]},
        {"PostToolUse": [group(command("x", onFailure="maybe"))]},
        {"PostToolUse": [group({"command": "x"})]},
        {"PostToolUse": [group({"type": "script", "command": "x"})]},
        {"PostToolUse": [{"matcher": {"tool": "Bash"}, "hooks": [command("x")]}]},
        {"PostToolUse": [{"matcher": None, "hooks": [command("x")]}]},
        {"PostToolUse": [{"matcher": "Bash"}, "text", 7]},
        {"PostToolUse": None},
        {"PostToolUse": {"hooks": [command("x")]}},
        {"PreToolUse": None},
        {"_comment": "mine"},
        {"NoSuchEvent": {"hooks": "x"}},
        {"NoSuchEvent": [group(command("x"))]},
        {"PostToolUse": [group(command("x", statusMessage=7))]},
        {"PostToolUse": [group(command("x", args="a b"))]},
    ],
    ids=lambda bad: json.dumps(bad)[:70],
)
def test_what_the_client_leaves_out_is_left_out_alone_and_comes_back(user: User, bad: dict[str, Any]) -> None:
    good = {"Stop": [group(LOG)]}
    path = user.write("local", {"hooks": bad | good})
    before = path.read_bytes()
    done = user.run("adopt", "--all", "--yes")
    assert done.status == 0, done.out + done.err
    assert user.held("local")["hooks"] == good
    hooks = user.settings("local")["hooks"]
    assert {event: hooks[event] for event in bad} == bad
    assert user.run("adopt", "--all", "--yes").status == 0
    assert user.run("check").status == 0
    assert user.run("restore", "--yes").status == 0
    assert path.read_bytes() == before


def test_a_hooks_json_of_another_version_is_left_to_it(user: User) -> None:
    user.write("local", BY_HAND)
    user.run("adopt", "--all", "--yes")
    user.hold("local", user.held("local") | {"version": 2})
    before = user.files()
    assert "another version of fanout" in user.run("adopt", "--all", "--yes").err
    assert user.files() == before


def test_a_stale_hooks_json_brings_nothing_back_that_the_user_removed(user: User) -> None:
    user.write("local", {"hooks": {"Stop": [group(command("a"), command("b"))]}})
    user.run("adopt", "--all", "--yes")
    user.write("local", {"hooks": {"Stop": [group(command("b"))]}})  # the user went back by hand
    assert "not in use" in user.run("check").out
    user.run("adopt", "--all", "--yes")
    assert user.held("local")["hooks"] == {"Stop": [group(command("b"))]}


def test_what_is_said_of_a_hook_in_hooks_json_is_checked_before_entries_are_written(user: User) -> None:
    user.write("local", {"hooks": {"Stop": [group(command("python3 a.py"))]}})
    user.run("adopt", "--all", "--yes")
    held = user.held("local")
    held["hooks"]["Stop"][0]["hooks"][0]["after"] = ["nobody"]
    user.hold("local", held)
    done = user.run("adopt", "--all", "--yes")
    assert done.status == 1
    assert 'says after "nobody", and there is no hook of that name' in done.err


def test_where_no_server_is_registered_no_entry_calls_one_and_that_is_said(user: User) -> None:
    user.write("local", BY_HAND)
    assert "no server `fanout` is registered" in user.run("adopt", "--all", "--yes").out
    assert ours(user.settings("local"), "mcp_tool") == []
    user.register_server()
    user.run("adopt", "--all", "--yes")
    assert [event for event, _ in ours(user.settings("local"), "mcp_tool")] == ["PreToolUse"]


def test_plugin_users_are_served_by_the_plugins_server(user: User) -> None:
    user.write("user", json.loads(BY_HAND) | {"enabledPlugins": {"fanout@fanout": True}})
    user.run("adopt", "--all", "--yes")
    assert [entry["server"] for _, entry in ours(user.settings("user"), "mcp_tool")] == [places.PLUGIN_SERVER]


@pytest.mark.parametrize("adopting", [("shared", "local"), ("local", "shared")], ids=" then ".join)
@pytest.mark.parametrize("restoring", [("shared", "local"), ("local", "shared")], ids=" then ".join)
def test_in_whatever_order_two_scopes_share_a_file_both_come_back_byte_for_byte(
    user: User, adopting: tuple[str, ...], restoring: tuple[str, ...]
) -> None:
    user.register_server()
    user.write("shared", BY_HAND)
    user.write("local", BY_HAND)
    before = user.files()
    for scope in adopting:
        assert user.run("adopt", "--all", "--scope", scope, "--yes").status == 0
    assert "nothing to change" in user.run("adopt", "--all", "--shared", "--scope", "local", "--yes").out
    for scope in restoring:
        assert user.run("restore", "--scope", scope, "--yes").status == 0
    assert user.files() == before


def test_a_guards_name_never_becomes_another_hooks(user: User) -> None:
    hooks = [command(f"python3 act.py {number}") for number in range(6)]
    hooks[2]["onFailure"] = hooks[3]["onFailure"] = "block"
    user.write("local", {"hooks": {"PreToolUse": [group(*hooks)]}})
    user.run("adopt", "--all", "--yes")
    loaded = config.load(("local",), str(user.project), str(user.place("local").claude)).hooks
    assert len({hook.name for hook in loaded}) == len(hooks)
    asked = [entry["command"] for _, entry in ours(user.settings("local")) if entry.get("onFailure")]
    for guard in (hook for hook in loaded if hook.guard):
        assert sum(f"--only {guard.name};" in line for line in asked) == 1
