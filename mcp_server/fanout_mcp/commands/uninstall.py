"""`fanout uninstall`: take out exactly what `fanout install` put in."""

from __future__ import annotations

import argparse

from fanout_mcp import settings
from fanout_mcp.commands.changes import carry_out
from fanout_mcp.registration import plan, record
from fanout_mcp.registration.places import SCOPES, places, project_of
from fanout_mcp.status import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scope", choices=SCOPES, default="user", help="as it was installed (default: user)")
    parser.add_argument("--yes", action="store_true", help="write without asking")


def run(args: argparse.Namespace) -> int:
    from rich.console import Console

    console, had = Console(highlight=False), settings.read()
    where, kept = places(args.scope, project_of(had.project)), record.read(had.config_dir)
    if where.name not in kept.scopes:
        there = f" There is: {', '.join(kept.scopes)}." if kept.scopes else ""
        console.print(f"Nothing of fanout is installed for scope {args.scope}.{there}")
        return OK

    def make() -> plan.Plan:
        old = record.read(had.config_dir).scopes.get(where.name, record.Installed())
        return plan.uninstalling(old, had.config_dir / "config.toml")

    def write(planned: plan.Plan) -> None:
        plan.perform(planned, had.config_dir)
        forget()

    def forget() -> None:
        kept = record.read(had.config_dir)
        kept.scopes.pop(where.name, None)
        record.write(had.config_dir, kept)

    planned = carry_out(console, make, write, had.config_dir / plan.STATE, yes=args.yes)
    if planned is None:
        console.print("Nothing was written.")
        return OK
    if not planned.changes:  # the user has taken it all out by hand
        forget()
    console.print("fanout is out.")
    return OK
