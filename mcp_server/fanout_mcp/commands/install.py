"""`fanout install`: register server, skill and hooks with Claude Code."""

from __future__ import annotations

import argparse
import shutil
from contextlib import suppress

from fanout_hooks import short_diff
from fanout_hooks.settings import Refused
from fanout_mcp import settings
from fanout_mcp.commands.changes import ask, carry_out, is_terminal
from fanout_mcp.commands.shell import talking
from fanout_mcp.registration import plan, record
from fanout_mcp.registration.entries import Choices
from fanout_mcp.registration.places import SCOPES, places, project_of
from fanout_mcp.registration.plugin import plugin_in
from fanout_mcp.status import OK


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scope", choices=SCOPES, default="user", help="user (default), local (only here), project (shared)"
    )
    parser.add_argument("--yes", action="store_true", help="write without asking; agrees to nothing else")
    short_diff.add_flag(parser)
    parser.add_argument("--no-hooks", action="store_true", help="without the hook log and the agent gate")
    parser.add_argument("--no-skill", action="store_true", help="without the skill")
    parser.add_argument(
        "--allow-tools", action="store_true", help="let Claude use fanout's tools without asking each time"
    )
    parser.add_argument(
        "--claude-backend",
        action="store_true",
        help="where there is no API key, ask your own `claude -p`: it spends your subscription",
    )


def run(args: argparse.Namespace) -> int:
    console, had = talking(), settings.read()
    project = project_of(had.project)
    where, wanted = places(args.scope, project), choices(args, had)
    if plugin := plugin_in(project):
        console.print(f"The plugin {plugin} is on and brings server, skill and hooks.")
        wanted = wanted.beside_the_plugin

    def make() -> plan.Plan:
        old = record.read(had.config_dir).scopes.get(where.name, record.Installed())
        return plan.installing(where, wanted, old, had.config_dir / "config.toml")

    def write(planned: plan.Plan) -> None:
        before = record.read(had.config_dir)
        if planned.installed is not None:  # first: what is remembered too much does no harm
            scopes = {**before.scopes, where.name: planned.installed}
            record.write(had.config_dir, record.Record(scopes=scopes))
        try:
            plan.perform(planned, had.config_dir)
        except Refused:
            with suppress(Refused, OSError):
                record.write(had.config_dir, before)
            raise

    planned = carry_out(console, make, write, had.config_dir / plan.STATE, yes=args.yes, diff=args.diff)
    if planned is None:
        console.print("Nothing was written.")
    elif not planned.changes:
        console.print("Everything is installed already.")
    else:
        console.print("Installed. Start Claude Code anew; `fanout uninstall` takes exactly this out again.")
    return OK


def choices(args: argparse.Namespace, had: settings.Settings) -> Choices:
    """Take what was said; ask about permission and spending only a person at a terminal."""
    allow, claude = args.allow_tools, args.claude_backend
    if is_terminal() and not args.yes:
        allow = allow or ask("Let Claude use fanout's tools without asking each time?", default=False)
        if not claude and not had.claude_agreed and shutil.which("claude"):
            claude = ask(
                "Without an API key, let fanout call your own `claude`? It spends your subscription.",
                default=False,
            )
    return Choices(hooks=not args.no_hooks, skill=not args.no_skill, allow_tools=allow, claude_backend=claude)
