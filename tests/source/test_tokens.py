"""How many tokens a text is said to have."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.source import tokens


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
    assert tokens.count(text) == wanted


@given(st.text(st.characters(codec="ascii")))
def test_every_plain_text_counts_the_same_beside_others(text: str) -> None:
    assert tokens.count(text) + tokens.count("é") == tokens.count(f"{text}\vé")
