"""What was learned about hooks is kept, whichever session saves last, in any number of sessions."""

from __future__ import annotations

import fcntl
import fnmatch
import json
import subprocess
import tempfile
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_hooks.adoption.entries import STATE
from fanout_hooks.client.home import state_folder
from fanout_hooks.learn import memory
from fanout_hooks.learn.memory import Memory


def effects(*writes: str, reads: tuple[str, ...] = ()) -> dict[str, object]:
    return {"reads": list(reads), "writes": list(writes), "spawns": False, "opaque": False}


@pytest.fixture
def store(tmp_path: Path) -> str:
    return str(tmp_path / "learned" / "project.json")


@pytest.fixture
def script(tmp_path: Path) -> str:
    path = tmp_path / "hook.py"
    path.write_text("pass\n")
    return str(path)


def test_what_two_sessions_learned_of_two_hooks_is_kept(store: str, script: str) -> None:
    one, two = Memory(store), Memory(store)
    one.note("/a.py", 1.0, effects=effects("/state/a"))
    two.note(script, 1.0, effects=effects("/state/b"))
    one.save()
    two.save()
    known = Memory(store)
    assert (known.of("/a.py").runs, known.of(script).runs) == (1, 1)
    assert known.written == {"/state/a", "/state/b"}


def test_runs_and_effects_of_one_hook_in_two_sessions_are_put_together(store: str, script: str) -> None:
    one, two = Memory(store), Memory(store)
    one.note(script, 9.0, effects=effects("/state/a"), taint="left a thread")
    two.note(script, 4.0, effects=effects("/state/b", reads=("/r",)), crashed=True)
    one.save()
    two.save()
    known = Memory(store).of(script)
    assert (known.runs, known.ms, known.crashes, known.taint) == (2, 4.0, 1, "left a thread")
    assert known.writes == {"/state/a", "/state/b"}
    assert known.reads == {"/r"}


def test_what_another_session_learned_is_known_at_the_next_event(store: str, script: str) -> None:
    one, two = Memory(store), Memory(store)
    one.note(script, 1.0, effects=effects("/state/a"))
    one.save()
    before = two.revision
    two.refresh()
    assert two.written == {"/state/a"}
    assert two.revision > before
    seen = two.revision
    two.refresh()
    assert two.revision == seen


def test_what_was_not_saved_yet_outlives_a_look_at_what_others_saved(store: str, script: str) -> None:
    one, two = Memory(store), Memory(store)
    two.note(script, 1.0, effects=effects("/state/b"))
    one.note(script, 1.0, effects=effects("/state/a"))
    one.save()
    two.refresh()
    two.refresh()
    assert two.of(script).runs == 2
    two.save()
    assert Memory(store).of(script)[1:] == two.of(script)[1:]
    assert Memory(store).written == {"/state/a", "/state/b"}


def test_an_edited_script_is_not_made_the_old_one_by_a_session_that_still_knew_it(
    store: str, script: str
) -> None:
    old = Memory(store)
    old.note(script, 1.0, effects=effects("/state/old"))
    Path(script).write_text("print('edited')\n")
    new = Memory(store)
    new.note(script, 1.0, effects=effects("/state/new"))
    new.save()
    old.save()
    assert Memory(store).of(script).writes == {"/state/new"}


def test_what_interpreters_need_is_united(store: str) -> None:
    first = Memory(store)
    first.note_modules("py", {"json"})
    first.save()
    one, two = Memory(store), Memory(store)
    one.note_modules("py", {"re"})
    two.note_modules("py", {"ast"})
    one.save()
    two.save()
    assert Memory(store).modules == {"py": ["ast", "json", "re"]}


def test_a_lock_that_another_process_keeps_holds_nobody_up_and_loses_nothing(
    store: str, script: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "LOCK_S", 0.0)
    known = Memory(store)
    Memory(store).save()
    known.note(script, 1.0, effects=effects("/state/a"))
    Path(store).parent.mkdir()
    with (Path(store).parent / memory.LOCK).open("w") as held:
        fcntl.flock(held, fcntl.LOCK_EX)
        known.save()
        assert not Path(store).exists()
    known.save()
    assert Memory(store).written == {"/state/a"}


