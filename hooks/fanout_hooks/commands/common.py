"""What the commands share: which scopes are meant, and asking before anything is written."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from fanout_hooks import place
from fanout_hooks.config import SCOPES
from fanout_hooks.place import Place
from fanout_hooks.settings import Refused

DEFAULT_SCOPES = ("user", "local")


def add_project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", metavar="DIR", help="the project (default: the one around this folder)")


def add_scopes(parser: argparse.ArgumentParser) -> None:
    """Add the arguments that say which settings files are meant."""
    parser.add_argument(
        "--scope",
        choices=SCOPES,
        action="append",
        help="user: ~/.claude/settings.json; local: .claude/settings.local.json; shared: the committed"
        " .claude/settings.json (default: user and local)",
    )
    parser.add_argument("--shared", action="store_true", help="the committed project file, too")
    parser.add_argument("--yes", action="store_true", help="don't ask")
    add_project(parser)


def project_of(args: argparse.Namespace) -> str:
    """Return the project's folder as an absolute path."""
    named: str | None = args.project
    if named is not None:
        if not os.path.isdir(named):
            raise Refused(f"{named} is not a folder")
        return os.path.realpath(named)
    return place.project_of(os.getcwd(), os.path.expanduser("~"))


def places(args: argparse.Namespace, default: Sequence[str] = DEFAULT_SCOPES) -> list[Place]:
    """Return the scopes that the arguments name."""
    named = list(args.scope or (["shared"] if args.shared else default))
    if args.shared and "shared" not in named:
        named.append("shared")
    project = project_of(args)
    return [place.find(scope, project, dict(os.environ)) for scope in dict.fromkeys(named)]


def confirm(args: argparse.Namespace) -> bool:
    """Ask before writing. Raises Refused where nobody can be asked."""
    if args.yes:
        return True
    if not sys.stdin.isatty():
        raise Refused("nothing was written; say --yes to go ahead without being asked")
    return input("Go ahead? [y/N] ").strip().lower() in ("y", "yes")


def say(text: str = "") -> None:
    sys.stdout.write(text + "\n")


def some(names: Sequence[str], most: int = 30) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
