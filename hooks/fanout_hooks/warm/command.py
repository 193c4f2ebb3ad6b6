"""Recognize commands that are only `python script arguments` (or `node`, `uv run`): they can be kept warm.

The shell is read, not run: words, quotes, `$NAME` and `~/`, as in `python3 "$CLAUDE_PROJECT_DIR"/hooks/x.py`.
Whatever could mean more (pipes, globs, assignments, substitutions, `-m`, `-c`) is "no": the shell runs it.
A backslash at the end of a line joins it with the next, but for one within a variable's name: that is "no".
A script that is its own command (`#!/usr/bin/env python3`, executable) counts as well. Node's and uv's own
words are read in node.py and uv.py.
"""

from __future__ import annotations

import os
import re
from collections.abc import Sequence
from typing import NamedTuple

_LAUNCHER = re.compile(r"(?P<python>python(?:3(?:\.\d+)?)?)|(?P<node>node(?:js)?)|(?P<uv>uv)")
_FLAGS = re.compile(r"-[uBsSEIPOd]+")
_SAFE = re.compile(r"[A-Za-z0-9_./:@%+,=-]*")
_NAME = re.compile(r"\{([A-Za-z_]\w*)\}|([A-Za-z_]\w*)", re.ASCII)
_ENV_SPECIAL = frozenset("'\"\\$#=")
"""What `env -S` would not take as it is."""
_SPECIAL = frozenset(";|&<>()*?[]{}`!\n")
_ASSIGNMENT = re.compile(r"[A-Za-z_]\w*=")
_JOINED = "\\\n"


class Program(NamedTuple):
    """A Python program: which interpreter, how started, which script, with what."""

    exe: str
    flags: str
    script: str
    argv: tuple[str, ...]
    base: str = ""
    """By what virtual environments share an interpreter (uv.py); "" where this one has its own."""

    @property
    def interpreter(self) -> str:
        """Return the name of what is kept warm for it."""
        return self.base or self.exe


def launcher(words: Sequence[str]) -> str:
    """Return which launcher a command names: python, node, uv or ""."""
    match = _LAUNCHER.fullmatch(os.path.basename(words[0])) if words else None
    return str(match.lastgroup) if match is not None else ""


def python_of(words: Sequence[str], env: dict[str, str], cwd: str) -> Program | None:
    """Return the program of a command in words; None when it isn't one interpreter with one script."""
    if launcher(words) != "python":
        return None
    exe = which(words[0], env, cwd)
    flags = ""
    at = 1
    while at < len(words) and words[at].startswith("-"):
        if not _FLAGS.fullmatch(words[at]):
            return None
        flags += words[at][1:]
        at += 1
    if exe is None or at >= len(words) or os.path.isdir(os.path.join(cwd, words[at])):
        return None
    return Program(exe, "".join(sorted(set(flags))), words[at], tuple(words[at + 1 :]))


def words_of(command: str, args: tuple[str, ...] | None, env: dict[str, str], cwd: str) -> list[str]:
    """Return what a hook's command executes, a script's first line read; nothing where a shell is needed."""
    words = [command, *args] if args is not None else split(command, env)
    if not words or (args is None and _ASSIGNMENT.match(words[0])):
        return []
    if words[0] == "exec" and args is None:
        words = words[1:]
    return _shebang(words, env, cwd)


def which(name: str, env: dict[str, str], cwd: str) -> str | None:
    folders = [""] if "/" in name else env.get("PATH", os.defpath).split(":")
    paths = (os.path.join(cwd, folder, name) for folder in folders)
    return next((path for path in paths if os.access(path, os.X_OK) and os.path.isfile(path)), None)


def of_python(python: str) -> tuple[str, ...]:
    """Return the files that change when an environment does; its pyvenv.cfg comes first."""
    prefix = os.path.dirname(os.path.dirname(python))
    library = os.path.join(prefix, "lib")
    try:
        folders = sorted(name for name in os.listdir(library) if name.startswith("python"))
    except OSError:
        folders = []
    sites = (os.path.join(library, name, "site-packages") for name in folders)
    return (os.path.join(prefix, "pyvenv.cfg"), python, *sites)


def is_shim(path: str) -> bool:
    """Say whether an interpreter is a version manager's script."""
    try:
        with open(path, "rb") as file:
            return file.read(2) == b"#!"
    except OSError:
        return False


def _shebang(words: list[str], env: dict[str, str], cwd: str) -> list[str]:
    """Replace a script that is its own command by what its first line says."""
    if not words or launcher(words):
        return words  # itself a script perhaps: a version manager's shim
    path = which(words[0], env, cwd)
    if path is None:
        return words
    try:
        with open(path, "rb") as file:
            first = file.readline(256).decode("utf-8", "replace")
    except OSError:
        return words
    if not first.startswith("#!"):
        return words
    found = first[2:].split()
    by_env = found[:1] in (["/usr/bin/env"], ["/bin/env"])
    found = found[by_env:]
    if by_env and found[:1] == ["-S"] and not _ENV_SPECIAL.intersection(first[2:]):
        found = found[1:]
    elif len(found) != 1:
        return words
    if not launcher(found):
        return words
    return [*found, words[0] if "/" in words[0] else path, *words[1:]]


def split(command: str, env: dict[str, str]) -> list[str] | None:
    """Split a simple command as the shell would; None when it isn't simple."""
    words: list[str] = []
    word: str | None = None
    at = 0
    text = command.strip(" \t\n")
    while at < len(text):
        char = text[at]
        if text.startswith(_JOINED, at):
            at += len(_JOINED)
            continue
        if char in " \t":
            if word is not None:
                words.append(word)
            word = None
            at += 1
            continue
        if char in _SPECIAL or (char == "#" and word is None):
            return None
        piece, at = _piece(text, at, env, first=word is None)
        if piece is None:
            return None
        word = (word or "") + piece
    if word is not None:
        words.append(word)
    return words


def _piece(text: str, at: int, env: dict[str, str], *, first: bool) -> tuple[str | None, int]:
    char = text[at]
    if char == "'":
        end = text.find("'", at + 1)
        return (None, at) if end < 0 else (text[at + 1 : end], end + 1)
    if char == '"':
        return _quoted(text, at + 1, env)
    if char == "\\":
        return (None, at) if at + 1 >= len(text) else (text[at + 1], at + 2)
    if char == "$":
        value, after = _variable(text, at, env)
        # Outside quotes the shell would split the value into words and expand patterns in it.
        return (value, after) if value and _SAFE.fullmatch(value) else (None, at)
    if char == "~" and first:
        home = env.get("HOME", "")
        followed = text[at + 1 : at + 2] in ("", "/", " ")
        return (home, at + 1) if followed and home else (None, at)
    return char, at + 1


def _quoted(text: str, at: int, env: dict[str, str]) -> tuple[str | None, int]:
    found = ""
    while at < len(text):
        char = text[at]
        if char == '"':
            return found, at + 1
        if char == "`":
            return None, at
        if char == "\\" and text[at + 1 : at + 2] in ("$", "`", '"', "\\", "\n"):
            found += "" if text[at + 1] == "\n" else text[at + 1]
            at += 2
        elif char == "$":
            value, at = _variable(text, at, env)
            if value is None:
                return None, at
            found += value
        else:
            found += char
            at += 1
    return None, at


def _variable(text: str, at: int, env: dict[str, str]) -> tuple[str | None, int]:
    match = _NAME.match(text, at + 1)
    if match is None or text.startswith(_JOINED, match.end()):
        return None, at
    return env.get(match.group(1) or match.group(2), ""), match.end()
