"""Of the corpus, everything that was seeded is found, at its place, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes import seeded_races, seeded_sequences
from fakes.seeded_races import Hooks, races_of
from fakes.seeded_sequences import Talk, kinds_of, sequences_of


@pytest.mark.parametrize("hooks", seeded_races.RACES, ids=lambda hooks: hooks.id)
def test_hooks_that_race_are_found(hooks: Hooks, tmp_path: Path) -> None:
    (found,) = races_of(hooks, tmp_path)
    assert f" {hooks.file} " in found.what
    assert "guess" in found.basis
    file, _, line = found.place.rpartition(":")
    assert '"command"' in Path(file).read_text(encoding="utf-8").splitlines()[int(line) - 1]


@pytest.mark.parametrize("hooks", seeded_races.DECOYS, ids=lambda hooks: hooks.id)
def test_hooks_that_only_look_like_a_race_are_not(hooks: Hooks, tmp_path: Path) -> None:
    assert races_of(hooks, tmp_path) == []


@pytest.mark.parametrize("talk", seeded_sequences.SEEDED, ids=lambda talk: talk.id)
def test_needless_sequences_are_found(talk: Talk, tmp_path: Path) -> None:
    assert kinds_of(sequences_of(talk, tmp_path)) == talk.kinds


@pytest.mark.parametrize("talk", seeded_sequences.DECOYS, ids=lambda talk: talk.id)
def test_what_had_to_wait_is_not_found(talk: Talk, tmp_path: Path) -> None:
    assert sequences_of(talk, tmp_path) == []
