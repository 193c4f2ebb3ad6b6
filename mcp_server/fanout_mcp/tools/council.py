"""council: experts who read each other and answer again, in rounds that overlap.

gather (personas, files) -> plan (price of all rounds) -> perform (deliberate) -> render (verdict, minutes).
"""

from __future__ import annotations

from dataclasses import replace
from typing import Annotated, Final

import anyio.to_thread
from pydantic import Field

from fanout_mcp.jsonish import NUMBER, TABLE
from fanout_mcp.panel import consult, result
from fanout_mcp.panel.council import Council, deliberate
from fanout_mcp.panel.deliberation import Answered, Event, OnEvent, Synthesised, line
from fanout_mcp.tools.services import Services, Tool, ToolResult
from fanout_mcp.types import Json, Progress

MAX_ROUNDS: Final = 5


class Args(consult.PanelArguments):
    rounds: Annotated[int, Field(ge=1, le=MAX_ROUNDS)] = 3
    speculate: bool = True
    """Begin a round before the one before is through."""
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = 300


async def call(services: Services, args: Args, progress: Progress) -> ToolResult:
    return await watched(services, args, _Line(progress, args.rounds))


async def watched(services: Services, args: Args, on_event: OnEvent) -> ToolResult:
    """Hold a council; `on_event` is called with everything as it happens."""
    asked = await consult.gather(services.settings, services.backend, args, services.workers)
    if not services.backend.has_model:
        return ToolResult(await anyio.to_thread.run_sync(_for_host, services, asked, args.rounds))
    writer = services.backend.default_model("synthesis")
    terms = await consult.terms_of(
        services.backend,
        {writer, *(member.model for member in asked.members)},
        args,
        max_tokens=consult.TOKENS_WITHOUT_PRICE * args.rounds,
    )
    council = Council(asked, terms, args.rounds, args.speculate, writer, on_event, services.workers)
    # Always in a thread: later rounds quote every member.
    terms, price = await anyio.to_thread.run_sync(consult.affordable, terms, council.largest_jobs)
    council = replace(council, terms=terms)
    if args.dry_run:
        return ToolResult({**consult.dry(asked, price.at_most), "rounds": args.rounds})
    held = await deliberate(council, services.backend.ask, services.limits, price.purse)
    data = result.short(asked, held)
    whole = result.report(asked, held, data)
    data["report"] = await services.report("council", whole)
    return ToolResult(data, is_error=data["decision"] == "NO_VERDICT")


class _Line:
    """Reports a council as lines of progress; how many calls it will take is not known before its end."""

    def __init__(self, progress: Progress, rounds: int) -> None:
        self._progress, self._rounds, self._done = progress, rounds, 0

    def __call__(self, event: Event) -> None:
        self._done += isinstance(event, Answered | Synthesised)
        self._progress(self._done, None, line(event))


def _for_host(services: Services, asked: consult.Consultation, rounds: int) -> dict[str, Json]:
    """Without a model: the first round as agent calls, and how the host goes on from its answers."""
    asked = replace(asked, question=services.set_aside("question", asked.question))
    return consult.not_asked(
        asked,
        services.backend,
        f": round 1. For each further round, at most {rounds}, send them again with the others' "
        "answers of the round before added, without names; stop when round 1 is unanimous or no verdict "
        "changed. Then",
    )


TOOL: Tool[Args] = Tool(
    name="council",
    title="Let a panel read each other and answer again",
    description=(
        "A panel answers, reads the others' answers unsigned and answers again until no verdict changes. "
        "Prefer oracle_batch (= rounds 1) unless members may know different facts or a vote was split. "
        "Arguments as there."
    ),
    arguments=Args,
    call=call,
    output={
        **consult.VERDICT_FORM,
        "converged": {"type": "boolean"},
        "rounds": {"type": ["array", "integer"]},
        "synthesis": {"type": ["object", "string"]},
        "saved_s": NUMBER,
        "wasted": TABLE,
    },
    search_hint="debate, deliberation, consensus, dissent, rounds of experts",
)
