"""What providers really send, by their documentation and public bug reports, and what becomes of it.

A shape is a script of HTTP answers, one a request (the last one repeats). What is asserted is the outcome,
how many requests it took, and what the last one asked for: a request that a reader of the shape would not
have made is a waste.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any, Final

import anyio
import pytest

from fakes.upstream import Rule, Upstream, serving
from fanout_mcp.backends.choose import open_backend
from fanout_mcp.engine.limits import Limits
from fanout_mcp.engine.run import Plan, run
from fanout_mcp.errors import (
    AllThinking,
    AuthRejected,
    BackendError,
    BadAnswer,
    ContextTooSmall,
    Filtered,
    ModelGone,
    NotAllowed,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Rejected,
    ServerFault,
    Unreachable,
)
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Job, Outcome, Prompt

pytestmark = pytest.mark.anyio

Pointing = Callable[[Upstream], Settings]
KEY: Final = "sk-or-v1-0123456789abcdef-very-secret"
SCHEMA: Final = {"type": "object", "properties": {"ok": {"type": "boolean"}}}


def error(status: int, body: Any = "", **headers: str) -> Rule:
    """A refusal with this body; a string is sent as it stands."""
    text = body if isinstance(body, str) else json.dumps(body)
    return Rule(kind="status", status=status, body=text or " ", retry_after=headers.get("retry_after"))


def said(message: str, **more: Any) -> dict[str, Any]:
    return {"error": {"message": message, **more}}


def upstream_said(raw: str, code: int = 400, provider: str = "Acme") -> dict[str, Any]:
    """A gateway's error about the provider behind it."""
    return said("Provider returned error", code=code, metadata={"raw": raw, "provider_name": provider})


def chunk(finish: str | None = None, usage: Any = None, **delta: Any) -> str:
    body = {"model": "m", "choices": [{"delta": delta, "finish_reason": finish}]}
    return f"data: {json.dumps({**body, 'usage': usage} if usage else body)}\n\n"


def stream(*events: str, done: bool = True, kind: str = "text/event-stream") -> Rule:
    return Rule(kind="raw", content_type=kind, body="".join(events) + ("data: [DONE]\n\n" if done else ""))


def whole(content: Any = None, finish: str = "stop", kind: str = "application/json", **message: Any) -> Rule:
    choice = {"message": {"role": "assistant", "content": content, **message}, "finish_reason": finish}
    return Rule(kind="raw", content_type=kind, body=json.dumps({"model": "m", "choices": [choice]}))


THINKING: Final = [chunk(reasoning="Let me see. "), chunk(reasoning="Hm. ")]
ALL_THINKING: Final = stream(*THINKING, chunk("length"))
FINE: Final = stream(chunk(content='{"ok"'), chunk(content=": true}"), chunk("stop"))
OK: Final = '{"ok": true}'


@dataclass(frozen=True)
class Shape:
    """Answers in turn, and what is wanted of them."""

    answers: tuple[Rule, ...]
    wanted: str | type[BackendError] = OK
    """The text of the answer, or the error."""
    requests: int = 1
    says: str = ""
    """Words of the reason."""
    asks: Callable[[dict[str, Any]], bool] = lambda _: True
    """Of the last request's body."""
    tokens_out: int = 0
    """As billed; 0: not looked at."""


def shape(*answers: Rule, wanted: str | type[BackendError] = OK, **more: Any) -> Shape:
    return Shape(answers, wanted, **more)


def lost(kind: type[BackendError], answer: Rule, says: str = "", requests: int = 1) -> Shape:
    return Shape((answer,), kind, requests, says)


def has_no(name: str) -> Callable[[dict[str, Any]], bool]:
    return lambda body: name not in body


def asks_at_most(tokens: int) -> Callable[[dict[str, Any]], bool]:
    return lambda body: 0 < body["max_tokens"] <= tokens


def has_one_turn(body: dict[str, Any]) -> bool:
    (message,) = body["messages"]
    return bool(message["role"] == "user" and message["content"] == "You judge.\n\nIs it right?")


