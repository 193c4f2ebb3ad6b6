"""Whatever damages an adoption: no hook is lost, `check` names it, and adopt or restore repairs it."""

from __future__ import annotations

import json
import os
import shutil
import signal
import sys
from pathlib import Path
from typing import Any

import pytest

from fakes.user import User, command, group, sh
from fanout_hooks import cli
from fanout_hooks.adoption import bench, native
from fanout_hooks.adoption import entries as adoption_entries
from fanout_hooks.client import config
from fanout_hooks.run.launch import Launch

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


def in_force(user: User, scope: str) -> list[str]:
    """Return the commands of a scope that run now: natively, or because an entry leads to its hooks.json."""
    hooks = user.settings(scope)["hooks"]
    is_own = native.owned_by(scope)
    leading = {event for event, _, entry in adoption_entries.each(hooks) if is_own(entry)}
    native_now = [
        entry["command"]
        for _, _, entry in adoption_entries.each(hooks)
        if not adoption_entries.is_ours(entry)
    ]
    held = config.load((scope,), str(user.project), str(user.home / ".claude")).hooks if leading else ()
    return sorted(native_now + [hook.command for hook in held if hook.event in leading])


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 9], ids=["each", "each ninth"])
@pytest.mark.parametrize("kind", ["own", "committed"])
@pytest.mark.parametrize("word", ["adopt", "restore"])
def test_killed_at_any_write_no_hook_is_lost_and_the_next_command_mends_it(
    user: User, kind: str, word: str, step: int
) -> None:
    user.register_server()
    scopes, words = SCOPES[kind], WORDS[kind]
    number = 0
    was_killed = True
    while was_killed:
        number += step
        for scope in scopes:
            user.write(scope, TEXT.replace("SCOPE", scope))
        before = {scope: user.path(scope).read_bytes() for scope in scopes}
        if word == "restore":
            assert user.run("adopt", "--all", *words).status == 0
        was_killed = killed_at(number, (word, *(["--all"] if word == "adopt" else []), *words))
        for scope in scopes:
            assert in_force(user, scope) == [f"echo {scope} one", f"echo {scope} two"], number
        assert user.run("adopt", "--all", *words).status == 0, number
        assert user.run("check").status == 0, number
        assert [in_force(user, scope) for scope in scopes] == [
            [f"echo {scope} one", f"echo {scope} two"] for scope in scopes
        ]
        assert user.run("restore", *words).status == 0
        assert {scope: user.path(scope).read_bytes() for scope in scopes} == before, number
        left = [name for name in user.files() if ".fanout-" in name or "/fanout/" in name]
        assert left == [], number
    assert number > 10


def test_two_adoptions_at_once_are_as_good_as_one(user: User) -> None:
    user.register_server()
    for scope in SCOPES["own"]:
        user.write(scope, TEXT.replace("SCOPE", scope))
    before = [user.path(scope).read_bytes() for scope in SCOPES["own"]]
    children = [in_a_process(("adopt", "--all", "--yes")) for _ in range(4)]
    for child in children:
        os.waitpid(child, 0)
    assert user.run("adopt", "--all", "--yes").status == 0
    assert user.run("check").status == 0
    for scope in SCOPES["own"]:
        assert in_force(user, scope) == [f"echo {scope} one", f"echo {scope} two"]
    user.run("restore", "--yes")
    assert [user.path(scope).read_bytes() for scope in SCOPES["own"]] == before


def in_a_process(words: tuple[str, ...]) -> int:
    child = os.fork()
    if child == 0:
        os._exit(cli.main(words))
    return child


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("// mine\n" + TEXT, "comments"),
        (TEXT.replace('"env"', '"hooks"'), "appears twice"),
        (TEXT.replace('"Bash"', "7"), "matcher must be a text"),
    ],
    ids=["comments", "a key twice", "no text as a matcher"],
)
def test_what_is_refused_keeps_its_bytes_and_check_names_it(user: User, text: str, why: str) -> None:
    path = user.write("local", text)
    before = path.read_bytes()
    for words in (("adopt", "--all", "--yes"), ("check",), ("restore", "--yes")):
        done = user.run(*words)
        assert done.status != 0
        assert why in done.out + done.err
    assert path.read_bytes() == before


@pytest.mark.parametrize(("mark", "end"), [("", "\r\n"), ("\ufeff", "\n"), ("\ufeff", "\r\n")])
def test_lines_that_end_as_in_windows_and_the_mark_before_them_come_back_so(
    user: User, mark: str, end: str
) -> None:
    path = user.write("local", "{}")
    path.write_bytes((mark + TEXT.replace("\n", end)).encode())
    before = path.read_bytes()
    assert user.run("adopt", "--all", "--yes").status == 0
    assert in_force(user, "local") == ["echo SCOPE one", "echo SCOPE two"]
    assert user.run("restore", "--yes").status == 0
    assert path.read_bytes() == before


def test_a_link_that_leads_to_itself_is_refused(user: User) -> None:
    path = user.path("local")
    path.parent.mkdir(parents=True)
    path.symlink_to(path)
    for words in (("adopt", "--all", "--yes"), ("check",)):
        done = user.run(*words)
        assert done.status != 0
        assert str(path) in done.out + done.err
    assert path.is_symlink()


