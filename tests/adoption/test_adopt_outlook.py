"""What `adopt` says before it asks: an event a line, how it will run, where that is slower than natively."""

from __future__ import annotations

import os
import re
import sys

import pytest

from fakes.user import User, command, group
from fanout_hooks.adoption import adopt
from fanout_hooks.client.places import MARK
from fanout_hooks.run.plan import WORTH_A_START

ENOUGH = WORTH_A_START
SLOWER = "cold, slower than natively"


def lines(user: User, *words: str) -> list[str]:
    out = user.run("adopt", "--all", "--diff", "none", *words, "--yes").out
    return [line.strip() for line in out.splitlines() if line.startswith("  ")]


def pythons(user: User, number: int) -> list[dict[str, object]]:
    for place in range(number):
        user.script(f"h{place}.py")
    return [command(f"{sys.executable} h{place}.py") for place in range(number)]


def test_without_a_server_few_python_hooks_and_any_shell_hooks_are_slower_cold_than_natively(
    user: User,
) -> None:
    many = [group(*pythons(user, ENOUGH))]
    shells = [group(*(command(f"echo {number}") for number in range(ENOUGH)))]
    few = [group(*pythons(user, 1))]
    user.write("local", {"hooks": {"PreToolUse": many, "PostToolUse": shells, "Stop": few}})
    said = lines(user)
    names = ", ".join(f"h{place}" for place in range(ENOUGH))
    assert f"PreToolUse: {ENOUGH} hooks, cold: {names}" in said
    assert any(line.startswith(f"PostToolUse: {ENOUGH} hooks, {SLOWER}: echo") for line in said)
    assert f"Stop: 1 hook, {SLOWER}: h0" in said
    assert adopt.PRICE in said


def test_with_a_server_only_what_is_always_cold_is_slower(user: User) -> None:
    user.register_server()
    guard = command("echo y", onFailure="block")
    user.write(
        "local",
        {
            "hooks": {
                "PostToolUse": [group(command("echo x"), guard)],
                "SessionStart": [group(command("echo z"))],
            }
        },
    )
    said = lines(user)
    assert "PostToolUse: 1 hook, warm: echo" in said
    assert f"PostToolUse: 1 guard, {SLOWER}: echo-2" in said
    assert f"SessionStart: 1 hook, {SLOWER}: echo" in said


def test_where_nothing_is_slower_nothing_is_said_of_a_price(user: User) -> None:
    user.register_server()
    user.write("local", {"hooks": {"Stop": [group(command("echo x"))]}})
    said = lines(user)
    assert "Stop: 1 hook, warm: echo" in said
    assert adopt.PRICE not in said


def test_a_hook_that_is_new_is_named_beside_those_that_were_adopted_before(user: User) -> None:
    user.write("local", {"hooks": {"Stop": [group(command("echo x"))]}})
    assert any(line.startswith("moves to ") for line in lines(user))
    settings = user.settings("local")
    settings["hooks"]["Stop"].append(group(command("date")))
    user.write("local", settings)
    said = lines(user)
    assert f"Stop: 2 hooks, {SLOWER}: echo, date" in said
    assert any(line.startswith("Stop: date: moves to ") for line in said)


