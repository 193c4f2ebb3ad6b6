"""Sentences are broken between words at a terminal, whatever its width, and not at all in a pipe."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from fakes.user import Terminal, User, command, group
from fanout_hooks import cli


@pytest.mark.parametrize("columns", [40, 80, 120])
def test_no_line_of_a_terminal_is_cut_within_a_word_and_a_command_stays_whole(
    user: User, monkeypatch: pytest.MonkeyPatch, columns: int
) -> None:
    user.write("local", {"hooks": {"Stop": [group(command("echo x"))]}})
    user.run("adopt", "--all", "--yes")
    Path(user.place("local").hooks).unlink()
    unbroken = user.run("restore").err.splitlines()
    screen = Terminal()
    monkeypatch.setattr(sys, "stderr", screen)
    monkeypatch.setenv("COLUMNS", str(columns))
    assert cli.main(["restore"]) == 1
    lines = screen.getvalue().splitlines()
    assert " ".join(screen.getvalue().split()) == " ".join(" ".join(unbroken).split())
    assert lines[-1] == unbroken[-1]
    assert lines[-1].startswith("  fanout-hooks restore --scope local --from ")
    assert all(len(line) <= columns or " " not in line.strip() for line in lines[:-1])


def test_what_adopt_says_fits_the_terminal(user: User, monkeypatch: pytest.MonkeyPatch) -> None:
    user.write("local", {"hooks": {"Stop": [group(command("echo x"))]}})
    screen = Terminal()
    monkeypatch.setattr(sys, "stdout", screen)
    monkeypatch.setenv("COLUMNS", "60")
    assert cli.main(["adopt", "--all", "--diff", "none", "--scope", "local", "--yes"]) == 0
    _, *said = screen.getvalue().splitlines()
    assert all(len(line) <= 60 or "/" in line for line in said)
