"""The command `fanout`: a table of commands, each a module that is imported only when it is called."""

from __future__ import annotations

import argparse
import errno
import importlib
import os
import stat
import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Final

from fanout_hooks.crash import explain, system_refusal
from fanout_mcp import __version__
from fanout_mcp.commands.flags import INTERRUPTED, NO_VERDICT, OK, USAGE, Command, in_flags
from fanout_mcp.errors import FanoutError, NoVerdict, StillRunning
from fanout_mcp.standard import keep_standard
from fanout_mcp.text import hint, printable

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

COMMANDS: Final[dict[str, tuple[str, str]]] = {
    "serve": ("scale.serve", "run the MCP server over stdin and stdout, or over HTTP"),
    "demo": ("commands.demo", "show the server at work on this folder, without a key"),
    "oracle": ("commands.panels", "ask a panel of experts at once"),
    "council": (
        "commands.panels:council",
        "ask a panel whose members answer again after reading each other",
    ),
    "explore": ("commands.explore", "understand modules without reading them"),
    "summarize": ("commands.explore:summarize", "say what each file is for, in a line"),
    "review": ("commands.review", "review files; every finding cites its line"),
    "merge": ("commands.review:merge", "merge findings from any reviewers into one ranked list"),
    "swarm": ("commands.panels:swarm", "put many agents on one task and merge their answers"),
    "report": ("commands.report", "show where hook time goes, as text, data or a page with charts"),
    "audit": ("commands.audit", "find agents that could run at once, and slow or racing hooks"),
    "cache": ("registration.cache", "show or clear the cache of answers and outlines"),
    "worker": ("scale.worker", "answer the questions that large calls put into the queue on Redis"),
    "batch": ("commands.batch", "show, wait for or cancel the batches in the queue on Redis"),
    "record": (
        "commands.panels:record",
        "record whether a panel was right; show how often each member was",
    ),
    "providers": ("registration.providers", "list the model providers; enable or disable one"),
    "doctor": ("registration.doctor", "show which backend would be used and why, and what is missing"),
    "policy": ("registration.policy", "check or show the company's policy; verify its audit log"),
    "install": ("registration.install", "register the server, skill and hooks with Claude Code"),
    "uninstall": ("registration.install:uninstall", "undo what `fanout install` did, and nothing else"),
}
"""Command -> the module that defines it, with the Command's name where it has several; its help line."""

FULL: Final = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EIO})
"""Errors of a disk that is full or broken."""


class Parser(argparse.ArgumentParser):
    """Escapes what was typed before it is shown: a file name from a shell's glob may hold control codes."""

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        super()._print_message(printable(message), file)


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; what it printed is written by then."""
    keep_standard()
    words = list(sys.argv[1:] if argv is None else argv)
    try:
        status = chosen(words)
        sys.stdout.flush()
    except BrokenPipeError:  # `fanout report | head`: the reader has seen enough
        discard_output()
        return OK
    except KeyboardInterrupt as error:
        ended: int = getattr(error, "status", INTERRUPTED)  # commands/shell.py says which signal it was
        return ended
    except Exception as error:  # noqa: BLE001 - the edge: a user reads a sentence, the trace is in a file
        if is_output_full(error):
            discard_output()
            return complain(f"the output can't be written: {system_refusal(error)}.", NO_VERDICT)
        return complain(explain(f"`fanout {words[0]}`", error, os.environ), NO_VERDICT)
    return status


def is_output_full(error: Exception) -> bool:
    """Return whether stdout is a file on a full disk; a pipe and a terminal are never full."""
    if not isinstance(error, OSError) or error.errno not in FULL or error.filename is not None:
        return False
    mode = os.fstat(sys.stdout.fileno()).st_mode
    return stat.S_ISREG(mode) or (stat.S_ISCHR(mode) and not sys.stdout.isatty())


def discard_output() -> None:
    """Discard what is still buffered: Python would write it again at exit, and fail with a traceback."""
    nowhere = os.open(os.devnull, os.O_WRONLY)
    os.dup2(nowhere, sys.stdout.fileno())
    os.close(nowhere)


def chosen(words: list[str]) -> int:
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(usage())
        return OK if words else USAGE
    if words[0] in {"-V", "--version"}:
        sys.stdout.write(f"fanout {__version__}\n")
        return OK
    if words[0] not in COMMANDS:
        near = hint(words[0], COMMANDS, "`fanout {}`")
        return complain(f"there is no command {words[0]!r}; {near}", USAGE)
    return run(words[0], words[1:])


def load(name: str) -> Command:
    place, _, attribute = COMMANDS[name][0].partition(":")
    module = importlib.import_module(f"fanout_mcp.{place}")
    found: Command = getattr(module, attribute) if attribute else Command(module.add_arguments, module.run)
    return found


def run(name: str, words: Sequence[str]) -> int:
    """Import the command, parse its arguments, and turn its errors into one line and an exit status."""
    help_line = COMMANDS[name][1]
    command = load(name)
    parser = Parser(prog=f"fanout {name}", description=f"{help_line[0].upper()}{help_line[1:]}.")
    command.add_arguments(parser)
    try:
        return command.run(parser.parse_args(words))
    except (NoVerdict, StillRunning) as error:
        return complain(in_flags(str(error), parser), NO_VERDICT)
    except FanoutError as error:
        return complain(in_flags(str(error), parser), USAGE)


def usage() -> str:
    width = max(map(len, COMMANDS))
    lines = [f"  {name:<{width}}  {help_line}" for name, (_, help_line) in COMMANDS.items()]
    end = "`fanout COMMAND --help` lists its arguments."
    return "\n".join(["usage: fanout COMMAND ...", "", *lines, "", end, ""])


def complain(sentence: str, status: int) -> int:
    sys.stderr.write(f"fanout: {printable(sentence)}\n")
    return status
