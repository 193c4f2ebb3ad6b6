"""The benchmark that fits how much agreement is worth: on made-up reviews whose rates are known."""

from __future__ import annotations

import json
import random
from pathlib import Path

import pytest
from benchmarks.agreement import counted, duplicates, fit, grouped, panels, read, run

from fanout_mcp.review.agreement import features, rates
from fanout_mcp.types import Json

TOPICS = [
    "cache",
    "lock",
    "retry",
    "order",
    "total",
    "user",
    "header",
    "cookie",
    "socket",
    "buffer",
    "parser",
]


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    chance = random.Random(1)
    rows: list[Json] = []
    for number in range(12):
        golden = [{"id": f"g{n}", "text": topic} for n, topic in enumerate(TOPICS[:3])]
        findings: list[Json] = []
        for who in range(5):
            findings += [
                {
                    "reviewer": f"r{who}",
                    "text": f"{topic} {topic}{topic}s of the {topic}_{topic}",
                    "golden": f"g{n}",
                }
                for n, topic in enumerate(TOPICS[:3])
                if chance.random() < 0.6
            ]
            noise = chance.choice(TOPICS[3:])
            findings.append(
                {
                    "reviewer": f"r{who}",
                    "text": f"{noise} {'qwert'[who] * 4} {'zxcvb'[who] * 4} {'yuiop'[who] * 4}",
                    "golden": None,
                }
            )
        rows.append({"change": f"c{number}", "golden": golden, "findings": findings})
    (tmp_path / "changes.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    return tmp_path


def test_without_the_data_it_is_not_run_and_says_so(tmp_path: Path) -> None:
    for data in (None, tmp_path):
        (row,) = run(data)
        assert "not run" in row.figure
        assert row.met is None


def test_what_is_said_alike_is_one_and_counts_who_said_it(folder: Path) -> None:
    changes = read(folder)
    assert duplicates(changes) > 0.95
    groups = list(grouped(changes[0], set(changes[0].reviewers)))
    assert max(group.named for group in groups if group.golden) > 1
    assert {group.named for group in groups if not group.golden} == {1}


def test_the_fitted_rate_rises_with_agreement_as_the_data_does(folder: Path) -> None:
    counts = counted(panels(read(folder), range(1, 6), 4, seed=3))
    weights = fit(counts)
    assert len(weights) == len(features(1, 1)) == len(rates().weights)
    assert all(real == count for (named, _), (count, real) in counts.items() if named > 1)
    score = [sum(w * x for w, x in zip(weights, features(named, 5), strict=True)) for named in (1, 2, 3)]
    assert score == sorted(score)
    assert score[0] < 1 < score[2]
