"""A diff that somebody can read before agreeing to it: what is long or many times the same is said in short.

    short_diff.of(diff)          an event's fields in one line, blocks that come again counted, long lines cut
    short_diff.add_flag(parser)  the flag by which a command's user asks for the whole, or for none

What is left out is said where it was.
"""

from __future__ import annotations

import argparse
import re
from collections.abc import Iterable, Iterator
from itertools import groupby

LONGEST = 120
KEPT = 56
"""Of a line that is longer than LONGEST."""
LEAST_REPEATED = 6
"""Lines that must come again together to be counted instead."""
MOST_OF_TEXT = 12
"""Lines of one run in a file that isn't JSON: a text comes or goes as a whole."""
FIELD = re.compile(r'^[+-] *"(\w+)": "\$\{\1\}",?$')
"""A field of the event, handed on under its own name."""

HOW_TO_SEE_ALL = "The diff is in short; --diff full shows all of it."


def add_flag(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "--diff", choices=("short", "full", "none"), default="short", help="how much of the change to show"
    )


def of(diff: str, *, is_json: bool = True) -> str:
    """Return a unified diff in short."""
    lines = diff.splitlines()
    short = _repeats_counted(list(_fields_joined(lines))) if is_json else _runs_cut(lines)
    return "".join(f"{_cut(line)}\n" for line in short)


def _cut(line: str) -> str:
    if len(line) <= LONGEST:
        return line
    return f"{line[:KEPT]}… {len(line) - KEPT:,} characters more"


def _fields_joined(lines: Iterable[str]) -> Iterator[str]:
    """Say in one line that fields of the event are handed on, however many: which, its type decides."""
    for is_field, run in groupby(lines, lambda line: FIELD.match(line) is not None and line[0]):
        own = list(run)
        if is_field and len(own) > 1:
            space = own[0][1 : len(own[0]) - len(own[0][1:].lstrip())]
            yield f"{own[0][0]}{space}… the event's fields, each under its own name"
        else:
            yield from own


def _repeats_counted(lines: list[str]) -> Iterator[str]:
    """Count lines that stand in the same order further up."""
    seen: dict[tuple[str, ...], int] = {}
    at = 0
    while at < len(lines):
        block = tuple(lines[at : at + LEAST_REPEATED])
        before = seen.get(block)
        if before is None:
            seen[block] = at
            yield lines[at]
            at += 1
            continue
        size = next(
            (
                size
                for size in range(LEAST_REPEATED, at - before)
                if lines[before + size : before + size + 1] != lines[at + size : at + size + 1]
            ),
            at - before,
        )
        space = lines[at][1 : len(lines[at]) - len(lines[at][1:].lstrip())]
        yield f"{lines[at][0]}{space}… {size} lines as above"
        at += size


def _runs_cut(lines: Iterable[str]) -> Iterator[str]:
    """Cut runs of added or removed lines; a header (`+++ FILE`) is none."""
    run: list[str] = []
    for line in lines:
        if run and line[:1] == run[0][0]:
            run.append(line)
            continue
        yield from _run_cut(run)
        is_part = line[:1] in {"+", "-"} and not line.startswith(("+++ ", "--- "))
        run = [line] if is_part else []
        if not is_part:
            yield line
    yield from _run_cut(run)


def _run_cut(run: list[str]) -> list[str]:
    if len(run) <= MOST_OF_TEXT:
        return run
    return [*run[: MOST_OF_TEXT // 2], f"{run[0][0]}… {len(run) - MOST_OF_TEXT // 2:,} lines more"]
