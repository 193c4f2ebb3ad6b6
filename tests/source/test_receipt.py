"""How many tokens a text is said to have."""

from __future__ import annotations

import base64
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.source import receipt
from fanout_mcp.source.receipt import Bounded
from fanout_mcp.text import compact


@pytest.mark.parametrize(
    ("text", "wanted"),
    [
        ("", 0),
        ("letters", 1),
        ("lettered", 2),
        ("1234", 2),
        ("->>=", 2),
        ("a b", 2),
        ("a\n  \n  b", 3),
        ("a \n", 2),
        ("é1", 2),
    ],
)
def test_words_digits_marks_and_line_ends_count_by_the_piece(text: str, wanted: int) -> None:
    assert receipt.count(text) == wanted


@given(st.text(st.characters(codec="ascii")))
def test_every_plain_text_counts_the_same_beside_others(text: str) -> None:
    assert receipt.count(text) + receipt.count("é") == receipt.count(f"{text}\vé")


@pytest.mark.parametrize(
    ("text", "real"),
    [
        pytest.param("检查一下这个计划" * 125, 1_000, id="a token a character"),
        pytest.param("🙂" * 100, 200, id="two a character"),
        pytest.param(base64.b64encode(bytes(range(256)) * 40).decode(), 7_000, id="encoded bytes"),
        pytest.param("It is written twice. " * 100, 500, id="prose"),
    ],
)
def test_the_bound_for_prices_is_no_less_than_what_tokenizers_need(text: str, real: int) -> None:
    assert receipt.at_most(text) >= real


@given(st.text())
def test_no_text_counts_more_than_its_bound(text: str) -> None:
    assert receipt.at_most(text) > receipt.count(text) * receipt.MARGIN - 1


def test_a_map_shows_in_full_what_its_lines_leave_room_for(tmp_path: Path) -> None:
    bounded = Bounded("module", 10, tmp_path, "modules", limit=3_000)
    for number in range(10):
        bounded.add({"module": f"m{number}", "purpose": "Sells.", "report": "x" * 500}, 1)
    shown = bounded.result("modules")[0]["modules"]
    in_full = [item for item in shown if isinstance(item, dict)]
    assert len(shown) == 10
    assert 0 < len(in_full) < 10
    assert shown[: len(in_full)] == in_full
    assert sum(len(compact(item)) + 1 for item in shown) <= 3_000
