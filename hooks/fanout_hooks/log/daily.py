"""The daily report file, `<project>/.claude/memory/hook_performance_report.md`: Markdown for people.

Written at the first prompt after 24 hours, in the background, never on the user's time.
"""

from __future__ import annotations

import os
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import suppress
from typing import Any

from fanout_hooks.client import files, places, transcripts
from fanout_hooks.client.config import short_name
from fanout_hooks.client.places import PLUGIN_SERVER, SERVER, SHOWN, TOOL
from fanout_hooks.log import append as log_append
from fanout_hooks.log import report
from fanout_hooks.log.append import REPORT_NAME
from fanout_hooks.log.report import figures
from fanout_hooks.log.tally import Digest

MAX_HOOKS = 30


def write_daily(project: str, days: int = 7, now: float | None = None) -> str:
    """Write the report of a project and return its path. Raises OSError; the old file stays then."""
    now = time.time() if now is None else now
    baseline = places.json_of(report.baseline_path(project))
    data = report.build(report.read(project, days, now), days, now=now, baseline=baseline)
    files.folder_in(project, *log_append.FOLDER)
    path = os.path.join(project, REPORT_NAME)
    files.replace(path, markdown(data, now).encode())
    return path


def markdown(data: Mapping[str, Any], now: float) -> str:
    period = data["period"]
    made = time.strftime("%Y-%m-%d %H:%M UTC", time.gmtime(now))
    parts = [
        "# Hook performance report",
        (
            f"{period['from']} to {period['to']} ({period['days']} days), compared with as many days before. "
            f"Made {made}. Times in milliseconds."
        ),
        *_events(data),
        *_hooks(data),
        *_errors(data),
        *_saved(data),
        *_advice(data),
        *_changed(data),
        *_gate(data),
        *_notes(data),
    ]
    return "\n\n".join(parts) + "\n"


def trend_words(found: Mapping[str, Any]) -> str:
    """Return "12 % slower", "steady" or that it can't be known."""
    direction = str(found["direction"])
    if direction in {"slower", "faster"}:
        return f"{abs(found['change']):.0%} {direction}".replace("%", " %")
    return "too little to say" if direction == "unknown" else direction


