"""The client as fixtures. Without it these tests are skipped, and say how to get it."""

from __future__ import annotations

from pathlib import Path

import pytest

from e2e.client import Client, find_client, find_older_client, has_terminal


@pytest.fixture
def client(tmp_path: Path) -> Client:
    """A fresh home and an empty project."""
    program = find_client()
    if program is None:
        pytest.skip("Claude Code is not installed; `make e2e` installs it")
    return Client.make(program, tmp_path)


@pytest.fixture(params=["newest", "older"])
def either_client(request: pytest.FixtureRequest, tmp_path: Path) -> Client:
    """The newest client and the one before it, each in a fresh home: what hooks mean must hold in both."""
    program = find_client() if request.param == "newest" else find_older_client()
    if program is None:
        pytest.skip("Claude Code is not installed; `make e2e` installs it")
    return Client.make(program, tmp_path)


@pytest.fixture
def tmux() -> None:
    """Skip where there is no terminal to look at."""
    if not has_terminal():
        pytest.skip("tmux is not installed; it shows what a user would see")
