"""How much a panel is worth, and how often its members were right."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.cli import main
from fanout_mcp.panel import record
from fanout_mcp.panel.record import MIN_CONSULTATIONS, Track, Worth, worth
from fanout_mcp.state import settings
from tools.consulting import Consulted, consult, panel, says

P, S = "PROCEED", "STOP"
VERDICTS = st.sampled_from(["PROCEED", "SIMPLIFY", "STOP"])


def votes(*verdicts: str) -> dict[str, str]:
    return {f"m{number}": verdict for number, verdict in enumerate(verdicts)}


@pytest.mark.parametrize(
    ("consultations", "expected"),
    [
        pytest.param([votes(P, P, P), votes(S, S, S)], Worth(2, 1.0, 1.0), id="always alike: one vote"),
        pytest.param([votes(P, P, P)], Worth(1, 1.0, 1.0), id="only ever one verdict: one vote"),
        # half of the pairs agree, as many as by chance: r = 0
        pytest.param(
            [votes(P, P), votes(P, S), votes(S, P), votes(S, S)], Worth(4, 0.5, 2.0), id="by chance: all"
        ),
        pytest.param([votes(P, S), votes(S, P)], Worth(2, 0.0, 2.0), id="always apart: never more than all"),
        # 4 of 6 pairs agree, 0.5 by chance: r = 1/3, 3 / (1 + 2/3)
        pytest.param(
            [votes(P, P, P), votes(S, S, P), votes(S, S, P), votes(S, S, P), votes(P, P, S), votes(S, P, S)],
            Worth(6, 0.44, 3.0),
            id="less alike than by chance",
        ),
        pytest.param(
            [votes(P, P, P), votes(S, S, S), votes(P, P, S), votes(S, S, P)],
            Worth(4, 0.67, 1.8),
            id="r = 1/3",
        ),
    ],
)
def test_the_worth_of_a_panel(consultations: list[dict[str, str]], expected: Worth) -> None:
    assert worth(consultations) == expected


def test_members_that_never_met_are_worth_nothing_known() -> None:
    assert worth([]) is None
    assert worth([{"a": P}, {"b": S}]) is None


@given(st.lists(st.dictionaries(st.sampled_from("abcde"), VERDICTS, min_size=2), min_size=1))
def test_every_panel_is_worth_one_vote_to_as_many_as_it_has_members(panels: list[dict[str, str]]) -> None:
    found = worth(panels)
    assert found is not None
    assert 1 <= found.independent_votes <= len({member for one in panels for member in one})
    assert 0 <= found.agreed <= 1


def asked(root: Path) -> Consulted:
    return consult(root, panel(skeptic=says("STOP")), quorum=3)


def test_the_receipt_says_what_the_panel_is_worth_from_twenty_consultations_on(tmp_path: Path) -> None:
    receipts = [asked(tmp_path).data["receipt"] for _ in range(MIN_CONSULTATIONS)]
    assert all("panel" not in receipt for receipt in receipts[:-1])
    known = receipts[-1]["panel"]
    assert (known["consultations"], known["agreed"]) == (20, 0.33)
    assert 1 <= known["independent_votes"] <= 3
    other = consult(tmp_path, panel(), personas=["judge", "critic"]).data["receipt"]
    assert "panel" not in other, "other members have their own record"


def test_no_more_and_no_fewer_than_the_newest_consultations_are_counted(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(record, "NEWEST", MIN_CONSULTATIONS)
    receipts = [asked(tmp_path).data["receipt"] for _ in range(MIN_CONSULTATIONS + 3)]
    assert receipts[-1]["panel"]["consultations"] == MIN_CONSULTATIONS


def test_a_panel_without_a_verdict_and_a_folder_that_cannot_be_written_cost_no_answer(tmp_path: Path) -> None:
    assert "id" not in consult(tmp_path, panel(), quorum=3, deadline_s=0.5).data["receipt"]
    (tmp_path / "config").write_text("a file where the folder should be")
    got = asked(tmp_path)
    assert got.data["decision"] == "PROCEED"
    assert "id" not in got.data["receipt"]


def test_a_member_is_right_with_a_right_decision_or_against_a_wrong_one(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))
    monkeypatch.chdir(tmp_path)
    folder = settings.read().votes
    first, second, third = (asked(tmp_path).data["receipt"]["id"] for _ in range(3))
    source = tmp_path / "config" / "state" / "votes"
    folder.parent.mkdir(parents=True)
    source.rename(folder)
    for identity, became in ((first, "right"), (second, "wrong"), (third, "right"), (third, "wrong")):
        assert main(["record", identity, became]) == 0
    tracks = record.tracks(folder)
    assert tracks["judge by model-of-judge"] == Track(3, 3, 1)
    assert tracks["skeptic by model-of-skeptic"] == Track(3, 3, 2)
    capsys.readouterr()
    assert main(["record"]) == 0
    assert "skeptic by model-of-skeptic: 2 of 3 right, 3 asked" in capsys.readouterr().out
    assert main(["record", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["judge by model-of-judge"]["right"] == 1


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (["123456-abcdef", "right"], "There is no consultation '123456-abcdef'"),
        (["../../etc-123456", "right"], "There is no consultation"),
        (["123456-abcdef"], "Say fanout record ID right, or wrong"),
    ],
    ids=["unknown", "not an id", "half"],
)
def test_what_is_not_known_is_refused_in_a_sentence(
    arguments: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(["record", *arguments]) == 2
    assert said in capsys.readouterr().err


def test_damaged_lines_are_left_out(tmp_path: Path) -> None:
    lines = [b"", b"{", b"[]", b'{"id": 1}', b'{"id": "a", "votes": {"m": 1}, "decision": "STOP"}', b"\xff"]
    (tmp_path / "abcdef.jsonl").write_bytes(b"\n".join(lines))
    assert record.tracks(tmp_path) == {}
