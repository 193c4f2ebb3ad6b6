"""What the commands that call a tool share: services, how far they are, and the two forms of output.

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
import io
import json
import re
import signal
import sys
from collections.abc import Callable, Coroutine, Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import TYPE_CHECKING, Final, TextIO, TypeVar

from pydantic import BaseModel
from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

from fanout_hooks.printable import json_printable, printable
from fanout_mcp.edge.catalog import parse
from fanout_mcp.edge.server import open_services
from fanout_mcp.engine.budget import cost
from fanout_mcp.reports import ledger
from fanout_mcp.state import settings
from fanout_mcp.text import clean, counted, flat
from fanout_mcp.tools.services import Tool, ToolResult
from fanout_mcp.types import Json, Progress, no_progress

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text


# --- Exit statuses of the shell commands. -------------------------------------------------------------------

OK: Final = 0
FINDINGS: Final = 1
"""Findings or a regression at or above what the caller said should fail."""
USAGE: Final = 2
NO_VERDICT: Final = 3
INTERRUPTED: Final = 128 + signal.SIGINT
"""What a shell reports for a program ended by Ctrl-C."""


# --- shell ------------------------------------------------------------------------------------------

A = TypeVar("A", bound=BaseModel)
T = TypeVar("T")

UNBROKEN: Final = 100_000
"""Columns of what is no terminal: a broken path can't be followed, a broken line can't be searched."""

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


def run_tool(
    tool: Tool[A], arguments: Mapping[str, Json], args: argparse.Namespace, show: Show | None = None
) -> int:
    """Call a tool, print its result and return the exit status: 0, or 3 when it has no verdict."""
    result = call_tool(tool, arguments, quiet=args.json)
    emit(result, args, show)
    return NO_VERDICT if result.is_error else OK


def call_tool(tool: Tool[A], arguments: Mapping[str, Json], *, quiet: bool = False) -> ToolResult:
    """Call a tool with services of its own; how far it is goes to stderr, nowhere when `quiet`."""
    given = {name: value for name, value in arguments.items() if value is not None}
    parsed = parse(tool.arguments, given)

    async def call() -> ToolResult:
        async with open_services(settings.read()) as services:
            with live(tool.title, quiet=quiet) as progress:
                result = await tool.call(services, parsed, progress)
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


def emit(result: ToolResult, args: argparse.Namespace, show: Show | None = None) -> None:
    """Print the result: compact JSON with --json, else by `show`, else as indented JSON."""
    data = clean(result.data)
    if args.json:
        put_json(data)
    else:
        put(lambda console: show(console, data) if show else console.print_json(data=data))
        if "plan" in data:
            put(lambda console: console.print("The prompts are whole in the JSON (--json).", style="dim"))


def put_json(data: Json) -> None:
    """Print JSON on one line; what a terminal would obey is escaped in it, and so not lost."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"))
    sys.stdout.write(json_printable(text) + "\n")


def put(draw: Callable[[Console], None]) -> None:
    """Print as wide as the terminal; into a file or a pipe no line is broken, and none padded."""
    if sys.stdout.isatty():
        draw(Screen(highlight=False))
        return
    written = io.StringIO()
    draw(Screen(file=written, width=UNBROKEN, highlight=False))
    sys.stdout.writelines(f"{line.rstrip()}\n" for line in written.getvalue().split("\n")[:-1])


def talking() -> Console:
    """Return a console for a command that asks while it prints; as `put`, it breaks no line in a pipe."""
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
    """Progress where nobody watches: a line each time another twentieth is through, and the last one."""

    def __init__(self, out: TextIO) -> None:
        self._out = out
        self._told: tuple[int | None, int, str] = (None, -1, "")

    def __call__(self, done: int, total: int | None, message: str) -> None:
        # A call may have two phases of the same length: the end of each has words of its own.
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

    said = TextColumn("{task.fields[said]}", "dim", markup=False, table_column=Column(no_wrap=True, ratio=1))
    columns = (
        SpinnerColumn(),
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=20),
        MofNCompleteColumn(),
        TimeElapsedColumn(),
        said,
    )
    with Bar(*columns, console=Screen(stderr=True), transient=True, expand=True) as bar:
        task = bar.add_task(title, total=None, said="")

        def progress(done: int, total: int | None, message: str) -> None:
            bar.update(task, completed=done, total=total, said=flat(message))

        yield progress


