"""No model at all: the host is handed ready Agent calls, which it sends in one message to run at once."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Final

from fanout_mcp.backends.base import Route
from fanout_mcp.errors import Rejected
from fanout_mcp.types import Answer, Job, Json, ModelPrice

AT_MOST: Final = 6
"""Agent calls in one message: more than the host runs well at once only wait, and fill its context."""


def agent_call(description: str, prompt: str, subagent_type: str = "general-purpose") -> dict[str, Json]:
    """Return the input of one call of the host's Agent tool."""
    return {"subagent_type": subagent_type, "description": description, "prompt": prompt}


def messages(calls: Sequence[dict[str, Json]], at_most: int = AT_MOST) -> list[list[dict[str, Json]]]:
    """Split calls into the messages they are to be sent in: as few as possible, of nearly the same size."""
    if at_most < 1:
        raise ValueError("at_most must be at least 1")
    count = -(-len(calls) // at_most)
    return [list(calls[len(calls) * n // count : len(calls) * (n + 1) // count]) for n in range(count)]


@dataclass(frozen=True, slots=True)
class PlanBackend:
    """Stands where a model would; `why` says why there is none and how to get one."""

    why: str = ""
    name: str = "plan"
    has_model: bool = False
    provider: str = "plan"
    max_parallel: int | None = None

    def default_model(self, purpose: str) -> str | None:  # noqa: ARG002 - the seam's signature
        return None

    def seating(self) -> Callable[[str], str | None]:
        return self.default_model

    def route(self, model: str | None) -> Route:  # noqa: ARG002 - the seam's signature
        return Route(self.provider)

    async def price(self, model: str | None) -> ModelPrice | None:  # noqa: ARG002 - the seam's signature
        return None

    async def ask(self, job: Job) -> Answer:
        raise Rejected(f"There is no model to answer {job.key!r}. {self.why}".rstrip())
