"""Keep standard modules standard, whatever a library does to `sys.path`.

Some of our modules share their name with a standard one (`types`, `secrets`); so may a file of the project.
Libraries put folders on `sys.path` when they are imported: lizard adds that of `sys.argv[0]`, which for a
process started by path or with `-m` is a folder of our package. Then `import secrets` finds the wrong one.
"""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Sequence
from importlib.machinery import ModuleSpec, PathFinder
from types import ModuleType


class StandardFirst:
    """A finder before all others: names of the standard library are looked up in its own folders alone."""

    def __init__(self) -> None:
        folders = (sysconfig.get_path("stdlib"), sysconfig.get_path("platstdlib"))
        # lib-dynload holds the compiled modules; a build may have it elsewhere than beside the others.
        compiled = [path for path in sys.path if path.rstrip("/").endswith("lib-dynload")]
        self._folders = [*dict.fromkeys((*folders, *(f"{one}/lib-dynload" for one in folders), *compiled))]

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        if path is not None or name not in sys.stdlib_module_names:
            return None
        return PathFinder.find_spec(name, self._folders, target)


def keep_standard() -> None:
    """Install the finder in this process; safe to call twice."""
    if not any(isinstance(finder, StandardFirst) for finder in sys.meta_path):
        sys.meta_path.insert(0, StandardFirst())
