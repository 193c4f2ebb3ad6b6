"""Slow regular expressions are distinguished from those that only look alike, and really are slow."""

from __future__ import annotations

import pytest

from fanout_mcp.review.static.regexes import is_slow


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+$",
        r"^(\w+\s?)*$",
        r"([a-z.]+\.)+x",
        r"(.*)*y",
        r"(?:\s+|\w+)*$",
        r"^([a-z0-9_.+-]+)+@x$",
        r"(?<name>x+)*$",
        r"(\d+-?)+$",
    ],
)
def test_a_repeat_in_a_repeat_that_can_be_cut_in_many_ways_is_slow(pattern: str) -> None:
    assert is_slow(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        r"(\w+\s)*",
        r"(?:[^/]+/)*",
        r"([^,]+,)*",
        r"([-.]\w+)*",
        r"(\d+)?",
        r"(a|b)+",
        r"(ab+){3}",
        r"(unclosed+",
        "(a+)+" + "b" * 2000,
    ],
)
def test_what_can_be_cut_in_one_way_only_is_not(pattern: str) -> None:
    assert not is_slow(pattern)
