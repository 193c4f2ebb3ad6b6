"""`fanout swarm TASK --count N`: many agents on one task from the shell, or the plan for the host's own."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from fanout_mcp.commands import display, flags
from fanout_mcp.commands.shell import add_output, run_tool
from fanout_mcp.engine.budget import cost
from fanout_mcp.text import counted
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from rich.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "task",
        metavar="TASK",
        type=flags.words,
        help="what every agent is to do, with all context; - reads it from stdin",
    )
    parser.add_argument(
        "--count", type=int, metavar="N", help="agents: small 3-5, medium 10-20, large 50-100"
    )
    parser.add_argument(
        "--lens",
        action="append",
        dest="lenses",
        metavar="LENS",
        help="tests, hypotheses, approaches, angles, or your own as NAME: WHERE TO LOOK (repeatable)",
    )
    flags.add_engine(parser, "model", "plan")
    parser.add_argument(
        "--deadline",
        type=float,
        dest="deadline_s",
        metavar="S",
        help="seconds for the whole call (default: 100)",
    )
    flags.add_max_cost(parser)
    add_output(parser)


GIVEN = ("task", "count", "lenses", "engine", "deadline_s", "max_cost_usd")


def run(args: argparse.Namespace) -> int:
    from fanout_mcp.tools.agent_swarm import TOOL

    return run_tool(TOOL, {name: getattr(args, name) for name in GIVEN}, args, show)


def show(console: Console, data: Json) -> None:
    from rich.text import Text

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
