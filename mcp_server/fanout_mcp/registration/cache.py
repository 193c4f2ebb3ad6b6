"""`fanout cache`: where answers and outlines of this project are kept, how much it is, and `clear`."""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterable
from pathlib import Path

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


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("action", nargs="?", choices=["show", "clear"], default="show", help="default: show")
    parser.add_argument("--all", action="store_true", help="for every project, not just this one")
    parser.add_argument("--json", action="store_true", help="print JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    own = settings.read().cache
    where = own.parent if args.all else own
    found = (path for path in sorted(where.glob("**/*")) if path.name in NAMES and path.is_file())
    sizes = {path: path.lstat().st_size for path in found}
    if args.action == "clear":
        clear(sizes)
    size = sum(sizes.values())
    if args.json:
        rows = [{"kind": NAMES[path.name], "path": str(path), "bytes": one} for path, one in sizes.items()]
        put_json({"folder": str(own), "files": rows, "bytes": size, "cleared": args.action == "clear"})
        return OK
    verb = "Removed from" if args.action == "clear" else "Kept in"
    sys.stdout.write(f"{verb} {where}: {len(sizes)} files, {spoken(size)}\n")
    for path, one in sizes.items():
        sys.stdout.write(f"  {NAMES[path.name]:<9} {spoken(one):>9}  {path.relative_to(where)}\n")
    return OK


def clear(paths: Iterable[Path]) -> None:
    """Remove the files. A process that has one open works on with it, and the next begins a new one."""
    for path in paths:
        try:
            path.unlink(missing_ok=True)
        except OSError as error:
            raise FanoutError(f"{path} can't be removed: {error.strerror}. Remove it yourself.") from None


def spoken(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 10**6 else f"{size / 1e3:,.1f} kB"
