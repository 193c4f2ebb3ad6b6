"""Settings that point a backend at a fake provider."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from fakes.upstream import Upstream
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Job, Prompt

KEY = "sk-or-v1-0123456789abcdef-very-secret"


@pytest.fixture
def pointing_at(tmp_path: Path) -> Callable[[Upstream], Settings]:
    def settings(upstream: Upstream) -> Settings:
        return Settings(
            root=tmp_path,
            config_dir=tmp_path / "config",
            base_url=upstream.url,
            api_key=KEY,
            model="maker/first",
        )

    return settings


@pytest.fixture
def job() -> Job:
    return Job("judge", Prompt("You judge.", "Is it right?"))
