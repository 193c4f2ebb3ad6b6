"""`fanout council QUESTION`: a panel that reads each other, live in the terminal."""

from __future__ import annotations

import argparse
from dataclasses import replace
from typing import TYPE_CHECKING

from fanout_mcp.commands import oracle
from fanout_mcp.commands.board import watching
from fanout_mcp.commands.shell import add_output, call_tool, emit
from fanout_mcp.counted import counted
from fanout_mcp.engine.budget import cost
from fanout_mcp.services import Services, ToolResult
from fanout_mcp.status import NO_VERDICT, OK
from fanout_mcp.types import Json, Progress

if TYPE_CHECKING:
    from rich.console import Console

    from fanout_mcp.tools.council import Args


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
