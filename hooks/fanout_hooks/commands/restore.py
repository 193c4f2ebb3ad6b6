"""`fanout-hooks restore`: show what would come back, ask, do it."""

from __future__ import annotations

import argparse

from fanout_hooks import restore, short_diff
from fanout_hooks.commands.common import (
    add_scopes,
    confirm,
    places,
    say,
    say_diff,
    say_wrapped,
    some,
)
from fanout_hooks.config import SCOPES
from fanout_hooks.place import Place
from fanout_hooks.restore import Restoration
from fanout_hooks.settings import Refused

OK = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_scopes(parser)
    short_diff.add_flag(parser)
    parser.add_argument(
        "--from",
        dest="copy",
        metavar="FILE",
        default="",
        help="a kept copy to take one scope's hooks from, where its hooks.json is gone or broken",
    )


def run(args: argparse.Namespace) -> int:
    chosen = places(args, default=SCOPES)
    if args.copy and len(chosen) != 1:
        raise Refused("--from goes with one --scope: it is the copy of one scope's hooks")
    plans = [(place, restore.plan_restoration(place, args.copy)) for place in chosen]
    found = [(place, plan) for place, plan in plans if plan is not None]
    if not found:
        say("Nothing is adopted in " + ", ".join(place.settings for place, _ in plans))
        return OK
    for place, plan in found:
        _show(place, plan, args.diff)
    if not confirm(args):
        return OK
    for place, _ in found:
        again = restore.plan_restoration(
            place, args.copy
        )  # a committed scope and the user's own share a file
        if again is not None:
            kept = restore.perform(again, place)
            say_wrapped(f"{place.scope}: restored. What was there with fanout is kept in {kept}")
    return OK


def _show(place: Place, plan: Restoration, form: str) -> None:
    say(f"{place.scope}: {place.settings}")
    say_wrapped(f"come back: {some(plan.back)}", 2)
    if plan.is_exact:
        say("  byte for byte as they were written")
    else:
        say_wrapped("as they now stand in hooks.json: hooks were added or changed since they were adopted", 2)
    say_diff(place.settings, plan.settings.text, plan.settings_text, form)
