"""oracle_batch: several experts asked at once, one honest verdict.

gather (personas, files) -> plan (members, jobs, price) -> perform (one `await`) -> render (verdict, report).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import anyio
import anyio.to_thread

from fanout_mcp.engine.run import run
from fanout_mcp.panel import consult, record
from fanout_mcp.panel.asking import Asking, first_prompt
from fanout_mcp.panel.result import head, section
from fanout_mcp.tools.services import Services, Tool, ToolResult
from fanout_mcp.types import Job, Json, Progress

Args = consult.PanelArguments


async def call(services: Services, args: Args, progress: Progress) -> ToolResult:
    backend = services.backend
    asked = await consult.gather(services.settings, backend, args, services.workers)
    if not backend.has_model:
        return ToolResult(await anyio.to_thread.run_sync(_for_host, services, asked))

    terms = await consult.terms_of(backend, {member.model for member in asked.members}, args)
    terms, price = await consult.within_budget(asked, terms, lambda own: _jobs(asked, own))
    if args.dry_run:
        return ToolResult(consult.dry(asked, price.at_most))

    ledger = consult.Ledger(backend.ask, terms.prices)
    asking = Asking(price.purse.leg(ledger.of(consult.Leg(1, "panel"))), services.workers)
    run_plan = consult.plan(terms, progress, asking, asked.ballot, hedge=services.settings.hedge)
    began = anyio.current_time()
    outcomes = await run(_jobs(asked, terms), asking, run_plan, services.limits)
    spent = consult.receipt(ledger.calls, ledger.usage, anyio.current_time() - began)

    ruling = consult.close(outcomes, asking, asked.ballot)
    spent |= record.keep(services.settings.votes, asked.members, ruling)
    data = consult.short_verdict(asked, ruling, spent)
    whole = _report(asked, ruling, asking, spent)
    data["report"] = await services.report("oracle", whole)
    return ToolResult(data, is_error=ruling.decision == "NO_VERDICT")


def _jobs(asked: consult.Consultation, terms: consult.Terms) -> list[Job]:
    """One job a member: the question, alone and without any other member's opinion."""
    question, material, stakes = asked.question, asked.material, asked.ballot.stakes
    return [
        consult.member_job(one, first_prompt(one, question, material, stakes), terms) for one in asked.members
    ]


def _for_host(services: Services, asked: consult.Consultation) -> dict[str, Json]:
    """Without a model: ready agent calls that the host runs itself, all in one message."""
    asked = replace(asked, question=services.set_aside("question", asked.question))
    return consult.not_asked(asked, services.backend, ", then")


def _report(
    asked: consult.Consultation, ruling: consult.Ruling, asking: Asking, spent: Mapping[str, Json]
) -> str:
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
    output=consult.VERDICT_FORM,
    always_load=True,
    search_hint="second opinion, expert panel, verdict, decision, critique",
)
