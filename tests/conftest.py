"""Set up for every test: no key, no network settings, an empty home; asynchronous tests run with anyio."""

from __future__ import annotations

import inspect
import os
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

settings.register_profile("loaded", settings(deadline=None, suppress_health_check=[HealthCheck.too_slow]))
settings.load_profile("loaded")  # a machine that does other work, too, is slow and not wrong

CLIENTS = ("FANOUT_CLIENT", "FANOUT_OLDER_CLIENT")
SECRETS_AND_SETTINGS = ("FANOUT_", "OPENROUTER_", "ANTHROPIC_", "OPENAI_", "CLAUDE")


@pytest.fixture(autouse=True)
def a_clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Clear every key first: no test may spend real money or read a developer's settings."""
    for name in os.environ:
        if name.startswith(SECRETS_AND_SETTINGS) and name not in CLIENTS:
            monkeypatch.delenv(name)
    home: Path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Run asynchronous tests with anyio, as the server does."""
    for item in items:
        if isinstance(item, pytest.Function) and inspect.iscoroutinefunction(item.function):
            item.add_marker(pytest.mark.anyio)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run asynchronous tests on both: asyncio is production, trio has the clock that jumps."""
    name: str = request.param
    return name