def table(heads: Iterable[str], rows: Iterable[Iterable[object]]) -> str:
    """Return a Markdown table; what would break a cell is escaped, and a line's end is a space."""
    lines = ["| " + " | ".join(heads) + " |"]
    lines.append("|" + "---|" * lines[0].count(" | ") + "---|")
    for row in rows:
        cells = (" ".join(str(cell).splitlines()).replace("|", "\\|") for cell in row)
        lines.append("| " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _events(data: Mapping[str, Any]) -> list[str]:
    if not data["events"]:
        return ["No hook ran in this period."]
    return ["## Events", _figures({"event": "event"}, data["events"])]


def _hooks(data: Mapping[str, Any]) -> list[str]:
    if not data["hooks"]:
        return []
    rows = _figures({"hook": "name", "event": "event"}, [*data["hooks"][:MAX_HOOKS], *data["own"]])
    more = len(data["hooks"]) - MAX_HOOKS
    rest = [f"And {more} more that took less time."] if more > 0 else []
    return ["## Hooks, those that took most time first", rows, *rest]


def _figures(named: Mapping[str, str], rows: Iterable[Mapping[str, Any]]) -> str:
    """Return a table of rows; `named`: its first columns, with the key of each in a row."""
    keys = (*named.values(), "count", "mean_ms", "median_ms", "p95_ms", "p99_ms", "failures")
    cells = ((*(row[key] for key in keys), trend_words(row["trend"])) for row in rows)
    return table((*named, *(key.removesuffix("_ms") for key in keys[len(named) :]), "trend"), cells)


def _errors(data: Mapping[str, Any]) -> list[str]:
    failed = [row for row in data["hooks"] if row["last_error"]]
    lines = [f"{row['event']}/{row['name']}: {' '.join(row['last_error'].split())}" for row in failed]
    return _listed("Last errors", lines[:MAX_HOOKS])


def _listed(title: str, lines: list[str]) -> list[str]:
    return [f"## {title}", "\n".join(f"- {line}" for line in lines)] if lines else []


def _seconds(ms: float) -> str:
    """A hair less than nothing is nothing, not -0.0."""
    return f"{round(ms / 1000, 1) + 0.0:.1f}"


def _saved(data: Mapping[str, Any]) -> list[str]:
    said = [
        f"Against the same hooks one after another: {_seconds(data['saved_ms'])} s saved.",
        f"The {_seconds(data['own_ms'])} s that fanout itself took are off it.",
    ]
    native = data["saved_against_native"]
    if native:
        said.append(
            f"Against Claude Code running them itself, as measured on {native['date']}: "
            f"{_seconds(native['saved_ms'])} s saved."
        )
    else:
        said.append("Against Claude Code running them itself: not known; `fanout-hooks bench` measures it.")
    return ["## Time saved", " ".join(said)]


def _advice(data: Mapping[str, Any]) -> list[str]:
    listed = _listed("Recommendations", [advice_words(own) for own in data["recommendations"]])
    return listed or ["## Recommendations", "None: nothing stands out."]


def advice_words(own: Mapping[str, Any]) -> str:
    who = f"{own['event']}/{own['hook']}" if own["hook"] else own["event"]
    gain = f" (about {own['gain_ms']:.0f} ms an event)" if own["gain_ms"] >= 1 else ""
    return f"{who}: {own['reason']}{gain}"


def _changed(data: Mapping[str, Any]) -> list[str]:
    lines = [f"{own['event']}/{own['name']}: {own['change']}" for own in data["changed"]]
    return _listed("Changed", lines)


def _gate(data: Mapping[str, Any]) -> list[str]:
    gate = data["gate"]
    if not gate["verdicts"] and not gate["waves"]:
        return []
    verdicts = ", ".join(f"{count} {what}" for what, count in sorted(gate["verdicts"].items()))
    waves = ", ".join(f"{size} in {count}" for size, count in gate["waves"].items())
    by_message = f"Agents started by one message (in so many messages): {waves or 'none'}."
    return ["## Sequential-agent gate", f"Verdicts: {verdicts or 'none'}. {by_message}"]


def _notes(data: Mapping[str, Any]) -> list[str]:
    lines = [f"{' '.join(own['note'].splitlines())} ({own['count']} times)" for own in data["notes"]]
    if data["damaged_lines"]:
        lines.append(f"{data['damaged_lines']} damaged lines of the log were passed over")
    return _listed("Notes", lines)


# --- Hooks that Claude Code runs itself, from its transcripts: what fanout's own log can't know. ------------
# The client writes a line for a hook only when it had output or failed, so these figures are of such runs
# alone; where they are shown, it says "with output only".

OURS = (SHOWN, f"{SERVER}/{TOOL}", f"{PLUGIN_SERVER}/{TOOL}")
"""What the client writes for our lines, and for our calls to the server."""
MAX_FILES = 500
MARK = b'"durationMs"'


def natives(folder: str, since: float, most: int = MAX_FILES) -> list[dict[str, Any]]:
    """Return a row for each native hook of a project's transcripts (`transcripts.project_folder`)."""
    found: dict[tuple[str, str], tuple[Digest, list[int]]] = {}
    for path in transcripts.find(folder, since)[:most]:
        for run in _runs(path, since):
            key = (run.name.partition(":")[0], short_name({"command": run.command}))
            digest, failures = found.setdefault(key, (Digest(), []))
            digest.add(run.ms)
            failures += [run.exit or 1] if run.exit not in {0, 2, None} else []
    by_time = sorted(found.items(), key=lambda one: (-one[1][0].total, one[0]))
    return [
        {"event": event, "name": name, **figures(digest), "failures": len(failures)}
        for (event, name), (digest, failures) in by_time
    ]


def is_ours(command: str) -> bool:
    """Say whether a run was one of our own entries: what they run is in our log already."""
    return command.startswith(places.MARK) or command in OURS


def _runs(path: str, since: float) -> Iterator[transcripts.HookRun]:
    with suppress(OSError):  # the client has just removed it
        # The rest of a transcript is not even parsed.
        timed = ((line, record) for line, record in transcripts.records_in(path, MARK) if record)
        for run in transcripts.hook_runs(timed):
            if run.at >= since and not is_ours(run.command):
                yield run
