"""`fanout uninstall`: take out exactly what `fanout install` put in."""

from __future__ import annotations

import argparse

from fanout_mcp import settings
from fanout_mcp.commands.changes import is_wanted, refusing, show
from fanout_mcp.commands.install import count
from fanout_mcp.registration import plan, record
from fanout_mcp.registration.places import SCOPES, places, project_of
from fanout_mcp.status import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scope", choices=SCOPES, default="user", help="as it was installed (default: user)")
    parser.add_argument("--yes", action="store_true", help="write without asking")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    console, had = Console(highlight=False), settings.read()
    where, kept = places(args.scope, project_of(had.root)), record.read(had.config_dir)
    old = kept.scopes.get(where.name)
    if old is None:
        there = f" There is: {', '.join(kept.scopes)}." if kept.scopes else ""
        console.print(f"Nothing of fanout is installed for scope {args.scope}.{there}")
        return OK
    with refusing():
        planned = plan.uninstalling(old, had.config_dir / "config.toml")
        show(console, planned)
        if planned.changes and not is_wanted(f"Write {count(planned)}?", yes=args.yes):
            console.print("Nothing was written.")
            return OK
        plan.perform(planned, had.config_dir)
        del kept.scopes[where.name]
        record.write(had.config_dir, kept)
    console.print("fanout is out.")
    return OK
