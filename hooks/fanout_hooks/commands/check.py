"""`fanout-hooks check`: a line for each finding; exit status 1 when something is wrong."""

from __future__ import annotations

import argparse
import os

from fanout_hooks import check
from fanout_hooks.commands.common import add_project, project_of, say, say_json, say_wrapped

OK, WRONG = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--json", action="store_true", help="print the findings as JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    found = check.findings(project_of(args), dict(os.environ))
    if args.json:
        say_json([finding._asdict() for finding in found])
    else:
        where = ""
        for finding in found:
            if finding.where != where:
                where = finding.where
                say(where)
            say_wrapped(f"{finding.level:<5}  {finding.text}", 2)
    return WRONG if any(finding.level == "wrong" for finding in found) else OK
