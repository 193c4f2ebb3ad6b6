"""One consultation through a real stdio client and the real server, against a fake provider on loopback.

    python -m benchmarks oracle

An answer takes 1.000 s unless a row says otherwise. The bound is the same number of raw requests at once from
one warmed HTTP client, in the same run and by turns with ours.
"""

from __future__ import annotations

import json
import math
import os
import tempfile
import time
from collections.abc import AsyncIterator, Iterable
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import anyio
import anyio.lowlevel
from mcp import Client

from benchmarks._stage import ROOT, Provider, bare, environment, in_turn, provider, server, stream
from benchmarks.table import Row
from fakes import members
from fakes.scripted import verdict
from fakes.upstream import Rule
from fanout_mcp.backends.clients import CLIENTS
from fanout_mcp.backends.clients import Call as ClientCall
from fanout_mcp.backends.http import open_http
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan
from fanout_mcp.engine.run import run as run_jobs
from fanout_mcp.state.settings import DEFAULT_MAX_PARALLEL, Settings
from fanout_mcp.types import Job, Json, Prompt

TIMES = 5
PANELS = {3: "quick", 5: "comprehensive", 8: "all"}
WITHIN = 1.05
OVER_MS = 6.0
CODEX = ROOT / ".client" / "members" / "node_modules" / ".bin" / "codex"
ANSWER_S = 1.0
JUDGE, CRITIC, SKEPTIC = MODELS = ("m/judge", "m/critic", "m/skeptic")
QUESTION = "Is it wise to keep a job queue in the database that we already run?"


async def ask(client: Client, **arguments: Json) -> dict[str, Any]:
    """Ask a panel and return what the model would see; `is_error` tells whether it is an error."""
    result = await client.call_tool("oracle_batch", {"question": QUESTION, **arguments})
    data = result.structured_content or {}
    return {**data, "is_error": bool(result.is_error)}


def answer(match: str, decision: str, **more: Any) -> Rule:
    said = verdict(decision, blocker="It breaks.", smallest_change="Mend it.")
    return replace(Rule(match, delay=ANSWER_S, text=said), **more)


# --- speed ---


