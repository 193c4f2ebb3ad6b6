"""`fanout oracle`, `council`, `swarm` and `record`: ask many models from the shell, note who was right."""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import asdict, dataclass, field, replace
from typing import TYPE_CHECKING, Final

from rich.console import Console, Group, RenderableType
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from fanout_mcp.commands import display, flags
from fanout_mcp.commands.flags import NO_VERDICT, OK, Command
from fanout_mcp.commands.shell import add_output, call_tool, emit, put, put_json, run_tool
from fanout_mcp.engine.budget import cost
from fanout_mcp.errors import InvalidInput
from fanout_mcp.panel import deliberation
from fanout_mcp.panel.personas import built_in
from fanout_mcp.panel.record import Track, settle, tracks
from fanout_mcp.state import settings
from fanout_mcp.text import counted, printable
from fanout_mcp.tools.services import Services, ToolResult
from fanout_mcp.types import Json, Progress

if TYPE_CHECKING:
    from fanout_mcp.tools.council import Args


# --- oracle -------------------------------------------------------------------------------------------------

COLOURS: Final = {
    "PROCEED": "green",
    "SIMPLIFY": "yellow",
    "STOP": "red",
    "ABSTAIN": "dim",
    "NO_VERDICT": "magenta",
}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_asked(parser)
    add_output(parser)


