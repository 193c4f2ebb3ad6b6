"""The list of tools: what `tools/list` answers, how a tool is loaded, and how its arguments are checked.

Importing every tool takes longer than a client should wait for its handshake. So the answer to `tools/list`
is generated into `tools.json`, a committed file (`make generate` writes it, a test compares it with the
tools); the server answers from it, and so does the launcher while it builds an environment. A tool's own
module (named as the tool) is imported at its first call.
"""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from difflib import get_close_matches
from functools import cache
from pathlib import Path
from typing import Any, Final, TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fanout_mcp import __version__
from fanout_mcp.errors import InvalidInput
from fanout_mcp.state import policy
from fanout_mcp.text import clean_text, decodable, hint
from fanout_mcp.tools.services import Tool
from fanout_mcp.types import Json

SNAPSHOT: Final = Path(__file__).with_name("tools.json")

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


def load(name: str) -> Tool[Any]:
    """Import the tool's module and return it; ModuleNotFoundError when there is none."""
    tool: Tool[Any] = importlib.import_module(f"fanout_mcp.tools.{name}").TOOL
    return tool


def live() -> dict[str, Json]:
    """Build what the snapshot holds from the tools themselves; `make generate` writes it."""
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
        "inputSchema": input_schema(tool.arguments),
        **({"outputSchema": output_schema(tool.output)} if tool.output else {}),
        "annotations": {
            "readOnlyHint": True,
            "destructiveHint": False,
            "idempotentHint": tool.name in LOCAL,
            "openWorldHint": tool.name not in LOCAL,
        },
        **({"_meta": meta} if meta else {}),
    }


@cache
def snapshot() -> dict[str, Json]:
    """Read what the handshake and `tools/list` answer; the file ships with the package."""
    content: dict[str, Json] = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    return content


def names() -> list[str]:
    return [tool["name"] for tool in snapshot()["tools"]]


# --- The schemas of arguments and results. ------------------------------------------------------------------
# What the model is shown of a tool's arguments: pydantic's schema without the bytes that add nothing.

NOISE = frozenset({"title", "$defs"})
"""`title` repeats the property's name; definitions are inlined where they are used."""
LIMITS = frozenset(
    {"minLength", "maxLength", "minItems", "maxItems", "minimum", "maximum", "exclusiveMinimum"}
)
"""Left out of the schema, which every conversation pays for; the refusal of a wrong value names the limit."""
NO_NEWS: Final[tuple[Json, ...]] = (None, [], {}, "", 0, False, "auto")
"""Defaults that a reader assumes anyway (0 and False are equal); the others are shown."""


def input_schema(model: type[BaseModel]) -> dict[str, Json]:
    """Return the compact JSON schema of a tool's arguments; the client refuses one without type object."""
    full = model.model_json_schema()
    schema = _compact(full, full.get("$defs", {}))
    return {"type": "object", "properties": {}, **schema}


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
    if "enum" in node:
        node = {key: value for key, value in node.items() if key != "type"}  # the values show it
    small = {
        key: _value(key, value, definitions)
        for key, value in node.items()
        if key not in NOISE | LIMITS and not (key == "default" and value in NO_NEWS)
    }
    if small.get("type") == "object" and "description" in small and "properties" in small:
        del small["description"]  # the docstring of the model: the tool's description says it
    return small


def _value(key: str, value: Json, definitions: Mapping[str, Json]) -> Json:
    if key == "properties":  # its keys are argument names: `title` may be one
        return {name: _compact(item, definitions) for name, item in value.items()}
    return _compact(value, definitions)


def _without_null(node: dict[str, Json]) -> dict[str, Json]:
    """`X | None` is shown as X: an argument that may be left out needs no null (one that comes is taken)."""
    branches = [item for item in node.get("anyOf", []) if item != {"type": "null"}]
    if "anyOf" not in node or len(branches) == len(node["anyOf"]):
        return node
    rest = {key: value for key, value in node.items() if key != "anyOf"}
    return {**branches[0], **rest} if len(branches) == 1 else {**rest, "anyOf": branches}


