"""A hook that several scopes hold runs once an event, and runs, too, where only one of them comes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fanout_hooks.run import dispatch
from fanout_hooks.run.config import Config
from hooks.stage import Event, Stage, pre_tool_use

BOTH = "echo both >>ran.txt"


@pytest.fixture
def stage(tmp_path: Path) -> Stage:
    return Stage(tmp_path)


def hold(stage: Stage, scope: str, *commands: str | dict[str, Any], matcher: str = "") -> None:
    folder = (stage.home if scope == "user" else stage.project) / ".claude" / "fanout"
    folder.mkdir(parents=True, exist_ok=True)
    entries = [one if isinstance(one, dict) else {"type": "command", "command": one} for one in commands]
    name = "hooks.local.json" if scope == "local" else "hooks.json"
    (folder / name).write_text(
        json.dumps({"hooks": {"PreToolUse": [{"matcher": matcher, "hooks": entries}]}})
    )


def come(stage: Stage, event: Event, *scopes: str, only: str = "") -> None:
    """Have the entries of these scopes come to one event, each for itself."""
    for scope in scopes:
        request = stage.request(event, only=only)._replace(scopes=(scope,), path="cold")
        with stage.running() as run:
            run.loop.run(dispatch.handle(run.runtime, request)).afterwards()


def ran(stage: Stage) -> Counter[str]:
    path = stage.project / "ran.txt"
    return Counter(path.read_text().split()) if path.exists() else Counter()


@pytest.mark.parametrize("order", [("user", "local"), ("local", "user")], ids=" first, ".join)
def test_a_hook_of_two_scopes_runs_once_an_event_whoever_comes_first(
    stage: Stage, order: tuple[str, str]
) -> None:
    hold(stage, "user", BOTH, "echo user >>ran.txt")
    hold(stage, "local", BOTH, "echo local >>ran.txt")
    for number in range(3):
        come(stage, pre_tool_use(tool_use_id=f"toolu_{number}"), *order)
    assert ran(stage) == {"both": 3, "user": 3, "local": 3}


def test_events_in_the_same_words_run_it_once_each(stage: Stage) -> None:
    hold(stage, "user", BOTH)
    hold(stage, "local", BOTH)
    for order in (("user", "local"), ("local", "user"), ("user", "local")):
        come(stage, pre_tool_use(tool_use_id=""), *order)
    assert ran(stage) == {"both": 3}


def test_where_only_one_scope_comes_it_runs_there_whatever_the_others_hold(stage: Stage) -> None:
    for scope in ("user", "local", "shared"):
        hold(stage, scope, BOTH)
    come(stage, pre_tool_use(tool_use_id="a"), "local")
    come(stage, pre_tool_use(tool_use_id="b"), "shared")
    assert ran(stage) == {"both": 2}


def test_a_scope_whose_matcher_says_no_takes_nothing(stage: Stage) -> None:
    hold(stage, "user", BOTH, matcher="Edit")
    hold(stage, "local", BOTH, matcher="Bash")
    come(stage, pre_tool_use(), "user", "local")
    assert ran(stage) == {"both": 1}


def test_guards_run_wherever_they_are_held(stage: Stage) -> None:
    guard = {"type": "command", "command": BOTH, "guard": True, "name": "g"}
    hold(stage, "user", guard)
    hold(stage, "local", guard)
    come(stage, pre_tool_use(), "user", "local", only="g")
    assert ran(stage) == {"both": 2}


def test_a_hook_that_another_scope_gains_meanwhile_runs_once_from_then_on(stage: Stage) -> None:
    hold(stage, "user", BOTH)
    hold(stage, "local", "echo local >>ran.txt")
    come(stage, pre_tool_use(tool_use_id="a"), "user", "local")
    hold(stage, "local", BOTH)
    come(stage, pre_tool_use(tool_use_id="b"), "user", "local")
    assert ran(stage) == {"both": 2, "local": 1}


def test_events_of_two_scopes_by_turns_read_each_file_once(stage: Stage) -> None:
    hold(stage, "user", BOTH)
    hold(stage, "local", "echo local >>ran.txt")
    with stage.running() as run:

        def held(scope: str) -> Config:
            return run.runtime.config((scope,), str(stage.project), stage.env)

        user, local = held("user"), held("local")
        assert (held("user"), held("local")) == (user, local)
        assert held("user") is user
        hold(stage, "user", "echo other >>ran.txt")
        assert held("user") is not user
        assert held("local") is local
