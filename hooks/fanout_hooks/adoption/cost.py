"""Report what a project's hooks cost, by event and tool call, and what fanout would change of it.

    calls      how often each event fired, from Claude Code's transcripts
    now        milliseconds of one event, all its hooks at once as Claude Code starts them: measured by
               running them (`--measure`), else not known
    fanout     the same through fanout's warm path, measured in the same rounds; for what is adopted, the
               median of the log (from the event's coming to its answer)

Both hold what Claude Code itself takes to start a hook and to read what it says (`CLIENT_MS`): so many
milliseconds of its processor time for each of the hooks now, and for fanout's two entries.

Nothing has to be installed: `uvx --from fanout-mcp fanout-hooks cost`. The hooks' own work is done for real
when they are measured; nothing else is changed, and nothing is logged.
"""

from __future__ import annotations

import argparse
import os
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any, NamedTuple

from fanout_hooks.adoption import adopt, bench, entries, native, pitfalls
from fanout_hooks.adoption.consent import OK, add_project, confirm, project_of, say, say_json, say_wrapped
from fanout_hooks.client import config, events, matchers, places, transcripts
from fanout_hooks.client.config import Config, Hook
from fanout_hooks.client.transcripts import Prompt, Transcript
from fanout_hooks.log import report
from fanout_hooks.log.tally import EventTally
from fanout_hooks.run.choose import choose

CLIENT_MS = 3.5
"""Processor time of Claude Code 2.1.332 for a hook: that of events with 16 empty hooks, less without any."""
ENTRIES = 2
"""The call of the server and its sentinel."""
DAYS = 30
DAY_S = 86_400.0
ROUNDS = 5
BETWEEN_S = 0.25
"""Before each run: between two events of a kind there is a call and an answer. Hooks that follow others after
0.05 s find the processor's caches full of themselves: a shell takes a quarter less, a Python a tenth."""
MAX_ROWS = 40
MAX_TRANSCRIPTS = 200
"""The newest ones."""
TOOL_EVENTS = ("PreToolUse", "PostToolUse")
NOT_COUNTED = -1


class Held(NamedTuple):
    """The hooks of all settings files, guards like any other, and which of them fanout runs already."""

    hooks: tuple[Hook, ...]
    stays: dict[Hook, str]
    """Of those that would stay native, why."""
    adopted: frozenset[Hook]
    problems: tuple[str, ...]


class Row(NamedTuple):
    """One event with the tool that it is about, or "". Milliseconds; None: not measured."""

    event: str
    tool: str
    calls: int
    """In the period; NOT_COUNTED where transcripts don't say."""
    hooks: tuple[str, ...]
    native_ms: float | None
    fanout_ms: float | None
    stays: str
    """Why it stays native; "" where fanout would run it, or does."""
    is_adopted: bool
    plugin: str = ""
    """Whose hooks these are; the client starts them beside the others of the event."""

    @property
    def total_s(self) -> float:
        return max(self.calls, 0) * (self.native_ms or 0.0) / 1000


# --- Gather -------------------------------------------------------------------------------------------------


def held(project: str, env: dict[str, str]) -> Held:
    hooks: list[Hook] = []
    stays: dict[Hook, str] = {}
    adopted: list[Hook] = []
    problems: list[str] = []
    for own, before, problem in adopt.registered(project, env):
        problems += filter(None, [problem])
        scope = own.scope
        if native.is_adopted(before, scope):
            run = own.held()
            adopted += map(_unguarded, run.hooks)
            problems += run.problems
        theirs = entries.without_ours(before)
        known = {hook.event for hook in adopted if hook.scope == scope}
        server = places.server_of(own) or places.SERVER
        slow = adopt.without_gain(native.runnable(theirs), known, server, project)
        for event, group, entry in entries.each(theirs):
            if entry.get("type", "command") != "command" or not isinstance(entry.get("command"), str):
                continue
            for hook in map(_unguarded, _alone(event, group, entry, scope)):
                hooks.append(hook)
                why = native.why_native(event, group, entry) or slow.get(id(entry), "")
                if why:
                    stays[hook] = why
    return Held((*hooks, *adopted), stays, frozenset(adopted), tuple(problems))


def _alone(event: str, group: dict[str, Any], entry: dict[str, Any], scope: str) -> Sequence[Hook]:
    # What it starts costs the same without what only the client can do.
    plain = {key: value for key, value in entry.items() if key not in config.NATIVE_KEYS}
    found = config.parse({"hooks": {event: [{**group, "hooks": [plain]}]}}, scope)
    return () if found.problems else found.hooks


def hooks_of_plugins(project: str, env: dict[str, str]) -> Iterator[tuple[str, Held]]:
    """Yield each plugin's hooks: they belong to it, and stay native."""
    for name, found in pitfalls.plugin_hooks(project, env).items():
        hooks: list[Hook] = []
        for event, group, entry in found:
            hooks += _alone(event, group, entry, "user")
        why = f"it belongs to the plugin {name}"
        yield name, Held(tuple(hooks), dict.fromkeys(hooks, why), frozenset(), ())


