"""For what was written of a change, the place of the file that was changed, among all that there were."""

from __future__ import annotations

import json
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path

from benchmarks import _packages as packages
from benchmarks._commits import before, not_run, tasks
from benchmarks.table import Row
from fanout_mcp.source.discover import discover
from fanout_mcp.source.git import MAX_SUBJECTS, history
from fanout_mcp.source.read import Source, read
from fanout_mcp.source.workers import Workers
from fanout_mcp.structure import rank
from fanout_mcp.structure.graph import graph
from fanout_mcp.structure.survey import outlines_now

ISSUES = Path(__file__).parent / "corpus" / "source" / "issues.jsonl"
MAX = 5


def ranking() -> Iterator[Row]:
    tasks = [json.loads(line) for line in ISSUES.read_text("utf-8").splitlines()]
    hits: dict[str, list[bool]] = {}
    absent = []
    with closing(Workers()) as workers:
        for release in dict.fromkeys(task["release"] for task in tasks):
            try:
                root = packages.fetched("pypi-source", *release.split("=="))
            except subprocess.SubprocessError:
                absent.append(release)
                continue
            ranked = _ranker(root, workers)
            for task in (task for task in tasks if task["release"] == release):
                hits.setdefault(task["half"], []).append(task["changed"] in ranked(task["text"]))
    for half, found in hits.items():
        share = sum(found) / len(found)
        what = f"changed file among the top {MAX}, {half} ({len(found)} issues)"
        bar = ">= 75 %" if half == "held out" else ""
        yield Row(what, f"{share:.1%}", bar=bar, met=share >= 0.75 if bar else None)
    if absent:
        yield Row("issues: not run", ", ".join(absent), "could not be fetched")
    yield from _commits()


def _commits() -> Iterator[Row]:
    """Rank for messages of commits, in the repository and with the history that was before each."""
    found: dict[str, list[bool]] = {}
    with closing(Workers()) as workers, tempfile.TemporaryDirectory() as name:
        for task in tasks():
            home = Path(name) / task.repository.replace("/", "+")
            root = before(task, home / "files")
            if root is not None:
                ranked = _ranker(root, workers, home)(task.text)
                found.setdefault(task.language, []).append(task.changed in ranked)
    yield from not_run(f"changed file among the top {MAX}, messages of commits")
    every = [hit for hits in found.values() for hit in hits]
    if not every:
        return
    for language, hits in found.items():
        yield Row(
            f"changed file among the top {MAX}, {language} ({len(hits)} commits)",
            f"{sum(hits) / len(hits):.1%}",
        )
    share = sum(every) / len(every)
    what = f"changed file among the top {MAX}, messages of {len(every)} commits without names of files"
    yield Row(what, f"{share:.1%}", bar=">= 90 %", met=share >= 0.9)


def _ranker(root: Path, workers: Workers, cache: Path | None = None) -> Callable[[str], list[str]]:
    outlines = outlines_now(workers, root, discover(root).paths, cache)
    known = graph(one for one in outlines if not one.skipped)
    changes = history(root, MAX_SUBJECTS).subjects
    paths = list(known.outlines)
    sources = {path: read(root, path) for path in paths}
    bags = {path: rank.bag(source.text) for path, source in sources.items() if isinstance(source, Source)}
    bodies = {path: (sum(bag.values()), bag) for path, bag in bags.items()}

    def ranked(question: str) -> list[str]:
        return [one.path for one in rank.rank(question, paths, known, bodies, changes=changes, most=MAX)]

    return ranked
