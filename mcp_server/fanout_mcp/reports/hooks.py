"""The hook report: its data, put together in a worker process, as Markdown, and as a page.

The arithmetic is fanout_hooks.log.report's; nothing is computed here. A million rows take a second of one
core, which the server's loop does not have to give. The page is one HTML file, without network, light and
dark, for a phone, a printer and a reader; everything is drawn here, its script only sorts and filters. Names
come from people's hooks, so all of them are escaped.
"""

from __future__ import annotations

import math
import os
import time
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

from fanout_hooks.adoption import pitfalls
from fanout_hooks.client import transcripts
from fanout_hooks.client.places import claude_folder, json_of
from fanout_hooks.log import daily, report
from fanout_hooks.log.report import Period
from fanout_hooks.log.tally import EventTally, Tally
from fanout_mcp.errors import why
from fanout_mcp.reports import ledger
from fanout_mcp.reports.ledger import money
from fanout_mcp.state.folder import write_report
from fanout_mcp.state.settings import Settings
from fanout_mcp.text import clip, counted
from fanout_mcp.types import Json

NATIVE_FIGURES: Final = ("name", "event", "count", "mean_ms", "median_ms", "p95_ms", "failures")
GATHER: Final = "fanout_mcp.reports.hooks:gather"
TIMEOUT_S: Final = 60.0
"""Ten million rows without digests take about ten seconds; this is for machines a good deal slower."""


class Drawn(NamedTuple):
    """A report's data, and the tally it was made from."""

    data: Json
    tally: Tally
    days: int
    now: float

    @property
    def period(self) -> Period:
        shown = {row["event"] for row in self.data["events"]}
        whole = report.periods(self.tally, self.days, self.now)[0]
        return whole._replace(events={name: own for name, own in whole.events.items() if name in shown})

    def by_day(self) -> list[tuple[str, dict[str, EventTally]]]:
        first, last = self.data["period"]["from"], self.data["period"]["to"]
        shown = {row["event"] for row in self.data["events"]}
        return [
            (day, {name: event for name, event in events.items() if name in shown})
            for day, events in sorted(self.tally.days.items())
            if first <= day <= last
        ]


def gather(item: Json) -> Json:
    """Return the whole report of a project with the path of its page, for a worker. Raises OSError."""
    made = make(item)
    try:
        made.data["page"] = str(write_report(Path(item["state"]), "hooks", "html", render(made)))
    except OSError as error:
        made.data["page"] = f"could not be written: {why(error)}"
    return made.data


def make(item: Json) -> Drawn:
    """Return the whole report of a project, ready to be drawn. Raises OSError when the log can't be read."""
    now = float(item["now"])
    root, days, event = str(item["root"]), int(item["days"]), item["event"]
    tally = report.read(root, days, now)
    baseline = json_of(report.baseline_path(root))
    data = report.build(tally, days, event, now, baseline)
    odd = pitfalls.of(root, dict(os.environ))
    data["notes"] = [{"note": note, "count": 1} for note in odd] + data["notes"]
    since = report.day_of(now, days - 1)
    folder = transcripts.project_folder(root, str(item["claude"]))
    data["native"] = daily.natives(folder, now - days * report.DAY_S)
    data["tools"] = ledger.costs(Path(item["records"]), since)
    return Drawn(data, tally, days, now)


def item(settings: Settings, days: int, event: str | None) -> dict[str, Json]:
    """Return the input of `gather` and `make`: plain values, since they go to another process."""
    return {
        "root": str(settings.project),
        "state": str(settings.state),
        "records": str(settings.records),
        "claude": claude_folder(os.environ),
        "days": days,
        "event": event,
        "now": time.time(),
    }


