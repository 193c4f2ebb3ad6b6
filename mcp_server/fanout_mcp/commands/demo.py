"""`fanout demo`: the real server, asked over stdio by a real MCP client, on this folder."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Final

from fanout_mcp.commands.shell import run_async
from fanout_mcp.demo import calls
from fanout_mcp.demo.show import Stage
from fanout_mcp.status import NO_VERDICT, OK
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from mcp import Client

SPENDING: Final = ("FANOUT_", "OPENROUTER_", "ANTHROPIC_", "OPENAI_", "CLAUDE")
"""Variables that name a key, an endpoint or a backend."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.epilog = (
        "It asks no model and spends nothing. LIVE=1 in the environment uses your backend and key."
    )


def run(_: argparse.Namespace) -> int:
    is_live = os.environ.get("LIVE", "0") not in {"", "0"}
    stage = Stage(is_live=is_live)

    async def show() -> int:
        from mcp import Client, StdioServerParameters  # half a second
        from mcp.client.stdio import stdio_client

        command = ["-I", "-m", "fanout_mcp", "serve"]
        server = StdioServerParameters(
            command=sys.executable, args=command, env=environment(os.environ, is_live=is_live), cwd=Path.cwd()
        )
        async with Client(stdio_client(server)) as client:
            return await show_all(client, stage)

    return run_async(show)


async def show_all(client: Client, stage: Stage) -> int:
    """Call every tool that the server lists and that can be called without asking the user."""
    tools = (await client.list_tools()).tools
    stage.opens(client.server_info.version if client.server_info else "", [tool.name for tool in tools])
    failed = 0
    for tool in tools:
        arguments = calls.arguments_for(tool.name, tool.input_schema)
        if arguments is None:
            stage.passes_over(tool.name, tool.description or "")
        else:
            failed += await show_one(client, stage, tool.name, arguments)
    stage.closes()
    return NO_VERDICT if failed else OK


async def show_one(client: Client, stage: Stage, name: str, arguments: dict[str, Json]) -> bool:
    """Call one tool and return whether it failed."""
    with stage.calling(name, arguments) as on_progress:

        async def tell(progress: float, total: float | None, message: str | None) -> None:
            on_progress(progress, total, message or "")

        result = await client.call_tool(name, arguments, progress_callback=tell)
    text = "\n".join(block.text for block in result.content if block.type == "text")
    stage.answers(name, result.structured_content, text, is_error=bool(result.is_error))
    return bool(result.is_error)


def environment(env: Mapping[str, str], *, is_live: bool) -> dict[str, str]:
    """Without LIVE=1 nothing that could spend money reaches the server, the user's own files included."""
    if is_live:
        return dict(env)
    kept = {name: value for name, value in env.items() if not name.startswith(SPENDING)}
    return {**kept, "FANOUT_BACKEND": "plan"}
