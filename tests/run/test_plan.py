"""An event's hooks put into units: every order that was asked for holds, and none waits for ever."""

from __future__ import annotations

from itertools import combinations
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import settings as rules
from hypothesis import strategies as st

from fakes.sandbox import PYTHON, Sandbox, prompt
from fanout_hooks.client.config import Hook
from fanout_hooks.learn.memory import TRIALS, Memory
from fanout_hooks.run import plan
from fanout_hooks.run.plan import Plan

NAMES = "abcdefgh"
WAYS = ("warm", "trial", "alone", "lane")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return tmp_path_factory.mktemp("scripts")


def _hook(folder: Path, known: Memory, name: str, wanted: tuple[str, str, str]) -> Hook:
    """Return a hook that will be planned in the wanted way: what is known of its script decides it."""
    way, after, resources = wanted
    script = folder / f"{name}_{way}.py"
    script.touch()
    effects = {"reads": (), "writes": (), "spawns": False, "opaque": False}
    for _ in range(0 if way in ("trial", "lane") else TRIALS):
        known.note(str(script), 9999.0 if way == "alone" else 0.1, effects=effects)
    command = f"sh {script}" if way == "lane" else f"{PYTHON} {script}"
    return Hook(name, "Stop", "local", command=command, after=tuple(after), resources=tuple(resources))


def _planned(folder: Path, *hooks: tuple[str, str, str]) -> Plan:
    known = Memory("/nowhere")
    made = [_hook(folder, known, name, wanted) for name, wanted in zip(NAMES, hooks, strict=False)]
    return plan.make(made, str(folder), str(folder), {}, known)


def _run(made: Plan) -> list[int]:
    """Run the units as dispatch does, one after another, and return the order in which hooks ran."""
    ran: list[int] = []
    left = list(made.units)
    while left:
        ready = [unit for unit in left if set(unit.before) <= set(ran)]
        assert ready, f"nobody can start: {left}"
        ran += [place for unit in ready[-1:] for place in unit.places]
        left.remove(ready[-1])
    return ran


HOOKS = st.lists(
    st.tuples(st.sampled_from(WAYS), st.text(NAMES, max_size=2), st.text("xy", max_size=1)),
    min_size=1,
    max_size=len(NAMES),
)


@rules(deadline=None, max_examples=300)
@given(hooks=HOOKS)
def test_every_plan_runs_to_its_end_and_keeps_every_order_that_was_asked_for(
    folder: Path, hooks: list[tuple[str, str, str]]
) -> None:
    made = _planned(folder, *hooks)
    ran = _run(made)
    assert sorted(ran) == list(range(len(hooks)))
    assert [wait for wait in made.waits if ran.index(wait.earlier) > ran.index(wait.later)] == []
    ordered = {frozenset((wait.earlier, wait.later)) for wait in made.waits}
    for one, other in combinations(range(len(hooks)), 2):
        assert {one, other} in ordered or not plan.clash(made.footprints[one], made.footprints[other])


@pytest.mark.parametrize(
    ("hooks", "units"),
    [
        ([("warm", "b", ""), ("warm", "", "")], [(1, 0)]),
        ([("warm", "b", ""), ("lane", "c", ""), ("warm", "", "")], [(2,), (1,), (0,)]),
        ([("warm", "", ""), ("warm", "", ""), ("warm", "", "")], [(0, 1, 2)]),
        ([("warm", "", ""), ("lane", "", "x"), ("warm", "", "x"), ("warm", "", "")], [(0,), (1,), (2, 3)]),
        (
            [("trial", "", ""), ("warm", "", ""), ("trial", "", ""), ("warm", "", "")],
            [(0,), (1, 3), (2,)],
        ),
        ([("alone", "", ""), ("warm", "", ""), ("warm", "", "")], [(0,), (1, 2)]),
        ([("warm", "c", ""), ("warm", "", ""), ("warm", "", "")], [(2, 0, 1)]),
        ([("warm", "", ""), ("warm", "c", ""), ("warm", "", "")], [(0, 2, 1)]),
    ],
)
def test_warm_hooks_are_joined_as_far_as_nobody_else_comes_between(
    folder: Path, hooks: list[tuple[str, str, str]], units: list[tuple[int, ...]]
) -> None:
    assert [unit.places for unit in _planned(folder, *hooks).units] == units


@pytest.mark.parametrize(
    ("hooks", "waits"),
    [
        ([("lane", "c", "x"), ("lane", "", "x"), ("lane", "", "")], {"ca", "ab"}),
        ([("lane", "", "x"), ("lane", "c", "x"), ("lane", "", "")], {"cb", "ab"}),
        ([("lane", "", ""), ("lane", "", "x"), ("lane", "a", "x")], {"ac", "bc"}),
        ([("lane", "c", "x"), ("lane", "", "x"), ("lane", "", "x")], {"ca", "ab", "cb"}),
        ([("lane", "b", "x"), ("lane", "c", "x"), ("lane", "b", "")], {"ba", "cb"}),
    ],
    ids=["first", "mirrored", "last", "round a declared one", "declared in a circle"],
)
def test_after_turns_around_only_what_would_go_in_a_circle(
    folder: Path, hooks: list[tuple[str, str, str]], waits: set[str]
) -> None:
    made = _planned(folder, *hooks)
    assert {NAMES[wait.earlier] + NAMES[wait.later] for wait in made.waits} == waits


@pytest.mark.parametrize("middle", ["lane", "python"])
def test_after_against_configuration_order_is_kept(tmp_path: Path, middle: str) -> None:
    sandbox = Sandbox(tmp_path)
    note = "open('ran', 'a').write('{}')".format
    between = {"command": "printf b >>ran"} if middle == "lane" else sandbox.python("b", note("b"))
    sandbox.hooks(
        "UserPromptSubmit",
        sandbox.python("a", note("a"), after=["b"]),
        between | {"name": "b", "after": ["c"]},
        sandbox.python("c", note("c")),
    )
    with sandbox.running() as run:
        for _ in range(4):
            run.event(prompt())
    assert (sandbox.project / "ran").read_text() == "cba" * 4
    assert [row["exit"] for record in sandbox.log() for row in record["hooks"]] == [0] * 12
    assert [record["batches"] for record in sandbox.log()] == [3] * 4
