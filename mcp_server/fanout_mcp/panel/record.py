"""What panels voted and what proved right: how often members agree, and each member's track record.

One file a panel in the user's own state folder, a line a consultation: {"id", "votes": {member: verdict},
"decision"}, and a line for what became of it: {"id", "right": true}. A member is a persona asked by a model.

How many independent votes n members are worth: n / (1 + (n - 1) r), where r is the mean correlation of two
members (Kish, Survey Sampling, 1965: the design effect of a cluster of n). Votes are names, not numbers, so
r is Fleiss' kappa (1971): (share of pairs that agree - share expected by chance) / (1 - share expected by
chance). Members also agree where the question is clear, so it is the least that they are worth.
"""

from __future__ import annotations

import hashlib
import json
import re
import secrets
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import lru_cache
from math import comb
from pathlib import Path
from typing import Final, NamedTuple

from fanout_mcp.errors import InvalidInput, SettingsError, why
from fanout_mcp.panel.consult import Ruling
from fanout_mcp.panel.personas import Member
from fanout_mcp.state.cache import own_folder
from fanout_mcp.state.folder import append
from fanout_mcp.text import compact
from fanout_mcp.types import Json

MIN_CONSULTATIONS: Final = 20
"""Of the same members, before their worth is reported."""
NEWEST: Final = 50
"""Consultations, about, that a receipt is made from: read in 0.25 ms, while the caller waits."""
MAX_BYTES: Final = 4_000_000
"""Read of a panel's file for the list of all members, the newest: some 20,000 consultations."""
ID: Final = re.compile(r"([0-9a-f]{6})-[0-9a-f]{6}")

Votes = Mapping[str, str]


class Worth(NamedTuple):
    """Of so many consultations: the share of pairs that agreed, and the independent votes that makes."""

    consultations: int
    agreed: float
    independent_votes: float


def worth(consultations: Sequence[Votes]) -> Worth | None:
    """Return what the members are worth together; None where no two of them ever voted on one question."""
    counts: Counter[str] = Counter()
    members: set[str] = set()
    agreeing = pairs = 0
    for votes in consultations:
        own = Counter(votes.values())
        counts.update(own)
        members |= votes.keys()
        agreeing += sum(comb(count, 2) for count in own.values())
        pairs += comb(len(votes), 2)
    if not pairs:
        return None
    agreed = agreeing / pairs
    by_chance = sum((count / counts.total()) ** 2 for count in counts.values())
    # Members that only ever gave one verdict have shown no independence.
    correlation = (agreed - by_chance) / (1 - by_chance) if by_chance < 1 else 1.0
    effective = len(members) / (1 + (len(members) - 1) * max(0.0, correlation))
    return Worth(len(consultations), round(agreed, 2), round(effective, 1))


# --- what is kept -------------------------------------------------------------------------------------------


def name_of(member: Member) -> str:
    return f"{member.persona.name} by {member.model or 'the default model'}"


def keep(folder: Path, members: Sequence[Member], ruling: Ruling) -> dict[str, Json]:
    """Keep a consultation that came to a decision, if that can be written; return the receipt's fields."""
    if ruling.decision == "NO_VERDICT":
        return {}
    names = {member.key: name_of(member) for member in members}
    panel = hashlib.sha256("\n".join(sorted(names.values())).encode()).hexdigest()[:6]
    identity = f"{panel}-{secrets.token_hex(3)}"
    given = {key: one.verdict for key, one in ruling.positions.items() if one.verdict != "ABSTAIN"}
    votes = {names[key]: verdict for key, verdict in given.items()}
    try:
        path = _path(folder, panel)
        line = compact({"id": identity, "decision": ruling.decision, "votes": votes})
        append(path, line)
        held = [one["votes"] for one in _lines(path, NEWEST * (len(line) + 1)) if "votes" in one]
    except OSError:
        return {}
    known = worth(held) if len(held) >= MIN_CONSULTATIONS else None
    return {"id": identity, **({"panel": known._asdict()} if known is not None else {})}


def settle(folder: Path, identity: str, *, is_right: bool) -> None:
    """Note what became of a consultation. Raises InvalidInput for an id that is not known."""
    match = ID.fullmatch(identity)
    try:
        path = _path(folder, match[1]) if match else None
        if path is None or all(one["id"] != identity for one in _lines(path)):
            raise InvalidInput(
                f"There is no consultation {identity[:40]!r}. Expected the `id` of a receipt of oracle_batch."
            )
        append(path, compact({"id": identity, "right": is_right}))
    except OSError as error:
        raise SettingsError(f"The record can't be written below {folder}: {why(error)}.") from error


@dataclass(slots=True)
class Track:
    """One member's record over all panels."""

    consultations: int = 0
    settled: int = 0
    right: int = 0
    """Voted for a decision that proved right, or against one that proved wrong."""


def tracks(folder: Path) -> dict[str, Track]:
    """Return every member's record, the one with most consultations first."""
    found: dict[str, Track] = {}
    for path in sorted(folder.glob("*.jsonl")):
        lines = list(_lines(path))
        became = {one["id"]: one["right"] for one in lines if "right" in one}  # the last word counts
        for one in (one for one in lines if "votes" in one):
            for member, verdict in one["votes"].items():
                track = found.setdefault(member, Track())
                track.consultations += 1
                if one["id"] in became:
                    track.settled += 1
                    track.right += (verdict == one["decision"]) is became[one["id"]]
    return dict(sorted(found.items(), key=lambda item: -item[1].consultations))


def _path(folder: Path, panel: str) -> Path:
    return own_folder(folder) / f"{panel}.jsonl"


def _lines(path: Path, most: int = MAX_BYTES) -> Iterator[Mapping[str, Json]]:
    """Yield the newest lines; what is damaged, or was not written by `keep` and `settle`, is left out."""
    if not path.is_file():
        return
    with path.open("rb") as file:
        file.seek(max(0, path.stat().st_size - most))
        read = file.read(most).split(b"\n")
    yield from filter(None, map(_line, read))


@lru_cache(maxsize=4 * NEWEST)
def _line(text: bytes) -> Mapping[str, Json] | None:
    """Read a line; lines are only added, so that a panel's next consultation reads one new one."""
    try:
        one = json.loads(text)
    except (ValueError, RecursionError):
        return None
    if not isinstance(one, dict) or not isinstance(one.get("id"), str):
        return None
    votes = one.get("votes")
    is_votes = isinstance(votes, dict) and all(isinstance(given, str) for given in votes.values())
    return (
        one
        if isinstance(one.get("right"), bool) or (is_votes and isinstance(one.get("decision"), str))
        else None
    )
