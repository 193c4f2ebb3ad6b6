"""`fanout explore [MODULE...]` and `fanout summarize PATH...`: what modules and files are, from the shell."""

from __future__ import annotations

import argparse

from rich.console import Console
from rich.text import Text

from fanout_mcp.commands import display, flags
from fanout_mcp.commands.display import claims, paragraph
from fanout_mcp.commands.flags import Command
from fanout_mcp.commands.shell import add_output, run_tool
from fanout_mcp.text import flat
from fanout_mcp.types import Json

# --- What `explore` and `summarize` share: the arguments of an answer that comes in pages, and its end. -----


def add_paging(parser: argparse.ArgumentParser) -> None:
    flags.add_engine(parser, "model", "static", "plan")
    flags.add_max_cost(parser)
    flags.add_page(parser)
    add_output(parser)


def show_end(console: Console, data: Json) -> None:
    if "report" in data:
        paragraph(console, f"All of it: {data['report']}")
    if "next_cursor" in data:
        paragraph(console, f"{data['total']} in all, go on with --cursor {data['next_cursor']}")
    display.show_receipt(console, data["receipt"], is_page="total" in data)


# --- explore ------------------------------------------------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("modules", nargs="*", metavar="MODULE", help="names or paths (default: the whole project)")
    add("--focus", help="architecture, security, performance, testing, data flow, or your own words")
    add("--question", help="rank the files that matter for this question")
    add_paging(parser)


def run(args: argparse.Namespace) -> int:
    from fanout_mcp.tools.explore_modules import TOOL

    return run_tool(TOOL, args, show, modules=args.modules or None)


def show(console: Console, data: Json) -> None:
    if "plan" in data:
        display.show(console, data)
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


# --- summarize ----------------------------------------------------------------------------------------------


def _add_summarize(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("paths", nargs="+", metavar="PATH", help="files, folders or globs")
    add("--focus", help="what to look for")
    add("--max-words", type=int, help="words of prose per file, 20 to 200")
    add("--max-files", type=int, help="allow more than 500 model calls")
    add_paging(parser)


def _run_summarize(args: argparse.Namespace) -> int:
    from fanout_mcp.tools.summarize_files import TOOL

    return run_tool(TOOL, args, show_files)


summarize = Command(_add_summarize, _run_summarize)


def show_files(console: Console, data: Json) -> None:
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
