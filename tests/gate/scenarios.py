"""The scenario set of benchmarks/corpus/gate, as values; the pure core and the real client both play it."""

from __future__ import annotations

import tomllib
from pathlib import Path
from typing import Any, NamedTuple

from fanout_hooks.gate.dependence import Earlier

CORPUS = Path(__file__).parents[2] / "benchmarks" / "corpus" / "gate"


class Sent(NamedTuple):
    """One agent call of a step."""

    name: str
    task: str
    answer: str
    kind: str = "Explore"
    background: bool = False
    lasting: bool = False
    """It runs on while the next one is sent."""

    @property
    def input(self) -> dict[str, Any]:
        return {
            "description": self.name,
            "prompt": self.task,
            "subagent_type": self.kind,
            "run_in_background": self.background,
        }


class Step(NamedTuple):
    """One assistant message: agents, or another tool."""

    agents: tuple[Sent, ...] = ()
    denied: bool = False
    slow: bool = False
    """Its first call is sent back when its message comes slowly: the siblings are not there yet."""
    tool: str = ""
    input: dict[str, Any] = {}  # noqa: RUF012 - never mutated


class Scenario(NamedTuple):
    id: str
    prompt: str
    steps: tuple[Step, ...]
    needless: bool


class Pair(NamedTuple):
    """Two calls in a row, and whether the second had to wait for the first."""

    prompt: str
    first: Earlier
    second: str
    depends: bool


def load() -> list[Scenario]:
    """Return all scenarios, the needless ones first."""
    return [
        Scenario(own["id"], own["prompt"], tuple(map(_step, own["steps"])), needless=kind == "needless")
        for kind in ("needless", "legitimate")
        for own in _read(f"{kind}.toml")["scenario"]
    ]


def pairs() -> list[Pair]:
    found = []
    for own in _read("pairs.toml")["pair"]:
        first, second = own["first"], own["second"]
        earlier = Earlier(f"{first['name']}\n{first['task']}", first["answer"], first["kind"])
        found.append(Pair(own["prompt"], earlier, f"{second['name']}\n{second['task']}", own["depends"]))
    return found


def _read(name: str) -> dict[str, Any]:
    return tomllib.loads((CORPUS / name).read_text(encoding="utf-8"))


def _step(own: dict[str, Any]) -> Step:
    if "tool" in own:
        return Step(tool=own["tool"], input=own["input"])
    sent = own.get("together") or [{key: value for key, value in own.items() if key != "denied"}]
    return Step(tuple(Sent(**fields) for fields in sent), own.get("denied", False), own.get("slow", False))
