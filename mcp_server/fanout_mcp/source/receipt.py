"""What was read, cut, skipped, spent and saved: counted on the content returned, never on a pointer."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

from fanout_mcp.source.bound import tokens_of
from fanout_mcp.source.tokens import ESTIMATOR, saving
from fanout_mcp.types import Json, Outcome, Usage

NAMED: Final = 5
"""Skipped files that are named, for each reason; the others are counted."""

REASONS: Final = 8
LONGEST_NAME: Final = 120


@dataclass(slots=True)
class Receipt:
    """Filled while a call runs; `as_json` closes it."""

    started: float = field(default_factory=time.monotonic)
    read: int = 0
    cut: int = 0
    calls: int = 0
    cached: int = 0
    failed: Counter[str] = field(default_factory=Counter)
    dropped: int = 0
    """Statements of a model that cited what does not exist."""
    cache: str = ""
    """Why answers were not kept; empty when they were, or when none was asked for."""
    usage: Usage = field(default_factory=Usage)
    _skipped: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, path: str, reason: str) -> None:
        self._skipped.setdefault(reason, []).append(path)

    def skip_all(self, skipped: Mapping[str, str]) -> None:
        for path, reason in skipped.items():
            self.skip(path, reason)

    def count(self, outcome: Outcome) -> None:
        """Add what a job took."""
        self.calls += outcome.calls
        self.cached += outcome.status == "cached"
        self.usage += outcome.usage
        if not outcome.is_answered:
            self.failed[outcome.reason or outcome.status] += 1

    def as_json(self, content: Json, raw_tokens: int) -> dict[str, Json]:
        returned = tokens_of(content)
        fields: dict[str, Json] = {
            "read": self.read,
            "cut": self.cut,
            "skipped": {
                reason: {"count": len(paths), "paths": [path[:LONGEST_NAME] for path in paths[:NAMED]]}
                for reason, paths in self._reasons()
            },
            "tokens_raw": raw_tokens,
            "tokens_returned": returned,
            "saving_percent": saving(raw_tokens, returned),
            "estimator": ESTIMATOR,
            "calls": self.calls,
            "cached": self.cached,
            "tokens_in": self.usage.tokens_in,
            "tokens_out": self.usage.tokens_out,
            "cost_usd": self.usage.cost_usd if self.calls else 0.0,
            "elapsed_s": round(time.monotonic() - self.started, 3),
        }
        if self.failed:
            fields["failed"] = {why[:200]: count for why, count in self.failed.most_common(NAMED)}
        if self.dropped:
            fields["dropped"] = self.dropped
        if self.cache:
            fields["cache"] = self.cache
        return fields

    def _reasons(self) -> list[tuple[str, list[str]]]:
        """Most frequent first; a hostile repository can make up any number of them."""
        ordered = sorted(self._skipped.items(), key=lambda item: -len(item[1]))
        rest = [path for _, paths in ordered[REASONS:] for path in paths]
        return [*ordered[:REASONS], *([("other reasons", rest)] if rest else [])]