@pytest.mark.parametrize("link", [".claude", ".claude/fanout", ".claude/fanout/state"])
@pytest.mark.parametrize("scope", ["local", "shared"])
def test_nothing_is_written_or_removed_where_a_planted_link_leads(
    user: User, tmp_path: Path, link: str, scope: str
) -> None:
    user.write(scope, TEXT)
    assert user.run("adopt", "--all", "--scope", scope, "--yes").status == 0
    outside, planted = tmp_path / "outside", user.project / link
    planted.mkdir(exist_ok=True)
    shutil.move(planted, outside)
    planted.symlink_to(outside)
    before = contents(outside)
    assert "a link is on the way" in user.run("restore", "--scope", scope, "--yes").err
    user.write(scope, TEXT)
    before |= {user.path(scope).name: TEXT.encode()} if link == ".claude" else {}
    assert "a link is on the way" in user.run("adopt", "--all", "--scope", scope, "--yes").err
    kept = Path(bench.keep(str(user.project), []))
    assert not kept.resolve().is_relative_to(outside)
    assert not kept.is_relative_to(user.project)
    assert contents(outside) == before


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path.relative_to(folder)): path.read_bytes() for path in folder.rglob("*") if path.is_file()}


def test_a_hooks_json_or_gitignore_that_leads_elsewhere_is_refused(user: User, tmp_path: Path) -> None:
    target = tmp_path / "target"
    user.write("local", TEXT)
    folder = user.project / ".claude" / "fanout"
    folder.mkdir()
    for name in ("hooks.local.json", ".gitignore"):
        (folder / name).symlink_to(target)
        done = user.run("adopt", "--all", "--yes")
        assert done.status == 1
        assert str(folder / name) in done.err
        assert not target.exists()
        (folder / name).unlink()
    assert user.run("adopt", "--all", "--yes").status == 0


@pytest.mark.parametrize("how", ["copied", "moved"])
def test_a_project_that_was_copied_or_moved_keeps_its_hooks(
    user: User, how: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    user.write("local", TEXT)
    before = user.path("local").read_bytes()
    user.run("adopt", "--all", "--yes")
    there = user.project.with_name("elsewhere")
    if how == "copied":
        shutil.copytree(user.project, there)
    else:
        user.project.rename(there)
    monkeypatch.chdir(there)
    moved = User(user.home, there, user.capture)
    assert moved.run("check").status == 0
    assert in_force(moved, "local") == ["echo SCOPE one", "echo SCOPE two"]
    assert moved.run("restore", "--yes").status == 0
    assert moved.path("local").read_bytes() == before


@pytest.mark.parametrize("gone", ["the interpreter", "our code"])
def test_when_fanout_has_moved_check_names_what_is_gone_and_adopt_mends_it(
    user: User, gone: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    own = Launch.own()
    is_python = gone == "the interpreter"
    old = own._replace(python="/gone/python") if is_python else own._replace(script="/gone/x.py")
    user.write("local", TEXT)
    before = user.path("local").read_bytes()
    with monkeypatch.context() as then:
        then.setattr(Launch, "own", lambda: old)
        user.run("adopt", "--all", "--yes")
    done = user.run("check")
    assert done.status == 1
    assert "which is gone; `adopt` again" in done.out
    assert user.run("adopt", "--all", "--yes").status == 0
    assert user.run("check").status == 0
    user.run("restore", "--yes")
    assert user.path("local").read_bytes() == before


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
def test_a_mistake_in_hooks_json_is_named_and_no_way_leads_to_a_loss(user: User, mistake: str) -> None:
    user.write("local", TEXT)
    before = user.path("local").read_bytes()
    user.run("adopt", "--all", "--yes")
    path = Path(user.place("local").hooks)
    good = path.read_bytes()
    if HAND[mistake] is None:
        path.unlink()
    else:
        path.write_text(HAND[mistake] if isinstance(HAND[mistake], str) else json.dumps(HAND[mistake]))
    assert user.run("check").status == 1
    done = user.run("adopt", "--all", "--yes")
    assert done.status != 0
    assert str(path) in done.out + done.err
    path.write_bytes(good)  # from the copies that are kept, or the editor's own
    assert user.run("restore", "--yes").status == 0
    assert user.path("local").read_bytes() == before


@pytest.mark.parametrize("state", ["as adopted", "no such guard"])
def test_where_fanout_is_gone_each_guard_that_was_adopted_still_denies(user: User, state: str) -> None:
    guards = [command(f"echo {word} >&2; exit 2", onFailure="block") for word in ("one", "two")]
    user.write("shared", {"hooks": {"PreToolUse": [group(*guards)]}})
    user.run("adopt", "--all", "--yes", "--shared")
    if state == "no such guard":
        user.hold("shared", user.held("shared") | {"hooks": {}})
    lines = [entry["command"] for _, _, entry in adoption_entries.each(user.settings("shared")["hooks"])]
    env = {"PATH": os.environ["PATH"], "HOME": "/nowhere", "CLAUDE_PROJECT_DIR": str(user.project)}
    event = json.dumps({"hook_event_name": "PreToolUse", "tool_name": "Bash"})
    done = [sh(line, env, event) for line in lines]
    assert [one.returncode for one in done] == [2, 2]
    if state == "as adopted":
        assert [one.stderr.strip() for one in done] == ["one", "two"]
