"""`fanout report`: where the hooks' time goes, as text, JSON or a page; and a check for CI."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any

from fanout_hooks import limits, report
from fanout_mcp import settings
from fanout_mcp.arguments import parse
from fanout_mcp.errors import FanoutError, InvalidInput, why
from fanout_mcp.reports import hooks, page
from fanout_mcp.status import FINDINGS, OK
from fanout_mcp.tools.hook_report import Args, check_event
from fanout_mcp.types import Json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--days", type=int, default=7, help="whole days up to today, 1 to 365 (default 7)")
    parser.add_argument("--event", help="one event, such as PreToolUse")
    parser.add_argument("--json", action="store_true", help="print the whole report as JSON, nothing else")
    parser.add_argument("--html", metavar="FILE", help="write the page with charts")
    parser.add_argument(
        "--fail-above",
        action="append",
        default=[],
        metavar="EVENT=MS[,p95]",
        help="exit 1 when the event's quantile is above that, beyond the noise (repeatable)",
    )
    parser.add_argument("--save", metavar="FILE", help="write the period's times as a baseline")
    parser.add_argument(
        "--compare", metavar="FILE", help="exit 1 when something became slower than a saved baseline"
    )


def run(args: argparse.Namespace) -> int:
    parse(Args, {"days": args.days, "event": args.event})
    check_event(args.event)
    asked = [_limit(text) for text in args.fail_above]
    baseline = _read(args.compare) if args.compare else None
    found = settings.read()
    item = hooks.item(found.project, found.state, args.days, args.event)
    try:
        made = hooks.make(item)  # in this process: a shell command has no hook events waiting
    except OSError as error:
        raise FanoutError(f"The hook log can't be read: {why(error)}.") from error
    if args.html:
        _write(args.html, page.render(made))
        made.data["page"] = args.html
    period = report.periods(made.tally, args.days, made.now)[0]
    if args.save:
        _write(args.save, limits.save(period))
    _print(made.data, made.now, as_json=args.json)
    return _judge(period, asked, baseline)


def _judge(period: report.Period, asked: list[limits.Limit], baseline: Any) -> int:
    broken = [said for said in (limits.above(period, limit) for limit in asked) if said]
    if baseline is not None:
        try:
            broken += limits.regressions(period, baseline)
        except ValueError as error:
            raise InvalidInput(f"--compare: {error}.") from error
    for said in broken:
        sys.stderr.write(f"fanout report: {said}\n")
    return FINDINGS if broken else OK


def _print(data: Json, now: float, *, as_json: bool) -> None:
    if as_json:
        sys.stdout.write(json.dumps(data, ensure_ascii=False, separators=(",", ":")) + "\n")
    elif sys.stdout.isatty():
        from rich.console import Console
        from rich.markdown import Markdown

        Console().print(Markdown(hooks.text(data, now)))
    else:
        sys.stdout.write(hooks.text(data, now))


def _limit(text: str) -> limits.Limit:
    try:
        return limits.parse(text)
    except ValueError as error:
        raise InvalidInput(f"--fail-above: {error}.") from error


def _read(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"--compare: {path} can't be read ({why(error)}); write one with `fanout report --save`."
        ) from error


def _write(path: str, text: str) -> None:
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise FanoutError(f"{path} can't be written: {why(error)}.") from error