def text(data: Json, now: float) -> str:
    """Render the report as Markdown, as the daily file has it, with what only the server knows."""
    parts = [daily.markdown(data, now)]
    if data["native"]:
        heads = ["hook", "event", "count", "mean", "median", "p95", "failures"]
        rows = [[own[name] for name in NATIVE_FIGURES] for own in data["native"]]
        parts.append(
            "## Hooks that Claude Code runs itself (with output only)\n\n" + daily.table(heads, rows)
        )
    if data["tools"]:
        heads = [column.head for column in COSTS]
        rows = [[one.shown(own) if one.shown else own[one.value] for one in COSTS] for own in data["tools"]]
        parts.append("## What fanout's own tools cost\n\n" + daily.table(heads, rows))
    return "\n\n".join(part.strip() for part in parts) + "\n"


# --- The page's charts as plain SVG: smaller than any library that could be embedded, and they print. -------
# Each takes values and returns one `<svg>` with a title and a description, for those who can't see it.
# Colours are classes of page.css, so that light and dark are the style sheet's business. Places across are
# percentages, and a name stands above its bar: so a chart fits a phone's screen with its letters unscaled.

ROW: Final = 34
NAME: Final = 14
"""From a row's top to the line that its name stands on, in pixels, as all places down."""
GUTTER: Final = 10.0
"""Left of a timeline, for the axis' labels, in percent."""
MAX_NAME: Final = 40
MAX_LABELS: Final = 6
"""Along an axis: more touch on a screen of 360 pixels."""
MIN_BAR: Final = 0.3
"""In percent, so that it is seen."""


class Bar(NamedTuple):
    """One bar of a timeline: its place, its value, and what a pointer shows."""

    label: str
    value: float
    caption: str


class Box(NamedTuple):
    """A distribution in milliseconds: 5th, 25th, 50th, 75th, 95th and 99th percentile."""

    name: str
    at: tuple[float, float, float, float, float, float]
    caption: str


class Span(NamedTuple):
    """A hook within one event: waited until `start`, then ran for `ms`. `kind` is a class of bars."""

    name: str
    start: float
    ms: float
    kind: str
    caption: str


def _timeline(bars: Sequence[Bar], title: str, unit: str) -> str:
    """Draw values over time."""
    height, floor = 150, 120
    top = _nice(max((bar.value for bar in bars), default=0.0))
    step = (100 - GUTTER) / max(len(bars), 1)
    parts = [
        _line(GUTTER, y, 100, y) + _text(GUTTER - 1, y + 4, f"{value:g}", "soft", "end")
        for value, y in ((0, floor), (top / 2, (floor + 16) / 2), (top, 16))
    ]
    every = max(1, math.ceil(len(bars) / MAX_LABELS))
    for place, bar in enumerate(bars):
        x, tall = GUTTER + place * step, (floor - 16) * bar.value / top if top else 0.0
        parts.append(_rect(x + step * 0.12, floor - tall, step * 0.76, tall, "bar", bar.caption))
        if place % every == 0:
            parts.append(_text(x + step / 2, height - 12, bar.label, "soft", "middle"))
    return _svg(parts, height, title, f"{len(bars)} bars in {unit}; the highest is {top:g} or less.")


def _boxes(rows: Sequence[Box], title: str) -> str:
    """Draw distributions under one another, on a logarithmic axis."""
    least = min((max(row.at[0], 0.01) for row in rows), default=0.1)
    most = max((row.at[5] for row in rows), default=1.0)
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(max(most, least * 10)))

    def x(ms: float) -> float:
        return (math.log10(max(ms, 10.0**low)) - low) / (high - low) * 100

    floor = len(rows) * ROW + 4
    ticks = range(low, high + 1, math.ceil((high - low) / MAX_LABELS))
    parts = _axis(((x(10.0**power), f"{10.0**power:g} ms") for power in ticks), floor)
    for place, row in enumerate(rows):
        y = place * ROW + NAME + 12
        p5, p25, p50, p75, p95, p99 = map(x, row.at)
        parts += [
            _text(0, place * ROW + NAME, clip(row.name, MAX_NAME), "", "start"),
            f"<g><title>{escape(row.caption)}</title>",
            _line(p5, y, p95, y, "whisker"),
            _rect(min(p25, 100 - MIN_BAR), y - 6, max(p75 - p25, MIN_BAR), 12, "box", ""),
            _line(p50, y - 6, p50, y + 6, "median"),
            f'<circle class="far" cx="{p99:.2f}%" cy="{y:.1f}" r="2.5"/></g>',
        ]
    caption = "; ".join(row.caption for row in rows[:5])
    return _svg(parts, floor + 24, title, f"{counted(len(rows), 'hook')}. {caption}")


