"""What the commands that call a tool share: services, how far they are, and the two forms of output.

An argument of the tool is the flag of its name; one that was not given is the tool's default.
Results go to stdout, everything live to stderr, so `fanout ... --json | jq` stays clean.
"""

from __future__ import annotations

import argparse
import asyncio
import io
import json
import signal
import sys
from collections.abc import Callable, Coroutine, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO, TypeVar

from pydantic import BaseModel

from fanout_hooks.printable import json_printable
from fanout_mcp.commands.flags import NO_VERDICT, OK
from fanout_mcp.edge.catalog import parse
from fanout_mcp.edge.opening import open_services
from fanout_mcp.reports import ledger
from fanout_mcp.state import audit, settings
from fanout_mcp.text import clean, flat
from fanout_mcp.tools.services import Tool, ToolResult, verdict
from fanout_mcp.types import Json, Progress, no_progress

if TYPE_CHECKING:
    from rich.console import Console


A = TypeVar("A", bound=BaseModel)
T = TypeVar("T")

UNBROKEN: Final = 100_000
"""Columns without a terminal: a broken path can't be followed, a broken line can't be searched."""

STEPS: Final = 20
"""Lines of progress for one call, about, in a log."""

Show = Callable[["Console", Json], None]
"""Prints a tool's data for a person."""


class Ended(KeyboardInterrupt):
    """SIGTERM or SIGHUP came: everything is closed as for Ctrl-C, the exit status says which."""

    def __init__(self, number: int) -> None:
        super().__init__()
        self.status = 128 + number


def add_output(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--json", action="store_true", help="print the result as compact JSON, nothing else")


def run_tool(tool: Tool[A], args: argparse.Namespace, show: Show, **other: Json) -> int:
    """Call a tool, print its result and return the exit status: 0, or 3 when it has no verdict."""
    result = call_tool(tool, args, quiet=args.json, **other)
    emit(result, args, show)
    return NO_VERDICT if result.is_error else OK


def call_tool(tool: Tool[A], args: argparse.Namespace, *, quiet: bool, **other: Json) -> ToolResult:
    """Open services, call a tool, close them; `other`: arguments whose flags have another name or meaning."""
    typed = {**vars(args), **other}
    given = {name: typed[name] for name in tool.arguments.model_fields if typed.get(name) is not None}
    parsed = parse(tool.arguments, given)

    async def call() -> ToolResult:
        async with open_services(settings.read()) as services:
            most_usd = getattr(parsed, "max_cost_usd", 0.0)
            with (
                audit.call(tool.name, most_usd, services.spent) as record,
                live(tool.title, quiet=quiet) as progress,
            ):
                result = await tool.call(services, parsed, progress)
                record.verdict = verdict(result)
            ledger.note(services.settings.records, tool.name, result.data)
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


def emit(result: ToolResult, args: argparse.Namespace, show: Show) -> None:
    """Print the result: compact JSON with --json, else by `show`."""
    data = clean(result.data)
    if args.json:
        put_json(data)
    else:
        put(lambda console: show(console, data))
        if "plan" in data:
            put(lambda console: console.print("The prompts are whole in the JSON (--json).", style="dim"))


def put_json(data: Json) -> None:
    """Print JSON on one line; what a terminal would obey is escaped in it, and so not lost."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    sys.stdout.write(json_printable(text) + "\n")


def put(draw: Callable[[Console], None]) -> None:
    """Print as wide as the terminal; into a file or a pipe no line is broken, and none padded."""
    from fanout_mcp.commands.display import Screen  # rich takes 0.1 s

    if sys.stdout.isatty():
        draw(Screen(highlight=False))
        return
    written = io.StringIO()
    draw(Screen(file=written, width=UNBROKEN, highlight=False))
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in written.getvalue().split("\n")[:-1])


def talking() -> Console:
    """Return a console for a command that asks while it prints; as `put`, it breaks no line in a pipe."""
    from fanout_mcp.commands.display import Screen

    return Screen(highlight=False, width=None if sys.stdout.isatty() else UNBROKEN)


@contextmanager
def live(title: str, *, quiet: bool = False) -> Iterator[Progress]:
    """Yield a progress: a bar that is erased at the end on a terminal, else at most some twenty lines."""
    if quiet:
        yield no_progress
    elif sys.stderr.isatty():
        with _bar(title) as progress:
            yield progress
    else:
        yield Lines(sys.stderr)


class Lines:
    """Progress without a terminal: a line for each twentieth, and the last one."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told: tuple[int | None, int, str] = (None, -1, "")

    def __call__(self, done: int, total: int | None, message: str) -> None:
        # A call may have two phases of the same length: the end of each has its own words.
        step = (total, done * STEPS // total if total else done, message if done == total else "")
        if step == self._told:
            return
        self._told = step
        of = f"{done}/{total}" if total else str(done)
        self._out.write(f"{of} {flat(message)}\n")
        self._out.flush()


@contextmanager
def _bar(title: str) -> Iterator[Progress]:
    from rich.progress import BarColumn, MofNCompleteColumn, SpinnerColumn, TextColumn, TimeElapsedColumn
    from rich.progress import Progress as Bar
    from rich.table import Column

    from fanout_mcp.commands.display import Screen

    message_column = TextColumn(
        "{task.fields[message]}", "dim", markup=False, table_column=Column(no_wrap=True, ratio=1)
    )
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        message_column,
    )
    with Bar(*columns, console=Screen(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task(title, total=None, message="")

        def progress(done: int, total: int | None, message: str) -> None:
            bar.update(task, completed=done, total=total, message=flat(message))

        yield progress
