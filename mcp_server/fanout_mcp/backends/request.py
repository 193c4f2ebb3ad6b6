"""What an OpenAI-compatible endpoint is asked, also without what that endpoint does not know. Pure.

An endpoint that refuses a field is asked without it, once for each field; what an answer came without is left
out from then on. Rows of providers.toml name what a provider is known to lack, so that not even the first
question is refused.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from fanout_mcp.errors import BackendError, BadAnswer, ContextTooSmall, Rejected, ServerFault
from fanout_mcp.text import clean_text
from fanout_mcp.types import Job, Json

Body = dict[str, Json]


class Quirk(NamedTuple):
    """Words of a refusal about something that an endpoint does not know, and the body without it."""

    words: re.Pattern[str]
    change: Callable[[Body], Body]


def _quirk(words: str, change: Callable[[Body], Body]) -> Quirk:
    return Quirk(re.compile(words, re.IGNORECASE), change)


def _without(*names: str) -> Callable[[Body], Body]:
    return lambda body: {name: value for name, value in body.items() if name not in names}


def _renamed(old: str, new: str) -> Callable[[Body], Body]:
    return lambda body: {**_without(old)(body), new: body[old]} if old in body else body


def _system_in_turn(body: Body) -> Body:
    """Put the system text before the question, in the user's own turn."""
    messages = body["messages"]
    system = [one["content"] for one in messages if one["role"] == "system"]
    others = [one for one in messages if one["role"] != "system"]
    if not system or not others:
        return body if not system else {**body, "messages": [{"role": "user", "content": system[0]}]}
    first = {**others[0], "content": "\n\n".join([*system, others[0]["content"]])}
    return {**body, "messages": [first, *others[1:]]}


def _not_streamed(body: Body) -> Body:
    return {**_without("stream_options")(body), "stream": False} if body.get("stream") else body


QUIRKS: Final[Mapping[str, Quirk]] = {
    "token limit": _quirk(
        r"max_completion_tokens(?!.{0,40}(?:is not|isn't|not) (?:supported|permitted))",
        _renamed("max_tokens", "max_completion_tokens"),
    ),
    "older token limit": _quirk(r"max_completion_tokens", _renamed("max_completion_tokens", "max_tokens")),
    "usage": _quirk(r"stream_options|include_usage", _without("stream_options", "usage")),
    "schema": _quirk(
        r"response_format|json_?schema|json_validate|\bschema|structured|grammar|guided|output_config|"
        r"failed to generate json|additionalproperties|requested parameters",
        _without("response_format"),
    ),
    "effort": _quirk(r"reasoning|effort|thinking", _without("reasoning_effort", "reasoning")),
    "system": _quirk(
        r"system (?:role|message|prompt|instruction)|developer instruction|role.{0,30}system|"
        r"roles? must alternate|only user and assistant",
        _system_in_turn,
    ),
    "stream": _quirk(
        r"stream(?:ing)?\b.{0,60}(?:not|n't|un)\s?(?:support|allow|available|verified)|"
        r"(?:not|n't) support stream|verified to stream",
        _not_streamed,
    ),
}
"""The first whose words are there and whose change changes something is tried."""


def request_body(job: Job, model: str, *, is_openrouter: bool = False) -> Body:
    messages = [("system", job.prompt.system), ("user", job.prompt.user)]
    body: Body = {
        "model": clean_text(model),
        "messages": [{"role": role, "content": clean_text(text)} for role, text in messages if text],
        "max_tokens": job.max_tokens,
        "stream": True,
        "stream_options": {"include_usage": True},
    }
    if is_openrouter:
        body["usage"] = {"include": True}
    if job.schema is not None:
        schema = {"name": "answer", "strict": True, "schema": dict(job.schema)}
        body["response_format"] = {"type": "json_schema", "json_schema": schema}
    return body


UNEXPLAINED: Final = re.compile(
    r"^\W*$|bad request|invalid (?:request|argument|input|parameter|payload|body)|provider returned error|"
    r"unknown error|malformed|unprocessable|validation|unsupported|not supported|unrecognized|unexpected|"
    r"extra (?:field|input)",
    re.IGNORECASE,
)
"""Words of a 400 that does not say which field is wrong: the schema is what servers trip over most."""


def find_quirk(error: BackendError, sent: Body) -> str | None:
    """Return the first quirk that the refusal is about and that would change what was sent."""
    if type(error) not in {Rejected, ServerFault, BadAnswer}:
        return None
    words = error.words or ("" if "answered" in str(error) else str(error))
    for name, quirk in QUIRKS.items():
        if quirk.words.search(words) and quirk.change(sent) != sent:
            return name
    is_suspect = "answered 400" in str(error) and "response_format" in sent and UNEXPLAINED.search(words)
    return "schema" if is_suspect else None


# --- a smaller output budget -------------------------------------------------------------------------------

MIN_OUTPUT: Final = 256
"""Tokens; with less no member can answer in its form."""
MARGIN: Final = 64
"""Tokens that a template puts around a prompt."""

_TOO_MANY: Final = re.compile(
    r"(?:max_(?:completion_|output_|new_)?tokens|maxoutputtokens|(?:output|completion) tokens)\b.{0,120}?"
    r"(?:at most|less than(?: or equal to)?|<=|maximum(?: \w+){0,3}|up to|exceeds? (?:\w+ ){0,4}"
    r"|limit(?: (?:is|of))?"
    r"|between 1 and|\[1,|: \d+ >)\D{0,12}?(\d[\d,_]*)"
    r"|(?:can only afford|supports? (?:at most|up to)) (\d[\d,_]*)",
    re.IGNORECASE | re.DOTALL,
)

_REQUESTED: Final = re.compile(r"limit:? [\d,]+,(?: used:? [\d,]+,)? requested:? (\d[\d,]*)", re.IGNORECASE)
"""Of a limit by the minute: the prompt and the output budget together."""


def smaller_budget(error: BackendError, prompt_tokens: int, asked: int) -> int | None:
    """Return the budget below `asked` that a refusal leaves room for; `prompt_tokens`: our own count."""
    if isinstance(error, ContextTooSmall):
        if error.limit is None:
            return None
        whole = _REQUESTED.search(error.words)
        counted = error.prompt or (int(re.sub(r"\D", "", whole[1])) - asked if whole else 0)
        room = error.limit - (counted if counted > 0 else prompt_tokens) - MARGIN
    elif isinstance(error, Rejected):
        found = [int(re.sub(r"\D", "", "".join(groups))) for groups in _TOO_MANY.findall(error.words)]
        room = min((count for count in found if count < asked), default=0)
    else:
        return None
    return room if MIN_OUTPUT <= room < asked else None
