"""The sequential-agent gate: verdicts over the scenario set, what it adds to a call, and company.

    python -m benchmarks gate

Verdicts are those of the pure core; `make e2e` plays the same scenarios in the real client. The time is that
of events through a real supervisor, by turns with and without the gate.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import tempfile
import time
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

from benchmarks._gate_weights import ONE_HAND, left_out
from benchmarks.table import Row
from fakes import seeded_sequences
from fakes.seeded_sequences import kinds_of, sequences_of
from fanout_hooks.client import hook_input
from fanout_hooks.gate import dependence, state
from fanout_mcp.edge.hook_bridge import HookBridge, start_supervisor
from gate.scenarios import Scenario, load, pairs
from gate.session import Session
from gate.test_scenarios import MIN_CAUGHT, play
from gate.unseen import (
    Unseen,
    after_fit,
    blind,
    fresh,
    hard,
    held_out,
    of_three,
    of_three_more,
    second_of,
    unseen,
)

EVENTS = 300
TIMES = 200
AGENTS = 14
MS = 1000
ALLOWED_MS = 5.0
NOT_READ = "its language is not read"
BESIDE_MS = 4.0
"""What the gate may add to a message and to a prompt."""


def run() -> Iterable[Row]:
    """Return every figure of the gate."""
    yield from verdicts()
    yield from on_unseen()
    yield from of_audit()
    yield from in_company()


def verdicts() -> Iterator[Row]:
    every = load()
    legitimate = [own for own in every if not own.needless]
    needless = [own for own in every if own.needless]
    false = sum(sum(play(own)) for own in legitimate)
    wanted = sum(step.denied for own in needless for step in own.steps)
    right = sum(_hits(own) for own in needless)
    yield Row(f"false denials, {len(legitimate)} legitimate scenarios", str(false), "", "0", false == 0)
    yield Row(
        f"unnecessary sequences sent back once, {len(needless)} scenarios",
        f"{right} of {wanted}",
        "",
        f">= {MIN_CAUGHT:.0%}",
        right >= MIN_CAUGHT * wanted,
    )
    known = pairs()
    agreed = sum(bool(dependence.why(own.second, own.first, own.prompt)) == own.depends for own in known)
    yield Row("pairs of calls judged as their author judged them", f"{agreed} of {len(known)}")
    strict = strict_table()
    yield Row(
        "strict mode: table of five cases", f"{sum(strict)} of {len(strict)}", "", "every one", all(strict)
    )


def _hits(scenario: Scenario) -> int:
    judged = zip(play(scenario), scenario.steps, strict=True)
    return sum(back and step.denied for back, step in judged)


def on_unseen() -> Iterator[Row]:
    """Judge the pairs by who wrote them; those of the corpus by what they were used for."""
    yield from _left_out()
    for author, own in {
        "one author": fresh(),
        "three authors": of_three(),
        "three other authors": of_three_more(),
        "three more authors": held_out(),
        "three further authors": blind(),
        "three authors after the first fit": after_fit(),
        "three authors of hard pairs": hard(),
    }.items():
        yield from _judged(f"by {author}, weights fitted with them", own)
    every = unseen()
    yield from _judged("held out", [pair for pair in every if not pair.changed_for and not pair.after])
    yield from _judged(
        "held out, written after the rules were changed",
        [pair for pair in every if pair.after and not pair.changed_for],
    )
    yield from _judged("used to change the rules", [pair for pair in every if pair.changed_for])


def _left_out() -> Iterator[Row]:
    """Judge each author's pairs by weights that were fitted without them."""
    found = [own for author, own in left_out().items() if author not in ONE_HAND]
    needless, sent_back, legitimate, denied = map(sum, zip(*found, strict=True))
    of_all = f"each of {len(found)} authors left out of the fit"
    yield Row(
        f"{of_all}: false denials, {legitimate} legitimate pairs",
        str(denied),
        "",
        "0",
        denied == 0,
    )
    yield Row(
        f"{of_all}: unnecessary pairs sent back",
        f"{sent_back} of {needless}",
        "",
        f">= {MIN_CAUGHT:.0%}",
        sent_back >= MIN_CAUGHT * needless,
    )


def _judged(half: str, own: list[Unseen]) -> Iterator[Row]:
    false = [second_of(pair).kind == "deny" for pair in own if not pair.needless]
    needless = [second_of(pair) for pair in own if pair.needless]
    right = [verdict.kind == "deny" for verdict in needless if verdict.note.get("why") != NOT_READ]
    yield Row(
        f"{half}: false denials, {len(false)} legitimate pairs", str(sum(false)), "", "0", not any(false)
    )
    figure = f"{sum(right)} of {len(right)}"
    yield Row(
        f"{half}: unnecessary pairs in English sent back",
        figure,
        "",
        f">= {MIN_CAUGHT:.0%}",
        sum(right) >= MIN_CAUGHT * len(right),
    )


def of_audit() -> Iterator[Row]:
    """Audit the corpus of tests/fakes: sequences in transcripts, and what only looks like them."""
    with tempfile.TemporaryDirectory() as base:
        fresh = (Path(tempfile.mkdtemp(dir=base)) for _ in iter(int, 1))
        talks = seeded_sequences.SEEDED
        found = sum(kinds_of(sequences_of(talk, next(fresh))) == talk.kinds for talk in talks)
        decoys = seeded_sequences.DECOYS
        invented = sum(len(sequences_of(talk, next(fresh))) for talk in decoys)
    yield Row("audit: seeded cases found", f"{found} of {len(talks)}", "", "every one", found == len(talks))
    yield Row(f"audit: false findings in {len(decoys)} decoys", str(invented), "", "0", invented == 0)


