"""A consultation before its first call: its arguments, and what is gathered for them."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Annotated, Final

import anyio
import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field

from fanout_mcp.backends.base import Backend
from fanout_mcp.backends.plan import agent_call
from fanout_mcp.backends.providers import thinking_tokens
from fanout_mcp.errors import InvalidInput
from fanout_mcp.panel import material, personas, prompts
from fanout_mcp.panel.consult import TOKENS_WITHOUT_PRICE, Terms
from fanout_mcp.panel.material import Material
from fanout_mcp.panel.members import Member, seat
from fanout_mcp.panel.vote import Ballot, Stakes, default_quorum
from fanout_mcp.settings import Settings
from fanout_mcp.source.scrub import in_thread
from fanout_mcp.source.workers import Workers
from fanout_mcp.types import Effort, Json, ModelPrice

MOST_CHARS = 60_000
"""Of a question: longer ones are files, and files can be attached."""


class PanelArguments(BaseModel):
    """What every tool that asks a panel takes."""

    model_config = ConfigDict(extra="forbid")

    question: Annotated[str, Field(min_length=1, description="All context: members see nothing else.")]
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
        list[str] | None, Field(description="provider:model: one for all, one per member, or persona=model.")
    ] = None
    files: Annotated[list[str] | None, Field(description="Project files to attach.")] = None
    stakes: Stakes = "production"
    quorum: Annotated[int | None, Field(ge=1)] = None
    deadline_s: Annotated[float, Field(gt=0, le=3600)] = 100
    max_cost_usd: Annotated[float, Field(gt=0)] = 1.0
    dry_run: Annotated[bool, Field(description="Only say who would be asked and the price.")] = False


EFFORT: Final[dict[Stakes, Effort]] = {"exploration": "low", "production": "medium", "critical": "high"}
"""How hard reasoning models think, by what is at stake."""


@dataclass(frozen=True, slots=True)
class Consultation:
    """All that a consultation needs before its first call."""

    question: str
    members: Sequence[Member]
    material: Material
    ballot: Ballot
    ignored: tuple[str, ...] = ()
    """What is wrong with the user's own personas and presets; nobody here needed them."""


async def gather(
    settings: Settings, backend: Backend, args: PanelArguments, workers: Workers | None = None
) -> Consultation:
    """Read personas and files. Raises InvalidInput for whatever is wrong with the arguments."""
    question = args.question.strip()
    if not question:
        raise InvalidInput("question is empty; ask something that a panel can judge.")
    if len(question) > MOST_CHARS:
        raise InvalidInput(
            f"question has {len(question):,} characters; at most {MOST_CHARS:,}. Put long text into a file "
            "of the project and attach it with files."
        )
    library = await anyio.to_thread.run_sync(personas.read, settings.config_dir)
    members = seat(library.choose(args.preset, args.personas), args.models, backend.seating())
    quorum = args.quorum or default_quorum(len(members))
    if quorum > len(members):
        raise InvalidInput(f"quorum is {quorum}, but the panel has {len(members)} members.")
    files = args.files or []
    attached = await in_thread(lambda stop: material.gather(settings.root, files, workers, stop))
    ballot = Ballot(len(members), quorum, args.stakes)
    return Consultation(question, members, attached, ballot, tuple(library.broken.values()))


async def terms_of(
    backend: Backend,
    models: Collection[str | None],
    args: PanelArguments,
    *,
    max_tokens: int = TOKENS_WITHOUT_PRICE,
) -> Terms:
    """Look up what the models cost, and who stands in for whom. Raises InvalidInput for a wrong name.

    Prices get a third of the time at most: without a price tokens are bounded.
    """
    fallbacks = {model: backend.route(model).fallbacks for model in models}
    asked = {*models, *(one for following in fallbacks.values() for one in following)}
    began = anyio.current_time()
    prices: dict[str | None, ModelPrice | None] = dict.fromkeys(asked)
    with anyio.move_on_after(args.deadline_s / 3):
        for model in asked:
            prices[model] = await backend.price(model)
    left_s = args.deadline_s - (anyio.current_time() - began)
    effort = EFFORT[args.stakes]
    thinking = {model: thinking_tokens(model, effort) for model in models}
    return Terms(
        backend.provider,
        left_s,
        args.max_cost_usd,
        prices,
        max_tokens,
        fallbacks,
        thinking,
        effort,
    )


def agent_calls(asked: Consultation) -> list[dict[str, Json]]:
    """Without a model: each member as an agent that the host runs itself."""
    return [
        agent_call(
            f"{member.persona.title} on the question",
            prompts.for_agent(member, asked.question, asked.material, asked.ballot.stakes),
        )
        for member in asked.members
    ]