BLOCKS = {"onFailure": "block"}
NODE, UV, PYTHON = "node h.js", "uv run --script h.py", f"{sys.executable} h.py"
# name -> (whether a server is registered, the event, its hooks), and which of them adopt takes
GAINS: dict[str, tuple[bool, str, list[dict[str, object]], list[int]]] = {
    "warm Python": (True, "Stop", [command(PYTHON)], [0]),
    "warm Node": (True, "Stop", [command(NODE)], [0]),
    "warm Node in exec form": (True, "Stop", [command("node", args=["h.js"])], [0]),
    "warm uv": (True, "Stop", [command(UV)], [0]),
    "warm shells": (True, "Stop", [command("echo x"), command("jq . x")], []),
    "a shell beside what is kept ready": (True, "Stop", [command("echo x"), command(NODE)], [0, 1]),
    "what no preload fits": (True, "Stop", [command("node -e 1"), command("python3 -m x")], []),
    "what wants a process of its own": (True, "Stop", [command(PYTHON, isolate=True)], [0]),
    "a guard": (True, "PreToolUse", [command(PYTHON, **BLOCKS), command(NODE)], [1]),
    "onFailure where it is ignored": (True, "Stop", [command(PYTHON, **BLOCKS)], [0]),
    "an order that was asked for": (True, "Stop", [command("echo x"), command("ls", after=["echo"])], [0, 1]),
    "few Python hooks, always cold": (True, "SessionStart", [command(PYTHON)], []),
    "many Python hooks, always cold": (
        True,
        "SessionStart",
        [command(f"{PYTHON} {number}") for number in range(ENOUGH)],
        [*range(ENOUGH)],
    ),
    "many Node hooks, always cold": (
        True,
        "SessionStart",
        [command(f"{NODE} {number}") for number in range(9)],
        [],
    ),
    "few Python hooks, no server": (False, "Stop", [command(PYTHON)], []),
    "many Python hooks, no server": (
        False,
        "Stop",
        [command(f"{PYTHON} {number}") for number in range(ENOUGH)],
        [*range(ENOUGH)],
    ),
    "Node, no server": (False, "Stop", [command(NODE)], []),
}


@pytest.mark.parametrize("name", GAINS)
def test_an_event_is_taken_when_it_gets_faster_and_else_stays_with_its_reason(user: User, name: str) -> None:
    has_server, event, hooks, wanted = GAINS[name]
    if has_server:
        user.register_server()
    for path in ("h.js", "h.py"):
        user.script(path, "# /// script\n# dependencies = []\n# ///\n")
    tool = user.script("bin/uv", "#!/bin/sh\n")
    tool.chmod(0o755)
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("PATH", f"{tool.parent}:{os.environ['PATH']}")
        user.write("local", {"hooks": {event: [group(*hooks)]}})
        before = user.path("local").read_bytes()
        done = user.run("adopt", "--yes")
        held = user.held("local")["hooks"][event][0]["hooks"] if wanted else []
        assert [hook["command"] for hook in held] == [hooks[at]["command"] for at in wanted]
        assert done.out.count("`adopt --all` takes it") == len(hooks) - len(wanted)
        assert user.run("check").status == 0
        assert not wanted or user.run("restore", "--yes").status == 0
    assert user.path("local").read_bytes() == before


def test_what_stays_is_taken_when_all_is_asked_for_and_stays_taken(user: User) -> None:
    user.register_server()
    user.write("local", {"hooks": {"Stop": [group(command("echo x"))]}})
    assert not user.run("adopt", "--all", "--yes").status
    assert "nothing to change" in user.run("adopt", "--yes").out
    settings = user.settings("local")
    settings["hooks"]["Stop"].append(group(command("date")))
    user.write("local", settings)
    assert not user.run("adopt", "--yes").status
    held = [own["command"] for one in user.held("local")["hooks"]["Stop"] for own in one["hooks"]]
    assert held == ["echo x", "date"]


@pytest.mark.parametrize("word", ["adopt", "restore"])
def test_the_shown_diff_cuts_our_long_lines_and_full_shows_them_whole(user: User, word: str) -> None:
    user.write("local", {"hooks": {"Stop": [group(command("echo x"))]}})
    if word == "restore":
        user.run("adopt", "--all", "--yes")
    words = [word, "--all"] if word == "adopt" else [word]
    short, full, none = (user.run(*words, "--diff", form).out for form in ("short", "full", "none"))
    assert max(len(line) for line in short.splitlines() if line[:2] in ("+ ", "- ")) < 120
    assert "--diff full shows all of it" in short
    assert MARK in short
    assert re.search(rf'"{MARK}local; .*exit 1"', full)
    assert "@@" in full
    assert "@@" not in none
