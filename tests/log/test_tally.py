"""Every row of the log is counted once, whatever the form of its line; what is not a record is damaged."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fakes.records import DAY, NOW, day, line, record, row
from fanout_hooks.log import daily, report, rollup
from fanout_hooks.log.tally import Tally

NAMES = st.text(st.characters(codec="utf-8"), min_size=1, max_size=12)
MS = st.floats(0, 5000).map(lambda ms: round(ms, 2))
ROWS = st.builds(
    lambda name, ms, wait, exit_code, decision, lane, cut: (
        row(name, ms, wait_ms=wait, exit=exit_code, decision=decision, lane=lane)
        | ({"timed_out": True} if cut else {})
    ),
    NAMES,
    MS,
    MS,
    st.sampled_from([0, 1, 2, -9]),
    st.sampled_from(["none", "deny", "ask"]),
    st.sampled_from(["warm", "trial", "lane", "alone"]),
    st.booleans(),
)
RECORDS = st.lists(
    st.builds(
        lambda hooks, phase, note: record(*hooks, phase=phase) | ({"notes": [note]} if note else {}),
        st.lists(ROWS, max_size=4),
        st.sampled_from(["PreToolUse", "Stop"]),
        st.sampled_from(["", "a note"]),
    ),
    max_size=12,
)


def counted(*lines: bytes) -> Tally:
    return rollup.count(lines)


@given(RECORDS)
def test_every_row_of_every_line_is_counted_once(records: list[dict[str, Any]]) -> None:
    tally = counted(*map(line, records))
    assert tally.damaged.total() == 0
    events = tally.days.get(day(NOW), {})
    for phase in ("PreToolUse", "Stop"):
        own = [one for one in records if one["phase"] == phase]
        assert (events[phase].elapsed.count if phase in events else 0) == len(own)
        hooks = [hook for one in own for hook in one["hooks"]]
        for name in {hook["name"] for hook in hooks}:
            found, mine = events[phase].hooks[name], [hook for hook in hooks if hook["name"] == name]
            failed = [hook for hook in mine if hook["exit"] not in (0, 2) or hook.get("timed_out")]
            assert found.ms.count == len(mine)
            assert found.ms.total == pytest.approx(sum(hook["ms"] for hook in mine))
            assert found.counts["failures"] == len(failed)
            assert found.counts["decision deny"] == sum(hook["decision"] == "deny" for hook in mine)


@given(RECORDS, RECORDS)
def test_two_tallies_merged_are_the_tally_of_both(
    one: list[dict[str, Any]], two: list[dict[str, Any]]
) -> None:
    merged = counted(*map(line, one))
    merged.merge(counted(*map(line, two)))
    whole = counted(*map(line, one + two))
    assert without_samples(merged) == without_samples(whole)


@given(RECORDS)
def test_a_tally_comes_back_from_json_as_it_was(records: list[dict[str, Any]]) -> None:
    tally = counted(*map(line, records))
    data = json.loads(json.dumps(tally.to_json()))
    assert Tally.from_json(data).to_json() == tally.to_json()


@pytest.mark.parametrize(
    "damaged",
    [
        *(b"{", b"null", b"[]", b'{"timestamp":"2026-11-18T0', line(record()) + b"x", b"\xff\xfe"),
        *(b'{"timestamp":1,"phase":2}', line(record(timestamp="yesterday"))),
        line({**record(), "hooks": [{"name": "a"}]}),
    ],
)
def test_a_line_that_is_no_record_is_counted_and_passed_over(damaged: bytes) -> None:
    tally = counted(damaged, line(record(row("a", 1.0))))
    assert tally.damaged.total() == 1
    assert tally.days[day(NOW)]["PreToolUse"].hooks["a"].ms.count == 1


ODD_NUMBERS = ("1.2.3", "1..0", ".", "-1", "NaN", "Infinity", "9" * 400, "1e999", '"1"', "null", "[[" * 5000)


@pytest.mark.parametrize("old", ['"ms":1.25', '"wait_ms":7.5', '"elapsed_ms":1.25', '"sequential_ms":1.25'])
@pytest.mark.parametrize("number", ODD_NUMBERS, ids=lambda number: number[:9])
def test_a_number_that_is_none_never_reaches_a_figure(old: str, number: str) -> None:
    good = record(row("a", 1.25, wait_ms=7.5, lane="lane"))
    text = line(good).decode()
    assert old in text
    damaged = text.replace(old, old.partition(":")[0] + ":" + number).encode()
    tally = counted(damaged, line(good))
    assert tally.damaged.total() == 1
    assert tally.days[day(NOW)]["PreToolUse"].hooks["a"].ms.count == 1
    json.dumps(tally.to_json(), allow_nan=False)


@pytest.mark.parametrize("name", [r"\x", r"\u12", "a\tb\\n", r"\ud800"], ids=ascii)
@pytest.mark.parametrize("before", [0, 10], ids=["kept as a sample", "only counted"])
def test_a_name_that_is_no_json_costs_its_row_and_one_that_is_can_be_written(name: str, before: int) -> None:
    good = line(record(row("a", 1.0)))
    tally = counted(*[good] * before, good.replace(b'"a"', f'"{name}"'.encode()))
    names = tally.days.get(day(NOW), {"PreToolUse": None})["PreToolUse"]
    others = {name for name in names.hooks if name != "a"} if names else set()
    assert tally.damaged.total() + len(others) == 1
    assert "".join(others).encode("utf-8") is not None


@given(st.lists(st.tuples(st.integers(0, 400), st.binary(max_size=3)), min_size=1, max_size=4))
def test_nothing_is_raised_whatever_is_damaged_in_a_line(cuts: list[tuple[int, bytes]]) -> None:
    damaged = line(record(row("a", 1.25, lane="lane"), gate={"verdict": "deny"}, notes=["a note"]))
    for place, put in cuts:
        damaged = damaged[:place] + put + damaged[place + len(put) :]
    tally = counted(*damaged.split(b"\n"))
    Tally.from_json(json.loads(json.dumps(tally.to_json(), allow_nan=False)))
    daily.markdown(report.build(tally, now=NOW), NOW).encode("utf-8")


@pytest.mark.parametrize("key", ["session_id", "phase", "path", "notes", "gate", "timestamp"])
@pytest.mark.parametrize(
    "value", ["wave x", "\ud800", 10**30, ["\ud800"], {"verdict": "wave x"}, {"wave": 10**30}]
)
def test_what_a_stranger_writes_into_a_line_breaks_no_report(key: str, value: Any) -> None:
    tally = counted(line(record(row("a", 1.0), **{key: value})))
    daily.markdown(report.build(tally, now=NOW), NOW).encode("utf-8")


def test_an_empty_line_is_nothing() -> None:
    assert counted(b"", b"  ").damaged.total() == 0


def test_waiting_is_told_of_hooks_in_lanes_only() -> None:
    tally = counted(line(record(row("a", 1.0, wait_ms=3.5), row("b", 9.0, wait_ms=7.25, lane="lane"))))
    hooks = tally.days[day(NOW)]["PreToolUse"].hooks
    assert hooks["a"].wait_ms.count == 0
    assert hooks["b"].wait_ms.total == 7.25


def test_the_gate_is_counted_by_day() -> None:
    said = ({"verdict": "deny"}, {"wave": 3}, {"verdict": "overruled"})
    tally = counted(*(line(record(gate=gate)) for gate in said))
    assert tally.gates == {day(NOW): {"deny": 1, "wave 3": 1, "overruled": 1}}


def test_many_different_rows_are_folded_on_the_way(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rollup, "MAX_DIFFERENT", 3)
    monkeypatch.setattr(rollup, "SAMPLE_EVERY", 2)
    tally = counted(*(line(record(row("a", float(number)))) for number in range(50)))
    assert tally.days[day(NOW)]["PreToolUse"].hooks["a"].ms.count == 50


def test_damage_is_of_the_day_that_its_line_says_else_of_the_line_before() -> None:
    good, later = line(record()), line(record(at=NOW + DAY))
    tally = counted(b"lost", good, b"{cut", later, good[:60], b"\x00")
    assert tally.damaged == {day(NOW): 3, day(NOW + DAY): 1}
    assert counted(b"nothing", b"else").damaged == {"": 2}


def test_the_notes_of_a_day_are_bounded() -> None:
    lines = (line(record(notes=[f"note {number}"])) for number in range(3000))
    notes = counted(line(record(notes=["often"])), *lines, line(record(notes=["often"]))).notes[day(NOW)]
    assert notes["often"] == 2
    assert len(notes) < 1000


def without_samples(tally: Tally) -> dict[str, Any]:
    data: dict[str, Any] = json.loads(json.dumps(tally.to_json()))
    for events in data["days"].values():
        for event in events.values():
            event.pop("samples")
            for hook in event["hooks"].values():
                for digest in hook[:2]:
                    digest["total"] = round(digest["total"], 3)
            event["elapsed"]["total"] = round(event["elapsed"]["total"], 3)
    return data
