"""What outlines find and leave out: definitions against `ast` and against lists made by reading, savings."""

from __future__ import annotations

import ast
import re
import statistics
import tempfile
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

from benchmarks import _packages as packages
from benchmarks._shell import fanout
from benchmarks.table import Row
from fanout_mcp.source.discover import discover
from fanout_mcp.structure.outline import Symbol, outline_path

LISTED = Path(__file__).parent / "corpus" / "source" / "definitions.txt"
"""A block a file: `== LANGUAGE REGISTRY PACKAGE VERSION PATH`, then `LINE NAME, LINE NAME, ...`."""

REPOSITORIES = (
    ("pypi", "django", "5.2.8", ".py"),
    ("pypi", "flask", "3.1.2", ".py"),
    ("npm", "express", "5.1.0", ".js"),
    ("npm", "rxjs", "7.8.2", ".ts"),
    ("pypi-source", "gojsonnet", "0.20.0", ".go"),
    ("pypi-source", "tokenizers", "0.13.3", ".rs"),
)
FAMILIES = {"JavaScript": "JS/TS", "TypeScript": "JS/TS"}
_ENTRY = re.compile(r"(?:^|, )(\d+) (.+?)(?=, \d|$)", re.MULTILINE)


def against_ast(root: Path, paths: list[str]) -> Row:
    wanted = {(path, name, line) for path in paths for name, line in _defined((root / path).read_bytes())}
    found = {
        (path, symbol.name, symbol.line) for path in paths for symbol in outline_path(root, path).symbols
    }
    share = len(wanted & found) / len(wanted)
    return Row(f"definitions of {len(wanted):,} that ast sees", f"{share:.2%}", bar="100 %", met=share == 1)


def _defined(text: bytes) -> Iterator[tuple[str, int]]:
    kinds = (ast.FunctionDef, ast.AsyncFunctionDef, ast.ClassDef)
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, kinds):
            yield node.name, node.lineno


def against_reading() -> Iterator[Row]:
    """Compare by file, line and name with what a reader of the file listed."""
    wanted: Counter[str] = Counter()
    found: Counter[str] = Counter()
    for block in LISTED.read_text("utf-8").split("== ")[1:]:
        head, _, body = block.partition("\n")
        language, registry, name, version, path = head.split()
        outline = outline_path(packages.fetched(registry, name, version), path)
        known = {(symbol.line, symbol.name.rpartition(".")[2]) for symbol in outline.symbols}
        listed = [(int(line), name) for line, name in _ENTRY.findall(body)]
        family = FAMILIES.get(language, language)
        wanted[family] += len(listed)
        found[family] += sum(entry in known for entry in listed)
    for family, count in wanted.items():
        share = found[family] / count
        what = f"definitions of {count} listed by reading, {family}"
        yield Row(what, f"{share:.1%}", bar=">= 97 %", met=share >= 0.97)


def saving() -> Iterator[Row]:
    """Summarize whole repositories page by page, as a client would, and count all that came back."""
    rates = []
    public = missing = 0
    for registry, name, version, ending in REPOSITORIES:
        root = packages.fetched(registry, name, version)
        glob = f"**/*{ending}"
        raw, returned, files = _summarized(root, glob)
        rates.append(100 * (1 - returned / raw))
        yield Row(f"context saved, {name} ({ending})", f"{rates[-1]:.1f} %", f"{raw:,} tokens raw")
        for path in discover(root, [glob]).paths:
            names = _public(root, path)
            public += len(names)
            missing += sum(name not in files.get(path, "") for name in names)
    median = statistics.median(rates)
    yield Row("context saved, median of six", f"{median:.1f} %", bar=">= 80 %", met=median >= 80)
    what = f"public symbols of {public:,} that the answers do not name"
    yield Row(what, str(missing), bar="0", met=missing == 0)


def _summarized(root: Path, glob: str) -> tuple[int, int, dict[str, str]]:
    """Return tokens raw, tokens returned, and each file's rows as one text."""
    raw = returned = 0
    files: dict[str, str] = {}
    cursor: int | None = 0
    with tempfile.TemporaryDirectory() as home:
        while cursor is not None:
            asked = ("summarize", glob, "--detail", "full", "--cursor", str(cursor))
            data = fanout(root, Path(home), *asked).data
            raw += data["receipt"]["tokens_raw"]
            returned += data["receipt"]["tokens_returned"]
            files.update((file["path"], "\n".join(file["symbols"])) for file in data["files"])
            cursor = data.get("next_cursor")
    return raw, returned, files


def _public(root: Path, path: str) -> list[str]:
    """Return what a user of the file may name: for Python as `ast` sees it, else as the outline marks it."""
    if path.endswith(".py"):
        return list(_public_python(ast.parse((root / path).read_bytes()).body))
    symbols = outline_path(root, path).symbols
    holders = {_full(one) for one in symbols if one.public and not one.in_function}
    return [
        one.name.rpartition(".")[2]
        for one in symbols
        if one.public and not one.in_function and (not one.parent or one.parent in holders)
    ]


def _full(symbol: Symbol) -> str:
    return f"{symbol.parent}.{symbol.name}" if symbol.parent else symbol.name


def _public_python(body: list[ast.stmt]) -> Iterator[str]:
    for node in body:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and node.name[0] != "_":
            yield node.name
            if isinstance(node, ast.ClassDef):
                yield from _public_python(node.body)
