"""What the cache keeps, believes and survives; runs over it are in test_journal.py."""

from __future__ import annotations

import os
import sqlite3
import stat
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import pytest

from fanout_mcp.state import cache as module
from fanout_mcp.state.cache import Cache, open_cache
from fanout_mcp.types import Answer
from fanout_mcp.usage import Usage

ANSWER = Answer("text \udcff\n", "maker/model", Usage(10, 2, 0.5), {"a": [1, None]})


@pytest.fixture
def project(tmp_path: Path) -> Path:
    return tmp_path / "project"


@contextmanager
def opened(project: Path, user: str = "user") -> Iterator[Cache]:
    cache = open_cache(file_of(project).parent, project.parent / user)
    try:
        yield cache
    finally:
        cache.close()


def file_of(project: Path) -> Path:
    return project.parent / "home" / "cache" / project.name / "answers.sqlite"


def store(project: Path) -> str:
    with opened(project) as cache:
        key = cache.key(["asked"])
        cache.keep(key, ANSWER)
    return key


def test_an_answer_is_found_again_by_another_process(project: Path) -> None:
    key = store(project)
    with opened(project) as cache:
        assert cache.known([key, cache.key(["something else"])]) == {key: ANSWER}


def test_only_the_user_can_read_it(project: Path) -> None:
    store(project)
    assert stat.S_IMODE(file_of(project).stat().st_mode) == 0o600
    assert stat.S_IMODE((project.parent / "user" / "cache.key").stat().st_mode) == 0o600
    assert stat.S_IMODE(file_of(project).parent.stat().st_mode) == 0o700


def test_a_file_written_by_another_user_is_not_believed(project: Path) -> None:
    with opened(project, "attacker") as theirs:
        theirs.keep(theirs.key(["asked"]), Answer("no findings at all", "m"))
        planted = theirs.key(["asked"])
    with opened(project) as cache:
        assert cache.key(["asked"]) != planted
        assert cache.known([planted, cache.key(["asked"])]) == {}


def test_an_answer_moved_to_another_key_or_changed_is_not_believed(project: Path) -> None:
    key = store(project)
    with sqlite3.connect(file_of(project)) as file:
        file.execute("INSERT INTO answer SELECT 'other', value FROM answer")
        file.execute("UPDATE answer SET value = substr(value, 1, 40) WHERE key = ?", (key,))
    with opened(project) as cache:
        assert cache.known([key, "other"]) == {}
        assert cache.claim(key) == "mine"


def test_one_asks_and_the_other_waits(project: Path) -> None:
    with opened(project) as one, opened(project) as other:
        key = one.key("q")
        assert one.claim(key) == "mine"
        assert other.claim(key) == "theirs"
        assert one.claim(key) == "theirs"
        one.keep(key, ANSWER)
        assert other.claim(key) == ANSWER


def test_a_failed_call_lets_the_next_one_ask(project: Path) -> None:
    with opened(project) as one, opened(project) as other:
        key = one.key("q")
        one.claim(key)
        other.release(key)  # not the owner: nothing happens
        assert other.claim(key) == "theirs"
        one.release(key)
        assert other.claim(key) == "mine"


