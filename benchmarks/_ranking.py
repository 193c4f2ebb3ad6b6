"""For what was written of a change, the place of the file that was changed, among all of the release."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from benchmarks import _packages as packages
from benchmarks.table import Row
from fanout_mcp.source.discover import discover
from fanout_mcp.source.read import Source, read
from fanout_mcp.source.workers import Workers
from fanout_mcp.structure import rank
from fanout_mcp.structure.graph import all_modules, graph
from fanout_mcp.structure.survey import outlines_now

ISSUES = Path(__file__).parent / "corpus" / "source" / "issues.jsonl"
MAX = 5


def ranking() -> Iterator[Row]:
    tasks = [json.loads(line) for line in ISSUES.read_text("utf-8").splitlines()]
    hits: dict[str, list[bool]] = {}
    with closing(Workers()) as workers:
        for release in dict.fromkeys(task["release"] for task in tasks):
            ranked = _ranker(packages.fetched("pypi-source", *release.split("==")), workers)
            for task in (task for task in tasks if task["release"] == release):
                hits.setdefault(task["half"], []).append(task["changed"] in ranked(task["text"]))
    for half, found in hits.items():
        share = sum(found) / len(found)
        what = f"changed file among the top {MAX}, {half} ({len(found)} issues)"
        bar = ">= 75 %" if half == "held out" else ""
        yield Row(what, f"{share:.1%}", bar=bar, met=share >= 0.75 if bar else None)


def _ranker(root: Path, workers: Workers) -> Callable[[str], list[str]]:
    known = graph(one for one in outlines_now(workers, root, discover(root).paths) if not one.skipped)
    paths = list(dict.fromkeys(path for module in all_modules(known) for path in module.paths))
    sources = {path: read(root, path) for path in paths}
    bags = {path: rank.bag(source.text) for path, source in sources.items() if isinstance(source, Source)}
    bodies = {path: (sum(bag.values()), bag) for path, bag in bags.items()}

    def ranked(question: str) -> list[str]:
        return [one.path for one in rank.rank(question, paths, known, bodies, most=MAX)]

    return ranked
