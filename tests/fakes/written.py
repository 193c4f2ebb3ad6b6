"""JSON as people and programs write it: any white space that JSON allows, between any two of its tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from typing import Any

from hypothesis import strategies as st

STYLES: list[dict[str, Any]] = [
    {},
    {"indent": 2},
    {"indent": 4},
    {"indent": "\t"},
    {"separators": (",", ":")},
    {"separators": (" , ", " : ")},
]
GAPS = ("", "", "", " ", "  ", "\n", "\r\n", "\n  ", "\t", "\n\n    ")
TOKENS = "{}[],:"


def objects(keys: Sequence[str]) -> st.SearchStrategy[dict[str, Any]]:
    """Objects that hold these keys at several depths."""
    leaves = st.none() | st.booleans() | st.integers() | st.text(max_size=4)
    inner = st.recursive(
        leaves,
        lambda more: st.lists(more, max_size=3) | st.dictionaries(st.sampled_from(keys), more, max_size=3),
        max_leaves=8,
    )
    return st.dictionaries(st.sampled_from(keys), inner, max_size=len(keys))


@st.composite
def written(draw: st.DrawFn, data: st.SearchStrategy[Any]) -> str:
    """Write such data in one style, or with white space of every kind, mixed."""
    style = draw(st.sampled_from([*STYLES, None]))
    text = json.dumps(draw(data), ensure_ascii=draw(st.booleans()), **(style or {}))
    if style is not None:
        return text.replace("\n", draw(st.sampled_from(["\n", "\r\n"])))
    return "".join(
        draw(st.sampled_from(GAPS)) + token + draw(st.sampled_from(GAPS)) if token in TOKENS else token
        for token in tokens(text)
    )


def tokens(text: str) -> Iterator[str]:
    """Split JSON without white space outside of texts into brackets, separators and values."""
    at, decoder = 0, json.JSONDecoder()
    while at < len(text):
        if text[at] in TOKENS:
            end = at + 1
        elif text[at] == " ":
            at += 1
            continue
        else:
            _, end = decoder.raw_decode(text, at)
        yield text[at:end]
        at = end
