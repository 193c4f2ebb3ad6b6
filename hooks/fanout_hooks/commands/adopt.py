"""`fanout-hooks adopt`: show what would change, ask, do it."""

from __future__ import annotations

import argparse
import os

from fanout_hooks import adopt, native, outlook, settings, short_diff
from fanout_hooks.adopt import Adoption
from fanout_hooks.commands.common import (
    add_scopes,
    confirm,
    places,
    say,
    say_diff,
    say_wrapped,
    some,
)
from fanout_hooks.entries import SERVER
from fanout_hooks.place import Place, server_of

OK = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_scopes(parser)
    short_diff.add_flag(parser)
    how = parser.add_mutually_exclusive_group()
    how.add_argument("--warm", action="store_true", help="call the server, although none is registered here")
    how.add_argument("--cold", action="store_true", help="never call the server")


def run(args: argparse.Namespace) -> int:
    chosen = places(args)
    plans = [(place, _planned(args, place)) for place in chosen]
    changes = [place for place, plan in plans if plan.is_change]
    for place, plan in plans:
        _show(place, plan, args.diff)
    if not any(place.scope == "shared" for place in chosen):
        _mention_shared(chosen[0])
    if not changes or not confirm(args):
        return OK
    for place in changes:
        # Planned again: a committed scope and the user's own share a file.
        kept = adopt.perform(_planned(args, place), place)
        say_wrapped(f"{place.scope}: done." + (f" What was there is kept in {kept}" if kept else ""))
    say_wrapped("Sessions that are running use it from the next event on. `fanout-hooks restore` undoes it.")
    return OK


def _planned(args: argparse.Namespace, place: Place) -> Adoption:
    server = SERVER if args.warm else "" if args.cold else server_of(place)
    return adopt.plan_adoption(place, server)


def _show(place: Place, plan: Adoption, form: str) -> None:
    say(f"{place.scope}: {place.settings}")
    for left in plan.left:
        say_wrapped(f"stays: {left.event}: {left.name}: {left.why}", 2)
    if not plan.is_change:
        say("  already adopted, nothing to change" if plan.held else "  no hooks that fanout could run")
        return
    env = {**os.environ, "CLAUDE_PROJECT_DIR": place.project}
    foreseen = outlook.of(plan.held, plan.server, env, place.project)
    for one in foreseen:
        say_wrapped(one.line, 2)
    if plan.taken:
        new = "" if len(plan.taken) == len(plan.held) else f"{some(plan.taken)}: "
        say_wrapped(f"{new}moves to {place.hooks}", 2)
    say_wrapped(_path(plan), 2)
    if any(one.is_slower for one in foreseen):
        say_wrapped(outlook.PRICE, 2)
    say_diff(place.settings, plan.settings.text, plan.settings_text, form)
    if plan.beside is not None:
        say_diff(place.beside, plan.beside.text, plan.beside_text, form)


def _path(plan: Adoption) -> str:
    if plan.server:
        return f"warm by the server {plan.server!r}, cold where it isn't"
    return (
        "cold: no server `fanout` is registered for these sessions. `fanout install` registers it; "
        "adopt again after that"
    )


def _mention_shared(place: Place) -> None:
    shared = place._replace(scope="shared")
    taken, _ = native.split(adopt.hooks_of(settings.read(shared.settings)))
    names = native.names(taken)
    if names:
        say_wrapped(f"shared: {shared.settings} has hooks, too ({some(names)}).")
        say_wrapped("It is the project's committed file; `fanout-hooks adopt --shared` takes them.", 2)
