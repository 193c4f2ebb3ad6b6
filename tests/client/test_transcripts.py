"""Transcripts are found newest first, while the client goes on writing and removing them."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest

from fanout_hooks.client import transcripts


@pytest.fixture
def project(tmp_path: Path) -> Path:
    for written, name in (
        (3, "b.jsonl"),
        (1, "a.jsonl"),
        (2, "a/subagents/agent-1.jsonl"),
        (4, "a/notes.txt"),
    ):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.touch()
        os.utime(path, (written, written))
    return tmp_path


def named(project: Path, since: float = 0.0) -> list[str]:
    return [str(Path(path).relative_to(project)) for path in transcripts.find(str(project), since)]


def test_transcripts_are_found_with_those_of_sub_agents_the_newest_first(project: Path) -> None:
    assert named(project) == ["b.jsonl", "a/subagents/agent-1.jsonl", "a.jsonl"]
    assert named(project, since=2) == ["b.jsonl", "a/subagents/agent-1.jsonl"]
    assert named(project / "nowhere") == []


def test_a_transcript_that_is_removed_meanwhile_is_passed_over(
    project: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The folder was read; before anything is asked about its files, one goes."""
    walk = os.walk

    def removing(folder: str) -> Iterator[tuple[str, list[str], list[str]]]:
        for found in walk(folder):
            (project / "b.jsonl").unlink(missing_ok=True)
            yield found

    monkeypatch.setattr(os, "walk", removing)
    assert named(project) == ["a/subagents/agent-1.jsonl", "a.jsonl"]


@pytest.mark.parametrize("kind", ["fifo", "link", "folder"])
def test_what_is_no_file_is_no_transcript(project: Path, kind: str) -> None:
    path = project / "c.jsonl"
    if kind == "fifo":
        os.mkfifo(path)
    elif kind == "link":
        path.symlink_to("/dev/zero")
    else:
        path.mkdir()
    assert "c.jsonl" not in named(project)
