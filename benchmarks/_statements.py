"""Statements of the engine without a model: draws them for a reader, and counts what the reader found.

    python -m benchmarks._statements CLONE... > drawn.jsonl

Of each clone: what `fanout explore` says of its modules and of each of its files, with every focus (10
statements that a focus makes, 10 that any makes), and 5 rows of `fanout summarize`. The seed is fixed. A
reader opens each line and gives one verdict; a list is never judged again after the engine has learnt from
it.
"""

from __future__ import annotations

import json
import random
import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, Final

from benchmarks.table import Row
from fanout_mcp.structure.signals import FOCUSES

JUDGED: Final = Path(__file__).with_name("corpus") / "source"
LISTS: Final = {
    "statements.jsonl": "first list",
    "statements_second.jsonl": "second list, a stricter reader",
    "statements_third.jsonl": "third list, as strict",
    "statements_fourth.jsonl": "fourth list, two readers, as strict",
}
SEED: Final = 20
AT_ONCE: Final = 1000
"""Modules that a call may name."""

OF_FOCUS: Final = 10
EXPLORED: Final = 20
ROWS: Final = 5
OVERVIEW: Final = re.compile(r"^\S+ has \d[\d,]* files? with .*? public symbols?(?:; [^.]*? only)?\. ")
STATEMENT: Final = re.compile(r"(\S.*?) \[([^\[\]\s]+):(\d+)\]\.(?:\s|$)", re.DOTALL)
ROW: Final = re.compile(r"\s*(\d+) (.+)", re.DOTALL)

Statement = tuple[str, int, str, str]
"""Path, line, focus, text."""


def judged() -> Iterator[Row]:
    """Return of each list the share that a reader found true, and shown by the line that it cites."""
    for name, which in LISTS.items():
        verdicts = [json.loads(line) for line in (JUDGED / name).read_text("utf-8").splitlines()]
        repositories = {verdict["repository"] for verdict in verdicts}
        share = sum(verdict["verdict"] == "true" for verdict in verdicts) / len(verdicts)
        what = f"{len(verdicts)} statements on {len(repositories)} repositories, true and shown by their line"
        yield Row(f"{what}, first read, {which}", f"{share:.1%}", bar=">= 97 %", met=share >= 0.97)


def pages(clone: str, field: str, *arguments: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    cursor = 0
    while True:
        command = [sys.executable, "-P", "-m", "fanout_mcp", *arguments, "--cursor", str(cursor), "--json"]
        done = subprocess.run(
            [*command, "--engine", "static", "--detail", "full"], cwd=clone, capture_output=True, check=True
        )
        data = json.loads(done.stdout)
        found += data[field]
        if not (cursor := data.get("next_cursor") or 0):
            return found


def explored(clone: str, files: list[str]) -> list[Statement]:
    """Return each statement once, with the first focus that makes it."""
    found: dict[tuple[str, int, str], str] = {}
    for focus in FOCUSES:
        for modules in ([], *(files[at : at + AT_ONCE] for at in range(0, len(files), AT_ONCE))):
            for module in pages(clone, "modules", "explore", "--focus", focus, *modules):
                report = OVERVIEW.sub("", module["report"])
                for text, path, line in STATEMENT.findall(report):
                    found.setdefault((path, int(line), text), focus)
    return sorted((path, line, focus, text) for (path, line, text), focus in found.items())


def drawn(clone: str) -> list[Statement]:
    chance = random.Random(SEED)
    entries = [entry for entry in pages(clone, "files", "summarize", ".") if entry["symbols"]]
    rows = [
        (entry["path"], int(match[1]), "summarize", match[2])
        for entry in entries
        for row in entry["symbols"]
        if (match := ROW.fullmatch(row))
    ]
    made = explored(clone, [entry["path"] for entry in entries])
    seen = [one for one in made if one[3].lower().startswith(f"{one[2]}: ")]
    rest = [one for one in made if one not in seen]
    print(Path(clone).name, len(seen), len(rest), len(rows), file=sys.stderr)
    chosen = chance.sample(seen, min(OF_FOCUS, len(seen)))
    chosen += chance.sample(rest, EXPLORED - len(chosen))
    return chosen + chance.sample(rows, ROWS)


if __name__ == "__main__":
    for folder in sys.argv[1:]:
        for path, line, focus, statement in drawn(folder):
            print(json.dumps([Path(folder).name, path, line, focus, statement], ensure_ascii=False))
