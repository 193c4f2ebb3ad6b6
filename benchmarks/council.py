"""A council through a real stdio client and the real server, against a fake provider on loopback.

    python -m benchmarks council

Panel and synthesis legs take 1.000 s unless a row says otherwise. With legs P and S, R rounds can't take less
than P + S + (R - 1) max(P, S); the plain loop, R (P + S), is the same server with speculate off, by turns.
"""

from __future__ import annotations

import json
import math
import statistics
import time
from collections.abc import AsyncIterator, Iterable, Sequence
from dataclasses import replace
from functools import partial
from itertools import cycle, islice
from typing import Any

import anyio
from mcp import Client

from benchmarks._stage import Provider, bare, in_turn, provider, server, stream
from benchmarks.table import Row
from fakes.scripted import verdict
from fakes.upstream import Rule
from fanout_mcp.state.settings import DEFAULT_MAX_PARALLEL
from fanout_mcp.types import Json

LEG_S = 1.0
TIMES = 3
PANELS = {3: "quick", 5: "comprehensive"}
SEATS = ("judge", "critic", "skeptic", "innovator", "oracle")
LAST = SEATS[-1]
WRITER = "You report what a panel"
"""The synthesis is told by its prompt."""
SYNTHESIS = json.dumps({"agreement": "All.", "dissent": "", "changed": "", "would_change": "A measurement."})
AGENTS = 200
AGENT_S = 0.1


async def hold(client: Client, members: int, **arguments: Json) -> dict[str, Any]:
    models = [f"{seat}=m/{seat}" for seat in SEATS[:members]]
    asked = {"question": "Is it wise?", "preset": PANELS[members], "models": models, **arguments}
    result = await client.call_tool("council", asked)
    assert not result.is_error, result.content
    return result.structured_content or {}


def says(seat: str, *decisions: str, delay: float = LEG_S) -> list[Rule]:
    """The answers of one member, one a round; the last one for ever."""
    texts = [verdict(said, blocker="It breaks.", smallest_change="Mend it.") for said in decisions]
    rules = [Rule(f"m/{seat}\n", text=text, delay=delay, times=1) for text in texts]
    return [*rules[:-1], replace(rules[-1], times=None)]


def never(members: int, rounds: int) -> list[Rule]:
    """Members that change their verdicts in every round, neighbours opposite."""
    turn = ("PROCEED", "SIMPLIFY")
    return [
        rule
        for place, seat in enumerate(SEATS[:members])
        for rule in says(seat, *islice(cycle(turn), place, place + rounds))
    ]


def agreeing(members: int) -> list[Rule]:
    return [rule for seat in SEATS[:members] for rule in says(seat, "PROCEED")]


def stage(upstream: Provider, rules: Sequence[Rule]) -> None:
    upstream.rules(Rule(WRITER, text=SYNTHESIS, delay=LEG_S), *rules)


def cut(upstream: Provider, before: int) -> int:
    """How many calls the provider saw closed before it had answered, since its log was so long."""
    return sum(seen["aborted"] is not None for seen in upstream.log()[before:])


# --- rows ---


