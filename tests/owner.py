"""`make owner NAME=...`: write who publishes this repository wherever its address stands.

Until then the placeholder OWNER/fanout is there, pyproject's `urls` is a comment, and the README shows how to
install from a clone.
"""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import Final

import generated

PLACEHOLDER: Final = "OWNER"
NAME: Final = re.compile(r"[A-Za-z0-9](?:-?[A-Za-z0-9]){0,38}")
"""As GitHub takes them."""
ELSEWHERE: Final = ("benchmarks/", "tests/")
"""Where other repositories' owners are meant."""


def write(root: Path, name: str, before: str) -> list[str]:
    """Put `name` in the place of `before` in every tracked text file; return the files that changed."""
    tracked = subprocess.run(["git", "ls-files"], cwd=root, capture_output=True, text=True, check=True)
    changed = []
    for path in tracked.stdout.splitlines():
        if path.startswith(ELSEWHERE):
            continue
        try:
            old = (root / path).read_text(encoding="utf-8")
        except (UnicodeDecodeError, OSError):  # a picture; a file that is gone
            continue
        new = re.sub(rf"\b{re.escape(before)}(?=/fanout\b)", name, old)
        if path == "pyproject.toml":
            new = re.sub(r"^# (?=urls = )", "", new, flags=re.MULTILINE)
        if new != old:
            (root / path).write_text(new, encoding="utf-8")
            changed.append(path)
    return changed


def main() -> int:
    name = sys.argv[1] if len(sys.argv) > 1 else ""
    if not NAME.fullmatch(name):
        sys.stderr.write(f"make owner: {name!r} is not a name that GitHub takes; try make owner NAME=acme\n")
        return 2
    for path in write(generated.ROOT, name, generated.owner() or PLACEHOLDER):
        sys.stdout.write(f"{path}: written\n")
    generated.main()
    return 0


if __name__ == "__main__":
    sys.exit(main())
