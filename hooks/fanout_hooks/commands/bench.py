"""`fanout-hooks bench`: native, cold and warm side by side, and the baseline for reports."""

from __future__ import annotations

import argparse
import json
import os

from fanout_hooks import bench, check
from fanout_hooks.bench import Measured
from fanout_hooks.commands.common import NONE_ADOPTED, add_project, confirm, must_have, project_of, say

OK, REFUSED = 0, 1


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--yes", action="store_true", help="don't ask: the hooks are run for real")
    parser.add_argument("--event", help="this event alone")
    parser.add_argument(
        "--rounds",
        type=_rounds,
        default=bench.ROUNDS,
        metavar="N",
        help="how many count (default: %(default)s)",
    )
    parser.add_argument("--json", action="store_true", help="print the figures as JSON, nothing else")


def _rounds(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"{text!r} is no number of rounds, which is 1 or more")
    return int(text)


def run(args: argparse.Namespace) -> int:
    env, project = dict(os.environ), project_of(args)
    scopes = check.adopted_scopes(project, env)
    if not scopes:
        say(NONE_ADOPTED)
        return REFUSED
    must_have(args.event, [hook.event for own in scopes for hook in bench.held(own).hooks])
    if not args.json:
        runs = 3 * (args.rounds + bench.WARM_UP)
        say(f"Each hook is run {runs} times, for real, with a made-up event: what it does is done.")
    if not confirm(args, "Nothing was run."):
        return OK
    found = [one for own in scopes for one in bench.measure(own, env, args.rounds, args.event)]
    if args.json:
        say(json.dumps([one._asdict() for one in found]))
    else:
        _show(found)
    if args.event is None:
        path = bench.keep(project, found)
        if not args.json:
            say(f"\nKept as the baseline of reports: {os.path.relpath(path, project)}")
    return OK


def _show(found: list[Measured]) -> None:
    say(f"{'event':<22}{'scope':<8}{'hooks':>5}{'native':>10}{'cold':>10}{'warm':>10}   ms, median")
    for one in found:
        warm = (
            "-"
            if one.warm_ms is None
            else f"{one.warm_ms:.1f} ({one.native_ms / max(one.warm_ms, 0.1):.0f}x)"
        )
        say(
            f"{one.event:<22}{one.scope:<8}{one.hooks:>5}{one.native_ms:>10.1f}{one.cold_ms:>10.1f}{warm:>14}"
        )
