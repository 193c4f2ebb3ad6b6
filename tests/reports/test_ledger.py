"""Receipts are kept as figures, summed by tool, and an unknown price is never nothing."""

from __future__ import annotations

from pathlib import Path

import pytest

from fanout_mcp.reports import ledger


@pytest.fixture
def state(tmp_path: Path) -> Path:
    return tmp_path / "user" / "state"


def test_costs_are_summed_by_tool_the_dearest_first(state: Path) -> None:
    priced = {"calls": 3, "tokens_in": 10, "tokens_out": 5, "cost_usd": 0.02, "elapsed_s": 1.0}
    ledger.note(
        state, "summarize_files", {"receipt": {"tokens_raw": 900, "tokens_returned": 100, "calls": 0}}
    )
    ledger.note(state, "oracle_batch", {"receipt": priced})
    ledger.note(state, "oracle_batch", {"receipt": {**priced, "cost_usd": None}})
    ledger.note(state, "oracle_batch", {"receipt": {**priced, "cost_is_at_least": True}})
    oracle, summarize = ledger.costs(state, "2000-01-01")
    assert (oracle["tool"], oracle["uses"], oracle["calls"], oracle["cost_usd"]) == (
        "oracle_batch",
        3,
        9,
        0.04,
    )
    assert ledger.money(oracle) == "$0.04 and 2 of unknown price"
    assert (summarize["saved_tokens"], ledger.money(summarize)) == (800, "$0")


def test_only_calls_from_the_day_on_count(state: Path) -> None:
    ledger.note(state, "oracle_batch", {"receipt": {"calls": 1}})
    assert ledger.costs(state, "2999-01-01") == []


@pytest.mark.parametrize("data", [None, "text", {}, {"receipt": "none"}])
def test_a_result_without_a_receipt_leaves_no_line(state: Path, data: object) -> None:
    ledger.note(state, "hook_report", data)
    assert not state.exists()


@pytest.mark.parametrize(
    "damaged",
    [
        "{cut",
        '{"tool": 3}',
        '{"tool": "council"}',
        '{"tool": "council", "timestamp": "2026-11-24", "calls": "3"}',
        '{"tool": "council", "timestamp": "2026-11-24", "cost_usd": NaN}',
        '{"tool": "council", "timestamp": "2026-11-24", "tokens_in": 1' + "0" * 400 + "}",
        "[" * 100_000,
    ],
    ids=["cut", "no name", "no time", "text for a figure", "NaN", "400 digits", "nested"],
)
def test_a_damaged_line_is_passed_over(state: Path, damaged: str) -> None:
    ledger.note(state, "council", {"receipt": {"calls": 1}})
    with (state / ledger.NAME).open("a") as file:
        file.write(f"{damaged}\n")
    assert [(row["tool"], row["uses"]) for row in ledger.costs(state, "2000-01-01")] == [("council", 1)]


def test_a_ledger_that_cannot_be_written_costs_nothing_else(state: Path) -> None:
    (state / ledger.NAME).mkdir(parents=True)
    ledger.note(state, "council", {"receipt": {"calls": 1}})
    assert ledger.costs(state, "2000-01-01") == []


def test_a_full_ledger_begins_anew_and_is_still_read(state: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ledger, "MAX_BYTES", 100)
    for _ in range(3):
        ledger.note(state, "council", {"receipt": {"calls": 1}})
    assert ledger.costs(state, "2000-01-01")[0]["uses"] >= 2
