"""What the edge passes to every tool: settings, a backend, shared limits. No tool opens any of it itself."""

from __future__ import annotations

import threading
from collections import deque
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field, replace
from typing import Annotated, Final, Generic, NamedTuple, TypeVar

import anyio.to_thread
from pydantic import BaseModel, ConfigDict, Field

from fanout_mcp.backends.plan import messages
from fanout_mcp.engine.budget import Budget, Estimate, check
from fanout_mcp.engine.limits import Limits
from fanout_mcp.errors import why
from fanout_mcp.journal import Journal, Remote, open_journal
from fanout_mcp.source.discover import tree_name, tree_of
from fanout_mcp.source.receipt import MARGIN, Receipt, page
from fanout_mcp.source.secrets import redact, scrub
from fanout_mcp.source.workers import Failure, Workers, in_own_thread
from fanout_mcp.state import audit, cache
from fanout_mcp.state.cache import OpenCache
from fanout_mcp.state.folder import write_report
from fanout_mcp.state.settings import Settings
from fanout_mcp.text import counted, printable
from fanout_mcp.types import Backend, Json, Progress

T = TypeVar("T")
B = TypeVar("B")

MAX_IN_A_PLAN: Final = 4_000
"""Characters that every agent call of a plan may repeat; longer ones are read from a file."""


@dataclass(frozen=True, slots=True)
class Services:
    """One per server process or shell command; shared by all its calls, so it holds no call's state."""

    settings: Settings
    backend: Backend
    limits: Limits
    workers: Workers = field(default_factory=Workers)
    """Processes for everything that parses; none is started before it is needed."""
    remote: Callable[[], Remote | None] = lambda: None
    """Begins a call whose questions other processes may ask; None: this one asks all."""
    open_cache: OpenCache = cache.open_cache
    spent: audit.Spent | None = None
    """Dollars counted for several machines; None: for this one alone."""

    def journal(self, progress: Progress, total: int = 0) -> AbstractAsyncContextManager[Journal]:
        """Open what remembers the answers of one call."""
        return open_journal(
            *(self.settings, self.backend, self.limits, progress, total),
            opens=self.open_cache,
            remote=self.remote(),
        )

    async def report(self, stem: str, text: str) -> str:
        """Write a Markdown report; return its path, or why there is none. Secrets are taken out."""

        def write(stop: threading.Event) -> str:
            [scrubbed] = scrub(self.workers, [("", text)], stop)
            if isinstance(scrubbed, Failure):
                return f"could not be written: taking secrets out {scrubbed.reason}"
            try:
                return self._written(stem, scrubbed[0])
            except OSError as error:
                return f"could not be written: {why(error)}"

        return await in_own_thread(write)

    def keep(self, stem: str, text: str) -> str | None:
        """Write a text that a path replaces and return the path; None when it can't be written."""
        try:
            return self._written(stem, redact(text)[0])
        except OSError:
            return None

    def set_aside(self, stem: str, words: str) -> str:
        """Return the text, or the path of a file that holds it when it is too long to be repeated."""
        path = self.keep(stem, words) if len(words) > MAX_IN_A_PLAN else None
        return words if path is None else f"Read {path} first: the whole text is there."

    def _written(self, stem: str, scrubbed: str) -> str:
        clean = "\n".join(printable(line) for line in scrubbed.split("\n"))
        return str(write_report(self.settings.state, stem, "md", clean))


async def in_tree(
    services: Services, named: Sequence[str] | None, receipt: Receipt
) -> tuple[Services, list[str] | None]:
    """Move to the sibling worktree that the names mean, if they do; reports stay with the project."""
    settings = services.settings
    root, names = await anyio.to_thread.run_sync(tree_of, settings.root, named)
    receipt.tree = await anyio.to_thread.run_sync(tree_name, root)
    if root != settings.root:
        services = replace(services, settings=replace(settings, root=root, state_dir=settings.state))
    return services, names


