"""A hook that several scopes hold runs once an event, and runs, too, where only one of them comes."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path
from typing import Any

import pytest

from fakes.sandbox import Event, Sandbox, pre_tool_use
from fanout_hooks.client.config import Config
from fanout_hooks.run import dispatch

BOTH = "echo both >>ran.txt"


@pytest.fixture
def sandbox(tmp_path: Path) -> Sandbox:
    return Sandbox(tmp_path)


def hold(sandbox: Sandbox, scope: str, *commands: str | dict[str, Any], matcher: str = "") -> None:
    folder = (sandbox.home if scope == "user" else sandbox.project) / ".claude" / "fanout"
    folder.mkdir(parents=True, exist_ok=True)
    entries = [one if isinstance(one, dict) else {"type": "command", "command": one} for one in commands]
    name = "hooks.local.json" if scope == "local" else "hooks.json"
    (folder / name).write_text(
        json.dumps({"hooks": {"PreToolUse": [{"matcher": matcher, "hooks": entries}]}})
    )


def come(sandbox: Sandbox, event: Event, *scopes: str, only: str = "") -> None:
    """Have the entries of these scopes come to one event, each for itself."""
    for scope in scopes:
        request = sandbox.request(event, only=only)._replace(scopes=(scope,), path="cold")
        with sandbox.running() as run:
            run.loop.run(dispatch.handle(run.runtime, request)).afterwards()


def ran(sandbox: Sandbox) -> Counter[str]:
    path = sandbox.project / "ran.txt"
    return Counter(path.read_text().split()) if path.exists() else Counter()


@pytest.mark.parametrize("order", [("user", "local"), ("local", "user")], ids=" first, ".join)
def test_a_hook_of_two_scopes_runs_once_an_event_whoever_comes_first(
    sandbox: Sandbox, order: tuple[str, str]
) -> None:
    hold(sandbox, "user", BOTH, "echo user >>ran.txt")
    hold(sandbox, "local", BOTH, "echo local >>ran.txt")
    for number in range(3):
        come(sandbox, pre_tool_use(tool_use_id=f"toolu_{number}"), *order)
    assert ran(sandbox) == {"both": 3, "user": 3, "local": 3}


def test_events_in_the_same_words_run_it_once_each(sandbox: Sandbox) -> None:
    hold(sandbox, "user", BOTH)
    hold(sandbox, "local", BOTH)
    for order in (("user", "local"), ("local", "user"), ("user", "local")):
        come(sandbox, pre_tool_use(tool_use_id=""), *order)
    assert ran(sandbox) == {"both": 3}


def test_where_only_one_scope_comes_it_runs_there_whatever_the_others_hold(sandbox: Sandbox) -> None:
    for scope in ("user", "local", "shared"):
        hold(sandbox, scope, BOTH)
    come(sandbox, pre_tool_use(tool_use_id="a"), "local")
    come(sandbox, pre_tool_use(tool_use_id="b"), "shared")
    assert ran(sandbox) == {"both": 2}


def test_a_scope_whose_matcher_says_no_takes_nothing(sandbox: Sandbox) -> None:
    hold(sandbox, "user", BOTH, matcher="Edit")
    hold(sandbox, "local", BOTH, matcher="Bash")
    come(sandbox, pre_tool_use(), "user", "local")
    assert ran(sandbox) == {"both": 1}


def test_guards_run_wherever_they_are_held(sandbox: Sandbox) -> None:
    guard = {"type": "command", "command": BOTH, "guard": True, "name": "g"}
    hold(sandbox, "user", guard)
    hold(sandbox, "local", guard)
    come(sandbox, pre_tool_use(), "user", "local", only="g")
    assert ran(sandbox) == {"both": 2}


def test_a_hook_that_another_scope_gains_meanwhile_runs_once_from_then_on(sandbox: Sandbox) -> None:
    hold(sandbox, "user", BOTH)
    hold(sandbox, "local", "echo local >>ran.txt")
    come(sandbox, pre_tool_use(tool_use_id="a"), "user", "local")
    hold(sandbox, "local", BOTH)
    come(sandbox, pre_tool_use(tool_use_id="b"), "user", "local")
    assert ran(sandbox) == {"both": 2, "local": 1}


def test_events_of_two_scopes_by_turns_read_each_file_once(sandbox: Sandbox) -> None:
    hold(sandbox, "user", BOTH)
    hold(sandbox, "local", "echo local >>ran.txt")
    with sandbox.running() as run:

        def held(scope: str) -> Config:
            return run.runtime.config((scope,), str(sandbox.project), sandbox.env)

        user, local = held("user"), held("local")
        assert (held("user"), held("local")) == (user, local)
        assert held("user") is user
        hold(sandbox, "user", "echo other >>ran.txt")
        assert held("user") is not user
        assert held("local") is local