def strict_table() -> list[bool]:
    """Return for each line of the rule whether it holds."""
    session = Session("strict")
    session.prompt()
    return [
        session.message("one alone") == ["pass"],
        session.message("another alone") == ["deny"],
        session.message("another alone") == ["pass"],
        session.message("several", "at", "once") == ["pass"] * 3,
        session.message("alone after several") == ["deny"],
    ]


def in_company() -> list[Row]:
    with tempfile.TemporaryDirectory() as folder:
        return asyncio.run(_in_company(Path(folder)))


async def _in_company(folder: Path) -> list[Row]:
    supervised = _Supervised(folder)
    try:
        others = [
            await _beside(supervised, name, fields)
            for name, fields in (
                ("PostToolBatch", {"tool_calls": [{"tool_name": "Bash", "tool_response": "x" * 2000}]}),
                ("UserPromptSubmit", {"prompt": "Explain the parts."}),
            )
        ]
        return [await _added(supervised), *others, *await _fourteen(supervised)]
    finally:
        await supervised.bridge.close()


class _Supervised:
    """A supervisor with its state in a folder, as a server starts it."""

    def __init__(self, folder: Path) -> None:
        self.folder, self.project = folder, folder / "project"
        self.project.mkdir()
        os.environ["FANOUT_STATE_DIR"] = str(folder / "state")  # one inside the project is not believed
        os.environ["CLAUDE_PROJECT_DIR"] = str(self.project)
        self.bridge = HookBridge(start_supervisor)

    async def send(self, gated: str, session: str, name: str, **fields: Any) -> str:
        own = {"session_id": session, "cwd": str(self.project), "hook_event_name": name, **fields}
        given = {key: _as_sent(own.get(key, "")) for key in hook_input.mcp_input(name, ())}
        return await self.bridge.handle(given | ({"fanout_gate": gated} if gated else {}))


def _as_sent(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def _call(number: int) -> dict[str, Any]:
    given = {"description": f"part {number}", "prompt": f"Explore part {number}.", "subagent_type": "Explore"}
    return {"tool_name": "Agent", "tool_use_id": f"toolu_{time.monotonic_ns()}_{number}", "tool_input": given}


async def _added(supervised: _Supervised) -> Row:
    """Time the first agent call of a prompt (nobody is waited for), by turns with and without the gate."""
    took: dict[str, list[float]] = {"smart": [], "": []}
    for number in range(2 * EVENTS):
        gated = ("smart", "")[number % 2]
        await supervised.send("smart", "timed", "UserPromptSubmit", prompt=f"Explain part {number}.")
        began = time.perf_counter()
        await supervised.send(gated, "timed", "PreToolUse", **_call(number))
        took[gated].append((time.perf_counter() - began) * MS)
    with_gate, without = statistics.median(took["smart"]), statistics.median(took[""])
    added = with_gate - without
    return Row(
        f"added to an agent call, warm, median of {EVENTS}",
        f"{added:.2f} ms",
        f"{without:.2f} ms without",
        f"<= {ALLOWED_MS:.0f} ms",
        added <= ALLOWED_MS,
    )


async def _beside(supervised: _Supervised, name: str, fields: dict[str, Any]) -> Row:
    """Time an event that remains while the gate is on, by turns with the same call without the gate."""
    took: dict[str, list[float]] = {"smart": [], "": []}
    await supervised.send("smart", "beside", "UserPromptSubmit", prompt="Explain the parts.")
    await supervised.send("smart", "beside", "PreToolUse", **_call(0))
    for number in range(2 * EVENTS):
        gated = ("smart", "")[number % 2]
        began = time.perf_counter()
        await supervised.send(gated, "beside", name, **fields)
        took[gated].append((time.perf_counter() - began) * MS)
    with_gate, without = statistics.median(took["smart"]), statistics.median(took[""])
    return Row(
        f"{name}, warm, median of {EVENTS}",
        f"{with_gate:.2f} ms",
        f"{without:.2f} ms for a call to the server alone",
        f"<= {BESIDE_MS:.0f} ms more",
        with_gate - without <= BESIDE_MS,
    )


async def _fourteen(supervised: _Supervised) -> list[Row]:
    """Send 14 calls of one message at once, after one that ran alone, in a session of its own each time."""
    denials = lost = 0
    where = state.folder({"FANOUT_STATE_DIR": str(supervised.folder / "state")})
    for number in range(TIMES):
        session = f"many {number}"
        await supervised.send("smart", session, "UserPromptSubmit", prompt="Explain the parts.")
        first = _call(99)
        await supervised.send("smart", session, "PreToolUse", **first)
        done = {"status": "completed", "agentId": "a", "content": "Fine."}
        await supervised.send("smart", session, "PostToolUse", **first, tool_response=done, duration_ms=1)
        await supervised.send("smart", session, "PostToolBatch", tool_calls=[first])
        calls = [_call(part) for part in range(AGENTS)]
        said = await asyncio.gather(
            *(supervised.send("smart", session, "PreToolUse", **call) for call in calls)
        )
        denials += sum("deny" in answer for answer in said)
        seen = {call.id for call in state.peek(where, session).scopes["main"].open}
        lost += len({call["tool_use_id"] for call in calls} - seen)
    return [
        Row(f"{AGENTS} agents of one message, {TIMES} times: denials", str(denials), "", "0", denials == 0),
        Row(f"{AGENTS} agents of one message, {TIMES} times: lost records", str(lost), "", "0", lost == 0),
    ]
