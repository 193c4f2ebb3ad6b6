"""Which backend answers: decided from the settings alone, said with its reason, opened by the edge.

Rules of `auto`, in this order:
1. `http` when there is a base URL (an OpenRouter key stands for OpenRouter's).
2. `claude` when the user agreed to it once, it is on PATH, and we are not already below one of its calls.
3. `plan`.
A backend asked for by name is that one or an error: never another one that spends something else.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Final, Literal

from fanout_mcp.backends.base import Backend
from fanout_mcp.errors import SettingsError
from fanout_mcp.settings import Settings

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


def choose(settings: Settings, env_path: str | None = None) -> Choice:
    """Choose without opening anything. Raises SettingsError when the backend asked for can't be had."""
    http = [] if settings.base_url else [NO_ENDPOINT]
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
        return Choice("http", f"there is an endpoint: {settings.base_url}")
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


@asynccontextmanager
async def open_backend(settings: Settings) -> AsyncIterator[Backend]:
    """Yield the chosen backend, closed in the end. Raises SettingsError as `choose` does."""
    choice = choose(settings)
    if choice.name == "plan":
        from fanout_mcp.backends.plan import PlanBackend

        yield PlanBackend(choice.why[:1].upper() + choice.why[1:] + ".")
    elif choice.name == "claude":
        from fanout_mcp.backends.claude_cli import open_claude

        async with open_claude(settings) as claude:
            yield claude
    else:
        from fanout_mcp.backends.openai_http import open_http  # httpx2 is imported with it

        async with open_http(settings) as http:
            yield http
