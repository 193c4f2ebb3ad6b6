"""The list of tools: what `tools/list` answers, how a tool is loaded, and how its arguments are checked.

Importing every tool takes longer than a client should wait for its handshake. So the answer to `tools/list`
is generated into `tools.json`, a committed file (tests/tools_json.py); the server answers from it, and so
does the launcher while it builds an environment. A tool's own module (named as the tool) is imported at its
first call.
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

from fanout_mcp.errors import InvalidInput
from fanout_mcp.state import policy
from fanout_mcp.text import clean_text, decodable, hint
from fanout_mcp.tools.services import Tool
from fanout_mcp.types import Json

SNAPSHOT: Final = Path(__file__).with_name("tools.json")


def load(name: str) -> Tool[Any]:
    """Import the tool's module and return it; ModuleNotFoundError when there is none."""
    tool: Tool[Any] = importlib.import_module(f"fanout_mcp.tools.{name}").TOOL
    return tool


@cache
def snapshot() -> dict[str, Json]:
    """Read what the handshake and `tools/list` answer; the file ships with the package."""
    content: dict[str, Json] = json.loads(SNAPSHOT.read_text(encoding="utf-8"))
    return content


def names() -> list[str]:
    return [tool["name"] for tool in snapshot()["tools"]]


# --- Check a tool's arguments; each mistake is a sentence that the caller can act on. -----------------------
# Rules:
# 1. An unknown argument is refused by name with the nearest valid one: dropped silently, an option that
#    a model misspelt would be ignored unnoticed.
# 2. Types are strict: the client itself turns "5" into 5 where the schema says so; what still arrives
#    mistyped is a mistake. NaN and infinity are refused where a number is wanted.
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