async def unconverged(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    for rounds in (5, 3, 2):

        async def one(*, speculate: bool, most: int = rounds) -> None:
            stage(upstream, never(3, most))
            data = await hold(client, 3, rounds=most, speculate=speculate)
            assert len(data["rounds"]) == most, "it converged"

        ours, plain = await in_turn(TIMES, [partial(one, speculate=how) for how in (True, False)])
        bound = LEG_S * (rounds + 1)
        what = f"{rounds} rounds, never converging, 3 members"
        yield Row(what, f"{ours:.3f} s", f"{bound:.0f} s", "<= 1.06 x the bound", ours <= 1.06 * bound)
        bar = "<= 0.62" if rounds == 5 else ""
        share = ours / plain
        yield Row(
            f"{rounds} rounds against the plain loop",
            f"{share:.2f} x",
            f"plain {plain:.3f} s",
            bar,
            share <= 0.62 if bar else None,
        )


async def converged(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    late = [*says("judge", "PROCEED"), *says("critic", "PROCEED"), *says("skeptic", "PROCEED", delay=1.8)]
    for what, rules, stakes in (
        ("all agree in round 1", agreeing(3), "production"),
        ("all agree in round 1, one of them late, stakes critical", late, "critical"),
    ):
        reported: list[tuple[int, int]] = []

        async def one(
            *,
            speculate: bool,
            rules: Sequence[Rule] = rules,
            stakes: str = stakes,
            found: list[Any] = reported,
        ) -> None:
            stage(upstream, rules)
            before = len(upstream.log())
            data = await hold(client, 3, stakes=stakes, speculate=speculate)
            await anyio.sleep(0.1)  # the provider sees a closed stream a moment later
            assert data["converged"], data
            if speculate:
                found.append((data["wasted"]["calls"], cut(upstream, before)))

        ours, plain = await in_turn(5, [partial(one, speculate=how) for how in (True, False)])
        more = ours - plain
        yield Row(f"{what}: time", f"{more:+.3f} s", f"plain {plain - 0.1:.3f} s", "<= +0.1 s", more <= 0.1)
        said, seen = reported[-1]
        equal = all(one == other for one, other in reported)
        yield Row(f"{what}: calls thrown away", str(said), f"upstream saw {seen}", "equal", equal)


async def straggler(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    for what, with_all, others in (
        ("never converging", never(5, 3), never(4, 3)),
        ("all others agree", agreeing(5), agreeing(4)),
    ):

        async def one(rules: Sequence[Rule]) -> None:
            stage(upstream, rules)
            await hold(client, 5, rounds=3)

        slow = [replace(rule, delay=6.0) for rule in says(LAST, "PROCEED", "SIMPLIFY")[:1]]
        after = says(LAST, "SIMPLIFY")
        ours, bound = await in_turn(TIMES, [partial(one, [*others, *slow, *after]), partial(one, with_all)])
        ratio = ours / bound
        yield Row(
            f"straggler of 6 s in round 1 of 3, 5 members, {what}",
            f"{ours:.3f} s, {ratio:.2f} x",
            f"without it {bound:.3f} s",
            "<= 1.25 x",
            ratio <= 1.25,
        )


async def cancelled(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    late: list[float] = []
    left = 0
    for _ in range(3):
        stage(upstream, never(5, 5))
        before = len(upstream.log())
        with anyio.move_on_after(2.5):
            await hold(client, 5, rounds=5)
        at = time.monotonic()
        await anyio.sleep(0.3)
        log = upstream.log()[before:]
        left += sum(seen["aborted"] is None and seen["finished"] is None for seen in log)
        late.append(max((seen["aborted"] for seen in log if seen["aborted"]), default=math.inf) - at)
    last = statistics.median(late)
    what = f"cancelled in mid-council: the last stream closed, {left} left in flight"
    yield Row(what, f"{last:.3f} s", "", "<= 0.1 s, none left", last <= 0.1 and not left)


async def swarm(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    titles = (
        "An empty file raises IndexError",
        "Empty files raise an IndexError",
        "A huge file fills memory",
    )
    texts = [json.dumps({"ideas": [{"title": title, "detail": "It is read whole."}]}) for title in titles]
    rules = [Rule(text=text, delay=AGENT_S, times=AGENTS // 3) for text in texts]
    found: list[dict[str, Any]] = []

    async def one() -> None:
        upstream.rules(*rules, replace(rules[-1], times=None))
        asked = {"task": "Name test cases for the upload", "count": AGENTS}
        found.append((await client.call_tool("agent_swarm", asked)).structured_content or {})

    async with bare(upstream, DEFAULT_MAX_PARALLEL) as raw:

        async def waves() -> None:
            upstream.rules(*rules, replace(rules[-1], times=None))
            for _ in range(AGENTS // DEFAULT_MAX_PARALLEL):
                await raw(DEFAULT_MAX_PARALLEL)

        ours, bound = await in_turn(5, [one, waves])
    waves_s = math.ceil(AGENTS / DEFAULT_MAX_PARALLEL) * AGENT_S
    is_merged = all(len(data["answers"]) == 2 and data["merged"] == AGENTS - 2 for data in found)
    merged = "merged" if is_merged else "NOT MERGED"
    yield Row(
        f"swarm of {AGENTS} at {AGENT_S:g} s, cap {DEFAULT_MAX_PARALLEL}, {merged}",
        f"{ours:.3f} s",
        f"{waves_s:.1f} s (raw requests {bound:.3f} s)",
        "<= 1.3 x the bound",
        is_merged and ours <= 1.3 * waves_s,
    )


SECTIONS = (unconverged, converged, straggler, cancelled, swarm)


async def rows() -> AsyncIterator[Row]:
    with provider(LEG_S) as upstream:
        async with server(FANOUT_BASE_URL=upstream.url) as client:
            for section in SECTIONS:
                async for row in section(client, upstream):
                    yield row


def run() -> Iterable[Row]:
    return stream(rows)
