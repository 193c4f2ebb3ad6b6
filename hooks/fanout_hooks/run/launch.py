"""How our own process is started for a cold event: a real interpreter on a real path, no name to look up.

`python3` on a PATH may be a version manager's shim, which costs 110 to 140 ms a start; so what runs now is
resolved once, when the entries are written. Committed entries can't hold a path of one machine: for them the
two paths are in the user's state folder, a line each (`write`), where a line of `sh` reads them.
"""

from __future__ import annotations

import os
import sys
from typing import NamedTuple

from fanout_hooks.client import files

NAME = "launch"


class Launch(NamedTuple):
    """`python -I -S script cold ...`."""

    python: str
    script: str

    @classmethod
    def own(cls) -> Launch:
        """Return how this very package is started, by the interpreter that runs now."""
        package = os.path.dirname(os.path.dirname(os.path.realpath(__file__)))
        return cls(os.path.realpath(sys.executable), os.path.join(package, "__main__.py"))


def write(state_folder: str, launch: Launch) -> None:
    """Leave the two paths for committed entries. Raises OSError."""
    both = os.fsencode(f"{launch.python}\n{launch.script}\n")
    files.replace(os.path.join(state_folder, NAME), both)


def keep(state_folder: str) -> None:
    """Leave the two paths if there are none that still lead anywhere. Raises OSError."""
    python, script, *_ = [*files.text(os.path.join(state_folder, NAME)).splitlines(), "", ""]
    if not (os.access(python, os.X_OK) and os.access(script, os.R_OK)):
        write(state_folder, Launch.own())
