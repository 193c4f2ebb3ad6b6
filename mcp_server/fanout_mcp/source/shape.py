"""What a parser should not even be given: files whose shape makes parsers explode (docs/security.md).

Minified, generated and hostile files cost minutes and gigabytes, or overflow the stack of native tools. Their
shape gives them away at a thousandth of that price.
"""

from __future__ import annotations

import re
from itertools import accumulate
from typing import Final

from fanout_mcp.source.read import MOST_BYTES

LONGEST_LINE: Final = 20_000
DEEPEST: Final = 200
LONGEST_CHAIN: Final = 3_000

_NO_BRACKETS: Final = bytes(set(range(256)) - set(b"()[]{}"))
_STEP: Final = {ord(char): 1 for char in "([{"} | {ord(char): -1 for char in ")]}"}
_NO_OPERATORS: Final = bytes(set(range(256)) - set(b"-+*/%&|^~!."))
# Possessive, so that a long chain is read once and never backtracked into.
_CHAIN: Final = re.compile(rb"(?:[-+*/%%&|^~!.]\s*+\w{0,30}+\s*+){%d}" % LONGEST_CHAIN)


def problem(data: bytes) -> str | None:
    """Return why this file should not be parsed, None when it may be."""
    if len(data) > MOST_BYTES:
        return f"larger than {MOST_BYTES:,} bytes"
    if b"\0" in data:
        return "holds NUL bytes"
    if len(data) > LONGEST_LINE and max(map(len, data.splitlines()), default=0) > LONGEST_LINE:
        return f"a line longer than {LONGEST_LINE:,} bytes (minified or generated)"
    brackets = data.translate(None, _NO_BRACKETS)
    if len(brackets) > DEEPEST and max(accumulate(map(_STEP.__getitem__, brackets))) > DEEPEST:
        return f"brackets nested deeper than {DEEPEST}"
    # Counting first is a twentieth of the search's price, and ends it for nearly every file.
    if len(data.translate(None, _NO_OPERATORS)) >= LONGEST_CHAIN and _CHAIN.search(data):
        return f"more than {LONGEST_CHAIN:,} operators in one expression"
    return None