# --- What a shell's user types: words for a tool's arguments, and its errors in those words. ----------------
# The tools name their arguments as the model knows them (`max_cost_usd`, engine="static"); here the same
# sentences name the flags.

MAX_BYTES: Final = 1 << 20
"""Of a question from stdin: far more than a tool takes, which then says how much that is."""


def names(text: str) -> list[str]:
    """Read names that are separated by commas; for `type=`."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("it names nothing; give one or more, separated by commas")
    return found


def words(text: str) -> str:
    """Read a question or a task; `-` is what stdin holds. For `type=`."""
    if text != "-":
        return text
    return sys.stdin.buffer.read(MAX_BYTES).decode("utf-8", "replace")


def add_max_cost(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-cost", type=float, dest="max_cost_usd", metavar="USD", help="refuse to cost more (default 1)"
    )


def in_flags(sentence: str, parser: argparse.ArgumentParser) -> str:
    """Return the sentence with every argument named as it is typed."""
    for dest, typed in _typed(parser).items():
        sentence = re.sub(rf"`{dest}`", typed, sentence)
        if typed.startswith("-"):
            sentence = re.sub(rf'\b{dest}="?([\w.-]+(?:,\d{{3}})*)"?', rf"{typed} \1", sentence)
        if "_" in dest:
            sentence = re.sub(rf"\b{dest}\b", typed, sentence)
    return sentence


def _typed(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Each argument's name -> its longest flag; what has no flag goes by its place's name in the usage."""
    return {
        action.dest: max(action.option_strings, key=len)
        if action.option_strings
        else str(action.metavar or action.dest.upper())
        for action in parser._actions  # noqa: SLF001 - argparse has no other list of them
    }


# --- paragraphs ---------------------------------------------------------------------------------------------
# Text for people: broken between words and never inside one, so that a path can be clicked and copied.

NARROWEST: Final = 20
WORD: Final = re.compile(r"\s{0,99}\S+\s{0,99}")
"""With the white space around it: only the first has some before it."""
AFTER_A_CITATION: Final = re.compile(r"(?<=\]\.) +(?=\S)")


def paragraph(console: Console, text: Text | str, style: str = "", indent: int = 0, hanging: int = 0) -> None:
    """Print one paragraph `indent` columns in, all lines but its first `hanging` columns more.

    A word that is longer than the terminal is wide stays whole: terminals join what they broke themselves.
    """
    from rich.text import Text

    whole = text.copy() if isinstance(text, Text) else Text(text, style)
    whole.expand_tabs(4)
    width = max(console.width - indent - hanging, NARROWEST)
    number = 0
    for own in whole.split("\n"):
        for line in own.divide(breaks(own.plain, width)):  # rich itself breaks long words, or cuts them
            line.rstrip()
            console.print(Text(" " * (indent + hanging * bool(number))) + line, soft_wrap=True)
            number += 1


def breaks(line: str, width: int) -> list[int]:
    """Return where to break a line so that each part fits, as far as its words do."""
    from rich.cells import cell_len

    found, used = [], 0
    for word in WORD.finditer(line):
        size = cell_len(word[0])
        if word.start() and used + cell_len(word[0].rstrip()) > width:
            found.append(word.start())
            used = 0
        used += size
    return found


def claims(report: str) -> list[str]:
    """Return a report's claims, each with the citation that it ends with."""
    return AFTER_A_CITATION.split(report)


# --- How the commands say what a call took: money, tokens, and the files that were left out and why. --------

MAX_NAMED: Final = 3
"""Files of one reason that are named; the others are counted."""


def at_most(expected: Mapping[str, Json]) -> str:
    tokens = f"{expected['tokens_in']:,} tokens in and {expected['tokens_out']:,} out"
    return f"{counted(expected['calls'], 'call')}, {tokens}, cost {cost(expected)}"


def tokens(receipt: Mapping[str, Json], of: str = "") -> str:
    """What an answer has of its sources' tokens: a saving, or none for a handful of short files."""
    raw, returned = receipt["tokens_raw"], receipt["tokens_returned"]
    if returned < raw and "saving_percent" in receipt:
        return f", {raw:,} tokens{of} as {returned:,} (saves {receipt['saving_percent']} %)"
    return f", {raw:,} tokens{of}, {returned:,} in the answer" if raw else ""


