"""Text for people: broken between words and never inside one, so that a path can be clicked and copied."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

NARROWEST: Final = 20
WORD: Final = re.compile(r"\s{0,99}\S+\s{0,99}")
"""With the white space around it: only the first has some before it."""
AFTER_A_CITATION: Final = re.compile(r"(?<=\]\.) +(?=\S)")


def paragraph(console: Console, text: Text | str, style: str = "", indent: int = 0, hanging: int = 0) -> None:
    """Print one paragraph `indent` columns in, all lines but its first `hanging` columns more.

    A word that is longer than the terminal is wide stays whole: terminals join what they broke themselves.
    """
    from rich.text import Text

    whole = text.copy() if isinstance(text, Text) else Text(text, style)
    whole.expand_tabs(4)
    width = max(console.width - indent - hanging, NARROWEST)
    number = 0
    for own in whole.split("\n"):
        for line in own.divide(breaks(own.plain, width)):  # rich itself breaks long words, or cuts them
            line.rstrip()
            console.print(Text(" " * (indent + hanging * bool(number))) + line, soft_wrap=True)
            number += 1


def breaks(line: str, width: int) -> list[int]:
    """Return where to break a line so that each part fits, as far as its words do."""
    from rich.cells import cell_len

    found, used = [], 0
    for word in WORD.finditer(line):
        size = cell_len(word[0])
        if word.start() and used + cell_len(word[0].rstrip()) > width:
            found.append(word.start())
            used = 0
        used += size
    return found


def claims(report: str) -> list[str]:
    """Return a report's claims, each with the citation that it ends with."""
    return AFTER_A_CITATION.split(report)
