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

KINDS = {cache.FILE: "answers", survey.FILE: "outlines"}


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
    kept = list(found(own.parent if args.all else own))
    if args.action == "clear":
        clear(kept)
    size = sum(one.size for one in kept)
    if args.json:
        rows = [{"kind": one.kind, "path": str(one.path), "bytes": one.size} for one in kept]
        data = {"folder": str(own), "files": rows, "bytes": size, "cleared": args.action == "clear"}
        put_json(data)
        return OK
    verb = "Removed from" if args.action == "clear" else "Kept in"
    where = own.parent if args.all else own
    lines = [f"{verb} {where}: {len(kept)} files, {spoken(size)}"]
    lines += [f"  {one.kind:<9} {spoken(one.size):>9}  {one.path.relative_to(where)}" for one in kept]
    sys.stdout.write("\n".join(lines) + "\n")
    return OK


def found(folder: Path) -> Iterator[Kept]:
    """Yield what our caches consist of, below a folder; other files are left alone."""
    for path in sorted(folder.glob("**/*")):
        kind = next((what for name, what in KINDS.items() if path.name in _names(name)), None)
        if kind is not None and path.is_file():
            yield Kept(kind, path, path.lstat().st_size)


def _names(name: str) -> set[str]:
    return {name, str(Path(name).with_suffix(".broken")), *(name + end for end in BESIDE)}


def clear(kept: list[Kept]) -> None:
    """Remove the files. A process that has one open works on with it, and the next begins a new one."""
    for one in kept:
        try:
            one.path.unlink(missing_ok=True)
        except OSError as error:
            raise FanoutError(f"{one.path} can't be removed: {error.strerror}. Remove it yourself.") from None


def spoken(size: int) -> str:
    return f"{size / 1e6:,.1f} MB" if size >= 10**6 else f"{size / 1e3:,.1f} kB"
