"""Open what all calls of a process share, and close it in order. Only the edge does this."""

from __future__ import annotations

import gc
import importlib
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import anyio.to_thread

from fanout_mcp.source.workers import Workers
from fanout_mcp.state.settings import Settings
from fanout_mcp.tools.services import Services


@asynccontextmanager
async def open_services(settings: Settings) -> AsyncIterator[Services]:
    """Yield the services for these settings. Raises SettingsError when the chosen backend can't be had."""
    # In a thread: it brings the HTTP client along, and hook events pass through this loop.
    await anyio.to_thread.run_sync(importlib.import_module, "fanout_mcp.backends.choose")
    from fanout_mcp.backends.choose import open_backend
    from fanout_mcp.backends.clients import processes_at_once
    from fanout_mcp.backends.providers import CLIENTS
    from fanout_mcp.engine.limits import Limits

    async with Workers() as workers, open_backend(settings) as backend:
        caps = dict.fromkeys(CLIENTS, processes_at_once)
        # All that is imported by now stays: a full collection would look through it, which stops the loop for
        # tens of milliseconds in the middle of a call.
        gc.freeze()
        yield Services(settings, backend, Limits(settings.max_parallel, caps, backend.route), workers)
