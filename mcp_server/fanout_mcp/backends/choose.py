"""Which backend answers: decided from the settings alone, said with its reason, opened by the edge.

Rules of `auto`, in this order:
1. `http` when there is a base URL (an OpenRouter key stands for OpenRouter's), or a provider that the user
   enabled and that has its key (providers.py).
2. `claude` when the user agreed to it once, it is on PATH, and we are not already below one of its calls.
3. `plan`.
A backend asked for by name is that one or an error: never another one that spends something else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator, Mapping
from contextlib import AsyncExitStack, asynccontextmanager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import TYPE_CHECKING, Final, Literal

from fanout_mcp.backends.base import Backend
from fanout_mcp.backends.providers import OPENROUTER, Providers, Row, read
from fanout_mcp.errors import SettingsError
from fanout_mcp.settings import OPENROUTER_URL, Settings

if TYPE_CHECKING:
    from fanout_mcp.backends.openai_http import Endpoint

NO_ENDPOINT: Final = "no OPENROUTER_API_KEY and no FANOUT_BASE_URL"
NO_CLAUDE: Final = "`claude` is not on PATH"
IS_CHILD: Final = "this process runs below a `claude` call of fanout itself"
NOT_AGREED: Final = (
    "nobody agreed yet that `claude` may spend your subscription (`fanout install --claude-backend`)"
)


@dataclass(frozen=True, slots=True)
class Choice:
    """The backend, why it is that one, and what stands in the way of the others (for `fanout doctor`)."""

    name: Literal["http", "claude", "plan"]
    why: str
    missing: tuple[str, ...] = ()


def choose(settings: Settings, env_path: str | None = None, env: Mapping[str, str] | None = None) -> Choice:
    """Choose without opening anything. Raises SettingsError when the backend asked for can't be had."""
    rows = _enabled(settings, env)
    http = [] if settings.base_url or rows else [NO_ENDPOINT]
    claude = _missing_for_claude(settings, env_path)
    asked = settings.backend
    if asked == "http" and http:
        raise SettingsError(
            f"{_said(settings)}, but there is no endpoint: set OPENROUTER_API_KEY, or FANOUT_BASE_URL "
            f"for a local server, or say {_said(settings, 'auto')}."
        )
    if asked == "claude" and claude:
        raise SettingsError(
            f"{_said(settings)}, but {claude[0]}. Say {_said(settings, 'auto')}, or http or plan there."
        )
    if asked != "auto":
        return Choice(asked, f"{_said(settings)} asks for it")
    if not http:
        first = f"there is an endpoint: {settings.base_url}" if settings.base_url else ""
        return Choice("http", first or f"you enabled {', '.join(row.title for row in rows)}")
    agreed = settings.claude_agreed
    missing = (*http, *claude, *(() if agreed else (NOT_AGREED,)))
    if agreed and not claude:
        return Choice("claude", "you agreed to it, and `claude` is on PATH", tuple(http))
    return Choice("plan", "no model can be used: " + "; ".join(missing), missing)


def _said(settings: Settings, name: str | None = None) -> str:
    """How the user asks for a backend, the one asked for unless named, where they asked for it."""
    name = name or settings.backend
    return (
        f"FANOUT_BACKEND={name}"
        if settings.backend_from == "FANOUT_BACKEND"
        else f'backend = "{name}" in config.toml'
    )


def _missing_for_claude(settings: Settings, env_path: str | None) -> list[str]:
    path = os.environ.get("PATH", "") if env_path is None else env_path
    found = shutil.which("claude", path=path)
    return [*([IS_CHILD] if settings.is_child else []), *([] if found else [NO_CLAUDE])]


def providers_of(settings: Settings, env: Mapping[str, str] | None = None) -> Providers:
    """Return all providers. Raises SettingsError for a row of the user's that is wrong."""
    rows = read(settings.config_dir)
    for name in settings.enabled:
        if name not in rows:
            near = get_close_matches(name, rows, 1, 0.5)
            hint = f"did you mean {near[0]}?" if near else f"there are {', '.join(rows)}."
            raise SettingsError(f"config.toml: enabled names {name!r}, which is not a provider; {hint}")
    return Providers(rows, settings, os.environ if env is None else env)


def _enabled(settings: Settings, env: Mapping[str, str] | None) -> list[Row]:
    """Return the enabled providers that are reached over HTTP and have what they need."""
    if not settings.enabled:
        return []
    found = providers_of(settings, env)
    return [row for row in found.usable.values() if row.name in settings.enabled and not row.client]


def endpoint_for(row: Row, key: str | None) -> Endpoint:
    """Return where a row is reached."""
    from fanout_mcp.backends.openai_http import Endpoint  # httpx2 is imported with it

    return Endpoint(
        row.base_url,
        key,
        row.key_header,
        row.path,
        row.query,
        frozenset(row.lacks),
        row.effort,
        next(iter(row.models_for("default")), None),
    )


@asynccontextmanager
async def open_backend(settings: Settings, env: Mapping[str, str] | None = None) -> AsyncIterator[Backend]:
    """Yield the chosen backend, with every provider that the user agreed to; all closed in the end.

    Raises SettingsError as `choose` does.
    """
    choice = choose(settings, env=env)
    if choice.name == "plan":
        from fanout_mcp.backends.plan import PlanBackend

        yield PlanBackend(choice.why[:1].upper() + choice.why[1:] + ".")
        return
    from fanout_mcp.backends.mixed import MixedBackend

    found = providers_of(settings, env)
    async with AsyncExitStack() as stack:

        async def opened(row: Row) -> Backend:
            if row.client:
                from fanout_mcp.backends.claude_cli import open_claude

                return await stack.enter_async_context(open_claude(settings, env))
            from fanout_mcp.backends.openai_http import open_http

            return await stack.enter_async_context(open_http(settings, endpoint_for(row, key_of(row))))

        def key_of(row: Row) -> str | None:
            return found.key(row) or (settings.api_key if row.base_url == settings.base_url else None)

        row = _primary(choice, settings, found)
        if row is not None:
            primary = await opened(row)
        else:
            from fanout_mcp.backends.openai_http import open_http

            primary = await stack.enter_async_context(open_http(settings))
        yield MixedBackend(settings, found, primary, row, opened)


def _primary(choice: Choice, settings: Settings, found: Providers) -> Row | None:
    """Return the row that names without a provider go to, None for a plain endpoint."""
    if choice.name == "claude":
        return found.rows["claude"]
    if settings.base_url is None:
        return _enabled(settings, found.env)[0]
    row = found.rows[OPENROUTER]
    return row if settings.base_url == OPENROUTER_URL else None