THINKS: Final = {
    "reasoning alone at the limit: once more with a larger budget": shape(
        ALL_THINKING, FINE, requests=2, asks=lambda body: body["max_tokens"] >= 3000
    ),
    "reasoning_content alone (DeepSeek, vLLM, LM Studio)": shape(
        stream(chunk(reasoning_content="Hm. "), chunk("length")), FINE, requests=2
    ),
    "thinking alone in a whole answer (llama.cpp)": shape(
        whole("", "length", reasoning_content="Hm."), FINE, requests=2
    ),
    "no text at the limit, only reasoning tokens counted (OpenAI, Azure)": shape(
        stream(
            chunk(
                "length",
                usage={
                    "prompt_tokens": 5,
                    "completion_tokens": 1500,
                    "completion_tokens_details": {"reasoning_tokens": 1500},
                },
            )
        ),
        FINE,
        requests=2,
    ),
    "an unclosed <think> at the limit (Ollama without a parser)": shape(
        stream(chunk(content="<think>Maybe "), chunk(content="not"), chunk("length")), FINE, requests=2
    ),
    "MAX_TOKENS of a Gemini gateway": shape(stream(*THINKING, chunk("MAX_TOKENS")), FINE, requests=2),
    "thinking alone again: lost after two": lost(AllThinking, ALL_THINKING, "whole output budget", 2),
    "<think> before the answer": shape(stream(chunk(content=f"<think>No.</think>\n\n{OK}"), chunk("stop"))),
    "thinking as parts of the content (Mistral)": shape(
        stream(
            chunk(content=[{"type": "thinking", "thinking": [{"type": "text", "text": "Hm."}]}]),
            chunk(content=[{"type": "text", "text": OK}]),
            chunk("stop"),
        )
    ),
    "all of the answer as reasoning_content, finished (vLLM 17357, 48645)": shape(
        stream(chunk(reasoning_content=f"{OK}<｜end▁of▁sentence｜>"), chunk("stop", content="")),  # noqa: RUF001
        wanted=f"{OK}<｜end▁of▁sentence｜>",  # noqa: RUF001
    ),
    "a draft in reasoning, finished without an answer": lost(
        BadAnswer, stream(chunk(reasoning=f"Maybe {OK}? No."), chunk("stop")), "thinking and no answer", 2
    ),
}

REFUSED: Final = {
    "moderation (OpenRouter 403)": lost(
        Filtered,
        error(
            403,
            said(
                "openai/gpt-x requires moderation. Your input was flagged", metadata={"reasons": ["violence"]}
            ),
        ),
        "Your input was flagged (violence)",
    ),
    "a key's own limit (OpenRouter 403)": lost(
        QuotaSpent, error(403, said("Key limit exceeded (monthly limit).", code=403)), "Key limit exceeded"
    ),
    "a region, in the raw cause": lost(
        NotAllowed,
        error(
            403,
            upstream_said(
                '{"error":{"code":"unsupported_country_region_territory",'
                '"message":"Country, region, or territory not supported"}}',
                403,
                "OpenAI",
            ),
        ),
        "OpenAI answered 403: Country, region, or territory not supported",
    ),
    "a cause in metadata.raw that is plain text": lost(
        Rejected,
        error(400, upstream_said("temperature is out of range")),
        "Acme answered 400: temperature is out",
    ),
    "401 that echoes the key": lost(
        AuthRejected,
        error(401, said(f"Incorrect API key provided: {KEY}.", code="invalid_api_key")),
        "Check the key",
    ),
    "401 that echoes half of it": lost(
        AuthRejected, error(401, said("Incorrect API key provided: sk-or-v1*****cret.")), "Incorrect API key"
    ),
    "Gemini's 400 for a wrong key, as a list": lost(
        AuthRejected,
        error(
            400,
            [said("API key not valid. Please pass a valid API key.", code=400, status="INVALID_ARGUMENT")],
        ),
        "API key not valid",
    ),
    "no credit (OpenRouter 402)": lost(
        QuotaSpent, error(402, said("Insufficient credits.", code=402)), "credits"
    ),
    "no balance, called an invalid request (DeepSeek)": lost(
        QuotaSpent,
        error(402, said("Insufficient Balance", code="invalid_request_error")),
        "Insufficient Balance",
    ),
    "insufficient_quota as a 429 (OpenAI): waiting does not help": lost(
        QuotaSpent,
        error(
            429, said("You exceeded your current quota, please check your plan.", code="insufficient_quota")
        ),
        "exceeded your current quota",
    ),
    "credit balance (Anthropic 400)": lost(
        QuotaSpent,
        error(
            400,
            {
                "type": "error",
                **said("Your credit balance is too low to access the API.", type="invalid_request_error"),
            },
        ),
        "credit balance is too low",
    ),
    "a retired model (OpenRouter)": lost(
        ModelGone,
        error(404, said("No endpoints found for acme/old.", code=404)),
        "No endpoints found for acme/old",
    ),
    "an unknown model (OpenAI)": lost(
        ModelGone,
        error(
            404,
            said("The model `gpt-9` does not exist", code="model_not_found", type="invalid_request_error"),
        ),
        "does not exist",
    ),
    "an unknown model (xAI: the code beside the error)": lost(
        ModelGone,
        error(
            404, {"code": "Some requested entity was not found", "error": "The model grok-2 was not found."}
        ),
        "grok-2 was not found",
    ),
    "an invalid model (Mistral: no error object)": lost(
        ModelGone,
        error(
            400,
            {
                "object": "error",
                "message": "Invalid model: mistral-x",
                "type": "invalid_model",
                "code": "1500",
            },
        ),
        "Invalid model: mistral-x",
    ),
    "a decommissioned model (Groq)": lost(
        ModelGone,
        error(
            400,
            said(
                "The model `llama2` has been decommissioned and is no longer supported.",
                code="model_decommissioned",
            ),
        ),
        "decommissioned",
    ),
    "a model that is not pulled (Ollama)": lost(
        ModelGone, error(404, said("model 'qwen9' not found", type="api_error")), "'qwen9' not found"
    ),
    "no model loaded (LM Studio)": lost(
        ModelGone,
        error(404, said("No models loaded. Please load a model.", code="model_not_found")),
        "No models loaded",
    ),
    "a deployment that is not there (Azure)": lost(
        ModelGone,
        error(404, said("The API deployment for this resource does not exist.", code="DeploymentNotFound")),
        "deployment",
    ),
    "no access to a model (OpenAI 403)": lost(
        NotAllowed,
        error(403, said("Project `p` does not have access to model `m`", code="model_not_found")),
        "access",
    ),
    "a data policy (OpenRouter 404)": lost(
        NotAllowed,
        error(404, said("No endpoints available matching your guardrail restrictions and data policy.")),
        "data policy",
    ),
    "Azure's content filter on the prompt": lost(
        Filtered,
        error(
            400,
            said(
                "The response was filtered due to the prompt triggering Azure OpenAI's content "
                "management policy.",
                code="content_filter",
                innererror={"code": "ResponsibleAIPolicyViolation"},
            ),
        ),
        "content management policy",
    ),
    "SAFETY as a finish reason (Gemini)": lost(Filtered, stream(chunk("content_filter: SAFETY")), "filtered"),
    "a refusal in parts": lost(
        Filtered, stream(chunk(refusal="I can't"), chunk("stop", refusal=" do it.")), "can't do it"
    ),
    "FastAPI's list of details": lost(
        Rejected,
        error(422, {"detail": [{"loc": ["body", "n"], "msg": "must be 1", "type": "value_error"}]}),
        "must be 1 (body.n)",
    ),
    "a plain string": lost(Rejected, error(400, "n must be 1"), "n must be 1"),
    "an error quoted as text in the message (a gateway before Gemini)": lost(
        Rejected,
        error(400, said('{"error": {"code": 400, "message": "n must be 1"}}', code=400)),
        "n must be 1",
    ),
    "LiteLLM's wrapped message": lost(
        ContextTooSmall,
        error(
            400,
            said(
                "litellm.ContextWindowExceededError: AnthropicException - prompt is too long: 214315 "
                "tokens > 200000 maximum",
                code="400",
            ),
        ),
        "prompt is too long",
    ),
    "the context, as an SSE field (llama.cpp)": lost(
        ContextTooSmall,
        Rule(
            kind="raw",
            content_type="text/event-stream",
            body='error: {"code":400,"message":"the request exceeds the available context '
            'size","type":"exceed_context_size_error"}\n\n',
        ),
        "available context size",
    ),
    "the context, in a 500 (LM Studio)": lost(
        ContextTooSmall,
        error(
            400,
            {
                "error": "Trying to keep the first 5000 tokens when context the overflows. However, the "
                "model "
                "is loaded with context length of only 4096 tokens, which is not enough."
            },
        ),
        "context length",
    ),
    "a question larger than a minute's tokens (Groq 413)": lost(
        ContextTooSmall,
        error(
            413,
            said(
                "Request too large for model `m` on tokens per minute (TPM): Limit 200, Requested 7000",
                code="rate_limit_exceeded",
            ),
        ),
        "Request too large",
    ),
}

