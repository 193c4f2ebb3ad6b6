"""What an OpenAI-compatible endpoint is asked, also without what that endpoint does not know. Pure."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final, NamedTuple

from fanout_mcp.clean import clean_text
from fanout_mcp.types import Job, Json

Body = dict[str, Json]


class Quirk(NamedTuple):
    """Words of a 400 that tell of something an endpoint does not know, and the body without it."""

    words: tuple[str, ...]
    change: Callable[[Body], Body]


def _without(*names: str) -> Callable[[Body], Body]:
    return lambda body: {name: value for name, value in body.items() if name not in names}


def _newer_token_limit(body: Body) -> Body:
    rest = _without("max_tokens")(body)
    return {**rest, "max_completion_tokens": body["max_tokens"]} if "max_tokens" in body else body


QUIRKS: Final[Mapping[str, Quirk]] = {
    "token limit": Quirk(("max_completion_tokens",), _newer_token_limit),
    "usage": Quirk(("stream_options", "include_usage"), _without("stream_options", "usage")),
    "schema": Quirk(("response_format", "json_schema", "schema", "structured"), _without("response_format")),
}


def request_body(job: Job, model: str, *, is_openrouter: bool) -> Body:
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


OTHER_CAUSES: Final = (
    *("context", "too long", "too large", "token", "credit", "quota", "balance", "billing"),
    *("policy", "moderation", "safety", "flagged", "not found", "not exist", "no such"),
)
"""Words of a 400 that is not about the form of the request: asking in another form changes nothing."""


def find_quirk(message: str, sent: Body) -> str | None:
    """Return the first quirk that the message tells of and that would change what was sent."""
    for name, quirk in QUIRKS.items():
        if any(word in message for word in quirk.words) and quirk.change(sent) != sent:
            return name
    is_explained = any(word in message.lower() for word in OTHER_CAUSES)
    is_suspect = "answered 400" in message and "response_format" in sent and not is_explained
    return "schema" if is_suspect else None