def add_asked(parser: argparse.ArgumentParser) -> None:
    """Add the question and the choice of a panel; `council` takes the same."""
    add = parser.add_argument
    add(
        "question",
        metavar="QUESTION",
        type=flags.words,
        help="what the panel is to judge, with all context; - for stdin",
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--preset", help=f"{', '.join(built_in().presets)}, or your own (default: quick)")
    who.add_argument(
        "--personas", type=flags.names, metavar="A,B,C", help="personas by name, instead of a preset"
    )
    who.add_argument("--all", action="store_true", help="every built-in persona")
    add(
        "--models",
        type=flags.names,
        metavar="M1,M2",
        help="provider:model; one for all, one per member in order, or persona=model",
    )
    add("--file", action="append", dest="files", metavar="F", help="attach a file (repeatable)")
    add(
        "--stakes",
        choices=("exploration", "production", "critical"),
        help="exploration: STOP needs two thirds; production (default): a majority; "
        "critical: one STOP with a blocker decides",
    )
    add("--quorum", type=int, help="valid answers that a verdict needs (default: more than half)")
    add("--deadline", type=float, dest="deadline_s", metavar="S", help="seconds for the whole call")
    flags.add_max_cost(parser)
    add("--dry-run", action="store_true", help="don't ask; print the members and the maximum price")


def preset(args: argparse.Namespace) -> str | None:
    return "all" if args.all else args.preset


def run(args: argparse.Namespace) -> int:
    from fanout_mcp.tools.oracle_batch import TOOL

    return run_tool(TOOL, args, show, preset=preset(args))


def show(console: Console, data: Json) -> None:
    for why in data.get("ignored", []):
        console.print(Text(f"ignored: {why}", "yellow"), soft_wrap=True)
    if "plan" in data:
        display.show(console, data)
        return
    if data.get("dry_run"):
        display.show_dry(console, data)
        return
    decision = data["decision"]
    how = data["headline"].removeprefix(decision).lstrip(": ")
    console.print(f"[bold {COLOURS[decision]}]{decision}[/]  {escape(how)}")
    console.print(_members(data))
    spent = data["receipt"]
    took = f"{counted(spent['calls'], 'call')}, {spent['elapsed_s']} s"
    console.print(f"[dim]Rule: {escape(data['rule'])}.[/]")
    console.print(f"[dim]{took}, cost {cost(spent)}.[/]")
    if data["report"]:
        console.print(f"[dim]{escape(data['report'])}[/]", soft_wrap=True)  # a broken path can't be clicked


def _members(data: Json) -> Table:
    """What became of each, in two columns, so that long lines keep to theirs."""
    table = Table.grid(padding=(0, 2, 0, 0))
    for vote in data["votes"]:
        sure = "" if vote["confidence"] is None else f" {vote['confidence']} %"
        lines = [f"[bold]{escape(vote['member'])}[/][dim]{sure}[/]  {escape(vote['summary'])}"]
        lines += [
            f"[dim]{name.replace('_', ' ')}:[/] {escape(vote[name])}"
            for name in ("blocker", "smallest_change")
            if vote[name]
        ]
        table.add_row(f"  [{COLOURS.get(vote['verdict'], 'dim')}]{vote['verdict']}[/]", "\n".join(lines))
    for lost in data["failed"]:
        table.add_row("  [magenta]failed[/]", f"[bold]{escape(lost['member'])}[/]  {escape(lost['reason'])}")
    for member in data["cut"]:
        table.add_row("  [dim]cut[/]", f"[dim]{escape(member)}  the vote was decided without it[/]")
    return table


# --- council ------------------------------------------------------------------------------------------------


def _add_council(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add_asked(parser)
    add("--rounds", type=int, metavar="N", help="maximum number of rounds, 1 to 5 (default: 3)")
    add("--no-speculation", action="store_true", help="start a round only when the previous one has finished")
    add_output(parser)


def _run_council(args: argparse.Namespace) -> int:
    from fanout_mcp.tools.council import TOOL, watched

    async def call(services: Services, given: Args, _: Progress) -> ToolResult:
        with watching(" ".join(given.question.split()), quiet=args.json) as on_event:
            return await watched(services, given, on_event)

    other = {"preset": preset(args), "speculate": not args.no_speculation}
    result = call_tool(replace(TOOL, call=call), args, quiet=True, **other)
    emit(result, args, show_council)
    return NO_VERDICT if result.is_error else OK


council = Command(_add_council, _run_council)


def show_council(console: Console, data: Json) -> None:
    show(console, data)
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


def _show_synthesis(console: Console, synthesis: Json) -> None:
    if isinstance(synthesis, str):
        console.print(Text(f"{synthesis[:1].upper()}{synthesis[1:]}.", "magenta"))
    for name, value in synthesis.items() if isinstance(synthesis, dict) else ():
        if value:
            console.print(Text(f"{name.replace('_', ' ')}: ", "bold").append(value, "not bold"))


def _balance(data: Json) -> str:
    wasted = data["wasted"]
    saved = f"{data['saved_s']} s saved against one round after another. " if data.get("saved_s") else ""
    if not wasted["calls"]:
        return f"{saved}Every call was used."
    calls = f"{counted(wasted['calls'], 'call')}, {wasted['tokens']:,} tokens"
    return f"{saved}Begun early and not used: {calls}, cost {cost(wasted)}."


# --- A live board in the terminal: a council's members by round, and the newest of what they say. -----------
# It hears a council's events and redraws ten times a second on stderr; where stderr is not a terminal, each
# event is a line instead.

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

    def __call__(self, event: deliberation.Event) -> None:
        column = self.columns.setdefault(event.n, Column())
        match event:
            case deliberation.Opened(_, asked, speculative):
                self.members += [member for member in asked if member not in self.members]
                column.asked, column.speculative = asked, speculative
            case deliberation.Answered():
                self._on_message(event, column)
            case deliberation.RoundClosed(_, decision, agreement, is_converged, _):
                column.verdict = (decision, COLOURS.get(decision, "magenta"))
                column.agree = f"{100 * agreement:.0f} %{' =' if is_converged else ''}"
                column.synthesis = (WAITING, "dim")
            case deliberation.Synthesised(_, reason):
                column.synthesis = ("none", "magenta") if reason else ("written", "green")
            case deliberation.Discarded():
                column.discarded, column.verdict, column.synthesis = True, ("not needed", "dim"), ("", "")
                self.last = deliberation.line(event)

    def _on_message(self, event: deliberation.Answered, column: Column) -> None:
        said = event.position
        text, style = (said.verdict.lower(), COLOURS[said.verdict]) if said else ("failed", "magenta")
        if column.agree:  # the round had closed: the answer joins the newest one
            column.cells[event.member] = ("late", "dim")
            column, text = self.columns[max(self.columns)], f"<{text}"
        column.cells[event.member] = (text, style)
        self.last = f"{event.member}: {said.summary}" if said else deliberation.line(event)

    def __rich__(self) -> RenderableType:
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


def _cell(column: Column, member: str) -> RenderableType:
    waits = WAITING if member in column.asked else ""
    text, style = column.cells.get(member, (waits, "dim"))
    return Text(text, GONE if column.discarded else style)


@contextmanager
def watching(title: str, *, quiet: bool) -> Iterator[deliberation.OnEvent]:
    """Yield what takes a council's events: a board on a terminal, lines elsewhere, nothing when `quiet`."""
    if quiet:
        yield lambda _: None
    elif not sys.stderr.isatty():
        yield _as_line
    else:
        from rich.live import Live

        board = Board(title)
        with Live(board, console=display.Screen(stderr=True), refresh_per_second=10, transient=True):
            yield board


def _as_line(event: deliberation.Event) -> None:
    sys.stderr.write(f"{printable(deliberation.line(event))}\n")
    sys.stderr.flush()


# --- swarm --------------------------------------------------------------------------------------------------


def _add_swarm(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "task",
        metavar="TASK",
        type=flags.words,
        help="what every agent is to do, with all context; - for stdin",
    )
    add("--count", type=int, metavar="N", help="agents: small 3-5, medium 10-20, large 50-100")
    add(
        "--lens",
        action="append",
        dest="lenses",
        metavar="LENS",
        help="tests, hypotheses, approaches, angles, or your own as NAME: WHERE TO LOOK (repeatable)",
    )
    flags.add_engine(parser, "model", "plan")
    add(
        "--deadline",
        type=float,
        dest="deadline_s",
        metavar="S",
        help="seconds for the whole call (default: 100)",
    )
    flags.add_max_cost(parser)
    add_output(parser)


def _run_swarm(args: argparse.Namespace) -> int:
    from fanout_mcp.tools.agent_swarm import TOOL

    return run_tool(TOOL, args, show_swarm)


swarm = Command(_add_swarm, _run_swarm)


def show_swarm(console: Console, data: Json) -> None:
    if "plan" in data:
        display.show(console, data)
        return
    for place, answer in enumerate(data["answers"], 1):
        console.print(Text(f"{place:>2}. ", "dim").append(answer["title"], "not dim bold"))
        if answer.get("detail"):
            console.print(Text(f"    {answer['detail']}"))
        console.print(Text(f"    {', '.join(answer['said_by'])}", "dim"))
    for failed in data["failed"]:
        console.print(Text(f"{failed['agents']} failed: {failed['reason']}", "magenta"))
    spent = data["receipt"]
    agents = f"{counted(data['agents'], 'agent')} ({data['lenses']})"
    counts = f"{agents}, {data['merged']} merged, {data['cut']} cut"
    more = f" {data['more']}." if "more" in data else ""
    took = f"{spent['elapsed_s']} s, cost {cost(spent)}."
    console.print(Text(f"{counts}.{more} {took}", "dim"))
    console.print(Text(data["report"] or "", "dim"), soft_wrap=True)


# --- record -------------------------------------------------------------------------------------------------


def _add_record(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="the consultation's `id`, from its receipt")
    parser.add_argument(
        "became",
        nargs="?",
        metavar="right|wrong",
        choices=["right", "wrong"],
        help="whether its decision proved right or wrong",
    )
    add_output(parser)


def _run_record(args: argparse.Namespace) -> int:
    folder = settings.read().votes
    if args.id is not None:
        if args.became is None:
            raise InvalidInput(f"What did {args.id[:40]} prove to be? Say fanout record ID right, or wrong.")
        settle(folder, args.id, is_right=args.became == "right")
    found = tracks(folder)
    if args.json:
        put_json({member: asdict(track) for member, track in found.items()})
    else:
        put(lambda console: show_tracks(console, found))
    return OK


record = Command(_add_record, _run_record)


def show_tracks(console: Console, found: dict[str, Track]) -> None:
    for member, track in found.items():
        share = f"{track.right} of {track.settled} right" if track.settled else "none recorded yet"
        console.print(Text(f"{member}: ", "bold").append(f"{share}, {track.consultations} asked", "not bold"))
    if not found:
        console.print("No panel has been asked yet.", style="dim")