REFUSED_TOO: Final = {
    "a key that has expired (Gemini)": lost(
        AuthRejected,
        error(400, [said("API key expired.", code=400, details=[{"reason": "API_KEY_INVALID"}])]),
        "API key expired",
    ),
    "a region (Gemini)": lost(
        NotAllowed, error(400, [said("User location is not supported for the API use.")]), "User location"
    ),
    "a day's quota, with a wait of seconds (Gemini)": lost(
        QuotaSpent,
        error(
            429,
            [
                said(
                    "You exceeded your current quota.",
                    details=[
                        {"violations": [{"quotaId": "GenerateRequestsPerDayPerProjectPerModel-FreeTier"}]},
                        {"retryDelay": "1.5s"},
                    ],
                )
            ],
        ),
        "exceeded your current quota",
    ),
    "a day's tokens, with a wait of minutes (OpenAI)": lost(
        RateLimited,
        error(429, said("Rate limit reached on tokens per day (TPD). Please try again in 7m12s.")),
        "longer than this call can wait",
    ),
    "no credits yet (xAI 403)": lost(
        QuotaSpent,
        error(403, {"code": "No permission", "error": "Your team doesn't have any credits or licenses yet."}),
        "any credits",
    ),
    "credits used up (xAI 429)": lost(
        QuotaSpent,
        error(
            429, {"code": "Exhausted", "error": "Your team used all credits. Please purchase more credits."}
        ),
        "used all credits",
    ),
    "a gateway's budget (LiteLLM 429)": lost(
        QuotaSpent,
        error(429, said("Budget has been exceeded! Max budget: 10.0", type="budget_exceeded", code="429")),
        "Budget has been exceeded",
    ),
    "a gateway's budget without a code (LiteLLM)": lost(
        QuotaSpent,
        error(400, said("Budget has been exceeded! Current cost: 10.2, Max budget: 10.0", type="None")),
        "Current cost: 10.2",
    ),
    "a user over budget (LiteLLM)": lost(
        QuotaSpent,
        error(400, said("ExceededBudget: User=u1 over budget. Spend=10.2, Budget=10.0")),
        "over budget",
    ),
    "a team that exceeded its budget": lost(
        QuotaSpent, error(429, said("Team t1 has exceeded its budget")), "exceeded its budget"
    ),
    "a budget in dollars": lost(
        QuotaSpent, error(429, said("Monthly budget exceeded ($10.02 of $10.00)")), "$10.02"
    ),
    "a budget of thinking tokens": lost(
        Rejected, error(400, said("thinking budget exceeded max_tokens")), "thinking budget"
    ),
    "a model that a fault names by its code": lost(
        ModelGone, error(500, said("Not available", code="model_not_found")), "Not available"
    ),
    "an unknown model as a fault": lost(
        ModelGone, error(500, said("model 'qwen9' not found, try pulling it first")), "'qwen9' not found"
    ),
    "an unknown model, with the words of a path": lost(
        ModelGone,
        error(404, said("Resource not found: model gpt-x", code="model_not_found")),
        "Resource not found: model gpt-x",
    ),
    "not a chat model (OpenAI)": lost(
        ModelGone,
        error(404, said("This is not a chat model and thus not supported in the chat endpoint.")),
        "not a chat model",
    ),
    "a model of another API (OpenAI)": lost(
        ModelGone, error(404, said("This model is only supported in v1/responses.")), "v1/responses"
    ),
    "an embedding model (Ollama)": lost(
        ModelGone, error(400, {"error": "nomic-embed-text:latest does not support chat"}), "support chat"
    ),
    "a model larger than the machine (Ollama 500)": lost(
        ModelGone,
        error(500, said("model requires more system memory (5.6 GiB) than is available (3.9 GiB)")),
        "more system memory",
    ),
    "nothing there, as a problem document (NVIDIA)": lost(
        ModelGone,
        error(404, {"status": 404, "title": "Not Found", "detail": "Function 'a': Not found for account"}),
        "Not found for account",
    ),
    "the context, in the middle of an answer (llama.cpp 500)": lost(
        ContextTooSmall,
        error(500, said("Context size has been exceeded.", type="server_error")),
        "Context size",
    ),
    "a question larger than a minute's tokens, as counted there (Groq 413)": lost(
        ContextTooSmall,
        error(413, said("Request too large for model `m`: Limit 6000, Requested 742011, please reduce")),
        "Limit 6000",
    ),
    "a filter in the middle of an answer (Azure)": lost(
        Filtered, stream(chunk(content='{"ok"'), chunk("content_filter")), "filtered"
    ),
    "a path that is not there, in a 200 (LM Studio)": lost(
        Rejected,
        Rule(kind="raw_json", body='{"error":"Unexpected endpoint or method. (POST /chat/completions)"}'),
        "it has no /chat/completions. Check the base URL",
    ),
    "a page (nginx 413)": lost(
        Rejected,
        error(413, "<html><head><title>413 Request Entity Too Large</title></head></html>"),
        "answered 413: Request Entity Too Large",
    ),
    "a page that asks to sign in, with 200": lost(
        BadAnswer,
        Rule(kind="raw", content_type="text/html", body="<!doctype html><title>Sign in</title><form>"),
        "an HTML page (Sign in)",
        2,
    ),
}

