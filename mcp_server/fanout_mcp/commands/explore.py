"""`fanout explore [MODULE...]`: what modules are and how they hang together, from the shell."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from fanout_mcp.clean import flat
from fanout_mcp.commands import plans
from fanout_mcp.commands.shell import run_tool
from fanout_mcp.commands.sources import add_paging, show_end
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from rich.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "modules", nargs="*", metavar="MODULE", help="names or paths; none: all of the project"
    )
    parser.add_argument("--focus", help="architecture, security, performance, testing, data flow, or words")
    parser.add_argument("--question", help="rank the files that matter for it")
    add_paging(parser, "module")


def run(args: argparse.Namespace) -> int:
    from fanout_mcp.tools.explore_modules import TOOL

    names = ("focus", "question", "engine", "max_cost_usd", "cursor", "detail")
    arguments = {name: getattr(args, name) for name in names}
    return run_tool(TOOL, {**arguments, "modules": args.modules or None}, args, show)


def show(console: Console, data: Json) -> None:
    from rich.markup import escape

    if "plan" in data:
        plans.show(console, data)
        return
    for module in data["modules"]:
        if isinstance(module, str):
            console.print(escape(flat(module)), soft_wrap=True)
            continue
        console.print(
            f"[bold]{escape(flat(module['module']))}[/]\n  {escape(module['purpose'])}", soft_wrap=True
        )
        console.print(f"  {escape(module['report'])}", soft_wrap=True)
        for name in ("imports", "imported_by", "cycles", "entry_points", "tests", "hot_spots"):
            if module.get(name):
                console.print(f"    [dim]{name}: {escape(flat(', '.join(module[name])))}[/]", soft_wrap=True)
    for one in data.get("ranked", []):
        console.print(
            f"[bold]{one['score']:6.2f}[/] {escape(flat(one['path']))}  {escape(', '.join(one['symbols']))}"
        )
    show_end(console, data)
