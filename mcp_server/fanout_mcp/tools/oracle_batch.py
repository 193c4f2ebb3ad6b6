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
from fanout_mcp.panel import record
from fanout_mcp.panel.asking import Asking, Decided, first_prompt
from fanout_mcp.panel.consult import (
    VERDICT_FORM,
    Consultation,
    Ledger,
    Leg,
    PanelArguments,
    Ruling,
    Terms,
    close,
    dry,
    gather,
    member_job,
    not_asked,
    plan,
    receipt,
    short_verdict,
    terms_of,
    within_budget,
)
from fanout_mcp.panel.result import head, section
from fanout_mcp.reports.text import set_aside, write_report
from fanout_mcp.tools.services import Services, Tool, ToolResult
from fanout_mcp.types import Job, Json, Progress


class Args(PanelArguments):
    """A panel's arguments, as they are."""


async def call(services: Services, args: Args, progress: Progress) -> ToolResult:
    backend = services.backend
    asked = await gather(services.settings, backend, args, services.workers)
    if not backend.has_model:
        return ToolResult(await anyio.to_thread.run_sync(_for_host, services, asked))

    terms = await terms_of(backend, {member.model for member in asked.members}, args)
    terms, price = await within_budget(asked, terms, lambda shared: _jobs(asked, shared))
    if args.dry_run:
        return ToolResult(dry(asked, price.at_most))

    ledger = Ledger(backend.ask, terms.prices)
    asking = Asking(price.purse.leg(ledger.of(Leg(1, "panel"))), services.workers)
    hedge = Hedge() if services.settings.hedge else None
    run_plan = plan(terms, progress, asking, stop=Decided(asking, asked.ballot), hedge=hedge)
    began = anyio.current_time()
    outcomes = await run(_jobs(asked, terms), asking, run_plan, services.limits)
    spent = receipt(ledger.calls, ledger.usage, anyio.current_time() - began)

    ruling = close(outcomes, asking, asked.ballot)
    spent |= record.keep(services.settings.votes, asked.members, ruling)
    data = short_verdict(asked, ruling, spent)
    whole = _report(asked, ruling, asking, spent)
    data["report"] = await write_report(services.settings.state, "oracle", whole, services.workers)
    return ToolResult(data, is_error=ruling.decision == "NO_VERDICT")


def _jobs(asked: Consultation, terms: Terms) -> list[Job]:
    """One job a member: the question, alone and without any other member's opinion."""
    question, material, stakes = asked.question, asked.material, asked.ballot.stakes
    return [member_job(one, first_prompt(one, question, material, stakes), terms) for one in asked.members]


def _for_host(services: Services, asked: Consultation) -> dict[str, Json]:
    """Without a model: ready agent calls that the host runs itself, all in one message."""
    asked = replace(asked, question=set_aside(services.settings.state, "question", asked.question))
    return not_asked(asked, services.backend, ", then")


def _report(asked: Consultation, ruling: Ruling, asking: Asking, spent: Mapping[str, Json]) -> str:
    """The long form: every answer whole, as Markdown."""
    parts = head(asked, ruling, spent)
    for member in asked.members:
        reason = ruling.failed.get(member.key) or "cut: the vote was decided without it"
        position, wrote = ruling.positions.get(member.key), asking.answers.get(member.key)
        parts.append(section(member, position, reason, wrote))
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
    output=VERDICT_FORM,
    always_load=True,
    search_hint="second opinion, expert panel, verdict, decision, critique",
)
