"""`fanout council QUESTION`: a panel that reads each other, live in the terminal."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from fanout_mcp.commands import oracle
from fanout_mcp.commands.flags import NO_VERDICT, OK
from fanout_mcp.commands.shell import add_output, call_tool, emit
from fanout_mcp.engine.budget import cost
from fanout_mcp.panel.deliberation import Discarded, Event, Opened, RoundClosed, Said, Synthesised, Tell, line
from fanout_mcp.text import counted, printable
from fanout_mcp.tools.services import Services, ToolResult
from fanout_mcp.types import Json, Progress

if TYPE_CHECKING:
    from rich.console import Console, RenderableType

    from fanout_mcp.tools.council import Args


# --- A live board in the terminal: a council's members by round, and the newest of what they say. -----------
# It hears a council's events and redraws ten times a second on stderr; where stderr is not a terminal, each
# event is a line instead.

COLOURS: Final = {"PROCEED": "green", "SIMPLIFY": "yellow", "STOP": "red", "ABSTAIN": "dim"}
WAITING: Final = "…"
LEGEND: Final = "» begun early   < late, joined this round   = converged"
GONE: Final = "dim strike"


@dataclass(slots=True)
class Column:
    """What is known of one round."""

    asked: tuple[str, ...] = ()
    speculative: bool = False
    discarded: bool = False
    cells: dict[str, tuple[str, str]] = field(default_factory=dict)
    """Member -> text and style."""
    verdict: tuple[str, str] = (WAITING, "dim")
    agree: str = ""
    synthesis: tuple[str, str] = ("", "dim")


@dataclass(slots=True)
class Board:
    """A council as a table: takes its events, is drawn on demand."""

    title: str
    began: float = field(default_factory=time.monotonic)
    members: list[str] = field(default_factory=list)
    columns: dict[int, Column] = field(default_factory=dict)
    last: str = ""

    def __call__(self, event: Event) -> None:
        column = self.columns.setdefault(event.n, Column())
        match event:
            case Opened(_, asked, speculative):
                self.members += [member for member in asked if member not in self.members]
                column.asked, column.speculative = asked, speculative
            case Said():
                self._on_message(event, column)
            case RoundClosed(_, decision, agreement, is_converged, _):
                column.verdict = (decision, COLOURS.get(decision, "magenta"))
                column.agree = f"{100 * agreement:.0f} %{' =' if is_converged else ''}"
                column.synthesis = (WAITING, "dim")
            case Synthesised(_, reason):
                column.synthesis = ("none", "magenta") if reason else ("written", "green")
            case Discarded():
                column.discarded, column.verdict, column.synthesis = True, ("not needed", "dim"), ("", "")
                self.last = line(event)

    def _on_message(self, event: Said, column: Column) -> None:
        text, style = _said(event)
        if column.agree:  # the round had closed: the answer joins the newest one
            column.cells[event.member] = ("late", "dim")
            column, text = self.columns[max(self.columns)], f"<{text}"
        column.cells[event.member] = (text, style)
        self.last = line(event) if event.position is None else f"{event.member}: {event.position.summary}"

    def __rich__(self) -> RenderableType:
        from rich.console import Group
        from rich.table import Table
        from rich.text import Text

        table = Table()
        name_width = 24 if len(self.columns) < 5 else 11  # five rounds fit into 80 columns
        table.add_column("", no_wrap=True, max_width=name_width, overflow="ellipsis")
        for n, column in self.columns.items():
            table.add_column(f"round {n}{' »' if column.speculative else ''}", no_wrap=True, min_width=10)
        columns = list(self.columns.values())
        for member in self.members:
            table.add_row(member, *(_cell(column, member) for column in columns))
        table.add_section()
        table.add_row("verdict", *(Text(*column.verdict) for column in columns))
        table.add_row("agree", *(column.agree for column in columns))
        table.add_row("synthesis", *(Text(*column.synthesis) for column in columns))
        head = f"{time.monotonic() - self.began:5.1f} s  {printable(self.title)}"
        above, below = (
            Text(words, no_wrap=True, overflow="ellipsis") for words in (head, printable(self.last))
        )
        return Group(above, table, below, Text(LEGEND, "dim", no_wrap=True, overflow="ellipsis"))


def _said(event: Said) -> tuple[str, str]:
    if event.position is None:
        return "failed", "magenta"
    return event.position.verdict.lower(), COLOURS[event.position.verdict]


def _cell(column: Column, member: str) -> RenderableType:
    from rich.text import Text

    waits = WAITING if member in column.asked else ""
    text, style = column.cells.get(member, (waits, "dim"))
    return Text(text, GONE if column.discarded else style)


@contextmanager
def watching(title: str, *, quiet: bool) -> Iterator[Tell]:
    """Yield what takes a council's events: a board on a terminal, lines elsewhere, nothing when `quiet`."""
    if quiet:
        yield _silent
    elif not sys.stderr.isatty():
        yield _as_line
    else:
        from rich.live import Live

        from fanout_mcp.commands.display import Screen

        board = Board(title)
        with Live(board, console=Screen(stderr=True), refresh_per_second=10, transient=True):
            yield board