@given(st.lists(st.tuples(st.integers(0, 2), st.sampled_from("abc"), st.integers(0, 4), st.booleans())))
def test_every_write_that_any_session_saw_is_known_at_the_end(
    runs: list[tuple[int, str, int, bool]],
) -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = str(Path(folder, "learned", "project.json"))
        sessions = [Memory(store) for _ in range(3)]
        for number, hook, path, is_saved in runs:
            sessions[number].note(f"/{hook}.py", 1.0, effects=effects(f"/state/{hook}{path}"))
            if is_saved:
                sessions[number].save()
        for session in sessions:
            session.save()
        known = Memory(store)
        assert known.written == {f"/state/{hook}{path}" for _, hook, path, _ in runs}
        for name in "abc":
            assert known.of(f"/{name}.py").runs == min(sum(hook == name for _, hook, _, _ in runs), 2)


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"scripts": 3}', b"[" * 100_000, b"\xff"])
def test_a_damaged_file_is_begun_anew(store: str, script: str, content: bytes) -> None:
    Path(store).parent.mkdir()
    Path(store).write_bytes(content)
    known = Memory(store)
    known.note(script, 1.0, effects=effects("/state/a"))
    known.save()
    assert json.loads(Path(store).read_bytes())["version"] == 1
    assert Memory(store).written == {"/state/a"}


def test_more_paths_than_are_kept_become_patterns_that_cover_them_all(store: str, script: str) -> None:
    paths = [f"/state/{folder}/{name}/file" for folder in range(40) for name in range(40)]
    known = Memory(store)
    for path in paths:
        known.note(script, 1.0, effects=effects(path))
    kept = known.of(script).writes
    assert len(kept) <= memory.MAX_PATHS
    assert all(any(fnmatch.fnmatchcase(path, pattern) for pattern in kept) for path in paths)
    assert memory.bounded(frozenset(f"/{number}" for number in range(1000))) == {"/*"}


def test_more_than_the_file_may_hold_costs_what_was_learned_first(
    store: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(memory, "MAX_BYTES", 20_000)
    known = Memory(store)
    for number in range(200):
        known.note(f"/{number}.py", 1.0, effects=effects(f"/state/{number}"))
        known.save()
    again = Memory(store)
    assert Path(store).stat().st_size <= 20_000
    assert again.of("/199.py").runs == 1
    assert again.of("/0.py").runs == 0
    assert 50 < len(again.written) < 200


def test_no_record_that_a_project_ships_is_believed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path / "home"))
    project = tmp_path / "project"
    (project / "inside").mkdir(parents=True)
    (tmp_path / "link").symlink_to(project / "inside")
    for folder in (project / "inside", project / "not there", tmp_path / "link"):
        assert memory.path_of(str(folder), str(project)).startswith(str(tmp_path / "home"))
    assert memory.path_of(str(tmp_path / "own"), str(project)).startswith(str(tmp_path / "own"))


# --- where it lies: the shell's line and Python agree, and no project decides -------------------------------

PLACES: list[tuple[dict[str, str], str]] = [
    ({}, "/home/u/.local/state/fanout/hooks"),
    ({"XDG_STATE_HOME": "/state"}, "/state/fanout/hooks"),
    ({"FANOUT_STATE_DIR": "/own state"}, "/own state/hooks"),
    ({"FANOUT_STATE_DIR": "/own", "XDG_STATE_HOME": "/state"}, "/own/hooks"),
    ({"FANOUT_STATE_DIR": "/srv/project-2"}, "/srv/project-2/hooks"),
    ({"FANOUT_STATE_DIR": "/srv/project"}, ""),
    ({"FANOUT_STATE_DIR": "/srv/project/.claude/x"}, ""),
    ({"XDG_STATE_HOME": "/srv/project/.x"}, ""),
    ({"FANOUT_STATE_DIR": ".claude/x"}, ""),
    ({"FANOUT_STATE_DIR": "."}, ""),
    ({"XDG_STATE_HOME": "x"}, ""),
    ({"FANOUT_STATE_DIR": "/proc/self/cwd/.claude"}, ""),
    ({"FANOUT_STATE_DIR": "/dev/fd/3"}, ""),
    ({"FANOUT_STATE_DIR": "/srv/other/../project/x"}, ""),
    ({"FANOUT_STATE_DIR": "/srv/./project"}, ""),
    ({"FANOUT_STATE_DIR": "/srv/project/."}, ""),
]


@pytest.mark.parametrize(("given", "folder"), PLACES, ids=str)
def test_no_folder_of_a_project_is_taken_for_the_users_own(given: dict[str, str], folder: str) -> None:
    env = {"HOME": "/home/u", "CLAUDE_PROJECT_DIR": "/srv/project", **given}
    done = subprocess.run(
        ["/bin/sh", "-c", f'{STATE}; printf %s "$s"'], env=env, capture_output=True, text=True, check=True
    )
    wanted = folder or "/home/u/.local/state/fanout/hooks"
    assert (state_folder(env), done.stdout) == (wanted, wanted)
