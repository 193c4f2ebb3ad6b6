"""The hook report at scale: a million and ten million hook rows, a page, and trends told from noise.

    python -m benchmarks report

Times are of a whole process that reads the log and builds the report. The bound is the same log read line by
line with json.loads, in the same run.
"""

from __future__ import annotations

import json
import math
import random
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from benchmarks.table import Row
from fakes.records import digest_of
from fanout_hooks.log import append as log_append
from fanout_hooks.log import report
from fanout_hooks.log import tally as trend
from fanout_mcp.reports import hooks
from fanout_mcp.state.settings import Settings
from fanout_mcp.text import compact
from fanout_mcp.tools.hook_report import SHORT, short

HOOKS = 21
EVENTS = ("UserPromptSubmit", "PreToolUse", "PostToolUse")
DAYS = 14
SIGMA = 0.3
TRIALS = 100
DAY_S = 86_400

READ = """
import json, resource, sys, time
sys.path.insert(0, sys.argv[1])
from fanout_hooks.log import report
began = time.perf_counter()
tally = report.read(sys.argv[2], 7, float(sys.argv[3]))
data = report.build(tally, 7, None, float(sys.argv[3]))
seconds = time.perf_counter() - began
# Not ru_maxrss: of this process it is at least what its parent had before the exec.
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
kilobytes = int(peak.split()[1]) + resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss
print(json.dumps({"seconds": seconds, "megabytes": kilobytes / 1024, "events": data["events"]}))
"""
PARSE = """
import json, sys, time
began = time.perf_counter()
for line in open(sys.argv[1], "rb"):
    json.loads(line)
print(time.perf_counter() - began)
"""


@dataclass(frozen=True)
class Log:
    """A project with a written log, and the exact times that went into it."""

    project: Path
    path: Path
    now: float
    elapsed: dict[str, list[float]]
    """Of the last seven days, by event."""


def write(project: Path, events: int, copies: int = 1) -> Log:
    """Write a log of `events` events with HOOKS hooks each, `copies` times over."""
    chance, now = random.Random(7), time.time()
    path = Path(log_append.path_of(str(project)))
    path.parent.mkdir(parents=True)
    first = report.day_of(now, report_days() - 1)
    elapsed: dict[str, list[float]] = {}
    with path.open("w") as file:
        lines = []
        for number in range(events):
            at = now - DAYS * DAY_S * (1 - number / events)
            event = EVENTS[number % len(EVENTS)]
            record = _record(chance, event, at)
            if record["timestamp"][:10] >= first:
                elapsed.setdefault(event, []).append(record["elapsed_ms"])
            lines.append(json.dumps(record, separators=(",", ":")) + "\n")
        for _ in range(copies):
            file.writelines(lines)
    return Log(project, path, now, elapsed)


def report_days() -> int:
    return DAYS // 2


def _record(chance: random.Random, event: str, at: float) -> dict[str, Any]:
    rows, waited = [], 0.0
    for number in range(HOOKS):
        ms = round(chance.lognormvariate(-2 + number / 10, 0.4), 2)
        rows.append(
            {
                "name": f"hook_number_{number}",
                "batch": 1,
                "ms": ms,
                "wait_ms": round(waited, 2),
                "exit": 0,
                "decision": "none",
                "lane": "warm",
            }
        )
        waited += ms
    return {
        "timestamp": log_append.stamp(at),
        "phase": event,
        "total_hooks": HOOKS,
        "batches": 1,
        "elapsed_ms": round(waited + 1, 2),
        "failures": 0,
        "session_id": f"session-{int(at) // 3600}",
        "sequential_ms": round(waited, 2),
        "path": "warm",
        "hooks": rows,
    }


def read(log: Log) -> dict[str, Any]:
    """Report the log in a process of its own."""
    package = str(Path(report.__file__).parents[1])
    command = [sys.executable, "-I", "-S", "-c", READ, package, str(log.project), str(log.now)]
    told: dict[str, Any] = json.loads(subprocess.run(command, capture_output=True, check=True).stdout)
    return told