def _silent(event: Event) -> None:
    """For output that only programs read."""


def _as_line(event: Event) -> None:
    sys.stderr.write(f"{printable(line(event))}\n")
    sys.stderr.flush()


# --- council ------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    oracle.add_asked(parser)
    parser.add_argument("--rounds", type=int, metavar="N", help="at most so many rounds, 1 to 5 (default: 3)")
    parser.add_argument(
        "--no-speculation", action="store_true", help="begin a round only when the one before is through"
    )
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    from fanout_mcp.tools.council import TOOL, watched

    async def call(services: Services, given: Args, _: Progress) -> ToolResult:
        with watching(" ".join(given.question.split()), quiet=args.json) as tell:
            return await watched(services, given, tell)

    arguments = {
        **oracle.panel_arguments(args),
        "dry_run": args.dry_run or None,
        "rounds": args.rounds,
        "speculate": False if args.no_speculation else None,
    }
    result = call_tool(replace(TOOL, call=call), arguments, quiet=True)
    emit(result, args, show)
    return NO_VERDICT if result.is_error else OK


def show(console: Console, data: Json) -> None:
    from rich.text import Text

    oracle.show(console, data)
    if "wasted" not in data:
        return
    if data.get("note"):
        console.print(Text(data["note"], "yellow"))
    for round_ in data["rounds"]:
        decided = round_["decision"] or "not needed"
        early = ", begun early" if round_["speculative"] else ""
        share = "" if round_["agreement"] is None else f", {100 * round_['agreement']:.0f} % agree"
        wasted = f", {counted(round_['wasted'], 'call')} not used" if round_["wasted"] else ""
        console.print(Text(f"round {round_['n']}: {decided}{share}{early}{wasted}", "dim"))
    _show_synthesis(console, data.get("synthesis"))
    console.print(Text(_balance(data), "dim"))


def _show_synthesis(console: Console, said: Json) -> None:
    from rich.text import Text

    if isinstance(said, str):
        console.print(Text(f"{said[:1].upper()}{said[1:]}.", "magenta"))
    for name, value in said.items() if isinstance(said, dict) else ():
        if value:
            console.print(Text(f"{name.replace('_', ' ')}: ", "bold").append(value, "not bold"))


def _balance(data: Json) -> str:
    """What overlapping rounds saved, and what they cost."""
    wasted = data["wasted"]
    saved = f"{data['saved_s']} s saved against one round after another. " if data.get("saved_s") else ""
    if not wasted["calls"]:
        return f"{saved}Every call was used."
    calls = f"{counted(wasted['calls'], 'call')}, {wasted['tokens']:,} tokens"
    return f"{saved}Begun early and not used: {calls}, cost {cost(wasted)}."
