"""A thousand panels with random faults, by a seeded generator, in virtual time.

Each member has a verdict, faults in its way (statuses, broken bodies, lost connections, waits) and a form of
its answer. Whatever comes of it: the decision is the one that the valid answers give, every member
that is not counted is named with a reason, a member whose faults all can be recovered is not lost, and the
consultation ends in time.
"""

from __future__ import annotations

import json
import random
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import httpcore2
import pytest

from fakes.scripted import verdict
from fakes.virtual import virtually
from fakes.wire_pool import Sent, WirePool, wired
from tools.consulting import Consulted, ask, services

pytestmark = pytest.mark.slow

DEADLINE_S: Final = 60.0
PERSONAS: Final = ("judge", "critic", "skeptic", "innovator", "advocate", "security", "performance", "oracle")
STAKES: Final = ("exploration", "production", "critical")


def event(**choice: Any) -> bytes:
    return f"data: {json.dumps({'choices': [choice]})}\n\n".encode()


def refused(status: int, message: str = "x", **headers: str) -> Sent:
    body = json.dumps({"error": {"message": message, "code": status}}).encode()
    lines = [(name.replace("_", "-").encode(), value.encode()) for name, value in headers.items()]
    return Sent([body], status, "application/json", headers=lines)


# --- how a good answer may look ---

DRAFT: Final = verdict("STOP", blocker="A draft.", smallest_change="None.")
FORMS: Final[Mapping[str, Callable[[str], str]]] = {
    "plain": lambda said: said,
    "fenced": lambda said: f"Here it is:\n```json\n{said}\n```\nDone.",
    "after thinking": lambda said: f"<think>Maybe {DRAFT}? No.</think>\n{said}",
    "after thinking without a beginning": lambda said: f"Maybe {DRAFT}? No.\n</think>\n{said}",
    "in a wrapper": lambda said: f'{{"json_tool_call": {said}}}',
    "in a list": lambda said: f"[{said}]",
    "as a string": json.dumps,
    "with a trailing comma": lambda said: f"{said[:-1]},}}",
    "with single quotes": lambda said: repr(json.loads(said)),
    "after a draft": lambda said: f"{DRAFT}\nOn reflection:\n{said}",
}


def answered(text: str, kind: str = "text/event-stream") -> Sent:
    half = len(text) // 2
    events = [event(delta={"content": part}) for part in (text[:half], text[half:])]
    return Sent([*events, event(delta={}, finish_reason="stop"), b"data: [DONE]\n\n"], kind=kind)


def whole(text: str) -> Sent:
    body = {"choices": [{"message": {"content": text}, "finish_reason": "stop"}]}
    return Sent([json.dumps(body).encode()], kind="application/json")


WAYS: Final = (
    answered,
    lambda text: answered(text, "text/plain"),
    lambda text: answered(text, "application/json"),
    whole,
)

# --- what may be in its way ---

PACED: Final = {
    "429 with a wait": refused(429, "busy", Retry_After="1"),
    "429 without": refused(429, "busy"),
    "503": refused(503, "overloaded", Retry_After="1"),
    "529": refused(529),
    "a code for 429 in a 200": Sent([b'{"error": {"code": "rate_limit_exceeded"}}'], kind="application/json"),
    "no schema": refused(400, "response_format is not supported"),
    "no grammar": refused(500, "Failed to parse grammar from json_schema"),
    "no system role": refused(400, "System role not supported"),
    "thinking alone": Sent([event(delta={"reasoning": "Hm."}), event(delta={}, finish_reason="length")]),
    "too large an output": refused(400, "max_tokens must be less than or equal to 1000"),
}
"""Recovered without counting against the retries of the run; each once a member."""

COUNTED: Final = {
    "500": refused(500),
    "502": refused(502),
    "a connection that can't be made": Sent(error=httpcore2.ConnectError),
    "a connection broken": Sent([event(delta={"content": "{"})], error=httpcore2.ReadError),
    "a stream cut": Sent([event(delta={"content": "{"})]),
    "finish reason error": Sent([event(delta={"content": "x"}, finish_reason="error")]),
    "an empty answer": Sent([b" "], kind="application/json"),
    "an HTML page": Sent([b"<html></html>"], kind="text/html"),
    "broken JSON": Sent([b'{"choices": [{'], kind="application/json"),
    "an unreadable answer": answered("I would rather not say."),
}
"""Recovered, one of them a member, as long as the run has retries left."""

