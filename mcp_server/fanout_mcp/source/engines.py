"""Which of the source tools' engines a call gets, and the agents that `plan` hands to the host."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final, Literal

from fanout_mcp.errors import InvalidInput
from fanout_mcp.types import ModelPrice

Engine = Literal["auto", "model", "static", "plan"]

ANSWER_TOKENS: Final = 500
"""A usual answer: what a price is told from; the limit of one is higher."""

FILES_PER_AGENT: Final = 5
"""Four to five files an agent: more, and its own context fills; fewer, and starting it costs more than it."""


def chosen(engine: Engine, *, has_model: bool) -> Literal["model", "static", "plan"]:
    """Resolve `auto`. Raises InvalidInput when a model is asked for and there is none."""
    if engine == "auto":
        return "model" if has_model else "static"
    if engine == "model" and not has_model:
        raise InvalidInput(
            "There is no model to ask: set OPENROUTER_API_KEY or FANOUT_BASE_URL, agree to the claude "
            'backend with `fanout install`, or use engine="static" or engine="plan".'
        )
    return engine


def priced(calls: int, tokens: int, price: ModelPrice | None) -> str:
    """Say what asking would take, before anything is asked."""
    if price is None:
        return f"{calls:,} model calls, about {tokens:,} tokens of source, price unknown"
    cost = (tokens * price.usd_per_mtok_in + calls * ANSWER_TOKENS * price.usd_per_mtok_out) / 1e6
    return f"{calls:,} model calls, about {tokens:,} tokens of source, about ${cost:,.2f}"


def portions(paths: Sequence[str]) -> list[list[str]]:
    """Split paths for agents: as few agents as five files each allow, nearly the same number for each."""
    count = -(-len(paths) // FILES_PER_AGENT)
    return [list(paths[len(paths) * n // count : len(paths) * (n + 1) // count]) for n in range(count)]
