"""What the model is shown of a tool's arguments: pydantic's schema without the bytes that say nothing."""

from __future__ import annotations

from collections.abc import Mapping

from pydantic import BaseModel

from fanout_mcp.types import Json

NOISE = frozenset({"title", "$defs"})
"""`title` repeats the property's name; definitions are put where they are used."""
LIMITS = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum"}
)
"""Every conversation would pay for them, and a refusal says them to the one that needs them."""


def input_schema(model: type[BaseModel]) -> dict[str, Json]:
    """Return the compact JSON schema of a tool's arguments; the client refuses one without type object."""
    full = model.model_json_schema()
    schema = _compact(full, full.get("$defs", {}))
    return {"type": "object", "properties": {}, **schema}


LINES: dict[str, Json] = {"type": "array", "items": {"type": "string"}}
"""Of fields that are lists of lines."""


def output_schema(fields: Mapping[str, Json]) -> dict[str, Json]:
    """Return the schema of a result: `headline` is always there, and first.

    The other fields are there when they say something. Open on purpose: what a client was shown at its
    start must not refuse a result of a newer server.
    """
    headline = {"type": "string", "description": "The result in one line."}
    return {"type": "object", "properties": {"headline": headline, **fields}, "required": ["headline"]}


def _compact(node: Json, definitions: Mapping[str, Json]) -> Json:
    if isinstance(node, list):
        return [_compact(item, definitions) for item in node]
    if not isinstance(node, dict):
        return node
    if "$ref" in node:
        rest = {key: value for key, value in node.items() if key != "$ref"}
        return _compact({**definitions[node["$ref"].rsplit("/", 1)[-1]], **rest}, definitions)
    node = _without_null(node)
    small = {key: _value(key, value, definitions) for key, value in node.items() if not _is_noise(key, value)}
    if small.get("type") == "object" and "description" in small and "properties" in small:
        del small["description"]  # the docstring of the model: the tool's description says it
    return small


def _value(key: str, value: Json, definitions: Mapping[str, Json]) -> Json:
    if key == "properties":  # its keys are argument names: `title` may be one
        return {name: _compact(item, definitions) for name, item in value.items()}
    return _compact(value, definitions)


def _is_noise(key: str, value: Json) -> bool:
    return key in NOISE | LIMITS or (key == "default" and value in (None, [], {}, ""))


def _without_null(node: dict[str, Json]) -> dict[str, Json]:
    """`X | None` is shown as X: an argument that may be left out needs no null (one that comes is taken)."""
    branches = [item for item in node.get("anyOf", []) if item != {"type": "null"}]
    if "anyOf" not in node or len(branches) == len(node["anyOf"]):
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**branches[0], **rest} if len(branches) == 1 else {**rest, "anyOf": branches}
