"""The hook report: from the log's tally to figures, trends and recommendations.

Rules:
1. A period is whole days (UTC) up to today; it is compared with as many days before it.
2. A trend is named only when it exceeds the noise (tally.py); "unknown" is said where there is too little.
3. Time saved is against the same hooks one after another, from the times measured in the very event. Against
   native it is said only where `fanout-hooks bench` left a dated baseline, for nothing else knows it. What
   fanout itself took is off it, and has a row of its own beside the hooks.
4. A recommendation follows from the numbers, says which, and what it would gain.

Times are milliseconds.
"""

from __future__ import annotations

import json
import os
import re
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

from fanout_hooks.client.home import state_folder
from fanout_hooks.learn.memory import path_of
from fanout_hooks.log import append as log_append
from fanout_hooks.log import rollup
from fanout_hooks.log.tally import (
    ALPHA,
    PAID_LANES,
    Digest,
    EventTally,
    HookTally,
    Tally,
    Trend,
    compare,
    empty_event,
    exceeds,
    merge_event,
)

# --- What to do about the hooks, from their numbers: each with its reason and the gain per event. -----------
# A gain is what the median event would be shorter. Hooks run beside one another, so it is never simply the
# hook's own time: taking the slowest away leaves the second slowest.

MIN_RUNS = 20
MIN_FAILED = 3
"""What fails is known sooner than what is slow."""
MIN_GAIN_MS = 5.0
SLOW_MS = 50.0
FAILS = 0.2
COLD = 0.2
TAIL = 10.0
MAX = 10


class Advice(NamedTuple):
    """One recommendation. `action`: fix, async, if, cache, split, declare, server, revert."""

    action: str
    event: str
    hook: str
    reason: str
    gain_ms: float
    runs: int


def recommend(events: Mapping[str, EventTally], trends: Mapping[str, Trend]) -> list[dict[str, Any]]:
    found = [advice for name, event in events.items() for advice in _of_event(name, event, trends)]
    found.sort(key=lambda advice: (-advice.gain_ms * advice.runs, advice.event, advice.hook))
    return [advice._asdict() | {"gain_ms": round(advice.gain_ms, 1)} for advice in found[:MAX]]


def _of_event(name: str, event: EventTally, trends: Mapping[str, Trend]) -> Iterator[Advice]:
    yield from _cold(name, event)
    medians = {hook: own.ms.quantile(0.5) for hook, own in event.hooks.items()}
    for hook, own in event.hooks.items():
        runs = own.ms.count
        if runs < MIN_FAILED:
            continue
        gain = _gain(event, medians, hook)
        advice = _failing(own)
        if advice is None and runs < MIN_RUNS:
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
        return ("fix", f"cut at its timeout in {timeouts} of {runs} runs; its work is lost each time", None)
    if failures / runs > FAILS:
        codes = ", ".join(sorted(what[5:] for what in own.counts if what.startswith("exit ")))
        return ("fix", f"fails in {failures} of {runs} runs (exit {codes}); fix it, or drop it", None)
    return None


