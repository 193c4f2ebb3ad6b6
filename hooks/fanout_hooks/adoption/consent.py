"""What the commands share: which scopes are meant, showing a change in short, and asking before writing."""

from __future__ import annotations

import argparse
import json
import os
import re
import shutil
import sys
import textwrap
from collections.abc import Iterable, Iterator, Sequence
from itertools import groupby, takewhile
from typing import TextIO

from fanout_hooks.client import json_edit
from fanout_hooks.client import places as client_places
from fanout_hooks.client.config import SCOPES
from fanout_hooks.client.places import Place
from fanout_hooks.client.settings import Edit, Refused
from fanout_hooks.printable import flat, json_printable, printable

# --- A diff short enough to read before agreeing to it ------------------------------------------------------
# An event's fields are one line, blocks that come again are counted, long lines cut. What is left out is said
# where it was.

MAX_LENGTH = 120
KEPT = 56
"""Of a line that is longer."""
MIN_REPEATED = 6
"""Lines that must come again together to be counted instead."""
MAX_OF_TEXT = 12
"""Lines of one run in a file that isn't JSON: a text comes or goes as a whole."""
FIELDS = re.compile(r'^([+-])( *)"(\w+)": "\$\{\3\}",?\n(?:\1 *"(\w+)": "\$\{\4\}",?\n)+', re.MULTILINE)
"""Fields of the event that are handed on, each under its own name: which, the event's type decides."""

HOW_TO_SEE_ALL = "The diff is in short; --diff full shows all of it."


def add_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--diff", choices=("short", "full", "none"), default="short", help="how much of the change to show"
    )


def of(diff: str, *, is_json: bool = True) -> str:
    lines = FIELDS.sub(r"\1\2… the event's fields, each under its own name\n", diff).splitlines()
    short = _repeats_counted(lines) if is_json else _runs_cut(lines)
    return "".join(f"{_cut(line)}\n" for line in short)


def _cut(line: str) -> str:
    if len(line) <= MAX_LENGTH:
        return line
    return f"{line[:KEPT]}… {len(line) - KEPT:,} characters more"


def _repeats_counted(lines: list[str]) -> Iterator[str]:
    """Count lines that are in the same order further up."""
    seen: dict[tuple[str, ...], int] = {}
    at = 0
    while at < len(lines):
        block = tuple(lines[at : at + MIN_REPEATED])
        before = seen.get(block)
        if before is None:
            seen[block] = at
            yield lines[at]
            at += 1
            continue
        pairs = zip(lines[before:at], lines[at:], strict=False)
        size = sum(1 for _ in takewhile(lambda pair: pair[0] == pair[1], pairs))
        space = lines[at][1 : len(lines[at]) - len(lines[at][1:].lstrip())]
        yield f"{lines[at][0]}{space}… {size} lines as above"
        at += size


def _runs_cut(lines: Iterable[str]) -> Iterator[str]:
    """Cut runs of added or removed lines; a header (`+++ FILE`) is none."""
    for sign, run in groupby(lines, lambda line: not line.startswith(("+++ ", "--- ")) and line[:1]):
        own = list(run)
        if sign in ("+", "-") and len(own) > MAX_OF_TEXT:
            own[MAX_OF_TEXT // 2 :] = [f"{sign}… {len(own) - MAX_OF_TEXT // 2:,} lines more"]
        yield from own


# --- Which scopes are meant, and asking ---------------------------------------------------------------------

OK, WRONG = 0, 1
DEFAULT_SCOPES = ("user", "local")
NONE_ADOPTED = "No hooks are adopted here; `fanout-hooks adopt` does it."


def add_project(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--project", metavar="DIR", help="the project (default: the one around this folder)")


def add_scopes(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--scope",
        choices=SCOPES,
        action="append",
        help="user: ~/.claude/settings.json; local: .claude/settings.local.json; shared: the committed"
        " .claude/settings.json (default: user and local)",
    )
    parser.add_argument("--shared", action="store_true", help="also the project's committed settings file")
    parser.add_argument("--yes", action="store_true", help="don't ask")
    add_project(parser)
    add_flag(parser)


def project_of(args: argparse.Namespace) -> str:
    named: str | None = args.project
    if named is not None:
        if not os.path.isdir(named):
            raise Refused(f"{named} is not a folder")
        return os.path.realpath(named)
    return client_places.project_of(os.getcwd(), os.path.expanduser("~"))


def places(args: argparse.Namespace, default: Sequence[str] = DEFAULT_SCOPES) -> list[Place]:
    named = list(args.scope or (["shared"] if args.shared else default))
    if args.shared and "shared" not in named:
        named.append("shared")
    project = project_of(args)
    return [client_places.find(scope, project, dict(os.environ)) for scope in dict.fromkeys(named)]


def confirm(args: argparse.Namespace, otherwise: str = "Nothing was written.") -> bool:
    """Ask first; a no is answered with what was not done. Raises Refused where no one can be asked."""
    if args.yes:
        return True
    if not sys.stdin.isatty():
        raise Refused(f"no one can be asked here. {otherwise} --yes goes ahead unasked")
    try:
        answer = input("Go ahead? [y/N] ")
    except EOFError:  # Ctrl-D: who leaves has agreed to nothing
        answer = ""
        say()
    if answer.strip().lower() in {"y", "yes"}:
        return True
    say(otherwise)
    return False


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


def say_diff(edit: Edit, form: str) -> None:
    """Print a change: in short unless `form` is full, not at all where it is none."""
    whole = json_edit.diff(edit.file.path, edit.file.text, edit.text)
    if form == "none" or not whole:
        return
    shown = whole if form == "full" else of(whole)
    say(f"\n{shown.rstrip()}\n")
    if shown != whole:
        say(HOW_TO_SEE_ALL)


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