ASKED_OTHERWISE: Final = {
    "the output counted by the minute (Groq 413)": shape(
        error(413, said("Request too large for model `m`: Limit 2000, Requested 2200, please reduce")),
        FINE,
        requests=2,
        asks=asks_at_most(2000 - (2200 - 1500)),
    ),
    "inputs and new tokens together (Together)": shape(
        error(
            422,
            said("`inputs` tokens + `max_new_tokens` must be <= 1600. Given: 300 `inputs` tokens and 1500"),
        ),
        FINE,
        requests=2,
        asks=asks_at_most(1600 - 300),
    ),
    "a context and the prompt's tokens (vLLM)": shape(
        error(
            400,
            {
                "object": "error",
                "message": "'max_tokens' is too large: 1500. This model's maximum context length is 1600 "
                "tokens and your request has 300 input tokens (1500 > 1600 - 300).",
                "type": "BadRequestError",
            },
        ),
        FINE,
        requests=2,
        asks=asks_at_most(1600 - 300),
    ),
    "parameters that no provider takes (OpenRouter 404)": shape(
        error(404, said("No endpoints found that can handle the requested parameters.", code=404)),
        FINE,
        requests=2,
        asks=has_no("response_format"),
    ),
    "an extra field, by its place (Mistral 422)": shape(
        error(
            422, {"detail": [{"loc": ["body", "stream_options"], "msg": "Extra inputs are not permitted"}]}
        ),
        FINE,
        requests=2,
        asks=has_no("stream_options"),
    ),
    "no system role": shape(
        error(400, {"error": "System role not supported"}), FINE, requests=2, asks=has_one_turn
    ),
    "no system role, said by a template (500)": shape(
        error(500, said("Jinja Exception: System role not supported")), FINE, requests=2, asks=has_one_turn
    ),
    "no developer instruction (Gemma at Google)": shape(
        error(400, [said("Developer instruction is not enabled for models/gemma-3", code=400)]),
        FINE,
        requests=2,
        asks=has_one_turn,
    ),
    "a grammar that can't be parsed (llama.cpp 500)": shape(
        error(500, said("Failed to parse grammar from json_schema", type="server_error")),
        FINE,
        requests=2,
        asks=has_no("response_format"),
    ),
    "a grammar, in the raw cause of a gateway": shape(
        error(400, upstream_said('{"detail":"json_schema is not supported by this model"}')),
        FINE,
        requests=2,
        asks=has_no("response_format"),
    ),
    "'response_format.type' must be … (LM Studio)": shape(
        error(400, {"error": "'response_format.type' must be 'text'"}),
        FINE,
        requests=2,
        asks=has_no("response_format"),
    ),
    "json_validate_failed (Groq)": shape(
        error(
            400,
            said(
                "Failed to generate JSON. Please adjust your prompt.",
                code="json_validate_failed",
                failed_generation="x",
            ),
        ),
        FINE,
        requests=2,
        asks=has_no("response_format"),
    ),
    "max_tokens is not supported (OpenAI)": shape(
        error(
            400,
            said(
                "Unsupported parameter: 'max_tokens' is not supported with this model. Use "
                "'max_completion_tokens' instead.",
                code="unsupported_parameter",
            ),
        ),
        FINE,
        requests=2,
        asks=lambda body: "max_tokens" not in body and body["max_completion_tokens"] == 1500,
    ),
    "no streaming before an organisation is verified": shape(
        error(400, said("Your organization must be verified to stream this model.", param="stream")),
        whole(OK),
        requests=2,
        asks=lambda body: body["stream"] is False,
    ),
    "two fields refused, one after the other": shape(
        error(400, said("Unknown field: stream_options")),
        error(400, said("response_format is not supported")),
        FINE,
        requests=3,
        asks=lambda body: "stream_options" not in body and "response_format" not in body,
    ),
    "a context of 4096 tokens (vLLM)": shape(
        error(
            400,
            said(
                "This model's maximum context length is 1200 tokens. However, you requested 1500 "
                "output tokens and your prompt contains at least 1 input tokens."
            ),
        ),
        FINE,
        requests=2,
        asks=asks_at_most(1200),
    ),
    "a context with both counts (OpenAI)": shape(
        error(
            400,
            said(
                "This model's maximum context length is 1600 tokens. However, you requested 1634 "
                "tokens (134 in the messages, 1500 in the completion).",
                code="context_length_exceeded",
            ),
        ),
        FINE,
        requests=2,
        asks=asks_at_most(1600 - 134),
    ),
    "an output limit (DeepSeek)": shape(
        error(400, said("Invalid max_tokens value, the valid range of max_tokens is [1, 1024]")),
        FINE,
        requests=2,
        asks=asks_at_most(1024),
    ),
    "an output limit (OpenAI)": shape(
        error(
            400,
            said(
                "max_tokens is too large: 1500. This model supports at most 1024 completion tokens, "
                "whereas you provided 1500."
            ),
        ),
        FINE,
        requests=2,
        asks=asks_at_most(1024),
    ),
    "an output limit (Anthropic)": shape(
        error(
            400, said("max_tokens: 1500 > 1024, which is the maximum allowed number of output tokens for m")
        ),
        FINE,
        requests=2,
        asks=asks_at_most(1024),
    ),
    "credit for fewer tokens (OpenRouter 402)": shape(
        error(
            402,
            said(
                "This request requires more credits, or fewer max_tokens. You requested up to 1500 "
                "tokens, but can only afford 700.",
                code=402,
            ),
        ),
        FINE,
        requests=2,
        asks=asks_at_most(700),
    ),
}

