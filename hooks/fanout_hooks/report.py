"""What the hooks cost: the log's tally in, figures, trends and recommendations out.

Rules:
1. A period is whole days (UTC) up to today; it is compared with as many days before it.
2. A trend is named only when it exceeds the noise (trend.py); "unknown" is said where there is too little.
3. Time saved is against the same hooks one after another, from the times measured in the very event. Against
   native it is said only where `fanout-hooks bench` left a dated baseline, for nothing else knows it.
4. A recommendation follows from the numbers, says which, and what it would gain.

Times are milliseconds.
"""

from __future__ import annotations

import json
import os
import time
from collections import Counter
from collections.abc import Mapping
from typing import Any, NamedTuple

from fanout_hooks import perflog, regular, rollup, trend
from fanout_hooks.digest import Digest
from fanout_hooks.memory import path_of, state_folder
from fanout_hooks.recommend import recommend
from fanout_hooks.tally import EventTally, HookTally, Tally, empty_event, merge_event

DAY_S = 86_400


class Period(NamedTuple):
    """What happened within some days, the days put together."""

    events: dict[str, EventTally]
    gates: dict[str, Counter[str]]
    """What the gate did, by session."""
    notes: Counter[str]
    damaged: int
    days: int
    first: str
    last: str

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
    return (
        _period(tally, days, edges[1], edges[2]),
        _period(tally, days, edges[0], day_of(now, days)),
    )


def _period(tally: Tally, days: int, first: str, last: str) -> Period:
    def is_within(day: str) -> bool:
        return first <= day <= last

    events: dict[str, EventTally] = {}
    for day in filter(is_within, sorted(tally.days)):
        for phase, event in tally.days[day].items():
            merge_event(events.setdefault(phase, empty_event()), event)
    gates: dict[str, Counter[str]] = {}
    for day in filter(is_within, sorted(tally.gates)):
        for session, counts in tally.gates[day].items():
            gates.setdefault(session, Counter()).update(counts)
    notes: Counter[str] = Counter()
    for day in filter(is_within, sorted(tally.notes)):
        notes.update(tally.notes[day])
    damaged = sum(count for day, count in tally.damaged.items() if not day or is_within(day))
    return Period(events, gates, notes, damaged, days, first, last)


def read(project: str, days: int = 7, now: float | None = None) -> Tally:
    """Tally a project's log as far back as a report of `days` days looks. Raises OSError."""
    since = day_of(time.time() if now is None else now, days * 2 - 1)
    return rollup.gather(perflog.path_of(project), since)


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
    trends = trend.compare(
        {name: own.elapsed for name, own in before.events.items()},
        {name: own.elapsed for name, own in current.events.items()},
    )
    hooks, hooks_before = current.hooks(), before.hooks()
    hook_trends = trend.compare(
        {key: own.ms for key, own in hooks_before.items()}, {key: own.ms for key, own in hooks.items()}
    )
    return {
        "period": {"days": days, "from": current.first, "to": current.last},
        "events": [_event_row(name, current.events[name], trends[name]) for name in _by_time(current.events)],
        "hooks": [_hook_row(key, hooks[key], hook_trends[key]) for key in _slowest(hooks)],
        "changed": changes(current, before),
        "saved_ms": round(sum(map(saved, current.events.values())), 1),
        "saved_against_native": saved_against_native(current, baseline),
        "recommendations": recommend(current.events, hook_trends),
        "gate": gate_summary(current.gates),
        "notes": [{"note": note, "count": count} for note, count in current.notes.most_common(10)],
        "damaged_lines": current.damaged,
    }


def _by_time(events: Mapping[str, EventTally]) -> list[str]:
    return sorted(events, key=lambda name: (-events[name].elapsed.total, name))


def _slowest(hooks: Mapping[str, HookTally]) -> list[str]:
    return sorted(hooks, key=lambda key: (-hooks[key].ms.total, key))


def figures(digest: Digest) -> dict[str, float]:
    """Count, mean and percentiles of a digest."""
    return {
        "count": digest.count,
        "mean_ms": round(digest.mean, 2),
        "median_ms": round(digest.quantile(0.5), 2),
        "p95_ms": round(digest.quantile(0.95), 2),
        "p99_ms": round(digest.quantile(0.99), 2),
    }


