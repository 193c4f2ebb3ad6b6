"""What all calls of one connection share, opened at the first call that needs it."""

from __future__ import annotations

import importlib
import logging
import os
from collections.abc import AsyncIterator, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final, Protocol

import anyio

from fanout_hooks.crash import explain
from fanout_mcp import catalog, settings
from fanout_mcp.errors import FanoutError, SettingsError
from fanout_mcp.opening import open_services
from fanout_mcp.services import Services, Tool
from fanout_mcp.settings import Settings
from fanout_mcp.types import Json

log = logging.getLogger("fanout")

MAX_CALLS: Final = 64
"""Calls at work at once; more wait their turn. The engine bounds what goes upstream, this bounds memory."""

CLOSING_S: Final = 0.2
"""For the hooks' process to end; the client kills us 0.5 s after it asked."""


class Bridge(Protocol):
    """What passes hook events to the process that runs them (hook_bridge.py)."""

    async def handle(self, arguments: dict[str, Json]) -> str: ...
    async def get_ready(self) -> None: ...
    async def close(self) -> None: ...


def _bridge() -> Bridge:
    # By name: it starts a process beside the server, and nothing of it may slow the handshake.
    bridge: Bridge = importlib.import_module("fanout_mcp.hook_bridge").HookBridge()
    return bridge


@dataclass(frozen=True, slots=True)
class Seams:
    """Where the server touches the world; production's are the defaults."""

    read_settings: Callable[[], Settings] = settings.read
    open: Callable[[Settings], AbstractAsyncContextManager[Services]] = open_services
    names: Callable[[], list[str]] = catalog.names
    load: Callable[[str], Tool[Any]] = catalog.load
    bridge: Callable[[], Bridge] = _bridge


@dataclass(slots=True)
class Shared:
    """Services are opened and closed by one task (`keep_open`), whichever call asks for them first."""

    seams: Seams
    calls: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(MAX_CALLS))
    connected: anyio.Event = field(default_factory=anyio.Event)
    """Set when the client asks for the tools, or calls one: the handshake is over."""
    _hooks: Bridge | None = None
    _wanted: anyio.Event = field(default_factory=anyio.Event)
    _settled: anyio.Event = field(default_factory=anyio.Event)
    _services: Services | None = None
    _problem: FanoutError | None = None

    @property
    def state(self) -> Path | None:
        """The project's state folder, once a call has opened the services."""
        return self._services.settings.state if self._services else None

    @property
    def records(self) -> Path | None:
        """The user's folder for the project's receipts, once a call has opened the services."""
        return self._services.settings.records if self._services else None

    async def services(self) -> Services:
        """Return the services. Raises FanoutError when they can't be had; the next call tries again."""
        if self._services is None:
            settled = self._settled
            self._wanted.set()
            await settled.wait()
        if self._services is None:
            raise self._problem or FanoutError("The server is closing.")
        return self._services

    async def keep_open(self) -> None:
        while True:
            await self._wanted.wait()
            try:
                async with self.seams.open(self.seams.read_settings()) as self._services:
                    self._settled.set()
                    await anyio.sleep_forever()
            except FanoutError as problem:
                self._problem = problem
            except Exception as problem:  # the edge: a backend that can't be opened is an answer, not an end
                log.exception("the backend could not be opened")
                self._problem = SettingsError(explain("Opening the backend", problem, os.environ))
            finally:
                self._services = None
                settled, self._wanted, self._settled = self._settled, anyio.Event(), anyio.Event()
                settled.set()

    async def bridge(self) -> Bridge:
        if self._hooks is None:
            self._hooks = self.seams.bridge()
        return self._hooks

    async def get_hooks_ready(self) -> None:
        await self.connected.wait()
        try:
            await (await self.bridge()).get_ready()
        except Exception:  # the edge: the first event starts what could not be started now
            log.exception("the hooks' process could not be started")

    async def close(self) -> None:
        if self._hooks is not None:
            with anyio.CancelScope(shield=True), anyio.move_on_after(CLOSING_S):
                await self._hooks.close()


@asynccontextmanager
async def sharing(seams: Seams) -> AsyncIterator[Shared]:
    shared = Shared(seams)
    async with anyio.create_task_group() as tasks:
        tasks.start_soon(shared.keep_open)
        tasks.start_soon(shared.get_hooks_ready)
        try:
            yield shared
        finally:
            tasks.cancel_scope.cancel()
            await shared.close()
