"""Pack files into as few reviews as fit a token budget, neighbours in one review.

Files of a folder belong together, so they are packed in path order, folder by folder; what is left over
small is joined (first fit). A file beyond the budget is cut at line ends into parts that keep their numbers.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import PurePosixPath


@dataclass(frozen=True, slots=True)
class Part:
    """A file, or a stretch of one that starts at `first_line`."""

    path: str
    text: str
    first_line: int = 1
    tokens: int = 0


@dataclass(frozen=True, slots=True)
class Group:
    parts: tuple[Part, ...]

    @property
    def tokens(self) -> int:
        return sum(part.tokens for part in self.parts)

    @property
    def paths(self) -> tuple[str, ...]:
        return tuple(dict.fromkeys(part.path for part in self.parts))


def grouped(files: Iterable[tuple[str, str]], budget: int, count: Callable[[str], int]) -> list[Group]:
    """Group (path, text) pairs: every line in exactly one group, none over the budget unless one line is."""
    parts = sorted(
        (part for path, text in files for part in _parts(path, text, budget, count)),
        key=lambda part: (PurePosixPath(part.path).parent.parts, part.path, part.first_line),
    )
    bins: list[list[Part]] = []
    for _, folder in groupby(parts, key=lambda part: PurePosixPath(part.path).parent):
        bins += _in_order(list(folder), budget)
    return [Group(tuple(parts)) for parts in _joined(bins, budget)]


def _in_order(parts: Sequence[Part], budget: int) -> list[list[Part]]:
    bins: list[list[Part]] = []
    room = 0
    for part in parts:
        if not bins or part.tokens > room:
            bins.append([])
            room = budget
        bins[-1].append(part)
        room -= part.tokens
    return bins


def _joined(bins: list[list[Part]], budget: int) -> list[list[Part]]:
    joined: list[list[Part]] = []
    sizes: list[int] = []
    for parts in bins:
        size = sum(part.tokens for part in parts)
        # The last few only: folders near in path order are near in meaning, and the search stays linear.
        nearby = range(max(0, len(joined) - 8), len(joined))
        fit = next((index for index in nearby if sizes[index] + size <= budget), None)
        if fit is None:
            joined.append(list(parts))
            sizes.append(size)
        else:
            joined[fit] += parts
            sizes[fit] += size
    return joined


def _parts(path: str, text: str, budget: int, count: Callable[[str], int]) -> list[Part]:
    tokens = count(text)
    if tokens <= budget:
        return [Part(path, text, 1, tokens)]
    parts: list[Part] = []
    lines: list[str] = []
    first, size = 1, 0
    for number, line in enumerate(text.split("\n"), 1):
        cost = count(line + "\n")
        if lines and size + cost > budget:
            parts.append(Part(path, "\n".join(lines), first, size))
            lines, first, size = [], number, 0
        lines.append(line)
        size += cost
    return [*parts, Part(path, "\n".join(lines), first, size)]