async def wall(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    upstream.rules()
    async with bare(upstream, max(PANELS)) as raw:
        for count, preset in PANELS.items():
            bound, ours = await in_turn(
                TIMES,
                [lambda n=count: raw(n), lambda p=preset: ask(client, preset=p)],  # type: ignore[misc]
            )
            over = (ours - bound) * 1000
            yield Row(
                f"one call, {count} members",
                f"{ours:.3f} s, {over:.1f} ms over",
                f"{bound:.3f} s (as many raw requests)",
                f"<= {OVER_MS:g} ms over",
                over <= OVER_MS,
            )


async def mixed(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    """Ask members of three providers and of one command-line client; the bound is that client alone."""
    del client, upstream  # it needs a server of its own, with several providers
    program = CODEX if CODEX.exists() else ROOT / "tests" / "fakes" / "codex"
    with (
        tempfile.TemporaryDirectory(prefix="fanout-bench-") as name,
        ExitStack() as stack,
        members.serving(verdict(), delay=ANSWER_S) as responses,
    ):
        home = Path(name)
        config = home / ".config" / "fanout"
        config.mkdir(parents=True)
        (home / "empty").mkdir()
        others = {one: stack.enter_context(provider(ANSWER_S)) for one in ("acme", "zeta", "nova")}
        rows = [f'[{one}]\nbase_url = "{other.url}"\n' for one, other in others.items()]
        (config / "providers.toml").write_text("".join(rows))
        (config / "config.toml").write_text('enabled = ["acme", "zeta", "nova", "codex"]\n')
        path = f"{program.parent}{os.pathsep}{os.environ['PATH']}"
        env = {"PATH": path, "CODEX_API_KEY": "k-1", "OPENAI_BASE_URL": f"{responses.url}/v1"}
        models = ["acme:m", "zeta:m", "nova:m", "codex"]
        call = ClientCall(Job("judge", Prompt("", "Is it?")), "", "", "", env["OPENAI_BASE_URL"])
        command = [str(program), *CLIENTS["codex"].arguments(call)]
        alone = {**environment(home), **env, "FANOUT_FAKE_DELAY": str(ANSWER_S)}

        async def slowest() -> None:
            await anyio.run_process(command, input=b"Is it?", env=alone, cwd=home / "empty")

        async with server(**env, HOME=name, FANOUT_FAKE_DELAY=str(ANSWER_S)) as panel:

            async def ours() -> None:
                four = ["judge", "critic", "skeptic", "oracle"]
                data = await ask(panel, personas=four, models=models, quorum=4)
                if len(data["votes"]) != len(four):
                    raise RuntimeError(f"the panel did not answer: {data}")

            bound, took = await in_turn(TIMES, [slowest, ours])
    which = "the real codex" if program == CODEX else "a fake codex"
    yield Row(
        f"one call, members on three providers and {which}",
        f"{took:.3f} s",
        f"{bound:.3f} s (the slowest member alone)",
        f"<= {WITHIN} x the bound",
        took <= WITHIN * bound,
    )


async def after_a_limit(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    """Ask a panel of eight right after another model of the same provider said 429."""
    upstream.rules(Rule("m/busy", "status", status=429, retry_after="5"))
    await ask(client, personas=["judge"], models=["m/busy"], deadline_s=2)
    upstream.rules()
    models = [f"m/{number}" for number in range(8)]
    async with bare(upstream, 8) as raw:
        (bound,) = await in_turn(1, [lambda: raw(8)])
    before, began = len(upstream.log()), time.perf_counter()
    await ask(client, preset="all", models=models)
    took = time.perf_counter() - began
    starts = sorted(seen["started"] for seen in upstream.log()[before:])
    at_once = sum(one - starts[0] < 0.2 * ANSWER_S for one in starts)
    yield Row(
        f"first panel of 8 after one model's 429: {at_once} of 8 start at once",
        f"{took:.3f} s",
        f"{bound:.3f} s",
        f"8, <= {WITHIN} x the bound",
        at_once == 8 and took <= WITHIN * bound,
    )


async def many() -> AsyncIterator[Row]:
    """500 jobs of the engine over the http backend, connections warm."""
    jobs = [Job(str(number), Prompt("", "Is it?"), "m") for number in range(500)]
    with provider(0.1) as upstream:
        async with bare(upstream, len(jobs)) as raw:
            bound, _ = await in_turn(3, [lambda: raw(len(jobs)), anyio.lowlevel.checkpoint])
        for cap, bar in (
            (500, 0.6),
            (DEFAULT_MAX_PARALLEL, 1.15 * 0.1 * math.ceil(500 / DEFAULT_MAX_PARALLEL)),
        ):
            settings = Settings(Path.cwd(), Path("/nonexistent"), base_url=upstream.url, max_parallel=cap)
            async with open_http(settings) as backend:
                (took,) = await in_turn(
                    3,
                    [lambda b=backend, c=cap: run_jobs(jobs, b.ask, Plan(60), Limits(c))],  # type: ignore[misc]
                )
            least = 0.1 * math.ceil(len(jobs) / cap)
            shown = f"{least:.1f} s" + (f"; stock client {bound:.2f} s" if cap == 500 else "")
            yield Row(
                f"500 jobs of 0.1 s, {cap} at once", f"{took:.3f} s", shown, f"<= {bar:.2f} s", took <= bar
            )


# --- stragglers and failures ---


async def timed(client: Client, **arguments: Json) -> tuple[float, dict[str, Any]]:
    began = time.perf_counter()
    data = await ask(client, models=list(MODELS), **arguments)
    return time.perf_counter() - began, data


async def stragglers(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    upstream.rules(answer(SKEPTIC, "PROCEED", delay=6.0))
    took, data = await timed(client)
    met = took <= 1.8 and data["cut"] == ["skeptic"] and data["decision"] == "PROCEED"
    yield Row("one of three takes 6 s, vote decided: cut and named", f"{took:.2f} s", "1 s", "<= 1.8 s", met)
    upstream.rules(answer(SKEPTIC, "PROCEED", delay=6.0), answer(CRITIC, "SIMPLIFY"))
    took, data = await timed(client)
    met = len(data["votes"]) == 3 and took < 6.3
    yield Row("the same, vote open: waited for", f"{took:.2f} s", "6 s", "all three, < 6.3 s", met)
    took, data = await timed(client, deadline_s=3)
    met = len(data["votes"]) == 2 and took <= 3.2
    yield Row("the same, deadline 3 s", f"{took:.2f} s", "3 s", "two, <= 3.2 s", met)


async def limited(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    busy = Rule(SKEPTIC, "status", status=429, retry_after="1", times=1)
    upstream.rules(busy, answer(CRITIC, "SIMPLIFY"))
    took, data = await timed(client)
    met = took <= 2.4 and len(data["votes"]) == 3
    yield Row("one 429 of three, the others disagree: all answered", f"{took:.2f} s", "2 s", "<= 2.4 s", met)
    await anyio.sleep(1)  # the cool-down of the row before
    upstream.rules(busy)
    took, data = await timed(client)
    met = took <= 1.8 and data["cut"] == ["skeptic"]
    yield Row("one 429 of three, the others agree: cut and named", f"{took:.2f} s", "1 s", "<= 1.8 s", met)
    await anyio.sleep(1)


async def failing(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    upstream.rules(Rule("", "status", status=500))
    took, data = await timed(client)
    met = took <= 3 and data["is_error"] and data["decision"] == "NO_VERDICT" and len(data["failed"]) == 3
    yield Row("all answer 500: NO_VERDICT, isError", f"{took:.2f} s", "", "<= 3 s", met)


async def cancelled(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    upstream.rules(Rule("", delay=30))
    before = len(upstream.log())
    with anyio.move_on_after(1.0):
        await ask(client, preset="all")
    at = time.monotonic()
    await anyio.sleep(0.3)
    log = upstream.log()[before:]
    open_ones = [seen for seen in log if seen["aborted"] is None and seen["finished"] is None]
    last = max((seen["aborted"] for seen in log if seen["aborted"]), default=math.inf) - at
    met = len(log) == 8 and not open_ones and last <= 0.1
    what = f"cancelled in mid-call: the last of {len(log)} streams closed, {len(open_ones)} left"
    yield Row(what, f"{last:.3f} s", "", "<= 0.1 s, 0 left", met)


async def interleaved(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    words = {name: f"Concerning the {name} plan" for name in ("amber", "violet")}
    upstream.rules(*(Rule(text, delay=ANSWER_S, text=verdict(summary=name)) for name, text in words.items()))
    said: dict[str, set[str]] = {}

    async def one(name: str) -> None:
        data = await ask(client, question=f"{words[name]}: is it wise?", preset="all")
        said[name] = {vote["summary"] for vote in data["votes"]}

    async def both() -> None:
        async with anyio.create_task_group() as tasks:
            for name in words:
                tasks.start_soon(one, name)

    async with bare(upstream, 16) as raw:
        bound, ours = await in_turn(TIMES, [lambda: raw(16), both])
    is_apart = said == {name: {name} for name in words}
    yield Row(
        f"two consultations of 8 at once, {'no' if is_apart else 'SOME'} mixing",
        f"{ours:.3f} s",
        f"{bound:.3f} s",
        f"<= {WITHIN} x the bound, no mixing",
        is_apart and ours <= WITHIN * bound,
    )


async def compact(client: Client, upstream: Provider) -> AsyncIterator[Row]:
    said = verdict("STOP", summary="w" * 400, blocker="b" * 400, smallest_change="c" * 400)
    upstream.rules(Rule("", text=said))
    for preset, bar in (("quick", ""), ("all", "<= 4,000")):
        data = await ask(client, preset=preset, question=QUESTION)
        del data["is_error"]
        size = len(json.dumps(data, separators=(",", ":"), ensure_ascii=False).encode())
        what = f"result for {len(data['votes'])} members, texts of 400 characters"
        yield Row(what, f"{size:,} bytes", "", bar, size <= 4000 if bar else None)


SECTIONS = (wall, mixed, after_a_limit, cancelled, interleaved, compact, stragglers, limited, failing)
"""In this order: a 429 makes the server careful for a while."""


async def rows() -> AsyncIterator[Row]:
    with provider(ANSWER_S) as upstream:
        async with server(FANOUT_BASE_URL=upstream.url) as client:
            for section in SECTIONS:
                async for row in section(client, upstream):
                    yield row
    async for row in many():
        yield row


def run() -> Iterable[Row]:
    return stream(rows)
