"""What `explore` and `summarize` share: the arguments of an answer that comes in pages, and its end."""

from __future__ import annotations

import argparse
from typing import TYPE_CHECKING

from fanout_mcp.commands import flags, words
from fanout_mcp.commands.paragraphs import paragraph
from fanout_mcp.commands.shell import add_output
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from rich.console import Console


def add_paging(parser: argparse.ArgumentParser, item: str) -> None:
    parser.add_argument("--engine", choices=("auto", "model", "static", "plan"), default="auto")
    flags.add_max_cost(parser)
    parser.add_argument("--cursor", type=int, help=f"go on from this {item}")
    parser.add_argument("--detail", choices=("auto", "full", "line"), default="auto")
    add_output(parser)


def show_end(console: Console, data: Json) -> None:
    if "report" in data:
        paragraph(console, f"All of it: {data['report']}")
    if "next_cursor" in data:
        paragraph(console, f"{data['total']} in all, go on with --cursor {data['next_cursor']}")
    words.show_receipt(console, data["receipt"], is_page="total" in data)
