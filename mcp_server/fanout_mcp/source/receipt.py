"""What was read, cut, skipped, spent and saved: counted on the content returned, never on a pointer."""

from __future__ import annotations

import posixpath
import time
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Final

from fanout_mcp.errors import NoVerdict
from fanout_mcp.source.bound import tokens_of
from fanout_mcp.source.tokens import ESTIMATOR, saving
from fanout_mcp.types import Json, Outcome
from fanout_mcp.usage import Usage

NAMED: Final = 5
"""Files that are named, for each reason; the others are counted."""

REASONS: Final = 8
MIN_SAVING: Final = 300
"""Tokens of source below which a saving means nothing: the receipt alone is as long."""

LONGEST_NAME: Final = 120
LONGEST_REASON: Final = 200


@dataclass(slots=True)
class Receipt:
    """Filled while a call runs; `as_json` closes it."""

    started: float = field(default_factory=time.monotonic)
    read: int = 0
    cut: int = 0
    calls: int = 0
    cached: int = 0
    asked: int = 0
    dropped: int = 0
    """Statements of a model that cited what does not exist."""
    cache: str = ""
    """Why answers were not kept; empty when they were, or when none was asked for."""
    tree: str = ""
    """Which worktree was read, where the repository has several."""
    usage: Usage = field(default_factory=Usage)
    _by_name: dict[str, int] = field(default_factory=dict)
    _skipped: dict[str, list[str]] = field(default_factory=dict)
    _failed: dict[str, list[str]] = field(default_factory=dict)

    def skip(self, path: str, reason: str) -> None:
        self._skipped.setdefault(reason, []).append(path)

    def name_only(self, paths: Iterable[str]) -> None:
        """Count files that have no outline by their endings: of them only the names were told."""
        for path in paths:
            name = path.rpartition("/")[2]
            ending = posixpath.splitext(name)[1] or name[:LONGEST_NAME]
            self._by_name[ending] = self._by_name.get(ending, 0) + 1

    def skip_all(self, skipped: Mapping[str, str]) -> None:
        for path, reason in skipped.items():
            self.skip(path, reason)

    def count(self, outcome: Outcome) -> None:
        """Add what a job took."""
        self.asked += 1
        self.calls += outcome.calls
        self.cached += outcome.status == "cached"
        self.usage += outcome.usage
        if not outcome.is_answered:
            self.fail(outcome.key, outcome.reason or outcome.status)

    def fail(self, key: str, reason: str) -> None:
        """Note that the model said nothing of use about `key`: what stands there is derived from the code."""
        self._failed.setdefault(reason, []).append(key)

    @property
    def failing(self) -> int:
        """How many questions came back without an answer of use."""
        return sum(map(len, self._failed.values()))

    def insist(self) -> None:
        """Raise NoVerdict when something was asked and nothing of use came: somebody wanted a model."""
        if self.asked and self.asked == sum(map(len, self._failed.values())):
            why, _ = _by_reason(self._failed)[0]
            raise NoVerdict(
                f"The model answered none of {self.asked:,} questions: {why[:LONGEST_REASON]} "
                'engine="static" needs no model, and "auto" goes on without its answers.'
            )

    def as_json(self, content: Json, raw_tokens: int) -> dict[str, Json]:
        returned = tokens_of(content)
        fields: dict[str, Json] = {
            "read": self.read,
            "cut": self.cut,
            "skipped": _counted(self._skipped),
            **({"by_name_only": _endings(self._by_name)} if self._by_name else {}),
            "tokens_raw": raw_tokens,
            "tokens_returned": returned,
            **({"saving_percent": saving(raw_tokens, returned)} if raw_tokens >= MIN_SAVING else {}),
            "estimator": ESTIMATOR,
            "calls": self.calls,
            "cached": self.cached,
            **(self.usage if self.calls else Usage(cost_usd=0.0)).fields(),
            "elapsed_s": round(time.monotonic() - self.started, 3),
        }
        if self.tree:
            fields["tree"] = self.tree
        if self._failed:
            fields["failed"] = _counted(self._failed)
        if self.dropped:
            fields["dropped"] = self.dropped
        if self.cache:
            fields["cache"] = self.cache
        return fields


def _endings(counts: Mapping[str, int]) -> dict[str, int]:
    """Most frequent first; the rest together."""
    most = sorted(counts, key=lambda ending: (-counts[ending], ending))
    rest = sum(counts[ending] for ending in most[REASONS:])
    return {**{ending: counts[ending] for ending in most[:REASONS]}, **({"other": rest} if rest else {})}


def _counted(found: Mapping[str, list[str]]) -> dict[str, Json]:
    return {
        reason[:LONGEST_REASON]: {
            "count": len(names),
            "paths": [name[:LONGEST_NAME] for name in names[:NAMED]],
        }
        for reason, names in _by_reason(found)
    }


def _by_reason(found: Mapping[str, list[str]]) -> list[tuple[str, list[str]]]:
    """Most frequent first; a hostile repository can make up any number of them."""
    ordered = sorted(found.items(), key=lambda item: -len(item[1]))
    rest = [name for _, names in ordered[REASONS:] for name in names]
    return [*ordered[:REASONS], *([("other reasons", rest)] if rest else [])]
