"""Check a tool's arguments, and say what is wrong in sentences that the caller can act on.

Rules:
1. An unknown argument is refused by name with the nearest valid one: dropped silently, an option that
   a model misspelt would be ignored unnoticed.
2. Types are strict: the client itself turns "5" into 5 where the schema says so; what still arrives
   mistyped is a mistake. NaN and infinity are no numbers.
3. Values are never echoed: an argument may hold a secret.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Mapping
from difflib import get_close_matches
from typing import TypeVar

from pydantic import BaseModel, ValidationError
from pydantic_core import ErrorDetails

from fanout_mcp.clean import clean_text
from fanout_mcp.errors import InvalidInput
from fanout_mcp.types import Json

A = TypeVar("A", bound=BaseModel)

MAX_SENTENCES = 8
"""More mistakes than that are counted, not listed."""

_INPUT_SHOULD = re.compile(r"^(Input|String|List|Tuple|Set|Dictionary|Value) should")


def parse(model: type[A], arguments: Mapping[str, Json]) -> A:
    """Return the arguments as `model`. Raises InvalidInput with a sentence for each mistake."""
    problems = _unknown(model, arguments) + _not_numbers(arguments)
    if not problems:
        try:
            # As JSON, where strict mode still lets an array become a tuple or a set.
            return model.model_validate_json(json.dumps(_cleaned(arguments)), strict=True)
        except ValidationError as error:
            problems = [_sentence(detail, arguments) for detail in error.errors(include_url=False)]
        except RecursionError:
            problems = ["The arguments are nested too deeply."]
    raise InvalidInput(" ".join(_first(list(dict.fromkeys(problems)))))


def _first(problems: list[str]) -> list[str]:
    more = len(problems) - MAX_SENTENCES
    return [*problems[:MAX_SENTENCES], f"And {more} more."] if more > 0 else problems


def _unknown(model: type[BaseModel], arguments: Mapping[str, Json]) -> list[str]:
    known = list(model.model_fields)
    return [_unknown_argument(name, known) for name in arguments if name not in known]


def _unknown_argument(name: str, known: list[str]) -> str:
    shown = clean_text(name)[:60]
    near = get_close_matches(name, known, n=1, cutoff=0.5)
    if near:
        return f"There is no argument `{shown}`; did you mean `{near[0]}`?"
    return f"There is no argument `{shown}`; there are {', '.join(known) or 'none'}."


def _not_numbers(value: Json, where: str = "") -> list[str]:
    if isinstance(value, float) and not math.isfinite(value):
        return [f"`{where}` must be a finite number."]
    if isinstance(value, Mapping):
        return [s for key, item in value.items() for s in _not_numbers(item, _join(where, key))]
    if isinstance(value, list):
        return [s for item in value for s in _not_numbers(item, where)]
    return []


def _join(where: str, key: str) -> str:
    return f"{where}.{key}" if where else key


def _cleaned(value: Json) -> Json:
    """Replace lone surrogates, which no JSON parser downstream accepts."""
    if isinstance(value, str):
        return clean_text(value, keep_nul=True)
    if isinstance(value, Mapping):
        return {clean_text(key): _cleaned(item) for key, item in value.items()}
    if isinstance(value, list):
        return [_cleaned(item) for item in value]
    return value


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
    said = _INPUT_SHOULD.sub("must", detail["msg"]).replace("a valid array", "a list")
    return f"`{where}` {said[:200]}."


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
