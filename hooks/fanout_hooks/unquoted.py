"""Finds the variable of a hook's command that stands outside quotes and whose value the shell will split.

`python3 $CLAUDE_PROJECT_DIR/check.py` works until the project lies in "my project": then it starts
`/home/me/my`, ends with 2, and so blocks. Read as the runtime reads commands (command.py): a command that is
simple with every variable's value a plain word, and is not with one's real value, holds that one unquoted.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from fanout_hooks.command import split

_SPLIT = re.compile(r"[ \t\n]")
_QUOTED_OR_END = re.compile(r"""\\.|'[^']*'|"(?:\\.|[^"\\])*"|[<>]&|(&&|\|\||[;|&\n])""", re.DOTALL)
_REDIRECTION = re.compile(r"\d{0,9}(?:>>|>|<)\s{0,99}(?:&\d|&-|[^\s;|&<>]+)")
"""The shell doesn't split where it redirects to."""
_BEFORE = re.compile(
    r"\s*(?:(?:if|then|elif|else|while|until|do|exec)\s+)*(?:[A-Za-z_]\w{0,99}=[^\s'\"\\]*(?:\s+|$))*"
)
"""Nor what it assigns before a command."""
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_LEFT_WHOLE = ("echo", "printf", "export", "readonly", "local", "case")
"""To these the value is the same in one piece or several, or the shell doesn't split it there."""


def split_variable(command: str, env: dict[str, str]) -> str:
    """Return the name of a variable that breaks this command, "" where there is none or it can't be told."""
    names = [name for name, value in env.items() if _SPLIT.search(value) and name in command]
    if not names or "<<" in command:
        return ""
    plain = {name: "x" if value else "" for name, value in env.items()}
    for part in _simple_commands(command):
        words = split(part, plain)
        if not words or _ASSIGNMENT.match(words[0]) or words[0] in _LEFT_WHOLE:
            continue
        for name in names:
            if split(part, plain | {name: env[name]}) is None:
                return name
    return ""


def _simple_commands(command: str) -> Iterator[str]:
    began = 0
    for match in _QUOTED_OR_END.finditer(command):
        if match[1]:
            yield _bare(command[began : match.start()])
            began = match.end()
    yield _bare(command[began:])


def _bare(part: str) -> str:
    return _BEFORE.sub("", _REDIRECTION.sub(" ", part), count=1)
