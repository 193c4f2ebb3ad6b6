"""A file's own words about itself: a title is taken without the line that stands under it."""

from __future__ import annotations

import pytest

from fanout_mcp.structure.comments import first_sentence
from fanout_mcp.structure.documents import _head


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ('"""Tagged JSON\n~~~~~~~~~~~\n\nA compact form."""', "Tagged JSON"),
        ('"""\n=====\nTitle\n=====\nText."""', "Title"),
        ('"""Adds numbers. Slowly."""', "Adds numbers."),
        ('"""Adds - and takes - away."""', "Adds - and takes - away."),
    ],
)
def test_the_line_under_a_title_is_no_prose(text: str, sentence: str) -> None:
    assert first_sentence(text) == sentence


def test_a_text_without_structure_begins_with_its_words() -> None:
    assert _head("Version 3.1.3\n-------------\n\nReleased.\n") == "begins: Version 3.1.3 Released."
