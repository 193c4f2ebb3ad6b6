"""A repository's structure, gathered for the modules that a call is about."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import anyio.to_thread

from fanout_mcp.errors import InvalidInput
from fanout_mcp.source import rank
from fanout_mcp.source.discover import VENDORED, discover
from fanout_mcp.source.git import churn
from fanout_mcp.source.modules import Facts, Graph, Module, facts, graph, mapped, named
from fanout_mcp.source.outline import Outline
from fanout_mcp.source.outlines import outlines
from fanout_mcp.source.receipt import Receipt
from fanout_mcp.source.workers import Failure, Workers
from fanout_mcp.types import Json, Progress

MOST_FILES_SCANNED: Final = 3_000


@dataclass(frozen=True, slots=True)
class Gathered:
    """`ranked`: the files that matter for the question, best first; empty without one."""

    graph: Graph
    modules: list[Module]
    facts: dict[str, Facts]
    ranked: Sequence[rank.Ranked] = ()
    folded: Sequence[str] = ()
    """A line for each tree of a map that is in no module."""
    is_map: bool = False

    @property
    def paths(self) -> list[str]:
        return list(dict.fromkeys(path for module in self.modules for path in module.paths))


@dataclass(frozen=True, slots=True)
class Gathering:
    """Whatever reads files runs in the workers, whatever computes in threads: the loop stays free."""

    workers: Workers
    root: Path
    cache: Path

    async def gather(
        self, names: Sequence[str] | None, question: str | None, receipt: Receipt, progress: Progress
    ) -> Gathered:
        """Outline the repository and find the modules. Raises InvalidInput for names that mean none."""
        found = await anyio.to_thread.run_sync(discover, self.root)
        wanted = [f"{name.strip().removeprefix('./').rstrip('/')}/" for name in names or ()]
        opened = [
            path
            for path, reason in found.skipped.items()
            if reason == VENDORED and path.startswith(tuple(wanted))
        ]  # what a map leaves out can be named
        skipped = {path: reason for path, reason in found.skipped.items() if path not in set(opened)}
        paths = [*found.paths, *opened]
        receipt.skip_all(skipped)
        total = len(paths)

        def tell(done: int, cached: int) -> None:
            if done % 100 == 0 or done == total:
                progress(done, total, f"outlined {done} files, {cached} unchanged")

        known = await outlines(self.workers, self.root, paths, self.cache, tell)
        for outline in known:
            if outline.skipped:
                receipt.skip(outline.path, outline.skipped)
        history = await anyio.to_thread.run_sync(churn, self.root)
        if history.problem:
            receipt.skip(".git", f"history not read fully: {history.problem}")
        read = [outline for outline in known if not outline.skipped]
        receipt.name_only(outline.path for outline in read if outline.how == "name")
        gone = [*skipped, *(outline.path for outline in known if outline.skipped)]
        gathered = await anyio.to_thread.run_sync(_structure, read, names, history.commits, gone)
        return gathered if not question else replace(gathered, ranked=await self._rank(question, gathered))

    async def signals(self, focus: str, gathered: Gathered) -> dict[str, list[Json]]:
        """Look for the focus in the modules' files; architecture is structure alone."""
        if focus == "architecture":
            return {}
        items = [[str(self.root), path, focus] for path in gathered.paths[:MOST_FILES_SCANNED]]
        results = await self.workers.map("fanout_mcp.source.signals:scan_file", items)
        return {item[1]: found for item, found in results if not isinstance(found, Failure) and found}

    async def _rank(self, question: str, gathered: Gathered) -> list[rank.Ranked]:
        wanted = rank.terms(rank.meant(question))
        paths = list(gathered.graph.outlines) if gathered.is_map else gathered.paths
        items = [[str(self.root), path, wanted] for path in paths]
        results = await self.workers.map("fanout_mcp.source.rank:count_file", items)
        bodies = {item[1]: (found[0], found[1]) for item, found in results if not isinstance(found, Failure)}
        return await anyio.to_thread.run_sync(rank.rank, question, paths, gathered.graph, bodies)


def _structure(
    known: Sequence[Outline], names: Sequence[str] | None, commits: Mapping[str, int], skipped: Sequence[str]
) -> Gathered:
    whole = graph(known)
    if names:
        modules = list({module.name: module for module in (named(name, whole) for name in names)}.values())
        folded: list[str] = []
    else:
        divided = mapped(whole, skipped)
        modules, folded = divided.modules, divided.folded
    if not modules and not folded:
        raise InvalidInput(
            "No module with code was found: the project's root holds no file that can be read. Begin in the "
            "project's folder, or set CLAUDE_PROJECT_DIR to it."
        )
    found = {module.name: facts(module, whole, commits) for module in modules}
    return Gathered(whole, modules, found, folded=folded, is_map=not names)
