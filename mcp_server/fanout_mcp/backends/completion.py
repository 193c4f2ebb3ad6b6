"""A chat completion put together from its parts, and read: an answer, or the reason why it is none. Pure.

| what came                         | what it is |
| an error object, also in a 200    | the error of its code |
| a refusal, finish content_filter  | Rejected: asking again would not change it |
| no text: empty, null, tool calls  | BadAnswer |
| finish length, with text          | an answer, marked truncated |
| no finish reason and no [DONE]    | Unreachable: the stream was cut |
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import Final

from fanout_mcp.backends.refusals import error_in, redact, refusal
from fanout_mcp.clean import clean_text, printable
from fanout_mcp.errors import BadAnswer, Rejected, Unreachable
from fanout_mcp.types import Answer, Job, Json
from fanout_mcp.usage import Usage

BYTES_A_TOKEN: Final = 4
"""For an estimate where the provider counts nothing: English text and code stand near it."""

MOST_TOKENS: Final = 100_000_000
"""A count above it is a defect of the provider, not a bill."""
MOST_DOLLARS: Final = 1_000_000

_DECODER: Final = json.JSONDecoder(parse_constant=lambda _: None)
"""Made once: json.loads makes one a call when NaN is to be read otherwise."""


def parse(text: str | bytes) -> Json:
    """Parse JSON from outside. Raises BadAnswer, also for nesting that exhausts the stack; NaN is null."""
    try:
        return _DECODER.decode(text if isinstance(text, str) else text.decode(json.detect_encoding(text)))
    except RecursionError:
        raise BadAnswer("The provider sent JSON that is nested too deeply.") from None
    except ValueError as error:
        where = f" (character {error.pos:,})" if isinstance(error, json.JSONDecodeError) else ", not UTF-8"
        raise BadAnswer(f"The provider sent broken JSON{where}.") from None


@dataclass(slots=True)
class Completion:
    """Filled by `add` with a whole completion or with its chunks, read by `answer`."""

    host: str
    key: str | None = field(default=None, repr=False)
    text: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    finish: str | None = None
    model: str | None = None
    usage: Json = None
    has_tool_calls: bool = False
    is_done: bool = False

    def add_event(self, data: str) -> None:
        """Take the data of one event; some servers put two objects into one. After [DONE] comes nothing."""
        if self.is_done or data.strip() == "[DONE]":
            self.is_done = True
            return
        try:
            self.add(parse(data))
        except BadAnswer:
            lines = data.splitlines()
            if len(lines) < 2:
                raise
            for line in lines:
                self.add_event(line)

    def add(self, body: Json) -> None:
        """Raises BackendError for an error object."""
        found = error_in(body)
        if found is not None:
            status, message = found
            raise refusal(status or 502, message, self.host, self.key)
        if not isinstance(body, dict):
            raise BadAnswer(f"{self.host} sent JSON that is no completion.")
        if isinstance(body.get("model"), str):
            self.model = body["model"]
        if isinstance(body.get("usage"), dict):
            self.usage = body["usage"]
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(choice, dict):
            self._add_choice(choice)

    def _add_choice(self, choice: dict[str, Json]) -> None:
        part = choice.get("delta") or choice.get("message")
        if isinstance(part, dict):
            self.text.append(_text(part.get("content")))
            self.refused.append(_text(part.get("refusal")))
            self.has_tool_calls |= bool(part.get("tool_calls"))
        if isinstance(choice.get("finish_reason"), str):
            self.finish = choice["finish_reason"]

    def answer(self, job: Job, *, streamed: bool) -> Answer:
        """Raises BackendError when what came is no answer."""
        text = clean_text("".join(self.text))
        refused = clean_text("".join(self.refused))
        if self.finish == "content_filter":
            raise Rejected(f"{self.host} filtered the answer out (content_filter).")
        if refused and not text.strip():
            raise Rejected(f"The model refused: {printable(redact(refused, self.key))[:200]}")
        if streamed and self.finish is None and not self.is_done:
            raise Unreachable(f"{self.host} ended the stream before the answer was whole.")
        if not text.strip():
            raise BadAnswer(f"{self.host} sent no text ({self._why_empty()}).")
        usage = self.spent(job)
        model = printable(self.model or job.model or "unknown")
        return Answer(text, model, usage, truncated=self.finish == "length")

    def spent(self, job: Job) -> Usage:
        """What was billed for what has come: as the provider counts it, else estimated, without a price."""
        text = "".join(self.text)
        return read_usage(self.usage) or (estimate(job, text) if text or self.finish else Usage())

    def _why_empty(self) -> str:
        if self.finish == "length":
            return "the model spent all its tokens before it answered"
        if self.has_tool_calls:
            return "tool calls instead of an answer"
        return f"finish reason {printable(self.finish)[:40]}" if self.finish else "an empty answer"


def _text(content: Json) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(
        part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


def read_usage(usage: Json) -> Usage | None:
    """Read a usage object; None when its counts are missing or can't be true."""
    if not isinstance(usage, dict):
        return None
    asked, answered = (tokens(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    if asked is None or answered is None:
        return None
    return Usage(asked, answered, dollars(usage.get("cost")))


def tokens(count: Json) -> int | None:
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MOST_TOKENS
    return int(count) if is_count else None


def dollars(cost: Json) -> float | None:
    """Read a sum; None for what is no sum: a price that is not known is never 0."""
    is_number = isinstance(cost, (int, float)) and not isinstance(cost, bool)
    value = float(cost or 0) if is_number and -1 < (cost or 0) < MOST_DOLLARS else -1.0
    return value if value >= 0 else None


def estimate(job: Job, text: str) -> Usage:
    asked = len((job.prompt.system + job.prompt.user).encode("utf-8", "replace"))
    answered = len(text.encode("utf-8", "replace"))
    return Usage(-(-asked // BYTES_A_TOKEN), -(-answered // BYTES_A_TOKEN))
