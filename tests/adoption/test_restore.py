"""A hooks.json that is gone or broken: the way back is a command, which the refusal names."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.user import User, command, group

LOST: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "broken": lambda path: path.write_text('{"version": 1, "hooks": {'),
    "without hooks": lambda path: path.write_text("{}"),
}


@pytest.fixture(params=list(LOST.values()), ids=list(LOST))
def lost(user: User, request: pytest.FixtureRequest) -> tuple[User, bytes]:
    """An adopted settings file whose hooks.json is lost, and its bytes from before."""
    written = '{"hooks":  {"Stop": [{"hooks":[{"type": "command", "command": "echo one"}]}]},\n "a": 1}\n'
    user.write("local", written)
    user.run("adopt", "--all", "--yes")
    request.param(Path(user.place("local").hooks))
    return user, written.encode()


def offered(user: User) -> list[list[str]]:
    done = user.run("restore", "--yes")
    assert done.status == 1
    return [shlex.split(line)[1:] for line in done.err.splitlines() if line.startswith("  fanout-hooks ")]


def test_the_command_that_restore_names_brings_the_settings_back_byte_for_byte(
    lost: tuple[User, bytes],
) -> None:
    user, before = lost
    (words,) = offered(user)
    assert words[:4] == ["restore", "--scope", "local", "--from"]
    assert user.run(*words, "--yes").status == 0
    assert user.path("local").read_bytes() == before
    assert not Path(user.place("local").hooks).exists()


def test_of_several_copies_the_newest_is_named_first_and_any_can_be_taken(lost: tuple[User, bytes]) -> None:
    user, _ = lost
    user.run(*offered(user)[0], "--yes")
    user.write("local", {"hooks": {"Stop": [group(command("echo two"))]}})
    user.run("adopt", "--all", "--yes")
    Path(user.place("local").hooks).unlink()
    newest, *older = offered(user)
    assert older
    user.run(*newest, "--yes")
    assert user.settings("local") == {"hooks": {"Stop": [group(command("echo two"))]}}


def test_a_hook_added_since_stays_beside_those_of_the_copy(lost: tuple[User, bytes]) -> None:
    user, _ = lost
    settings = user.settings("local")
    settings["hooks"]["Stop"].append(group(command("echo added")))
    user.write("local", settings)
    user.run(*offered(user)[0], "--yes")
    commands = [entry["command"] for one in user.settings("local")["hooks"]["Stop"] for entry in one["hooks"]]
    assert sorted(commands) == ["echo added", "echo one"]


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "is not there"), ("{}", "hooks"), ("no json", "line 1"), ('{"hooks": 3}', "hooks")],
)
def test_a_file_that_holds_no_hooks_is_no_copy_and_changes_nothing(
    user: User, tmp_path: Path, content: str | None, why: str
) -> None:
    user.write("local", {"hooks": {"Stop": [group(command("echo one"))]}})
    user.run("adopt", "--all", "--yes")
    copy = tmp_path / "copy.json"
    if content is not None:
        copy.write_text(content)
    before = user.files()
    done = user.run("restore", "--yes", "--scope", "local", "--from", str(copy))
    assert done.status == 1
    assert str(copy) in done.err
    assert why in done.err
    assert user.files() == before


def test_settings_that_only_lead_to_the_lost_file_are_no_copy_of_it(lost: tuple[User, bytes]) -> None:
    user, _ = lost
    done = user.run("restore", "--yes", "--scope", "local", "--from", str(user.path("local")))
    assert done.status == 1
    assert "only leads to" in done.err


def test_a_copy_is_of_one_scope(user: User) -> None:
    assert "one --scope" in user.run("restore", "--from", "x").err


def test_where_no_copy_was_kept_restore_says_so(lost: tuple[User, bytes]) -> None:
    user, _ = lost
    for path in (Path(user.place("local").state) / "backups").iterdir():
        path.unlink()
    done = user.run("restore", "--yes")
    assert done.status == 1
    assert f"No copy of its hooks is in {user.place('local').state}/backups" in done.err