def _unguarded(hook: Hook) -> Hook:
    return hook._replace(guard=False)


def conversations(project: str, env: dict[str, str], days: int, now: float) -> list[Transcript]:
    folder = transcripts.project_folder(project, places.claude_folder(env))
    found = []
    for path in transcripts.find(folder, now - days * DAY_S)[:MAX_TRANSCRIPTS]:
        with suppress(OSError):  # the client has just removed it
            found.append(transcripts.read(path))
    return [*transcripts.distinct(found)]


def counts(read: Sequence[Transcript]) -> dict[str, Counter[str]]:
    """Return how often each event fired, by tool; only events that leave a sign in transcripts."""
    found = {event: Counter[str]() for event in (*TOOL_EVENTS, "PostToolBatch", "UserPromptSubmit", "Stop")}
    for one in read:
        is_agent = os.sep + "subagents" + os.sep in one.path
        for entry in one.entries:
            if isinstance(entry, Prompt):
                if not is_agent:
                    found["UserPromptSubmit"][""] += 1
                    found["Stop"][""] += 1  # a turn ends once, as a rule
                continue
            found["PostToolBatch"][""] += 1
            for use in entry.uses:
                found["PreToolUse"][use.tool] += 1
                found["PostToolUse"][use.tool] += bool(use.ended)
    return found


# --- Plan: one row for each set of hooks that an event starts -----------------------------------------------


def rows(own: Held, counted: dict[str, Counter[str]], project: str) -> Iterator[tuple[Row, dict[str, Any]]]:
    """Yield each row, not measured, with a sample of its event; tools that start equal hooks are one row."""
    for event in dict.fromkeys(hook.event for hook in own.hooks):
        mine = [hook for hook in own.hooks if hook.event == event]
        sample = bench.sample_event(event, project, Config(tuple(mine)))
        field = events.of(event).matches
        if event not in TOOL_EVENTS:
            total = counted[event].total() if event in counted else NOT_COUNTED
            met = str(sample.get(field, "")) if field else ""
            yield _row(own, event, started_by(own, sample), met, total), sample
            continue
        named = {word: 0 for hook in mine for word in matchers.words_of(hook.matcher) or ()}
        calls = counted[event] or Counter({str(sample[field]): 0, **named})
        sets: dict[tuple[Hook, ...], Counter[str]] = {}
        for tool, count in calls.items():
            if started := started_by(own, sample | {field: tool}):
                sets.setdefault(started, Counter())[tool] += count
        for started, some in sets.items():
            tools = [tool for tool, _ in some.most_common()]
            shown = ", ".join(tools[:3]) + (f" and {len(tools) - 3} more" if len(tools) > 3 else "")
            yield _row(own, event, started, shown, some.total()), sample | {field: tools[0]}


def started_by(own: Held, event: dict[str, Any]) -> tuple[Hook, ...]:
    return tuple(choose(Config(own.hooks), event))


def _row(own: Held, event: str, started: Sequence[Hook], tool: str, calls: int) -> Row:
    names = tuple(hook.name for hook in started)
    reasons = [own.stays.get(hook, "") for hook in started]
    stays = reasons[0] if reasons and all(reasons) else ""
    is_adopted = not own.adopted.isdisjoint(started)
    return Row(event, tool, calls, names, None, None, stays, is_adopted)


# --- Measure ------------------------------------------------------------------------------------------------


def measured(own: Held, row: Row, sample: dict[str, Any], env: dict[str, str]) -> Row:
    """Run a row's hooks in rounds, natively and through fanout by turns. Raises Refused when one hangs."""
    started = started_by(own, sample)
    through = () if row.stays or row.event not in events.WARM else started
    medians = bench.by_turns(started, through, sample, env, ROUNDS, between_s=BETWEEN_S)
    return row._replace(native_ms=medians["native"], fanout_ms=medians.get("warm"))


def with_client(row: Row) -> Row:
    """Return a row with what the client itself takes: its processors share it when hooks are many."""

    def added(ms: float | None, hooks: int) -> float | None:
        share = hooks / (os.cpu_count() or 1)
        return ms if ms is None else round(ms + CLIENT_MS * max(1.0, share), 1)

    return row._replace(
        native_ms=added(row.native_ms, len(row.hooks)), fanout_ms=added(row.fanout_ms, ENTRIES)
    )


def logged(project: str, days: int, now: float) -> dict[str, EventTally]:
    """Return what the log says of each event; nothing where it can't be read."""
    with suppress(OSError):
        return report.periods(report.read(project, days, now), days, now)[0].events
    return {}


def with_log(found: Sequence[Row], known: Mapping[str, EventTally], project: str) -> list[Row]:
    """Return the rows with what is known without running anything: the log's medians, the kept baseline."""
    before = report.native_medians(places.json_of(report.baseline_path(project)))
    done = []
    for row in found:
        if row.plugin:
            done.append(row)
            continue
        event = known.get(row.event) if row.is_adopted else None
        after = row.fanout_ms if event is None else round(event.elapsed.quantile(0.5), 1)
        native_ms = before.get(row.event) if row.native_ms is None else row.native_ms
        done.append(row._replace(native_ms=native_ms, fanout_ms=after))
    return done


