"""Secrets that stand in a file, by the recogniser that scrubs them from whatever leaves."""

from __future__ import annotations

import re
from collections.abc import Container, Iterator
from typing import Final

from fanout_mcp.review.analysers.languages import language_of
from fanout_mcp.review.analysers.places import found
from fanout_mcp.review.finding import Finding, Severity
from fanout_mcp.source.secrets import redact

RULE: Final = "hardcoded-secret"
SHAPED: Final = 85
"""Confidence in what has the shape of a provider's key."""
DOUBTFUL: Final = frozenset({"value", "url-password", "header"})
"""Marks of what is a secret by the words around it alone."""
_MARK: Final = re.compile(r"<redacted:([\w-]+)>")
_PLACEHOLDER: Final = re.compile(
    r"\[{0,9}((my|your|the|some|user|db|test|example|dummy)[-_]?)?(pass(w(or)?d|wd|phrase)?|pwd|secret|token|key)"
    r"[-_]?(here|\d)?\]{0,9}|(x+|\*+|\.+|changeme|bar|tiger|hunter2)(@.*)?",
    re.IGNORECASE,
)
"""What documents write where a password would stand."""


def review_secrets(path: str, text: str, known: Container[int]) -> Iterator[Finding]:
    """Yield a finding for each line with a secret that is not `known`, however the file is written."""
    clean, count = redact(text, path)
    if not count:
        return
    lines = text.split("\n")
    is_program = language_of(path) is not None
    for number, (line, scrubbed) in enumerate(zip(lines, clean.split("\n"), strict=False), 1):
        mark = _MARK.search(scrubbed) if line != scrubbed else None
        # A shape tells a provider's key; a word beside a value tells less, and no more than a rule did.
        if mark and (mark[1] not in DOUBTFUL or number not in known):
            taken = line[mark.start() :].removesuffix(scrubbed[mark.end() :])
            is_placeholder = _PLACEHOLDER.fullmatch(taken)
            is_shown = mark[1] == "value" and not is_program
            doubtful: Severity = "low" if is_placeholder else "medium"
            yield found(
                path,
                lines,
                (number, number),
                RULE,
                severity=doubtful if is_placeholder or is_shown else "high",
                confidence=55 if mark[1] in DOUBTFUL else SHAPED,
                why=f"It is scrubbed from whatever leaves, as {mark[1]}.",
                reviewer="secrets",
            )
