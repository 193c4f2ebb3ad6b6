"""A diff is shortened where it repeats itself or is wide, says so there, and keeps all else."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from fanout_hooks.adoption import consent, entries
from fanout_hooks.client import json_edit
from fanout_hooks.gate import gate

SHORT = st.text(st.sampled_from("abc {}"), max_size=20).map(lambda text: f"+{text}")


def added(events: int) -> str:
    hooks = entries.log_and_gate_entries()
    text = json.dumps({"hooks": dict(list(hooks.items())[:events])}, indent=2)
    return json_edit.diff("settings.json", "", text + "\n")


def test_our_hooks_are_read_on_two_screens_of_80_columns() -> None:
    whole, short = added(99), consent.of(added(99))
    assert len(whole.splitlines()) > 200
    assert len(short.splitlines()) < 60
    assert max(map(len, short.splitlines())) <= 80
    for event in gate.ENTRIES:
        assert f'"{event}": [' in short


def test_what_was_left_out_is_said_where_it_was() -> None:
    short = consent.of(added(2))
    assert '+              "fanout_scopes": "",\n+              … the event\'s fields, each under' in short
    assert '"command": ": fanout gate; s=' in short
    assert " characters more\n" in short
    assert " lines as above\n" in short


def test_a_text_that_comes_whole_is_cut_and_counted() -> None:
    text = "".join(f"line {number}\n" for number in range(64))
    short = consent.of(json_edit.diff("SKILL.md", "", text), is_json=False)
    assert short.endswith("+line 5\n+… 58 lines more\n")
    gone = consent.of(json_edit.diff("SKILL.md", text, ""), is_json=False)
    assert gone.endswith("-line 5\n-… 58 lines more\n")


@given(st.lists(SHORT, max_size=12, unique=True))
def test_of_every_diff_lines_that_are_short_and_new_are_all_there(lines: list[str]) -> None:
    whole = "".join(f"{line}\n" for line in lines)
    assert consent.of(whole) == whole


@given(st.lists(SHORT, min_size=7, max_size=12, unique=True), st.integers(2, 4))
def test_of_every_block_that_comes_again_the_lines_are_counted(lines: list[str], times: int) -> None:
    short = consent.of("".join(f"{line}\n" for line in lines * times)).splitlines()
    assert short[: len(lines)] == lines
    counted = [int(line.partition("… ")[2].split()[0]) for line in short if line.endswith(" lines as above")]
    plain = [line for line in short if not line.endswith(" lines as above")]
    assert len(plain) + sum(counted) == len(lines) * times