def overhead(known: Mapping[str, EventTally]) -> Iterator[Row]:
    """Yield what fanout itself took of the events that it ran: their time in which none of the hooks ran."""
    count = sum(event.own.count for event in known.values())
    if count:
        ms = round(sum(event.own.total for event in known.values()) / count, 1)
        yield Row(OVERHEAD, "", count, (), None, ms, "", is_adopted=True)


# --- The command --------------------------------------------------------------------------------------------

OVERHEAD = "fanout itself"
"""Where a row has an event's name."""
NOTHING = "No command hooks are in the settings of this project or user: they cost nothing."


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument(
        "--measure", action="store_true", help="run each event's hooks for real, and time them"
    )
    parser.add_argument("--yes", action="store_true", help="don't ask before running them")
    parser.add_argument(
        "--days",
        type=int,
        default=DAYS,
        metavar="N",
        help="days of transcripts and log to read (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the rows as JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    project, now = project_of(args), time.time()
    env = {**os.environ, "CLAUDE_PROJECT_DIR": project, "CLAUDECODE": "1"}
    own = held(project, env)
    read_ones = conversations(project, env, args.days, now)
    counted = counts(read_ones)
    planned = [(own, row, sample) for row, sample in rows(own, counted, project)]
    for name, theirs in hooks_of_plugins(project, env):
        planned += [
            (theirs, row._replace(plugin=name), event) for row, event in rows(theirs, counted, project)
        ]
    if args.measure and planned:
        if not args.json:
            times = bench.WARM_UP + ROUNDS
            say(f"Each hook is run up to {2 * times} times, for real, with a made-up event.")
        if not confirm(args, "Nothing was run."):
            return OK
        planned = [(whose, measured(whose, row, sample, env), sample) for whose, row, sample in planned]
    known = logged(project, args.days, now)
    found = sorted(
        map(with_client, with_log([row for _, row, _ in planned], known, project)),
        key=lambda row: (-row.total_s, -row.calls, row.event),
    )
    found += overhead(known)
    if args.json:
        say_json([{**row._asdict(), "calls": max(row.calls, 0)} for row in found])
        return OK
    for problem in own.problems:
        say_wrapped(problem)
    say(to_text(found, len(read_ones), args.days) if found else NOTHING)
    return OK


def to_text(found: Sequence[Row], sessions: int, days: int) -> str:
    shown = found[:MAX_ROWS]
    width = max(len(_about(row)) for row in shown)
    lines = [f"{'event':<{width}} {'calls':>7}{'hooks':>7}{'now':>10}{'fanout':>12}"]
    for row in shown:
        calls = "?" if row.calls == NOT_COUNTED else f"{row.calls:,}"
        after = "native" if row.stays else _ms(row.fanout_ms)
        lines.append(
            f"{_about(row):<{width}} {calls:>7}{len(row.hooks):>7}{_ms(row.native_ms):>10}{after:>12}"
        )
    parts = [f"What hooks cost here: {sessions} transcripts of the last {days} days.", "\n".join(lines)]
    parts += [*_summary(found)]
    return "\n\n".join(parts)


def _summary(found: Sequence[Row]) -> Iterator[str]:
    tools = [
        row for row in found if row.event in TOOL_EVENTS and row.native_ms is not None and not row.plugin
    ]
    before = sum(row.total_s for row in tools)
    calls = sum(row.calls for row in tools if row.event == "PreToolUse") or max(
        (row.calls for row in tools), default=0
    )
    if tools and calls:
        own = ((row.native_ms or 0.0) if row.fanout_ms is None else row.fanout_ms for row in tools)
        after = sum(ms * row.calls for ms, row in zip(own, tools, strict=True)) / 1000
        yield (
            f"A tool call waits {before / calls * 1000:.0f} ms for its hooks, {before:.1f} s in all. "
            f"Through fanout: {after / calls * 1000:.0f} ms, {after:.1f} s. What Claude Code itself takes is "
            f"in both, estimated at {CLIENT_MS} ms a hook."
        )
    if any(row.native_ms is None and row.event != OVERHEAD for row in found):
        yield "A dash is what was not measured: `fanout-hooks cost --measure` runs the hooks and times them."
    if any(row.is_adopted for row in found):
        yield "Adopted events: `fanout` is the log's median, `now` what they took when they were measured."
    if any(row.event == OVERHEAD for row in found):
        yield f"{OVERHEAD}: what an event takes beyond its hooks, on average; it is in the rows above."
    for why in dict.fromkeys(row.stays for row in found if row.stays):
        names = ", ".join(dict.fromkeys(row.event for row in found if row.stays == why))
        yield f"Stays native: {names}: {why}"


def _about(row: Row) -> str:
    return " ".join(filter(None, [row.event, row.tool, row.plugin and f"({row.plugin})"]))


def _ms(value: float | None) -> str:
    return "-" if value is None else f"{value:.1f} ms"
