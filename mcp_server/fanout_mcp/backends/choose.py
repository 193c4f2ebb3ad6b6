"""Which backend answers: decided from the settings alone, said with its reason, opened by the edge.

Rules of `auto`, in this order:
1. `http` when there is a base URL (an OpenRouter key stands for OpenRouter's), or a provider that the user
   enabled and that has its key (providers.py).
2. `claude`, or another command-line client, when the user agreed to it once, it is on PATH, and we are not
   already below one of their calls.
3. `plan`.
A backend asked for by name is that one or an error: never another one that spends something else.
"""

from __future__ import annotations

import os
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Final

import anyio

from fanout_mcp.backends.providers import (
    CLIENTS,
    OPENROUTER,
    Providers,
    Row,
    barred_client,
    barred_host,
    maker_of,
    panel_of,
    read,
)
from fanout_mcp.errors import Rejected, SettingsError
from fanout_mcp.state import audit
from fanout_mcp.state.folder import find_program
from fanout_mcp.state.settings import OPENROUTER_URL, Settings
from fanout_mcp.text import hint
from fanout_mcp.types import Answer, Backend, Job, ModelPrice, Rate, Route

NO_ENDPOINT: Final = "no OPENROUTER_API_KEY and no FANOUT_BASE_URL"
NO_CLAUDE: Final = "`claude` is not on PATH"
IS_CHILD: Final = "this process runs below a `claude` call of fanout itself"
NOT_AGREED: Final = "`claude` may not spend your subscription yet (`fanout install --claude-backend`)"


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend, why it is that one, and what stands in the way of the others (for `fanout doctor`)."""

    name: str
    """`http`, `claude`, `codex`, `gemini` or `plan`."""
    why: str
    missing: tuple[str, ...] = ()


def choose(settings: Settings, env: Mapping[str, str] | None = None) -> Choice:
    """Choose without opening anything. Raises SettingsError when the backend asked for can't be had."""
    own = os.environ if env is None else env
    enabled = _enabled(providers_of(settings, own)) if settings.enabled else []
    rows = [row for row in enabled if not row.client]
    barred = barred_host(settings.base_url or "")
    settings = _governed(settings)
    http = [] if settings.base_url or rows else [barred or NO_ENDPOINT]
    claude = _missing_for_claude(settings, own.get("PATH", ""))
    asked = settings.backend
    if asked == "http" and http and barred:
        raise SettingsError(f"{_setting(settings)}, but {barred}.")
    if asked == "http" and http:
        raise SettingsError(
            f"{_setting(settings)}, but there is no endpoint: set OPENROUTER_API_KEY, or FANOUT_BASE_URL "
            f"for a local server, or say {_setting(settings, 'auto')}."
        )
    if asked == "claude" and claude:
        raise SettingsError(
            f"{_setting(settings)}, but {claude[0]}. Say {_setting(settings, 'auto')}, or http or plan there."
        )
    if asked != "auto":
        return Choice(asked, f"{_setting(settings)} asks for it")
    if not http:
        first = f"there is an endpoint: {settings.base_url}" if settings.base_url else ""
        return Choice("http", first or f"you enabled {', '.join(row.title for row in rows)}")
    agreed = settings.claude_agreed or "claude" in settings.enabled
    missing = (*http, *claude, *(() if agreed else (NOT_AGREED,)))
    if agreed and not claude:
        return Choice("claude", "you agreed to it, and `claude` is on PATH", tuple(http))
    client = next((row.name for row in enabled if row.name in {"codex", "gemini"}), None)
    if client is not None:
        return Choice(client, f"you enabled {client}, and it is on PATH", missing)
    return Choice("plan", "no model can be used: " + "; ".join(missing), missing)


def _setting(settings: Settings, name: str | None = None) -> str:
    """How the user asks for a backend, the one asked for unless named, where they asked for it."""
    name = name or settings.backend
    is_variable = settings.backend_from == "FANOUT_BACKEND"
    return f"FANOUT_BACKEND={name}" if is_variable else f'backend = "{name}" in config.toml'


def _missing_for_claude(settings: Settings, path: str) -> list[str]:
    found = find_program("claude", settings.project, path)
    if barred := barred_client("claude", found):
        return [barred]
    return [*([IS_CHILD] if settings.is_child else []), *([] if found else [NO_CLAUDE])]


def _governed(settings: Settings) -> Settings:
    """Return the settings without an endpoint that the policy forbids."""
    barred = barred_host(settings.base_url or "")
    return replace(settings, base_url=None, api_key=None) if barred else settings


def providers_of(settings: Settings, env: Mapping[str, str] | None = None) -> Providers:
    """Return all providers. Raises SettingsError for a row of the user's that is wrong."""
    rows = read(settings.config_dir)
    for name in settings.enabled:
        if name not in rows:
            wrong = f"config.toml: enabled names {name!r}, which is not a provider"
            raise SettingsError(f"{wrong}; {hint(name, rows)}")
    return Providers(rows, settings, os.environ if env is None else env)


def _enabled(found: Providers) -> list[Row]:
    """Return the enabled providers that have what they need, in the order in which they were enabled."""
    return [row for row in found.usable.values() if row.name in found.settings.enabled]


