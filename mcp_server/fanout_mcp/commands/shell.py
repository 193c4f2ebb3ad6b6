"""What the commands that call a tool share: services, a live line per message, and the two forms of output.

    def add_arguments(parser):
        parser.add_argument("question")
        add_output(parser)

    def run(args):
        return run_tool(TOOL, {"question": args.question}, args, show)

Results go to stdout, everything live to stderr, so `fanout ... --json | jq` stays clean.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, TypeVar

from pydantic import BaseModel

from fanout_mcp import ledger, settings
from fanout_mcp.arguments import parse
from fanout_mcp.clean import clean, printable
from fanout_mcp.opening import open_services
from fanout_mcp.services import Tool, ToolResult
from fanout_mcp.status import NO_VERDICT, OK
from fanout_mcp.types import Json, Progress, no_progress

if TYPE_CHECKING:
    from rich.console import Console

A = TypeVar("A", bound=BaseModel)
T = TypeVar("T")

Show = Callable[["Console", Json], None]
"""Prints a tool's data for a person."""


class Ended(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: everything is closed as for Ctrl-C, the exit status says which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as compact JSON, nothing else")


def run_tool(
    tool: Tool[A], arguments: Mapping[str, Json], args: argparse.Namespace, show: Show | None = None
) -> int:
    """Call a tool, print its result and return the exit status: 0, or 3 when it has no verdict."""
    result = call_tool(tool, arguments, quiet=args.json)
    emit(result, args, show)
    return NO_VERDICT if result.is_error else OK


def call_tool(tool: Tool[A], arguments: Mapping[str, Json], *, quiet: bool = False) -> ToolResult:
    """Call a tool with services of its own and a live line per message on stderr, none when `quiet`."""
    given = {name: value for name, value in arguments.items() if value is not None}
    parsed = parse(tool.arguments, given)

    async def call() -> ToolResult:
        async with open_services(settings.read()) as services:
            with live(tool.title, quiet=quiet) as progress:
                result = await tool.call(services, parsed, progress)
            ledger.note(services.settings.state, tool.name, result.data)
            return result

    return run_async(call)


def run_async(main: Callable[[], Coroutine[object, object, T]]) -> T:
    """Run until done; Ctrl-C, SIGTERM and SIGHUP cancel, which closes every stream upstream first."""
    ended: list[int] = []

    async def guarded() -> T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()

        def end(number: int) -> None:
            ended.append(number)
            if task is not None:
                task.cancel()

        for number in (signal.SIGTERM, signal.SIGHUP):
            loop.add_signal_handler(number, end, number)
        return await main()

    try:
        return asyncio.run(guarded())
    except asyncio.CancelledError:
        if ended:
            raise Ended(ended[0]) from None
        raise


def emit(result: ToolResult, args: argparse.Namespace, show: Show | None = None) -> None:
    """Print the result: compact JSON with --json, else by `show`, else as indented JSON."""
    data = clean(result.data)
    if args.json:
        sys.stdout.write(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")
        return
    from rich.console import Console

    console = Console(highlight=False)
    if show is None:
        console.print_json(data=data)
    else:
        show(console, data)


@contextmanager
def live(title: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Yield a progress that shows each message once: above a bar on a terminal, else as plain lines."""
    if quiet:
        yield no_progress
    elif sys.stderr.isatty():
        with _bar(title) as progress:
            yield progress
    else:
        yield _plain


def _plain(done: int, total: int | None, message: str) -> None:
    of = f"{done}/{total}" if total else str(done)
    sys.stderr.write(f"{of} {printable(message)}\n")
    sys.stderr.flush()


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.console import Console
    from rich.markup import escape
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar

    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
    )
    with Bar(*columns, console=Console(stderr=True), transient=True) as bar:
        task = bar.add_task(escape(title), total=None)

        def progress(done: int, total: int | None, message: str) -> None:
            bar.update(task, completed=done, total=total)
            if message:
                bar.console.print(f"  [dim]{done}[/]  {escape(printable(message))}")

        yield progress
