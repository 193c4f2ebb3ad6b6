"""The MCP server `fanout`: its answer to the handshake, its list of tools, and one tool call from end to end.

One call: name -> arguments checked -> tool (imported at its first call) under the guard, its progress fed
to the client -> result cleaned, bounded and sent. Built on the SDK's low-level Server: its high-level one
would check arguments by its own rules (unknown ones dropped, "1" taken for 1) and announce prompts and
resources that don't exist.
"""

from __future__ import annotations

import logging
import os
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, nullcontext
from dataclasses import dataclass, field
from typing import Any, Final, Protocol

import anyio
import anyio.to_thread
from mcp.server.caching import CacheHint
from mcp.server.context import ServerRequestContext
from mcp.server.lowlevel import Server
from mcp.types import (
    CallToolRequestParams,
    CallToolResult,
    ListToolsResult,
    PaginatedRequestParams,
    TextContent,
)
from mcp.types import Tool as ToolEntry

from fanout_hooks.crash import explain
from fanout_mcp.edge import catalog
from fanout_mcp.edge.catalog import parse
from fanout_mcp.edge.first import HOOKS_TOOL, TTL_MS
from fanout_mcp.edge.guard import feeding, guarded, wire
from fanout_mcp.edge.opening import open_services
from fanout_mcp.errors import FanoutError, InvalidInput, SettingsError
from fanout_mcp.reports import ledger
from fanout_mcp.state import audit, settings
from fanout_mcp.state.settings import Settings
from fanout_mcp.text import clean_text, hint
from fanout_mcp.tools.services import Services, Tool, ToolResult, verdict
from fanout_mcp.types import Json

# --- What all calls of one connection share, opened at the first call that needs it. ------------------------

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
    from fanout_mcp.edge.hook_bridge import HookBridge  # nothing of it may slow the handshake

    return HookBridge()


Context = ServerRequestContext["Shared", Any]


@dataclass(frozen=True, slots=True)
class Seams:
    """Where the server touches the world; production's are the defaults."""

    read_settings: Callable[[], Settings] = settings.read
    open: Callable[[Settings], AbstractAsyncContextManager[Services]] = open_services
    names: Callable[[], list[str]] = catalog.names
    load: Callable[[str], Tool[Any]] = catalog.load
    bridge: Callable[[], Bridge] = _bridge
    admitted: Callable[[Context, Services, Any, audit.Call], AbstractAsyncContextManager[Services]] = (
        lambda _, services, *__: nullcontext(services)
    )
    """(context, services, arguments, record) -> what the call works with; a service decides who may."""
    shown: Callable[[ToolResult], ToolResult] = lambda result: result
    """What of a result may be sent, refusals too."""


@dataclass(slots=True)
class Shared:
    """Services are opened and closed by one task (`keep_open`), whichever call asks for them first."""

    seams: Seams
    calls: anyio.CapacityLimiter = field(default_factory=lambda: anyio.CapacityLimiter(MAX_CALLS))
    connected: anyio.Event = field(default_factory=anyio.Event)
    """Set when the client asks for the tools, or calls one: the handshake is over."""
    tools: dict[str, Tool[Any]] = field(default_factory=dict)
    _hooks: Bridge | None = None
    _wanted: anyio.Event = field(default_factory=anyio.Event)
    _settled: anyio.Event = field(default_factory=anyio.Event)
    _services: Services | None = None
    _problem: FanoutError | None = None

    @property
    def settings(self) -> Settings | None:
        """The settings, once a call has opened the services."""
        return self._services.settings if self._services else None

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

    def bridge(self) -> Bridge:
        if self._hooks is None:
            self._hooks = self.seams.bridge()
        return self._hooks

    async def get_hooks_ready(self) -> None:
        await self.connected.wait()
        try:
            await self.bridge().get_ready()
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


# --- server ------------------------------------------------------------------------------------------

NAME: Final = "fanout"

CACHE: Final = CacheHint(ttl_ms=TTL_MS, scope="public")


def build(seams: Seams | None = None) -> Server[Shared]:
    """Return the server. Tests hand in seams: settings, services and tools of their own."""
    entries_shown = catalog.snapshot()
    return Server(
        NAME,
        version=entries_shown["version"],
        title="fanout",
        instructions=entries_shown["instructions"],
        lifespan=lambda _: sharing(seams or Seams()),
        cache_hints={"server/discover": CACHE, "tools/list": CACHE},
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
    )


async def _list_tools(ctx: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
    ctx.lifespan_context.connected.set()
    names = ctx.lifespan_context.seams.names()
    shown = [tool for tool in catalog.snapshot()["tools"] if tool["name"] in names]
    return ListToolsResult(tools=[ToolEntry.model_validate(tool) for tool in shown])


async def _call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
    shared, arguments = ctx.lifespan_context, params.arguments or {}
    shared.connected.set()  # a client that started us again has its list of tools already
    if params.name == HOOKS_TOOL:
        return await _run_hooks(shared, arguments)

    async def call() -> ToolResult:
        tool = await _tool(shared, params.name)
        parsed = parse(tool.arguments, arguments)
        async with shared.calls:
            opened = await shared.services()
            with audit.call(tool.name, getattr(parsed, "max_cost_usd", 0.0), opened.spent) as record:
                async with (
                    shared.seams.admitted(ctx, opened, parsed, record) as services,
                    feeding(ctx.session.report_progress) as progress,
                ):
                    result = await guarded(tool.name, lambda: tool.call(services, parsed, progress))
                    record.verdict = verdict(result)
                return result

    result = shared.seams.shown(await guarded(clean_text(params.name)[:60], call))
    had = shared.settings
    ledger.note(had.records if had else None, params.name, result.data)
    return wire(params.name, result, had.state if had else None)


async def _tool(shared: Shared, name: str) -> Tool[Any]:
    known = shared.seams.names()
    if name in known:
        if name not in shared.tools:  # in a thread: importing it takes up to half a second on a busy machine
            shared.tools[name] = await anyio.to_thread.run_sync(shared.seams.load, name)
        return shared.tools[name]
    raise InvalidInput(f"There is no tool of that name; {hint(name, known, '`{}`')}")


async def _run_hooks(shared: Shared, arguments: Mapping[str, Json]) -> CallToolResult:
    """Answer a hook event. Whatever goes wrong with the bridge, the event goes on without an opinion."""

    async def call() -> ToolResult:
        return ToolResult(await shared.bridge().handle(dict(arguments)))

    result = await guarded(HOOKS_TOOL, call)
    text = result.data if isinstance(result.data, str) else ""
    return CallToolResult(content=[TextContent(type="text", text=clean_text(text, keep_nul=False))])