def _event_row(name: str, event: EventTally, found: trend.Trend) -> dict[str, Any]:
    return {
        "event": name,
        **figures(event.elapsed),
        "failures": event.counts["failures"],
        "cold": event.counts["path cold"],
        "saved_ms": round(saved(event), 1),
        "trend": trend_json(found),
    }


def _hook_row(key: str, hook: HookTally, found: trend.Trend) -> dict[str, Any]:
    event, _, name = key.partition("/")
    lanes = Counter({what[5:]: count for what, count in hook.counts.items() if what.startswith("lane ")})
    return {
        "name": name,
        "event": event,
        **figures(hook.ms),
        "failures": hook.counts["failures"],
        "timeouts": hook.counts["timeouts"],
        "denials": hook.counts["decision deny"],
        "last_error": hook.last.get("error", ""),
        "lane": next((lane for lane, _ in lanes.most_common(1)), ""),
        "trend": trend_json(found),
    }


def trend_json(found: trend.Trend) -> dict[str, Any]:
    return {"direction": found.direction, "change": round(found.change, 3), "p": round(found.p, 4)}


def saved(event: EventTally) -> float:
    """Return what running at once saved against the same hooks one after another; never below 0."""
    return max(0.0, event.counts["sequential_us"] / 1000 - event.elapsed.total)


def saved_against_native(current: Period, baseline: Mapping[str, Any] | None) -> dict[str, Any] | None:
    """Return what was saved against Claude Code running the hooks itself; None without a baseline.

    A baseline is {"date": day, "events": {event: {"native_ms": median}}}.
    """
    if not baseline or not isinstance(baseline.get("events"), dict):
        return None
    total, events = 0.0, {}
    for name, event in current.events.items():
        measured = baseline["events"].get(name)
        native = measured.get("native_ms") if isinstance(measured, dict) else None
        if isinstance(native, int | float) and event.elapsed.count:
            own = native * event.elapsed.count - event.elapsed.total
            events[name] = {
                "native_ms": native,
                "times": round(native / max(event.elapsed.quantile(0.5), 0.01), 1),
            }
            total += own
    return (
        {"date": str(baseline.get("date", "")), "saved_ms": round(total, 1), "events": events}
        if events
        else None
    )


def changes(current: Period, before: Period) -> list[dict[str, str]]:
    """Name the hooks that came, went, or were edited: a new version of a known script is on trial first."""
    now, then = current.hooks(), before.hooks()
    found = []
    for key in sorted(now.keys() | then.keys()):
        event, _, name = key.partition("/")
        what = ""
        if event in before.events and key not in then:
            what = "new"
        elif event in current.events and key not in now:
            what = "gone"
        elif (
            key in then
            and key in now
            and now[key].counts["lane trial"]
            and not then[key].counts["lane trial"]
        ):
            what = "edited"
        if what:
            found.append({"event": event, "name": name, "change": what})
    return found


def gate_summary(gates: Mapping[str, Mapping[str, int]]) -> dict[str, Any]:
    """Return what the gate did: verdicts and sizes of waves over all sessions, and of each session."""
    whole: Counter[str] = Counter()
    for counts in gates.values():
        whole.update(counts)
    return {
        "sessions": len(gates),
        **_gate_row(whole),
        "by_session": [{"session": session, **_gate_row(counts)} for session, counts in gates.items()],
    }


def _gate_row(counts: Mapping[str, int]) -> dict[str, Any]:
    sizes = {int(what[5:]): count for what, count in counts.items() if what.startswith("wave ")}
    waves = sum(sizes.values())
    return {
        "verdicts": {what: count for what, count in counts.items() if not what.startswith("wave ")},
        "waves": {str(size): sizes[size] for size in sorted(sizes)},
        "agents_per_wave": round(sum(size * count for size, count in sizes.items()) / waves, 2)
        if waves
        else None,
    }


def read_baseline(path: str) -> dict[str, Any] | None:
    """Read a baseline of `fanout-hooks bench`; None when there is none that can be read."""
    try:
        data = json.loads(regular.read(path))
    except (OSError, ValueError, RecursionError):
        return None
    return data if isinstance(data, dict) else None


def baseline_path(project: str) -> str:
    """Return where a project's baseline is: the user's own folder, as a repository can ship a false one."""
    learned = path_of(state_folder(dict(os.environ)), project)
    return os.path.join(os.path.dirname(learned), "baselines", os.path.basename(learned))
