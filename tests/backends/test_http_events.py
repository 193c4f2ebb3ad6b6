"""Events come out the same however the bytes were cut."""

from __future__ import annotations

import itertools

from hypothesis import given
from hypothesis import strategies as st

from fanout_mcp.backends.completion import EventStream

EVENTS = ["grün", "two\nlines", "[DONE]"]


@given(st.sampled_from(["\n", "\r\n", "\r"]), st.lists(st.integers(0, 60)))
def test_every_cut_and_every_line_end_gives_the_same_events(end: str, cuts: list[int]) -> None:
    lines = [
        ": comment",
        "",
        "data: grün",
        "",
        "event: x",
        "data:two",
        "data: lines",
        "",
        "data: [DONE]",
        "",
        "",
    ]
    body = end.join(lines).encode()
    stream = EventStream()
    places = [0, *sorted(cuts), len(body)]
    pieces = [body[start:stop] for start, stop in itertools.pairwise(places)]
    events = [event for piece in pieces for event in stream.feed(piece)]
    assert events + stream.end() == EVENTS
