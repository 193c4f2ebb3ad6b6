"""agent_swarm: many agents on one task, each through another lens; what they say merged and ranked.

gather (lenses) -> plan (jobs, price; or the host's own agents) -> perform (one `await`) -> render.
"""

from __future__ import annotations

import time
from typing import Annotated, Final, Literal

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field, WithJsonSchema

from fanout_mcp.backends.plan import MAX, agent_call, messages
from fanout_mcp.backends.plan import chosen as engine_for
from fanout_mcp.engine.run import Plan, run
from fanout_mcp.errors import InvalidInput
from fanout_mcp.panel import consult, swarm
from fanout_mcp.panel import swarm as panel_swarm
from fanout_mcp.panel.swarm import Chosen
from fanout_mcp.reports.text import keep, write_report
from fanout_mcp.tools.services import LINES, Services, Tool, ToolResult
from fanout_mcp.types import Json, Progress
from fanout_mcp.usage import Usage

MAX_AGENTS: Final = 200
MAX_CHARS: Final = 30_000
"""Of a task: every agent gets it whole."""
MAX_PLANNED: Final = 100
"""Agents of the host: it runs six a message, so a hundred are seventeen messages."""
INLINE_CHARS: Final = 25_000
"""A plan longer than that, task repeated for each agent, sends the agents to read the task in a file."""


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid")

    task: Annotated[str, Field(min_length=1)]
    count: Annotated[
        int, Field(ge=1, le=MAX_AGENTS, description="Small 3-5, medium 10-20, large 50-100.")
    ] = 5
    lenses: Annotated[
        list[str] | None, Field(description="A kind (tests, hypotheses, approaches, angles) or your own.")
    ] = None
    engine: Literal["auto", "model", "plan"] = "auto"
    deadline_s: Annotated[float, Field(gt=0, le=3600), WithJsonSchema({"type": "number"})] = 100
    max_cost_usd: Annotated[float, Field(gt=0), WithJsonSchema({"type": "number"})] = 1.0


async def call(services: Services, args: Args, progress: Progress) -> ToolResult:
    task = args.task.strip()
    if not task:
        raise InvalidInput("task is empty; say what the agents are to do.")
    if len(task) > MAX_CHARS:
        raise InvalidInput(f"task has {len(task):,} characters; at most {MAX_CHARS:,}. Name files instead.")
    chosen = panel_swarm.choose(task, args.count, args.lenses)
    if engine_for(args.engine, has_model=services.backend.has_model) != "model":
        return ToolResult(await anyio.to_thread.run_sync(_for_host, services, task, chosen))
    return await _perform(services, args, task, chosen, progress)


async def _perform(
    services: Services, args: Args, task: str, chosen: Chosen, progress: Progress
) -> ToolResult:
    backend = services.backend
    model = backend.default_model("swarm")
    jobs = swarm.jobs(task, chosen, model, backend.provider)
    purse = swarm.priced(jobs, await backend.price(model), args.max_cost_usd)
    plan = Plan(args.deadline_s, swarm.Enough(len(jobs)), budget=purse.allowed, progress=progress)
    began = time.monotonic()
    reading = swarm.Reading(purse.leg(backend.ask), services.workers)
    outcomes = await run(jobs, reading, plan, services.limits)
    elapsed_s = time.monotonic() - began
    # In a thread: hundreds of answers are compared, and hook events pass through this loop.
    found = await anyio.to_thread.run_sync(swarm.unite, chosen, outcomes, reading.ideas)
    data = swarm.short(found)
    calls, used = sum(one.calls for one in outcomes), sum((one.usage for one in outcomes), Usage())
    data["receipt"] = consult.receipt(calls, used, elapsed_s)
    whole = swarm.report(task, found)
    data["report"] = await write_report(services.settings.state, "swarm", whole, services.workers)
    return ToolResult(data, is_error=not any(outcome.is_answered for outcome in outcomes))


def _for_host(services: Services, task: str, chosen: Chosen) -> dict[str, Json]:
    """Without a model: the agents as calls that the host sends itself, at most six a message."""
    if len(chosen.lenses) > MAX_PLANNED:
        raise InvalidInput(f"Without a model the host runs the agents: ask for at most {MAX_PLANNED}.")
    is_long = len(panel_swarm.for_agent(task, chosen, chosen.lenses[0])) * len(chosen.lenses) > INLINE_CHARS
    told = panel_swarm.brief(task, chosen)
    path = keep(services.settings.state, "swarm-task", told) if is_long else None
    calls = [
        agent_call(
            consult.clip(f"Look at: {lens.name}", 60),
            panel_swarm.for_reader(path, lens) if path else panel_swarm.for_agent(task, chosen, lens),
        )
        for lens in chosen.lenses
    ]
    why = getattr(services.backend, "why", "")
    return {
        "headline": f"No model was asked: a plan of {len(calls)} Agent calls for you to send",
        "note": f"No one was asked. {why} Send the Agent calls of one message side by side (at most "
        f"{MAX}), then those of the next. Then merge what is the same, and rank by how many said it.",
        "lenses": chosen.kind,
        "plan": {"messages": messages(calls)},
    }


TOOL: Tool[Args] = Tool(
    name="agent_swarm",
    title="Many agents on one task, each through another lens",
    description=(
        "Many agents on one task, each through another lens; near-duplicates merged, the rest ranked."
    ),
    arguments=Args,
    call=call,
    output={
        "lenses": {"type": "string"},
        "agents": {"type": "integer"},
        "answers": {
            "type": "array",
            "items": {
                "type": "object",
                "properties": {"title": {"type": "string"}, "detail": {"type": "string"}, "said_by": LINES},
            },
        },
        "merged": {"type": "integer"},
        "cut": {"type": "integer"},
        "receipt": {"type": "object"},
        "report": {"type": "string"},
        "plan": {"type": "object"},
    },
    search_hint="swarm, brainstorm, many agents, test cases, hypotheses",
)
