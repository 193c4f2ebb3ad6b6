"""A pattern that is compiled at its first use: for a call that passes early most are never needed."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cached_property


class Rule:
    """As much of `re.Pattern` as the rules need."""

    def __init__(self, pattern: str, flags: int = 0) -> None:
        self.pattern, self.flags = pattern, flags

    @cached_property
    def _compiled(self) -> re.Pattern[str]:
        return re.compile(self.pattern, self.flags)

    def search(self, text: str) -> re.Match[str] | None:
        return self._compiled.search(text)

    def match(self, text: str) -> re.Match[str] | None:
        return self._compiled.match(text)

    def finditer(self, text: str) -> Iterator[re.Match[str]]:
        return self._compiled.finditer(text)

    def sub(self, new: str, text: str) -> str:
        return self._compiled.sub(new, text)
