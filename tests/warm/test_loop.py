"""The event loop: timers of every length, work that is not awaited, ends that are seen."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import pytest

from fakes.sandbox import Sandbox, pre_tool_use
from fanout_hooks.client import config
from fanout_hooks.warm.loop import Loop

MILLISECONDS = 3_600_000


@pytest.mark.parametrize("seconds", [MILLISECONDS, config.MAX_TIMEOUT_S])
def test_a_timer_may_be_far_beyond_what_one_wait_can_be(seconds: float) -> None:
    loop = Loop()
    ours, theirs = os.pipe()

    async def something_comes() -> bytes:
        timer = loop.timer(seconds)
        loop.watch(ours, lambda: timer.set(False))
        os.write(theirs, b"x")
        assert not await timer
        return os.read(ours, 1)

    try:
        assert loop.run(something_comes()) == b"x"
    finally:
        os.close(ours)
        os.close(theirs)


def test_a_time_limit_in_milliseconds_costs_no_event(tmp_path: Path) -> None:
    sandbox = Sandbox(tmp_path)
    sandbox.hooks(
        "PreToolUse",
        sandbox.python("one", "pass") | {"timeout": MILLISECONDS},
        {"command": "echo no >&2; exit 2", "timeout": MILLISECONDS},
    )
    with sandbox.running() as run:
        said = json.loads(run.event(pre_tool_use()).stdout)["hookSpecificOutput"]
    assert said["permissionDecision"] == "deny"


@pytest.mark.parametrize("timeout", ["Infinity", "1e999", "NaN", "-1", "0", "1e10", "9" * 400, "true"])
def test_a_time_limit_that_no_clock_can_count_is_refused_by_name(timeout: str) -> None:
    entry: dict[str, Any] = json.loads(f'{{"command": "true", "timeout": {timeout}}}')
    assert config.why_bad(entry).startswith("timeout must be a number of seconds above 0")


def test_the_error_of_work_that_is_not_awaited_is_reported_and_the_rest_goes_on() -> None:
    loop = Loop()
    reported: list[str] = []
    loop.complain = reported.append

    async def fails() -> None:
        await loop.sleep(0)
        raise OverflowError("signed integer is greater than maximum")

    async def goes_on() -> str:
        loop.leave(fails())
        await loop.sleep(0.01)
        return "done"

    assert loop.run(goes_on()) == "done"
    [sentence] = reported
    assert sentence.startswith("work in the background failed, which is a defect of fanout. The trace is in ")


def test_the_error_of_work_that_is_awaited_goes_to_what_awaits_it() -> None:
    loop = Loop()

    async def fails() -> None:
        raise OverflowError

    async def awaits() -> None:
        await loop.spawn(fails())

    loop.complain = pytest.fail
    with pytest.raises(OverflowError):
        loop.run(awaits())


def test_a_runtime_reports_the_same_error_once(tmp_path: Path, capfd: pytest.CaptureFixture[str]) -> None:
    with Sandbox(tmp_path).running() as run:
        for _ in range(2):
            run.loop.complain("KeyError: 'x'")
    assert capfd.readouterr().err == "fanout hooks: KeyError: 'x'\n"
