"""The report says what the log holds, compared with the period before, and what to do about it."""

from __future__ import annotations

import random
from pathlib import Path
from typing import Any

import pytest

from fakes.records import DAY, NOW, record, row, write
from fanout_hooks.log import append, daily, report
from fanout_hooks.log.tally import Tally


def built(tmp_path: Path, *records: dict[str, Any], **options: Any) -> dict[str, Any]:
    write(tmp_path, *records)
    return report.build(report.read(str(tmp_path), now=NOW), now=NOW, **options)


def test_an_event_is_told_with_its_percentiles_and_failures(tmp_path: Path) -> None:
    records = [record(row("a", float(ms), exit=int(ms > 95))) for ms in range(1, 101)]
    data = built(tmp_path, *records)
    event = data["events"][0]
    assert (event["event"], event["count"], event["failures"]) == ("PreToolUse", 100, 5)
    assert event["median_ms"] == pytest.approx(50, rel=0.02)
    assert event["p95_ms"] == pytest.approx(95, rel=0.02)
    assert event["p99_ms"] == pytest.approx(99, rel=0.02)
    assert data["hooks"][0]["name"] == "a"


def test_only_whole_days_of_the_period_count(tmp_path: Path) -> None:
    records = [record(row("a", 1.0), at=NOW - back * DAY) for back in (0, 6, 7, 13, 14)]
    data = built(tmp_path, *records)
    assert data["events"][0]["count"] == 2
    assert data["period"] == {"days": 7, "from": "2026-11-12", "to": "2026-11-18"}


def test_one_event_may_be_asked_for(tmp_path: Path) -> None:
    data = built(tmp_path, record(row("a", 1.0)), record(row("b", 1.0), phase="Stop"), event="Stop")
    assert [own["event"] for own in data["events"]] == ["Stop"]
    assert [own["name"] for own in data["hooks"]] == ["b"]


def test_a_slower_hook_is_named_with_its_size(tmp_path: Path) -> None:
    chance = random.Random(5)

    def some(at: float, factor: float) -> list[dict[str, Any]]:
        def ms(median: float) -> float:
            return round(median * chance.lognormvariate(0, 0.2), 2)

        return [record(row("same", ms(9)), row("slowed", ms(9) * factor), at=at) for _ in range(200)]

    data = built(tmp_path, *some(NOW - 8 * DAY, 1.0), *some(NOW, 1.5))
    trends = {own["name"]: own["trend"] for own in data["hooks"]}
    assert trends["slowed"]["direction"] == "slower"
    assert trends["slowed"]["change"] == pytest.approx(0.5, abs=0.12)
    assert trends["same"]["direction"] == "steady"
    assert [own["action"] for own in data["recommendations"]] == ["revert"]


def test_time_saved_is_against_one_after_another(tmp_path: Path) -> None:
    data = built(tmp_path, record(row("a", 30.0), row("b", 30.0), elapsed_ms=31.0))
    assert data["saved_ms"] == 29.0
    assert data["saved_against_native"] is None


def test_what_fanout_itself_took_is_a_row_of_its_own_and_off_what_is_saved(tmp_path: Path) -> None:
    old, new = record(row("a", 9.0)), record(row("a", 9.0), elapsed_ms=10.0, own_ms=1.0)
    data = built(tmp_path, old, *[new] * 30)
    (own,) = data["own"]
    assert [one["name"] for one in data["hooks"]] == ["a"]
    assert (own["name"], own["event"], own["count"], own["median_ms"], own["lane"]) == (
        report.OWN,
        "PreToolUse",
        30,
        1.0,
        "own",
    )
    assert (data["own_ms"], data["saved_ms"]) == (30.0, -30.0)
    assert data["recommendations"] == data["changed"] == []
    text = daily.markdown(data, NOW)
    assert "| fanout itself | PreToolUse | 30 |" in text
    assert "0.0 s saved. The 0.0 s that fanout itself took are off it." in text


def test_against_native_is_said_only_with_a_dated_baseline(tmp_path: Path) -> None:
    baseline = {"date": "2026-11-17", "events": {"PreToolUse": {"native_ms": 300.0}}}
    data = built(tmp_path, *[record(row("a", 6.0))] * 10, baseline=baseline)
    assert data["saved_against_native"]["date"] == "2026-11-17"
    assert data["saved_against_native"]["saved_ms"] == pytest.approx(2940, rel=0.01)


def test_hooks_that_came_went_or_were_edited_are_named(tmp_path: Path) -> None:
    before = record(row("kept", 1.0), row("old", 1.0), row("edited", 1.0), at=NOW - 8 * DAY)
    now = record(row("kept", 1.0), row("new", 1.0), row("edited", 1.0, lane="trial"))
    data = built(tmp_path, before, now)
    assert {own["name"]: own["change"] for own in data["changed"]} == {
        "old": "gone",
        "new": "new",
        "edited": "edited",
    }


