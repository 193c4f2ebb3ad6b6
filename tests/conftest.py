"""What every test gets: no key, no way to the network, a configuration folder of its own."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

CLIENTS = ("FANOUT_CLIENT", "FANOUT_OLDER_CLIENT")
SECRETS_AND_SETTINGS = ("FANOUT_", "OPENROUTER_", "ANTHROPIC_", "OPENAI_", "CLAUDE")


@pytest.fixture(autouse=True)
def a_clean_environment(monkeypatch: pytest.MonkeyPatch, tmp_path_factory: pytest.TempPathFactory) -> None:
    """Clear every key first: no test may spend anybody's money or read anybody's settings."""
    for name in os.environ:
        if name.startswith(SECRETS_AND_SETTINGS) and name not in CLIENTS:
            monkeypatch.delenv(name)
    home: Path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("XDG_CONFIG_HOME", str(home / ".config"))
    for name in ("XDG_CACHE_HOME", "XDG_STATE_HOME"):
        monkeypatch.delenv(name, raising=False)


@pytest.fixture(params=["asyncio", "trio"])
def anyio_backend(request: pytest.FixtureRequest) -> str:
    """Run asynchronous tests on both: asyncio is production, trio has the clock that jumps."""
    name: str = request.param
    return name
