"""What `install` and `uninstall` share: show every change as a diff, ask, write."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from fanout_hooks.settings import Refused
from fanout_mcp.errors import InvalidInput
from fanout_mcp.registration.plan import Plan

if TYPE_CHECKING:
    from rich.console import Console

COLOURS = {"+": "green", "-": "red", "@": "cyan"}


@contextmanager
def refusing() -> Iterator[None]:
    """A file that is left as it is ends the command with the reason."""
    try:
        yield
    except Refused as error:
        raise InvalidInput(f"{error}. Nothing more was written.") from None


def show(console: Console, plan: Plan) -> None:
    from rich.text import Text

    for change in plan.changes:
        for line in change.diff.splitlines():
            style = "bold" if line.startswith(("+++", "---")) else COLOURS.get(line[:1], "dim")
            console.print(Text(line, style=style), soft_wrap=True)
    for note in plan.notes:
        console.print(note, soft_wrap=True)


def is_wanted(question: str, *, yes: bool) -> bool:
    """Ask at a terminal; without one only --yes is an answer. Raises InvalidInput where neither is there."""
    if yes:
        return True
    if not is_terminal():
        raise InvalidInput("nobody can be asked here, so nothing was written. Add --yes to write this.")
    return ask(question, default=True)


def ask(question: str, *, default: bool) -> bool:
    answer = input(f"{question} [{'Y/n' if default else 'y/N'}] ").strip().lower()
    return answer in {"y", "yes"} if answer else default


def is_terminal() -> bool:
    return sys.stdin.isatty() and sys.stdout.isatty()
