"""Which mode counts: the session's, the project's, the user's, the entry's; what is no mode is said."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import pytest

from fanout_hooks.gate import watch


class Places:
    """A user's and a project's files."""

    def __init__(self, folder: Path) -> None:
        self.home, self.project = folder / "home", folder / "project"
        self.env = {"HOME": str(self.home), "CLAUDE_PROJECT_DIR": str(self.project)}

    def user(self, text: str) -> None:
        self._write(self.home / ".config" / "fanout" / "config.toml", text)

    def shared(self, text: str) -> None:
        self._write(self.project / ".claude" / "fanout" / "config.json", text)

    def choose(self, entry: str = "smart", **env: str) -> watch.Chosen:
        return watch.choose({"cwd": str(self.project)}, self.env | env, entry)

    def _write(self, path: Path, text: str) -> None:
        path.parent.mkdir(parents=True)
        path.write_text(text, encoding="utf-8")


@pytest.fixture
def places(tmp_path: Path) -> Places:
    return Places(tmp_path)


def test_the_session_beats_the_project_beats_the_user_beats_the_entry(places: Places) -> None:
    assert places.choose("warn").mode == "warn"
    places.user('# mine\ngate = "strict"\n')
    assert places.choose("warn").mode == "strict"
    places.shared('{"gate": "off"}')
    assert places.choose("warn").mode == "off"
    assert places.choose("warn", FANOUT_GATE="smart").mode == "smart"


def test_with_nothing_said_it_is_smart(places: Places) -> None:
    assert places.choose("on") == watch.Chosen("smart")


def test_what_is_no_mode_is_passed_over_and_named(places: Places) -> None:
    places.user('gate = "strict"')
    chosen = places.choose(FANOUT_GATE="srict")
    assert chosen.mode == "strict"
    assert '"srict" in FANOUT_GATE' in chosen.problem


@pytest.mark.parametrize("text", ["{", "[]", "null", '"off"', "[" * 10_000])
def test_a_broken_project_file_neither_blocks_nor_switches_off(places: Places, text: str) -> None:
    places.shared(text)
    chosen = places.choose()
    assert chosen.mode == "smart"
    assert "config.json" in chosen.problem


@pytest.mark.parametrize("whose", ["project", "user"])
def test_what_is_no_file_or_far_too_large_holds_nobody_up_and_is_named(places: Places, whose: str) -> None:
    write = places.shared if whose == "project" else places.user
    write("x" * (watch.MAX_BYTES + 1))
    (path,) = (one for one in places.home.parent.rglob("config.*"))
    assert f"can't read {path}: larger than" in places.choose().problem
    path.unlink()
    os.mkfifo(path)
    writer = os.open(path, os.O_RDWR)  # a FIFO with a writer and nothing in it
    chosen = places.choose()
    os.close(writer)
    assert (chosen.mode, f"can't read {path}: not a regular file" in chosen.problem) == ("smart", True)


def test_a_project_can_set_nothing_but_the_mode(places: Places) -> None:
    places.shared('{"gate": "warn", "gate_reminder": true, "base_url": "https://example.invalid"}')
    assert places.choose() == watch.Chosen("warn")


def test_keys_of_tables_are_not_the_gates(places: Places) -> None:
    places.user('model = "m"\n[prices."x"]\ngate = "off"\n')
    assert places.choose("strict").mode == "strict"


@pytest.mark.parametrize(
    "prompt",
    [
        "Explain all modules of this repository.",
        "Review the whole codebase for security problems.",
        "Summarise:\n- the parser\n- the linker\n- the loader",
        "Check src/a.py, src/b.py and src/c.py for bugs.",
    ],
)
def test_the_reminder_comes_for_work_that_looks_like_several_agents(prompt: str) -> None:
    assert watch.for_prompt(prompt) == watch.TEXT
    assert len(watch.TEXT) <= 300


@pytest.mark.parametrize(
    "prompt",
    [
        "Fix the typo in README.md",
        "Explain src/auth/login.py",
        "What is the capital of France, and of all other countries?",
        "/review all files",
        "<task-notification>\nreview all files",
        "",
    ],
)
def test_the_reminder_is_silent_for_everything_else(prompt: str) -> None:
    assert watch.for_prompt(prompt) == ""


def test_the_reminder_is_off_unless_the_user_turns_it_on(places: Places) -> None:
    assert not places.choose().remind
    places.user("gate_reminder = true\n")
    assert places.choose().remind


def test_a_folder_in_its_place_is_passed_over_and_named(places: Places) -> None:
    (places.project / ".claude" / "fanout" / "config.json").mkdir(parents=True)
    chosen = places.choose("warn")
    assert (chosen.mode, "config.json: not a regular file" in chosen.problem) == ("warn", True)


def test_every_value_a_line_may_hold_is_read(places: Places) -> None:
    found: dict[str, Any] = {
        text: watch.toml_value(text, "gate")
        for text in ('gate = "warn"', "gate='off'", 'gate="strict" # why', 'agate = "off"')
    }
    assert list(found.values()) == ["warn", "off", "strict", ""]
