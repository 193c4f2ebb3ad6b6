"""A chat completion put together from its parts, and read: an answer, or the reason why it is none. Pure.

| what came                                | what it is |
| an error object, also in a 200           | the error of its code (refusals.py) |
| a refusal, a content filter              | Filtered: asking again would not change it |
| thinking alone, at the output limit      | AllThinking: asked once more with a larger budget |
| no text: empty, null                     | BadAnswer |
| finish length, with text                 | an answer, marked truncated |
| no finish reason (or "") and no [DONE]   | Unreachable: the stream was cut |

The thinking of a model that writes it into its text is cut off here, so that nothing downstream reads it.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Final

from fanout_mcp.backends.refusals import error_in, redact, refusal
from fanout_mcp.errors import AllThinking, BackendError, BadAnswer, Filtered, Unreachable
from fanout_mcp.jsonish import MAX_LENGTH, spoken, whole
from fanout_mcp.text import clean_text, printable
from fanout_mcp.types import Answer, Job, Json
from fanout_mcp.usage import Usage

BYTES_A_TOKEN: Final = 4
"""For an estimate where the provider counts nothing: English text and code are near it."""

MAX_TOTAL_TOKENS: Final = 100_000_000
"""A count above it is a defect of the provider, not a bill."""
MAX_DOLLARS: Final = 1_000_000

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


FILTERED: Final = (
    *("content_filter", "safety", "prohibited_content", "recitation", "blocklist", "refusal", "spii"),
)
"""Finish reasons, also of providers that pass on those of the model behind them."""
AT_LIMIT: Final = (
    *("length", "max_tokens", "max_output_tokens", "model_length", "model_context_window_exceeded"),
)


@dataclass(slots=True)
class Completion:
    """Filled by `add` with a whole completion or with its chunks, read by `answer`."""

    host: str
    key: str | None = field(default=None, repr=False)
    text: list[str] = field(default_factory=list)
    refused: list[str] = field(default_factory=list)
    thought: list[str] = field(default_factory=list)
    arguments: list[str] = field(default_factory=list)
    """Of tool calls: where a provider made the wanted schema into a tool, they are the answer."""
    finish: str | None = None
    model: str | None = None
    usage: Json = None
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
        if isinstance(body, list) and len(body) == 1:
            body = body[0]
        found = error_in(body)
        if found is not None:
            raise refusal(200, found, self.host, self.key)
        if not isinstance(body, dict):
            raise BadAnswer(f"{self.host} sent JSON that is not a completion.")
        if isinstance(body.get("model"), str):
            self.model = body["model"]
        for place in (body, body.get("x_groq")):
            if isinstance(place, dict) and isinstance(place.get("usage"), dict):
                self.usage = place["usage"]
        choices = body.get("choices")
        choice = choices[0] if isinstance(choices, list) and choices else None
        if isinstance(choice, dict):
            self._add_choice(choice)

    def _add_choice(self, choice: dict[str, Json]) -> None:
        message, part = choice.get("message"), choice.get("delta")
        if isinstance(message, dict) and not part:
            if _text(message.get("content")):
                self.text.clear()  # some servers end a stream with all of it once more
            part = message
        if isinstance(part, dict):
            content = part.get("content")
            self.text.append(_text(content))
            if len(part) > 1 or not isinstance(content, str):  # most are a piece of text and nothing else
                self.refused.append(_text(part.get("refusal")))
                self.thought += [_text(part.get(name)) for name in _THOUGHT] + _thinking(content)
                self.arguments += _arguments(part.get("tool_calls"))
        elif isinstance(choice.get("text"), str):
            self.text.append(choice["text"])
        finish = choice.get("finish_reason") or choice.get("finishReason")
        if isinstance(finish, str):
            self.finish = finish.lower()

    def answer(self, job: Job, *, streamed: bool) -> Answer:
        """Raises BackendError when what came is not an answer."""
        came = "".join(self.text)
        written = clean_text(came[:MAX_LENGTH])  # what is behind it, no one reads
        text = spoken(written)
        refused = clean_text("".join(self.refused))
        if self.finish is not None and self.finish.startswith(FILTERED):
            raise Filtered(f"{self.host} filtered the answer out ({printable(self.finish)[:40]}).")
        if refused and not text.strip():
            raise Filtered(f"The model refused: {printable(redact(refused, self.key))[:200]}")
        if streamed and self.finish is None and not self.is_done:
            raise Unreachable(f"{self.host} ended the stream before the answer was whole.")
        is_cut = self.finish in AT_LIMIT or len(came) > MAX_LENGTH
        if not text.strip() and not is_cut:
            text = self._elsewhere(job)
        if not text.strip():
            raise self._empty(is_cut=is_cut, has_thought=bool(written.strip()))
        usage = self.spent(job)
        model = printable(self.model or job.model or "unknown")
        return Answer(text, model, usage, truncated=is_cut)

    def _elsewhere(self, job: Job) -> str:
        """Return an answer that stands where none is expected: in a tool's arguments, or, whole, in thinking.

        A server whose parser misses the end of thinking puts all of an answer there. Only JSON and nothing
        else is taken for that: a draft has words around it.
        """
        arguments = "".join(self.arguments)
        if job.schema is not None and isinstance(whole(arguments), dict):
            return clean_text(arguments)
        thought = "".join(self.thought).strip()
        return clean_text(thought) if isinstance(whole(_END.sub("", thought)), dict) else ""

    def _empty(self, *, is_cut: bool, has_thought: bool) -> BackendError:
        has_thought |= bool("".join(self.thought).strip()) or _reasoning_tokens(self.usage) > 0
        if is_cut:
            return AllThinking(
                f"{self.host} sent no text: the model spent its whole output budget before it answered."
            )
        if has_thought:
            return BadAnswer(f"{self.host} sent thinking and no answer.")
        if self.arguments:
            return BadAnswer(f"{self.host} sent no text (tool calls instead of an answer).")
        why = f"finish reason {printable(self.finish)[:40]}" if self.finish else "an empty answer"
        return BadAnswer(f"{self.host} sent no text ({why}).")

    def spent(self, job: Job) -> Usage:
        """What was billed for what has come: as the provider counts it, else estimated, without a price."""
        text = "".join((*self.thought, *self.text))
        return read_usage(self.usage) or (estimate(job, text) if text or self.finish else Usage())


_THOUGHT: Final = ("reasoning", "reasoning_content", "thinking", "reasoning_text")
_END: Final = re.compile(r"(?:<\uff5cend\u2581of\u2581sentence\uff5c>|<\|im_end\|>|</s>)\s*$")


def _text(content: Json) -> str:
    if isinstance(content, str):
        return content
    parts = content if isinstance(content, list) else []
    return "".join(
        part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str)
    )


def _thinking(content: Json) -> list[str]:
    """Return the thinking parts of a content that is a list, as Mistral sends them."""
    parts = content if isinstance(content, list) else []
    return [_text(part.get("thinking")) for part in parts if isinstance(part, dict)]


def _arguments(calls: Json) -> list[str]:
    first = calls[0] if isinstance(calls, list) and calls else None
    function = first.get("function") if isinstance(first, dict) else None
    given = function.get("arguments") if isinstance(function, dict) else ""
    return [given if isinstance(given, str) else json.dumps(given)]


def _reasoning_tokens(usage: Json) -> int:
    details = usage.get("completion_tokens_details") if isinstance(usage, dict) else None
    return (tokens(details.get("reasoning_tokens")) or 0) if isinstance(details, dict) else 0


def read_usage(usage: Json) -> Usage | None:
    """Read a usage object; None when its counts are missing or can't be true."""
    if not isinstance(usage, dict):
        return None
    asked, answered = (tokens(usage.get(name)) for name in ("prompt_tokens", "completion_tokens"))
    if asked is None or answered is None:
        return None
    return Usage(asked, answered, dollars(usage.get("cost", usage.get("estimated_cost"))))


