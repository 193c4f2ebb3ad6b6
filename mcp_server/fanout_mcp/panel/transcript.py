"""A consultation as Markdown: everything that was asked and said, for a person to read."""

from __future__ import annotations

from collections.abc import Mapping

from fanout_mcp.clean import quoted
from fanout_mcp.engine.budget import cost
from fanout_mcp.panel import shown
from fanout_mcp.panel.answer import Position
from fanout_mcp.panel.consult import Ruling
from fanout_mcp.panel.consultation import Consultation
from fanout_mcp.panel.members import Member
from fanout_mcp.types import Json


def head(asked: Consultation, closed: Ruling, spent: Mapping[str, Json]) -> list[str]:
    """The verdict, its rule, what it cost, and the question."""
    parts = [
        f"# {closed.decision}",
        (
            f"Rule: {shown.rule(asked, closed)}. Agreement {100 * closed.agreement:.0f} %. "
            "Confidence is self-reported and not weighed."
        ),
        (
            f"{spent['calls']} calls, {spent['tokens_in']} tokens in, {spent['tokens_out']} out, "
            f"cost {cost(spent)}, {spent['elapsed_s']} s."
        ),
        f"## Question\n\n{quoted(asked.question)}",
    ]
    if asked.material.files:
        hidden = f" ({asked.material.redacted} secrets scrubbed)" if asked.material.redacted else ""
        parts.append("Attached: " + ", ".join(asked.material.files) + hidden)
    return parts


def section(member: Member, said: Position | None, why: str, wrote: str | None, level: str = "##") -> str:
    """What one member said, or `why` it said nothing; `wrote`: its answer word for word."""
    model = member.model or "default model"
    if said is not None and said.model:
        model = f"{said.model} instead of {model}: {said.instead}"
    title = f"{level} {member.persona.title} ({member.key}, {model})"
    if said is None:
        return f"{title}\n\nNo position: {why}" + (f"\n\n{quoted(wrote)}" if wrote else "")
    return f"{title}\n\n{position(said)}"


def position(said: Position) -> str:
    lines = [
        f"**{said.verdict}** ({said.confidence if said.confidence is not None else '?'} %): {said.summary}"
    ]
    lines += [f"- {reason}" for reason in said.reasons]
    lines += [f"- Blocker: {said.blocker}"] if said.blocker else []
    lines += (
        [f"- Smallest change that would clear it: {said.smallest_change}"] if said.smallest_change else []
    )
    lines += [f"- Note: {said.note}"] if said.note else []
    return "\n".join(lines)