# --- Check a tool's arguments; each mistake is a sentence that the caller can act on. -----------------------
# Rules:
# 1. An unknown argument is refused by name with the nearest valid one: dropped silently, an option that
#    a model misspelt would be ignored unnoticed.
# 2. Types are strict: the client itself turns "5" into 5 where the schema says so; what still arrives
#    mistyped is a mistake. NaN and infinity are refused.
# 3. Values are never echoed: an argument may hold a secret.

A = TypeVar("A", bound=BaseModel)

MAX_SENTENCES = 8
"""More mistakes than that are counted, not listed."""

_INPUT_SHOULD = re.compile(r"^(Input|String|List|Tuple|Set|Dictionary|Value) should")


def parse(model: type[A], arguments: Mapping[str, Json]) -> A:
    """Return the arguments as `model`. Raises InvalidInput with a sentence for each mistake."""
    problems = _unknown(model, arguments)
    if not problems:
        try:
            # As JSON, where strict mode still lets an array become a tuple or a set.
            return _affordable(model.model_validate_json(json.dumps(decodable(arguments)), strict=True))
        except ValidationError as error:
            problems = [_sentence(detail, arguments) for detail in error.errors(include_url=False)]
        except RecursionError:
            problems = ["The arguments are nested too deeply."]
    said = list(dict.fromkeys(problems))
    more = [f"And {len(said) - MAX_SENTENCES} more."] if len(said) > MAX_SENTENCES else []
    raise InvalidInput(" ".join([*said[:MAX_SENTENCES], *more]))


def _affordable(parsed: A) -> A:
    """Lower what a call may cost to the policy's dollars. Raises InvalidInput where more was asked for."""
    name = "max_cost_usd"
    asked = getattr(parsed, name, None)
    if not isinstance(asked, float):
        return parsed
    allowed = policy.dollars_of(asked, is_default=name not in parsed.model_fields_set)
    return parsed if allowed == asked else parsed.model_copy(update={name: allowed})


def _unknown(model: type[BaseModel], arguments: Mapping[str, Json]) -> list[str]:
    known = list(model.model_fields)
    return [
        f"There is no argument `{clean_text(name)[:60]}`; {hint(name, known, '`{}`')}"
        for name in arguments
        if name not in known
    ]


def _sentence(detail: ErrorDetails, arguments: Mapping[str, Json]) -> str:
    # Pydantic appends the branch of a union ("list[str]", "literal['a']") to the place: not a name of ours.
    steps = [step for step in detail["loc"] if not isinstance(step, str) or step.isidentifier()]
    where = ".".join(map(str, steps)) or "arguments"
    kind = detail["type"]
    if kind == "missing":
        return f"`{where}` is required."
    if kind == "literal_error":
        return f"`{where}` must be {_choices(detail, arguments)}"
    if kind == "extra_forbidden":
        return f"There is no argument `{where}`."
    if kind == "value_error":
        return f"`{where}`: {str(detail.get('ctx', {}).get('error', 'is not valid'))[:300]}"
    reason = _INPUT_SHOULD.sub("must", detail["msg"]).replace("a valid array", "a list")
    return f"`{where}` {reason[:200]}."


def _choices(detail: ErrorDetails, arguments: Mapping[str, Json]) -> str:
    expected = str(detail.get("ctx", {}).get("expected", "one of the listed values"))
    given = _at(arguments, detail["loc"])
    options = [option.strip("'") for option in expected.replace(" or ", ", ").split(", ")]
    near = get_close_matches(given, options, n=1) if isinstance(given, str) else []
    return f"{expected}; did you mean '{near[0]}'?" if near else f"{expected}."


def _at(value: Json, loc: tuple[int | str, ...]) -> Json:
    for step in loc:
        try:
            value = value[step]
        except (KeyError, IndexError, TypeError):
            return value
    return value
