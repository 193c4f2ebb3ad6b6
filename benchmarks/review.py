"""Review without a model and with one: seeded defects, noise on well-kept code, speed, false citations.

corpus/review/ says where the seeded programs come from, and which of them the rules had not seen.
"""

from __future__ import annotations

import json
import re
import resource
import time
from collections.abc import Awaitable, Callable, Iterable, Sequence
from pathlib import Path
from typing import Final, NamedTuple, TypeVar

import anyio

from benchmarks._packages import from_npm, from_pypi, texts
from benchmarks.table import Row
from fanout_mcp.review.finding import FOCUSES, Finding, is_at_least
from fanout_mcp.review.merge import capped, ranked, same_weakness
from fanout_mcp.review.result import PER_RULE
from fanout_mcp.review.reviewers import ask, collect, plan, seats
from fanout_mcp.review.static.analyse import review_static
from fanout_mcp.source.kinds import is_test
from fanout_mcp.source.workers import Workers
from fanout_mcp.types import Answer, Json, Outcome

T = TypeVar("T")
CORPUS: Final = Path(__file__).parent / "corpus" / "review"
PYPI: Final = (
    ("flask", "3.1.2"),
    ("starlette", "0.50.0"),
    ("django", "5.2.8"),
    ("requests", "2.32.5"),
    ("click", "8.3.0"),
    ("sqlalchemy", "2.0.44"),
    ("rich", "14.2.0"),
    ("httpx", "0.28.1"),
    ("werkzeug", "3.1.3"),
    ("pydantic", "2.12.3"),
    ("tornado", "6.5.2"),
    ("paramiko", "4.0.0"),
)
NPM: Final = (
    ("express", "5.1.0"),
    ("fastify", "5.6.1"),
    ("koa", "3.0.3"),
    ("zod", "4.1.12"),
    ("axios", "1.12.2"),
    ("undici", "7.16.0"),
    ("hono", "4.10.1"),
)
SCRIPTS: Final = (".js", ".mjs", ".cjs", ".ts")


class Seed(NamedTuple):
    path: str
    cwe: int
    text: str
    twin: str
    """The same without the defect; empty in the older corpora."""


def run() -> Iterable[Row]:
    for name in ("seeded", "heldout", "heldout2", "heldout3", "heldout4", "heldout5", "heldout6", "heldout7"):
        yield from _within(_seeded, name)
    yield from _within(_noise)
    yield from _within(_speed)
    yield from _within(_focuses)
    yield from citations()


def _within(measure: Callable[..., Awaitable[T]], *arguments: str) -> T:
    async def go() -> T:
        async with Workers() as workers:
            return await measure(workers, *arguments)

    return anyio.run(go)


def seeds(name: str) -> list[Seed]:
    blocks = re.split(r"(?m)^=== ", (CORPUS / f"{name}.txt").read_text("utf-8"))[1:]
    result = []
    for number, block in enumerate(blocks):
        head, _, text = block.partition("\n")
        cwe, suffix = head.split()
        bad, _, sound = text.partition("--- safe\n")
        result.append(Seed(f"program_{number}.{suffix}", int(cwe), bad, sound))
    return result


def is_right(seed: Seed, findings: Sequence[Finding]) -> bool:
    return any(same_weakness(finding.cwe, seed.cwe) for finding in findings)


async def _seeded(workers: Workers, name: str) -> list[Row]:
    every = seeds(name)
    found = await review_static({seed.path: seed.text for seed in every}, "security", workers)
    by_path = {seed.path: [f for f in found.findings if f.path == seed.path] for seed in every}
    grave = {
        path: [f for f in findings if is_at_least(f.severity, "medium")] for path, findings in by_path.items()
    }
    classes, languages = len({seed.cwe for seed in every}), len({seed.path.split(".")[1] for seed in every})
    what = f"{name}: {len(every)} programs, {classes} CWEs, {languages} suffixes"

    def share(good: Callable[[Seed], bool]) -> float:
        return sum(map(good, every)) / len(every)

    flagged, right = (
        share(lambda seed: bool(by_path[seed.path])),
        share(lambda s: is_right(s, by_path[s.path])),
    )
    return [
        Row(f"{what}, flagged", f"{flagged:.0%}", bar=">= 70 %", met=flagged >= 0.7),
        Row(f"{name}, in the right class", f"{right:.0%}", bar=">= 45 %", met=right >= 0.45),
        Row(
            f"{name}, in the right class and medium or worse",
            f"{share(lambda s: is_right(s, grave[s.path])):.0%}",
        ),
        *await _twins(workers, name, every),
    ]


async def _twins(workers: Workers, name: str, every: list[Seed]) -> list[Row]:
    """Count the twins without a defect that raise an alarm all the same; no bar is set."""
    sound = {seed.path: seed.twin for seed in every if seed.twin}
    if not sound:
        return []
    found = (await review_static(sound, "security", workers)).findings
    alarmed = {finding.path for finding in found if is_at_least(finding.severity, "medium")}
    return [Row(f"{name}, sound twins with a finding of medium or worse", f"{len(alarmed)} of {len(sound)}")]


