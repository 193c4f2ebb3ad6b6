"""Which files a hook's source text reads, replaces and appends to: a guess, for only a run shows.

Paths are written out as far as the text tells them: relative to the project, `~` for the home folder, `*` for
a part that only a run knows. A name with `*` in its last part (`state-*.json`) is another file each time and
is left out. A database that locks itself (sqlite) is no file that two may spoil, a file opened for
appending loses nothing when two append to it.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable
from typing import NamedTuple

from fanout_hooks.audit_javascript import javascript
from fanout_hooks.audit_python import python
from fanout_hooks.audit_shell import shell


class Touches(NamedTuple):
    """What one source touches."""

    reads: frozenset[str] = frozenset()
    replaces: frozenset[str] = frozenset()
    appends: frozenset[str] = frozenset()
    locks: bool = False

    @property
    def writes(self) -> frozenset[str]:
        return self.replaces | self.appends


def of_text(text: str, ending: str) -> Touches:
    """Read a script by its language: Python, JavaScript, else a shell."""
    if ending == ".py":
        return _united(python(text))
    if ending in (".js", ".mjs", ".cjs", ".ts"):
        return _united(javascript(text))
    return _united(shell(text))


def _united(found: Iterable[tuple[str, str]]) -> Touches:
    every: dict[str, set[str]] = {"r": set(), "w": set(), "a": set(), "lock": set()}
    for how, path in found:
        every[how].add(_tidy(path))
    named = {how: frozenset(filter(_is_one_file, paths)) for how, paths in every.items()}
    return Touches(named["r"], named["w"], named["a"], locks=bool(every["lock"]))


def _tidy(path: str) -> str:
    tidy = os.path.normpath(re.sub(r"\*+", "*", path)) if path else ""
    while tidy.startswith("*/"):
        tidy = tidy[2:]
    return tidy


def _is_one_file(path: str) -> bool:
    name = os.path.basename(path)
    return (
        bool(name)
        and "*" not in name
        and name not in (".", "..")
        and not path.startswith(("/dev/", "/proc/"))
    )
