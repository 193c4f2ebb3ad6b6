"""oracle_batch called as the server calls it, with a scripted backend, in virtual time."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import trio

from fakes.scripted import Reply, Scripted, verdict
from fakes.virtual import virtually
from fanout_mcp.edge.catalog import parse
from fanout_mcp.engine.limits import Limits
from fanout_mcp.state.settings import Settings
from fanout_mcp.tools.oracle_batch import TOOL
from fanout_mcp.tools.services import Services
from fanout_mcp.types import Backend, Json

UNREADABLE = Reply("I would rather not say.", 1.0)


def says(decision: str = "PROCEED", delay: float = 1.0, **more: Any) -> Reply:
    stop = {"blocker": "It loses data.", "smallest_change": "Write first."} if decision == "STOP" else {}
    return Reply(verdict(decision, **{**stop, **more}), delay)


def panel(**members: Reply | list[Reply]) -> Scripted:
    """A reply for each persona; the others say PROCEED after a second."""
    return Scripted({f"model-of-{name}": reply for name, reply in members.items()}, says())


@dataclass(frozen=True)
class Consulted:
    """What came back, when, and what progress said meanwhile."""

    data: dict[str, Json]
    is_error: bool
    seconds: float
    told: list[tuple[int, int | None, str]] = field(default_factory=list)

    @property
    def verdicts(self) -> dict[str, str]:
        return {vote["member"]: vote["verdict"] for vote in self.data["votes"]}

    @property
    def reasons(self) -> dict[str, str]:
        return {lost["member"]: lost["reason"] for lost in self.data["failed"]}

    @property
    def report(self) -> str:
        return Path(self.data["report"]).read_text()


def services(root: Path, backend: Backend, **more: Any) -> Services:
    settings = Settings(root, root / "config", state_dir=root / ".claude" / "fanout", **more)
    return Services(settings, backend, Limits(settings.max_parallel))


async def ask(given: Services, arguments: Mapping[str, Json]) -> Consulted:
    told: list[tuple[int, int | None, str]] = []
    began = trio.current_time()
    parsed = parse(TOOL.arguments, {"question": "Is it wise?", **arguments})
    result = await TOOL.call(given, parsed, lambda *news: told.append(news))
    return Consulted(result.data, result.is_error, round(trio.current_time() - began, 3), told)


def consult(root: Path, backend: Backend, **arguments: Json) -> Consulted:
    """One consultation with a server's fresh services."""
    given = services(root, backend)
    try:
        return virtually(lambda: ask(given, arguments))
    finally:
        given.workers.close()
