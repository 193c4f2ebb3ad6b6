"""The page's charts as plain SVG: smaller than any library that could be embedded, and they print.

Each takes values and returns one `<svg>` with a title and a description, for those who can't see it. Colours
are classes of page.css, so that light and dark are the style sheet's business.
"""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from html import escape
from typing import Final, NamedTuple

from fanout_mcp.counted import counted

WIDTH: Final = 720
ROW: Final = 22
LABEL: Final = 230
EDGE: Final = 44
"""Room for half an axis label at the right."""
LONGEST_NAME: Final = 34


class Bar(NamedTuple):
    """One bar of a timeline: its place, its value, and what a pointer is told."""

    label: str
    value: float
    told: str


class Box(NamedTuple):
    """A distribution in milliseconds: 5th, 25th, 50th, 75th, 95th and 99th percentile."""

    name: str
    at: tuple[float, float, float, float, float, float]
    told: str


class Span(NamedTuple):
    """A hook within one event: waited until `start`, then ran for `ms`. `kind` is a class of bars."""

    name: str
    start: float
    ms: float
    kind: str
    told: str


def timeline(bars: Sequence[Bar], title: str, unit: str) -> str:
    """Draw values over time."""
    height, floor, left = 150, 120, 46
    top = _nice(max((bar.value for bar in bars), default=0.0))
    step = (WIDTH - left) / max(len(bars), 1)
    parts = [
        _line(left, y, WIDTH, y) + _text(left - 6, y + 4, f"{value:g}", "soft", "end")
        for value, y in ((0, floor), (top / 2, (floor + 16) / 2), (top, 16))
    ]
    every = max(1, math.ceil(len(bars) / 8))
    for place, bar in enumerate(bars):
        x, tall = left + place * step, (floor - 16) * bar.value / top if top else 0.0
        parts.append(_rect(x + step * 0.12, floor - tall, max(step * 0.76, 1), tall, "bar", bar.told))
        if place % every == 0:
            parts.append(_text(x + step / 2, height - 12, bar.label, "soft", "middle"))
    return _svg(parts, height, title, f"{len(bars)} bars in {unit}; the highest is {top:g} or less.")


def boxes(rows: Sequence[Box], title: str) -> str:
    """Draw distributions under one another, on a logarithmic axis."""
    least = min((max(row.at[0], 0.01) for row in rows), default=0.1)
    most = max((row.at[5] for row in rows), default=1.0)
    low, high = math.floor(math.log10(least)), math.ceil(math.log10(max(most, least * 10)))

    def x(ms: float) -> float:
        share = (math.log10(max(ms, 10.0**low)) - low) / (high - low)
        return LABEL + share * (WIDTH - LABEL - EDGE)

    floor = len(rows) * ROW + 4
    parts = []
    for power in range(low, high + 1):
        at = x(10.0**power)
        parts.append(_line(at, 0, at, floor) + _text(at, floor + 16, f"{10.0**power:g} ms", "soft", "middle"))
    for place, row in enumerate(rows):
        y = place * ROW + ROW / 2
        p5, p25, p50, p75, p95, p99 = map(x, row.at)
        parts += [
            _text(LABEL - 8, y + 4, shortened(row.name), "", "end"),
            f"<g><title>{escape(row.told)}</title>",
            _line(p5, y, p95, y, "whisker"),
            _rect(p25, y - 6, max(p75 - p25, 1), 12, "box", ""),
            _line(p50, y - 6, p50, y + 6, "median"),
            f'<circle class="far" cx="{p99:.1f}" cy="{y:.1f}" r="2.5"/></g>',
        ]
    told = "; ".join(row.told for row in rows[:5])
    return _svg(parts, floor + 24, title, f"{counted(len(rows), 'hook')}. {told}")


def waterfall(spans: Sequence[Span], total: float, title: str) -> str:
    """Draw what ran beside what within one event, and what waited."""
    end = max([total, *(span.start + span.ms for span in spans)], default=1.0) or 1.0

    def x(ms: float) -> float:
        return LABEL + ms / end * (WIDTH - LABEL - EDGE)

    floor = len(spans) * ROW + 4
    parts = [
        _line(x(end * share), 0, x(end * share), floor)
        + _text(x(end * share), floor + 16, f"{end * share:.3g} ms", "soft", "middle")
        for share in (0, 0.25, 0.5, 0.75, 1)
    ]
    for place, span in enumerate(spans):
        y = place * ROW + 5
        parts.append(_text(LABEL - 8, y + 11, shortened(span.name), "", "end"))
        if span.start > 0:
            parts.append(_rect(x(0), y + 5, x(span.start) - x(0), 2, "wait", ""))
        parts.append(
            _rect(
                x(span.start), y, max(x(span.start + span.ms) - x(span.start), 1.5), 12, span.kind, span.told
            )
        )
    return _svg(parts, floor + 24, title, "; ".join(span.told for span in spans[:8]))


def sparkline(values: Sequence[float], title: str) -> str:
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


def shortened(name: str) -> str:
    return name if len(name) <= LONGEST_NAME else f"{name[: LONGEST_NAME - 1]}\u2026"


def _nice(value: float) -> float:
    """Round up to 1, 2 or 5 times a power of ten."""
    if value <= 0:
        return 1.0
    power = 10.0 ** math.floor(math.log10(value))
    return next(step * power for step in (1, 2, 5, 10) if step * power >= value)


def _svg(parts: Iterable[str], height: float, title: str, told: str) -> str:
    return (
        f'<svg viewBox="0 0 {WIDTH} {height:.0f}" role="img" aria-label="{escape(title)}">'
        f"<desc>{escape(told)}</desc>{''.join(parts)}</svg>"
    )


def _line(x1: float, y1: float, x2: float, y2: float, kind: str = "axis") -> str:
    return f'<line class="{kind}" x1="{x1:.1f}" y1="{y1:.1f}" x2="{x2:.1f}" y2="{y2:.1f}"/>'


def _rect(x: float, y: float, wide: float, tall: float, kind: str, told: str) -> str:  # noqa: PLR0917 - a place
    title = f"<title>{escape(told)}</title>" if told else ""
    place = f'x="{x:.1f}" y="{y:.1f}" width="{wide:.1f}" height="{tall:.1f}" rx="1.5"'
    return f'<rect class="{kind}" {place}>{title}</rect>'


def _text(x: float, y: float, words: str, kind: str, anchor: str) -> str:
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(words)}</text>'
