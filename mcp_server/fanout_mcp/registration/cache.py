"""`fanout cache`: where answers and outlines of this project are kept, how much it is, and `clear`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from fanout_mcp.commands.flags import OK
from fanout_mcp.commands.shell import put_json
from fanout_mcp.errors import FanoutError
from fanout_mcp.state import cache, settings
from fanout_mcp.state.cache import BESIDE
from fanout_mcp.structure import survey

NAMES = {
    name: kind
    for file, kind in ((cache.FILE, "answers"), (survey.FILE, "outlines"))
    for name in (file, str(Path(file).with_suffix(".broken")), *(file + end for end in BESIDE))
}
"""Files of a cache -> what they hold."""


class Kept(NamedTuple):
    """A file of a cache; `kind` is what it holds."""

    kind: str
    path: Path
    size: int


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=["show", "clear"], default="show", help="default: show")
    parser.add_argument("--all", action="store_true", help="for every project, not just this one")
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    own = settings.read().cache
    where = own.parent if args.all else own
    kept = list(found(where))
    if args.action == "clear":
        clear(kept)
    size = sum(one.size for one in kept)
    if args.json:
        rows = [{"kind": one.kind, "path": str(one.path), "bytes": one.size} for one in kept]
        put_json({"folder": str(own), "files": rows, "bytes": size, "cleared": args.action == "clear"})
        return OK
    verb = "Removed from" if args.action == "clear" else "Kept in"
    lines = [f"{verb} {where}: {len(kept)} files, {spoken(size)}"]
    lines += [f"  {one.kind:<9} {spoken(one.size):>9}  {one.path.relative_to(where)}" for one in kept]
    sys.stdout.write("\n".join(lines) + "\n")
    return OK


def found(folder: Path) -> Iterator[Kept]:
    for path in sorted(folder.glob("**/*")):
        if path.name in NAMES and path.is_file():
            yield Kept(NAMES[path.name], path, path.lstat().st_size)


def clear(kept: list[Kept]) -> None:
    """Remove the files. A process that has one open works on with it, and the next begins a new one."""
    for one in kept:
        try:
            one.path.unlink(missing_ok=True)
        except OSError as error:
            raise FanoutError(f"{one.path} can't be removed: {error.strerror}. Remove it yourself.") from None


def spoken(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 10**6 else f"{size / 1e3:,.1f} kB"
