"""Run a command where the system refuses things: full, read-only and failing disks, in a mount namespace.

Root is refused nothing by permission bits, so the refusals are real ones: small file systems that are full,
read-only mounts, a size limit for files, a file whose every read is an I/O error.
"""

from __future__ import annotations

import os
import resource
import subprocess
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Final

FULL: Final = """
mount -t tmpfs -o size={size} tmpfs "$WHERE.full"
cp -a "$WHERE/." "$WHERE.full/"
dd if=/dev/zero of="$WHERE.full/.filler" bs=1k 2>/dev/null || true
truncate -s -{left} "$WHERE.full/.filler"
mount --bind "$WHERE.full" "$WHERE"
"""
READ_ONLY: Final = """
mount --bind "$WHERE" "$WHERE"
mount -o remount,ro,bind "$WHERE"
"""
BROKEN: Final = """
mount --bind /proc/$$/mem "$WHERE"
"""
"""Every read from it is an I/O error, as long as this process lives, which becomes the command."""


def full(left: str = "0", size: str = "4m") -> str:
    """Return the commands that leave `left` bytes of a disk free."""
    return FULL.format(size=size, left=left)


def run(
    command: list[str],
    cwd: Path,
    env: Mapping[str, str],
    faults: Mapping[Path, str] | None = None,
    max_file: int | None = None,
) -> subprocess.CompletedProcess[str]:
    """Run `command` with each fault at its path; `max_file`: bytes that a file may have."""
    lines = ["set -e"]
    for number, (path, commands) in enumerate((faults or {}).items()):
        (path.parent / f"{path.name}.full").mkdir(exist_ok=True)
        lines += [f'WHERE="$FAULT_{number}"', commands]
    script = "\n".join([*lines, 'cd "$HERE"', 'exec "$@"'])
    named = {f"FAULT_{number}": str(path) for number, path in enumerate(faults or {})}
    namespace = ["unshare", "--mount"] if os.geteuid() == 0 else ["unshare", "--mount", "--map-root-user"]
    return subprocess.run(
        [*namespace, "sh", "-c", script, "sh", *command],
        cwd=cwd,
        # Python would leave compiled modules that end where the disk does.
        env={**env, **named, "HERE": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"},
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        preexec_fn=_limited(max_file),
    )


def _limited(max_file: int | None) -> Callable[[], None] | None:
    if max_file is None:
        return None
    return lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (max_file, max_file))
