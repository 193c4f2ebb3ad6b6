"""Exit statuses of the shell commands, and a tool's arguments as flags.

The tools name their arguments as the model knows them (`max_cost_usd`, engine="static"); here the same
sentences name the flags. Imported before any command is chosen, so nothing heavy is imported here.
"""

from __future__ import annotations

import argparse
import re
import signal
import sys
from collections.abc import Callable
from typing import Final, NamedTuple

OK: Final = 0
FINDINGS: Final = 1
"""Findings or a regression at or above the limit that the caller set."""
USAGE: Final = 2
NO_VERDICT: Final = 3
INTERRUPTED: Final = 128 + signal.SIGINT
"""What a shell reports for a program ended by Ctrl-C."""


class Command(NamedTuple):
    """A command that shares its module with others; a module of one command has these two functions."""

    add_arguments: Callable[[argparse.ArgumentParser], None]
    run: Callable[[argparse.Namespace], int]


ENGINES: Final = {
    "auto": "a model where one is set up (default)",
    "model": "a model, or an error",
    "static": "no model, from analysis alone",
    "plan": "print agent calls for Claude Code to make",
}

MAX_BYTES: Final = 1 << 20
"""Of a question from stdin: far more than a tool takes, which then says how much that is."""


def names(text: str) -> list[str]:
    """Read names that are separated by commas; for `type=`."""
    found = [name.strip() for name in text.split(",") if name.strip()]
    if not found:
        raise argparse.ArgumentTypeError("no name was given; give one or more, separated by commas")
    return found


def words(text: str) -> str:
    """Read a question or a task; `-` reads it from stdin. For `type=`."""
    if text != "-":
        return text
    return sys.stdin.buffer.read(MAX_BYTES).decode("utf-8", "replace")


def add_max_cost(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--max-cost",
        type=float,
        dest="max_cost_usd",
        metavar="USD",
        help="refuse a call that may cost more (default 1)",
    )


def add_engine(parser: argparse.ArgumentParser, *engines: str) -> None:
    """Add --engine; `engines` are those beside `auto` that the tool has."""
    parser.add_argument(
        "--engine",
        choices=("auto", *engines),
        help="; ".join(f"{name}: {ENGINES[name]}" for name in ("auto", *engines)),
    )


def add_page(parser: argparse.ArgumentParser) -> None:
    """Add the flags that say how much of a long answer is printed, and from where."""
    add = parser.add_argument
    add(
        "--detail",
        choices=("auto", "full", "line"),
        help="auto (default): full entries if they fit, otherwise one line each; full; line",
    )
    add("--cursor", type=int, metavar="N", help="start at entry N; the end of each page names the next one")


def in_flags(sentence: str, parser: argparse.ArgumentParser) -> str:
    """Return the sentence with every argument named as it is typed."""
    for dest, typed in _typed(parser).items():
        sentence = re.sub(rf"`{dest}`", typed, sentence)
        if typed.startswith("-"):
            sentence = re.sub(rf'\b{dest}="?([\w.-]+(?:,\d{{3}})*)"?', rf"{typed} \1", sentence)
        if "_" in dest:
            sentence = re.sub(rf"\b{dest}\b", typed, sentence)
    return sentence


def _typed(parser: argparse.ArgumentParser) -> dict[str, str]:
    """Each argument's name -> its longest flag; what has no flag goes by its place's name in the usage."""
    return {
        action.dest: max(action.option_strings, key=len)
        if action.option_strings
        else str(action.metavar or action.dest.upper())
        for action in parser._actions  # noqa: SLF001 - argparse has no other list of them
    }
