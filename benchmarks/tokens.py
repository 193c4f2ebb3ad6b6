"""Tokens until the place that a change needs has been read: a plain reader against a call of explore_modules.

Both are asked with the same text, and both stop when they have read a portion with the first line of the
change, or when their ten files are at an end. Both read a file in portions of PORTION lines, from its top.

The plain reader searches each word of the text (four letters or more, common English left out, at most WORDS)
in all source files, which costs the list of files that hold it, at most LISTED of them. It reads the ten
files that hold the rarest words: a word counts one over the number of files with it.

The other reader calls explore_modules with the text as its question, which costs the whole answer. It reads
the ten files in the order of `ranked`, of each the lines first that the answer names.
"""

from __future__ import annotations

import json
import re
import statistics
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import NamedTuple

from benchmarks._commits import Task, before, not_run, tasks
from benchmarks._shell import fanout
from benchmarks.table import Row
from fanout_mcp.source.discover import discover
from fanout_mcp.source.read import Source, read
from fanout_mcp.source.receipt import count
from fanout_mcp.structure.languages import language_of
from fanout_mcp.structure.rank import COMMON

PORTION = 200
WORDS = 12
LISTED = 40
FILES = 10
A_LANGUAGE = 10
"""Tasks of the first repository of each language."""


class Reading(NamedTuple):
    tokens: int
    is_found: bool


def run() -> Iterator[Row]:
    chosen = _chosen()
    ratios: list[float] = []
    found = {"plain": 0, "explore": 0}
    for (repository, language), asked in chosen.items():
        own = []
        plain_won = 0
        with tempfile.TemporaryDirectory() as name:
            for task in asked:
                root = before(task, Path(name) / "files")
                if root is None:
                    continue
                texts = _texts(root)
                plain = plain_reader(task, texts)
                explore = explore_reader(task, texts, root, Path(name))
                found["plain"] += plain.is_found
                found["explore"] += explore.is_found
                own.append(explore.tokens / plain.tokens)
                plain_won += own[-1] > 1
        ratios += own
        if not own:
            continue
        what = f"tokens until the change was read, {language} ({repository}, {len(own)} commits), median"
        yield Row(what, f"{statistics.median(own):.2f} x", f"the plain reader needed less in {plain_won}")
    yield from not_run("tokens until the change was read")
    if not ratios:
        return
    median = statistics.median(ratios)
    share = {reader: number / len(ratios) for reader, number in found.items()}
    beside = f"found: explore {share['explore']:.0%}, plain {share['plain']:.0%}"
    met = median <= 0.5 and share["explore"] >= share["plain"]
    yield Row(
        f"tokens until the change was read, {len(ratios)} commits, median",
        f"{median:.2f} x",
        beside,
        "<= 0.5 x",
        met,
    )
    lost = sum(ratio > 1 for ratio in ratios) / len(ratios)
    yield Row("commits where the plain reader needed less", f"{lost:.0%}", f"of {len(ratios)}")


def _chosen() -> dict[tuple[str, str], list[Task]]:
    """Return the tasks of one repository a language, the first in the list."""
    found: dict[tuple[str, str], list[Task]] = {}
    for task in tasks():
        if not any(language == task.language and name != task.repository for name, language in found):
            found.setdefault((task.repository, task.language), []).append(task)
    return {key: asked[:A_LANGUAGE] for key, asked in found.items() if len(asked) >= A_LANGUAGE // 2}


def _texts(root: Path) -> dict[str, str]:
    sources = {path: read(root, path) for path in discover(root).paths if language_of(path)}
    return {path: source.text for path, source in sources.items() if isinstance(source, Source)}


def plain_reader(task: Task, texts: dict[str, str]) -> Reading:
    words = dict.fromkeys(word.lower() for word in re.findall(r"[A-Za-z_]{4,}", task.text))
    wanted = [word for word in words if word not in COMMON][:WORDS]
    lowered = {path: text.lower() for path, text in texts.items()}
    scores: dict[str, float] = {}
    tokens = 0
    for word in wanted:
        holding = [path for path, text in lowered.items() if word in text]
        tokens += count("\n".join(holding[:LISTED])) + count(word)
        for path in holding:
            scores[path] = scores.get(path, 0.0) + 1 / len(holding)
    best = sorted(scores, key=lambda path: (-scores[path], path))[:FILES]
    return _read([(path, []) for path in best], task, texts, tokens)


def explore_reader(task: Task, texts: dict[str, str], root: Path, home: Path) -> Reading:
    data = fanout(root, home, "explore", "--engine", "static", "--question", task.text).data
    tokens = count(task.text) + count(json.dumps(data, ensure_ascii=False, separators=(",", ":")))
    named = [(one["path"], [_lines(symbol) for symbol in one["symbols"]]) for one in data.get("ranked", ())]
    return _read(named[:FILES], task, texts, tokens)


def _lines(symbol: str) -> tuple[int, int]:
    match = re.search(r"\(lines? (\d+)(?:-(\d+))?\)$", symbol)
    return (int(match[1]), int(match[2] or match[1])) if match else (1, 1)


def _read(
    files: Sequence[tuple[str, list[tuple[int, int]]]], task: Task, texts: dict[str, str], tokens: int
) -> Reading:
    """Count the portions that are read, the first time each line is, until the change was among them."""
    for path, places in files:
        lines = texts.get(path, "").split("\n")
        portions = [(start, min(end, start + PORTION - 1)) for start, end in places]
        portions += [(start, start + PORTION - 1) for start in range(1, len(lines) + 1, PORTION)]
        seen: set[int] = set()
        for start, end in portions:
            fresh = [number for number in range(start, min(end, len(lines)) + 1) if number not in seen]
            seen.update(fresh)
            tokens += count("\n".join(lines[number - 1] for number in fresh))
            if path == task.changed and task.line in fresh:
                return Reading(tokens, is_found=True)
    return Reading(tokens, is_found=False)
