"""`fanout uninstall`: take out exactly what `fanout install` put in."""

from __future__ import annotations

import argparse
import os
from pathlib import Path
from typing import TYPE_CHECKING

from fanout_hooks import short_diff
from fanout_hooks.memory import state_folder
from fanout_hooks.place import project_of as adopting_project
from fanout_mcp import settings
from fanout_mcp.commands.changes import carry_out, is_wanted, refusing, show_changes
from fanout_mcp.commands.paragraphs import paragraph
from fanout_mcp.commands.shell import talking
from fanout_mcp.registration import adopted, plan, record
from fanout_mcp.registration.places import SCOPES, Places, places, project_of
from fanout_mcp.status import OK

if TYPE_CHECKING:
    from rich.console import Console


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--scope", choices=SCOPES, default="user", help="as it was installed (default: user)")
    parser.add_argument(
        "--yes", action="store_true", help="write without asking; adopted hooks come back, too"
    )
    short_diff.add_flag(parser)


def run(args: argparse.Namespace) -> int:
    console, had = talking(), settings.read()
    where, kept = places(args.scope, project_of(had.project)), record.read(had.config_dir)
    if where.name not in kept.scopes:
        there = f" There is: {', '.join(kept.scopes)}." if kept.scopes else ""
        paragraph(console, f"Nothing of fanout is installed for scope {args.scope}.{there}")
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

    if not _hooks_are_back(console, kept.scopes[where.name], where, yes=args.yes, diff=args.diff):
        console.print("Nothing was written: without the server these hooks would fail at every event.")
        return OK
    planned = carry_out(console, make, write, had.config_dir / plan.STATE, yes=args.yes, diff=args.diff)
    if planned is None:
        console.print("Nothing was written.")
        return OK
    if not planned.changes:  # the user has taken it all out by hand
        forget()
    console.print("fanout is out.")
    for line in _left(had):
        paragraph(console, line, hanging=4)
    return OK


def _hooks_are_back(
    console: Console, installed: record.Installed, where: Places, *, yes: bool, diff: str
) -> bool:
    """Bring adopted hooks back first, where no server is left to run them; False when it isn't wanted."""
    project = adopting_project(str(Path.cwd()), str(Path.home()))
    with refusing():
        found = adopted.returning(installed, where, project)
        show_changes(console, [one.change for one in found], diff)
        for one in found:
            paragraph(console, one.told)
        for path in adopted.elsewhere(where, project):
            paragraph(console, f"Hooks of {path} are adopted, too: run `fanout-hooks restore` there.")
        if not found:
            return True
        if not is_wanted("Bring these hooks back, and take fanout out?", yes=yes):
            return False
        adopted.bring_back(found)
    return True


def _left(had: settings.Settings) -> list[str]:
    """Say what stays on the disk: copies that somebody may want back, and what was measured."""
    folders = {
        had.config_dir / plan.STATE: "the files as they were before each change",
        Path(
            state_folder(dict(os.environ))
        ).parent: "the same of adopted hooks, and what was learned of them",
    }
    kept = [f"  {folder}: {what}" for folder, what in folders.items() if folder.is_dir()]
    return ["These folders stay; remove them when you need them no more:", *kept] if kept else []
