"""What a client is shown of the tools: instructions, and the schemas of arguments and results.

Made from the tools; `make generate` writes it into `edge/tools.json`, which the server answers from.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, Final

from pydantic.json_schema import GenerateJsonSchema, NoDefault
from pydantic_core.core_schema import LiteralSchema, NullableSchema, WithDefaultSchema

from fanout_mcp import __version__
from fanout_mcp.edge.catalog import load
from fanout_mcp.panel.consult import PanelArguments
from fanout_mcp.panel.personas import built_in
from fanout_mcp.tools.services import Tool
from fanout_mcp.types import Json

WHEN: Final = {
    "oracle_batch": "before a decision that is costly to undo (design, plan, risky change): N experts answer "
    "at once, one honest verdict.",
    "council": "when experts should read each other and answer again: contested or high-stakes questions.",
    "explore_modules": "to understand modules or an unknown codebase without reading the files yourself.",
    "summarize_files": "to learn what many files are for, in a line each.",
    "batch_review": "to review many files or a diff; every finding comes with a verified citation.",
    "agent_swarm": "to split one task over many agents; returns Agent calls to send in ONE message.",
    "hook_report": "when hooks seem slow or the user asks where hook time goes.",
}
"""The tools, in the order of the list: the same at every start, so that the client's prompt cache holds. The
instructions say when to use each: the only prose that a model sees before it loads a tool."""

HEAD: Final = (
    "fanout does many things at once, outside your context. Fan out inside ONE call: pass all paths, modules "
    "or personas together instead of calling again and again."
)
TAIL: Final = (
    "Without a model these tools still answer: from static analysis, or with a plan of agents; launch those "
    "Agent calls together in one message. Large results end with the path of a report to read from.\n"
    "Agents of your own: all independent ones in ONE message, 3 to 6, each with 4 to 5 files of its own and "
    "50 to 200 words back. Not for one file, one search, or work that needs an answer still out; an agent "
    "that does need an earlier answer says so in its prompt: `depends on: <that agent's description>`."
)

LOCAL: Final = frozenset({"hook_report"})
"""Answer from this machine alone, and the same when asked twice; the others may call models."""


def live() -> dict[str, Json]:
    return {
        "version": __version__,
        "instructions": "\n".join([HEAD, *(f"- {name}: {when}" for name, when in WHEN.items()), TAIL]),
        "tools": [describe(load(name)) for name in WHEN],
    }


def describe(tool: Tool[Any]) -> dict[str, Json]:
    hints = {"anthropic/alwaysLoad": tool.always_load, "anthropic/searchHint": tool.search_hint}
    meta = {key: value for key, value in hints.items() if value}
    return {
        "name": tool.name,
        "title": tool.title,
        "description": tool.description,
        "inputSchema": input_schema(tool),
        **({"outputSchema": output_schema(tool.output)} if tool.output else {}),
        "annotations": {
            "readOnlyHint": True,
            "destructiveHint": False,
            "idempotentHint": tool.name in LOCAL,
            "openWorldHint": tool.name not in LOCAL,
        },
        **({"_meta": meta} if meta else {}),
    }


# --- The schemas of arguments and results. ------------------------------------------------------------------
# What the model is shown of a tool's arguments: pydantic's schema without the bytes that add nothing.

NO_NEWS: Final[tuple[Json, ...]] = (None, [], {}, "", 0, False, "auto")
"""Defaults that a reader assumes anyway (0 and False are equal); the others are shown."""


class _Compact(GenerateJsonSchema):
    def field_title_should_be_set(self, _: object) -> bool:
        return False  # it repeats the property's name

    def update_with_validations(self, *_: object) -> None:
        """Leave out limits, which every conversation would pay for: a refusal names them."""

    def nullable_schema(self, schema: NullableSchema) -> dict[str, Json]:
        return self.generate_inner(schema["schema"])  # left out instead of null; a null that comes is taken

    def literal_schema(self, schema: LiteralSchema) -> dict[str, Json]:
        return {"enum": schema["expected"]}  # the values show their type

    def get_default_value(self, schema: WithDefaultSchema) -> Json:
        default = super().get_default_value(schema)
        return NoDefault if default in NO_NEWS else default


def input_schema(tool: Tool[Any]) -> dict[str, Json]:
    """Return the compact JSON schema of a tool's arguments; the client refuses one without type object."""
    found = tool.arguments.model_json_schema(schema_generator=_Compact)
    shown = {key: value for key, value in found.items() if key not in {"title", "description"}}
    arguments = shown.setdefault("properties", {})
    if tool.name == "oracle_batch":
        arguments["preset"]["description"] = presets()
        arguments["personas"]["description"] = f"Instead of a preset: {', '.join(built_in().personas)}."
    if tool.name == "council":  # oracle_batch, always shown beside it, describes the arguments of both
        for name in PanelArguments.model_fields:
            arguments[name] = {
                key: arguments[name][key] for key in ("type", "enum") if key in arguments[name]
            }
    return {"type": "object", "properties": arguments, **shown}


def presets() -> str:
    return ", ".join(f"{name} ({len(members)})" for name, members in built_in().presets.items())


def output_schema(fields: Mapping[str, Json]) -> dict[str, Json]:
    """Return the schema of a result: `headline` is always there, and first.

    The other fields are there when they say something. Open on purpose: what a client was shown at its
    start must not refuse a result of a newer server.
    """
    headline = {"type": "string", "description": "The result in one line."}
    return {"type": "object", "properties": {"headline": headline, **fields}, "required": ["headline"]}
