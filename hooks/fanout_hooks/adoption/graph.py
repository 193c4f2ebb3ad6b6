"""Show which hooks of an event wait for which, and why, from what is declared and learned.

Hooks of one scope and event are ordered among themselves; between scopes and events it is locks on what they
write that keep them apart.
"""

from __future__ import annotations

import argparse
import os
from collections.abc import Iterator
from typing import Any

from fanout_hooks.adoption import check
from fanout_hooks.adoption.consent import NONE_ADOPTED, OK, add_project, must_have, project_of, say, say_json
from fanout_hooks.client import config
from fanout_hooks.client.places import Place
from fanout_hooks.learn import memory
from fanout_hooks.learn.memory import Memory
from fanout_hooks.run import plan
from fanout_hooks.run.plan import Footprint

WAYS = {
    "warm": "in the warm worker, in turn",
    "trial": "in its own process, side by side, until it is known",
    "alone": "kept warm in its own process",
    "spare": "a Node process that was started ahead",
    "lane": "its own process, as written",
}


Graph = dict[str, Any]
"""One event of one scope, as `--json` prints it."""


def graphs(places: list[Place], env: dict[str, str]) -> list[Graph]:
    found = []
    for own in places:
        hooks = own.held().hooks
        known = Memory(memory.path_of(own.state, own.project))
        for event in dict.fromkeys(hook.event for hook in hooks):
            mine = [hook for hook in hooks if hook.event == event]
            found.append(_graph(event, own, mine, env | {"CLAUDE_PROJECT_DIR": own.project}, known))
    return found


def _graph(event: str, own: Place, hooks: list[config.Hook], env: dict[str, str], known: Memory) -> Graph:
    # A guard has an entry and so an event of its own: nothing waits for it.
    plain = [hook for hook in hooks if not hook.guard]
    run = plan.make(plain, own.project, own.project, env, known)
    nodes = [
        _node(planned.hook.name, planned.way, level, footprint, is_guard=False)
        for planned, footprint, level in zip(run.planned, run.footprints, run.levels, strict=True)
    ]
    nodes += [
        _node(hook.name, "lane", 1, Footprint(hook.name), is_guard=True) for hook in hooks if hook.guard
    ]
    return {
        "event": event,
        "scope": own.scope,
        "longest_chain": max((node["level"] for node in nodes), default=0),
        "hooks": nodes,
        "waits": [
            {"hook": plain[wait.later].name, "for": plain[wait.earlier].name, "why": wait.why}
            for wait in run.waits
        ],
    }


def _node(name: str, way: str, level: int, footprint: Footprint, *, is_guard: bool) -> dict[str, Any]:
    """Return a hook; `level` is the longest chain of hooks that ends with it."""
    touched = {key: sorted(getattr(footprint, key)) for key in ("reads", "writes", "resources")}
    return {"name": name, "way": way, "level": level, **touched, "is_guard": is_guard}


def _lines(graph: Graph) -> Iterator[str]:
    nodes, chain = graph["hooks"], graph["longest_chain"]
    counted = f"{len(nodes)} hook{'s' * (len(nodes) != 1)}"
    yield f"{graph['event']} ({graph['scope']}): {counted}, longest chain {chain}"
    width = max(len(node["name"]) for node in nodes)
    for node in nodes:
        how = "guard: its own entry" if node["is_guard"] else WAYS[node["way"]]
        yield f"  {node['name']:<{width}}  {how}"
        for wait in graph["waits"]:
            if wait["hook"] == node["name"]:
                yield f"  {'':<{width}}    after {wait['for']}: {wait['why']}"


# --- `fanout-hooks graph`: who waits for whom, and why. -----------------------------------------------------


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--event", help="only this event")
    parser.add_argument("--json", action="store_true", help="print the graphs as JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    env = dict(os.environ)
    found = graphs(check.adopted_scopes(project_of(args), env), env)
    if found:
        must_have(args.event, [one["event"] for one in found])
    found = [one for one in found if args.event in (None, one["event"])]
    if args.json:
        say_json(found)
    else:
        say("\n".join(line for graph in found for line in _lines(graph)) or NONE_ADOPTED)
    return OK
