"""What answers a prompt. The seam is one method, `ask`; everything else here describes the backend."""

from __future__ import annotations

from collections.abc import Callable
from typing import Protocol

from fanout_mcp.types import Answer, Job, ModelPrice, Route


class Backend(Protocol):
    """Opened and closed by the edge; used by many calls at once, so it keeps no call's state.

    What has a body here holds for a backend of one provider, without a list of prices.
    """

    @property
    def name(self) -> str:
        """`http`, `claude`, `plan` or `scripted`."""

    @property
    def has_model(self) -> bool:
        """False for `plan`: tools then answer without a model, or hand the host a plan."""

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
