"""What `install` and `uninstall` share: show every change as a diff, ask, write."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from fanout_hooks.settings import Refused, locked
from fanout_mcp.errors import InvalidInput
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
        rest = "" if "nothing was written" in said else " Nothing more was written."
        raise InvalidInput(f"{said}.{rest}") from None


def carry_out(
    console: Console, make: Callable[[], Plan], write: Callable[[Plan], None], lock: Path, *, yes: bool
) -> Plan | None:
    """Show a plan, ask, and write it; return what was planned, None when it wasn't wanted.

    Nobody waits while somebody thinks: the lock is taken for writing, and what another process wrote
    before that is planned for, and shown, anew.
    """
    with refusing():
        planned = make()
        while True:
            show(console, planned)
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


def show(console: Console, plan: Plan) -> None:
    for change in plan.changes:
        show_change(console, change)
    for note in plan.notes:
        console.print(note, soft_wrap=True)


def show_change(console: Console, change: Change) -> None:
    from rich.text import Text

    for line in change.diff.splitlines():
        style = "bold" if line.startswith(("+++", "---")) else COLOURS.get(line[:1], "dim")
        console.print(Text(line, style=style), soft_wrap=True)


def is_wanted(question: str, *, yes: bool) -> bool:
    """Ask at a terminal; without one only --yes is an answer. Raises InvalidInput where neither is there."""
    if yes:
        return True
    if not is_terminal():
        raise InvalidInput("nobody can be asked here, so nothing was written. Add --yes to write this.")
    return ask(question, default=True)


def ask(question: str, *, default: bool) -> bool:
    try:
        answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
    except EOFError:  # Ctrl-D: whoever leaves has agreed to nothing
        sys.stdout.write("\n")
        return False
    return answer in {"y", "yes"} if answer else default


def is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