def parse(path: Path) -> float:
    command = [sys.executable, "-I", "-S", "-c", PARSE, str(path)]
    return float(subprocess.run(command, capture_output=True, check=True).stdout)


def forget(log: Log) -> None:
    """Throw the digests away, so that the next report is a first one."""
    for kept in log.path.parent.glob("*.digest.json"):
        kept.unlink()


def speed(log: Log, records: str, bars: tuple[float, float, float], times: int) -> Iterator[Row]:
    first_s, again_s, most_mb = bars
    bound = f"json.loads of the same lines {parse(log.path):.2f} s"
    found = []
    for _ in range(times):
        forget(log)
        found.append(read(log))
    first = min(found, key=lambda one: one["seconds"])
    yield Row(
        f"{records} rows, first report",
        f"{first['seconds']:.2f} s",
        bound,
        f"<= {first_s} s",
        first["seconds"] <= first_s,
    )
    yield Row(
        f"{records} rows, memory",
        f"{first['megabytes']:.0f} MB",
        "",
        f"<= {most_mb} MB",
        first["megabytes"] <= most_mb,
    )
    again = min((read(log) for _ in range(times)), key=lambda one: one["seconds"])
    yield Row(
        f"{records} rows, with digests",
        f"{again['seconds']:.3f} s",
        "",
        f"<= {again_s} s",
        again["seconds"] <= again_s,
    )
    yield _percentiles(records, first["events"], log.elapsed)


def _percentiles(records: str, events: list[dict[str, Any]], exact: dict[str, list[float]]) -> Row:
    worst = 0.0
    for event in events:
        values = sorted(exact[event["event"]])
        for name, share in (("median_ms", 0.5), ("p95_ms", 0.95), ("p99_ms", 0.99)):
            true = values[math.floor(share * (len(values) - 1))]
            worst = max(worst, abs(event[name] - true) / true)
    return Row(f"{records} rows, worst percentile", f"{worst:.2%} off", "", "<= 1 %", worst <= 0.0101)


def result(log: Log) -> Iterator[Row]:
    item = hooks.item(Settings(log.project, log.project / "user"), 7, None)
    made = hooks.make({**item, "now": log.now, "home": str(log.project)})
    size = len(compact(short(made.data)))
    yield Row("tool result, 63 hooks", f"{size:,} characters", "", f"<= {SHORT:,}", size <= SHORT)
    began = time.perf_counter()
    html = hooks.render(made)
    spent = time.perf_counter() - began
    yield Row(
        "page for 100,000 events",
        f"{len(html) / 1e6:.2f} MB",
        f"drawn in {spent:.2f} s",
        "< 1 MB",
        len(html) < 1e6,
    )


def trends() -> Iterator[Row]:
    chance = random.Random(11)
    found = sum("hook7" in _named(chance, "hook7") for _ in range(TRIALS))
    false = sum(bool(_named(chance)) for _ in range(TRIALS))
    yield Row("20 % regression in one of 21 hooks, found", f"{found} of {TRIALS}", "", ">= 95", found >= 95)
    yield Row("no regression, a false alarm", f"{false} of {TRIALS}", "", "<= 5", false <= 5)


def _named(chance: random.Random, slowed: str = "") -> set[str]:
    """Compare two periods of 200 events and return the hooks that a trend is named for."""
    before, now = (
        {
            f"hook{number}": digest_of(
                chance.lognormvariate(number / 10, SIGMA)
                * (1.2 if is_late and f"hook{number}" == slowed else 1)
                for _ in range(200)
            )
            for number in range(HOOKS)
        }
        for is_late in (False, True)
    )
    return {name for name, one in trend.compare(before, now).items() if one.direction != "steady"}


def run() -> Iterable[Row]:
    yield from trends()
    with tempfile.TemporaryDirectory() as folder:
        log = write(Path(folder) / "million", 50_000)
        yield from speed(log, "1,000,000", (1.5, 0.2, 150), 3)
        yield from result(write(Path(folder) / "page", 100_000))
        log = write(Path(folder) / "ten", 50_000, copies=10)
        yield from speed(log, "10,000,000", (12.0, 1.0, 250), 1)
