"""Show which hooks of an event wait for which, and why, from what is declared and learned.

Hooks of one scope and event are ordered among themselves; between scopes and events it is locks on what they
write that keep them apart.
"""

from __future__ import annotations

import argparse
import os
from typing import Any, NamedTuple

from fanout_hooks.adoption import check
from fanout_hooks.adoption.consent import NONE_ADOPTED, add_project, must_have, project_of, say, say_json
from fanout_hooks.client import config
from fanout_hooks.client.places import Place
from fanout_hooks.learn import memory
from fanout_hooks.learn.memory import Memory
from fanout_hooks.run import plan

WAYS = {
    "warm": "in the warm worker, in turn",
    "trial": "in its own process, side by side, until it is known",
    "alone": "kept warm in its own process",
    "spare": "a Node process that was started ahead",
    "lane": "its own process, as written",
}


class Node(NamedTuple):
    """One hook of the graph."""

    name: str
    way: str
    level: int
    """The longest chain of hooks that ends with it."""
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    resources: tuple[str, ...]
    is_guard: bool


class Edge(NamedTuple):
    earlier: str
    later: str
    why: str


class Graph(NamedTuple):
    """One event of one scope."""

    event: str
    scope: str
    nodes: tuple[Node, ...]
    edges: tuple[Edge, ...]

    @property
    def chain(self) -> int:
        return max((node.level for node in self.nodes), default=0)


def graphs(places: list[Place], env: dict[str, str]) -> list[Graph]:
    """Return a graph for each event that has adopted hooks."""
    found = []
    for own in places:
        hooks = config.load((own.scope,), own.project, own.claude).hooks
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
        Node(
            hook.name,
            planned.way,
            level,
            tuple(sorted(footprint.reads)),
            tuple(sorted(footprint.writes)),
            tuple(sorted(footprint.resources)),
            is_guard=False,
        )
        for hook, planned, footprint, level in zip(
            plain, run.planned, run.footprints, run.levels, strict=True
        )
    ]
    nodes += [Node(hook.name, "lane", 1, (), (), (), is_guard=True) for hook in hooks if hook.guard]
    edges = [Edge(plain[wait.earlier].name, plain[wait.later].name, wait.why) for wait in run.waits]
    return Graph(event, own.scope, tuple(nodes), tuple(edges))


def to_json(found: list[Graph]) -> list[dict[str, Any]]:
    return [
        {
            "event": graph.event,
            "scope": graph.scope,
            "longest_chain": graph.chain,
            "hooks": [node._asdict() for node in graph.nodes],
            "waits": [{"hook": edge.later, "for": edge.earlier, "why": edge.why} for edge in graph.edges],
        }
        for graph in found
    ]


def to_text(found: list[Graph]) -> str:
    return "\n".join(line for graph in found for line in _lines(graph))


def _lines(graph: Graph) -> list[str]:
    count = len(graph.nodes)
    lines = [f"{graph.event} ({graph.scope}): {count} hook{'s' * (count != 1)}, longest chain {graph.chain}"]
    width = max(len(node.name) for node in graph.nodes)
    for node in graph.nodes:
        how = "guard: its own entry" if node.is_guard else WAYS[node.way]
        lines.append(f"  {node.name:<{width}}  {how}")
        lines += [
            f"  {'':<{width}}    after {edge.earlier}: {edge.why}"
            for edge in graph.edges
            if edge.later == node.name
        ]
    return lines


# --- `fanout-hooks graph`: who waits for whom, and why. -----------------------------------------------------

OK = 0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    add_project(parser)
    parser.add_argument("--event", help="only this event")
    parser.add_argument("--json", action="store_true", help="print the graphs as JSON, nothing else")


def run(args: argparse.Namespace) -> int:
    env = dict(os.environ)
    found = graphs(check.adopted_scopes(project_of(args), env), env)
    if found:
        must_have(args.event, [one.event for one in found])
    found = [one for one in found if args.event in (None, one.event)]
    if args.json:
        say_json(to_json(found))
    else:
        say(to_text(found) or NONE_ADOPTED)
    return OK