def _waterfall(spans: Sequence[Span], total: float, title: str) -> str:
    """Draw what ran beside what within one event, and what waited."""
    end = max([total, *(span.start + span.ms for span in spans)], default=1.0) or 1.0

    floor = len(spans) * ROW + 4
    parts = _axis(((share, f"{end * share / 100:.3g} ms") for share in (0, 25, 50, 75, 100)), floor)
    for place, span in enumerate(spans):
        y, start = place * ROW + NAME + 5, span.start / end * 100
        parts.append(_text(0, place * ROW + NAME, clip(span.name, MAX_NAME), "", "start"))
        if start > 0:
            parts.append(_rect(0, y + 5, start, 2, "wait", ""))
        wide = max(span.ms / end * 100, MIN_BAR)
        parts.append(_rect(min(start, 100 - MIN_BAR), y, wide, 12, span.kind, span.caption))
    return _svg(parts, floor + 24, title, "; ".join(span.caption for span in spans[:8]))


def _sparkline(values: Sequence[float], title: str) -> str:
    """Draw a small line for a table's cell."""
    if len(values) < 2:
        return ""
    low, high = min(values), max(values)
    spread = (high - low) or 1.0
    points = " ".join(
        f"{2 + place * 92 / (len(values) - 1):.1f},{18 - (value - low) / spread * 16:.1f}"
        for place, value in enumerate(values)
    )
    return (
        f'<svg class="small" viewBox="0 0 96 20" role="img" aria-label="{escape(title)}">'
        f'<polyline class="spark" points="{points}"/></svg>'
    )


def _axis(ticks: Iterable[tuple[float, str]], floor: float) -> list[str]:
    """Draw a line down at each place of an axis, its label below; those at the edges stay inside."""

    def anchor(at: float) -> str:
        return "start" if at <= 0 else "end" if at >= 100 else "middle"

    return [_line(at, 0, at, floor) + _text(at, floor + 16, label, "soft", anchor(at)) for at, label in ticks]