def test_whoever_was_killed_lets_go_within_the_lease(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_S", 0.2)
    with opened(project) as one, opened(project) as other:
        key = one.key("q")
        one.claim(key)
        one._closing.set()  # renews no more, as if killed or stopped
        until = time.monotonic() + 10
        while other.claim(key) == "theirs":
            assert time.monotonic() < until
        other.keep(key, ANSWER)
        one.keep(key, ANSWER)  # it comes back late: the answer is the same
        assert other.known([key]) == {key: ANSWER}


def test_a_call_longer_than_the_lease_is_not_repeated(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "LEASE_S", 1.5)
    with opened(project) as one, opened(project) as other:
        key = one.key("q")
        one.claim(key)
        until = time.monotonic() + 2.5
        seen = set()
        while time.monotonic() < until:
            seen.add(str(other.claim(key)))
            time.sleep(0.1)  # the lease's own clock has to pass
        assert seen == {"theirs"}


def test_a_lease_from_before_the_machine_was_restarted_does_not_hold(project: Path) -> None:
    with opened(project) as cache:
        key = cache.key("q")
        with sqlite3.connect(file_of(project)) as file:
            file.execute("INSERT INTO lease VALUES (?, 'gone', ?)", (key, time.monotonic() + 1e6))
        assert cache.claim(key) == "mine"


def works_without(project: Path, why: str) -> None:
    with opened(project) as cache:
        key = cache.key("q")
        assert cache.claim(key) == "mine"
        cache.keep(key, ANSWER)
        assert cache.known([key]) == {}
        assert why in cache.problem


@pytest.mark.parametrize("damage", [b"", b"no database at all" * 100, b"SQLite format 3\0" + b"\xff" * 5000])
def test_a_damaged_file_is_moved_aside_and_begun_anew(project: Path, damage: bytes) -> None:
    store(project)
    for end in ("-wal", "-shm"):
        file_of(project).with_name("answers.sqlite" + end).unlink(missing_ok=True)
    file_of(project).write_bytes(damage)
    key = store(project)
    with opened(project) as cache:
        assert cache.known([key]) == {key: ANSWER}
        assert not cache.problem


def test_callers_that_make_the_file_at_the_same_time_all_have_a_cache(project: Path) -> None:
    together = threading.Barrier(4)

    def problem(folder: Path) -> str:
        together.wait()
        with opened(folder) as cache:
            return cache.problem

    with ThreadPoolExecutor(4) as threads:
        for round_ in range(40):  # one round in ten failed when openings were not serialized
            folder = project.with_name(f"project{round_}")
            assert list(threads.map(problem, [folder] * 4)) == [""] * 4


def test_a_newer_file_is_left_alone(project: Path) -> None:
    store(project)
    with sqlite3.connect(file_of(project)) as file:
        file.execute("PRAGMA user_version = 99")
    works_without(project, "version 99")


def test_a_locked_file_costs_one_wait(project: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "BUSY_S", 0.1)
    store(project)
    with opened(project) as cache:
        holder = sqlite3.connect(file_of(project), isolation_level=None)
        holder.execute("BEGIN EXCLUSIVE")
        assert cache.claim("q") == "mine"
        holder.close()
        assert "locked" in cache.problem
        assert not cache.is_on


@pytest.mark.parametrize("depth", [0, 1])
def test_a_linked_folder_or_file_is_refused(project: Path, depth: int) -> None:
    outside = project.parent / "outside"
    outside.mkdir()
    link = [file_of(project).parent, file_of(project)][depth]
    link.parent.mkdir(parents=True)
    link.symlink_to(outside)
    works_without(project, "symlink")
    assert list(outside.iterdir()) == []


def test_a_second_name_of_another_file_is_refused(project: Path) -> None:
    file_of(project).parent.mkdir(parents=True)
    other = project.parent / "other"
    other.write_bytes(b"precious")
    file_of(project).hardlink_to(other)
    works_without(project, "not a file of this user")
    assert other.read_bytes() == b"precious"


def test_a_folder_that_others_may_write_to_is_closed_to_them(project: Path) -> None:
    file_of(project).parent.mkdir(parents=True)
    file_of(project).parent.chmod(0o777)
    store(project)
    assert stat.S_IMODE(file_of(project).parent.stat().st_mode) == 0o700


def test_a_folder_that_cannot_be_written_costs_the_cache_only(project: Path) -> None:
    file_of(project).parent.parent.mkdir(parents=True)
    file_of(project).parent.write_text("a file where a folder should be")
    works_without(project, "went on without the cache")


def test_a_full_disk_costs_the_cache_only(project: Path) -> None:
    store(project)
    with opened(project) as cache:
        assert cache._connection is not None
        [(pages,)] = cache._connection.execute("PRAGMA page_count")
        cache._connection.execute(f"PRAGMA max_page_count = {pages}")
        noise = Answer(os.urandom(200_000).hex(), "m")
        cache.keep(cache.key("large"), noise)
        assert "full" in cache.problem
        assert cache.claim("q") == "mine"
