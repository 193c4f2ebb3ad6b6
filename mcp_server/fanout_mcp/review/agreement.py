"""Which claims of several reviewers are the same claim, and how likely a claim is real that so many named.

Theory of operation. A text is its words: stemmed, names of code split at their humps, each word weighing the
more the fewer claims it is in. Two texts are alike by the cosine of those weights. Claims are joined by
average linkage: the two groups that are most alike become one, until no two are alike enough. A chain of
neighbours therefore does not grow into one large group, and the order in which the claims came changes
nothing.

How often a claim of such a group was real was measured on published reviews of real changes, by how many
of how many reviewers named it (agreement.toml: data, licence, fit). Reviewers share blind spots, so this is a
rate as it was seen, and not what independent witnesses would give.
"""

from __future__ import annotations

import functools
import heapq
import math
import re
import tomllib
from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from importlib.resources import files
from typing import Final, NamedTuple

ALIKE: Final = 0.19
"""Likeness from which two groups are one; 0.17 to 0.22 serve about equally (`python -m benchmarks
agreement`)."""

MIN_SHARED: Final = 2
"""Words; one alone ("user") says what is written about, not what is wrong with it."""

MAX_PAIRED: Final = 150
"""Texts of which every pair is compared; among more, only those that share one of their rarest words."""
RARE: Final = 4
"""How many of a text's words count as its rarest, and how many texts may hold such a word, in each
direction."""
MAX_HOLDERS: Final = 6

_NAME: Final = re.compile(r"[A-Za-z_$][\w$]*|\d+")
_HUMP: Final = re.compile(r"[A-Z]+(?![a-z])|[A-Z]?[a-z]+|\d+")
_ENDINGS: Final = (
    *("ization", "isation", "ations", "ation", "ingly", "edly", "ments", "ment", "ness", "ings", "ing"),
    *("ies", "ied", "es", "ed", "ly", "s", "e"),
)
_EMPTY: Final = frozenset(
    """a an the and or of to in on at by for with from as is are was be been being it its this that
    these those which who when where what how if then than so do does did can could may might must
    should would will shall not no but also only into there their they them has have had using use
    used uses rather instead because since while even any all each every both other same new via per
    however thus about after before between during over under without within still causes cause
    causing code method function line lines result lead leads leading""".split()  # noqa: SIM905 - words read better as text
)
"""Words of every review: they tell no two claims apart."""


class Rates(NamedTuple):
    """How often a claim was real, as a logistic curve: `weights` of `features`."""

    weights: tuple[float, ...]
    largest: int
    """The largest panel that was measured."""
    data: str


@functools.cache
def rates() -> Rates:
    table = tomllib.loads(files("fanout_mcp.review").joinpath("agreement.toml").read_text("utf-8"))
    weights = tuple(float(weight) for weight in table["weights"])
    return Rates(weights, int(table["largest_panel"]), str(table["data"]))


def probability(named: int, reviewers: int) -> float:
    weights, largest, _ = rates()
    reviewers = max(reviewers, named, 1)
    row = features(max(1.0, named * min(1.0, largest / reviewers)), min(reviewers, largest))
    return 1 / (1 + math.exp(-sum(weight * value for weight, value in zip(weights, row, strict=True))))


def features(named: float, reviewers: float) -> tuple[float, ...]:
    """Return what the curve is fitted on: who agreed counts, and that no one did counts once more."""
    agreed = named - 1
    return 1.0, agreed, math.log(reviewers), agreed / reviewers, float(agreed == 0)


@functools.lru_cache(maxsize=20_000)
def words(text: str) -> frozenset[str]:
    """Return what a text is about: stems, and the names of code both whole and in their parts."""
    found: set[str] = set()
    for name in _NAME.findall(text):
        parts = [part.lower() for part in _HUMP.findall(name)]
        if len(parts) > 1:
            found.add(name.lower().strip("_$"))
        found.update(_stem(part) for part in parts if len(part) > 1 and part not in _EMPTY)
    return frozenset(found)


@functools.lru_cache(maxsize=20_000)
def _stem(word: str) -> str:
    ending = next((e for e in _ENDINGS if word.endswith(e) and len(word) - len(e) >= 3), "")
    word = word.removesuffix(ending)
    return word[:-1] if len(word) > 3 and word[-1] == word[-2] else word


MIN_TEMPLATE: Final = 4
"""Words of a text that can be a template's."""


@functools.lru_cache(maxsize=20_000)
def _names(text: str) -> tuple[str, ...]:
    return tuple(_NAME.findall(text))


