"""Open what all calls of a process share, and close it in order. Only the edge does this."""

from __future__ import annotations

import gc
import importlib
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack, asynccontextmanager
from typing import TYPE_CHECKING

import anyio.to_thread

from fanout_mcp.source.workers import Workers
from fanout_mcp.state.settings import Settings
from fanout_mcp.tools.services import Services

if TYPE_CHECKING:
    from fanout_mcp.scale.shared import Shared


@asynccontextmanager
async def open_services(settings: Settings, shared: Shared | None = None) -> AsyncIterator[Services]:
    """Yield the services for these settings. Raises SettingsError when the chosen backend can't be had.

    `shared`: what is open already of what processes share; else it is opened where a Redis is set.
    """
    # In a thread: it brings the HTTP client along, and hook events pass through this loop.
    await anyio.to_thread.run_sync(importlib.import_module, "fanout_mcp.backends.choose")
    from fanout_mcp.backends.choose import open_backend
    from fanout_mcp.backends.clients import processes_at_once
    from fanout_mcp.backends.providers import CLIENTS
    from fanout_mcp.engine.limits import Limits

    async with AsyncExitStack() as stack:
        if shared is None and settings.redis_url:
            from fanout_mcp.scale.shared import open_shared

            shared = await stack.enter_async_context(open_shared(settings))
        workers = await stack.enter_async_context(Workers())
        backend = await stack.enter_async_context(open_backend(settings))
        caps = dict.fromkeys(CLIENTS, processes_at_once)
        # All that is imported by now stays: a full collection would look through it, which stops the loop for
        # tens of milliseconds in the middle of a call.
        gc.freeze()
        meter = shared.meter if shared else None
        limits = Limits(settings.max_parallel, caps, backend.route, shared=meter)
        if shared is None:
            yield Services(settings, backend, limits, workers)
            return
        from fanout_mcp.scale.queue import Queue

        queue = Queue(settings, backend.provider, shared.link)
        stack.push_async_callback(queue.close)
        yield Services(settings, backend, limits, workers, queue.call, shared.open_cache, shared.dollars)
