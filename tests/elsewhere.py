"""Run tests as on a system that is POSIX and not Linux: no /proc, no memfd, no pidfd, no epoll.

    python tests/elsewhere.py tests/run -q

In a mount namespace of its own, /proc is an empty folder, and the standard library is a copy in which those
functions are missing. A copy, for the processes that hooks run in are started with -I and -S, where neither
sitecustomize nor a variable reaches them.
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).parents[1]
GONE: Final = ("memfd_create", "pidfd_open", "eventfd", "splice", "sched_getaffinity", "sched_setaffinity")
LEFT_OUT: Final = ("site-packages", "test", "idlelib", "tkinter", "ensurepip", "lib2to3", "config-*")
MASK: Final = 'mount --bind "$0" "$1" && mount -t tmpfs none /proc && shift && exec "$@"'


def standard_library(folder: Path) -> Path:
    """Copy the standard library, without what only Linux has."""
    real = Path(sysconfig.get_path("stdlib"))
    copy = folder / "lib"
    shutil.copytree(real, copy, ignore=shutil.ignore_patterns(*LEFT_OUT), symlinks=True)
    (copy / "site-packages").mkdir()
    # The first module that every interpreter reads from a file, before `os` looks into `posix`.
    with (copy / "encodings" / "__init__.py").open("a") as file:
        file.write(f"\nimport posix\nfor _name in {GONE}:\n    posix.__dict__.pop(_name, None)\n")
    selectors = copy / "selectors.py"  # asyncio's; trio, which only tests use, insists on epoll
    selectors.write_text(selectors.read_text().replace("_can_use('epoll')", "False"))
    return copy


def run(words: Sequence[str], *, is_shown: bool = False) -> subprocess.CompletedProcess[str]:
    """Run a command there. Raises PermissionError where the system gives no mount namespace."""
    unshare = ["unshare", "--mount", *([] if os.geteuid() == 0 else ["--map-root-user"])]
    if subprocess.run([*unshare, "true"], capture_output=True, check=False).returncode != 0:
        raise PermissionError("no mount namespace can be made here")
    with tempfile.TemporaryDirectory(prefix="fanout-elsewhere-") as name:
        copy = standard_library(Path(name))
        return subprocess.run(
            [*unshare, "sh", "-c", MASK, str(copy), sysconfig.get_path("stdlib"), *words],
            cwd=ROOT,
            capture_output=not is_shown,
            text=True,
            check=False,
        )


def main() -> int:
    words = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", *sys.argv[1:]]
    return run(words, is_shown=True).returncode


if __name__ == "__main__":
    sys.exit(main())
