"""`fanout-hooks bench`: native, cold and warm side by side, and the baseline for reports."""

from __future__ import annotations

import argparse
import os
from collections.abc import Sequence

from fanout_hooks import bench, check
from fanout_hooks.bench import Measured
from fanout_hooks.check import PathInUse
from fanout_hooks.commands.common import (
    NONE_ADOPTED,
    add_project,
    confirm,
    must_have,
    project_of,
    say,
    say_json,
)

OK, REFUSED = 0, 1
NOISE = 0.05
"""Closer than this two medians of some rounds are the same."""
LEAST_MS = 0.1
WHOLE_FROM = 9.95


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
        say_json([one._asdict() for one in found])
    else:
        say(to_text(found, args.rounds, check.path_in_use(project, env)))
    if args.event is None:
        path = bench.keep(project, found)
        if not args.json:
            say(f"\nKept as the baseline of reports: {path}")
    return OK


def to_text(found: Sequence[Measured], rounds: int, path: PathInUse) -> str:
    """Return the figures as a table, and what they say of the way in which events run here."""
    counted = "1 round" if rounds == 1 else f"{rounds} rounds"
    parts = [f"Milliseconds an event, the median of {counted}.", _table(found)]
    if path.path == "cold":
        parts.append(f"Here events run cold: {path.why}.")
    slower = [(one.event, own - one.native_ms) for one in found if _is_slower(one, own := _here(one, path))]
    if slower:
        named = "\n".join(f"  {event} by {ms:.0f} ms" for event, ms in slower)
        undo = "What that buys is order, isolation and the log. `fanout-hooks restore` undoes it."
        parts.append(f"Slower here than natively:\n{named}\n{undo}")
    return "\n\n".join(parts)


def _table(found: Sequence[Measured]) -> str:
    width = max(len("event"), *(len(one.event) for one in found))
    lines = [f"{'event':<{width}} {'scope':<6}{'hooks':>6}{'native':>8}{'cold':>20}{'warm':>20}"]
    for one in found:
        begin = f"{one.event:<{width}} {one.scope:<6}{one.hooks:>6}{one.native_ms:>8.1f}"
        lines.append(begin + _cell(one.native_ms, one.cold_ms) + _cell(one.native_ms, one.warm_ms))
    return "\n".join(line.rstrip() for line in lines)


def _cell(native_ms: float, own_ms: float | None) -> str:
    return f"{'-':>8}" if own_ms is None else f"{own_ms:>8.1f}{compared(native_ms, own_ms):>12}"


def compared(native_ms: float, own_ms: float) -> str:
    """Say how much faster or slower than natively."""
    ratio = max(native_ms, LEAST_MS) / max(own_ms, LEAST_MS)
    if abs(ratio - 1) <= NOISE:
        return "the same"
    times, word = (ratio, "faster") if ratio > 1 else (1 / ratio, "slower")
    return f"{times:.0f}x {word}" if times >= WHOLE_FROM else f"{times:.1f}x {word}"


def _here(one: Measured, path: PathInUse) -> float:
    return one.cold_ms if one.warm_ms is None or path.path != "warm" else one.warm_ms


def _is_slower(one: Measured, own_ms: float) -> bool:
    return compared(one.native_ms, own_ms).endswith("slower")
