"""The hook report's data, put together in a worker process: log, transcripts, baseline, receipts.

The arithmetic is fanout_hooks.log.report's; nothing is computed here. A million rows take a second of one
core, which the server's loop does not have to give.
"""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Final

from fanout_hooks.adoption import pitfalls
from fanout_hooks.client import transcripts
from fanout_hooks.client.places import claude_folder, json_of
from fanout_hooks.log import daily, report
from fanout_mcp.errors import why
from fanout_mcp.reports import ledger, page
from fanout_mcp.reports.ledger import money
from fanout_mcp.state.folder import write_report
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Json

NATIVE_FIGURES: Final = ("name", "event", "count", "mean_ms", "median_ms", "p95_ms", "failures")
TOOL_FIGURES: Final = ("tool", "uses", "calls", "cached", "tokens_in", "tokens_out")
GATHER: Final = "fanout_mcp.reports.hooks:gather"
TIMEOUT_S: Final = 60.0
"""Ten million rows without digests take about ten seconds; this is for machines a good deal slower."""


def gather(item: Json) -> Json:
    """Return the whole report of a project with the path of its page, for a worker. Raises OSError."""
    made = make(item)
    try:
        made.data["page"] = str(write_report(Path(item["state"]), "hooks", "html", page.render(made)))
    except OSError as error:
        made.data["page"] = f"could not be written: {why(error)}"
    return made.data


def make(item: Json) -> page.Drawn:
    """Return the whole report of a project, ready to be drawn. Raises OSError when the log can't be read."""
    now = float(item["now"])
    root, days, event = str(item["root"]), int(item["days"]), item["event"]
    tally = report.read(root, days, now)
    baseline = json_of(report.baseline_path(root))
    data = report.build(tally, days, event, now, baseline)
    odd = pitfalls.of(root, dict(os.environ))
    data["notes"] = [{"note": note, "count": 1} for note in odd] + data["notes"]
    since = report.day_of(now, days - 1)
    folder = transcripts.project_folder(root, str(item["claude"]))
    data["native"] = daily.rows(daily.read(folder, now - days * report.DAY_S))
    data["tools"] = ledger.costs(Path(item["records"]), since)
    return page.Drawn(data, tally, days, now)


def item(settings: Settings, days: int, event: str | None) -> dict[str, Json]:
    """Return the input of `gather` and `make`: plain values, since they go to another process."""
    return {
        "root": str(settings.project),
        "state": str(settings.state),
        "records": str(settings.records),
        "claude": claude_folder(os.environ),
        "days": days,
        "event": event,
        "now": time.time(),
    }


def text(data: Json, now: float) -> str:
    """Render the report as Markdown, as the daily file has it, with what only the server knows."""
    parts = [daily.markdown(data, now)]
    if data["native"]:
        heads = ["hook", "event", "count", "mean", "median", "p95", "failures"]
        rows = [[own[name] for name in NATIVE_FIGURES] for own in data["native"]]
        parts.append(
            "## Hooks that Claude Code runs itself (with output only)\n\n" + daily.table(heads, rows)
        )
    if data["tools"]:
        heads = ["tool", "uses", "calls", "cached", "tokens in", "tokens out", "cost", "tokens saved"]
        rows = [
            [*(own[name] for name in TOOL_FIGURES), money(own), own["saved_tokens"]] for own in data["tools"]
        ]
        parts.append("## What fanout's own tools cost\n\n" + daily.table(heads, rows))
    return "\n\n".join(part.strip() for part in parts) + "\n"
