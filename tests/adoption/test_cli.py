"""What `fanout-hooks` says to a user who mistypes, declines, leaves, or has nothing adopted."""

from __future__ import annotations

import io
import sys
from importlib.metadata import version
from pathlib import Path

import pytest

from fakes.user import Terminal, User, command, group


@pytest.fixture
def held(user: User) -> User:
    """One adopted hook, which leaves a file behind when it runs."""
    user.write("local", {"hooks": {"Stop": [group(command("echo x >>ran.txt"))]}})
    assert user.run("adopt", "--all", "--yes").status == 0
    return user


@pytest.mark.parametrize("word", ["--version", "-V"])
def test_the_version_is_that_of_the_installed_package(user: User, word: str) -> None:
    done = user.run(word)
    assert (done.status, done.out) == (0, f"fanout-hooks {version('fanout-mcp')}\n")


@pytest.mark.parametrize(("word", "meant"), [("chekc", "check"), ("adpot", "adopt"), ("benhc", "bench")])
def test_a_mistyped_command_is_answered_with_the_one_that_was_meant(
    user: User, word: str, meant: str
) -> None:
    done = user.run(word)
    assert done.status == 2
    assert done.err == f"fanout-hooks: there is no command {word!r}; did you mean `fanout-hooks {meant}`?\n"


def test_a_word_like_no_command_is_answered_with_all_of_them(user: User) -> None:
    assert "there is no command 'xyzzy'; there are adopt, restore, check" in user.run("xyzzy").err


ASKING = {"adopt": ["--all"], "restore": [], "bench": []}
NOT_DONE = {
    "adopt": "Nothing was written.",
    "restore": "Nothing was written.",
    "bench": "Nothing was run.",
}


@pytest.mark.parametrize("typed", ["", "\n", "n\n", "what?\n"], ids=["ctrl-d", "enter", "n", "no answer"])
@pytest.mark.parametrize("word", ASKING)
def test_who_leaves_or_declines_has_agreed_to_nothing_and_is_told_so(
    held: User, monkeypatch: pytest.MonkeyPatch, word: str, typed: str
) -> None:
    held.write("user", {"hooks": {"Stop": [group(command("echo y"))]}})
    before = held.files()
    monkeypatch.setattr(sys, "stdin", Terminal(typed))
    done = held.run(word, *ASKING[word])
    assert done.status == 0
    assert done.out.endswith(f"{NOT_DONE[word]}\n")
    assert held.files() == before


@pytest.mark.parametrize("word", ASKING)
def test_where_nobody_can_be_asked_it_says_what_was_not_done_and_names_the_option(
    held: User, monkeypatch: pytest.MonkeyPatch, word: str
) -> None:
    held.write("user", {"hooks": {"Stop": [group(command("echo y"))]}})
    monkeypatch.setattr(sys, "stdin", io.StringIO())
    done = held.run(word, *ASKING[word])
    assert done.status == 1
    assert done.err == f"fanout-hooks: no one can be asked here. {NOT_DONE[word]} --yes goes ahead unasked\n"


@pytest.mark.parametrize("word", ["graph", "learn", "bench"])
def test_without_adopted_hooks_each_command_says_how_to_get_them(user: User, word: str) -> None:
    assert user.run(word).out == "No hooks are adopted here; `fanout-hooks adopt` does it.\n"


@pytest.mark.parametrize("word", ["graph", "bench"])
def test_an_event_without_adopted_hooks_is_refused_with_those_that_have_some(held: User, word: str) -> None:
    done = held.run(word, "--event", "Foo")
    assert done.status == 1
    assert done.err == "fanout-hooks: no adopted hook is on 'Foo'; there are some on Stop\n"
    assert "Each hook" not in done.out
    assert not (held.project / "ran.txt").exists()


@pytest.mark.parametrize("rounds", ["0", "-3", "many"])
def test_bench_takes_no_less_than_a_round(
    held: User, rounds: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as left:
        held.run("bench", "--yes", "--rounds", rounds)
    assert left.value.code == 2
    assert f"{rounds!r} is not a number of rounds, which is 1 or more" in capsys.readouterr().err
    assert not (held.project / "ran.txt").exists()


def test_restore_says_that_what_was_there_lies_in_the_file_that_it_names(held: User) -> None:
    before = held.path("local").read_bytes()
    (line,) = [line for line in held.run("restore", "--yes").out.splitlines() if "restored" in line]
    said, path = line.rsplit(" ", 1)
    assert said == "local: restored. What was there with fanout is kept in"
    assert Path(path).read_bytes() == before
