"""In CI a report fails on what is really slower, and not on noise."""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

import pytest

from fakes.records import NOW, record, row, write
from fanout_hooks.log import report
from fanout_hooks.log.report import Period


def period(tmp_path: Path, median: float, count: int = 200, seed: int = 1) -> Period:
    chance = random.Random(seed)
    folder = tmp_path / f"{median}-{seed}"
    times = [round(median * chance.lognormvariate(0, 0.3), 2) for _ in range(count)]
    write(folder, *(record(row("a", ms)) for ms in times))
    return report.periods(report.read(str(folder), now=NOW), 7, NOW)[0]


@pytest.mark.parametrize("text", ["PreToolUse", "PreToolUse=", "=5", "PreToolUse=5,p42", "PreToolUse=-1", ""])
def test_a_limit_in_another_form_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="PreToolUse=20,p95"):
        report.parse(text)


def test_a_limit_reads_its_quantile() -> None:
    assert report.parse("Stop=2.5") == report.Limit("Stop", 2.5, 0.95)
    assert report.parse("Stop=2.5,p50") == report.Limit("Stop", 2.5, 0.5)


def test_a_limit_breaks_only_beyond_the_noise(tmp_path: Path) -> None:
    found = period(tmp_path, 10.0)
    p50 = found.events["PreToolUse"].elapsed.quantile(0.5)
    assert report.above(found, report.Limit("PreToolUse", p50 * 0.98, 0.5)) == ""
    assert "PreToolUse: p50 is" in report.above(found, report.Limit("PreToolUse", p50 * 0.8, 0.5))
    assert report.above(found, report.Limit("NeverRan", 0.1)) == ""


def test_a_regression_against_a_baseline_is_named_and_noise_is_not(tmp_path: Path) -> None:
    saved: Any = json.loads(report.save(period(tmp_path, 10.0)))
    assert report.regressions(period(tmp_path, 10.0, seed=2), saved) == []
    slower = report.regressions(period(tmp_path, 13.0, seed=3), saved)
    assert [own.split(":")[0] for own in slower] == ["PreToolUse", "PreToolUse/a"]


@pytest.mark.parametrize(
    "data", [None, [], {}, {"form": 9, "events": {}, "hooks": {}}, {"form": 1, "events": 3}]
)
def test_something_else_is_no_baseline(tmp_path: Path, data: Any) -> None:
    with pytest.raises(ValueError, match="baseline"):
        report.regressions(period(tmp_path, 10.0), data)
