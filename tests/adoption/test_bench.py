"""The table of `fanout-hooks bench`: it shows which way is slower, and what that costs here."""

from __future__ import annotations

import pytest

from fanout_hooks.adoption.bench import Measured, compared, to_text
from fanout_hooks.adoption.check import PathInUse

WARM = PathInUse("warm", "by the server 'fanout', cold where it isn't running")
COLD = PathInUse("cold", "no server `fanout` is registered for it; `fanout install` does")
MANY = Measured("PreToolUse", "local", 21, 625.0, 122.0, 19.0)
FEW = Measured("UserPromptExpansion", "shared", 1, 34.2, 166.4, 7.6)
TINY = Measured("Stop", "user", 1, 3.6, 116.0, 7.6)
START = Measured("SessionStart", "user", 2, 89.0, 270.0, None)


@pytest.mark.parametrize(
    ("native", "own", "said"),
    [
        (34.2, 7.6, "4.5x faster"),
        (625.0, 19.0, "33x faster"),
        (3.6, 7.6, "2.1x slower"),
        (3.6, 116.0, "32x slower"),
        (100.0, 98.0, "the same"),
        (100.0, 104.9, "the same"),
        (0.0, 0.0, "the same"),
    ],
)
def test_a_way_is_faster_slower_or_the_same_and_never_none_times_as_fast(
    native: float, own: float, said: str
) -> None:
    assert compared(native, own) == said


def test_every_row_fits_eighty_columns_under_the_columns_it_belongs_to() -> None:
    table = to_text([MANY, FEW, START], 7, WARM).split("\n\n")[1].splitlines()
    assert table == [
        "event               scope  hooks  native                cold                warm",
        "PreToolUse          local     21   625.0   122.0 5.1x faster    19.0  33x faster",
        "UserPromptExpansion shared     1    34.2   166.4 4.9x slower     7.6 4.5x faster",
        "SessionStart        user       2    89.0   270.0 3.0x slower       -",
    ]
    assert max(map(len, table)) <= 80


def test_what_the_figures_are_stands_before_them() -> None:
    assert to_text([MANY], 3, WARM).startswith("Milliseconds an event, the median of 3 rounds.\n")
    assert "the median of 1 round.\n" in to_text([MANY], 1, WARM)


def test_without_a_server_it_says_what_each_slower_event_costs_and_the_two_ways_out() -> None:
    said = to_text([MANY, TINY, START], 7, COLD)
    assert "Here events run cold: no server `fanout` is registered" in said
    assert "Slower here than natively:\n  Stop by 112 ms\n  SessionStart by 181 ms\n" in said
    assert "`fanout-hooks restore`" in said
    assert "PreToolUse by" not in said


def test_with_a_server_only_events_that_are_always_cold_or_tiny_are_slower() -> None:
    said = to_text([FEW, TINY, START], 7, WARM)
    assert "Here events run cold" not in said
    assert "Slower here than natively:\n  Stop by 4 ms\n  SessionStart by 181 ms\n" in said


def test_where_nothing_is_slower_nothing_is_said_of_it() -> None:
    assert "Slower" not in to_text([MANY, FEW], 7, WARM)
