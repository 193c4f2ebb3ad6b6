"""The bars of the source tools: speed, memory, definitions, saving, cache, fan-out and ranking."""

from __future__ import annotations

import ast
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

from benchmarks import _packages as packages
from benchmarks._stage import environment, provider
from benchmarks.table import Row
from fakes.upstream import Rule
from fanout_mcp.source import rank
from fanout_mcp.source.discover import discover
from fanout_mcp.source.languages import language_of, parser
from fanout_mcp.source.modules import all_modules, graph
from fanout_mcp.source.outline import outline_path
from fanout_mcp.source.outlines import outlines_now
from fanout_mcp.source.read import Source, read
from fanout_mcp.source.workers import Workers

ISSUES = Path(__file__).parent / "corpus" / "source" / "issues.jsonl"
REPOSITORIES = (
    ("pypi", "django", "5.2.8", (".py",)),
    ("pypi", "flask", "3.1.2", (".py",)),
    ("pypi", "starlette", "0.50.0", (".py",)),
    ("npm", "express", "5.1.0", (".js",)),
    ("npm", "rxjs", "7.8.2", (".ts",)),
    ("npm", "zod", "4.1.12", (".ts",)),
)
SUMMARY = json.dumps({"purpose": "It is there to be summarised.", "notes": []})
KEY = "sk-ant-api03-" + "Zz9-" * 10


def run() -> Iterator[Row]:
    django = packages.from_pypi("django", "5.2.8")
    yield from engine(django)
    yield from whole_call(packages.source_from_pypi("django", "5.2.8"))
    yield from saving()
    yield from fan_out()
    yield from ranking()
    yield from many_files()


def engine(django: Path) -> Iterator[Row]:
    from tree_sitter import QueryCursor

    paths = [path.relative_to(django).as_posix() for path in sorted(django.rglob("*.py"))]
    language = language_of("a.py")
    assert language is not None
    parse, query = parser(language)
    sources = [(django / path).read_bytes() for path in paths]
    began = time.process_time()
    for source in sources:
        QueryCursor(query).matches(parse.parse(source).root_node)
    speed = len(paths) / (time.process_time() - began)
    yield Row("parse and query, Django", f"{speed:.0f} files/CPU-s", bar=">= 900", met=speed >= 900)
    wanted = {
        (path, name, line) for path, text in zip(paths, sources, strict=True) for name, line in _defined(text)
    }
    found = {
        (path, symbol.name, symbol.line) for path in paths for symbol in outline_path(django, path).symbols
    }
    share = len(wanted & found) / len(wanted)
    yield Row(f"definitions of {len(wanted):,} that ast sees", f"{share:.2%}", bar="100 %", met=share == 1)


def _defined(text: bytes) -> Iterator[tuple[str, int]]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, kinds):
            yield node.name, node.lineno