ODD_STREAMS: Final = {
    "lines that end in CRLF, and no space after the colon": shape(
        Rule(
            kind="raw",
            content_type="text/event-stream",
            body=FINE.body.replace("data: ", "data:").replace("\n", "\r\n"),
        )
    ),
    "a usage of its own (Groq)": shape(
        stream(
            chunk(content=OK),
            "data: "
            + json.dumps({"choices": [], "x_groq": {"usage": {"prompt_tokens": 20, "completion_tokens": 7}}})
            + "\n\n",
        ),
        tokens_out=7,
    ),
    "a usage that grows with every chunk": shape(
        stream(
            chunk(content='{"ok"', usage={"prompt_tokens": 20, "completion_tokens": 3}),
            chunk("stop", content=": true}", usage={"prompt_tokens": 20, "completion_tokens": 7}),
        ),
        tokens_out=7,
    ),
    "messages in the place of deltas": shape(
        stream(
            "data: "
            + json.dumps({"choices": [{"message": {"content": OK}, "finish_reason": "stop"}]})
            + "\n\n"
        )
    ),
    "an empty data frame as keep-alive": shape(
        stream("data:\n\n", "data: \n\n", chunk(content=OK), chunk("stop"))
    ),
    "comments as keep-alive (OpenRouter)": shape(
        stream(": OPENROUTER PROCESSING\n\n", chunk(content=OK), chunk("stop"))
    ),
    "a stream as text/plain": shape(
        stream(chunk(content=OK), chunk("stop"), kind="text/plain; charset=utf-8")
    ),
    "a stream as application/json": shape(stream(chunk(content=OK), chunk("stop"), kind="application/json")),
    "a stream without a content type": shape(stream(chunk(content=OK), chunk("stop"), kind="")),
    "a stream that begins with event and id": shape(
        stream("event: message\nid: 1\n" + chunk(content=OK), chunk("stop"))
    ),
    "a whole answer as a stream": shape(whole(OK, kind="text/event-stream")),
    "a whole answer with a byte order mark": shape(
        Rule(kind="raw", content_type="application/json", body="\ufeff" + whole(OK).body)
    ),
    "gzip although identity was asked": shape(
        Rule(
            kind="raw",
            content_type="application/json",
            encoding="gzip",
            data=gzip.compress(whole(OK).body.encode()),
        )
    ),
    "a gzipped stream": shape(
        Rule(
            kind="raw",
            content_type="text/event-stream",
            encoding="gzip",
            data=gzip.compress(stream(chunk(content=OK), chunk("stop")).body.encode()),
        )
    ),
    "a packing that nobody can read": lost(
        BadAnswer, Rule(kind="raw", content_type="application/json", encoding="br", body="x"), "with br,", 2
    ),
    "finish reasons empty until the last (Ollama 4357)": shape(
        stream(chunk("", content='{"ok"'), chunk("", content=": true}"), chunk("stop"))
    ),
    "no finish reason at all, but [DONE] (Gemini)": shape(stream(chunk(content=OK))),
    "finishReason (Gemini)": shape(
        stream(
            chunk(content=OK), 'data: {"choices": [{"delta": {}, "finishReason": "stop"}]}\n\n', done=False
        )
    ),
    "cut, with an empty finish reason": lost(
        Unreachable, stream(chunk("", content='{"ok"'), done=False), "before the answer was whole", 3
    ),
    "no choices beside a usage, and prompt_filter_results first (Azure)": shape(
        stream(
            'data: {"choices": [], "prompt_filter_results": [{"prompt_index": 0}]}\n\n',
            chunk(content=OK),
            chunk("stop"),
            'data: {"choices": [], "usage": {"prompt_tokens": 1, "completion_tokens": 2}}\n\n',
        )
    ),
    "all of it once more at the end, as a message": shape(
        stream(
            chunk(content=OK),
            "data: "
            + json.dumps({"choices": [{"message": {"content": OK}, "finish_reason": "stop"}]})
            + "\n\n",
        )
    ),
    "the answer as a tool's arguments": shape(
        stream(
            chunk(tool_calls=[{"index": 0, "function": {"name": "answer", "arguments": '{"ok"'}}]),
            chunk(tool_calls=[{"index": 0, "function": {"arguments": ": true}"}}]),
            chunk("tool_calls"),
        )
    ),
    "one object a line, without data:": shape(
        Rule(
            kind="raw",
            content_type="application/x-ndjson",
            body="".join(
                json.dumps(one) + "\n"
                for one in (
                    {"choices": [{"delta": {"content": OK}, "finish_reason": None}]},
                    {"choices": [{"delta": {}, "finish_reason": "stop"}]},
                )
            ),
        )
    ),
}

