"""A council's result: the short form that the model reads, and the minutes of all rounds as Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from fanout_mcp.engine.budget import cost
from fanout_mcp.panel.answer import Position
from fanout_mcp.panel.consult import Consultation, Ruling, Waste, receipt, rule, short_verdict
from fanout_mcp.panel.council import Deliberation, Round, Writing
from fanout_mcp.panel.deliberation import Judged, standing
from fanout_mcp.panel.personas import Member
from fanout_mcp.text import clip, quoted
from fanout_mcp.types import Json
from fanout_mcp.usage import Usage

# --- A consultation as Markdown: every question and answer, for a person to read. ---------------------------


def head(asked: Consultation, closed: Ruling, spent: Mapping[str, Json]) -> list[str]:
    parts = [
        f"# {closed.decision}",
        (
            f"Rule: {rule(asked, closed)}. Agreement {100 * closed.agreement:.0f} %. "
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


def section(member: Member, position: Position | None, why: str, wrote: str | None, level: str = "##") -> str:
    """One member's position, or `why` it has none; `wrote`: its answer word for word."""
    model = member.model or "default model"
    if position is not None and position.model:
        model = f"{position.model} instead of {model}: {position.instead}"
    title = f"{level} {member.persona.title} ({member.key}, {model})"
    if position is None:
        return f"{title}\n\nNo position: {why}" + (f"\n\n{quoted(wrote)}" if wrote else "")
    return f"{title}\n\n{_in_markdown(position)}"


def _in_markdown(position: Position) -> str:
    sure = "?" if position.confidence is None else position.confidence
    lines = [f"**{position.verdict}** ({sure} %): {position.summary}"]
    lines += [f"- {reason}" for reason in position.reasons]
    clears = "Smallest change that would clear it"
    named = {"Blocker": position.blocker, clears: position.smallest_change, "Note": position.note}
    return "\n".join([*lines, *(f"- {name}: {text}" for name, text in named.items() if text)])


# --- result ------------------------------------------------------------------------------------------

SYNTHESIS_WIDTH: Final = 300

WHY: Final = {
    "converged": "",
    "rounds": "",
    "no quorum": "The last round had no quorum; answers of earlier rounds, marked, stand beside its own.",
    "deadline": "The deadline left no time for another round.",
    "budget": "The budget was used up before another round.",
}


def final_ruling(held: Deliberation) -> Ruling:
    """What stands at the end: each member's latest answer, decided by the panel's rule."""
    last = held.rounds[-1]
    latest = standing([one.closed for one in held.rounds])
    cut = last.closed.cut
    failed = {key: why for key, why in last.closed.failed.items() if key not in cut}
    positions = {key: one.position for key, one in latest.items()}
    late = [*(key for key in last.closed.failed if key in cut), *sorted(last.closed.out)]
    return Ruling(last.judged.decision, last.judged.agreement, positions, failed, late)


def short(asked: Consultation, held: Deliberation) -> dict[str, Json]:
    data = short_verdict(
        asked, final_ruling(held), receipt(held.ledger.calls, held.ledger.usage, held.elapsed_s)
    )
    _mark_votes(data["votes"], held)
    written = held.rounds[-1].written
    synthesis = written.synthesis if written else None
    data["converged"] = held.ended == "converged"
    rounds = [_round(held, one.closed.n, one.judged, speculative=one.speculative) for one in held.rounds]
    data["rounds"] = rounds + [_round(held, n, None, speculative=True) for n in held.discarded]
    if WHY[held.ended] and not (held.ended == "no quorum" and len(held.rounds) == 1):
        data["note"] = WHY[held.ended]
    if len(held.rounds) > 1 or written:
        texts = {name: clip(text, SYNTHESIS_WIDTH) for name, text in (synthesis or {}).items()}
        why = written.reason if written else "nothing was decided"
        data["synthesis"] = texts or f"no synthesis: {why}"
        data["saved_s"] = round(max(0.0, held.plain_s - held.elapsed_s), 2)
    data["wasted"] = _waste(held.waste())
    return data


def report(asked: Consultation, held: Deliberation, data: Mapping[str, Json]) -> str:
    parts = head(asked, final_ruling(held), data["receipt"])
    parts.append(_course(held))
    for one in held.rounds:
        parts += _section(asked, one)
    gone = "thrown away\n\nIt was begun before it was certain, and was not needed."
    parts += [f"## Round {n}: {gone}" for n in held.discarded]
    return "\n\n".join(parts) + "\n"


def _mark_votes(votes: list[dict[str, Json]], held: Deliberation) -> None:
    """Name the round of an answer that is older than the last, and the verdict that it began with."""
    rounds = [one.closed for one in held.rounds]
    latest = standing(rounds)
    firsts = [(key, position.verdict) for one in reversed(rounds) for key, position in one.answers.items()]
    first = dict(firsts)  # the earliest round's comes last
    for vote in votes:
        key = vote["member"]
        if latest[key].n != rounds[-1].n:
            vote["round"] = latest[key].n
        if first[key] != vote["verdict"]:
            vote["was"] = first[key]


def _round(held: Deliberation, n: int, judged: Judged | None, *, speculative: bool) -> dict[str, Json]:
    """`judged`: None of a round that was thrown away."""
    return {
        "n": n,
        "decision": judged and judged.decision,
        "agreement": judged and judged.agreement,
        "speculative": speculative,
        "wasted": held.waste(n).calls,
    }


def _waste(waste: Waste) -> dict[str, Json]:
    used = waste.usage if waste.calls else Usage(cost_usd=0.0)
    return {"calls": waste.calls, "tokens": used.total_tokens, **used.cost_fields()}


def _course(held: Deliberation) -> str:
    waste, ended = _waste(held.waste()), held.ended
    how = "Converged." if ended == "converged" else WHY[ended] or "All rounds were held without converging."
    return (
        f"{how} The rounds one after another, each with its synthesis, would have taken {held.plain_s:.2f} s "
        f"with the same answers; it took {held.elapsed_s:.2f} s. Thrown away: {waste['calls']} calls, "
        f"{waste['tokens']} tokens (what a cancelled call had written is not known), cost {cost(waste)}."
    )


def _section(asked: Consultation, one: Round) -> list[str]:
    closed, judged = one.closed, one.judged
    early = ", begun before the round before was through" if one.speculative else ""
    parts = [
        f"## Round {closed.n}: {judged.decision}",
        f"Agreement {100 * judged.agreement:.0f} %, {one.leg_s:.2f} s{early}.",
    ]
    for member in asked.members:
        key, position = member.key, closed.answers.get(member.key)
        if position is None and key not in closed.failed and key not in closed.out:
            continue
        why = closed.failed.get(key) or "it had not answered when the round closed"
        parts.append(section(member, position, why, one.texts.get(key), "###"))
        if key in closed.late:
            parts.append(f"This answer to round {closed.late[key]} came late.")
    return parts if one.written is None else [*parts, "### Synthesis", _synthesis(one.written)]


def _synthesis(written: Writing) -> str:
    if written.synthesis is None:
        return f"None: {written.reason}"
    return "\n".join(
        f"- {name.replace('_', ' ')}: {found}" for name, found in written.synthesis.items() if found
    )
