"""The hook report as a page: one HTML file, no network, light and dark, for a phone, a printer and a reader.

Everything is drawn here; the page's script only sorts and filters. Names come from people's hooks, so all of
them are escaped.
"""

from __future__ import annotations

import time
from html import escape
from pathlib import Path
from typing import Any, Final, NamedTuple

from fanout_hooks import report
from fanout_hooks.report import Period
from fanout_hooks.tally import EventTally, Tally
from fanout_mcp.counted import counted
from fanout_mcp.reports import charts, tables
from fanout_mcp.types import Json

HERE: Final = Path(__file__).parent
MOST_BOXES: Final = 30
MOST_WATERFALLS: Final = 6
QUANTILES: Final = (0.05, 0.25, 0.5, 0.75, 0.95, 0.99)


class Drawn(NamedTuple):
    """What is drawn: the report's data, and the tally it was made from."""

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
        _timeline(drawn),
        tables.events(data, drawn.by_day()),
        _distribution(period),
        _waterfalls(period),
        tables.hooks(data),
        tables.others(data),
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
        return "<h2>Recommendations</h2><p>None: nothing stands out.</p>"
    items = []
    for own in data["recommendations"]:
        who = f"{own['event']} / {own['hook']}" if own["hook"] else own["event"]
        gain = f" About {own['gain_ms']:.0f} ms an event." if own["gain_ms"] >= 1 else ""
        items.append(f"<li><b>{escape(who)}</b>: {escape(own['reason'])}.{gain}</li>")
    return f'<h2>Recommendations</h2><div class="panel"><ol class="advice">{"".join(items)}</ol></div>'


# --- charts -------------------------------------------------------------------------------------------


def _timeline(drawn: Drawn) -> str:
    days = drawn.by_day()
    if not days:
        return ""
    if len(days) == 1:
        slots = [(f"{hour:02d}", _hour(days[0][1], f"{hour:02d}")) for hour in range(24)]
        by, told = "hour (UTC)", [f"{days[0][0]} {label}:00" for label, _ in slots]
    else:
        slots = [(day[5:], _day(events)) for day, events in days]
        by, told = "day", [day for day, _ in days]
    counts = [
        charts.Bar(label, count, f"{when}: {counted(count, 'event')}")
        for (label, (count, _)), when in zip(slots, told, strict=True)
    ]
    means = [
        charts.Bar(
            label,
            us / count / 1000 if count else 0.0,
            f"{when}: {us / max(count, 1) / 1000:.1f} ms on average",
        )
        for (label, (count, us)), when in zip(slots, told, strict=True)
    ]
    return (
        f'<h2>Timeline</h2><p class="soft">Events by {by}</p>'
        + _panel(charts.timeline(counts, f"Events by {by}", "events"))
        + f'<p class="soft">Mean time of an event by {by}, in milliseconds</p>'
        + _panel(charts.timeline(means, f"Mean time of an event by {by}", "ms"))
    )


def _panel(chart: str) -> str:
    return f'<div class="panel scroll" tabindex="0">{chart}</div>'


def _hour(events: dict[str, EventTally], hour: str) -> tuple[int, int]:
    return (
        sum(event.hours[hour] for event in events.values()),
        sum(event.hours[f"us {hour}"] for event in events.values()),
    )


def _day(events: dict[str, EventTally]) -> tuple[int, int]:
    return (
        sum(event.elapsed.count for event in events.values()),
        sum(round(event.elapsed.total * 1000) for event in events.values()),
    )


def _distribution(period: Period) -> str:
    hooks = sorted(period.hooks().items(), key=lambda pair: -pair[1].ms.total)[:MOST_BOXES]
    rows = []
    for key, hook in hooks:
        at = [hook.ms.quantile(share) for share in QUANTILES]
        runs = counted(hook.ms.count, "run")
        told = f"{key}: median {at[2]:.2f} ms, 95 % within {at[4]:.2f} ms, {runs}"
        event, _, name = key.partition("/")
        shown = name if len(period.events) == 1 else f"{name} \u00b7 {event}"
        rows.append(charts.Box(shown, (at[0], at[1], at[2], at[3], at[4], at[5]), told))
    if not rows:
        return ""
    legend = "Box: the middle half. Line: 5th to 95th percentile. Stroke: median. Dot: 99th percentile."
    return f'<h2>Distribution per hook</h2><p class="soft">{legend}</p>' + _panel(
        charts.boxes(rows, "The times of each hook")
    )


def _waterfalls(period: Period) -> str:
    names = sorted(period.events, key=lambda name: -period.events[name].elapsed.total)[:MOST_WATERFALLS]
    parts = []
    for place, name in enumerate(names):
        sample = typical(period.events[name])
        if sample is None:
            continue
        spans = [_span(hook) for hook in sample["hooks"]]
        total = float(sample["elapsed_ms"])
        count = counted(len(spans), "hook")
        chart = charts.waterfall(spans, total, f"A typical {name}")
        is_open = " open" if place == 0 else ""
        parts.append(
            f"<details{is_open}><summary>{escape(name)}: {total:.1f} ms, {count}</summary>"
            + _panel(chart)
            + "</details>"
        )
    if not parts:
        return ""
    legend = (
        '<p class="legend"><span><i style="background:var(--warm)"></i>in the warm worker</span>'
        '<span><i style="background:var(--lane)"></i>in a process of its own</span>'
        '<span><i style="background:var(--bad)"></i>failed</span>'
        '<span><i style="background:var(--line)"></i>waited</span></p>'
    )
    return f"<h2>A typical event</h2>{legend}{''.join(parts)}"


def typical(event: EventTally) -> Json:
    """Return the kept event whose time is nearest to the median; None when none was kept."""
    median = event.elapsed.quantile(0.5)
    with_hooks = [sample for sample in event.samples if sample.get("hooks")]
    return min(with_hooks, key=lambda sample: abs(float(sample["elapsed_ms"]) - median), default=None)


def _span(hook: Any) -> charts.Span:
    failed = hook["exit"] not in (0, 2) or hook.get("timed_out")
    kind = "bar bad" if failed else "bar" if hook["lane"] == "warm" else "bar lane"
    start, ms = float(hook["wait_ms"]), float(hook["ms"])
    told = f"{hook['name']}: from {start:.1f} ms, {ms:.2f} ms long, {hook['lane']}"
    return charts.Span(str(hook["name"]), start, ms, kind, told)