NO_SUCH_PATH: Final = {
    f"no such path: {name}": lost(
        Rejected, error(404, body), "it has no /chat/completions. Check the base URL"
    )
    for name, body in {
        "plain": "404 Not Found",
        "an endpoint": said("Endpoint not found"),
        "a status alone (Google)": {"error": {"code": 404, "status": "NOT_FOUND"}},
        "a message": said("NOT_FOUND"),
        "Fastify": {"message": "Route POST:/chat/completions not found", "statusCode": 404},
        "Spring": {"status": 404, "detail": "No static resource v1/chat/completions."},
        "Flask": {"message": "The requested URL was not found on the server. If you entered the URL"},
    }.items()
}

TRIED_AGAIN: Final = {
    **{
        f"a fault, not a retired model: {status} {words}": shape(error(status, said(words)), FINE, requests=2)
        for status, words in (
            (500, "model is not available right now, please retry"),
            (500, "The model is no longer responding, please try again"),
            (500, "Failed to load model: CUDA out of memory"),
            (520, "Model is not available"),
            (524, "Model is not available"),
            (408, "Model is not available"),
        )
    },
    "a minute's budget, not money (429)": shape(
        error(429, said("Rate limit exceeded: per-minute budget exceeded")), FINE, requests=2
    ),
    "a budget of time (503)": shape(error(503, said("Latency budget exceeded")), FINE, requests=2),
    "no room for its tier (Groq 498)": shape(
        error(498, said("Flex tier capacity exceeded", code="capacity_exceeded")), FINE, requests=2
    ),
    "a call of no tool (Gemini)": shape(
        stream(chunk("function_call_filter: MALFORMED_FUNCTION_CALL")), FINE, requests=2
    ),
    "a stream of nothing, finished (LM Studio)": shape(stream(chunk("stop")), FINE, requests=2),
    "an error without choices, in mid-stream (OpenRouter)": shape(
        stream(chunk(content="hal"), 'data: {"choices": [], "error": {"code": 502, "message": "limit"}}\n\n'),
        FINE,
        requests=2,
    ),
    "an engine that died, in mid-stream (vLLM, Ollama)": shape(
        stream(
            chunk(content="hal"), 'data: {"error": {"message": "unexpected EOF", "type": "api_error"}}\n\n'
        ),
        FINE,
        requests=2,
    ),
    "an error in choices (OpenRouter, mid-stream)": shape(
        stream(
            chunk(content="hal"),
            'data: {"choices": [{"error": {"code": 502, "message": "Upstream idle timeout"}, '
            '"delta": {"content": ""}, "finish_reason": "error"}]}\n\n',
        ),
        FINE,
        requests=2,
    ),
    "finish_reason error and nothing else": shape(
        stream(chunk(content="hal"), chunk("error")), FINE, requests=2
    ),
    "a string code for 429 in a 200": shape(
        Rule(kind="raw", content_type="application/json", body='{"error":{"code":"rate_limit_exceeded"}}'),
        FINE,
        requests=2,
    ),
    "overloaded_error in mid-stream (Anthropic)": shape(
        stream(
            chunk(content="hal"),
            "event: error\ndata: "
            '{"type":"error","error":{"type":"overloaded_error","message":"Overloaded"}}\n\n',
        ),
        FINE,
        requests=2,
    ),
    "UNAVAILABLE as a list in a stream (Gemini)": shape(
        Rule(
            kind="raw",
            content_type="text/event-stream",
            body='[{"error":{"code":503,"message":"The model is overloaded.","status":"UNAVAILABLE"}}]',
        ),
        FINE,
        requests=2,
    ),
    "loading (llama.cpp 503)": shape(
        error(503, said("Loading model", code=503, type="unavailable_error")), FINE, requests=2
    ),
    "a cause in words for a 429 of a gateway": shape(
        error(429, upstream_said("m is temporarily rate-limited upstream. Please retry shortly", 429)),
        FINE,
        requests=2,
    ),
}


