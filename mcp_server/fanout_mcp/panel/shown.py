"""A consultation's result in short: what the model reads, bounded by the number of members."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Final

from fanout_mcp.engine.budget import Estimate
from fanout_mcp.panel.consult import Ruling
from fanout_mcp.panel.consultation import Consultation
from fanout_mcp.panel.members import Member
from fanout_mcp.types import Json
from fanout_mcp.usage import Usage

WIDTHS: Final = ((3, 300), (8, 220), (24, 100))
"""Up to so many members, so many characters for the texts of each: three in about 1 kB, eight under 4 kB."""


MOST_IGNORED: Final = 3


def width(members: int) -> int:
    return next((wide for most, wide in WIDTHS if members <= most), WIDTHS[-1][1])


def verdict(asked: Consultation, closed: Ruling, spent: Mapping[str, Json]) -> dict[str, Json]:
    wide = width(len(asked.members))
    members = {member.key: member for member in asked.members}
    return {
        "decision": closed.decision,
        "rule": rule(asked, closed),
        "agreement": closed.agreement,
        "votes": [vote(members[key], closed, wide) for key in members if key in closed.positions],
        "failed": [{"member": key, "reason": clip(why, wide)} for key, why in closed.failed.items()],
        "cut": list(closed.cut),
        "receipt": {**spent, **stand_ins(members, closed)},
        **ignored(asked),
    }


def stand_ins(members: Mapping[str, Member], closed: Ruling) -> dict[str, Json]:
    """Who answered for whom and why; nothing where each member's own model did."""
    told = [
        {"member": key, "asked": members[key].model, "answered": said.model, "why": clip(said.instead, 160)}
        for key, said in closed.positions.items()
        if said.model
    ]
    return {"fallbacks": told} if told else {}


def ignored(asked: Consultation) -> dict[str, Json]:
    """What was passed over of the user's own files; nothing where all is well."""
    told = [clip(why, 300) for why in asked.ignored[:MOST_IGNORED]]
    return {"ignored": told} if told else {}


def rule(asked: Consultation, closed: Ruling) -> str:
    return asked.ballot.applied(sum(bool(said.missing) for said in closed.positions.values()))


def vote(member: Member, closed: Ruling, wide: int) -> dict[str, Json]:
    said = closed.positions[member.key]
    summary, blocker, change = fitted(
        (f"{said.summary} ({said.note})" if said.note else said.summary, said.blocker, said.smallest_change),
        wide,
    )
    return {
        "member": member.key,
        "persona": member.persona.name,
        "model": said.model or member.model,
        **({"instead_of": member.model} if said.model else {}),
        "verdict": said.verdict,
        "confidence": said.confidence,
        "summary": summary,
        "blocker": blocker or None,
        "smallest_change": change or None,
    }


def receipt(calls: int, used: Usage, elapsed_s: float) -> dict[str, Json]:
    return {"calls": calls, **used.fields(), "elapsed_s": round(elapsed_s, 2)}


def dry(asked: Consultation, expected: Estimate) -> dict[str, Json]:
    """Who would be asked, and what it may cost at most."""
    return {
        "dry_run": True,
        "members": [
            {"member": one.key, "persona": one.persona.name, "model": one.model} for one in asked.members
        ],
        "rule": asked.ballot.rule,
        "at_most": {
            "calls": expected.calls,
            "tokens_in": expected.tokens_in,
            "tokens_out": expected.tokens_out,
            "cost_usd": "unknown" if expected.cost_usd is None else round(expected.cost_usd, 6),
        },
        **ignored(asked),
    }


def fitted(texts: Sequence[str], wide: int) -> list[str]:
    """Clip texts to so many characters together; what a short one leaves goes to the longer ones."""
    shown, left = list(texts), wide
    shortest_first = sorted(range(len(texts)), key=lambda place: len(texts[place]))
    for taken, place in enumerate(shortest_first):
        shown[place] = clip(texts[place], left // (len(texts) - taken))
        left -= len(shown[place])
    return shown


def clip(words: str, wide: int) -> str:
    return words if len(words) <= wide else words[: wide - 1].rstrip() + "…"
