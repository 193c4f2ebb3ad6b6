"""The page is one file without a network, and shows hostile names as text."""

from __future__ import annotations

import re
from html.parser import HTMLParser
from pathlib import Path
from typing import Any

from fakes.records import DAY, NOW, record, row, write
from fanout_hooks.log import report
from fanout_mcp.reports import hooks
from fanout_mcp.state.settings import Settings

VOID = frozenset({"meta", "input", "br", "rect", "line", "circle", "polyline"})


class Nesting(HTMLParser):
    """Follows opening and closing tags."""

    def __init__(self) -> None:
        super().__init__()
        self.open: list[str] = []
        self.tags: list[str] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        if tag not in VOID:
            assert self.open.pop() == tag


def drawn(project: Path, *records: dict[str, Any]) -> str:
    write(project, *records)
    item = hooks.item(Settings(project, project / "user"), 7, None)
    return hooks.render(hooks.make({**item, "claude": str(project / ".claude"), "now": NOW}))


def test_a_page_is_well_formed_and_asks_nobody(tmp_path: Path) -> None:
    html = drawn(
        tmp_path,
        *(
            record(row("a", 1.0), row("b", 90.0, lane="lane", exit=1), at=NOW - back * DAY)
            for back in range(9)
        ),
    )
    nesting = Nesting()
    nesting.feed(html)
    assert nesting.open == []
    assert nesting.tags.count("svg") >= 4
    assert not re.search(r"(?:src|href)=|https?://|@import|url\(", html)


def test_every_place_across_a_chart_is_a_share_of_the_screen(tmp_path: Path) -> None:
    """So a chart fits a phone's screen, and its letters stay as large as they are."""
    html = drawn(
        tmp_path,
        *(
            record(row(f"hook-{number}", ms), row("b", ms * 900, lane="alone"), at=NOW - back * DAY)
            for back in range(40)
            for number, ms in enumerate((0.02, 3.0, 4000.0))
        ),
    )
    charts = re.findall(r"<svg height=.*?</svg>", html, re.DOTALL)
    places = re.findall(r' (?:x|x1|x2|cx|width)="([^"]*)"', "".join(charts))
    assert len(charts) >= 4
    assert all(place.endswith("%") and 0 <= float(place[:-1]) <= 100 for place in places)
    assert max(chart.count('class="soft"') for chart in charts) <= hooks.MAX_LABELS + 5


def test_a_hostile_name_is_text(tmp_path: Path) -> None:
    html = drawn(tmp_path, *[record(row("</script><img onerror=x>\"'&", 80.0, exit=1))] * 30)
    nesting = Nesting()
    nesting.feed(html)
    assert "img" not in nesting.tags
    assert nesting.tags.count("script") == 1


def test_one_is_no_plural(tmp_path: Path) -> None:
    html = drawn(tmp_path, record(row("a", 1.0)))
    assert "1.0 ms, 1 hook</summary>" in html
    assert not re.search(r"\b1 (?:hooks|runs|events)\b", html)


def test_a_chart_that_is_wider_than_the_screen_says_that_it_scrolls(tmp_path: Path) -> None:
    html = drawn(tmp_path, record(row("a", 1.0)))
    assert 'content: "scroll for the rest' in html
    assert all('class="panel scroll" tabindex="0"' in part for part in html.split("<svg viewBox=")[:1])


def test_one_day_is_drawn_by_the_hour(tmp_path: Path) -> None:
    assert "Events by hour" in drawn(tmp_path, record(row("a", 1.0)))


def test_nothing_logged_is_still_a_page(tmp_path: Path) -> None:
    assert "None: nothing is out of line." in drawn(tmp_path)


def test_the_typical_event_is_the_kept_one_nearest_to_the_median(tmp_path: Path) -> None:
    write(tmp_path, *(record(row("a", ms)) for ms in (1.0, 5.0, 5.1, 5.2, 90.0)))
    event = report.periods(report.read(str(tmp_path), now=NOW), 7, NOW)[0].events["PreToolUse"]
    assert hooks.typical(event)["elapsed_ms"] == 5.1
