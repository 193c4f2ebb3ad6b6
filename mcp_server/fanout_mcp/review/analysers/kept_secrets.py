"""Secrets that stand in a file, by the recogniser that scrubs them from whatever leaves."""

from __future__ import annotations

import math
import re
from collections import Counter
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


_NOT_A_PROVIDER: Final = DOUBTFUL | {"private-key", "jwt"}
"""What tests and documents hold by the dozen, made for them."""
_MADE_UP: Final = re.compile(
    r"(?i)example|sample|dummy|fake|test|mock|x{4}|abcd|1234|0{4}|(.)\1{3}|your|placeholder|redacted|foobar"
)
LEAST_ENTROPY: Final = 3.3
"""Bits a character: keys of providers are random, those that people type are not."""


def review_keys(path: str, text: str) -> Iterator[Finding]:
    """Yield the providers' keys that stand in a file and look issued: random, not typed for a test."""
    clean, count = redact(text, path)
    if not count:
        return
    lines = text.split("\n")
    for number, (line, scrubbed) in enumerate(zip(lines, clean.split("\n"), strict=False), 1):
        mark = _MARK.search(scrubbed) if line != scrubbed else None
        if mark is None or mark[1] in _NOT_A_PROVIDER:
            continue
        key = line[mark.start() :].removesuffix(scrubbed[mark.end() :])
        if not _MADE_UP.search(key) and _entropy(key) >= LEAST_ENTROPY:
            why = f"It has the form of a key of {mark[1]}, and looks issued."
            yield found(
                path,
                lines,
                (number, number),
                RULE,
                severity="high",
                confidence=SHAPED,
                why=why,
                reviewer="secrets",
            )


def _entropy(text: str) -> float:
    counts = Counter(text)
    return -sum(n / len(text) * math.log2(n / len(text)) for n in counts.values()) if text else 0.0


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