def _slow(event: str, own: HookTally, gain: float) -> Found:
    median = own.ms.quantile(0.5)
    if median < SLOW_MS or gain < MIN_GAIN_MS:
        return None
    decided = sum(count for what, count in own.counts.items() if what.startswith("decision "))
    if not decided:
        return (
            "async",
            f"{median:.0f} ms, and no decision in {own.ms.count} runs: nothing needs to wait for it",
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
    if p99 < SLOW_MS or p99 < TAIL * max(median, 0.1) or own.ms.count < 5 * MIN_RUNS:
        return None
    return (
        "split",
        f"{median:.1f} ms as a rule, {p99:.0f} ms in one of a hundred: move the slow case to another hook",
        own.ms.mean - median,
    )


def _waiting(own: HookTally) -> Found:
    wait = own.wait_ms.quantile(0.5)
    if own.wait_ms.count < MIN_RUNS or wait < SLOW_MS:
        return None
    return (
        "declare",
        f"waits {wait:.0f} ms for hooks that it may conflict with: declare what it reads and writes",
        wait,
    )


def _cold(name: str, event: EventTally) -> Iterator[Advice]:
    cold, warm = event.counts["path cold"], event.counts["path warm"]
    if not warm or cold / (cold + warm) <= COLD or cold < MIN_RUNS:
        return
    gain = event.counts["us cold"] / cold / 1000 - event.counts["us warm"] / warm / 1000
    if gain >= MIN_GAIN_MS:
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
    """Say whether most runs had a process of their own."""
    alone = sum(own.counts[f"lane {lane}"] for lane in PAID_LANES)
    return alone * 2 > own.ms.count


# --- The report's data --------------------------------------------------------------------------------------

DAY_S = 86_400
OWN = "fanout itself"


class Period(NamedTuple):
    events: dict[str, EventTally]
    gates: Counter[str]
    notes: Counter[str]
    damaged: int
    days: int
    first: str
    last: str

    def rows(self) -> dict[str, HookTally]:
        """Return the hooks, and what fanout itself took of each event."""
        return self.hooks() | self.own()

    def own(self) -> dict[str, HookTally]:
        """Return what fanout itself took, by `event/OWN`."""
        return {
            f"{phase}/{OWN}": HookTally(event.own, Digest(), {}, Counter({"lane own": 1}))
            for phase, event in self.events.items()
            if event.own.count
        }

    def hooks(self) -> dict[str, HookTally]:
        """Return the hooks by `event/name`: a hook is judged where it runs."""
        return {
            f"{phase}/{name}": hook
            for phase, event in self.events.items()
            for name, hook in event.hooks.items()
        }


def day_of(now: float, back: int = 0) -> str:
    """Return a day ("2026-11-24", UTC), `back` days before the one of `now`."""
    return time.strftime("%Y-%m-%d", time.gmtime(now - back * DAY_S))


def periods(tally: Tally, days: int, now: float) -> tuple[Period, Period]:
    """Return the last `days` days and the as many before them."""
    edges = [day_of(now, back) for back in (days * 2 - 1, days - 1, 0)]
    return _period(tally, days, edges[1], edges[2]), _period(tally, days, edges[0], day_of(now, days))


def _period(tally: Tally, days: int, first: str, last: str) -> Period:
    def is_within(day: str) -> bool:
        return first <= day <= last

    events: dict[str, EventTally] = {}
    for day in filter(is_within, sorted(tally.days)):
        for phase, event in tally.days[day].items():
            merge_event(events.setdefault(phase, empty_event()), event)
    gates, notes = (
        sum((counts for day, counts in by_day.items() if is_within(day)), Counter[str]())
        for by_day in (tally.gates, tally.notes)
    )
    damaged = sum(count for day, count in tally.damaged.items() if not day or is_within(day))
    return Period(events, gates, notes, damaged, days, first, last)


def read(project: str, days: int = 7, now: float | None = None) -> Tally:
    """Tally a project's log as far back as a report of `days` days looks. Raises OSError."""
    since = day_of(time.time() if now is None else now, days * 2 - 1)
    return rollup.gather(log_append.path_of(project), since)


def build(
    tally: Tally,
    days: int = 7,
    event: str | None = None,
    now: float | None = None,
    baseline: Mapping[str, Any] | None = None,
) -> dict[str, Any]:
    """Return the report's data. `baseline`: what `fanout-hooks bench` wrote, see `saved_against_native`."""
    now = time.time() if now is None else now
    current, before = periods(tally, days, now)
    if event is not None:
        current, before = (
            period._replace(events={name: own for name, own in period.events.items() if name == event})
            for period in (current, before)
        )
    trends = compare(
        {name: own.elapsed for name, own in before.events.items()},
        {name: own.elapsed for name, own in current.events.items()},
    )
    hooks, own = current.hooks(), current.own()
    hook_trends = compare(
        {key: one.ms for key, one in before.rows().items()},
        {key: one.ms for key, one in current.rows().items()},
    )
    by_time = sorted(current.events, key=lambda name: (-current.events[name].elapsed.total, name))
    slowest = sorted(hooks, key=lambda key: (-hooks[key].ms.total, key))
    return {
        "period": {"days": days, "from": current.first, "to": current.last},
        "events": [_event_row(name, current.events[name], trends[name]) for name in by_time],
        "hooks": [_hook_row(key, hooks[key], hook_trends[key]) for key in slowest],
        "own": [_hook_row(key, one, hook_trends[key]) for key, one in own.items()],
        "changed": changes(current, before),
        "saved_ms": round(sum(map(saved, current.events.values())), 1),
        "own_ms": round(sum(own.own.total for own in current.events.values()), 1),
        "saved_against_native": saved_against_native(current, baseline),
        "recommendations": recommend(current.events, hook_trends),
        "gate": gate_summary(current.gates),
        "notes": [{"note": note, "count": count} for note, count in current.notes.most_common(10)],
        "damaged_lines": current.damaged,
    }


def figures(digest: Digest) -> dict[str, float]:
    return {
        "count": digest.count,
        "mean_ms": round(digest.mean, 2),
        "median_ms": round(digest.quantile(0.5), 2),
        "p95_ms": round(digest.quantile(0.95), 2),
        "p99_ms": round(digest.quantile(0.99), 2),
    }


def _event_row(name: str, event: EventTally, found: Trend) -> dict[str, Any]:
    return {
        "event": name,
        **figures(event.elapsed),
        "failures": event.counts["failures"],
        "cold": event.counts["path cold"],
        "saved_ms": round(saved(event), 1),
        "trend": trend_json(found),
    }


def _hook_row(key: str, hook: HookTally, found: Trend) -> dict[str, Any]:
    event, _, name = key.partition("/")
    lanes = Counter({what[5:]: count for what, count in hook.counts.items() if what.startswith("lane ")})
    return {
        "name": name,
        "event": event,
        **figures(hook.ms),
        "failures": hook.counts["failures"],
        "timeouts": hook.counts["timeouts"],
        "denials": hook.counts["decision deny"],
        "trials": hook.counts["lane trial"],
        "last_error": hook.last.get("error", ""),
        "lane": next((lane for lane, _ in lanes.most_common(1)), ""),
        "trend": trend_json(found),
    }


def trend_json(found: Trend) -> dict[str, Any]:
    return {"direction": found.direction, "change": round(found.change, 3), "p": round(found.p, 4)}


def saved(event: EventTally) -> float:
    """Return what running at once saved against the same hooks one after another; below 0, what it cost."""
    return event.counts["sequential_us"] / 1000 - event.elapsed.total


def saved_against_native(current: Period, baseline: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what was saved against Claude Code running the hooks itself; None without a baseline.

    A baseline is {"date": day, "events": {event: {"native_ms": median}}}.
    """
    total, events = 0.0, {}
    for name, native in native_medians(baseline or {}).items():
        event = current.events.get(name)
        if event is not None and event.elapsed.count:
            total += native * event.elapsed.count - event.elapsed.total
            times = round(native / max(event.elapsed.quantile(0.5), 0.01), 1)
            events[name] = {"native_ms": native, "times": times}
    if baseline is None or not events:
        return None
    return {"date": str(baseline.get("date", "")), "saved_ms": round(total, 1), "events": events}


def native_medians(baseline: Mapping[str, Any]) -> dict[str, float]:
    """Return what a baseline holds by event, nothing of what isn't one."""
    events = baseline.get("events")
    rows = events.items() if isinstance(events, dict) else ()
    found = {name: own.get("native_ms") for name, own in rows if isinstance(own, dict)}
    return {name: ms for name, ms in found.items() if isinstance(ms, int | float)}


def changes(current: Period, before: Period) -> list[dict[str, str]]:
    """Name the hooks that came, went, or were edited: a new version of a known script is on trial first."""
    now, then = current.hooks(), before.hooks()
    found = []
    for key in sorted(now.keys() | then.keys()):
        event, _, name = key.partition("/")
        after, was, what = now.get(key), then.get(key), ""
        if was is None:
            what = "new" if event in before.events else ""
        elif after is None:
            what = "gone" if event in current.events else ""
        elif after.counts["lane trial"] and not was.counts["lane trial"]:
            what = "edited"
        if what:
            found.append({"event": event, "name": name, "change": what})
    return found


def gate_summary(counts: Mapping[str, int]) -> dict[str, Any]:
    sizes = {int(what[5:]): count for what, count in counts.items() if what.startswith("wave ")}
    waves = sum(sizes.values())
    return {
        "verdicts": {what: count for what, count in counts.items() if not what.startswith("wave ")},
        "waves": {str(size): sizes[size] for size in sorted(sizes)},
        "agents_per_wave": round(sum(size * count for size, count in sizes.items()) / waves, 2)
        if waves
        else None,
    }


def baseline_path(project: str) -> str:
    """Return where a project's baseline is: the user's own folder, as a repository can ship a false one."""
    learned = path_of(state_folder(dict(os.environ)), project)
    return os.path.join(os.path.dirname(learned), "baselines", os.path.basename(learned))


# --- Limits for CI: fail above a time, or when something became slower than a baseline beyond the noise. ----
#     EVENT=MS[,p50|p95|p99]        PreToolUse=20,p95: its 95th percentile must not be above 20 ms
#
# Noise is not a regression: a limit fails only when the measured quantile is above it and a binomial test
# agrees (`exceeds`); a comparison only on a trend corrected for all hooks (`compare`).

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
        raise ValueError(f"{text!r} is not a limit; write EVENT=MS[,p95], for example PreToolUse=20,p95")
    return Limit(match["event"], float(match["ms"]), int(match["share"] or 95) / 100)


def above(period: Period, limit: Limit) -> str:
    """Return why a limit is broken, or ""; an event that never ran breaks none."""
    event = period.events.get(limit.event)
    if event is None:
        return ""
    found = event.elapsed.quantile(limit.share)
    p = exceeds(event.elapsed, limit.ms, limit.share)
    if found <= limit.ms or p >= ALPHA:
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
        form = int(baseline["form"])
        before_events, before_hooks = _digests(baseline["events"]), _digests(baseline["hooks"])
    except (KeyError, TypeError, AttributeError, ValueError) as error:
        raise ValueError(f"this is not a baseline of `fanout report --save` ({error})") from None
    if form != FORM:
        raise ValueError(f"this baseline has form {form}, not {FORM}; save it again")
    events = compare(before_events, {name: own.elapsed for name, own in period.events.items()})
    hooks = compare(before_hooks, {key: own.ms for key, own in period.hooks().items()})
    return [
        f"{name}: median {found.change:+.0%} against the baseline (p = {found.p:.3g} that this is chance)"
        for name, found in {**events, **hooks}.items()
        if found.direction == "slower"
    ]


def _digests(data: Mapping[str, Any]) -> dict[str, Digest]:
    return {str(name): Digest.from_json(own) for name, own in data.items()}