def tokens(count: Json) -> int | None:
    is_count = isinstance(count, int) and not isinstance(count, bool) and 0 <= count <= MAX_TOTAL_TOKENS
    return int(count) if is_count else None


def dollars(cost: Json) -> float | None:
    """Read a sum; None for anything else: a price that is not known is never 0."""
    is_number = isinstance(cost, (int, float)) and not isinstance(cost, bool)
    value = float(cost or 0) if is_number and -1 < (cost or 0) < MAX_DOLLARS else -1.0
    return value if value >= 0 else None


def estimate(job: Job, text: str) -> Usage:
    asked = len((job.prompt.system + job.prompt.user).encode("utf-8", "replace"))
    answered = len(text.encode("utf-8", "replace"))
    return Usage(-(-asked // BYTES_A_TOKEN), -(-answered // BYTES_A_TOKEN))


# --- Server-sent events -------------------------------------------------------------------------------------
# Cut out of bytes that arrive in any pieces. Pure: bytes in, the events' data out.
# Lines end in LF, CRLF or CR; an empty line ends an event; comments (keep-alives) and other fields are
# skipped, and so are events whose data is empty (keep-alives of some gateways). One field more than the HTML
# standard (section 9.2.6) knows is read: llama.cpp sends `error: {...}` and nothing else when a stream fails.


@dataclass(slots=True)
class EventStream:
    _rest: bytearray = field(default_factory=bytearray)
    _data: list[bytes] = field(default_factory=list)

    def feed(self, chunk: bytes) -> list[str]:
        """Take the next bytes; return the data of every event that they complete."""
        has_held_cr = self._rest.endswith(b"\r")
        self._rest += chunk
        if not has_held_cr and b"\n" not in chunk and b"\r" not in chunk:
            return []  # a long line in many small pieces must not be searched again for each of them
        lines = self._rest.splitlines(keepends=True)
        # A CR at the very end waits: the LF that belongs to it may come with the next bytes.
        is_whole = lines[-1].endswith(b"\n")
        self._rest = bytearray() if is_whole else lines.pop()
        return [event for line in lines if (event := self._line(bytes(line).rstrip(b"\r\n"))) is not None]

    def end(self) -> list[str]:
        """Return what a last event without its empty line holds; some servers forget it."""
        return self.feed(b"\n\n")

    def _line(self, line: bytes) -> str | None:
        if line.startswith(b"data:"):
            self._data.append(line[5:].removeprefix(b" "))
            return None
        if line.startswith(b"error:"):
            said = line[6:].strip().decode("utf-8", "replace")
            return f'{{"error": {said if said[:1] == "{" else json.dumps(said)}}}'
        if line or not self._data:
            return None
        event = b"\n".join(self._data).decode("utf-8", "replace")
        self._data.clear()
        return event if event.strip() else None