FINAL: Final = {
    "401": refused(401),
    "402": refused(402, "Insufficient credits"),
    "404": refused(404, "The model does not exist"),
    "a content filter": Sent([event(delta={"content": "x"}, finish_reason="content_filter")]),
    "moderation": refused(403, "Your input was flagged"),
    "a context": refused(400, "the prompt is too long"),
    "too long a wait": refused(429, "busy", Retry_After="500"),
    "silence": Sent([b"x"], delay_s=10_000.0),
}
"""Lost."""


@dataclass(frozen=True)
class Scripted:
    """One member: what is in its way, then its answer."""

    verdict: str
    faults: tuple[str, ...]
    answer: Sent

    def sent(self, turn: int) -> Sent:
        known = {**PACED, **COUNTED, **FINAL}
        if turn < len(self.faults):
            return known[self.faults[turn]]
        return known[self.faults[-1]] if self.faults and self.faults[-1] in FINAL else self.answer

    @property
    def is_recoverable(self) -> bool:
        """By the rules alone, leaving the run's retries aside."""
        return not set(self.faults) & set(FINAL) and sum(fault in COUNTED for fault in self.faults) <= 1


def member(chance: random.Random) -> Scripted:
    decision = chance.choice(["PROCEED", "SIMPLIFY", "STOP"])
    said = verdict(decision, blocker="It loses data.", smallest_change="Write first.")
    form = FORMS[chance.choice(sorted(FORMS))]
    answer = replace(chance.choice(WAYS)(form(said)), delay_s=round(chance.uniform(0.2, 4.0), 2))
    faults = chance.sample(sorted(PACED), chance.choice([0, 0, 1, 2]))
    if {"no schema", "no grammar"} <= set(faults):
        faults.remove("no grammar")  # no server refuses what it was not sent
    faults += chance.sample(sorted(COUNTED), chance.choice([0, 0, 0, 1]))
    chance.shuffle(faults)
    if chance.random() < 0.15:
        faults.append(chance.choice(sorted(FINAL)))
    return Scripted(decision, tuple(faults), answer)


def consulted(seed: int, root: Path) -> tuple[dict[str, Scripted], str, Consulted]:
    chance = random.Random(seed)
    names = PERSONAS[: chance.choice([3, 5, 8])]
    panel = {name: member(chance) for name in names}
    stakes = chance.choice(STAKES)
    turns: Counter[str] = Counter()

    def script(body: dict[str, Any]) -> Sent:
        name = body["model"]
        turns[name] += 1
        return panel[name].sent(turns[name] - 1)

    async def main() -> Consulted:
        given = services(root, wired(services(root, None).settings, WirePool(script)))  # type: ignore[arg-type]
        arguments = {
            "personas": list(names),
            "models": list(names),
            "stakes": stakes,
            "deadline_s": DEADLINE_S,
        }
        return await ask(given, arguments)

    return panel, stakes, virtually(main)


def by_the_rule(verdicts: Counter[str], members: int, stakes: str) -> str:
    """The rule of the panel, once more and otherwise written."""
    positions = sum(verdicts.values())
    if positions <= members // 2:
        return "NO_VERDICT"
    if stakes == "critical" and verdicts["STOP"]:
        return "STOP"
    counts = Counter(verdicts)
    if stakes == "exploration" and 3 * counts["STOP"] < 2 * positions:
        counts["SIMPLIFY"] += counts.pop("STOP", 0)
    most = max(counts.values())
    return next(one for one in ("STOP", "SIMPLIFY", "PROCEED") if counts[one] == most)


@pytest.mark.parametrize("block", range(10))
def test_a_panel_with_random_faults_decides_by_its_valid_answers_and_names_every_loss(
    block: int, tmp_path: Path
) -> None:
    for seed in range(100 * block, 100 * block + 100):
        panel, stakes, got = consulted(seed, tmp_path)
        context = (seed, {name: (one.verdict, one.faults) for name, one in panel.items()}, got.data)
        votes, failed, cut = got.verdicts, got.reasons, set(got.data["cut"])
        assert sorted([*votes, *failed, *cut]) == sorted(panel), context
        assert votes == {name: panel[name].verdict for name in votes}, context
        assert all(failed.values()), context
        counted = Counter(votes.values())
        assert got.data["decision"] == by_the_rule(counted, len(panel), stakes), context
        for late in cut:  # what was cut could not have changed it
            assert got.data["decision"] == by_the_rule(
                counted + Counter([panel[late].verdict]), len(panel), stakes
            ), context
        assert got.seconds <= DEADLINE_S + 0.01, context
        counted_faults = sum(fault in COUNTED for one in panel.values() for fault in one.faults)
        closing = sum("too long a wait" in one.faults for one in panel.values())
        if counted_faults <= 3 and closing < 2:  # two models that close are a provider that does
            lost = {name for name in failed if panel[name].is_recoverable}
            assert not lost, (lost, context)
