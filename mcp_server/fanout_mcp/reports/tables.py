"""The page's tables: sorted by their heads, filtered by a field, hidden columns on a narrow screen."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from html import escape
from typing import Any, Final, NamedTuple

from fanout_hooks.daily import trend_words
from fanout_hooks.tally import EventTally
from fanout_mcp.ledger import money
from fanout_mcp.reports import charts
from fanout_mcp.types import Json

MOST_ROWS: Final = 1_000

Days = Sequence[tuple[str, dict[str, EventTally]]]


class Column(NamedTuple):
    """A table's column. `value` is what is sorted by, `shown` what is printed."""

    head: str
    value: Callable[[Json], Any]
    shown: Callable[[Json], str] | None = None
    kind: str = ""


def _field(name: str) -> Callable[[Json], Any]:
    return lambda row: row[name]


def _ms(head: str, name: str, kind: str = "") -> Column:
    return Column(head, _field(name), lambda row: f"{row[name]:.2f}", kind)


def _trend(row: Json) -> str:
    words = trend_words(row["trend"])
    return f'<span class="{escape(row["trend"]["direction"])}">{escape(words)}</span>'


TREND: Final = Column("trend", lambda row: row["trend"]["change"], _trend, "word")
FIGURES: Final = (
    Column("count", _field("count"), lambda row: f"{row['count']:,}"),
    _ms("mean", "mean_ms", "wide"),
    _ms("median", "median_ms"),
    _ms("p95", "p95_ms"),
    _ms("p99", "p99_ms", "wide"),
    Column("failures", _field("failures")),
)

NATIVE: Final = (Column("hook", _field("name")), Column("event", _field("event"), None, "word"), *FIGURES)
COSTS: Final = (
    Column("tool", _field("tool")),
    Column("uses", _field("uses")),
    Column("calls", _field("calls")),
    Column("cached", _field("cached"), None, "wide"),
    Column("tokens in", _field("tokens_in"), None, "wide"),
    Column("tokens out", _field("tokens_out"), None, "wide"),
    Column("cost", _field("cost_usd"), lambda row: escape(money(row))),
    Column("tokens saved", _field("saved_tokens")),
)


def events(data: Json, days: Days) -> str:
    """Return the table of events, with each one's median by day."""

    def history(row: Json) -> str:
        medians = [own[row["event"]].elapsed.quantile(0.5) for _, own in days if row["event"] in own]
        return charts.sparkline(medians, f"Median of {row['event']} by day")

    columns = (
        Column("event", _field("event")),
        *FIGURES,
        Column("median by day", lambda row: row["median_ms"], history, "wide word"),
        TREND,
    )
    return "<h2>Events</h2>" + table("events", columns, data["events"])


def hooks(data: Json) -> str:
    """Return the table of hooks, with its filter."""
    rows = data["hooks"][:MOST_ROWS]
    columns = (
        Column("hook", _field("name")),
        Column("event", _field("event"), None, "word"),
        *FIGURES,
        Column("runs", _field("lane"), None, "word wide"),
        Column("last error", _field("last_error"), None, "word wide"),
        TREND,
    )
    told = f"{len(rows)} of {len(rows)}" if len(rows) == len(data["hooks"]) else f"the {len(rows)} slowest"
    return (
        '<h2>Hooks</h2><div class="filter"><label for="find">Filter</label>'
        '<input id="find" type="search" data-filters="hooks" autocomplete="off">'
        f'<output for="find">{told}</output></div>' + table("hooks", columns, rows)
    )


def others(data: Json) -> str:
    """Return what is told beside events and hooks: native hooks, costs, gate, changes, notes."""
    parts = []
    if data["native"]:
        parts.append(
            "<h2>Hooks that Claude Code runs itself</h2>"
            '<p class="soft">With output only: silent runs leave no trace in its transcripts.</p>'
            + table("native", NATIVE, data["native"])
        )
    if data["tools"]:
        parts.append("<h2>What fanout\u2019s own tools cost</h2>" + table("tools", COSTS, data["tools"]))
    parts += [
        _gate(data),
        _list(
            "Changed hooks", [f"{own['event']} / {own['name']}: {own['change']}" for own in data["changed"]]
        ),
    ]
    notes = [f"{own['note']} ({own['count']} times)" for own in data["notes"]]
    if data["damaged_lines"]:
        notes.append(f"{data['damaged_lines']} damaged lines of the log were passed over")
    return "\n".join([*parts, _list("Notes", notes)])


def _gate(data: Json) -> str:
    gate = data["gate"]
    if not gate["verdicts"] and not gate["waves"]:
        return ""
    verdicts = ", ".join(f"{count} {what}" for what, count in sorted(gate["verdicts"].items())) or "none"
    waves = ", ".join(f"{count} of {size}" for size, count in gate["waves"].items()) or "none"
    return (
        f"<h2>Sequential-agent gate</h2><p>Verdicts: {escape(verdicts)}. Waves by size: {escape(waves)}.</p>"
    )


def _list(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def table(name: str, columns: Sequence[Column], rows: Iterable[Json]) -> str:
    """Return a table whose heads sort it."""
    heads = "".join(
        f'<th scope="col"{_class(column)}><button type="button">{escape(column.head)}</button></th>'
        for column in columns
    )
    body = "".join("<tr>" + "".join(_cell(column, row) for column in columns) + "</tr>" for row in rows)
    return (
        f'<div class="panel scroll" tabindex="0" role="region" aria-label="{escape(name)}">'
        f'<table id="{name}" data-sorts><thead><tr>{heads}</tr></thead><tbody>{body}</tbody></table></div>'
    )


def _class(column: Column) -> str:
    return f' class="{column.kind}"' if column.kind else ""


def _cell(column: Column, row: Json) -> str:
    value = column.value(row)
    shown = column.shown(row) if column.shown else escape(str(value))
    return f'<td{_class(column)} data-value="{escape(str(value))}">{shown}</td>'
