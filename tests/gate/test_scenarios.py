"""Every needless sequence of the scenario set is sent back once, and no legitimate one ever is."""

from __future__ import annotations

from typing import Any

import pytest

from fanout_hooks.gate import dependence
from fanout_hooks.gate.gate import Mode
from gate.scenarios import Pair, Scenario, Step, load, pairs
from gate.session import Session

EVERY = load()
MIN_CAUGHT = 0.7
"""Precision first: a missed sequence costs seconds."""


def play(scenario: Scenario, mode: Mode = "smart") -> list[bool]:
    """Return for each step whether it was sent back; what is sent back is sent again, and must pass."""
    session = Session(mode)
    session.prompt(scenario.prompt)
    return [_step(session, step) for step in scenario.steps]


def _step(session: Session, step: Step) -> bool:
    if step.tool:
        session.other(step.tool, str(step.input.get("command", "ok")), **step.input)
        return False
    if len(step.agents) > 1:
        calls = [session.call(sent.task, sent.kind, sent.name) for sent in step.agents]
        for (fields, _), sent in zip(calls, step.agents, strict=True):
            session.run(fields, sent.answer, background=False)
        session.send("PostToolBatch", tool_calls=[fields for fields, _ in calls])
        return False
    (sent,) = step.agents
    fields, verdict = session.lone(sent.task, sent.kind, sent.name)
    was_sent_back = verdict.kind == "deny"
    if was_sent_back:
        session.send("PostToolBatch", tool_calls=[fields])
        fields, verdict = session.lone(sent.task, sent.kind, sent.name)
        assert verdict.note["verdict"] == "overruled"
    assert verdict.kind == "pass"
    _run(session, fields, step)
    return was_sent_back


def _run(session: Session, fields: dict[str, Any], step: Step) -> None:
    (sent,) = step.agents
    session.run(fields, sent.answer, background=sent.background)
    session.send("PostToolBatch", tool_calls=[fields])
    if sent.background and not sent.lasting:
        session.finish(session.ids, sent.answer)
        session.prompt(f"<task-notification>\\n<result>{sent.answer}</result>")


def test_there_are_more_than_forty_and_half_of_them_are_legitimate() -> None:
    legitimate = sum(not scenario.needless for scenario in EVERY)
    assert len(EVERY) >= 40
    assert legitimate * 2 >= len(EVERY)
    assert len({scenario.id for scenario in EVERY}) == len(EVERY)


@pytest.mark.parametrize("scenario", EVERY, ids=lambda scenario: scenario.id)
def test_smart_sends_back_nothing_but_what_was_needless(scenario: Scenario) -> None:
    for step, was_sent_back in zip(scenario.steps, play(scenario), strict=True):
        assert step.denied or not was_sent_back


def test_smart_sends_back_most_of_what_was_needless() -> None:
    wanted = sum(step.denied for scenario in EVERY for step in scenario.steps)
    assert sum(sum(play(scenario)) for scenario in EVERY) >= MIN_CAUGHT * wanted


@pytest.mark.parametrize("scenario", EVERY, ids=lambda scenario: scenario.id)
def test_strict_sends_back_every_lone_agent_after_a_wave(scenario: Scenario) -> None:
    waves = 0
    for step, was_sent_back in zip(scenario.steps, play(scenario, "strict"), strict=True):
        assert was_sent_back == (len(step.agents) == 1 and waves > 0)
        waves += bool(step.agents)


@pytest.mark.parametrize("mode", ["warn", "off"])
def test_warn_and_off_send_nothing_back(mode: Mode) -> None:
    for scenario in EVERY:
        session = Session(mode)
        session.prompt(scenario.prompt)
        for step in scenario.steps:
            for sent in step.agents:
                _, verdict = session.lone(sent.task, sent.kind, sent.name)
                assert verdict.kind in ("pass", "context")


@pytest.mark.parametrize(
    "pair",
    [own for own in pairs() if own.depends],
    ids=lambda pair: f"{pair.first.task[:40]} - {pair.second[:40]}",
)
def test_what_depends_passes_in_the_pairs_too(pair: Pair) -> None:
    assert dependence.why(pair.second, pair.first, pair.prompt)


def test_most_of_the_pairs_that_do_not_depend_are_seen() -> None:
    free = [own for own in pairs() if not own.depends]
    caught = sum(not dependence.why(own.second, own.first, own.prompt) for own in free)
    assert caught >= MIN_CAUGHT * len(free)
