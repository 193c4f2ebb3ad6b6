"""What `adopt` says before it asks: an event a line, how it will run, where that is slower than natively."""

from __future__ import annotations

import re
import sys

import pytest

from fakes.user import User, command, group
from fanout_hooks.adoption import adopt
from fanout_hooks.client.places import MARK

ENOUGH = adopt.WORTH_A_START
SLOWER = "cold, slower than natively"


def lines(user: User, *words: str) -> list[str]:
    out = user.run("adopt", "--diff", "none", *words, "--yes").out
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


@pytest.mark.parametrize("word", ["adopt", "restore"])
def test_the_shown_diff_cuts_our_long_lines_and_full_shows_them_whole(user: User, word: str) -> None:
    user.write("local", {"hooks": {"Stop": [group(command("echo x"))]}})
    if word == "restore":
        user.run("adopt", "--yes")
    short, full, none = (user.run(word, "--diff", form).out for form in ("short", "full", "none"))
    assert max(len(line) for line in short.splitlines() if line[:2] in ("+ ", "- ")) < 120
    assert "--diff full shows all of it" in short
    assert MARK in short
    assert re.search(rf'"{MARK}local; .*exit 1"', full)
    assert "@@" in full
    assert "@@" not in none
