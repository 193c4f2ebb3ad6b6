"""The command `fanout-hooks`: a table of commands, each in its own module."""

from __future__ import annotations

import argparse
import importlib
import os
import sys
from collections.abc import Sequence
from difflib import get_close_matches
from typing import TYPE_CHECKING, Protocol

from fanout_hooks.adoption.consent import wrapped
from fanout_hooks.client.settings import Refused
from fanout_hooks.printable import printable

if TYPE_CHECKING:
    from _typeshed import SupportsWrite

COMMANDS = {
    "adopt": ("adoption.adopt", "run a settings file's hooks through fanout: faster, and in a safe order"),
    "restore": ("adoption.restore", "undo `adopt`, byte for byte"),
    "check": ("adoption.check", "say what is wrong, what stays native, and which path is in use and why"),
    "graph": ("adoption.graph", "show which hook waits for which, and why"),
    "learn": ("adoption.learn", "write into hooks.json what real runs were seen to read and write"),
    "bench": ("adoption.bench", "time this project's events natively, cold and warm"),
    "cost": ("adoption.cost", "show what hooks cost per event and tool call, and what fanout would save"),
    "dispatch": ("adoption.dispatch", "run the hooks for one event read from stdin, and print the answer"),
}
OK, REFUSED, USAGE = 0, 1, 2


class Parser(argparse.ArgumentParser):
    """Shows what was typed only in a form that no terminal obeys: a shell's glob may have put it there."""

    def _print_message(self, message: str, file: SupportsWrite[str] | None = None) -> None:
        super()._print_message(printable(message), file)


class Command(Protocol):
    def add_arguments(self, parser: argparse.ArgumentParser) -> None: ...
    def run(self, args: argparse.Namespace) -> int: ...


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status: 0, 1 when something is wrong, 2 for wrong usage."""
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(usage())
        return OK if words else USAGE
    if words[0] in {"-V", "--version"}:
        from importlib.metadata import version  # hardly ever

        sys.stdout.write(f"fanout-hooks {version('fanout-mcp')}\n")
        return OK
    if words[0] not in COMMANDS:
        complain(unknown(words[0]))
        return USAGE
    module, line = COMMANDS[words[0]]
    command: Command = importlib.import_module(f"fanout_hooks.{module}")
    parser = Parser(prog=f"fanout-hooks {words[0]}", description=f"{line[0].upper()}{line[1:]}.")
    command.add_arguments(parser)
    try:
        return command.run(parser.parse_args(words[1:]))
    except Refused as error:
        complain(str(error))
        return REFUSED
    except BrokenPipeError:  # `fanout-hooks check | head`: the reader has seen enough
        sys.stderr.close()
        return OK
    except KeyboardInterrupt:
        return 130
    except Exception as error:  # noqa: BLE001 - the edge: a user reads a sentence, the trace is in a file
        from fanout_hooks.crash import explain

        complain(explain(f"`fanout-hooks {words[0]}`", error, os.environ))
        return REFUSED


def complain(text: str) -> None:
    """Say on stderr what is wrong; lines further in are commands, to be copied whole."""
    for line in printable(f"fanout-hooks: {text}").split("\n"):
        sys.stderr.write((line if line.startswith(" ") else wrapped(line, sys.stderr)) + "\n")


def unknown(word: str) -> str:
    near = get_close_matches(word, COMMANDS, n=1)
    hint = f"did you mean `fanout-hooks {near[0]}`?" if near else f"there are {', '.join(COMMANDS)}"
    return f"there is no command {word!r}; {hint}"


def usage() -> str:
    lines = [f"  {name:<9} {line}" for name, (_, line) in COMMANDS.items()]
    more = "Run `fanout-hooks COMMAND --help` for its options."
    return "\n".join(["usage: fanout-hooks COMMAND ...", "", *lines, "", more, ""])
