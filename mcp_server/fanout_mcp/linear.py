r"""Regular expressions that take linear time whatever the text: RE2 behind the interface of `re`, over bytes.

A pattern that meets text from outside is compiled here unless it needs what RE2 refuses: lookaround,
backreferences, counts above 1,000. Those stay with `re`, bounded and anchored, and tests/test_linear.py
measures every one of them. Patterns are bytes, since RE2 would encode `str` again at each search: `\w`, `\d`
and `\b` mean ASCII, offsets are those of UTF-8. RE2 takes up to 5 ms to compile one: at its first use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Final, Protocol


class Match(Protocol):
    """What is used of a match; groups go by number (their names are bytes in RE2)."""

    @property
    def lastindex(self) -> int: ...
    def __getitem__(self, group: int, /) -> bytes: ...
    def group(self) -> bytes: ...
    def start(self, group: int = 0, /) -> int: ...
    def end(self, group: int = 0, /) -> int: ...
    def span(self, group: int = 0, /) -> tuple[int, int]: ...


class Linear:
    """A pattern: ASCII text, matched against bytes. Its first use raises `re2.error` where RE2 refuses it."""

    __slots__ = ("_compiled", "_never_captures", "pattern")

    def __init__(self, pattern: str, *, never_captures: bool = False) -> None:
        self.pattern, self._never_captures = pattern, never_captures
        self._compiled: Any = None

    def search(self, text: bytes, start: int = 0, end: int | None = None) -> Match | None:
        found: Match | None = self._ready().search(text, start, end)
        return found

    def match(self, text: bytes, start: int = 0, end: int | None = None) -> Match | None:
        found: Match | None = self._ready().match(text, start, end)
        return found

    def finditer(self, text: bytes) -> Iterator[Match]:
        found: Iterator[Match] = self._ready().finditer(text)
        return found

    def sub(self, replace: Callable[[Match], bytes], text: bytes) -> bytes:
        done: bytes = self._ready().sub(replace, text)
        return done

    def _ready(self) -> Any:
        if self._compiled is None:
            import re2  # 4 ms, and most commands redact nothing

            options = re2.Options()
            options.never_capture = self._never_captures  # where a text fits, its groups cost more than that
            options.log_errors = False  # a refused pattern raises; RE2 would print it to stderr as well
            options.encoding = re2.Options.Encoding.LATIN1
            self._compiled = re2.compile(self.pattern.encode("ascii"), options)  # type: ignore[no-untyped-call]
        return self._compiled


MAX_RUN: Final = 200
MAX_GROUPS: Final = 30


def bounded(pattern: str) -> str:
    """Return a pattern whose repeats end: else `token.*=` reads on from each `token` of a long line."""
    out: list[str] = []
    repeats = [False]  # whether the open groups, and last the one that was closed, hold a repeat
    position, in_class, closed = 0, False, False
    while position < len(pattern):
        char = pattern[position]
        if char == "\\":
            out.append(pattern[position : position + 2])
            position += 2
            continue
        if in_class:
            in_class = char != "]" or pattern[position - 1] == "[" or pattern[position - 2 : position] == "[^"
        elif char == "[":
            in_class = True
        elif char == "(":
            repeats.append(False)
        elif char == ")" and len(repeats) > 1:
            closed = repeats.pop()
            repeats[-1] |= closed
        elif char in "*+":
            most = MAX_GROUPS if out[-1] == ")" and closed else MAX_RUN
            repeats[-1] = True
            char = f"{{{int(char == '+')},{most}}}"
        out.append(char)
        position += 1
        if char[0] == "{" and char[-1] == "}" and pattern[position : position + 1] in ("?", "+"):
            out.append(pattern[position])  # lazy and possessive repeats stay so
            position += 1
    return "".join(out)