async def outcome_of(one: Shape, pointing_at: Pointing) -> tuple[Outcome, Upstream]:
    rules = [replace(answer, times=1) for answer in one.answers[:-1]] + [one.answers[-1]]
    job = Job("judge", Prompt("You judge.", "Is it right?"), "m", SCHEMA, 1500)
    with serving(*rules) as upstream, anyio.fail_after(30):
        async with open_backend(pointing_at(upstream)) as backend:
            (outcome,) = await run([job], backend.ask, Plan(8, chance=lambda: 0.0), Limits(5))
    return outcome, upstream


SHAPES: Final = {
    **THINKS,
    **REFUSED,
    **REFUSED_TOO,
    **ASKED_OTHERWISE,
    **ODD_STREAMS,
    **NO_SUCH_PATH,
    **TRIED_AGAIN,
}


@pytest.mark.parametrize("one", SHAPES.values(), ids=SHAPES.keys())
async def test_a_shape_becomes_what_its_reader_would_make_of_it(one: Shape, pointing_at: Pointing) -> None:
    outcome, upstream = await outcome_of(one, pointing_at)
    if isinstance(one.wanted, str):
        assert outcome.answer is not None, outcome.reason
        assert outcome.answer.text.strip() == one.wanted
    else:
        assert type(outcome.error) is one.wanted, (outcome, outcome.reason)
        assert one.says in outcome.reason
    assert KEY not in f"{outcome!r} {outcome.reason}"
    assert "very-secret" not in outcome.reason
    assert (len(upstream.log), outcome.calls) == (one.requests, one.requests)
    assert one.asks(upstream.log[-1].body)
    assert one.tokens_out in {0, outcome.usage.tokens_out}


WAITS: Final = {
    "Gemini's retryDelay, in a list": (
        error(
            429,
            [
                said(
                    "You exceeded your current quota.",
                    code=429,
                    status="RESOURCE_EXHAUSTED",
                    details=[{"@type": "type.googleapis.com/google.rpc.RetryInfo", "retryDelay": "34s"}],
                )
            ],
        ),
        34.0,
    ),
    "try again in 7.66s (Groq)": (error(429, said("Rate limit reached. Please try again in 7.66s.")), 7.66),
    "try again in 1m2.5s": (error(429, said("Rate limit reached. Please try again in 1m2.5s.")), 62.5),
    "try again in 6ms (OpenAI)": (error(429, said("Limit 3, Used 3. Please try again in 6ms. Visit")), 0.006),
    "try again in 20 seconds (Azure)": (
        error(429, {"statusCode": 429, "message": "Try again in 20 seconds."}),
        20.0,
    ),
    "the header wins": (error(429, said("Please try again in 7s."), retry_after="2"), 2.0),
    "nothing said": (error(429, said("Too many requests")), None),
    "a date long ago": (error(429, said("x"), retry_after="Wed, 21 Oct 2015 07:28:00 GMT"), 0.0),
}


