"""Of the corpus, everything that was seeded is found, at its place, and nothing else is."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from audit import seeded_races, seeded_sequences
from audit.corpus import Writer
from audit.seeded_races import Hooks
from audit.seeded_sequences import Talk
from fanout_hooks.audit import agents
from fanout_hooks.audit import hooks as audit_hooks
from fanout_hooks.audit import hooks as audit_races
from fanout_hooks.audit.agents import Observation
from fanout_hooks.client import transcripts


def races_of(hooks: Hooks, project: Path) -> list[Observation]:
    """Write a project with these hooks and audit it."""
    for name, source in hooks.scripts.items():
        file = project / ".claude" / "hooks" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_text(source, encoding="utf-8")
    events: dict[str, list[object]] = {}
    for event, matcher, what in hooks.on:
        start = {".sh": "sh", ".js": "node"}.get(Path(what).suffix, "python3")
        command = f'{start} "$CLAUDE_PROJECT_DIR"/.claude/hooks/{what}' if what in hooks.scripts else what
        entry = {"matcher": matcher, "hooks": [{"type": "command", "command": command}]}
        events.setdefault(event, []).append(entry)
    settings = project / ".claude" / "settings.json"
    settings.parent.mkdir(exist_ok=True)
    settings.write_text(json.dumps({"hooks": events}, indent=2), encoding="utf-8")
    found, problems = audit_hooks.find(str(project), {"HOME": str(project / "home")})
    assert problems == []
    return audit_races.races(found)


def sequences_of(talk: Talk, folder: Path) -> list[Observation]:
    writer = Writer(folder / "talk.jsonl").prompt(talk.prompt)
    talk.write(writer)
    read = transcripts.read(writer.write())
    return [*agents.sequential_agents(read), *agents.sequential_calls(read)]


def kinds_of(found: list[Observation]) -> tuple[str, ...]:
    return tuple(one.kind for one in found)


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
