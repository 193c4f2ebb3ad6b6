"""Several providers as one backend: a job goes where its model's name says, all else to the primary one.

A provider is opened at its first question and stays open as long as the backend, so that one that no panel
asks costs nothing.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace

import anyio

from fanout_mcp.backends.base import Backend, Route
from fanout_mcp.backends.providers import OPENROUTER, Providers, Row, maker_of, panel_of
from fanout_mcp.errors import Rejected
from fanout_mcp.settings import Settings
from fanout_mcp.types import Answer, Job, ModelPrice


@dataclass(slots=True)
class MixedBackend:
    """`primary` answers for every name without a provider; `row` is its row, None for a plain endpoint."""

    settings: Settings
    providers: Providers
    primary: Backend
    row: Row | None
    open: Callable[[Row], Awaitable[Backend]] = field(repr=False)
    has_model: bool = True
    _opened: dict[str, Backend] = field(default_factory=dict)
    _opening: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def name(self) -> str:
        return self.primary.name

    @property
    def provider(self) -> str:
        return self.primary.provider

    @property
    def max_parallel(self) -> int | None:
        return self.primary.max_parallel

    def default_model(self, purpose: str) -> str | None:
        if self.settings.model or self.row is None or self.row.client:
            return self.settings.model or self.primary.default_model(purpose)
        return next(iter(self._names(self.row, purpose)), self._bare(self.row))

    def seating(self) -> Callable[[str], str | None]:
        """Return the default model by persona for one panel: of as many makers as the user has."""
        if self.settings.model or self.settings.backend != "auto":
            return self.default_model
        return panel_of(self._candidates)

    def route(self, model: str | None) -> Route:
        """Say which provider's limits a model counts against, and who is asked in its place."""
        row, rest = self._split(model)
        if row is None:
            return Route(self.provider)
        return Route(row.host or row.name, tuple(self._named(row, one) for one in row.next_after(rest)))

    async def price(self, model: str | None) -> ModelPrice | None:
        backend, name = await self._backend_of(model)
        return await backend.price(name)

    async def ask(self, job: Job) -> Answer:
        backend, name = await self._backend_of(job.model)
        try:
            return await backend.ask(job if name == job.model else replace(job, model=name))
        except Rejected as error:
            meant = self.providers.rows.get((name or "").partition(":")[0])
            if meant is None or not (name or "").partition(":")[1]:
                raise
            hint = f"If {meant.title} was meant: {self.providers.missing(meant)}."
            raise type(error)(f"{str(error).rstrip('.')}. {hint}").billed(error.usage) from None

    # --- names -----------------------------------------------------------------------------------------

    def _split(self, model: str | None) -> tuple[Row | None, str]:
        row, rest = self.providers.split(model) if model else (None, "")
        return (row, rest) if row is not None else (self.row, model or "")

    def _named(self, row: Row, model: str) -> str:
        """Name a model of a row: without the provider where that is the primary one and needs none."""
        is_plain = row is self.row and (row.name == OPENROUTER or bool(row.client))
        return model if is_plain else f"{row.name}:{model}"

    def _names(self, row: Row, purpose: str) -> Iterator[str]:
        return (self._named(row, model) for model in row.models_for(purpose))

    def _bare(self, row: Row) -> str | None:
        """Name a row whose models only its server knows."""
        return None if row is self.row else row.name

    def _candidates(self, persona: str) -> list[tuple[str | None, str]]:
        found: list[tuple[str | None, str]] = []
        if self.row is None:
            own = self.primary.default_model(persona)
            found.append((own, maker_of(own) if own else self.provider))
        usable = self.providers.usable  # a key alone, as OpenRouter's, asks nobody beside the chosen endpoint
        enabled = [usable[name] for name in self.settings.enabled if name in usable]
        others = [row for row in enabled if row is not self.row]
        for row in ([self.row] if self.row else []) + others:
            model = next(iter(row.models_for(persona)), None)
            name = self._named(row, model) if model else self._bare(row)
            found.append((name, maker_of(model, row) if model else row.name))
        return found

    async def _backend_of(self, model: str | None) -> tuple[Backend, str | None]:
        row, rest = self.providers.split(model) if model else (None, "")
        if row is None or row is self.row:
            return self.primary, (rest if row is self.row and row is not None else model) or None
        async with self._opening:
            if row.name not in self._opened:
                self._opened[row.name] = await self.open(row)
        return self._opened[row.name], rest or None
