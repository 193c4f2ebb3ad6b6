"""Limits for CI: fail above a time, or when something became slower than a baseline beyond the noise.

    EVENT=MS[,p50|p95|p99]        PreToolUse=20,p95: its 95th percentile must not be above 20 ms

Noise is no regression: a limit fails only when the measured quantile is above it and a binomial test says
that it really is (trend.exceeds); a comparison only on a trend corrected for all hooks (trend.compare).
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any, NamedTuple

from fanout_hooks import trend
from fanout_hooks.digest import Digest
from fanout_hooks.report import Period

FORM = 1
_LIMIT = re.compile(r"(?P<event>\w+)=(?P<ms>\d+(?:\.\d+)?)(?:,p(?P<share>50|95|99))?")


class Limit(NamedTuple):
    """What an event's quantile `share` may be at most."""

    event: str
    ms: float
    share: float = 0.95


def parse(text: str) -> Limit:
    """Read EVENT=MS[,pNN]. Raises ValueError that says what is wrong."""
    match = _LIMIT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no limit; write EVENT=MS[,p95], for example PreToolUse=20,p95")
    return Limit(match["event"], float(match["ms"]), int(match["share"] or 95) / 100)


def above(period: Period, limit: Limit) -> str:
    """Return why a limit is broken, or ""; an event that never ran breaks none."""
    event = period.events.get(limit.event)
    if event is None:
        return ""
    found = event.elapsed.quantile(limit.share)
    p = trend.exceeds(event.elapsed, limit.ms, limit.share)
    if found <= limit.ms or p >= trend.ALPHA:
        return ""
    return (
        f"{limit.event}: p{limit.share * 100:.0f} is {found:.1f} ms over {event.elapsed.count} events, "
        f"the limit is {limit.ms:g} ms (p = {p:.3g} that this is chance)"
    )


def save(period: Period) -> str:
    """Return a period's digests as the JSON of a baseline."""
    return json.dumps(
        {
            "form": FORM,
            "from": period.first,
            "to": period.last,
            "events": {name: event.elapsed.to_json() for name, event in period.events.items()},
            "hooks": {key: hook.ms.to_json() for key, hook in period.hooks().items()},
        },
        separators=(",", ":"),
    )


def regressions(period: Period, baseline: Any) -> list[str]:
    """Name what became slower than a baseline that `save` wrote. Raises ValueError when it is none."""
    try:
        form, before_events, before_hooks = (
            int(baseline["form"]),
            _digests(baseline["events"]),
            _digests(baseline["hooks"]),
        )
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"this is no baseline of `fanout report --save` ({error})") from None
    if form != FORM:
        raise ValueError(f"this baseline has form {form}, not {FORM}; save it anew")
    events = trend.compare(before_events, {name: own.elapsed for name, own in period.events.items()})
    hooks = trend.compare(before_hooks, {key: own.ms for key, own in period.hooks().items()})
    return [
        f"{name}: median {found.change:+.0%} against the baseline (p = {found.p:.3g} that this is chance)"
        for name, found in {**events, **hooks}.items()
        if found.direction == "slower"
    ]


def _digests(data: Mapping[str, Any]) -> dict[str, Digest]:
    return {str(name): Digest.from_json(own) for name, own in data.items()}
