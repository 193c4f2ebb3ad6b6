"""A hooks.json that is gone or broken: the way back is a command, which the refusal names."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

import pytest

from hooks_cli.desk import Desk, command, group

LOST: dict[str, Callable[[Path], object]] = {
    "gone": lambda path: path.unlink(),
    "broken": lambda path: path.write_text('{"version": 1, "hooks": {'),
    "without hooks": lambda path: path.write_text("{}"),
}


@pytest.fixture(params=list(LOST.values()), ids=list(LOST))
def lost(desk: Desk, request: pytest.FixtureRequest) -> tuple[Desk, bytes]:
    """An adopted settings file whose hooks.json is lost, and its bytes from before."""
    written = '{"hooks":  {"Stop": [{"hooks":[{"type": "command", "command": "echo one"}]}]},\n "a": 1}\n'
    desk.write("local", written)
    desk.run("adopt", "--yes")
    request.param(Path(desk.place("local").hooks))
    return desk, written.encode()


def offered(desk: Desk) -> list[list[str]]:
    done = desk.run("restore", "--yes")
    assert done.status == 1
    return [shlex.split(line)[1:] for line in done.err.splitlines() if line.startswith("  fanout-hooks ")]


def test_the_command_that_restore_names_brings_the_settings_back_byte_for_byte(
    lost: tuple[Desk, bytes],
) -> None:
    desk, before = lost
    (words,) = offered(desk)
    assert words[:4] == ["restore", "--scope", "local", "--from"]
    assert desk.run(*words, "--yes").status == 0
    assert desk.path("local").read_bytes() == before
    assert not Path(desk.place("local").hooks).exists()


def test_of_several_copies_the_newest_is_named_first_and_any_can_be_taken(lost: tuple[Desk, bytes]) -> None:
    desk, _ = lost
    desk.run(*offered(desk)[0], "--yes")
    desk.write("local", {"hooks": {"Stop": [group(command("echo two"))]}})
    desk.run("adopt", "--yes")
    Path(desk.place("local").hooks).unlink()
    newest, *older = offered(desk)
    assert older
    desk.run(*newest, "--yes")
    assert desk.settings("local") == {"hooks": {"Stop": [group(command("echo two"))]}}


def test_a_hook_added_since_stays_beside_those_of_the_copy(lost: tuple[Desk, bytes]) -> None:
    desk, _ = lost
    settings = desk.settings("local")
    settings["hooks"]["Stop"].append(group(command("echo added")))
    desk.write("local", settings)
    desk.run(*offered(desk)[0], "--yes")
    commands = [entry["command"] for one in desk.settings("local")["hooks"]["Stop"] for entry in one["hooks"]]
    assert sorted(commands) == ["echo added", "echo one"]


@pytest.mark.parametrize(
    ("content", "why"),
    [(None, "is not there"), ("{}", "hooks"), ("no json", "line 1"), ('{"hooks": 3}', "hooks")],
)
def test_a_file_that_holds_no_hooks_is_no_copy_and_changes_nothing(
    desk: Desk, tmp_path: Path, content: str | None, why: str
) -> None:
    desk.write("local", {"hooks": {"Stop": [group(command("echo one"))]}})
    desk.run("adopt", "--yes")
    copy = tmp_path / "copy.json"
    if content is not None:
        copy.write_text(content)
    before = desk.files()
    done = desk.run("restore", "--yes", "--scope", "local", "--from", str(copy))
    assert done.status == 1
    assert str(copy) in done.err
    assert why in done.err
    assert desk.files() == before


def test_settings_that_only_lead_to_the_lost_file_are_no_copy_of_it(lost: tuple[Desk, bytes]) -> None:
    desk, _ = lost
    done = desk.run("restore", "--yes", "--scope", "local", "--from", str(desk.path("local")))
    assert done.status == 1
    assert "only leads to" in done.err


def test_a_copy_is_of_one_scope(desk: Desk) -> None:
    assert "one --scope" in desk.run("restore", "--from", "x").err


def test_where_no_copy_was_kept_restore_says_so(lost: tuple[Desk, bytes]) -> None:
    desk, _ = lost
    for path in (Path(desk.place("local").state) / "backups").iterdir():
        path.unlink()
    done = desk.run("restore", "--yes")
    assert done.status == 1
    assert f"No copy of its hooks is in {desk.place('local').state}/backups" in done.err
