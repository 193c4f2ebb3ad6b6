"""`fanout record ID right|wrong`: how often each member of your panels was right; without an ID, the list."""

from __future__ import annotations

import argparse
from dataclasses import asdict
from typing import TYPE_CHECKING

from fanout_mcp.commands.flags import OK
from fanout_mcp.commands.shell import add_output, put, put_json
from fanout_mcp.errors import InvalidInput
from fanout_mcp.panel import record
from fanout_mcp.panel.record import Track
from fanout_mcp.state import settings

if TYPE_CHECKING:
    from rich.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("id", nargs="?", metavar="ID", help="a consultation, by the `id` of its receipt")
    parser.add_argument(
        "became",
        nargs="?",
        metavar="right|wrong",
        choices=["right", "wrong"],
        help="what its decision proved",
    )
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    folder = settings.read().votes
    if args.id is not None:
        if args.became is None:
            raise InvalidInput(f"What did {args.id[:40]} prove to be? Say fanout record ID right, or wrong.")
        record.settle(folder, args.id, is_right=args.became == "right")
    found = record.tracks(folder)
    if args.json:
        put_json({member: asdict(track) for member, track in found.items()})
    else:
        put(lambda console: show(console, found))
    return OK


def show(console: Console, found: dict[str, Track]) -> None:
    from rich.text import Text

    for member, track in found.items():
        share = f"{track.right} of {track.settled} right" if track.settled else "none recorded yet"
        console.print(Text(f"{member}: ", "bold").append(f"{share}, {track.consultations} asked", "not bold"))
    if not found:
        console.print("No panel has been asked yet.", style="dim")