def _nice(value: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _svg(parts: Iterable[str], height: float, title: str, caption: str) -> str:
    return (
        f'<svg height="{height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<desc>{escape(caption)}</desc>{''.join(parts)}</svg>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "axis") -> str:
    return f'<line class="{kind}" x1="{x1:.2f}%" y1="{y1:.1f}" x2="{x2:.2f}%" y2="{y2:.1f}"/>'


def _rect(x: float, y: float, wide: float, tall: float, kind: str, caption: str) -> str:  # noqa: PLR0917 - a place
    title = f"<title>{escape(caption)}</title>" if caption else ""
    place = f'x="{x:.2f}%" y="{y:.1f}" width="{wide:.2f}%" height="{tall:.1f}" rx="1.5"'
    return f'<rect class="{kind}" {place}>{title}</rect>'


def _text(x: float, y: float, words: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.2f}%" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'


# --- The page's tables: sorted by their heads, filtered by a field, hidden columns on a narrow screen. ------

MAX_ROWS: Final = 1_000

Days = Sequence[tuple[str, dict[str, EventTally]]]


class Column(NamedTuple):
    """A table's column: `value`, a field or made of the row, is what sorts it, `shown` what is printed."""

    head: str
    value: str | Callable[[Json], Any]
    shown: Callable[[Json], str] | None = None
    kind: str = ""


def _ms(head: str, name: str, kind: str = "") -> Column:
    return Column(head, name, lambda row: f"{row[name]:.2f}", kind)


def _trend(row: Json) -> str:
    words = daily.trend_words(row["trend"])
    return f'<span class="{escape(row["trend"]["direction"])}">{escape(words)}</span>'


TREND: Final = Column("trend", lambda row: row["trend"]["change"], _trend, "word")
FIGURES: Final = (
    Column("count", "count", lambda row: f"{row['count']:,}"),
    _ms("mean", "mean_ms", "wide"),
    _ms("median", "median_ms"),
    _ms("p95", "p95_ms"),
    _ms("p99", "p99_ms", "wide"),
    Column("failures", "failures"),
)

NATIVE: Final = (Column("hook", "name"), Column("event", "event", None, "word"), *FIGURES)
COSTS: Final = (
    Column("tool", "tool"),
    Column("uses", "uses"),
    Column("calls", "calls"),
    Column("cached", "cached", None, "wide"),
    Column("tokens in", "tokens_in", None, "wide"),
    Column("tokens out", "tokens_out", None, "wide"),
    Column("cost", "cost_usd", lambda row: escape(money(row))),
    Column("tokens saved", "saved_tokens"),
)


def _events(data: Json, days: Days) -> str:
    """Return the table of events, with each one's median by day."""

    def history(row: Json) -> str:
        medians = [own[row["event"]].elapsed.quantile(0.5) for _, own in days if row["event"] in own]
        return _sparkline(medians, f"Median of {row['event']} by day")

    columns = (
        Column("event", "event"),
        *FIGURES,
        Column("median by day", "median_ms", history, "wide word"),
        TREND,
    )
    return "<h2>Events</h2>" + _table("events", columns, data["events"])


def _hooks(data: Json) -> str:
    """Return the table of hooks, with its filter."""
    rows = [*data["hooks"][:MAX_ROWS], *data["own"]]
    columns = (
        Column("hook", "name"),
        Column("event", "event", None, "word"),
        *FIGURES,
        Column("runs", "lane", None, "word wide"),
        Column("last error", "last_error", None, "word wide"),
        TREND,
    )
    is_whole = len(data["hooks"]) <= MAX_ROWS
    caption = f"{len(rows)} of {len(rows)}" if is_whole else f"the {MAX_ROWS} slowest"
    return (
        '<h2>Hooks</h2><div class="filter"><label for="find">Filter</label>'
        '<input id="find" type="search" data-filters="hooks" autocomplete="off">'
        f'<output for="find">{caption}</output></div>' + _table("hooks", columns, rows)
    )


def _others(data: Json) -> str:
    """Return the sections beside events and hooks: native hooks, costs, gate, changes, notes."""
    parts = []
    if data["native"]:
        parts.append(
            "<h2>Hooks that Claude Code runs itself</h2>"
            '<p class="soft">With output only: silent runs leave no trace in its transcripts.</p>'
            + _table("native", NATIVE, data["native"])
        )
    if data["tools"]:
        parts.append("<h2>What fanout\u2019s own tools cost</h2>" + _table("tools", COSTS, data["tools"]))
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
    waves = ", ".join(f"{size} in {count}" for size, count in gate["waves"].items()) or "none"
    return (
        f"<h2>Sequential-agent gate</h2><p>Verdicts: {escape(verdicts)}. "
        f"Agents started by one message (in so many messages): {escape(waves)}.</p>"
    )


def _list(title: str, lines: Iterable[str]) -> str:
    items = "".join(f"<li>{escape(line)}</li>" for line in lines)
    return f"<h2>{title}</h2><ul>{items}</ul>" if items else ""


def _table(name: str, columns: Sequence[Column], rows: Iterable[Json]) -> str:
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
    value = row[column.value] if isinstance(column.value, str) else column.value(row)
    shown = column.shown(row) if column.shown else escape(str(value))
    return f'<td{_class(column)} data-value="{escape(str(value))}">{shown}</td>'


# --- page ------------------------------------------------------------------------------------------

HERE: Final = Path(__file__).parent
MAX_BOXES: Final = 30
MAX_WATERFALLS: Final = 6
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


def render(drawn: Drawn) -> str:
    """Return the whole page."""
    data, period = drawn.data, drawn.period
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(drawn.now))
    span = f"{data['period']['from']} to {data['period']['to']}"
    parts = [
        "<h1>Hook performance</h1>",
        f'<p class="soft">{span}, compared with as many days before. Made {made}. Times in milliseconds.</p>',
        _cards(data),
        _advice(data),
        _over_time(drawn),
        _events(data, drawn.by_day()),
        _distribution(period),
        _waterfalls(period),
        _hooks(data),
        _others(data),
    ]
    style, script = ((HERE / name).read_text(encoding="utf-8") for name in ("page.css", "page.js"))
    body = "\n".join(part for part in parts if part)
    return (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>Hook performance, {span}</title>\n<style>\n{style}</style>\n</head>\n"
        f"<body>\n<main>\n{body}\n</main>\n<script>\n{script}</script>\n</body>\n</html>\n"
    )


# --- the head ---------------------------------------------------------------------------------------


def _cards(data: Json) -> str:
    count = sum(row["count"] for row in data["events"])
    runs = sum(row["count"] for row in data["hooks"])
    failures = sum(row["failures"] for row in data["events"])
    native = data["saved_against_native"]
    cards = [
        ("Events", f"{count:,}"),
        ("Hook runs", f"{runs:,}"),
        ("Failures", f"{failures:,}"),
        ("Saved against one after another", _duration(data["saved_ms"])),
        ("Taken by fanout itself, off what is saved", _duration(data["own_ms"])),
    ]
    if native:
        cards.append((f"Saved against native (measured {native['date']})", _duration(native["saved_ms"])))
    inner = "".join(f"<div><dt>{escape(name)}</dt><dd>{escape(value)}</dd></div>" for name, value in cards)
    return f'<dl class="cards">{inner}</dl>'


def _duration(ms: float) -> str:
    for unit, size in (("h", 3_600_000), ("min", 60_000), ("s", 1000)):
        if abs(ms) >= size:
            return f"{ms / size:.1f} {unit}"
    return f"{ms:.0f} ms"


def _advice(data: Json) -> str:
    if not data["recommendations"]:
        return "<h2>Recommendations</h2><p>None: nothing is out of line.</p>"
    items = []
    for own in data["recommendations"]:
        who = f"{own['event']} / {own['hook']}" if own["hook"] else own["event"]
        gain = f" About {own['gain_ms']:.0f} ms an event." if own["gain_ms"] >= 1 else ""
        items.append(f"<li><b>{escape(who)}</b>: {escape(own['reason'])}.{gain}</li>")
    return f'<h2>Recommendations</h2><div class="panel"><ol class="advice">{"".join(items)}</ol></div>'


# --- charts -------------------------------------------------------------------------------------------


def _over_time(drawn: Drawn) -> str:
    days = drawn.by_day()
    if not days:
        return ""
    if len(days) == 1:
        events = days[0][1].values()
        hours = [f"{hour:02d}" for hour in range(24)]
        tallies = sum((one.hours for one in events), Counter[str]())
        slots = [(hour, tallies[hour], tallies[f"us {hour}"]) for hour in hours]
        by, caption = "hour (UTC)", [f"{days[0][0]} {label}:00" for label, *_ in slots]
    else:
        times = [(day, [event.elapsed for event in events.values()]) for day, events in days]
        slots = [
            (day[5:], sum(one.count for one in own), sum(round(one.total * 1000) for one in own))
            for day, own in times
        ]
        by, caption = "day", [day for day, _ in days]
    counts, means = [], []
    for (label, count, us), when in zip(slots, caption, strict=True):
        mean = us / max(count, 1) / 1000
        counts.append(Bar(label, count, f"{when}: {counted(count, 'event')}"))
        means.append(Bar(label, mean, f"{when}: {mean:.1f} ms on average"))
    return (
        f'<h2>Timeline</h2><p class="soft">Events by {by}</p>'
        + _panel(_timeline(counts, f"Events by {by}", "events"))
        + f'<p class="soft">Mean time of an event by {by}, in milliseconds</p>'
        + _panel(_timeline(means, f"Mean time of an event by {by}", "ms"))
    )


def _panel(chart: str) -> str:
    return f'<div class="panel">{chart}</div>'


def _distribution(period: Period) -> str:
    slowest = sorted(period.rows().items(), key=lambda pair: -pair[1].ms.total)[:MAX_BOXES]
    rows = []
    for key, hook in slowest:
        at = [hook.ms.quantile(share) for share in QUANTILES]
        runs = counted(hook.ms.count, "run")
        caption = f"{key}: median {at[2]:.2f} ms, 95 % within {at[4]:.2f} ms, {runs}"
        event, _, name = key.partition("/")
        shown = name if len(period.events) == 1 else f"{name} \u00b7 {event}"
        rows.append(Box(shown, (at[0], at[1], at[2], at[3], at[4], at[5]), caption))
    if not rows:
        return ""
    legend = "Box: the middle half. Line: 5th to 95th percentile. Stroke: median. Dot: 99th percentile."
    return f'<h2>Distribution per hook</h2><p class="soft">{legend}</p>' + _panel(
        _boxes(rows, "The times of each hook")
    )


def _waterfalls(period: Period) -> str:
    names = sorted(period.events, key=lambda name: -period.events[name].elapsed.total)[:MAX_WATERFALLS]
    parts = []
    for place, name in enumerate(names):
        sample = typical(period.events[name])
        if sample is None:
            continue
        spans = [_span(hook) for hook in sample["hooks"]]
        total = float(sample["elapsed_ms"])
        count = counted(len(spans), "hook")
        chart = _waterfall(spans, total, f"A typical {name}")
        is_open = " open" if place == 0 else ""
        parts.append(
            f"<details{is_open}><summary>{escape(name)}: {total:.1f} ms, {count}</summary>"
            + _panel(chart)
            + "</details>"
        )
    if not parts:
        return ""
    legend = (
        '<p class="legend">'
        '<span><i style="background:var(--warm)"></i>warm: in a worker that is kept ready</span>'
        '<span><i style="background:var(--mark)"></i>spare: in a process that was started ahead</span>'
        '<span><i style="background:var(--lane)"></i>own process: as Claude Code starts it (lane), '
        "forked from a ready interpreter (alone), or watched as long as a hook is not known (trial)</span>"
        '<span><i style="background:var(--bad)"></i>failed</span>'
        '<span><i style="background:var(--line)"></i>waited</span></p>'
    )
    return f"<h2>A typical event</h2>{legend}{''.join(parts)}"


def typical(event: EventTally) -> Json:
    """Return the kept event whose time is nearest to the median, of those without trial runs if possible."""
    median = event.elapsed.quantile(0.5)
    with_hooks = [sample for sample in event.samples if sample.get("hooks")]
    known = [sample for sample in with_hooks if all(hook["lane"] != "trial" for hook in sample["hooks"])]
    return min(
        known or with_hooks, key=lambda sample: abs(float(sample["elapsed_ms"]) - median), default=None
    )


KINDS = {"warm": "bar", "spare": "bar spare"}
"""Of lanes whose hooks did not wait for a process to start."""


def _span(hook: Any) -> Span:
    failed = hook["exit"] not in (0, 2) or hook.get("timed_out")
    kind = "bar bad" if failed else KINDS.get(hook["lane"], "bar lane")
    start, ms = float(hook["wait_ms"]), float(hook["ms"])
    caption = f"{hook['name']}: from {start:.1f} ms, {ms:.2f} ms long, {hook['lane']}"
    return Span(str(hook["name"]), start, ms, kind, caption)