async def in_portions(
    services: Services,
    progress: Progress,
    receipt: Receipt,
    items: Sequence[T],
    *,
    size: int,
    ahead: int,
    begin: Callable[[Journal, Sequence[T]], Awaitable[B]],
    finish: Callable[[B], Awaitable[None]],
) -> None:
    """Ask about items `size` at a time; `ahead` portions are begun before the end of the first is awaited."""
    async with services.journal(progress, len(items)) as journal:
        begun: deque[B] = deque()
        for start in range(0, len(items), size):
            begun.append(await begin(journal, items[start : start + size]))
            if len(begun) > journal.ahead(ahead):
                await finish(begun.popleft())
        for portion in begun:
            await finish(portion)
        receipt.cache = journal.problem


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answers: `data` is what the model sees (as compact JSON), never over 50,000 characters."""

    data: Json
    is_error: bool = False


def verdict(result: ToolResult) -> str:
    """Return what came of a call, in a word: a panel's decision, else `done` or `error`."""
    decision = result.data.get("decision") if isinstance(result.data, dict) else None
    return str(decision) if decision else "error" if result.is_error else "done"


class Arguments(BaseModel):
    """Refuses unknown arguments, NaN and infinity."""

    model_config = ConfigDict(extra="forbid", allow_inf_nan=False)


A = TypeVar("A", bound=BaseModel)


def entries(description: str, properties: Mapping[str, Json]) -> Json:
    """Return the schema of a result's list: objects, or a line each where they are many."""
    items = {"type": ["object", "string"], "properties": properties}
    return {"type": "array", "description": description, "items": items}


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """A tool's words for the model, its arguments, and what it does; each tool file defines one, `TOOL`."""

    name: str
    title: str
    description: str
    arguments: type[A]
    """`Arguments`, or a model with the same configuration."""
    call: Callable[[Services, A, Progress], Awaitable[ToolResult]]
    """Raises errors.FanoutError with a sentence for the model; anything else is a defect."""
    output: Mapping[str, Json] = field(default_factory=dict)
    """The result's fields and their JSON schemas; `headline`, one line for a person, comes before them."""
    always_load: bool = False
    search_hint: str = ""


# --- The price of a call about sources, checked before the first question. ----------------------------------

MAX_TOTAL_TOKENS: Final = 5_000_000
"""Holds where no price is known."""

FRAME_TOKENS: Final = 1_500
"""A prompt's rules and its list of symbols, beside the sources themselves."""

MaxCost = Annotated[float, Field(ge=0)]
"""Dollars that a call may cost."""


class Wanted(NamedTuple):
    """Calls of one model, the tokens of source that go into all of them, and the most that each answers."""

    model: str | None
    calls: int
    tokens: int
    answer_tokens: int


async def check_price(backend: Backend, wanted: Sequence[Wanted], budget: Budget) -> None:
    """Raise BudgetExceeded when what is wanted may cost more than the budget."""
    expected = Estimate(0, 0, 0, 0.0)
    for one in wanted:
        given = int(one.tokens * MARGIN) + one.calls * FRAME_TOKENS
        answered = one.calls * one.answer_tokens
        price = await backend.price(one.model)
        expected += Estimate(one.calls, given, answered, price.of(given, answered) if price else None)
    check(expected, budget)


# --- The answer of engine="plan": agent calls for the host, as many as fit, and where the rest begins. ------


def planned(calls: Sequence[dict[str, Json]], cursor: int, receipt: Receipt) -> Json:
    shown, following = page(calls, cursor)
    data: dict[str, Json] = {
        "headline": f"No model was asked: a plan of {counted(len(calls), 'Agent call')} for you to send",
        "plan": {"messages": messages(shown)},
        "how": "Send each list as the Agent calls of ONE message.",
    }
    if following is not None:
        data |= {"total": len(calls), "next_cursor": following}
    return {**data, "receipt": receipt.as_json(data, 0)}
