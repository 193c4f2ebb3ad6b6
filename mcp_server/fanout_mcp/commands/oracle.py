"""`fanout oracle QUESTION`: ask a panel from the shell."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from fanout_mcp.commands import display, flags
from fanout_mcp.commands.shell import add_output, run_tool
from fanout_mcp.engine.budget import cost
from fanout_mcp.panel.personas import built_in
from fanout_mcp.text import counted
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COLOURS = {"PROCEED": "green", "SIMPLIFY": "yellow", "STOP": "red", "NO_VERDICT": "magenta"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_asked(parser)
    add_output(parser)


def add_asked(parser: argparse.ArgumentParser) -> None:
    """Add the question and the choice of a panel; `council` takes the same."""
    parser.add_argument(
        "question",
        metavar="QUESTION",
        type=flags.words,
        help="what the panel is to judge, with all context; - reads it from stdin",
    )
    who = parser.add_mutually_exclusive_group()
    who.add_argument("--preset", help=f"{', '.join(built_in().presets)}, or your own (default: quick)")
    who.add_argument(
        "--personas", type=flags.names, metavar="A,B,C", help="personas by name, instead of a preset"
    )
    who.add_argument("--all", action="store_true", help="every built-in persona")
    add_panel(parser)
    parser.add_argument("--dry-run", action="store_true", help="ask no one; print the members and the price")


def add_panel(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--models",
        type=flags.names,
        metavar="M1,M2",
        help="provider:model; one for all, one per member in order, or persona=model",
    )
    parser.add_argument(
        "--file", action="append", dest="files", metavar="F", help="attach a file (repeatable)"
    )
    parser.add_argument(
        "--stakes",
        choices=("exploration", "production", "critical"),
        help="exploration: STOP needs two thirds; production (default): a majority; "
        "critical: one STOP with a blocker stops",
    )
    parser.add_argument("--quorum", type=int, help="positions that a verdict needs (default: more than half)")
    parser.add_argument(
        "--deadline", type=float, dest="deadline_s", metavar="S", help="seconds for the whole call"
    )
    flags.add_max_cost(parser)


PANEL = ("question", "personas", "models", "files", "stakes", "quorum", "deadline_s", "max_cost_usd")


def panel_arguments(args: argparse.Namespace) -> dict[str, Json]:
    preset = "all" if args.all else args.preset
    return {
        **{name: getattr(args, name) for name in PANEL},
        "preset": preset,
    }


def run(args: argparse.Namespace) -> int:
    from fanout_mcp.tools.oracle_batch import TOOL

    return run_tool(TOOL, {**panel_arguments(args), "dry_run": args.dry_run or None}, args, show)


def show(console: Console, data: Json) -> None:
    from rich.markup import escape
    from rich.text import Text

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
    from rich.markup import escape
    from rich.table import Table

    table = Table.grid(padding=(0, 2, 0, 0))
    for vote in data["votes"]:
        sure = "" if vote["confidence"] is None else f" {vote['confidence']} %"
        said = [f"[bold]{escape(vote['member'])}[/][dim]{sure}[/]  {escape(vote['summary'])}"]
        said += [
            f"[dim]{name.replace('_', ' ')}:[/] {escape(vote[name])}"
            for name in ("blocker", "smallest_change")
            if vote[name]
        ]
        table.add_row(f"  [{COLOURS.get(vote['verdict'], 'dim')}]{vote['verdict']}[/]", "\n".join(said))
    for lost in data["failed"]:
        table.add_row("  [magenta]failed[/]", f"[bold]{escape(lost['member'])}[/]  {escape(lost['reason'])}")
    for member in data["cut"]:
        table.add_row("  [dim]cut[/]", f"[dim]{escape(member)}  the vote was decided without it[/]")
    return table
