"""hook_report: where the time of the project's hooks goes, in short; the page and the file have the rest.

gather (in a worker process: log, transcripts, receipts) -> render (bounded).
"""

from __future__ import annotations

from typing import Annotated, Final, Literal

from pydantic import Field

from fanout_hooks.client import events
from fanout_mcp.errors import FanoutError, InvalidInput
from fanout_mcp.reports import hooks
from fanout_mcp.source.workers import Failure
from fanout_mcp.text import compact, hint
from fanout_mcp.tools.services import Arguments, Services, Tool, ToolResult
from fanout_mcp.types import Json, Progress

SHORT: Final = 4_000
"""Characters of a result by default: a report is looked at, it must not fill the context."""

SHOWN: Final = {
    "events": 8,
    "hooks": 8,
    "own": 4,
    "recommendations": 5,
    "native": 4,
    "tools": 7,
    "changed": 5,
}
"""Rows of each part in the short form, at most; the rest is counted."""

MAX_COUNTED: Final = 8
MAX_LENGTH: Final = 200
"""Characters of a note, and of a word of the log."""

KNOWN: Final = tuple(sorted(events.BY_NAME))


class Args(Arguments):
    days: Annotated[int, Field(ge=1, le=365)] = 7
    event: Annotated[str | None, Field(description="One event, such as PreToolUse.")] = None
    detail: Literal["auto", "full"] = "auto"


async def call(services: Services, args: Args, progress: Progress) -> ToolResult:
    check_event(args.event)
    progress(0, 1, "reading the hook log")
    item = hooks.item(services.settings, args.days, args.event)
    [(_, data)] = await services.workers.map(hooks.GATHER, [item], timeout_s=hooks.TIMEOUT_S)
    if isinstance(data, Failure):
        raise FanoutError(f"The hook log could not be reported: {data.reason}.")
    progress(1, 1, "reported")
    shown = data if args.detail == "full" else short(data)
    return ToolResult({"headline": _headline(data, args.days), **shown})


def _headline(data: Json, days: int) -> str:
    """Say in one line how much the hooks took, and of which event most."""
    period = "in 1 day" if days == 1 else f"in {days} days"
    events = data["events"]
    if not events:
        return f"No hook ran through fanout {period}"
    calls = sum(row["count"] for row in events)
    slowest = max(events, key=lambda row: row.get("p95_ms") or 0)
    p95 = slowest.get("p95_ms") or 0
    return f"{calls:,} hook events {period}; slowest {slowest['event']}, p95 {p95:,.0f} ms"


def check_event(event: str | None, named: str = "`event`") -> None:
    """Raise InvalidInput for an unknown hook event; the sentence names the nearest known one."""
    if event is not None and event not in KNOWN:
        raise InvalidInput(f"{named} is not a hook event; {hint(event, KNOWN)}")


HINT: Final = "No hook ran through fanout in this period; `fanout-hooks adopt` hands it a project's hooks."


def short(data: Json) -> dict[str, Json]:
    """Return the report within SHORT characters: fewer rows and figures, what is left out counted."""
    plain = {name: [_plain(row) for row in data[name]] for name in ("events", "hooks", "own")}
    result = {
        **data,
        **plain,
        "gate": {name: _few(value) for name, value in data["gate"].items()},
        "notes": [own["note"][:MAX_LENGTH] for own in data["notes"][:3]],
    }
    if not data["events"]:
        result["hint"] = HINT
    for name, most in SHOWN.items():
        _cut(result, name, most)
    while len(compact(result)) > SHORT and any(result[name] for name in SHOWN):
        longest = max(SHOWN, key=lambda name: len(compact(result[name])))
        _cut(result, longest, len(result[longest]) - 1)
    return result


def _cut(result: dict[str, Json], name: str, most: int) -> None:
    rows = result[name]
    if len(rows) > most:
        left_out = result.setdefault("left_out", {})
        left_out[name] = left_out.get(name, 0) + len(rows) - most
        result[name] = rows[:most]


def _few(value: Json) -> Json:
    """Return the most frequent of what is counted: the gate's words and sizes come from a file as well."""
    if not isinstance(value, dict):
        return value
    frequent = sorted(value.items(), key=lambda item: -item[1])[:MAX_COUNTED]
    return {name[:MAX_LENGTH]: count for name, count in frequent}


def _plain(row: Json) -> dict[str, Json]:
    found = row["trend"]
    direction = found["direction"]
    change = f"{found['change']:+.0%}" if direction in {"slower", "faster"} else direction
    plain = {
        name: value for name, value in row.items() if value or name in {"count", "failures", "median_ms"}
    }
    return {**plain, "trend": change}


TOOL: Tool[Args] = Tool(
    name="hook_report",
    title="Where the hooks' time goes",
    description=(
        "Where this project's hook time goes: per event and hook count, median, p95, failures, trend; what "
        "to do; a page with charts."
    ),
    arguments=Args,
    call=call,
    output={
        "events": {"type": "array", "items": {"type": "object"}},
        "hooks": {"type": "array", "items": {"type": "object"}},
        "saved_ms": {"type": ["number", "null"]},
        "recommendations": {"type": "array"},
        "page": {"type": ["string", "null"]},
    },
    search_hint="hook performance, slow hooks, hook timing",
)
