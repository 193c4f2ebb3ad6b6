"""Whatever a hook does to its process touches no other hook, and it still ends as it would alone."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from fakes.hostile_hooks import HOSTILE, PROBE, Hostile
from fakes.sandbox import PYTHON, Native, Sandbox, pre_tool_use
from fanout_hooks.client.hook_input import to_stdin
from fanout_hooks.learn.memory import TRIALS
from fanout_hooks.warm.command import Program, python_of, words_of
from fanout_hooks.warm.interpreter import HookInput, Interpreter, Ran, Task
from fanout_hooks.warm.loop import Future, Loop, memory_file, write_all

CUT_S = 0.4


def _program(sandbox: Sandbox, name: str, source: str) -> Program:
    env, cwd = sandbox.env, str(sandbox.project)
    found = python_of(words_of(f"{PYTHON} {sandbox.script(name, source)}", None, env, cwd), env, cwd)
    assert found is not None
    return found


def run_in_one_interpreter(sandbox: Sandbox, programs: list[tuple[Program, float]]) -> dict[int, Ran]:
    """Run programs one after another in one interpreter's workers, as one event's fast hooks are run."""
    loop = Loop()
    interpreter = Interpreter(loop)
    interpreter.open(programs[0][0], sandbox.env, str(sandbox.project))
    stdin = memory_file("stdin")
    write_all(stdin, to_stdin(sandbox.here(pre_tool_use())))
    hook_input = HookInput(stdin, sandbox.env, str(sandbox.project), Future())
    ran: dict[int, Ran] = {}
    tasks = [Task(place, program, limit, {}) for place, (program, limit) in enumerate(programs)]

    async def all_of_them() -> None:
        ended = loop.spawn(
            interpreter.run(tasks, hook_input, lambda one: ran.update({one.place: one}), alone=False)
        )
        assert await loop.first(ended, 120.0) is not None, "the hooks did not end in 120 s"

    try:
        loop.run(all_of_them())
    finally:
        interpreter.close()
    return ran


@pytest.mark.parametrize("step", [pytest.param(1, marks=pytest.mark.slow), 7], ids=["each", "each seventh"])
def test_no_hostile_hook_touches_the_next_one_and_each_ends_as_it_would_alone(
    tmp_path: Path, step: int
) -> None:
    tried = HOSTILE[::step]
    sandbox = Sandbox(tmp_path)
    (sandbox.scripts / "helper.py").write_text("x = None\n")
    probe = _program(sandbox, "probe", PROBE)
    programs = [(probe, 30.0)]
    for number, hostile in enumerate(tried):
        programs.append(
            (_program(sandbox, f"hostile_{number}", hostile.program), CUT_S if hostile.cut else 30.0)
        )
        programs.append((probe, 30.0))
    ran = run_in_one_interpreter(sandbox, programs)
    clean = sandbox.native(f"{PYTHON} {sandbox.scripts / 'probe.py'}", pre_tool_use())
    dirty, wrong = [], []
    for number, hostile in enumerate(tried):
        own, after = ran[2 * number + 1], ran[2 * number + 2]
        wrong += difference(sandbox, number, hostile, native_of(own), timed_out=own.timed_out)
        dirty += dirt(hostile.name, clean, native_of(after))
    assert "\n".join(dirty) == ""
    assert "\n".join(wrong) == ""


def difference(sandbox: Sandbox, number: int, hostile: Hostile, got: Native, *, timed_out: bool) -> list[str]:
    if hostile.cut:
        good = timed_out and got.stdout == "before\n"
        return [] if good else [f"{hostile.name}: not cut: {_short(got)}"]
    alone = sandbox.native(f"exec {PYTHON} {sandbox.scripts / f'hostile_{number}.py'}", pre_tool_use())
    if _comparable(got) == _comparable(alone):
        return []
    return [f"{hostile.name}: {_short(got)} instead of {_short(alone)}"]


CHANGING = re.compile(r"0x[0-9a-f]+|repeated \d+ more times")
"""Addresses; and how deep a recursion got (a warm hook starts a dozen frames down)."""


def _comparable(native: Native) -> Native:
    return native._replace(stderr=CHANGING.sub("...", native.stderr))


def _short(native: Native) -> str:
    return str(tuple(part[-600:] if isinstance(part, str) else part for part in native))


def dirt(after: str, clean: Native, ran: Native) -> list[str]:
    if ran.exit or ran.stderr or not ran.stdout.startswith("{"):
        return [f"after {after}: {ran}"]
    want, got = json.loads(clean.stdout), json.loads(ran.stdout)
    return [
        f"after {after}: {key} is {got[key]!r}, not {want[key]!r}" for key in want if want[key] != got[key]
    ]


def native_of(ran: Ran) -> Native:
    return Native(ran.exit, ran.stdout.decode("utf-8", "replace"), ran.stderr.decode("utf-8", "replace"))


def test_the_worker_of_an_event_serves_its_later_hooks_and_the_next_event(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    first = sandbox.python("first", "import os; print(os.getpid())", resources=["one"])
    last = sandbox.python("last", "import os; print(os.getpid()); print(end='')", resources=["one"])
    between = {"type": "command", "command": "sleep 0.01", "resources": ["one"]}
    sandbox.hooks("PreToolUse", first, between, last)
    with sandbox.running() as run, run.seeing() as seen:
        for _ in range(TRIALS + 3):
            run.event(pre_tool_use())
    assert [row["lane"] for row in sandbox.log()[-1]["hooks"]] == ["warm", "lane", "warm"]
    assert len({own.stdout for own in seen[-6:]} - {""}) == 1


def test_what_a_helper_changes_in_a_standard_module_reaches_no_other_hook(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.script("helper", "import colorsys\ncolorsys.rgb_to_hsv = lambda *_: 'changed'\n")
    sandbox.script("tame", "import tamer\n")
    sandbox.script("tamer", "import os\n")
    sources = (
        "import os, tame; print(os.getpid())",
        "import os, helper; print(os.getpid())",
        "import colorsys, os; print(os.getpid(), colorsys.rgb_to_hsv(0, 0, 0))",
    )
    programs = [(_program(sandbox, f"hook_{at}", source), 30.0) for at, source in enumerate(sources)]
    ran = run_in_one_interpreter(sandbox, programs)
    tame, changing, after = (native_of(ran[at]).stdout.split(maxsplit=1) for at in range(3))
    assert after[1] == "(0.0, 0.0, 0)\n"
    assert tame == changing != after[:1]  # helpers that load nothing new cost no worker
