"""A file is replaced whole, through no link, and what fails leaves the old one and nothing beside it."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from fanout_hooks.client import files


def test_a_file_is_replaced_for_its_user_alone(tmp_path: Path) -> None:
    path = tmp_path / "state.json"
    for data in (b"old, and longer", b"new"):
        files.replace(str(path), data)
        assert path.read_bytes() == data
    assert path.stat().st_mode & 0o777 == 0o600
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.parametrize("place", ["state.json", ".fanout-{pid}-state.json.tmp"])
def test_a_planted_link_is_replaced_and_not_followed(tmp_path: Path, place: str) -> None:
    target, path = tmp_path / "target", tmp_path / "state.json"
    target.write_bytes(b"precious")
    (tmp_path / place.format(pid=os.getpid())).symlink_to(target)
    files.replace(str(path), b"new")
    assert target.read_bytes() == b"precious"
    assert (path.read_bytes(), path.is_symlink()) == (b"new", False)


def test_what_cannot_be_replaced_stays_and_nothing_is_left_beside_it(tmp_path: Path) -> None:
    folder = tmp_path / "state.json"
    folder.mkdir()
    with pytest.raises(OSError, match="directory"):
        files.replace(str(folder), b"new")
    assert list(tmp_path.iterdir()) == [folder]
