"""Set up for every test: no key, no network settings, an empty home; asynchronous tests run with anyio."""

from __future__ import annotations

import gc
import os
from collections.abc import Generator, Iterator
from contextlib import nullcontext
from pathlib import Path

import pytest
from hypothesis import HealthCheck, settings

from fanout_mcp.edge import opening
from fanout_mcp.source.workers import Workers

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


@pytest.fixture(scope="session", autouse=True)
def a_disk_that_is_not_waited_for() -> Iterator[None]:
    """Skip `fsync`: no test cuts the power. What is synced when is seen by a fake in its place."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(os, "fsync", lambda _: None)
        yield


@pytest.hookimpl(wrapper=True, optionalhook=True)
def pytest_xdist_auto_num_workers() -> Generator[None, int, int]:
    """Use one process more than there are cores: many tests wait for processes of their own."""
    return (yield) + 1


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    """Make thousands of tests without a search for circles among them, and leave them out of later ones."""
    gc.disable()
    try:
        return (yield)
    finally:
        gc.freeze()
        gc.enable()


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if metafunc.definition.get_closest_marker("both_loops") and "anyio_backend" in metafunc.fixturenames:
        metafunc.parametrize("anyio_backend", ["asyncio", "trio"])


@pytest.fixture(scope="session")
def anyio_backend() -> str:
    """Run asynchronous tests on the loop of production."""
    return "asyncio"


@pytest.fixture(scope="session", autouse=True)
def workers() -> Iterator[Workers]:
    """Share one worker process among all tests and the commands that they run in their own process.

    To start one takes longer than most tests.
    """
    pool = Workers(1)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(opening, "Workers", lambda: nullcontext(pool))
        yield pool
    pool.close()
