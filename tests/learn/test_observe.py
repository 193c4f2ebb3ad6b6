"""What a run touched is reported within bounds, and never less than it was."""

from __future__ import annotations

import fnmatch
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_hooks.learn.observe import MAX_EFFECTS, Effects, covering

NAMES = st.sampled_from(["a", "b", "c", "a*", "d"])
PATHS = st.lists(NAMES, min_size=1, max_size=5).map(lambda names: "/" + "/".join(names))


def is_covered(path: str, patterns: Sequence[str]) -> bool:
    return any(path == pattern or fnmatch.fnmatchcase(path, pattern) for pattern in patterns)


@given(st.sets(PATHS, max_size=30), st.integers(1, 8))
def test_every_path_is_covered_by_at_most_as_many_patterns(paths: set[str], most: int) -> None:
    patterns = sorted(covering(paths, most))
    assert len(patterns) <= most
    assert all(is_covered(path, patterns) for path in paths)


@pytest.mark.parametrize("folders", [1, 1000])
def test_a_run_that_writes_into_many_folders_is_told_to_write_into_all_of_them(folders: int) -> None:
    effects = Effects()
    paths = [f"/state/{number % folders}/{number}" for number in range(2000)]
    effects.writes.update(paths)
    reported = effects.settled((), frozenset())["writes"]
    assert len(reported) <= MAX_EFFECTS
    assert all(is_covered(path, reported) for path in paths)


def test_few_paths_stay_as_they_are() -> None:
    assert covering({"/state/a", "/state/b"}, 2) == {"/state/a", "/state/b"}
