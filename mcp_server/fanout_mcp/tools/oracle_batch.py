"""oracle_batch: several experts asked at once, one honest verdict.

gather (personas, files) -> plan (members, jobs, price) -> perform (one `await`) -> render (verdict, report).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import anyio
import anyio.to_thread

from fanout_mcp.engine.retry import Hedge
from fanout_mcp.engine.run import run
from fanout_mcp.panel import asking as panel_asking
from fanout_mcp.panel import consult, result
from fanout_mcp.panel import consult as panel_consult
from fanout_mcp.panel.asking import Asking, Decided
from fanout_mcp.panel.consult import (
    Consultation,
    Ledger,
    Leg,
    PanelArguments,
    Ruling,
    Terms,
    gather,
    terms_of,
)
from fanout_mcp.reports import text
from fanout_mcp.source.secrets import in_thread
from fanout_mcp.tools.services import Services, Tool, ToolResult
from fanout_mcp.types import Job, Json, Progress


class Args(PanelArguments):
    """A panel's arguments, as they are."""


async def call(services: Services, args: Args, progress: Progress) -> ToolResult:
    asked = await gather(services.settings, services.backend, args, services.workers)
    if not services.backend.has_model:
        return ToolResult(await anyio.to_thread.run_sync(for_host, services, asked))
    terms = await terms_of(services.backend, {member.model for member in asked.members}, args)
    # In a thread: it counts the tokens of all that was attached.
    terms, price = await anyio.to_thread.run_sync(
        consult.affordable, terms, lambda shared: _jobs(asked, shared)
    )
    if args.dry_run:
        return ToolResult(panel_consult.dry(asked, price.at_most))
    ledger = Ledger(services.backend.ask, terms.prices)
    asking = Asking(price.purse.leg(ledger.of(Leg(1, "panel"))), services.workers)
    began = anyio.current_time()
    hedge = Hedge() if services.settings.hedge else None
    plan = consult.plan(terms, progress, asking, stop=Decided(asking, asked.ballot), hedge=hedge)
    outcomes = await run(_jobs(asked, terms), asking, plan, services.limits)
    closed = consult.close(outcomes, asking, asked.ballot)
    elapsed_s = anyio.current_time() - began
    data = panel_consult.short_verdict(
        asked, closed, panel_consult.receipt(ledger.calls, ledger.usage, elapsed_s)
    )
    data["report"] = await in_thread(
        lambda stop: text.write(
            services.settings.state, "oracle", report(asked, closed, asking, data), services.workers, stop
        )
    )
    return ToolResult(data, is_error=closed.decision == "NO_VERDICT")


def _jobs(asked: Consultation, terms: Terms) -> list[Job]:
    return [
        consult.job(
            member, panel_asking.first(member, asked.question, asked.material, asked.ballot.stakes), terms
        )
        for member in asked.members
    ]


def for_host(services: Services, asked: Consultation) -> dict[str, Json]:
    """Without a model: ready agent calls that the host runs itself, all in one message."""
    why = getattr(services.backend, "why", "")
    asked = replace(asked, question=text.set_aside(services.settings.state, "question", asked.question))
    return consult.not_asked(
        asked,
        f"No model is set up, so no one was asked. {why} Send the agent calls of each message below "
        f"side by side, then apply the rule: {asked.ballot.rule}.",
    )


def report(asked: Consultation, closed: Ruling, asking: Asking, data: Mapping[str, Json]) -> str:
    """The long form: everything that was said, as Markdown."""
    parts = result.head(asked, closed, data["receipt"])
    for member in asked.members:
        why = closed.failed.get(member.key) or "cut: the vote was decided without it"
        said, wrote = closed.positions.get(member.key), asking.answers.get(member.key)
        parts.append(result.section(member, said, why, wrote))
    return "\n\n".join(parts) + "\n"


TOOL: Tool[Args] = Tool(
    name="oracle_batch",
    title="Ask several experts at once",
    description=(
        "Ask a panel (personas, models of several makers) one question at once: a voted PROCEED, SIMPLIFY or "
        "STOP, each member's reason, a report's path. NO_VERDICT: too few answered."
    ),
    arguments=Args,
    call=call,
    output=consult.VERDICT_FORM,
    always_load=True,
    search_hint="second opinion, expert panel, verdict, decision, critique",
)
