"""The gate's history survives crashes, damage and company; and when it doesn't, nothing is blocked."""

from __future__ import annotations

import fcntl
import json
import multiprocessing
import os
from pathlib import Path

import pytest

from fanout_hooks.gate import state
from fanout_hooks.gate.gate import PASS, Agent, Call, History, Scope, Verdict


def remember(agent: str) -> state.Step:
    def step(history: History) -> tuple[History, Verdict]:
        return history._replace(
            agents={**history.agents, agent: Agent(finished=True, answer="ü\ud83d")}
        ), PASS

    return step


def update(where: str, session: str, step: state.Step) -> state.Done:
    """Take a step, waiting for the lock as whoever else holds it is a process of this test."""
    while (done := state.attempt(where, session, step)) is None:
        continue
    return done


def test_what_was_put_in_comes_out_again(tmp_path: Path) -> None:
    call = Call(
        "toolu_1", "Explore", "Explore auth", "Explore", finished=True, failed=True, agent="a", answer='"x"\n'
    )
    history = History(
        {"main": Scope("p", (call,), (call,), "t", "s", True, True, ("k",), ("i",), True)},
        {"a": Agent(True, "x")},
    )
    update(str(tmp_path), "s", lambda _: (history, PASS))
    assert state.peek(str(tmp_path), "s") == history


def test_a_damaged_file_is_set_aside_and_the_session_starts_anew(tmp_path: Path) -> None:
    update(str(tmp_path), "s", remember("a"))
    (file,) = tmp_path.glob("*.json")
    file.write_text('{"scopes": [', encoding="utf-8")
    assert "set aside" in update(str(tmp_path), "s", remember("b")).note
    assert set(state.peek(str(tmp_path), "s").agents) == {"b"}
    assert len(list(tmp_path.glob("*.damaged"))) == 1


@pytest.mark.parametrize("content", ["[]", "null", '{"scopes": {"main": {}}, "agents": {}}', "[" * 100_000])
def test_every_shape_of_damage_is_survived(tmp_path: Path, content: str) -> None:
    update(str(tmp_path), "s", remember("a"))
    next(tmp_path.glob("*.json")).write_text(content, encoding="utf-8")
    assert state.peek(str(tmp_path), "s") == History()


def test_a_planted_symlink_is_not_followed(tmp_path: Path) -> None:
    update(str(tmp_path), "s", remember("a"))
    file = next(tmp_path.glob("*.json"))
    victim = tmp_path / "victim"
    victim.write_text("mine", encoding="utf-8")
    file.unlink()
    file.symlink_to(victim)
    with pytest.raises(state.Unusable):
        update(str(tmp_path), "s", remember("b"))
    assert victim.read_text(encoding="utf-8") == "mine"


def test_a_lock_that_somebody_holds_is_said_at_once_and_never_waited_for(tmp_path: Path) -> None:
    update(str(tmp_path), "s", remember("a"))
    with next(tmp_path.glob("*.lock")).open() as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        assert state.attempt(str(tmp_path), "s", remember("b")) is None
    assert state.attempt(str(tmp_path), "s", remember("b")) is not None


def test_an_unwritable_folder_is_unusable(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    with pytest.raises(state.Unusable):
        update(str(tmp_path / "file" / "gate"), "s", remember("a"))


def _write_many(where: str, first: int) -> None:
    for number in range(first, first + 20):
        update(where, "s", remember(f"a{number}"))


@pytest.mark.slow
def test_many_processes_lose_no_record(tmp_path: Path) -> None:
    spawn = multiprocessing.get_context("spawn")
    writers = [spawn.Process(target=_write_many, args=(str(tmp_path), 20 * n)) for n in range(4)]
    for writer in writers:
        writer.start()
    for writer in writers:
        writer.join(30)
    assert [writer.exitcode for writer in writers] == [0] * 4
    assert len(state.peek(str(tmp_path), "s").agents) == 80


def test_a_new_session_sweeps_those_of_more_than_a_week_ago(tmp_path: Path) -> None:
    update(str(tmp_path), "old", remember("a"))
    update(str(tmp_path), "in use", remember("a"))
    now = next(tmp_path.glob("*.json")).stat().st_mtime
    long_ago = now - 8 * 24 * 3600
    for file in tmp_path.iterdir():
        os.utime(file, (long_ago, long_ago))
    update(str(tmp_path), "in use", remember("b"))
    update(str(tmp_path), "new", remember("a"))
    assert state.peek(str(tmp_path), "old") == History()
    assert len(list(tmp_path.iterdir())) == 4, "two sessions, each with its lock, though one lock is old"
    assert state.peek(str(tmp_path), "in use").agents.keys() == {"a", "b"}


def test_the_file_is_the_users_alone(tmp_path: Path) -> None:
    update(str(tmp_path / "gate"), "s", remember("a"))
    (file,) = (tmp_path / "gate").glob("*.json")
    assert (tmp_path / "gate").stat().st_mode & 0o777 == 0o700
    assert file.stat().st_mode & 0o777 == 0o600
    assert json.loads(file.read_bytes())
