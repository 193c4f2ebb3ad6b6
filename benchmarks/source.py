"""The bars of the source tools: speed, memory, definitions, statements, saving, cache, fan-out, ranking."""

from __future__ import annotations

import json
import statistics
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import anyio

from benchmarks import _packages as packages
from benchmarks._agents import agents
from benchmarks._outlines import against_ast, against_reading, saving
from benchmarks._ranking import ranking
from benchmarks._shell import fanout, watched
from benchmarks._stage import Provider, bare, provider, seconds
from benchmarks._statements import judged
from benchmarks.table import Row
from fakes.upstream import Rule
from fanout_mcp.structure.languages import language_of, parser

SUMMARY = json.dumps({"purpose": "It is there to be summarised.", "notes": []})
KEY = "sk-ant-api03-" + "Zz9-" * 10
TIMES = 3


def run() -> Iterator[Row]:
    django = packages.fetched("pypi", "django", "5.2.8")
    whole = packages.fetched("pypi-source", "django", "5.2.8")
    paths = [path.relative_to(django).as_posix() for path in sorted(django.rglob("*.py"))]
    parsed = parse_speed(django, paths)
    what = f"parse and query, Django, median of {TIMES}"
    yield Row(what, f"{parsed:.0f} files/CPU-s", bar=">= 900", met=parsed >= 900)
    yield against_ast(django, paths)
    yield from against_reading()
    yield from judged()
    yield from whole_call(whole, parsed)
    yield memory(whole)
    yield from saving()
    yield from fan_out()
    yield from agents(KEY)
    yield from many_files()
    yield from ranking()


def parse_speed(django: Path, paths: list[str]) -> float:
    """Return files per CPU-second, with nothing around the parser."""
    from tree_sitter import QueryCursor

    language = language_of("a.py")
    assert language is not None
    parse, query = parser(language)
    sources = [(django / path).read_bytes() for path in paths]
    speeds = []
    for _ in range(TIMES):
        began = time.process_time()
        for source in sources:
            QueryCursor(query).matches(parse.parse(source).root_node)
        speeds.append(len(paths) / (time.process_time() - began))
    return statistics.median(speeds)


def whole_call(django: Path, parsed: float) -> Iterator[Row]:
    speeds, ratios, walls = [], [], []
    for _ in range(TIMES):
        with tempfile.TemporaryDirectory() as name:
            first = fanout(django, Path(name), "summarize", "**/*.py")
            again = fanout(django, Path(name), "summarize", "**/*.py")
        speeds.append(first.data["receipt"]["read"] / first.cpu_s)
        ratios.append(again.seconds / first.seconds)
        walls.append(first.seconds)
    speed, ratio = statistics.median(speeds), statistics.median(ratios)
    what = f"whole call, start-up included, Django, median of {TIMES}"
    bound = f"{parsed:.0f} parsed and queried alone"
    yield Row(what, f"{speed:.0f} files/CPU-s", bound, ">= 350", speed >= 350)
    bound = f"first run {statistics.median(walls):.1f} s"
    yield Row("second run, unchanged", f"{ratio:.2f} x", bound, "<= 0.2 x", ratio <= 0.2)


def memory(django: Path) -> Row:
    """Idle: when the command has found the files, and no worker has been started."""
    with tempfile.TemporaryDirectory() as name:
        seen = watched(django, Path(name), "summarize", "**/*.py")
    more = seen.peak - seen.own[0]
    figure = f"{more:.0f} MB over {seen.own[0]:.0f} MB idle"
    return Row("peak memory, workers included, Django", figure, bar="<= 120 MB over idle", met=more <= 120)


def fan_out() -> Iterator[Row]:
    count, cap = 300, 8
    with tempfile.TemporaryDirectory() as name, provider(0.1) as upstream:
        upstream.rules(Rule(text=SUMMARY, delay=0.1))
        root = Path(name) / "project"
        root.mkdir()
        for number in range(count):
            (root / f"f{number:03}.py").write_text(f'def f{number}(): return "{KEY}"\n' * 10)
        env = {
            "FANOUT_BASE_URL": upstream.url,
            "FANOUT_API_KEY": "k",
            "FANOUT_MODEL": "m",
            "FANOUT_MAX_PARALLEL": str(cap),
        }
        first = fanout(root, Path(name), "summarize", "*.py", **env)
        seen = upstream.log()
        bound = -(-count // cap) * 0.1
        call = first.data["receipt"]["elapsed_s"]
        raw = anyio.run(_raw, upstream, -(-count // cap), cap)
        what = f"{count} files, 100 ms model, {cap} at once"
        beside = f"{bound:.1f} s; as many raw requests {raw / bound:.2f} x"
        yield Row(what, f"{call / bound:.2f} x", beside, "<= 1.3 x", met=call <= 1.3 * bound)
        yield Row(f"{what}, from the shell", f"{first.seconds / bound:.2f} x", f"{bound:.1f} s")
        again = fanout(root, Path(name), "summarize", "*.py", **env)
        calls, before = again.data["receipt"]["calls"], first.data["receipt"]["calls"]
        yield Row("calls of the second run", str(calls), f"{before} at first", "0", calls == 0)
        leaks = sum(KEY in json.dumps(request) for request in seen)
        yield Row("requests with the planted key, http", str(leaks), f"{len(seen)} requests", "0", leaks == 0)


async def _raw(upstream: Provider, rounds: int, cap: int) -> float:
    """Return the seconds that so many rounds of requests take with nothing around them."""
    async with bare(upstream, cap) as many:

        async def all_rounds() -> None:
            for _ in range(rounds):
                await many(cap)

        return await seconds(all_rounds)


def many_files(count: int = 100_000) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "project"
        for number in range(count):
            folder = root / f"d{number // 1000:03}"
            if number % 1000 == 0:
                folder.mkdir(parents=True)
            (folder / f"f{number}.py").write_text(f"def f{number}(): ...\n")
        seen = watched(root, Path(name), "summarize", "**/*.py")
    middle = len(seen.whole) // 2
    # The first tenth fills buffers and starts the workers; from there on nothing may pile up.
    before, after = max(seen.whole[middle // 5 : middle]), max(seen.whole[middle:])
    what = f"{count:,} small files"
    yield Row(f"{what}, peak memory", f"{seen.peak:.0f} MB", "workers included", "< 150 MB", seen.peak < 150)
    growth = after - before
    figure = f"{growth:+.1f} MB"
    yield Row(f"{what}, second half", figure, f"{before:.0f} MB in the first", "<= 10 MB", growth <= 10)
    first = seen.first_s
    yield Row(f"{what}, first result", f"{first:.1f} s", bar="<= 5 s", met=first <= 5)
