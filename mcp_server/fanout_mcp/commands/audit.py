"""`fanout audit`: what ran one after another and needn't have; hooks that are slow or race."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Iterator
from pathlib import Path

from rich.console import Console
from rich.text import Text

from fanout_hooks import audit
from fanout_hooks.audit import Found, Observation
from fanout_hooks.client import transcripts as client_transcripts
from fanout_hooks.client.places import claude_folder
from fanout_hooks.log import append as log_append
from fanout_hooks.log import rollup
from fanout_hooks.printable import json_printable
from fanout_mcp.commands.display import paragraph
from fanout_mcp.commands.flags import OK
from fanout_mcp.commands.shell import put
from fanout_mcp.errors import InvalidInput
from fanout_mcp.state import settings
from fanout_mcp.text import printable


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add(
        "--transcripts",
        nargs="?",
        const="",
        metavar="FOLDER",
        help="read Claude Code's transcripts too: this project's, or those below FOLDER",
    )
    add("--last", type=int, default=50, metavar="N", help="at most N transcripts (default 50)")
    add("--json", action="store_true", help="print the observations as JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    if args.last < 1:
        raise InvalidInput("--last must be a whole number from 1 on.")
    root = str(settings.read().project)
    hooks, problems = audit.find(root, dict(os.environ))
    if problems:
        raise InvalidInput(problems[0])
    found = [*audit.races(hooks), *_from_log(root, hooks)]
    if args.transcripts is not None:
        found += _from_transcripts(args, root, hooks)
    found.sort(key=lambda one: (-one.seconds, one.place))
    if args.json:
        sys.stdout.write(json_printable(audit.to_json(found)) + "\n")
    else:
        put(lambda console: _show(console, found, with_transcripts=args.transcripts is not None))
    return OK


def _from_log(root: str, hooks: list[Found]) -> Iterator[Observation]:
    log = log_append.path_of(root)
    try:
        tally = rollup.gather(log)
    except OSError as error:
        raise InvalidInput(f"{log} can't be read: {error.strerror or error}.") from error
    yield from audit.of_log(tally, log, hooks)


def _from_transcripts(args: argparse.Namespace, root: str, hooks: list[Found]) -> Iterator[Observation]:
    folder = args.transcripts or client_transcripts.project_folder(root, claude_folder(os.environ))
    if not Path(folder).is_dir():
        raise InvalidInput(f"{folder} holds no transcripts. Name their folder: --transcripts FOLDER.")
    newest = client_transcripts.find(folder)[: args.last]
    # The oldest first: what a later one repeats of it is left out there.
    read = list(client_transcripts.distinct(map(client_transcripts.read, reversed(newest))))
    for conversation in read:
        yield from audit.sequential_agents(conversation)
        yield from audit.sequential_calls(conversation)
    yield from audit.of_transcripts(read, hooks)


def _show(console: Console, found: list[Observation], *, with_transcripts: bool) -> None:
    for kind in dict.fromkeys(one.kind for one in found):
        own = [one for one in found if one.kind == kind]
        total = sum(one.seconds for one in own)
        paragraph(
            console,
            Text(kind, "bold").append(f": {len(own)}" + (f", {total:.1f} s" if total else ""), "not bold"),
        )
        for one in own:
            paragraph(console, f"- {printable(one.what)}", indent=1, hanging=2)
            paragraph(console, printable(one.place), indent=3)  # alone: a line to click or to copy
            paragraph(console, f"time {printable(_time(one))}", "dim", indent=3)
        for advice in dict.fromkeys(one.advice for one in own):
            paragraph(console, f"=> {printable(advice)}", hanging=3)
        console.print()
    if not found:
        paragraph(
            console,
            "Nothing found that ran one after another without need, and no hook that is slow or races.",
        )
    if not with_transcripts:
        paragraph(
            console, "Settings, hooks and hook log only. Transcripts are read with --transcripts.", "dim"
        )


def _time(one: Observation) -> str:
    if not one.seconds:
        return f"not measured: {one.basis}"
    return f"{one.seconds:.1f} s {'measured' if one.measured else 'estimated'}: {one.basis}"
