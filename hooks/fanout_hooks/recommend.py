"""What to do about the hooks, from their numbers: each with its reason and the gain per event.

A gain is what the median event would be shorter. Hooks run beside one another, so it is never simply the
hook's own time: taking the slowest away leaves the second slowest.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fanout_hooks.tally import PAID_LANES, EventTally, HookTally
from fanout_hooks.trend import Trend

LEAST_RUNS = 20
LEAST_FAILED = 3
"""What fails is known sooner than what is slow."""
LEAST_GAIN_MS = 5.0
SLOW_MS = 50.0
FAILS = 0.2
COLD = 0.2
TAIL = 10.0
MOST = 10


class Advice(NamedTuple):
    """One recommendation. `action`: mend, async, if, cache, split, declare, server, revert."""

    action: str
    event: str
    hook: str
    reason: str
    gain_ms: float
    runs: int

    def to_json(self) -> dict[str, Any]:
        return {**self._asdict(), "gain_ms": round(self.gain_ms, 1)}


def recommend(events: Mapping[str, EventTally], trends: Mapping[str, Trend]) -> list[dict[str, Any]]:
    """Return the recommendations, the ones that save most time in all first."""
    found = [advice for name, event in events.items() for advice in _of_event(name, event, trends)]
    found.sort(key=lambda advice: (-advice.gain_ms * advice.runs, advice.event, advice.hook))
    return [advice.to_json() for advice in found[:MOST]]


def _of_event(name: str, event: EventTally, trends: Mapping[str, Trend]) -> Iterator[Advice]:
    yield from _cold(name, event)
    medians = {hook: own.ms.quantile(0.5) for hook, own in event.hooks.items()}
    for hook, own in event.hooks.items():
        runs = own.ms.count
        if runs < LEAST_FAILED:
            continue
        gain = _gain(event, medians, hook)
        advice = _failing(own)
        if advice is None and runs < LEAST_RUNS:
            continue
        advice = advice or _tailed(own) or _slow(name, own, gain) or _waiting(own)
        found = trends.get(f"{name}/{hook}")
        if advice is None and found is not None and found.direction == "slower":
            slower = medians[hook] * found.change / (1 + found.change)
            change = f"{100 * found.change:+.0f} %"
            advice = ("revert", f"{change} against the period before, beyond the noise", slower)
        if advice is not None:
            action, reason, own_gain = advice
            yield Advice(action, name, hook, reason, gain if own_gain is None else own_gain, runs)


Found = tuple[str, str, float | None] | None
"""Action, reason, gain in ms; None: what the event would gain without the hook."""


def _failing(own: HookTally) -> Found:
    runs, timeouts, failures = own.ms.count, own.counts["timeouts"], own.counts["failures"]
    if timeouts / runs > FAILS / 2:
        return ("mend", f"cut at its timeout in {timeouts} of {runs} runs; its work is lost each time", None)
    if failures / runs > FAILS:
        codes = ", ".join(sorted(what[5:] for what in own.counts if what.startswith("exit ")))
        return ("mend", f"fails in {failures} of {runs} runs (exit {codes}); mend it, or drop it", None)
    return None


def _slow(event: str, own: HookTally, gain: float) -> Found:
    median = own.ms.quantile(0.5)
    if median < SLOW_MS or gain < LEAST_GAIN_MS:
        return None
    decided = sum(count for what, count in own.counts.items() if what.startswith("decision "))
    if not decided:
        return (
            "async",
            f"{median:.0f} ms, and no decision in {own.ms.count} runs: nobody needs to wait for it",
            gain,
        )
    if event in {"PreToolUse", "PostToolUse", "PostToolUseFailure"} and decided < own.ms.count / 100:
        return (
            "if",
            f"{median:.0f} ms for {decided} decisions in {own.ms.count} runs: narrow its matcher or use `if`",
            gain,
        )
    return ("cache", f"takes {median:.0f} ms each time: keep what doesn't change between runs", gain)


def _tailed(own: HookTally) -> Found:
    median, p99 = own.ms.quantile(0.5), own.ms.quantile(0.99)
    if p99 < SLOW_MS or p99 < TAIL * max(median, 0.1) or own.ms.count < 5 * LEAST_RUNS:
        return None
    return (
        "split",
        f"{median:.1f} ms as a rule, {p99:.0f} ms in one of a hundred: give the slow case a hook of its own",
        own.ms.mean - median,
    )


def _waiting(own: HookTally) -> Found:
    wait = own.wait_ms.quantile(0.5)
    if own.wait_ms.count < LEAST_RUNS or wait < SLOW_MS:
        return None
    return (
        "declare",
        f"waits {wait:.0f} ms for hooks that it may conflict with: declare what it reads and writes",
        wait,
    )


def _cold(name: str, event: EventTally) -> Iterator[Advice]:
    cold, warm = event.counts["path cold"], event.counts["path warm"]
    if not warm or cold / (cold + warm) <= COLD or cold < LEAST_RUNS:
        return
    gain = event.counts["us cold"] / cold / 1000 - event.counts["us warm"] / warm / 1000
    if gain >= LEAST_GAIN_MS:
        reason = f"{cold} of {cold + warm} events ran cold: the server was not there (see fanout-hooks check)"
        yield Advice("server", name, "", reason, gain, cold)


def _gain(event: EventTally, medians: Mapping[str, float], hook: str) -> float:
    """Return by how much the median event would be shorter without a hook.

    Warm hooks run one after another, the others side by side: an event takes the longest of them.
    """
    lanes = {name: own for name, own in event.hooks.items() if _is_paid(own)}
    chain = sum(median for name, median in medians.items() if name not in lanes)

    def length(without: str) -> float:
        kept = [medians[name] for name in lanes if name != without]
        return max(
            [chain - (medians[without] if without and without not in lanes else 0.0), *kept], default=0.0
        )

    return max(0.0, length("") - length(hook))


def _is_paid(own: HookTally) -> bool:
    """Tell whether most runs had a process of their own."""
    alone = sum(own.counts[f"lane {lane}"] for lane in PAID_LANES)
    return alone * 2 > own.ms.count
