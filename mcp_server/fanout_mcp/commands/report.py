"""`fanout report`: where the hooks' time goes, as text, JSON or a page; and a check for CI."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import Any, Final

from fanout_hooks.log import report as log_report
from fanout_mcp.commands.flags import FINDINGS, OK
from fanout_mcp.commands.shell import put_json
from fanout_mcp.edge.catalog import parse
from fanout_mcp.errors import FanoutError, InvalidInput, why
from fanout_mcp.reports import hooks
from fanout_mcp.state import settings
from fanout_mcp.text import flat, printable
from fanout_mcp.tools.hook_report import Args, check_event
from fanout_mcp.types import Json

STDOUT: Final = "-"


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add = parser.add_argument
    add("--days", type=int, default=7, help="whole days up to today, 1 to 365 (default 7)")
    add("--event", help="one event, such as PreToolUse")
    add("--json", action="store_true", help="print the whole report as JSON, nothing else")
    add("--html", metavar="FILE", help="write the page with charts; - for stdout")
    add(
        "--fail-above",
        action="append",
        default=[],
        metavar="EVENT=MS[,p95]",
        help="exit 1 if the event's quantile is significantly above MS (repeatable)",
    )
    add("--save", metavar="FILE", help="write the period's times as a baseline; - for stdout")
    add("--compare", metavar="FILE", help="exit 1 if something became slower than in a saved baseline")


def run(args: argparse.Namespace) -> int:
    parse(Args, {"days": args.days, "event": args.event})
    check_event(args.event)
    if [args.html, args.save, STDOUT if args.json else None].count(STDOUT) > 1:
        raise InvalidInput("--html -, --save - and --json each take all of the output; choose one.")
    asked = [_limit(text) for text in args.fail_above]
    baseline = _read(args.compare) if args.compare else None
    found = settings.read()
    item = hooks.item(found, args.days, args.event)
    try:
        made = hooks.make(item)  # in this process: a shell command has no hook events waiting
    except OSError as error:
        raise FanoutError(f"The hook log can't be read: {why(error)}.") from error
    if args.html:
        _write(args.html, hooks.render(made), "the page")
        made.data["page"] = args.html
    period = log_report.periods(made.tally, args.days, made.now)[0]
    if args.save:
        _write(args.save, log_report.save(period), "the baseline")
    if STDOUT not in {args.html, args.save}:
        _print(made.data, made.now, as_json=args.json)
    return _judge(period, asked, baseline)


def _judge(period: log_report.Period, asked: list[log_report.Limit], baseline: Any) -> int:
    for limit in asked:
        if limit.event not in period.events:
            _report(f"{limit.event} didn't run in this period, so its limit says nothing")
    broken = [said for said in (log_report.above(period, limit) for limit in asked) if said]
    if baseline is not None:
        try:
            broken += log_report.regressions(period, baseline)
        except ValueError as error:
            raise InvalidInput(f"--compare: {error}.") from error
    for said in broken:
        _report(said)
    return FINDINGS if broken else OK


def _report(said: str) -> None:
    sys.stderr.write(f"fanout report: {flat(said)}\n")


def _print(data: Json, now: float, *, as_json: bool) -> None:
    if as_json:
        put_json(data)
    elif sys.stdout.isatty():
        from rich.markdown import Markdown

        from fanout_mcp.commands.display import Screen

        Screen().print(Markdown(printable(hooks.text(data, now))))
    else:
        sys.stdout.write(printable(hooks.text(data, now)))


def _limit(text: str) -> log_report.Limit:
    try:
        limit = log_report.parse(text)
    except ValueError as error:
        raise InvalidInput(f"--fail-above: {error}.") from error
    check_event(limit.event, f"--fail-above: {limit.event}")
    return limit


def _read(path: str) -> Any:
    try:
        return json.loads(Path(path).read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise InvalidInput(
            f"--compare: {path} can't be read ({why(error)}); write one with `fanout report --save`."
        ) from error


def _write(path: str, text: str, what: str) -> None:
    if path == STDOUT:
        sys.stdout.write(text)
        return
    try:
        Path(path).write_text(text, encoding="utf-8")
    except OSError as error:
        raise FanoutError(f"{path} can't be written: {why(error)}.") from error
    _report(f"{what} is in {path}")
