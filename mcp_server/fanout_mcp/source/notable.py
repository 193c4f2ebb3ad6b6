"""What stands out in a file: where a program starts, how much it branches, what to know first."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING, Final

from fanout_mcp.source.languages import Language

if TYPE_CHECKING:
    from fanout_mcp.source.outline import Symbol

LONG_FUNCTION: Final = 100
CALLABLE: Final = frozenset({"function", "method", "constructor"})


def _any_of(words: str) -> str:
    """Match whole words, each by its first letter: behind a leading word boundary no place is skipped."""
    return "|".join(rf"{word}\b(?<!\w{word})" for word in words.split())


_BRANCH: Final = re.compile(_any_of("if for while case catch when unless") + r"|&&|\|\|")
_PYTHON_BRANCH: Final = re.compile(_any_of("if elif for while case except"))
_MARKS: Final = ("TODO", "FIXME", "XXX", "HACK")
_NOTES: Final = re.compile(rf"\b(?:{'|'.join(_MARKS)})\b")
_MAIN: Final = {
    "Python": ("__main__", re.compile(r"^if __name__ == ['\"]__main__['\"]", re.MULTILINE)),
    "Go": ("func main()", re.compile(r"^func main\(\)", re.MULTILINE)),
    "Rust": ("fn main()", re.compile(r"^(?:pub )?(?:async )?fn main\(\)", re.MULTILINE)),
    "Java": ("void main(", re.compile(r"\bpublic static void main\(")),
    "C": ("main", re.compile(r"^(?:int|void)\s+main\s*\(", re.MULTILINE)),
    "C++": ("main", re.compile(r"^(?:int|void)\s+main\s*\(", re.MULTILINE)),
    "C#": (" Main(", re.compile(r"\bstatic (?:async )?(?:void|int|Task)\s+Main\(")),
}
"""Where a program starts: what a file without it can't hold, found by plain search, and the pattern."""


def entry(text: str, language: Language, symbols: Sequence[Symbol]) -> int:
    """Return the line where a program starts; 0 when none does, or only in a text that the file quotes."""
    sign, pattern = _MAIN.get(language.name, ("", None))
    if pattern is None or sign not in text:
        return 0
    mains = {symbol.line for symbol in symbols if symbol.name in {"main", "Main"}}
    lines = (text.count("\n", 0, match.start()) + 1 for match in pattern.finditer(text))
    return next((line for line in lines if line in mains or language.name == "Python"), 0)


def branches(text: str, language: Language) -> int:
    return len((_PYTHON_BRANCH if language.name == "Python" else _BRANCH).findall(text))


def notes(text: str, symbols: Sequence[Symbol], *, is_whole: bool) -> Iterator[str]:
    if not is_whole:
        yield "has syntax that the parser did not understand; the outline may miss something"
    marks = len(_NOTES.findall(text)) if any(mark in text for mark in _MARKS) else 0
    if marks:
        yield f"{marks} TODO or FIXME"
    functions = (symbol for symbol in symbols if symbol.kind in CALLABLE)
    longest = max(functions, key=lambda symbol: symbol.end_line - symbol.line, default=None)
    if longest and longest.end_line - longest.line >= LONG_FUNCTION:
        yield f"{longest.name} is {longest.end_line - longest.line + 1} lines long (line {longest.line})"