def has_other_subject(one: str, other: str) -> bool:
    """Tell whether two texts are one template, filled with other words: the same is wrong with another thing.

    Lines and counts drift, so numbers are no subject.
    """
    left, right = _names(one), _names(other)
    if len(left) != len(right) or len(left) < MIN_TEMPLATE:
        return False
    pairs = [(a, b) for a, b in zip(left, right, strict=True) if a != b]
    return 4 * len(pairs) <= len(left) and any(
        not (a.isdigit() and b.isdigit()) and _stem(a.lower()) != _stem(b.lower()) for a, b in pairs
    )


class Texts:
    """The words of some claims, and how much weight each has among just those."""

    __slots__ = ("_bits", "_holders", "_lengths", "_weights", "_words")

    def __init__(self, texts: Sequence[str]) -> None:
        self._words = [words(text) for text in texts]
        often = Counter(word for some in self._words for word in some)
        # The square root: few texts make a poor count, and full weights lose more than they gain (measured).
        self._weights = {word: math.sqrt(math.log(1 + len(texts) / count)) for word, count in often.items()}
        self._lengths = [math.sqrt(self._weight(some)) or 1.0 for some in self._words]
        places = {word: 1 << place for place, word in enumerate(sorted(often))} if len(often) < 4_000 else {}
        self._bits = [sum(map(places.__getitem__, some)) for some in self._words] if places else []
        self._holders = often

    def _weight(self, some: Iterable[str]) -> float:
        weights = self._weights
        return math.fsum([weights[word] for word in some])

    def likeness(self, one: int, other: int) -> float:
        """Return 0 for no word in common up to 1 for the same words."""
        if self._bits and not self._bits[one] & self._bits[other]:
            return 0.0
        shared = self._words[one] & self._words[other]
        if len(shared) < MIN_SHARED:
            return 0.0
        return self._weight(shared) / (self._lengths[one] * self._lengths[other])

    @property
    def is_sparse(self) -> bool:
        return len(self._words) > MAX_PAIRED

    def pairs(self) -> Iterator[tuple[int, int]]:
        """Yield what is worth comparing: (smaller, larger) places, each pair once."""
        count = len(self._words)
        if not self.is_sparse:
            yield from ((one, other) for other in range(count) for one in range(other))
            return
        holders: defaultdict[str, list[int]] = defaultdict(list)
        for place, some in enumerate(self._words):
            shared = [word for word in some if self._holders[word] > 1]
            for word in sorted(shared, key=lambda word: (self._holders[word], word))[:RARE]:
                holders[word].append(place)
        seen: set[tuple[int, int]] = set()
        for places in holders.values():
            for at, other in enumerate(places):
                for one in places[max(0, at - MAX_HOLDERS) : at]:
                    if (one, other) not in seen:
                        seen.add((one, other))
                        yield one, other


def joined(count: int, likenesses: Mapping[tuple[int, int], float], bar: float = ALIKE) -> list[list[int]]:
    """Group 0 to `count` - 1 by average linkage; pairs that are not given are not alike at all.

    A pair of likeness -inf is never joined, nor are groups that hold it.

    Of pairs that are equally alike the one with the smaller numbers is joined first, so numbers have to
    follow from what is joined, not from its order.
    """
    groups: dict[int, list[int]] = {place: [place] for place in range(count)}
    sums: defaultdict[int, dict[int, float]] = defaultdict(dict)
    for (one, other), likeness in likenesses.items():
        if likeness:
            sums[one][other] = sums[other][one] = likeness
    queue = [(-value, one, other, 2) for (one, other), value in likenesses.items() if value >= bar]
    heapq.heapify(queue)
    while queue:
        _, one, other, size = heapq.heappop(queue)
        if one not in groups or other not in groups or len(groups[one]) + len(groups[other]) != size:
            continue  # one of them has grown or is gone: its new form is in the queue as well
        groups[one] += groups.pop(other)
        gone = sums.pop(other)
        mine = sums[one]
        mine.pop(other, None)
        for third, total in gone.items():
            if third != one:
                del sums[third][other]
                mine[third] = sums[third][one] = mine.get(third, 0.0) + total
        for third, total in mine.items():
            both = len(groups[one]), len(groups[third])
            average = total / (both[0] * both[1])
            if average >= bar:
                heapq.heappush(queue, (-average, min(one, third), max(one, third), sum(both)))
    return sorted(sorted(group) for group in groups.values())
