"""`fanout explore [MODULE...]`: what modules are and how they hang together, from the shell."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from fanout_mcp.clean import flat
from fanout_mcp.commands import plans
from fanout_mcp.commands.paragraphs import claims, paragraph
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
    from rich.text import Text

    if "plan" in data:
        plans.show(console, data)
        return
    for module in data["modules"]:
        if isinstance(module, str):
            paragraph(console, flat(module), hanging=2)
            continue
        paragraph(console, flat(module["module"]), "bold")
        paragraph(console, flat(module["purpose"]), indent=2)
        for claim in claims(module["report"]):
            paragraph(console, flat(claim), indent=2, hanging=2)
        for name in ("imports", "imported_by", "cycles", "entry_points", "tests", "hot_spots"):
            if module.get(name):
                paragraph(console, f"{name}: {flat(', '.join(module[name]))}", "dim", indent=4, hanging=2)
    for line in data.get("folded", []):
        paragraph(console, flat(line), "dim", hanging=2)
    for one in data.get("ranked", []):
        score = Text(f"{one['score']:6.2f} ", "bold")
        paragraph(
            console, score.append(flat(f"{one['path']}  {', '.join(one['symbols'])}"), "default"), hanging=7
        )
    show_end(console, data)
