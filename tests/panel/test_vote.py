"""The rule that decides, as it is printed with every verdict."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.panel.vote import CAUTION, Ballot, Stakes, decide, default_quorum, in_words, is_decided


def votes(text: str) -> dict[str, int]:
    """`"PPS"`: two PROCEED and a STOP; I is SIMPLIFY, A is ABSTAIN."""
    names = {"P": "PROCEED", "I": "SIMPLIFY", "S": "STOP", "A": "ABSTAIN"}
    return {names[letter]: text.count(letter) for letter in set(text)}


def ballot(members: int, quorum: int | None = None, stakes: Stakes = "production") -> Ballot:
    return Ballot(members, quorum or default_quorum(members), stakes)


@pytest.mark.parametrize(
    ("said", "decision", "agreement"),
    [
        pytest.param("PPP", "PROCEED", 1.0, id="unanimous"),
        pytest.param("PPS", "PROCEED", 0.67, id="the most frequent wins"),
        pytest.param("PIS", "STOP", 0.33, id="a three-way tie goes to STOP"),
        pytest.param("PI", "SIMPLIFY", 0.5, id="a tie of two goes to the more cautious"),
        pytest.param("PPA", "PROCEED", 1.0, id="an abstention is no position"),
        pytest.param("PAA", "NO_VERDICT", 0.0, id="abstentions make no quorum"),
        pytest.param("S", "NO_VERDICT", 0.0, id="one of three is too few"),
        pytest.param("", "NO_VERDICT", 0.0, id="nobody answered"),
    ],
)
def test_what_a_panel_of_three_decides(said: str, decision: str, agreement: float) -> None:
    result = decide(votes(said), ballot(3))
    assert (result.decision, result.agreement) == (decision, agreement)


@pytest.mark.parametrize(
    ("stakes", "said", "decision"),
    [
        ("production", "PPPPS", "PROCEED"),
        ("critical", "PPPPS", "STOP"),
        ("critical", "PPPPP", "PROCEED"),
        ("exploration", "SSIPP", "SIMPLIFY"),
        ("exploration", "SSPPP", "PROCEED"),
        ("exploration", "SSSSP", "STOP"),
        ("exploration", "SSP", "STOP"),
    ],
)
def test_the_stakes_change_what_a_stop_weighs(stakes: Stakes, said: str, decision: str) -> None:
    assert decide(votes(said), ballot(len(said), stakes=stakes)).decision == decision


@pytest.mark.parametrize(("members", "quorum"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3), (8, 5)])
def test_the_quorum_is_more_than_half_of_the_panel(members: int, quorum: int) -> None:
    assert default_quorum(members) == quorum


def test_the_rule_is_printed_in_words() -> None:
    assert ballot(3).rule == "most frequent of at least 2 positions of 3 members, ties to the more cautious"
    assert "one STOP with a blocker stops" in ballot(3, stakes="critical").rule
    assert "STOP needs two thirds" in ballot(3, stakes="exploration").rule


PANELS = st.integers(1, 8).flatmap(
    lambda members: st.tuples(
        st.text("PISA", max_size=members),
        st.builds(
            Ballot,
            st.just(members),
            st.integers(1, members),
            st.sampled_from(["production", "critical", "exploration"]),
        ),
    )
)


@given(PANELS, st.data())
def test_every_decided_vote_stays_decided_whatever_the_rest_says(
    panel: tuple[str, Ballot], data: st.DataObject
) -> None:
    said, rule = panel
    outstanding = rule.members - len(said)
    if is_decided(votes(said), outstanding, rule):
        rest = data.draw(st.text("PISA", max_size=outstanding))
        assert decide(votes(said + rest), rule).decision == decide(votes(said), rule).decision


@given(PANELS)
def test_every_verdict_is_one_that_somebody_gave_by_a_quorum(panel: tuple[str, Ballot]) -> None:
    said, rule = panel
    result = decide(votes(said), rule)
    positions = sum(letter != "A" for letter in said)
    assert (result.decision == "NO_VERDICT") == (positions < rule.quorum)
    if rule.stakes == "production" and result.decision != "NO_VERDICT":
        counts = votes(said)
        best = max(counts.get(verdict, 0) for verdict in CAUTION)
        assert result.decision == next(v for v in CAUTION if counts.get(v, 0) == best)
    if rule.stakes == "critical" and "S" in said and positions >= rule.quorum:
        assert result.decision == "STOP"
    if result.decision == "STOP":
        assert "S" in said


@given(PANELS)
def test_a_vote_with_nobody_left_is_decided_unless_it_is_no_verdict(panel: tuple[str, Ballot]) -> None:
    said, rule = panel
    assert is_decided(votes(said), 0, rule) == (decide(votes(said), rule).decision != "NO_VERDICT")


@pytest.mark.parametrize(
    ("counts", "ballot", "words"),
    [
        ({"PROCEED": 3}, Ballot(3, 2), "PROCEED: 3 of 3 agree"),
        ({"PROCEED": 2, "STOP": 1}, Ballot(3, 2), "PROCEED: 2 of 3 agree"),
        (
            {"PROCEED": 1, "SIMPLIFY": 1, "STOP": 1},
            Ballot(3, 2),
            "STOP by the rule, a split: 1 of 3 each for STOP, SIMPLIFY and PROCEED; the most cautious counts",
        ),
        (
            {"PROCEED": 2, "SIMPLIFY": 2, "STOP": 1},
            Ballot(5, 3),
            "SIMPLIFY by the rule, a split: 2 of 5 each for SIMPLIFY and PROCEED; the most cautious counts",
        ),
        ({"PROCEED": 2, "STOP": 1}, Ballot(3, 2, "critical"), "STOP: 1 of 3 agree"),
        ({}, Ballot(3, 2), "NO_VERDICT: no member answered"),
        ({"PROCEED": 1, "ABSTAIN": 2}, Ballot(3, 2), "NO_VERDICT: 1 of 3 took a position, 2 are needed"),
    ],
)
def test_a_decision_is_one_line_and_a_tie_is_shown_as_a_split(
    counts: dict[str, int], ballot: Ballot, words: str
) -> None:
    assert in_words(counts, ballot) == words
