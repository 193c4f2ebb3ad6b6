"""Lenses: where each agent of a swarm looks, so that many agents on one task don't say the same.

The built-in ones are data (lenses.toml), in four kinds. A caller may name a kind or give lenses of its own.
"""

from __future__ import annotations

import re
import tomllib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Final

from fanout_mcp.errors import InvalidInput
from fanout_mcp.types import Json

FALLBACK: Final = "approaches"
MOST_CHARS: Final = 300
"""Of a lens that the caller gives: a direction to look in, not a second task."""


@dataclass(frozen=True, slots=True)
class Lens:
    """`name` is its identity within a swarm."""

    name: str
    look: str


@dataclass(frozen=True, slots=True)
class Chosen:
    """The lenses of one swarm, and what its agents are to name."""

    kind: str
    ask: str
    lenses: Sequence[Lens]


@dataclass(frozen=True, slots=True)
class Kind:
    ask: str
    words: frozenset[str]
    lenses: Sequence[Lens]


@cache
def kinds() -> Mapping[str, Kind]:
    table = _table()["kinds"]
    return {
        name: Kind(
            entry["ask"],
            frozenset(entry["words"]),
            [Lens(lens, look) for lens, look in entry["lenses"].items()],
        )
        for name, entry in table.items()
    }


@cache
def viewpoints() -> Sequence[str]:
    found: list[str] = _table()["viewpoints"]
    return found


def choose(task: str, count: int, given: Sequence[str] | None) -> Chosen:
    """Return `count` different lenses; `given` are kinds by name, or lenses. Raises InvalidInput."""
    names = [name.strip() for name in given or ()]
    kind = next((name for name in names if name in kinds()), _kind_of(task))
    lenses: list[Lens] = []
    for name in names or [kind]:
        lenses += kinds()[name].lenses if name in kinds() else [_own(name)]
    lenses = list({lens.name: lens for lens in lenses}.values())
    most = len(lenses) * (1 + len(viewpoints()))
    if count > most:
        raise InvalidInput(
            f"{len(lenses)} lenses make at most {most} different agents, not {count}; give more lenses, "
            f"or a kind: {', '.join(kinds())}."
        )
    ask = kinds()[kind].ask if not names or any(name in kinds() for name in names) else ""
    return Chosen(kind if ask else "given", ask, [_nth(lenses, place) for place in range(count)])


def _nth(lenses: Sequence[Lens], place: int) -> Lens:
    """Return each lens once as it is, then with one viewpoint after the other."""
    turn, lens = place // len(lenses), lenses[place % len(lenses)]
    if not turn:
        return lens
    return Lens(f"{lens.name} {turn + 1}", f"{lens.look}; {viewpoints()[turn - 1]}")


def _own(text: str) -> Lens:
    if not text or len(text) > MOST_CHARS:
        raise InvalidInput(
            f"A lens has 1 to {MOST_CHARS} characters; long instructions belong into the task."
        )
    name, separator, look = text.partition(":")
    return Lens(name.strip(), look.strip()) if separator and look.strip() else Lens(text, text)


def _kind_of(task: str) -> str:
    """Return the kind that most words of the task speak for, the first of equals."""
    words = re.findall(r"[a-z]+", task.lower())
    hits = {name: sum(word in kind.words for word in words) for name, kind in kinds().items()}
    best = max(hits, key=lambda name: hits[name])
    return best if hits[best] else FALLBACK


def _table() -> Json:
    return tomllib.loads(Path(__file__).with_name("lenses.toml").read_text(encoding="utf-8"))
