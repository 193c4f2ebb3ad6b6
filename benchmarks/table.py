"""What a benchmark says: one row a figure, beside its bound and its bar, and how rows are printed."""

from __future__ import annotations

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass

from rich.console import Console
from rich.markup import escape
from rich.table import Table

COLUMNS = ("what", "figure", "bound", "bar", "")
MARKS = {True: "met", False: "MISSED", None: "-"}


@dataclass(frozen=True, slots=True)
class Row:
    """One measured figure, as printable text."""

    what: str
    figure: str
    bound: str = ""
    """What it is judged against, measured in the same run: the least the machine could have taken."""
    bar: str = ""
    """What the figure must reach, as text; empty where there is none."""
    met: bool | None = None
    """None: reported only."""

    @property
    def cells(self) -> tuple[str, str, str, str, str]:
        return self.what, self.figure, self.bound, self.bar, MARKS[self.met]


def faster(what: str, ours_ms: float, native_ms: float, bar: float) -> Row:
    """Return the row of what should be `bar` times faster than natively."""
    times = native_ms / ours_ms
    figure = f"{ours_ms:.1f} ms, {times:.1f} x faster"
    return Row(what, figure, f"native {native_ms:.0f} ms", f">= {bar:.0f} x", times >= bar)


def line(topic: str, row: Row) -> str:
    """Return the row as it is shown the moment it is known."""
    bound = f"   (bound {row.bound})" if row.bound else ""
    bar = f"   [{row.bar}: {MARKS[row.met]}]" if row.bar else ""
    return f"{topic}: {row.what}: {row.figure}{bound}{bar}"


def as_json(topic: str, row: Row) -> str:
    return json.dumps({"topic": topic, **asdict(row)}, ensure_ascii=False)


def markdown(topic: str, rows: Iterable[Row]) -> str:
    lines = [f"### {topic}", "", "| what | figure | bound | bar | |", "|---|---|---|---|---|"]
    lines += ["| " + " | ".join(cell.replace("|", "\\|") for cell in row.cells) + " |" for row in rows]
    return "\n".join([*lines, ""])


def show(topic: str, rows: Iterable[Row]) -> None:
    table = Table(title=topic, title_justify="left", title_style="bold")
    for column in COLUMNS:
        table.add_column(column)
    for row in rows:
        style = {True: "green", False: "bold red", None: ""}[row.met]
        table.add_row(
            *(escape(cell) for cell in row.cells[:-1]), f"[{style}]{row.cells[-1]}[/]" if style else ""
        )
    Console().print(table)
