"""The values that pass between the parts, and the seams to models.

Everything here is frozen and knows no I/O. Seconds are monotonic, money is US dollars, and None where
a figure is unknown: an unknown price is never 0.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, NamedTuple, Protocol

from fanout_mcp.errors import BackendError
from fanout_mcp.usage import Usage

Json = Any
"""A JSON value: what json.loads returns."""

Status = Literal["answered", "cached", "failed", "cut"]
"""What became of a job. `cut`: stopped by us, not by an error."""

Cause = Literal["decided", "deadline", "budget"]
"""What cuts a job: the stop rule of its run, its time, or its money and tokens."""

Effort = Literal["low", "medium", "high"]


@dataclass(frozen=True, slots=True)
class Prompt:
    """One question to one model: who it is to be, and what it is asked."""

    system: str
    user: str
    sources: tuple[str, ...] = field(default=(), compare=False, repr=False)
    """SHA-256 of each file whose text is in it."""

    @property
    def tokens(self) -> int:
        """Its tokens, rather too many than too few: code has three bytes a token."""
        return len((self.system + self.user).encode("utf-8", "replace")) // 3


@dataclass(frozen=True, slots=True)
class Job:
    """One question to one backend. `key` is its identity within a run; never its position."""

    key: str
    prompt: Prompt
    model: str | None = None
    """None: the backend's default model."""
    schema: Mapping[str, Json] | None = None
    """JSON schema of the wanted answer; backends that can, enforce it."""
    max_tokens: int = 1500
    fallbacks: tuple[str, ...] | None = None
    """Models to ask in its place, in this order, where this one is retired, refused, or busy for too long.
    None: those that its provider's row names."""
    elsewhere: tuple[str, ...] = ()
    """Models of other providers, asked where the key or the credit of this one is at fault."""
    effort: Effort | None = None
    """How hard a reasoning model should think; only where the provider takes it."""
    on_request: Callable[[Usage], None] | None = field(default=None, compare=False, repr=False)
    """Called before every request upstream, also one that a provider's quirk makes necessary, with what the
    requests before it in the same call were billed."""
    workspace: Path | None = None
    """A folder that an agent may read (Read, Grep, Glob) to answer; None: no tools at all."""


@dataclass(frozen=True, slots=True)
class Answer:
    """A model's answer. `model` is the one that answered, as the provider names it."""

    text: str
    model: str
    usage: Usage = field(default_factory=Usage)
    data: Json = None
    """The structured answer, where the backend enforced the job's schema itself."""
    truncated: bool = False
    """The model stopped at its token limit."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of one job. A failure is a value: it never cancels its neighbours."""

    job: Job
    status: Status
    answer: Answer | None = None
    error: BackendError | None = None
    reason: str = ""
    """One sentence on why it failed or was cut; empty when it was answered."""
    cause: Cause | None = None
    """Why it was cut, for code to decide by; None where it was not."""
    calls: int = 0
    """Calls started upstream for this job: first tries, retries and hedges."""
    usage: Usage = field(default_factory=Usage)
    """Everything the job consumed, tries that failed or were cut included."""
    passed: tuple[str, ...] = ()
    """Why each model before the one that answered, or failed last, was given up."""

    @property
    def key(self) -> str:
        return self.job.key

    @property
    def is_answered(self) -> bool:
        return self.answer is not None


@dataclass(frozen=True, slots=True)
class ModelPrice:
    """Dollars per million tokens. Source: the provider's /models, else the user's table."""

    usd_per_mtok_in: float
    usd_per_mtok_out: float

    def of(self, tokens_in: int, tokens_out: int) -> float:
        return (tokens_in * self.usd_per_mtok_in + tokens_out * self.usd_per_mtok_out) / 1e6


class Rate(NamedTuple):
    """What a provider allows for one of its models; 0 where no limit is known."""

    requests_per_second: float = 0.0
    tokens_per_minute: float = 0.0
    """Of prompts and answers together."""


class Route(NamedTuple):
    """Where a model's questions go."""

    provider: str
    """What limits are counted by, together with the model."""
    fallbacks: tuple[str, ...] = ()
    """Models of the same provider to ask in its place, in this order."""
    elsewhere: tuple[str, ...] = ()
    """Models of other providers that the user agreed to, where this one's key or credit is at fault."""
    rate: Rate = Rate()
    """What the provider's row allows for each of its models."""


class Ask(Protocol):
    """The seam to a model: one method. Raises errors.BackendError; cancelling it closes the stream."""

    async def __call__(self, job: Job, /) -> Answer: ...


class Backend(Protocol):
    """What answers a prompt. Its seam is one method, `ask`; everything else here describes it.

    Opened and closed by the edge; used by many calls at once, so it keeps no call's state.

    What has a body here holds for a backend of one provider, without a list of prices.
    """

    @property
    def name(self) -> str:
        """`http`, `claude`, `plan` or `scripted`."""

    @property
    def has_model(self) -> bool:
        """False for `plan`: tools then answer without a model, or hand the host a plan."""
        return True

    @property
    def why(self) -> str:
        """Why there is no model, as a sentence; "" where there is one."""
        return ""

    @property
    def provider(self) -> str:
        """The host of the base URL, or the backend's name: the provider of models whose name says none."""

    def default_model(self, purpose: str) -> str | None:
        """Return the model for a persona, or for `summary`, `review`, `explore`, `swarm`, `synthesis`."""

    def seating(self) -> Callable[[str], str | None]:
        """Return the default model by persona for the members of one panel, asked in their order."""
        return self.default_model

    def route(self, model: str | None) -> Route:  # noqa: ARG002 - one provider has all models
        """Say where a model's questions go. Raises InvalidInput for a provider that may not be used."""
        return Route(self.provider)

    async def price(self, model: str | None) -> ModelPrice | None:  # noqa: ARG002 - as above
        """Return the price of a model, None when unknown; cached; a network failure is None, not an error."""
        return None

    async def ask(self, job: Job) -> Answer:
        """Answer one job. Raises errors.BackendError. Cancelling closes the upstream stream at once."""


class Progress(Protocol):
    """Called by the workers, never awaited: the edge coalesces. `done` strictly grows; total may be None."""

    def __call__(self, done: int, total: int | None, message: str) -> None: ...


def no_progress(done: int, total: int | None, message: str) -> None:
    """For callers that show none."""