def _fanout(folder: Path, home: Path, *arguments: str, **env: str) -> tuple[Any, float, float]:
    """Run the shell command in a folder; return its result, seconds and CPU-seconds."""
    before, began = resource.getrusage(resource.RUSAGE_CHILDREN), time.monotonic()
    command = [sys.executable, "-P", "-m", "fanout_mcp", *arguments, "--json"]
    done = subprocess.run(command, cwd=folder, env=environment(home, **env), capture_output=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    cpu = after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime
    return json.loads(done.stdout), time.monotonic() - began, cpu


def whole_call(django: Path) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        first, wall, cpu = _fanout(django, Path(name), "summarize", "**/*.py")
        _, again, _ = _fanout(django, Path(name), "summarize", "**/*.py")
    speed = first["receipt"]["read"] / cpu
    yield Row(
        "whole call, start-up included, Django", f"{speed:.0f} files/CPU-s", bar=">= 350", met=speed >= 350
    )
    ratio = again / wall
    yield Row("second run, unchanged", f"{ratio:.2f} x", f"first run {wall:.1f} s", "<= 0.2 x", ratio <= 0.2)


def saving() -> Iterator[Row]:
    rates = []
    for registry, name, version, endings in REPOSITORIES:
        get = packages.from_pypi if registry == "pypi" else packages.from_npm
        folder = get(name, version)
        with tempfile.TemporaryDirectory() as home:
            globs = [f"**/*{ending}" for ending in endings]
            raw = returned = 0
            cursor: int | None = 0
            while cursor is not None:
                arguments = ["summarize", *globs, "--detail", "full", "--cursor", str(cursor)]
                data, _, _ = _fanout(folder, Path(home), *arguments)
                raw += data["receipt"]["tokens_raw"]
                returned += data["receipt"]["tokens_returned"]
                cursor = data.get("next_cursor")
        rates.append(100 * (1 - returned / raw))
        yield Row(f"context saved, {name}", f"{rates[-1]:.1f} %", f"{raw:,} tokens raw")
    median = statistics.median(rates)
    yield Row("context saved, median of six", f"{median:.1f} %", bar=">= 80 %", met=median >= 80)


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
        first, wall, _ = _fanout(root, Path(name), "summarize", "*.py", **env)
        bound = -(-count // cap) * 0.1
        call = first["receipt"]["elapsed_s"]
        what = f"{count} files, 100 ms model, {cap} at once"
        yield Row(what, f"{call / bound:.2f} x", f"{bound:.1f} s", "<= 1.3 x", met=call <= 1.3 * bound)
        yield Row(f"{what}, from the shell", f"{wall / bound:.2f} x", f"{bound:.1f} s")
        again, _, _ = _fanout(root, Path(name), "summarize", "*.py", **env)
        calls = again["receipt"]["calls"]
        yield Row(
            "calls of the second run", str(calls), f"{first['receipt']['calls']} at first", "0", calls == 0
        )
        leaks = sum(KEY in json.dumps(seen) for seen in upstream.log())
        yield Row("requests with the planted key", str(leaks), f"{count} requests", "0", leaks == 0)


def ranking() -> Iterator[Row]:
    """For what was written of a change, the place of the file that was changed, among all of the release."""
    tasks = [json.loads(line) for line in ISSUES.read_text("utf-8").splitlines()]
    hits: dict[str, list[bool]] = {}
    with closing(Workers()) as workers:
        for release in dict.fromkeys(task["release"] for task in tasks):
            ranked = _ranker(packages.source_from_pypi(*release.split("==")), workers)
            for task in (task for task in tasks if task["release"] == release):
                hits.setdefault(task["half"], []).append(task["changed"] in ranked(task["text"]))
    for half, found in hits.items():
        share = sum(found) / len(found)
        what = f"changed file among the top 5, {half} ({len(found)} issues)"
        yield Row(what, f"{share:.1%}", bar=">= 75 %" if half == "held out" else "", met=share >= 0.75)


def _ranker(root: Path, workers: Workers) -> Callable[[str], list[str]]:
    known = graph(one for one in outlines_now(workers, root, discover(root).paths) if not one.skipped)
    paths = list(dict.fromkeys(path for module in all_modules(known) for path in module.paths))
    sources = {path: read(root, path) for path in paths}
    bags = {path: rank.bag(source.text) for path, source in sources.items() if isinstance(source, Source)}
    lengths = {path: sum(bag.values()) for path, bag in bags.items()}

    def ranked(question: str) -> list[str]:
        bodies = {path: (lengths[path], bag) for path, bag in bags.items()}
        return [one.path for one in rank.rank(question, paths, known, bodies, most=5)]

    return ranked


def many_files(count: int = 100_000) -> Iterator[Row]:
    with tempfile.TemporaryDirectory() as name:
        root = Path(name) / "project"
        for number in range(count):
            folder = root / f"d{number // 1000:03}"
            if number % 1000 == 0:
                folder.mkdir(parents=True)
            (folder / f"f{number}.py").write_text(f"def f{number}(): ...\n")
        command = [sys.executable, "-P", "-m", "fanout_mcp", "summarize", "**/*.py"]
        began, first = time.monotonic(), 0.0
        peaks: list[int] = []
        with subprocess.Popen(
            command,
            cwd=root,
            env=environment(Path(name)),
            text=True,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
        ) as process:
            assert process.stderr is not None
            for line in process.stderr:
                if not first and not line.startswith("0"):
                    first = time.monotonic() - began
                peaks.append(_peak(process.pid))
        peak = max(peaks)
    yield Row(
        f"{count:,} small files, peak memory", f"{peak / 1e3:.0f} MB", bar="< 150 MB", met=peak < 150_000
    )
    yield Row(f"{count:,} small files, first result", f"{first:.1f} s", bar="<= 5 s", met=first <= 5)


def _peak(pid: int) -> int:
    """Return the peak resident kilobytes of a process, as the kernel counts them; 0 once it is gone."""
    try:
        text = Path(f"/proc/{pid}/status").read_text("utf-8")
    except OSError:
        return 0
    return next((int(line.split()[1]) for line in text.splitlines() if line.startswith("VmHWM")), 0)
