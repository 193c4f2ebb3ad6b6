"""`fanout summarize PATH...`: what files are for, from the shell."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from fanout_mcp.commands import display
from fanout_mcp.commands.display import paragraph
from fanout_mcp.commands.explore import add_paging, show_end
from fanout_mcp.commands.shell import run_tool
from fanout_mcp.text import flat
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from rich.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("paths", nargs="+", metavar="PATH", help="files, folders or globs")
    parser.add_argument("--focus", help="what to look for")
    parser.add_argument("--max-words", type=int, help="prose per file, 20 to 200")
    parser.add_argument("--max-files", type=int, help="allow more than 500 model calls")
    add_paging(parser)


def run(args: argparse.Namespace) -> int:
    from fanout_mcp.tools.summarize_files import TOOL

    names = ("paths", "focus", "engine", "max_words", "max_files", "max_cost_usd", "cursor", "detail")
    return run_tool(TOOL, {name: getattr(args, name) for name in names}, args, show)


def show(console: Console, data: Json) -> None:
    from rich.text import Text

    if "plan" in data:
        display.show(console, data)
        return
    for file in data["files"]:
        if isinstance(file, str):
            paragraph(console, flat(file), hanging=2)
            continue
        label = Text(" (derived)", "dim") if file["derived"] else Text()
        paragraph(console, Text(flat(file["path"]), "bold") + label)
        paragraph(console, flat(file["purpose"]), indent=2)
        for row in [*file["symbols"], *(f"! {note}" for note in file.get("notes", []))]:
            paragraph(console, flat(row), "dim", indent=4, hanging=2)
    show_end(console, data)
