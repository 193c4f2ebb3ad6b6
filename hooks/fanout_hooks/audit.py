"""What an audit says: one observation each, with its place, the time it costs, and what to do.

Found by audit_agents.py and audit_calls.py (transcripts), audit_slow.py (the log and transcripts) and
audit_races.py (the hooks that audit_hooks.py finds, as audit_source.py reads them).
"""

from __future__ import annotations

import json
from collections.abc import Iterable
from typing import Literal, NamedTuple

Kind = Literal["sequential agents", "sequential calls", "slow hook", "racing hooks"]


class Observation(NamedTuple):
    """One thing that could be faster or safer."""

    kind: Kind
    place: str
    """`file:line`."""
    what: str
    seconds: float
    """What it cost, or may cost; 0 when that can't be told."""
    measured: bool
    """False: estimated; `basis` says from what."""
    basis: str
    advice: str


def shorten(text: str, most: int = 70) -> str:
    one_line = " ".join(text.split())
    return one_line if len(one_line) <= most else one_line[: most - 1] + "…"


def to_json(observations: Iterable[Observation]) -> str:
    return json.dumps([found._asdict() for found in observations], ensure_ascii=False, indent=2)
