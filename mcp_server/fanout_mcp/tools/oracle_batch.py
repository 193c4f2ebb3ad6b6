"""oracle_batch: several experts asked at once, one honest verdict.

gather (personas, files) -> plan (members, jobs, price) -> perform (one `await`) -> render (verdict, report).
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field

from fanout_mcp.backends.plan import agent_call, messages
from fanout_mcp.engine.run import run
from fanout_mcp.errors import InvalidInput
from fanout_mcp.panel import consult, material, personas, prompts
from fanout_mcp.panel.asking import Asking, Decided
from fanout_mcp.panel.consult import Round, Terms
from fanout_mcp.panel.material import Material
from fanout_mcp.panel.members import Member, seat
from fanout_mcp.panel.vote import Ballot, Stakes, default_quorum
from fanout_mcp.reports import text
from fanout_mcp.services import Services, Tool, ToolResult
from fanout_mcp.types import Job, Json, Progress

MOST_CHARS = 60_000
"""Of a question: longer ones are files, and files can be attached."""
WIDTHS = ((3, 240), (8, 150), (24, 80))
"""Up to so many members, so many characters of each text: three members in about 1 kB, eight under 4 kB."""


class Args(BaseModel):
    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(min_length=1, description="With all context: members see nothing else.")]
    preset: Annotated[
        str, Field(description="quick (3 members), comprehensive (5), security, technical (3), all (8)")
    ] = "quick"
    personas: Annotated[
        list[str] | None,
        Field(
            description="Instead of a preset: judge, critic, skeptic, innovator, advocate, security, "
            "performance, oracle."
        ),
    ] = None
    models: Annotated[
        list[str] | None, Field(description="One for all, one per member, or persona=model.")
    ] = None
    files: Annotated[list[str] | None, Field(description="Project files to attach.")] = None
    stakes: Stakes = "production"
    quorum: Annotated[int | None, Field(ge=1)] = None
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = 100
    max_cost_usd: Annotated[float, Field(gt=0)] = 1.0
    dry_run: Annotated[bool, Field(description="Only say who would be asked and the price.")] = False


@dataclass(frozen=True, slots=True)
class Consultation:
    """All that a consultation needs before its first call."""

    question: str
    members: Sequence[Member]
    material: Material
    ballot: Ballot


async def call(services: Services, args: Args, progress: Progress) -> ToolResult:
    asked = await gather(services, args)
    if not services.backend.has_model:
        return ToolResult(for_host(services, asked, args.stakes))
    terms = await terms_of(services, asked.members, args.deadline_s, args.max_cost_usd)
    jobs = [_job(member, asked, terms.provider) for member in asked.members]
    expected = consult.priced(jobs, terms)
    if args.dry_run:
        return ToolResult(_dry(asked, expected.tokens_in, expected.tokens_out, expected.cost_usd))
    asking = Asking(services.backend.ask)
    began = time.monotonic()
    plan = consult.plan(terms, progress, asking, stop=Decided(asking, asked.ballot))
    outcomes = await run(jobs, asking, plan, services.limits)
    closed = consult.close(outcomes, asking, asked.ballot)
    data = render(asked, closed, receipt(asking, time.monotonic() - began))
    data["report"] = await anyio.to_thread.run_sync(_report, services, asked, closed, asking, data)
    return ToolResult(data, is_error=closed.decision == "NO_VERDICT")


# --- gather ------------------------------------------------------------------------------------------------


async def gather(services: Services, args: Args) -> Consultation:
    """Read personas and files. Raises InvalidInput for whatever is wrong with the arguments."""
    question = args.question.strip()
    if not question:
        raise InvalidInput("question is empty; ask something that a panel can judge.")
    if len(question) > MOST_CHARS:
        raise InvalidInput(
            f"question has {len(question):,} characters; at most {MOST_CHARS:,}. Put long text into a file "
            "of the project and attach it with files."
        )
    library = await anyio.to_thread.run_sync(personas.read, services.settings.config_dir)
    members = seat(library.choose(args.preset, args.personas), args.models, services.backend.default_model)
    quorum = args.quorum or default_quorum(len(members))
    if quorum > len(members):
        raise InvalidInput(f"quorum is {quorum}, but the panel has {len(members)} members.")
    attached = await anyio.to_thread.run_sync(material.gather, services.settings.root, args.files or [])
    return Consultation(question, members, attached, Ballot(len(members), quorum, args.stakes))


async def terms_of(
    services: Services, members: Sequence[Member], deadline_s: float, max_cost_usd: float
) -> Terms:
    """Look up the prices of the members' models."""
    prices = {model: await services.backend.price(model) for model in {member.model for member in members}}
    return Terms(services.backend.provider, deadline_s, max_cost_usd, prices)


# --- plan --------------------------------------------------------------------------------------------------


def _job(member: Member, asked: Consultation, provider: str) -> Job:
    prompt = prompts.first(member, asked.question, asked.material, asked.ballot.stakes)
    return consult.job(member, prompt, provider)


def for_host(services: Services, asked: Consultation, stakes: Stakes) -> dict[str, Json]:
    """Without a model: ready agent calls that the host runs itself, all in one message."""
    calls = [
        agent_call(f"{member.persona.title} on the question", _agent_prompt(member, asked, stakes))
        for member in asked.members
    ]
    why = getattr(services.backend, "why", "")
    return {
        "decision": "NOT_ASKED",
        "note": f"No model is set up, so nobody was asked. {why} Send the agent calls of each message below "
        f"side by side, then apply the rule: {asked.ballot.rule}.",
        "plan": {"messages": messages(calls)},
    }