def clean_projects() -> dict[str, dict[str, str]]:
    """Return project -> its files, tests left out."""
    projects = {name: texts(from_pypi(name, version), (".py",)) for name, version in PYPI}
    projects |= {name: texts(from_npm(name, version), SCRIPTS) for name, version in NPM}
    return {
        name: {path: text for path, text in files.items() if not is_test(path)}
        for name, files in projects.items()
    }


async def _noise(workers: Workers) -> list[Row]:
    rows = []
    for name, files in clean_projects().items():
        found = await review_static(files, "security", workers)
        count = sum(is_at_least(finding.severity, "medium") for finding in found.findings)
        rate = 1000 * count / _lines(files)
        rows.append(Row(f"medium and worse per kLOC, {name}", f"{rate:.2f}", bar="<= 1.5", met=rate <= 1.5))
    return rows


def _lines(files: dict[str, str]) -> int:
    return sum(text.count("\n") for text in files.values())


async def _speed(idle: Workers) -> list[Row]:
    files = {
        path: text
        for path, text in texts(from_pypi("django", "5.2.8"), (".py",)).items()
        if not is_test(path)
    }
    del idle  # each round has its own, so that their processor time is known when they have ended
    used = []
    for _ in range(3):
        before, started = _children(), time.monotonic()
        async with Workers() as workers:
            await review_static(files, "security", workers)
        used.append((_children() - before, time.monotonic() - started))
    cpu, wall = sorted(used)[1]
    what = f"security review of Django, {len(files)} files (median of 3)"
    return [Row(what, f"{cpu:.1f} CPU-s, {wall:.1f} s", bar="<= 15 CPU-s", met=cpu <= 15)]


def _children() -> float:
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


async def _focuses(workers: Workers) -> list[Row]:
    """Count what the other focuses find in well-kept projects, and what of it is listed; no bar is set."""
    rows = []
    projects = clean_projects()
    for focus in FOCUSES[1:]:
        for name in ("flask", "express"):
            found = (await review_static(projects[name], focus, workers)).findings
            listed, _ = capped(ranked(found), PER_RULE[focus])
            rules = len({finding.rule for finding in found})
            rate = 1000 * len(found) / _lines(projects[name])
            figure = (
                f"{len(listed)} of {len(found)} findings listed ({rate:.1f} per kLOC), from {rules} rules"
            )
            rows.append(Row(f"{focus} findings in {name}", figure))
    return rows


def citations() -> list[Row]:
    """Let a scripted reviewer cite every long, unique line of this file truly and falsely."""
    text = Path(__file__).read_text("utf-8")
    other = "\n".join(f"value_{number} = {number}" for number in range(200))
    lines = text.split("\n")
    at = [n for n, line in enumerate(lines, 1) if len(line.strip()) >= 12 and text.count(line.strip()) == 1]
    away = {n: 1 + (n + len(lines) // 2) % len(lines) for n in at}
    claims = {
        "true": [("a.py", lines[n - 1], n) for n in at],
        "moved": [("a.py", lines[n - 1], away[n]) for n in at],
        "paraphrased": [
            ("a.py", re.sub(r"\w+", lambda m: m[0][::-1] + "_", lines[n - 1], count=2), n) for n in at
        ],
        "absent": [("a.py", f"raise Missing({n}, 'never written')", n) for n in at],
        "other file": [("b.py", lines[n - 1], min(n, 150)) for n in at],
        "unknown file": [("c.py", lines[n - 1], n) for n in at],
    }
    kept = {kind: _answered({"a.py": text, "b.py": other}, cited) for kind, cited in claims.items()}
    home = {kind: len(set(kept[kind]) & set(at)) for kind in ("true", "moved")}
    false = sum(len(kept[kind]) for kind in claims if kind not in home)
    count = 4 * len(at)
    return [
        Row("true citations kept", f"{home['true']} of {len(at)}", bar="all", met=home["true"] == len(at)),
        Row(
            "moved citations re-located",
            f"{home['moved']} of {len(at)}",
            bar="all",
            met=home["moved"] == len(at),
        ),
        Row("false citations passed", f"{false} of {count}", bar="0", met=false == 0),
    ]


def _answered(files: dict[str, str], claims: list[tuple[str, str, int]]) -> list[int]:
    """Return the lines of the findings that are left of a reviewer's answer with these claims."""
    asked = ask(plan(files, seats(["bugs"], 1, [None])), ["bugs"])
    items: list[Json] = [
        {
            "path": path,
            "quote": words,
            "line": line,
            "severity": "high",
            "rule": f"r{number}",
            "title": f"t{number}",
        }
        for number, (path, words, line) in enumerate(claims)
    ]
    answer = Answer(json.dumps({"findings": items}), "scripted")
    outcomes = [Outcome(one.job, "answered", answer) for one in asked]
    return [finding.line for finding in collect(asked, outcomes).findings]