@asynccontextmanager
async def open_backend(settings: Settings, env: Mapping[str, str] | None = None) -> AsyncIterator[Backend]:
    """Yield the chosen backend, with every provider that the user agreed to. Raises SettingsError."""
    choice = choose(settings, env)
    if choice.name == "plan":
        from fanout_mcp.backends.plan import PlanBackend

        yield PlanBackend(choice.why[:1].upper() + choice.why[1:] + ".")
        return

    settings = _governed(settings)
    found = providers_of(settings, env)
    async with AsyncExitStack() as stack:

        async def opened(row: Row | None) -> Backend:
            if row is not None and row.client:
                from fanout_mcp.backends.clients import open_client

                return await stack.enter_async_context(open_client(row.client, settings, env))
            from fanout_mcp.backends.http import open_http

            key = found.key(row) if row else None
            key = key or (settings.api_key if row and row.base_url == settings.base_url else None)
            return await stack.enter_async_context(open_http(settings, row, key))

        row = _primary(choice, settings, found)
        yield MixedBackend(settings, found, await opened(row), row, opened)


def _primary(choice: Choice, settings: Settings, found: Providers) -> Row | None:
    """Return the row that names without a provider go to, None for a plain endpoint."""
    if choice.name in CLIENTS:
        return found.rows[choice.name]
    if settings.base_url is None:
        return next(row for row in _enabled(found) if not row.client)
    row = found.rows[OPENROUTER]
    return row if settings.base_url == OPENROUTER_URL else None


# --- mixed --------------------------------------------------------------------------------------------------
# Several providers as one backend: a job goes where its model's name says, all else to the primary one.
# A provider is opened at its first question and stays open as long as the backend, so that one that no panel
# asks costs nothing.


@dataclass(slots=True)
class MixedBackend:
    """`primary` answers for every name without a provider; `row` is its row, None for a plain endpoint."""

    settings: Settings
    providers: Providers
    primary: Backend
    row: Row | None
    open: Callable[[Row], Awaitable[Backend]] = field(repr=False)
    has_model: bool = True
    why: str = ""
    _opened: dict[str, Backend] = field(default_factory=dict)
    _opening: anyio.Lock = field(default_factory=anyio.Lock)

    @property
    def name(self) -> str:
        return self.primary.name

    @property
    def provider(self) -> str:
        return self.primary.provider

    def default_model(self, purpose: str) -> str | None:
        if self.settings.model or self.row is None or self.row.client:
            return self.settings.model or self.primary.default_model(purpose)
        return self._default(self.row, purpose)

    def seating(self) -> Callable[[str], str | None]:
        """Return the default model by persona for one panel: of as many makers as the user has."""
        if self.settings.model or self.settings.backend != "auto":
            return self.default_model
        return panel_of(self._candidates)

    def route(self, model: str | None) -> Route:
        """Say which provider's limits a model counts against, and who is asked in its place."""
        row, rest = self.providers.split(model) if model else (None, "")
        if row is None:
            row, rest = self.row, model or ""
        elsewhere = tuple(one.first for one in self._agreed() if one is not row)
        if row is None:
            return Route(self.provider, (), elsewhere, self.providers.rates.get(self.provider, Rate()))
        following = tuple(self._named(row, one) for one in row.next_after(rest))
        return Route(row.host or row.name, following, elsewhere, row.rate)

    async def price(self, model: str | None) -> ModelPrice | None:
        backend, name = await self._backend_of(model)
        return await backend.price(name)

    async def ask(self, job: Job) -> Answer:
        backend, name = await self._backend_of(job.model)
        try:
            async with audit.asking(job, partial(backend.price, name), backend.provider) as answered:
                answer = await backend.ask(job if name == job.model else replace(job, model=name))
                answered(answer)
                return answer
        except Rejected as error:
            meant = self.providers.rows.get((name or "").partition(":")[0])
            if meant is None or not (name or "").partition(":")[1]:
                raise
            hint = f"If {meant.title} was meant: {self.providers.missing(meant)}."
            error.args = (f"{str(error).rstrip('.')}. {hint}",)
            raise

    # --- names -----------------------------------------------------------------------------------------

    def _named(self, row: Row, model: str) -> str:
        """Name a model of a row: without the provider where that is the primary one and needs none."""
        is_plain = row is self.row and (row.name == OPENROUTER or bool(row.client))
        return model if is_plain else f"{row.name}:{model}"

    def _default(self, row: Row, purpose: str) -> str | None:
        """Name a row's first model for a purpose; where only its server knows models, the row alone."""
        model = next(iter(row.models_for(purpose)), None)
        return self._named(row, model) if model else None if row is self.row else row.name

    def _candidates(self, persona: str) -> list[tuple[str | None, str]]:
        found: list[tuple[str | None, str]] = []
        if self.row is None:
            own = self.primary.default_model(persona)
            found.append((own, maker_of(own) if own else self.provider))
        others = [row for row in self._agreed() if row is not self.row]
        for row in ([self.row] if self.row else []) + others:
            maker = next((maker_of(model, row) for model in row.models_for(persona)), row.name)
            found.append((self._default(row, persona), maker))
        return found

    def _agreed(self) -> list[Row]:
        """Return the providers that may be asked unnamed: a key alone, as OpenRouter's, is no agreement."""
        usable = self.providers.usable
        return [usable[name] for name in self.settings.enabled if name in usable]

    async def _backend_of(self, model: str | None) -> tuple[Backend, str | None]:
        row, rest = self.providers.split(model) if model else (None, "")
        if row is None or row is self.row:
            return self.primary, (rest if row is self.row and row is not None else model) or None
        async with self._opening:
            if row.name not in self._opened:
                self._opened[row.name] = await self.open(row)
        return self._opened[row.name], rest or None
