"""Secrets that stand in a file, by the recogniser that scrubs them from whatever leaves."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import Final

from fanout_mcp.review.analysers.places import found
from fanout_mcp.review.finding import Finding
from fanout_mcp.source.secrets import redact

RULE: Final = "hardcoded-secret"
_MARK: Final = re.compile(r"<redacted:([\w-]+)>")


def review_secrets(path: str, text: str, known: Container[int]) -> Iterator[Finding]:
    """Yield a finding for each line with a secret that is not `known`, however the file is written."""
    clean, count = redact(text)
    if not count:
        return
    lines = text.split("\n")
    for number, (line, scrubbed) in enumerate(zip(lines, clean.split("\n"), strict=False), 1):
        mark = _MARK.search(scrubbed) if line != scrubbed else None
        if mark and number not in known:
            # A shape tells a provider's key; a word beside a value tells less.
            yield found(
                path,
                lines,
                (number, number),
                RULE,
                severity="medium" if mark[1] == "value" else "high",
                confidence=55 if mark[1] == "value" else 85,
                why=f"It is scrubbed from whatever leaves, as {mark[1]}.",
                reviewer="secrets",
            )
