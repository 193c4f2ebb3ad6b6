"""What `install` and `uninstall` share: show every change as a diff, ask, write."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fanout_hooks import short_diff
from fanout_hooks.crash import system_refusal
from fanout_hooks.settings import Refused, locked
from fanout_mcp.commands.paragraphs import paragraph
from fanout_mcp.errors import InvalidInput
from fanout_mcp.registration import summary
from fanout_mcp.registration.plan import Change, Plan

if TYPE_CHECKING:
    from rich.console import Console

WAIT_S = 30.0
"""For others that are writing right now, each of them for milliseconds."""

COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@contextmanager
def refusing() -> Iterator[None]:
    """A file that is left as it is ends the command with the reason."""
    try:
        yield
    except Refused as error:
        said = str(error).rstrip(".")
        rest = "" if "nothing was written" in said or "put back" in said else " Nothing more was written."
        raise InvalidInput(f"{said}.{rest}") from None
    except OSError as error:
        raise InvalidInput(f"{system_refusal(error) or error}. Nothing more was written.") from None


def carry_out(
    console: Console,
    make: Callable[[], Plan],
    write: Callable[[Plan], None],
    lock: Path,
    *,
    yes: bool,
    diff: str = "short",
) -> Plan | None:
    """Show a plan, ask, and write it; return what was planned, None when it wasn't wanted.

    Nobody waits while somebody thinks: the lock is taken for writing, and what another process wrote
    before that is planned for, and shown, anew.
    """
    with refusing():
        planned = make()
        while True:
            show(console, planned, diff)
            if not planned.changes:
                return planned
            if not is_wanted(f"Write {_count(planned)}?", yes=yes):
                return None
            with locked("installing", str(lock), WAIT_S):
                now = make()
                if now == planned:
                    write(planned)
                    return planned
            planned = now


def _count(planned: Plan) -> str:
    return "this file" if len(planned.changes) == 1 else f"these {len(planned.changes)} files"


def show(console: Console, plan: Plan, form: str) -> None:
    show_changes(console, plan.changes, form)
    for note in plan.notes:
        paragraph(console, note)


def show_changes(console: Console, changes: Sequence[Change], form: str) -> None:
    """Print what comes and goes, a line each, then the diffs: in short unless `form` is full."""
    from rich.text import Text

    for change in changes:
        paragraph(console, str(change.path), "bold")
        for line in summary.of(change):
            paragraph(console, Text(line, COLOURS.get(line[0], "")), indent=2, hanging=2)
    is_cut = False
    for change in changes if form != "none" else ():
        whole = change.diff
        shown = whole if form == "full" else short_diff.of(whole, is_json=change.is_json)
        is_cut |= shown != whole
        console.print()
        for line in shown.splitlines():
            style = "bold" if line.startswith(("+++ ", "--- ")) else COLOURS.get(line[:1], "dim")
            console.print(Text(line, style=style), soft_wrap=True)
    if is_cut:
        paragraph(console, short_diff.HOW_TO_SEE_ALL, "dim")
    if changes:
        console.print()


def is_wanted(question: str, *, yes: bool) -> bool:
    """Ask at a terminal; without one only --yes is an answer. Raises InvalidInput where neither is there."""
    if yes:
        return True
    if not is_terminal():
        raise InvalidInput("nobody can be asked here, so nothing was written. Add --yes to write this.")
    return ask(question, default=False)


def ask(question: str, *, default: bool) -> bool:
    try:
        answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
    except EOFError:  # Ctrl-D: whoever leaves has agreed to nothing
        sys.stdout.write("\n")
        return False
    return answer in {"y", "yes"} if answer else default


def is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