def _agent_prompt(member: Member, asked: Consultation, stakes: Stakes) -> str:
    return prompts.for_agent(member, asked.question, asked.material, stakes)


def _dry(asked: Consultation, tokens_in: int, tokens_out: int, cost: float | None) -> dict[str, Json]:
    return {
        "dry_run": True,
        "members": [
            {"member": one.key, "persona": one.persona.name, "model": one.model} for one in asked.members
        ],
        "rule": asked.ballot.rule,
        "at_most": {
            "calls": len(asked.members),
            "tokens_in": tokens_in,
            "tokens_out": tokens_out,
            "cost_usd": "unknown" if cost is None else round(cost, 6),
        },
    }


# --- render ------------------------------------------------------------------------------------------------


def receipt(asking: Asking, elapsed_s: float) -> dict[str, Json]:
    used = asking.usage
    return {
        "calls": asking.calls,
        "tokens_in": used.tokens_in,
        "tokens_out": used.tokens_out,
        "cost_usd": None if used.cost_usd is None else round(used.cost_usd, 6),
        "elapsed_s": round(elapsed_s, 2),
    }


def render(asked: Consultation, closed: Round, spent: Mapping[str, Json]) -> dict[str, Json]:
    """The short form: what the model reads."""
    width = next((width for most, width in WIDTHS if len(asked.members) <= most), WIDTHS[-1][1])
    members = {member.key: member for member in asked.members}
    return {
        "decision": closed.decision,
        "rule": asked.ballot.rule,
        "agreement": closed.agreement,
        "votes": [_vote(members[key], closed, width) for key in members if key in closed.positions],
        "failed": [{"member": key, "reason": clip(why, width)} for key, why in closed.failed.items()],
        "cut": list(closed.cut),
        "receipt": dict(spent),
    }


def _vote(member: Member, closed: Round, width: int) -> dict[str, Json]:
    said = closed.positions[member.key]
    return {
        "member": member.key,
        "persona": member.persona.name,
        "model": member.model,
        "verdict": said.verdict,
        "confidence": said.confidence,
        "summary": clip(said.summary if not said.note else f"{said.summary} ({said.note})", width),
        "blocker": clip(said.blocker, width) or None,
        "smallest_change": clip(said.smallest_change, width) or None,
    }


def clip(words: str, width: int) -> str:
    return words if len(words) <= width else words[: width - 1].rstrip() + "…"


def _report(
    services: Services, asked: Consultation, closed: Round, asking: Asking, data: Mapping[str, Json]
) -> str | None:
    return text.write(services.settings.state, "oracle", report(asked, closed, asking, data))


def report(asked: Consultation, closed: Round, asking: Asking, data: Mapping[str, Json]) -> str:
    """The long form: everything that was said, as Markdown."""
    spent = data["receipt"]
    cost = "unknown" if spent["cost_usd"] is None else f"${spent['cost_usd']}"
    parts = [
        f"# {closed.decision}",
        (
            f"Rule: {asked.ballot.rule}. Agreement {closed.agreement:.0%}. "
            "Confidence is self-reported and not weighed."
        ),
        (
            f"{spent['calls']} calls, {spent['tokens_in']} tokens in, {spent['tokens_out']} out, "
            f"cost {cost}, {spent['elapsed_s']} s."
        ),
        f"## Question\n\n{text.quoted(asked.question)}",
    ]
    if asked.material.files:
        hidden = f" ({asked.material.redacted} secrets scrubbed)" if asked.material.redacted else ""
        parts.append("Attached: " + ", ".join(asked.material.files) + hidden)
    parts += [_section(member, closed, asking) for member in asked.members]
    return "\n\n".join(parts) + "\n"


def _section(member: Member, closed: Round, asking: Asking) -> str:
    head = f"## {member.persona.title} ({member.key}, {member.model or 'default model'})"
    said = closed.positions.get(member.key)
    if said is None:
        why = closed.failed.get(member.key) or "cut: the vote was decided without it"
        wrote = asking.answers.get(member.key)
        return f"{head}\n\nNo position: {why}" + (f"\n\n{text.quoted(wrote)}" if wrote else "")
    lines = [
        f"**{said.verdict}** ({said.confidence if said.confidence is not None else '?'} %): {said.summary}"
    ]
    lines += [f"- {reason}" for reason in said.reasons]
    lines += [f"- Blocker: {said.blocker}"] if said.blocker else []
    lines += (
        [f"- Smallest change that would clear it: {said.smallest_change}"] if said.smallest_change else []
    )
    lines += [f"- Note: {said.note}"] if said.note else []
    return f"{head}\n\n" + "\n".join(lines)


TOOL: Tool[Args] = Tool(
    name="oracle_batch",
    title="Ask several experts at once",
    description=(
        "Ask a panel of experts (personas, mixed models) one question in parallel; returns a vote-based "
        "verdict PROCEED, SIMPLIFY or STOP, each member's reason, and the path of a full report. NO_VERDICT "
        "when too few answer."
    ),
    arguments=Args,
    call=call,
    always_load=True,
    search_hint="second opinion, expert panel, verdict, decision, critique",
)
