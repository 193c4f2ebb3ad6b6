"""Of the corpus, everything that was seeded is found, at its place, and nothing else is."""

from __future__ import annotations

from pathlib import Path

import pytest

from fakes import seeded_sequences
from fakes.seeded_sequences import Talk, kinds_of, sequences_of


@pytest.mark.parametrize("talk", seeded_sequences.SEEDED, ids=lambda talk: talk.id)
def test_needless_sequences_are_found(talk: Talk, tmp_path: Path) -> None:
    assert kinds_of(sequences_of(talk, tmp_path)) == talk.kinds


@pytest.mark.parametrize("talk", seeded_sequences.DECOYS, ids=lambda talk: talk.id)
def test_what_had_to_wait_is_not_found(talk: Talk, tmp_path: Path) -> None:
    assert sequences_of(talk, tmp_path) == []
