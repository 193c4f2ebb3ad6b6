"""Whatever damages an adoption: no hook is lost, `check` names it, and adopt or restore mends it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from fanout_hooks import cli
from fanout_hooks.adoption import bench, native
from fanout_hooks.adoption import entries as adoption_entries
from fanout_hooks.run import config
from hooks_cli.desk import Desk, command, group, sh

WRITES = {"os.rename", "os.remove", "os.rmdir", "os.mkdir", "os.truncate"}
TEXT = """{
    "model": "opus",
    "hooks": {"Stop": [ {"hooks": [{"type": "command", "command": "echo SCOPE one"}]} ],
              "PreToolUse": [{"matcher": "Bash",
                "hooks": [{"type": "command", "command": "echo SCOPE two", "onFailure": "block"}]}]},
    "env": {}
}
"""
SCOPES = {"own": ("user", "local"), "committed": ("shared", "local")}
WORDS = {"own": ("--yes",), "committed": ("--yes", "--scope", "local", "--shared")}


def killed_at(number: int, words: tuple[str, ...]) -> bool:
    """Run a command in a process that is killed right before a write; say whether it came to that."""
    child = os.fork()
    if child == 0:
        seen = 0

        def watch(event: str, arguments: tuple[Any, ...]) -> None:
            nonlocal seen
            is_open = event == "open" and arguments[2] & (os.O_WRONLY | os.O_RDWR | os.O_CREAT)
            if event in WRITES or is_open:
                seen += 1
                if seen == number:
                    os.kill(os.getpid(), signal.SIGKILL)

        sys.addaudithook(watch)
        os._exit(cli.main(words))
    _, status = os.waitpid(child, 0)
    return os.WIFSIGNALED(status)


def in_force(desk: Desk, scope: str) -> list[str]:
    """Return the commands of a scope that run now: natively, or because an entry leads to its hooks.json."""
    hooks = desk.settings(scope)["hooks"]
    is_own = native.owned_by(scope)
    leading = {event for event, _, entry in adoption_entries.each(hooks) if is_own(entry)}
    native_now = [
        entry["command"]
        for _, _, entry in adoption_entries.each(hooks)
        if not adoption_entries.is_ours(entry)
    ]
    held = config.load((scope,), str(desk.project), str(desk.home / ".claude")).hooks if leading else ()
    return sorted(native_now + [hook.command for hook in held if hook.event in leading])


@pytest.mark.parametrize("kind", ["own", "committed"])
@pytest.mark.parametrize("word", ["adopt", "restore"])
def test_killed_at_any_write_no_hook_is_lost_and_the_next_command_mends_it(
    desk: Desk, kind: str, word: str
) -> None:
    desk.register_server()
    scopes, words = SCOPES[kind], WORDS[kind]
    number = 0
    was_killed = True
    while was_killed:
        number += 1
        for scope in scopes:
            desk.write(scope, TEXT.replace("SCOPE", scope))
        before = {scope: desk.path(scope).read_bytes() for scope in scopes}
        if word == "restore":
            assert desk.run("adopt", *words).status == 0
        was_killed = killed_at(number, (word, *words))
        for scope in scopes:
            assert in_force(desk, scope) == [f"echo {scope} one", f"echo {scope} two"], number
        assert desk.run("adopt", *words).status == 0, number
        assert desk.run("check").status == 0, number
        assert [in_force(desk, scope) for scope in scopes] == [
            [f"echo {scope} one", f"echo {scope} two"] for scope in scopes
        ]
        assert desk.run("restore", *words).status == 0
        assert {scope: desk.path(scope).read_bytes() for scope in scopes} == before, number
        left = [name for name in desk.files() if ".fanout-" in name or "/fanout/" in name]
        assert left == [], number
    assert number > 10


def test_two_adoptions_at_once_are_as_good_as_one(desk: Desk) -> None:
    desk.register_server()
    for scope in SCOPES["own"]:
        desk.write(scope, TEXT.replace("SCOPE", scope))
    before = [desk.path(scope).read_bytes() for scope in SCOPES["own"]]
    children = [in_a_process(("adopt", "--yes")) for _ in range(4)]
    for child in children:
        os.waitpid(child, 0)
    assert desk.run("adopt", "--yes").status == 0
    assert desk.run("check").status == 0
    for scope in SCOPES["own"]:
        assert in_force(desk, scope) == [f"echo {scope} one", f"echo {scope} two"]
    desk.run("restore", "--yes")
    assert [desk.path(scope).read_bytes() for scope in SCOPES["own"]] == before


def in_a_process(words: tuple[str, ...]) -> int:
    child = os.fork()
    if child == 0:
        os._exit(cli.main(words))
    return child


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("// mine\n" + TEXT, "comments"),
        (TEXT.replace('"env"', '"hooks"'), "stands twice"),
        (TEXT.replace('"Bash"', "7"), "matcher must be a text"),
    ],
    ids=["comments", "a key twice", "no text as a matcher"],
)
def test_what_is_refused_keeps_its_bytes_and_check_names_it(desk: Desk, text: str, why: str) -> None:
    path = desk.write("local", text)
    before = path.read_bytes()
    for words in (("adopt", "--yes"), ("check",), ("restore", "--yes")):
        done = desk.run(*words)
        assert done.status != 0
        assert why in done.out + done.err
    assert path.read_bytes() == before


@pytest.mark.parametrize(("mark", "end"), [("", "\r\n"), ("\ufeff", "\n"), ("\ufeff", "\r\n")])
def test_lines_that_end_as_in_windows_and_the_mark_before_them_come_back_so(
    desk: Desk, mark: str, end: str
) -> None:
    path = desk.write("local", "{}")
    path.write_bytes((mark + TEXT.replace("\n", end)).encode())
    before = path.read_bytes()
    assert desk.run("adopt", "--yes").status == 0
    assert in_force(desk, "local") == ["echo SCOPE one", "echo SCOPE two"]
    assert desk.run("restore", "--yes").status == 0
    assert path.read_bytes() == before


def test_a_link_that_leads_to_itself_is_refused(desk: Desk) -> None:
    path = desk.path("local")
    path.parent.mkdir(parents=True)
    path.symlink_to(path)
    for words in (("adopt", "--yes"), ("check",)):
        done = desk.run(*words)
        assert done.status != 0
        assert str(path) in done.out + done.err
    assert path.is_symlink()


@pytest.mark.parametrize("link", [".claude", ".claude/fanout", ".claude/fanout/state"])
@pytest.mark.parametrize("scope", ["local", "shared"])
def test_nothing_is_written_or_removed_where_a_planted_link_leads(
    desk: Desk, tmp_path: Path, link: str, scope: str
) -> None:
    desk.write(scope, TEXT)
    assert desk.run("adopt", "--scope", scope, "--yes").status == 0
    outside, planted = tmp_path / "outside", desk.project / link
    planted.mkdir(exist_ok=True)
    shutil.move(planted, outside)
    planted.symlink_to(outside)
    before = contents(outside)
    assert "a link stands on the way" in desk.run("restore", "--scope", scope, "--yes").err
    desk.write(scope, TEXT)
    before |= {desk.path(scope).name: TEXT.encode()} if link == ".claude" else {}
    assert "a link stands on the way" in desk.run("adopt", "--scope", scope, "--yes").err
    kept = Path(bench.keep(str(desk.project), []))
    assert not kept.resolve().is_relative_to(outside)
    assert not kept.is_relative_to(desk.project)
    assert contents(outside) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_hooks_json_or_gitignore_that_leads_elsewhere_is_refused(desk: Desk, tmp_path: Path) -> None:
    target = tmp_path / "target"
    desk.write("local", TEXT)
    folder = desk.project / ".claude" / "fanout"
    folder.mkdir()
    for name in ("hooks.local.json", ".gitignore"):
        (folder / name).symlink_to(target)
        done = desk.run("adopt", "--yes")
        assert done.status == 1
        assert str(folder / name) in done.err
        assert not target.exists()
        (folder / name).unlink()
    assert desk.run("adopt", "--yes").status == 0


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_project_that_was_copied_or_moved_keeps_its_hooks(
    desk: Desk, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    desk.write("local", TEXT)
    before = desk.path("local").read_bytes()
    desk.run("adopt", "--yes")
    there = desk.project.with_name("elsewhere")
    if how == "copied":
        shutil.copytree(desk.project, there)
    else:
        desk.project.rename(there)
    monkeypatch.chdir(there)
    moved = Desk(desk.home, there, desk.capture)
    assert moved.run("check").status == 0
    assert in_force(moved, "local") == ["echo SCOPE one", "echo SCOPE two"]
    assert moved.run("restore", "--yes").status == 0
    assert moved.path("local").read_bytes() == before


@pytest.mark.parametrize("gone", ["the interpreter", "our code"])
def test_when_fanout_has_moved_check_names_what_is_gone_and_adopt_mends_it(
    desk: Desk, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = adoption_entries.Launch.own()
    is_python = gone == "the interpreter"
    old = own._replace(python="/gone/python") if is_python else own._replace(script="/gone/x.py")
    desk.write("local", TEXT)
    before = desk.path("local").read_bytes()
    with monkeypatch.context() as then:
        then.setattr(adoption_entries.Launch, "own", lambda: old)
        desk.run("adopt", "--yes")
    done = desk.run("check")
    assert done.status == 1
    assert "which is gone; `adopt` again" in done.out
    assert desk.run("adopt", "--yes").status == 0
    assert desk.run("check").status == 0
    desk.run("restore", "--yes")
    assert desk.path("local").read_bytes() == before


def stop(*entries: object) -> dict[str, Any]:
    return {"version": 1, "hooks": {"Stop": [{"hooks": list(entries)}]}}


HAND: dict[str, Any] = {
    "not JSON": "{,}",
    "a list": "[]",
    "no hooks": {"version": 1},
    "hooks of the wrong form": {"version": 1, "hooks": {"Stop": {"hooks": []}}},
    "a hook without a command": stop({"type": "command"}),
    "a circle": stop({"type": "command", "command": "true", "name": "a", "after": ["a"]}),
    "gone": None,
}


@pytest.mark.parametrize("mistake", HAND)
def test_a_mistake_in_hooks_json_is_named_and_no_way_leads_to_a_loss(desk: Desk, mistake: str) -> None:
    desk.write("local", TEXT)
    before = desk.path("local").read_bytes()
    desk.run("adopt", "--yes")
    path = Path(desk.place("local").hooks)
    good = path.read_bytes()
    if HAND[mistake] is None:
        path.unlink()
    else:
        path.write_text(HAND[mistake] if isinstance(HAND[mistake], str) else json.dumps(HAND[mistake]))
    assert desk.run("check").status == 1
    done = desk.run("adopt", "--yes")
    assert done.status != 0
    assert str(path) in done.out + done.err
    path.write_bytes(good)  # from the copies that are kept, or the editor's own
    assert desk.run("restore", "--yes").status == 0
    assert desk.path("local").read_bytes() == before


@pytest.mark.parametrize("state", ["as adopted", "no such guard"])
def test_where_fanout_is_gone_each_guard_that_was_adopted_still_denies(desk: Desk, state: str) -> None:
    guards = [command(f"echo {word} >&2; exit 2", onFailure="block") for word in ("one", "two")]
    desk.write("shared", {"hooks": {"PreToolUse": [group(*guards)]}})
    desk.run("adopt", "--yes", "--shared")
    if state == "no such guard":
        desk.hold("shared", desk.held("shared") | {"hooks": {}})
    lines = [entry["command"] for _, _, entry in adoption_entries.each(desk.settings("shared")["hooks"])]
    env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "CLAUDE_PROJECT_DIR": str(desk.project)}
    event = json.dumps({"hook_event_name": "PreToolUse", "tool_name": "Bash"})
    done = [sh(line, env, event) for line in lines]
    assert [one.returncode for one in done] == [2, 2]
    if state == "as adopted":
        assert [one.stderr.strip() for one in done] == ["one", "two"]
