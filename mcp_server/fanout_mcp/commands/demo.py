"""`fanout demo`: the real server, asked over stdio by a real MCP client, on this folder."""

from __future__ import annotations

import argparse
import json
import os
import sys
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from time import monotonic
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group, RenderableType
from rich.panel import Panel
from rich.progress import BarColumn, Progress, SpinnerColumn, TextColumn
from rich.rule import Rule
from rich.text import Text

from fanout_mcp.commands import explore, panels, review
from fanout_mcp.commands.display import Screen, breaks
from fanout_mcp.commands.flags import NO_VERDICT, OK
from fanout_mcp.commands.shell import UNBROKEN, run_async
from fanout_mcp.text import printable
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from mcp import Client


# --- What the demo puts on the screen: each call as Claude would send it, its progress, and its answer. -----

MAX_LINES: Final = 14
WIDEST: Final = 120


def _hooks(console: Console, data: Json) -> None:
    for row in [*data["events"], *data["hooks"]]:
        name = str(row.get("event") or row.get("name"))
        console.print(Text(f"{row['median_ms']:8.1f} ms  {row['count']:6} times  {name}"))
    console.print(Text(data.get("hint") or f"{data['saved_ms']:.0f} ms saved. {data.get('page') or ''}"))


SHOWS: Final[Mapping[str, Callable[[Console, Json], None]]] = {
    "oracle_batch": panels.show,
    "council": panels.show_council,
    "agent_swarm": panels.show_swarm,
    "hook_report": _hooks,
    "explore_modules": explore.show,
    "summarize_files": explore.show_files,
    "batch_review": review.show,
}
"""How the shell commands show the same answers; others are shown as the JSON they are."""

OnProgress = Callable[[float, float | None, str], None]


class Stage:
    def __init__(self, console: Console | None = None, *, is_live: bool = False) -> None:
        self.console = console or Screen(highlight=False)
        self.console.width = min(self.console.width, WIDEST)
        self.is_live = is_live
        self._took = 0.0

    def opens(self, version: str, names: list[str]) -> None:
        money = (
            "LIVE=1: your own backend is asked, and may cost money."
            if self.is_live
            else "No key, no network, no model: FANOUT_BACKEND=plan is set for this demo, and nothing is "
            "spent. LIVE=1 asks your own backend."
        )
        head = Text.assemble(("fanout", "bold"), f" {version}  ", (", ".join(names), "cyan"))
        self.console.print(Panel(Group(head, Text(money, style="dim")), border_style="cyan"))

    @contextmanager
    def calling(self, name: str, arguments: Mapping[str, Json]) -> Iterator[OnProgress]:
        """Show the call, and its progress while it runs."""
        self.console.print()
        given = ", ".join(f"{key}={json.dumps(value)}" for key, value in arguments.items())
        self.console.print(Text.assemble(("▶ ", "cyan"), (name, "bold cyan"), f"({given})"))
        began = monotonic()
        columns = (
            SpinnerColumn(),
            BarColumn(bar_width=20),
            TextColumn("{task.fields[of]}"),
            TextColumn("[dim]{task.fields[message]}"),
        )
        with Progress(*columns, console=self.console, transient=True) as bar:
            task = bar.add_task("", total=None, of="", message="")

            def on_progress(done: float, total: float | None, message: str) -> None:
                of = f"{done:.0f}/{total:.0f}" if total else ""
                said = Text(printable(message)).plain.replace("[", r"\[")[: self.console.width - 40]
                bar.update(task, completed=done, total=total, of=of, message=said)

            yield on_progress
        self._took = monotonic() - began

    def answers(self, name: str, data: Json, text: str, *, is_error: bool) -> None:
        body = Text(text) if is_error or not isinstance(data, dict) else self._lines(name, data)
        colour = "red" if is_error else "green"
        title = Text(f"{name} answered in {self._took:.1f} s", style=colour)
        self.console.print(Panel(body, title=title, title_align="left", border_style="dim"))

    def passes_over(self, name: str, description: str) -> None:
        self.console.print()
        self.console.print(Text.assemble(("· ", "dim"), (name, "bold"), (f"  {description}", "dim")))

    def closes(self) -> None:
        self.console.print(Rule(style="dim"))
        self.console.print("In every project of yours: [bold]fanout install[/]")

    def _lines(self, name: str, data: Json) -> RenderableType:
        width = self.console.width - 4
        lines = _drawn(name, data, width)
        shown = [Text.from_ansi(line, no_wrap=True, overflow="ellipsis") for line in lines[:MAX_LINES]]
        if len(lines) > MAX_LINES:
            # What it took: whole, however many lines it is broken into here.
            last = Text.from_ansi(_drawn(name, data, UNBROKEN)[-1])
            more = len(lines) - MAX_LINES - len(breaks(last.plain, width)) - 1
            shown += [*([Text(f"… {more} more lines", style="dim")] if more > 0 else []), last]
        return Group(*shown)


def _drawn(name: str, data: Json, width: int) -> list[str]:
    console = Screen(width=width, color_system="standard", force_terminal=True)
    with console.capture() as captured:
        SHOWS.get(name, _as_json)(console, data)
    return captured.get().rstrip("\n").split("\n")


def _as_json(console: Console, data: Json) -> None:
    console.print_json(data=data)


# --- With which arguments the demo calls each tool. ---------------------------------------------------------

QUESTION: Final = "Should this project cut its first public release now, or is something essential missing?"
TASK: Final = "Find what would surprise a new contributor to this project."

ARGUMENTS: Final[Mapping[str, dict[str, Json]]] = {
    "oracle_batch": {"question": QUESTION},
    "council": {"question": QUESTION, "rounds": 2},
    "explore_modules": {"focus": "architecture"},
    "summarize_files": {"paths": ["."]},
    "batch_review": {"patterns": ["**/*"], "focus": "security"},
    "agent_swarm": {"task": TASK, "count": 6},
    "hook_report": {},
}


def arguments_for(name: str, schema: Mapping[str, Json]) -> dict[str, Json] | None:
    """Return the arguments; None for a tool that is new here and can't be called without any."""
    if name in ARGUMENTS:
        return dict(ARGUMENTS[name])
    return None if schema.get("required") else {}


# --- demo ------------------------------------------------------------------------------------------

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
        arguments = arguments_for(tool.name, tool.input_schema)
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
