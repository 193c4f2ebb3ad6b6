"""Near-duplicates: the same idea in other words is one idea, with everybody who had it.

Theory of operation. Texts are compared by their words, each weighing the more the fewer ideas it is in: in a
swarm on "input" that word tells nothing apart. Two ideas are one when their titles share most of that
weight, or their whole texts do. What turns a sentence round must agree: its negations and numbers. Missing
a duplicate costs a line; merging two ideas loses one, so the bar is high.

Rules:
1. Deterministic, and the order of equals is the order of the agents.
2. An idea joins the first group whose first idea it is alike to; groups never merge: no chains.
3. Ranked by how many agents said it, then by how early they did.
"""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, NamedTuple

from fanout_mcp.panel.ideas import Idea

TITLES_ALIKE: Final = 0.8
"""Between one word of five missing (the same) and one of five replaced (another: empty list, huge list)."""
TEXTS_ALIKE: Final = 0.65
"""Where both have details: whole texts are never told in the same words unless they are the same."""
HOPELESS: Final = 0.3
"""Share of plain words below which no weighing brings two texts together: it spares most comparisons."""

_WORD: Final = re.compile(r"[^\W\d_]+|\d+(?:\.\d+)?")
_EMPTY: Final = frozenset(
    _WORD.findall(
        "a an the and or of to in on at by for with from as is are was be been it its this that these those "
        "which who when where what how if then than so do does did can could may might must should would "
        "will has have had there here some any all each every other into out up down over under again"
    )
)
_TURNS: Final = frozenset(
    _WORD.findall("no not never without none nothing cannot except only before after first last zero one two")
)
_ENDINGS: Final = ("ations", "ation", "ings", "ing", "ies", "ied", "es", "ed", "ly", "s")


@dataclass(slots=True)
class Group:
    """One idea, and all that had it; the first stands for them."""

    ideas: list[Idea] = field(default_factory=list)

    @property
    def first(self) -> Idea:
        return self.ideas[0]

    @property
    def agents(self) -> list[str]:
        return list(dict.fromkeys(idea.agent for idea in self.ideas))


def merge(ideas: Sequence[Idea]) -> list[Group]:
    """Group what is alike, the most often said first."""
    texts = [_Text.of(idea) for idea in ideas]
    weights = _weights(texts)
    bits = {word: 1 << place for place, word in enumerate(weights)}
    groups: list[tuple[_Marked, Group]] = []
    for idea, text in zip(ideas, texts, strict=True):
        marked = _Marked(text, *(sum(map(bits.__getitem__, words)) for words in (text.title, text.words)))
        group = next((group for first, group in groups if _is_alike(marked, first, weights)), None)
        if group is None:
            group = Group()
            groups.append((marked, group))
        group.ideas.append(idea)
    return sorted((group for _, group in groups), key=_rank)


@dataclass(frozen=True, slots=True)
class _Text:
    title: frozenset[str]
    words: frozenset[str]
    """Of title and detail; none where there is no detail."""
    turns: frozenset[str]
    """Negations and numbers of the title."""

    @classmethod
    def of(cls, idea: Idea) -> _Text:
        title = _WORD.findall(idea.title.lower().replace("n't", " not"))
        detail = _WORD.findall(idea.detail.lower())
        turns = frozenset(word for word in title if word in _TURNS or word[0].isdigit())
        stems = (frozenset(map(_stem, title)) - _EMPTY) or frozenset(title)
        more = frozenset(map(_stem, detail)) - _EMPTY
        return cls(stems, stems | more if more else frozenset(), turns)


class _Marked(NamedTuple):
    """A text with its words as bits, so that hopeless pairs are found without looking at words."""

    text: _Text
    title: int
    words: int


def _is_alike(one: _Marked, other: _Marked, weights: Mapping[str, float]) -> bool:
    if one.text.turns != other.text.turns:
        return False
    return (
        _overlap(one.title, other.title) >= HOPELESS
        and _shared(one.text.title, other.text.title, weights) >= TITLES_ALIKE
    ) or (
        _overlap(one.words, other.words) >= HOPELESS
        and _shared(one.text.words, other.text.words, weights) >= TEXTS_ALIKE
    )


def _overlap(one: int, other: int) -> float:
    return 2 * (one & other).bit_count() / ((one.bit_count() + other.bit_count()) or 1)


def _shared(one: frozenset[str], other: frozenset[str], weights: Mapping[str, float]) -> float:
    """Dice's measure by weight: 1 for the same words, 0 for none in common."""
    total = sum(map(weights.__getitem__, one)) + sum(map(weights.__getitem__, other))
    return 2 * sum(map(weights.__getitem__, one & other)) / total if total else 0.0


def _weights(texts: Sequence[_Text]) -> dict[str, float]:
    often = Counter(word for text in texts for word in sorted(text.title | text.words))
    return {word: math.log(1 + len(texts) / times) for word, times in often.items()}


def _rank(group: Group) -> tuple[int, float]:
    return -len(group.agents), sum(idea.place for idea in group.ideas) / len(group.ideas)


def _stem(word: str) -> str:
    for ending in _ENDINGS:
        if word.endswith(ending) and len(word) - len(ending) >= 4:
            word = word.removesuffix(ending)
            break
    return word.removesuffix("e") if len(word) > 4 else word
