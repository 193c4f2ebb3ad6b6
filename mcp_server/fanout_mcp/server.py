"""The MCP server `fanout`: what the client is told, and what becomes of one call.

One call: name -> arguments checked -> tool (imported at its first call) under the guard, its progress fed
to the client -> result cleaned, bounded and sent. Built on the SDK's low-level Server: its high-level one
would check arguments by its own rules (unknown ones dropped, "1" taken for 1) and announce prompts and
resources that don't exist.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from difflib import get_close_matches
from typing import Any, Final

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

from fanout_mcp import catalog, ledger
from fanout_mcp.arguments import parse
from fanout_mcp.clean import clean_text
from fanout_mcp.errors import InvalidInput
from fanout_mcp.feed import feeding
from fanout_mcp.guard import guarded
from fanout_mcp.results import wire
from fanout_mcp.services import Tool, ToolResult
from fanout_mcp.shared import Seams, Shared, sharing
from fanout_mcp.types import Json

NAME: Final = "fanout"

HOOKS_TOOL: Final = "run_hooks"
"""Not listed: hooks of type mcp_tool call it, no model does."""

CACHE: Final = CacheHint(ttl_ms=600_000, scope="public")
"""The list never changes while the server runs."""

Context = ServerRequestContext[Shared, Any]


def build(seams: Seams | None = None) -> Server[Shared]:
    """Return the server. Tests hand in seams: settings, services and tools of their own."""
    told = catalog.snapshot()

    @asynccontextmanager
    async def lifespan(_: Server[Shared]) -> AsyncIterator[Shared]:
        async with sharing(seams or Seams()) as shared:
            yield shared

    return Server(
        NAME,
        version=told["version"],
        title="fanout",
        instructions=told["instructions"],
        lifespan=lifespan,
        cache_hints={"server/discover": CACHE, "tools/list": CACHE},
        on_list_tools=_list_tools,
        on_call_tool=_call_tool,
    )


async def _list_tools(ctx: Context, _: PaginatedRequestParams | None) -> ListToolsResult:
    ctx.lifespan_context.connected.set()
    return ListToolsResult(tools=[ToolEntry.model_validate(tool) for tool in catalog.snapshot()["tools"]])


async def _call_tool(ctx: Context, params: CallToolRequestParams) -> CallToolResult:
    shared, arguments = ctx.lifespan_context, params.arguments or {}
    shared.connected.set()  # a client that started us again has its list of tools already
    if params.name == HOOKS_TOOL:
        return await _run_hooks(shared, arguments)

    async def call() -> ToolResult:
        tool = _tool(shared, params.name)
        parsed = parse(tool.arguments, arguments)
        async with shared.calls:
            services = await shared.services()
            async with feeding(ctx.session.report_progress) as progress:
                return await guarded(tool.name, lambda: tool.call(services, parsed, progress))

    result = await guarded(clean_text(params.name)[:60], call)
    ledger.note(shared.records, params.name, result.data)
    return wire(params.name, result, shared.state)


def _tool(shared: Shared, name: str) -> Tool[Any]:
    known = shared.seams.names()
    if name in known:
        return shared.seams.load(name)
    near = get_close_matches(name[:100], known, n=1)
    hint = f"did you mean `{near[0]}`?" if near else f"there are {', '.join(known)}."
    raise InvalidInput(f"There is no tool of that name; {hint}")


async def _run_hooks(shared: Shared, arguments: Mapping[str, Json]) -> CallToolResult:
    """Answer a hook event. Whatever goes wrong with the bridge, the event goes on without an opinion."""

    async def call() -> ToolResult:
        return ToolResult(await (await shared.bridge()).handle(dict(arguments)))

    result = await guarded(HOOKS_TOOL, call)
    text = result.data if isinstance(result.data, str) else ""
    return CallToolResult(content=[TextContent(type="text", text=clean_text(text, keep_nul=False))])
