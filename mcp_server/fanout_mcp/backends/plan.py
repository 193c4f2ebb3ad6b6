"""No model at all: the host is handed ready Agent calls, which it sends in one message to run at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final, Literal, TypeVar

from fanout_mcp.errors import InvalidInput, Rejected
from fanout_mcp.state import policy
from fanout_mcp.types import Answer, Backend, Job, Json, ModelPrice

T = TypeVar("T")
MAX: Final = 6
"""Agent calls in one message: more than the host runs well at once only wait, and fill its context."""


def agent_call(description: str, prompt: str, subagent_type: str = "general-purpose") -> dict[str, Json]:
    return {"subagent_type": subagent_type, "description": description, "prompt": prompt}


def messages(calls: Sequence[dict[str, Json]]) -> list[list[dict[str, Json]]]:
    return split(calls, MAX)


def split(items: Sequence[T], at_most: int) -> list[list[T]]:
    """Split items into as few parts as possible, of nearly the same size."""
    count = -(-len(items) // at_most)
    return [list(items[len(items) * n // count : len(items) * (n + 1) // count]) for n in range(count)]


@dataclass(frozen=True, slots=True)
class PlanBackend(Backend):
    """Stands where a model would; `why` says why there is none and how to get one."""

    why: str = ""
    name: str = "plan"
    has_model: bool = False
    provider: str = "plan"

    def default_model(self, purpose: str) -> str | None:  # noqa: ARG002 - the seam's signature
        return None

    async def ask(self, job: Job) -> Answer:
        raise Rejected(f"There is no model to answer {job.key!r}. {self.why}".rstrip())


# --- Which of the source tools' engines a call gets, and the agents that `plan` hands to the host. ----------

Engine = Literal["auto", "model", "static", "plan"]

ANSWER_TOKENS: Final = 500
"""A usual answer: what a price is estimated with; the limit is higher."""

FILES_PER_AGENT: Final = 5
"""Four to five files an agent: more, and its own context fills; fewer, and starting it costs more than it."""


def chosen(engine: Engine, backend: Backend) -> Literal["model", "static", "plan"]:
    """Resolve `auto`. Raises InvalidInput when a model is asked for and there is none, or none may be."""
    has_model = backend.has_model
    if has_model and not policy.current().sources_may_leave:
        if engine == "model":
            raise InvalidInput(f"The policy {policy.PLACE} lets no sources leave; {policy.ASK}.")
        has_model = False
    if engine == "auto":
        return "model" if has_model else "static"
    if engine == "model" and not has_model:
        raise InvalidInput(
            f'There is no model to ask. {backend.why} Change that, or use engine="static" or engine="plan".'
        )
    return engine


def priced(calls: int, tokens: int, price: ModelPrice | None) -> str:
    if price is None:
        return f"{calls:,} model calls, about {tokens:,} tokens of source, price unknown"
    cost = (tokens * price.usd_per_mtok_in + calls * ANSWER_TOKENS * price.usd_per_mtok_out) / 1e6
    return f"{calls:,} model calls, about {tokens:,} tokens of source, about ${cost:,.2f}"


def portions(paths: Sequence[str]) -> list[list[str]]:
    return split(paths, FILES_PER_AGENT)
