"""`fanout-hooks learn`: what was seen of each hook; with consent it is written into hooks.json."""

from __future__ import annotations

import argparse
import os
import sys
import time

from fanout_hooks import check, json_text, learn, settings
from fanout_hooks.commands.common import NONE_ADOPTED, add_project, confirm, project_of, say
from fanout_hooks.learn import Learned, Lesson
from fanout_hooks.place import Place

OK = 0
LOOK_S = 0.5


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--yes", action="store_true", help="don't ask")
    parser.add_argument(
        "--watch",
        type=float,
        default=0.0,
        metavar="SECONDS",
        help="wait so long for hooks that weren't seen twice yet, while you work in a session",
    )


def run(args: argparse.Namespace) -> int:
    env = dict(os.environ)
    scopes = check.adopted_scopes(project_of(args), env)
    if not scopes:
        say(NONE_ADOPTED)
        return OK
    lessons = _watched(scopes, env, args.watch)
    for own, lesson in lessons:
        _show(own, lesson)
    changes = [(own, lesson) for own, lesson in lessons if lesson.text != lesson.hooks.text]
    if not changes:
        say("Nothing new to write.")
    elif confirm(args):
        for own, lesson in changes:
            settings.write(lesson.hooks, lesson.text, own.state)
            say(f"{own.hooks}: written")
    return OK


def _watched(scopes: list[Place], env: dict[str, str], seconds: float) -> list[tuple[Place, Lesson]]:
    until = time.monotonic() + seconds
    waiting = -1
    while True:
        lessons = [(own, learn.plan_lesson(own, env)) for own in scopes]
        left = sum(_is_waited_for(one) for _, lesson in lessons for one in lesson.learned)
        if left == 0 or time.monotonic() >= until:
            return lessons
        if left != waiting:
            sys.stderr.write(f"waiting for {left} hook{'s' * (left != 1)} to be seen twice\n")
            waiting = left
        time.sleep(LOOK_S)


def _is_waited_for(one: Learned) -> bool:
    return one.note.startswith("seen ")


def _show(own: Place, lesson: Lesson) -> None:
    say(f"{own.scope}: {own.hooks}")
    for one in lesson.learned:
        say(f"  {one.event}: {one.name}" + (f": {one.note}" if one.note else ""))
        for word, paths in (("reads", one.reads), ("writes", one.writes)):
            if paths:
                say(f"    {word} {', '.join(paths)}")
    say(json_text.diff(own.hooks, lesson.hooks.text, lesson.text))
