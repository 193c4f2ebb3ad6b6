"""The bars of review: seeded defects, noise on well-kept code, speed, and false citations.

    python -m benchmarks review

The seeded programs (corpus/review/seeded.txt) were written for this; the noise is counted on installed
packages, the speed on Django where `FANOUT_BENCH_DJANGO` names its folder, else on the standard library.
"""

from __future__ import annotations

import os
import resource
import sysconfig
import time
from collections.abc import Iterator, Sequence
from importlib.util import find_spec
from pathlib import Path
from typing import NamedTuple

import anyio

from benchmarks.table import Row
from fanout_mcp.review.finding import Finding, is_at_least, is_test
from fanout_mcp.review.merge import same_weakness
from fanout_mcp.review.static import review_static
from fanout_mcp.review.verify import Text, verify
from fanout_mcp.source.workers import Workers

SEEDED = Path(__file__).parent / "corpus" / "review" / "seeded.txt"
CLEAN = ("starlette", "httpx2", "anyio", "click", "pydantic")


class Seed(NamedTuple):
    path: str
    cwe: int
    text: str


def seeds() -> Iterator[Seed]:
    for number, block in enumerate(SEEDED.read_text("utf-8").split("=== ")[1:]):
        head, _, text = block.partition("\n")
        cwe, suffix = head.split()
        yield Seed(f"program_{number}.{suffix}", int(cwe), text)


def is_right(seed: Seed, findings: Sequence[Finding]) -> bool:
    return any(finding.cwe == seed.cwe or same_weakness(finding.cwe, seed.cwe) for finding in findings)


def package(name: str, root: Path | None = None) -> dict[str, str]:
    spec = find_spec(name) if root is None else None
    folder = root or Path((spec.submodule_search_locations or [""])[0] if spec else "")
    paths = [path for path in folder.rglob("*.py") if not is_test(path.relative_to(folder.parent).as_posix())]
    return {path.relative_to(folder.parent).as_posix(): path.read_text("utf-8", "replace") for path in paths}


async def seeded(workers: Workers) -> list[Row]:
    every = list(seeds())
    found = await review_static({seed.path: seed.text for seed in every}, "security", workers)
    by_path = {seed.path: [f for f in found.findings if f.path == seed.path] for seed in every}
    flagged = sum(bool(by_path[seed.path]) for seed in every) / len(every)
    right = sum(is_right(seed, by_path[seed.path]) for seed in every) / len(every)
    classes = len({seed.cwe for seed in every})
    return [
        Row(
            f"seeded defects flagged ({len(every)} programs, {classes} classes)",
            f"{flagged:.0%}",
            "",
            ">= 70 %",
            flagged >= 0.7,
        ),
        Row("seeded defects in the right class", f"{right:.0%}", "", ">= 45 %", right >= 0.45),
    ]


async def noise(workers: Workers) -> list[Row]:
    rows = []
    for name in CLEAN:
        texts = package(name)
        found = await review_static(texts, "security", workers)
        count = sum(is_at_least(finding.severity, "medium") for finding in found.findings)
        rate = 1000 * count / sum(text.count("\n") for text in texts.values())
        rows.append(Row(f"medium and above per kLOC, {name}", f"{rate:.2f}", "", "<= 1.5", rate <= 1.5))
    return rows


async def speed() -> list[Row]:
    django = os.environ.get("FANOUT_BENCH_DJANGO")
    texts = (
        package("django", Path(django))
        if django
        else package("", Path(sysconfig.get_path("stdlib")) / "asyncio")
    )
    before, started = _children(), time.monotonic()
    async with Workers() as workers:
        await review_static(texts, "security", workers)
    took = _children() - before
    what = f"security review, {len(texts)} files of {'Django' if django else 'asyncio'}"
    wall = time.monotonic() - started
    return [Row(what, f"{took:.1f} CPU-s ({wall:.1f} s)", "", "<= 15 CPU-s", took <= 15)]


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def citations() -> list[Row]:
    """Cite every long, unique line of this file truly, moved, paraphrased, and under another file's name."""
    text = Path(__file__).read_text("utf-8")
    lines = text.split("\n")
    shown = {"a.py": Text(text), "b.py": Text("nothing of it\n" * 9)}
    unique = [
        n for n, line in enumerate(lines, 1) if len(line.strip()) >= 12 and text.count(line.strip()) == 1
    ]
    moved = verify([_cited("a.py", lines[n - 1], 1 + (n + 50) % len(lines)) for n in unique], shown)
    other = verify([_cited("b.py", lines[n - 1], n) for n in unique], shown)
    absent = verify([_cited("a.py", lines[n - 1].strip().replace("e", "3") + " #", n) for n in unique], shown)
    at_home = sum(f.line == n for f, n in zip(moved.kept, unique, strict=False))
    false = len(other.kept) + len(absent.kept)
    return [
        Row(f"moved quotes re-located, of {len(unique)}", f"{at_home}", "", "all", at_home == len(unique)),
        Row("false citations passed (absent, other file)", f"{false}", "", "0", false == 0),
    ]


def _cited(path: str, quote: str, line: int) -> Finding:
    return Finding(path, line, line, quote, "high", "rule", "title", source="model")


async def _rows() -> list[Row]:
    async with Workers() as workers:
        rows = [*await seeded(workers), *await noise(workers)]
    return [*rows, *await speed(), *citations()]


def run() -> list[Row]:
    return anyio.run(_rows)
