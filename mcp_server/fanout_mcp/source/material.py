"""What a model gets of a module: its sources within a budget, or a folder of vetted copies to read in."""

from __future__ import annotations

import hashlib
import re
import shutil
import tempfile
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Final

import anyio
import anyio.to_thread

from fanout_mcp.source import pack
from fanout_mcp.source.modules import Graph, Module
from fanout_mcp.source.workers import Failure, Workers

MODULE_BUDGET: Final = 24_000
"""Tokens of source that a model gets for a module; what matters first."""

MOST_FILES: Final = 60
MOST_MIRRORED: Final = 400
NEIGHBOURS: Final = 40
"""Files around a module that an agent may read too: how parts interact stands on both sides."""

WHOLE: Final = 1_000_000

_FOR_AGENTS: Final = re.compile(r"(?i)(?:^|/)(?:\.claude/.*|\.mcp\.json|CLAUDE(?:\.local)?\.md|AGENTS\.md)$")
"""What an agent would take for its own settings or orders, if it lay in its working folder."""


async def packed(workers: Workers, root: Path, paths: Sequence[str]) -> list[pack.Packed]:
    """Pack files in the order given until the budget is used up; what does not fit gives way to the next."""
    kept, left = [], MODULE_BUDGET
    for file in await _pack(workers, root, paths[:MOST_FILES], pack.FILE_BUDGET):
        if file.tokens <= left:
            kept.append(file)
            left -= file.tokens
    return kept


async def mirrored(workers: Workers, root: Path, module: Module, known: Graph) -> list[pack.Packed]:
    """Pack a module's files whole, and their neighbours', for an agent to read."""
    around = [
        other
        for path in module.paths
        for other in (*known.imports.get(path, ()), *known.imported_by.get(path, ()))
    ]
    near = [path for path in dict.fromkeys(around) if path not in module.paths][:NEIGHBOURS]
    paths = [path for path in (*module.paths[:MOST_MIRRORED], *near) if not _FOR_AGENTS.search(path)]
    return await _pack(workers, root, paths, WHOLE)


async def _pack(workers: Workers, root: Path, paths: Sequence[str], budget: int) -> list[pack.Packed]:
    items = [[str(root), path, budget] for path in paths]
    results = await workers.map("fanout_mcp.source.pack:pack_file", items)
    files = [pack.unpacked(fields) for _, fields in results if not isinstance(fields, Failure)]
    return [file for file in files if not file.skipped]


@asynccontextmanager
async def folder() -> AsyncIterator[Path]:
    """Yield a folder for copies, gone in the end; removing thousands of files is no work for the loop."""
    path = Path(tempfile.mkdtemp(prefix="fanout-mirrors-"))
    try:
        yield path
    finally:
        with anyio.CancelScope(shield=True):
            await anyio.to_thread.run_sync(lambda: shutil.rmtree(path, ignore_errors=True))


def write(files: Sequence[pack.Packed], folder: Path) -> None:
    """Copy what was vetted and scrubbed: an agent sees nothing else, and no path of it leads out."""
    for file in files:
        copy = folder / file.path
        copy.parent.mkdir(parents=True, exist_ok=True)
        copy.write_text(file.text, encoding="utf-8", errors="replace")


def digest(files: Sequence[pack.Packed]) -> str:
    """Tell whether two folders of copies are the same."""
    names = sorted(f"{file.path!r} {file.digest}" for file in files)
    return hashlib.sha256("\n".join(names).encode()).hexdigest()