def test_gate_notes_and_damage_are_those_of_the_period(tmp_path: Path) -> None:
    old = record(at=NOW - 2000 * DAY, gate={"verdict": "deny"}, notes=["old note"])
    new = record(gate={"wave": 3}, notes=["new note"])
    write(tmp_path, old)
    path = append.path_of(str(tmp_path))
    with Path(path).open("ab") as file:
        file.write(b"{old damage\n")
    data = built(tmp_path, new)
    assert data["gate"]["verdicts"] == {}
    assert data["gate"]["waves"] == {"3": 1}
    assert data["notes"] == [{"note": "new note", "count": 1}]
    assert data["damaged_lines"] == 0
    with Path(path).open("ab") as file:
        file.write(b"{new damage\n")
    assert built(tmp_path)["damaged_lines"] == 1


def test_a_log_of_nothing_but_damage_is_told(tmp_path: Path) -> None:
    write(tmp_path)
    Path(append.path_of(str(tmp_path))).write_bytes(b"{\n" * 3)
    assert built(tmp_path)["damaged_lines"] == 3


def test_the_gate_is_summed_up() -> None:
    assert report.gate_summary({"deny": 2, "wave 5": 1, "overruled": 1, "wave 1": 3}) == {
        "verdicts": {"deny": 2, "overruled": 1},
        "waves": {"1": 3, "5": 1},
        "agents_per_wave": 2.0,
    }


def many(*hooks: dict[str, Any], count: int = 100, **more: Any) -> list[dict[str, Any]]:
    return [record(*hooks, **more)] * count


@pytest.mark.parametrize(
    ("records", "action", "gain"),
    [
        pytest.param(many(row("h", 80.0, exit=1), row("o", 1.0)), "fix", 79, id="fails"),
        pytest.param(many(row("h", 900.0, exit=-9, timed_out=True)), "fix", 900, id="timeouts"),
        pytest.param(
            many(row("h", 80.0, lane="lane"), row("o", 10.0, lane="lane")), "async", 70, id="observer"
        ),
        pytest.param(
            [
                *many(row("h", 80.0, lane="lane"), count=299),
                record(row("h", 80.0, lane="lane", decision="deny")),
            ],
            "if",
            80,
            id="seldom decides",
        ),
        pytest.param(many(row("h", 80.0, lane="lane", decision="allow")), "cache", 80, id="always decides"),
        pytest.param(
            [*many(row("h", 1.0), count=98), *many(row("h", 400.0), count=2)], "split", 8, id="a slow case"
        ),
        pytest.param(
            many(row("h", 5.0, lane="lane", wait_ms=120.0), row("o", 120.0, lane="lane", decision="allow")),
            "declare",
            120,
            id="waits",
        ),
        pytest.param(
            [*many(row("h", 1.0)), *many(row("h", 1.0), path="cold", elapsed_ms=55.0)],
            "server",
            54,
            id="cold",
        ),
    ],
)
def test_a_recommendation_follows_from_the_numbers(
    tmp_path: Path, records: list[dict[str, Any]], action: str, gain: float
) -> None:
    found = {own["action"]: own for own in built(tmp_path, *records)["recommendations"]}
    assert action in found
    assert found[action]["gain_ms"] == pytest.approx(gain, rel=0.05)


def test_fast_and_healthy_hooks_get_no_advice(tmp_path: Path) -> None:
    assert built(tmp_path, *many(row("a", 0.4), row("b", 0.7)))["recommendations"] == []


def test_the_daily_file_has_the_form_people_know(tmp_path: Path) -> None:
    write(tmp_path, *many(row("audit|log", 80.0, lane="lane")))
    path = Path(daily.write_daily(str(tmp_path), now=NOW))
    text = path.read_text()
    assert path == tmp_path / ".claude" / "memory" / "hook_performance_report.md"
    for word in ("count", "mean", "median", "p95", "trend", "## Recommendations", "audit\\|log", "80"):
        assert word in text
    written = path.stat().st_mtime
    assert not append.is_due(str(tmp_path), written)
    assert append.is_due(str(tmp_path), written + append.EVERY_S)


def test_a_name_or_note_of_several_lines_begins_no_line_of_the_report(tmp_path: Path) -> None:
    write(tmp_path, record(row("a\n# head", 1.0), notes=["a\n# note"]))
    lines = Path(daily.write_daily(str(tmp_path), now=NOW)).read_text().splitlines()
    assert [line for line in lines if line.startswith("# ")] == ["# Hook performance report"]


def test_a_daily_file_that_cannot_be_written_leaves_nothing_half_done(tmp_path: Path) -> None:
    write(tmp_path, *many(row("a", 1.0)))
    (tmp_path / append.REPORT_NAME).mkdir(parents=True)
    with pytest.raises(OSError, match=r"."):
        daily.write_daily(str(tmp_path), now=NOW)
    assert [path.name for path in (tmp_path / ".claude" / "memory").iterdir() if "." in path.suffix[1:]] == []


def test_an_empty_log_makes_a_report_that_says_so() -> None:
    assert "No hook ran" in daily.markdown(report.build(Tally(), now=NOW), NOW)


@pytest.mark.parametrize(
    ("ms", "said"), [(-3.0, "0.0 s"), (-1200.0, "-1.2 s"), (0.0, "0.0 s"), (1250.0, "1.2 s")]
)
def test_a_hair_less_than_nothing_saved_is_nothing(tmp_path: Path, ms: float, said: str) -> None:
    data = {**built(tmp_path, record(row("a", 1.0))), "saved_ms": ms}
    assert f"one after another: {said} saved." in daily.markdown(data, NOW)
