"""`fanout-hooks graph`: who waits for whom, and why."""

from __future__ import annotations

import argparse
import os

from fanout_hooks import check, graph
from fanout_hooks.commands.common import NONE_ADOPTED, add_project, must_have, project_of, say, say_json

OK = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--event", help="this event alone")
    parser.add_argument("--json", action="store_true", help="print the graphs as JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    env = dict(os.environ)
    found = graph.graphs(check.adopted_scopes(project_of(args), env), env)
    if found:
        must_have(args.event, [one.event for one in found])
    found = [one for one in found if args.event in (None, one.event)]
    if args.json:
        say_json(graph.to_json(found))
    else:
        say(graph.to_text(found) or NONE_ADOPTED)
    return OK