@pytest.mark.parametrize(("answer", "seconds"), WAITS.values(), ids=WAITS.keys())
async def test_the_time_to_wait_is_read_wherever_it_is_said(
    answer: Rule, seconds: float | None, pointing_at: Pointing, job: Job
) -> None:
    with serving(answer) as upstream:
        async with open_backend(pointing_at(upstream)) as backend:
            with pytest.raises(RateLimited) as caught:
                await backend.ask(job)
    assert caught.value.retry_after == seconds


@pytest.mark.parametrize(
    ("status", "body", "kind"),
    [
        pytest.param(500, "", ServerFault, id="500 without a body"),
        pytest.param(529, {"type": "error", "error": {"type": "overloaded_error"}}, Overloaded, id="529"),
        pytest.param(400, said("m is not a valid model ID"), ModelGone, id="OpenRouter's unknown id"),
        pytest.param(
            429,
            said("x", code=429, metadata={"headers": {"Retry-After": "1"}}),
            RateLimited,
            id="inner headers",
        ),
        pytest.param(
            503, said("The model is overloaded and not available now"), Overloaded, id="busy, not gone"
        ),
    ],
)
async def test_a_status_means_what_its_words_say(
    status: int, body: Any, kind: type[BackendError], pointing_at: Pointing, job: Job
) -> None:
    with serving(error(status, body)) as upstream:
        async with open_backend(pointing_at(upstream)) as backend:
            with pytest.raises(kind):
                await backend.ask(job)


# --- base URLs and lists of models -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("path", "reached"),
    [("/v1/chat/completions", True), ("/v1/", True), ("/v1?api-version=1", True), ("", False)],
)
async def test_a_base_url_is_taken_as_people_write_it_or_answered_with_a_hint(
    path: str, *, reached: bool, pointing_at: Pointing, job: Job
) -> None:
    with serving(paths=("/v1/chat/completions",)) as upstream:
        base = upstream.url.removesuffix("/v1")
        async with open_backend(replace(pointing_at(upstream), base_url=base + path)) as backend:
            if reached:
                assert (await backend.ask(job)).text
                query = path.partition("?")[2]
                assert upstream.log[0].target == "/v1/chat/completions" + (f"?{query}" if query else "")
            else:
                with pytest.raises(Rejected, match=f"most servers want {base}/v1"):
                    await backend.ask(job)


LISTS: Final = {
    "an embedding model first": [{"id": "nomic-embed-text"}, {"id": "qwen3:8b"}],
    "speech and images first": [{"id": "whisper-1"}, {"id": "dall-e-3"}, {"id": "qwen3:8b"}],
    "kinds (Together, LM Studio)": [
        {"id": "a", "type": "embeddings"},
        {"id": "b", "type": "image"},
        {"id": "qwen3:8b", "type": "chat"},
    ],
    "capabilities (Mistral)": [
        {"id": "ocr", "capabilities": {"completion_chat": False}},
        {"id": "qwen3:8b", "capabilities": {"completion_chat": True}},
    ],
    "modalities (OpenRouter)": [
        {"id": "a", "architecture": {"output_modalities": ["image"]}},
        {"id": "qwen3:8b", "architecture": {"output_modalities": ["text"]}},
    ],
}


@pytest.mark.parametrize("listed", LISTS.values(), ids=LISTS.keys())
async def test_without_a_model_the_first_that_answers_questions_is_asked(
    listed: list[Any], pointing_at: Pointing, job: Job
) -> None:
    with serving(models=listed) as upstream:
        async with open_backend(replace(pointing_at(upstream), model=None)) as backend:
            assert (await backend.ask(job)).model == "qwen3:8b"


async def test_an_endpoint_with_embeddings_alone_says_so(pointing_at: Pointing, job: Job) -> None:
    with serving(models=[{"id": "bge-m3"}]) as upstream:
        async with open_backend(replace(pointing_at(upstream), model=None)) as backend:
            with pytest.raises(Rejected, match="no model that answers questions: set FANOUT_MODEL"):
                await backend.ask(job)


async def test_a_listed_context_bounds_the_output_before_the_first_question(
    pointing_at: Pointing, job: Job
) -> None:
    with serving(models=[{"id": "maker/first", "max_model_len": 1000}]) as upstream:
        async with open_backend(pointing_at(upstream)) as backend:
            await backend.price("maker/first")
            await backend.ask(job)
    assert upstream.log[0].body["max_tokens"] < 1000


async def test_a_context_once_found_too_small_is_remembered(pointing_at: Pointing, job: Job) -> None:
    too_long = error(400, said("This model's maximum context length is 1200 tokens."))
    with serving(replace(too_long, times=1)) as upstream:
        async with open_backend(pointing_at(upstream)) as backend:
            await backend.ask(job)
            await backend.ask(job)
    assert [seen.body["max_tokens"] <= 1200 for seen in upstream.log] == [False, True, True]
