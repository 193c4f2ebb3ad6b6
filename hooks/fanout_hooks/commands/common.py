"""What the commands share: which scopes are meant, and asking before anything is written."""

from __future__ import annotations

import argparse
import json
import os
import shutil
import sys
import textwrap
from collections.abc import Iterable, Sequence
from typing import TextIO

from fanout_hooks import json_text, place, short_diff
from fanout_hooks.config import SCOPES
from fanout_hooks.place import Place
from fanout_hooks.printable import flat, json_printable, printable
from fanout_hooks.settings import Refused

DEFAULT_SCOPES = ("user", "local")
NONE_ADOPTED = "No hooks are adopted here; `fanout-hooks adopt` does it."


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


def confirm(args: argparse.Namespace, otherwise: str = "Nothing was written.") -> bool:
    """Ask first; a no is answered with what was not done. Raises Refused where nobody can be asked."""
    if args.yes:
        return True
    if not sys.stdin.isatty():
        raise Refused(f"nobody can be asked here. {otherwise} --yes goes ahead unasked")
    is_agreed = _answer("Go ahead? [y/N] ") in {"y", "yes"}
    if not is_agreed:
        say(otherwise)
    return is_agreed


def _answer(question: str) -> str:
    try:
        return input(question).strip().lower()
    except EOFError:  # Ctrl-D: whoever leaves has agreed to nothing
        say()
        return ""


def must_have(event: str | None, those: Iterable[str]) -> None:
    """Refuse an event that isn't among those with adopted hooks."""
    there = list(dict.fromkeys(those))
    if event is not None and event not in there:
        raise Refused(f"no adopted hook is on {event!r}; there are some on {', '.join(there)}")


def say(text: str = "") -> None:
    """Print text that may have several lines, whatever is in it."""
    sys.stdout.write(printable(text) + "\n")


def say_json(value: object) -> None:
    sys.stdout.write(json_printable(json.dumps(value, ensure_ascii=False)) + "\n")


def say_diff(path: str, before: str, after: str, form: str) -> None:
    """Print a change: in short unless `form` is full, not at all where it is none."""
    whole = json_text.diff(path, before, after)
    if form == "none" or not whole:
        return
    shown = whole if form == "full" else short_diff.of(whole)
    say(f"\n{shown.rstrip()}\n")
    if shown != whole:
        say(short_diff.HOW_TO_SEE_ALL)


def say_wrapped(text: str, indent: int = 0) -> None:
    """Print a paragraph (see `wrapped`); a name in it with line ends can't forge a line of ours."""
    say(wrapped(" " * indent + flat(text), sys.stdout))


def wrapped(text: str, stream: TextIO) -> str:
    """Return a paragraph with its lines broken between words for a terminal, and not at all for a pipe."""
    if not stream.isatty():
        return text
    space = text[: len(text) - len(text.lstrip())]
    return textwrap.fill(
        text,
        shutil.get_terminal_size().columns,
        subsequent_indent=f"{space}  ",
        break_long_words=False,
        break_on_hyphens=False,
    )


def some(names: Sequence[str], most: int = 30) -> str:
    more = f" and {len(names) - most} more" if len(names) > most else ""
    return ", ".join(names[:most]) + more