def took(receipt: Mapping[str, Json], *, is_page: bool = False) -> str:
    """The last line of a source tool: files, tokens, calls, time. A page's tokens are of what it shows."""
    of = " of those shown" if is_page else ""
    read = f"{counted(receipt['read'], 'file')} read{tokens(receipt, of)}"
    calls = counted(receipt["calls"], "call") + (f", cost {cost(receipt)}" if receipt["calls"] else "")
    return f"{read}, {calls}, {receipt['elapsed_s']} s"


def lines(what: str, by_reason: Mapping[str, Json], noun: str = "file") -> Iterator[str]:
    """A line for each reason of a receipt: how many files, and the first of them by name."""
    for reason, found in by_reason.items():
        named = [flat(path) for path in found["paths"][:MAX_NAMED]]
        more = found["count"] - len(named)
        names = [*named, *([f"{more:,} more"] if named and more > 0 else [])]
        said = f"{what} {counted(found['count'], noun)}, {flat(reason).rstrip('.')}"
        yield f"{said}: {', '.join(names)}" if names else said


def sentences(*parts: str | None) -> str:
    """Several texts as one, each ended before the next begins."""
    said = [part.strip() for part in parts if part and part.strip()]
    return " ".join(part if part[-1] in ".!?:;…" else f"{part}." for part in said)


def show_receipt(console: Console, receipt: Mapping[str, Json], *, is_page: bool = False) -> None:
    """What was skipped and why, what failed and why, then what it took."""
    for line in lines("skipped", receipt.get("skipped", {})):
        paragraph(console, line, "yellow", hanging=2)
    for line in lines("not answered for", receipt.get("failed", {})):
        paragraph(console, line, "magenta", hanging=2)
    paragraph(console, took(receipt, is_page=is_page), "dim")


# --- plans --------------------------------------------------------------------------------------------------
# What a person is shown of a plan: the agents that Claude would start, or the members a panel would have.

MAX_OF_A_PROMPT: Final = 200
"""Characters: whole they are in the JSON."""


def show(console: Console, data: Json) -> None:
    """Where nobody is asked: what the host runs itself, message by message, an agent a line."""
    from rich.table import Table
    from rich.text import Text

    sent = data["plan"]["messages"]
    console.print(Text(data.get("note") or data.get("how") or "Nobody was asked."))
    console.print(Text("In Claude Code these agents are started instead, side by side:"))
    longest = max(len(f"Agent: {call['description']}") for message in sent for call in message)
    table = Table.grid(padding=(0, 2, 0, 0), expand=True)
    table.add_column(no_wrap=True, width=min(longest, console.width // 2), overflow="ellipsis")
    table.add_column(no_wrap=True, style="dim", overflow="ellipsis", ratio=1)
    for number, message in enumerate(sent, 1):
        if len(sent) > 1:
            table.add_row(Text(f"message {number}", "cyan"), "")
        for call in message:
            task = " ".join(call["prompt"].split())[:MAX_OF_A_PROMPT]
            table.add_row(Text(f"Agent: {flat(call['description'])}", "bold"), Text(task))
    console.print(table)
    if "next_cursor" in data:
        console.print(Text(f"These are not all: go on with --cursor {data['next_cursor']}."))


def show_dry(console: Console, data: Json) -> None:
    """Who would be asked, and what it may cost."""
    from rich.table import Table
    from rich.text import Text

    rounds = f" in at most {data['rounds']} rounds" if "rounds" in data else ""
    console.print(Text(f"Nobody was asked yet. Without --dry-run these are{rounds}:"))
    table = Table.grid(padding=(0, 2, 0, 0))
    for one in data["members"]:
        table.add_row(f"  {flat(one['member'])}", Text(flat(one["model"] or "the backend's model"), "dim"))
    console.print(table)
    console.print(Text(f"Rule: {data['rule']}.", "dim"))
    console.print(Text(f"At most {at_most(data['at_most'])}.", "dim"))


# --- screen -------------------------------------------------------------------------------------------------
# The terminal as our commands print on it: whatever they draw, no character of it can command the
# terminal.
# Rich itself lets ESC and bidirectional marks through. Here every piece of text is made printable after it
# was laid out; what Rich adds itself (colours, the cursor of a progress bar) is not text and stays.


class Screen(Console):
    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        for segment in super().render(renderable, options):
            yield segment if segment.control else segment._replace(text=printable(segment.text))
