"""What a tool is handed by the edge: settings, a backend, shared limits. No tool opens any of it itself."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Generic, TypeVar

from pydantic import BaseModel

from fanout_mcp.backends.base import Backend
from fanout_mcp.engine.limits import Limits
from fanout_mcp.settings import Settings
from fanout_mcp.source.workers import Workers
from fanout_mcp.types import Json, Progress


@dataclass(frozen=True, slots=True)
class Services:
    """One per server process or shell command; shared by all its calls, so it holds no call's state."""

    settings: Settings
    backend: Backend
    limits: Limits
    workers: Workers = field(default_factory=Workers)
    """Processes for everything that parses; none is started before it is needed."""


@dataclass(frozen=True, slots=True)
class ToolResult:
    """What a tool answers: `data` is what the model sees (as compact JSON), never over 50,000 characters."""

    data: Json
    is_error: bool = False


A = TypeVar("A", bound=BaseModel)


@dataclass(frozen=True, slots=True)
class Tool(Generic[A]):
    """A tool's words for the model, its arguments, and what it does; each tool file defines one, `TOOL`."""

    name: str
    title: str
    description: str
    arguments: type[A]
    """A pydantic model with extra="forbid": unknown arguments are refused by name."""
    call: Callable[[Services, A, Progress], Awaitable[ToolResult]]
    """Raises errors.FanoutError with a sentence for the model; anything else is a defect."""
    output: Mapping[str, Json] = field(default_factory=dict)
    """The result's fields and their JSON schemas, beside `headline`: one line for a person, the "
    "first field."""
    always_load: bool = False
    search_hint: str = ""
