"""`fanout review GLOB...`: findings with their quotes; exit status 1 when there are grave ones, for CI."""

from __future__ import annotations

import argparse
import sys
from typing import TYPE_CHECKING

from fanout_mcp.commands.shell import add_output, call_tool, emit
from fanout_mcp.review.finding import FOCUSES, SEVERITIES, is_at_least
from fanout_mcp.status import FINDINGS, NO_VERDICT, OK
from fanout_mcp.types import Json

if TYPE_CHECKING:
    from rich.console import Console

_COLOURS = {"critical": "bold red", "high": "red", "medium": "yellow", "low": "cyan", "info": "dim"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "patterns", nargs="+", metavar="GLOB", help="paths, folders or globs below the project"
    )
    parser.add_argument("--focus", choices=FOCUSES, default="security")
    parser.add_argument("--base", metavar="REF", help="only lines changed since this git ref")
    parser.add_argument("--engine", choices=("auto", "model", "static", "plan"), default="auto")
    parser.add_argument("--reviewers", type=int, default=1, help="how many reviewers a model is asked to be")
    parser.add_argument("--models", help="models to ask, separated by commas")
    parser.add_argument("--max-files", type=int, default=5000, help="refuse to review more (default 5000)")
    parser.add_argument("--max-cost", type=float, default=1.0, metavar="USD", help="refuse to spend more")
    parser.add_argument(
        "--detail", choices=("auto", "full", "line"), default="auto", help="whole findings, or a line each"
    )
    parser.add_argument("--cursor", type=int, default=0, metavar="N", help="go on from where a page ended")
    parser.add_argument("--sarif", metavar="FILE", help="write SARIF 2.1.0 to this file")
    parser.add_argument(
        "--fail-on", choices=SEVERITIES, help="exit with 1 when a finding is at least so grave"
    )
    add_output(parser)


def run(args: argparse.Namespace) -> int:
    from fanout_mcp.tools.batch_review import TOOL

    arguments = {
        "patterns": args.patterns,
        "focus": args.focus,
        "base": args.base,
        "engine": args.engine,
        "reviewers": args.reviewers,
        "models": args.models.split(",") if args.models else None,
        "max_files": args.max_files,
        "max_cost_usd": args.max_cost,
        "detail": args.detail,
        "cursor": args.cursor,
        "sarif": bool(args.sarif),
    }
    result = call_tool(TOOL, arguments, quiet=args.json)
    data = result.data
    if args.sarif and not _moved(str(data.get("sarif")), args.sarif):
        sys.stderr.write(f"fanout review: {args.sarif} could not be written.\n")
        return NO_VERDICT
    if args.sarif:
        data["sarif"] = args.sarif
    emit(result, args, show)
    if result.is_error:
        return NO_VERDICT
    counts = data.get("counts", {})
    is_grave = args.fail_on and any(is_at_least(severity, args.fail_on) for severity in counts)
    return FINDINGS if is_grave else OK


def _moved(written: str, wanted: str) -> bool:
    """Copy the log to where the caller wants it: the tool itself writes into the project's state only."""
    import shutil

    try:
        shutil.copyfile(written, wanted)
    except OSError:
        return False
    return True


def show(console: Console, data: Json) -> None:
    from rich.text import Text

    for item in data.get("findings", []):
        if isinstance(item, str):
            console.print(Text(item))
            continue
        head = Text(f"{item['path']}:{item['line']} ")
        head.append(item["severity"], _COLOURS[item["severity"]])
        console.print(
            head.append(f" {item['title']} [{item['rule']}{', ' + item['cwe'] if 'cwe' in item else ''}]")
        )
        console.print(Text(f"    {item['quote'].splitlines()[0]}", "dim"))
        console.print(Text(f"    {item.get('why', '')} {item.get('fix', '')}".rstrip()))
    if "plan" in data:
        console.print_json(data=data["plan"])
    receipt = data["receipt"]
    counts = ", ".join(f"{n} {severity}" for severity, n in data.get("counts", {}).items()) or "nothing found"
    console.print(Text(f"{counts} in {receipt['files_read']} files. {data.get('note', '')}".rstrip()))
    for name in ("not_analysed", "failed_reviews", "dropped", "more_of_a_rule", "report", "cursor", "sarif"):
        if data.get(name):
            console.print(Text(f"{name.replace('_', ' ')}: {data[name]}"))
