"""What a provider can do wrong, over real loopback: each ends as one named error, and the next call works."""

from __future__ import annotations

import json
from collections.abc import Callable

import anyio
import pytest

from fakes.upstream import ANSWER, Rule, Upstream, serving
from fanout_mcp.backends import http
from fanout_mcp.backends.choose import open_backend
from fanout_mcp.errors import (
    AllThinking,
    AuthRejected,
    BackendError,
    BadAnswer,
    Filtered,
    Overloaded,
    QuotaSpent,
    RateLimited,
    Rejected,
    ServerFault,
    TooLarge,
    Unreachable,
)
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Answer, Job
from fanout_mcp.usage import Usage

pytestmark = pytest.mark.both_loops

Pointing = Callable[[Upstream], Settings]
KEY = "sk-or-v1-0123456789abcdef-very-secret"


async def ask(upstream: Upstream, pointing_at: Pointing, job: Job) -> Answer | BackendError:
    """Ask once; then ask again without rules: whatever went wrong, the next call is answered."""
    with anyio.fail_after(30):
        async with open_backend(pointing_at(upstream)) as backend:
            try:
                result: Answer | BackendError = await backend.ask(job)
            except BackendError as error:
                result = error
            upstream.rules = []
            assert (await backend.ask(job)).text == ANSWER
    assert KEY not in f"{result!r} {result}"
    return result


def completion(finish: str = "stop", **message: object) -> str:
    return json.dumps({"choices": [{"message": message, "finish_reason": finish}]})


ENDS = {
    "an HTML page": (Rule(kind="html"), BadAnswer),
    "an empty body": (Rule(kind="empty"), BadAnswer),
    "cut JSON": (Rule(kind="cut_json"), BadAnswer),
    "null": (Rule(kind="raw_json", body="null"), BadAnswer),
    "nesting that exhausts the stack": (Rule(kind="raw_json", body="[" * 200_000), BadAnswer),
    "no choices": (Rule(kind="raw_json", body='{"choices": []}'), BadAnswer),
    "content null": (Rule(kind="raw_json", body=completion(content=None)), BadAnswer),
    "tool calls": (Rule(kind="raw_json", body=completion("tool_calls", tool_calls=[{}])), BadAnswer),
    "all tokens spent on nothing": (Rule(text="", finish="length"), AllThinking),
    "a refusal": (Rule(kind="raw_json", body=completion(refusal="I can't.")), Filtered),
    "a content filter": (Rule(finish="content_filter"), Filtered),
    "a stream cut without an end": (Rule(kind="cut_stream"), Unreachable),
    "a connection broken in mid-stream": (Rule(kind="broken"), Unreachable),
    "a reset": (Rule(kind="reset"), Unreachable),
    "an endless body": (Rule(kind="endless"), TooLarge),
    "gzip that unpacks to 100 MB": (Rule(kind="bomb"), TooLarge),
    "a header of 300 kB": (Rule(kind="big_header"), BadAnswer),
    "what is no HTTP": (Rule(kind="not_http"), BadAnswer),
    "another protocol": (
        Rule(kind="wire", body="HTTP/1.1 101 Switching Protocols\r\nUpgrade: h2c\r\n\r\n"),
        BadAnswer,
    ),
    "an error object in a 200": (Rule(kind="raw_json", body='{"error": {"code": 429}}'), RateLimited),
    "an error in mid-stream": (Rule(kind="sse", body='data: {"error": {"code": 502}}\n\n'), ServerFault),
    "400": (Rule(kind="status", status=400), Rejected),
    "401": (Rule(kind="status", status=401, body=f"key {KEY} is wrong"), AuthRejected),
    "402": (Rule(kind="status", status=402), QuotaSpent),
    "403": (Rule(kind="status", status=403), AuthRejected),
    "404": (Rule(kind="status", status=404, body=f"<html>{KEY}</html>"), Rejected),
    "408": (Rule(kind="status", status=408), ServerFault),
    "413": (Rule(kind="status", status=413, body=f"no {KEY}"), Rejected),
    "422": (Rule(kind="status", status=422), Rejected),
    "425": (Rule(kind="status", status=425), ServerFault),
    "429": (Rule(kind="status", status=429), RateLimited),
    "500": (Rule(kind="status", status=500, body=f'{{"error": "Bearer {KEY}"}}'), ServerFault),
    "503": (Rule(kind="status", status=503), Overloaded),
    "504": (Rule(kind="status", status=504), ServerFault),
    "529": (Rule(kind="status", status=529), Overloaded),
}


@pytest.mark.parametrize(("rule", "error"), ENDS.values(), ids=ENDS.keys())
async def test_a_fault_is_one_named_error(
    rule: Rule, error: type[BackendError], pointing_at: Pointing, job: Job
) -> None:
    with serving(rule) as upstream:
        assert type(await ask(upstream, pointing_at, job)) is error


ANSWERS = {
    "split into single bytes, CRLF and a comment": (
        Rule(
            kind="sse",
            body=': keep-alive\r\n\r\ndata: {"choices": [{"delta": {"content": "grün"}, '
            '"finish_reason": "stop"}]}\r\n\r\n',
        ),
        "grün",
    ),
    "two objects in one event": (
        Rule(
            kind="sse",
            body='data: {"choices": [{"delta": {"content": "a"}}]}\n'
            'data: {"choices": [{"delta": {"content": "b"}, "finish_reason": "stop"}]}\n\n',
        ),
        "ab",
    ),
    "a lone surrogate and NUL": (Rule(kind="surrogate"), "\ufffd\ufffd"),
    "2,000 times 100 Continue": (Rule(kind="continued", text="x"), "x"),
    "not streamed at all": (Rule(kind="raw_json", body=completion(content="whole")), "whole"),
    "hints before it": (
        Rule(
            kind="wire",
            body="HTTP/1.1 103 Early Hints\r\nLink: x\r\n\r\n"
            f"HTTP/1.1 200 OK\r\nContent-Length: {len(completion(content='x'))}\r\n\r\n"
            + completion(content="x"),
        ),
        "x",
    ),
    "NaN beside it": (Rule(kind="raw_json", body=completion(content="x")[:-1] + ', "usage": NaN}'), "x"),
}


@pytest.mark.parametrize(("rule", "text"), ANSWERS.values(), ids=ANSWERS.keys())
async def test_an_odd_answer_is_still_an_answer(
    rule: Rule, text: str, pointing_at: Pointing, job: Job
) -> None:
    with serving(rule) as upstream:
        answer = await ask(upstream, pointing_at, job)
        assert isinstance(answer, Answer)
        assert answer.text == text


async def test_an_answer_at_its_token_limit_is_marked(pointing_at: Pointing, job: Job) -> None:
    with serving(Rule(text="half", finish="length")) as upstream:
        answer = await ask(upstream, pointing_at, job)
        assert isinstance(answer, Answer)
        assert answer.truncated


@pytest.mark.parametrize("said", ["0", "1", "5.5"])
async def test_retry_after_is_read(said: str, pointing_at: Pointing, job: Job) -> None:
    with serving(Rule(kind="status", status=429, retry_after=said)) as upstream:
        error = await ask(upstream, pointing_at, job)
        assert isinstance(error, RateLimited)
        assert error.retry_after == float(said)


USAGES = {
    "missing": None,
    "negative": {"prompt_tokens": -5, "completion_tokens": 3},
    "text": {"prompt_tokens": "5", "completion_tokens": "3"},
    "absurd": {"prompt_tokens": 10**18, "completion_tokens": 3},
}


@pytest.mark.parametrize("usage", USAGES.values(), ids=USAGES.keys())
async def test_usage_that_can_not_be_true_is_estimated_without_a_price(
    usage: object, pointing_at: Pointing, job: Job
) -> None:
    body = json.dumps({**json.loads(completion(content="four")), "usage": usage})
    with serving(Rule(kind="raw_json", body=body)) as upstream:
        answer = await ask(upstream, pointing_at, job)
        assert isinstance(answer, Answer)
        assert answer.usage.cost_usd is None
        assert 0 < answer.usage.tokens_in < 100


BILLED = {
    "tokens spent on nothing": (Rule(text="", finish="length"), Usage(100, 20, 0.0015)),
    "a content filter": (Rule(finish="content_filter"), Usage(100, 20, 0.0015)),
    "a stream cut in its middle": (Rule(kind="cut_stream"), Usage(6, 4)),
    "a refusal before it began": (Rule(kind="status", status=500), Usage()),
    "an HTML page": (Rule(kind="html"), Usage()),
}


@pytest.mark.parametrize(("rule", "bill"), BILLED.values(), ids=BILLED.keys())
async def test_an_answer_of_no_use_keeps_its_bill(
    rule: Rule, bill: Usage, pointing_at: Pointing, job: Job
) -> None:
    with serving(rule) as upstream:
        error = await ask(upstream, pointing_at, job)
        assert isinstance(error, BackendError)
        assert error.usage == bill


async def test_an_answer_is_whole_at_done_though_the_server_leaves_the_stream_open(
    pointing_at: Pointing, job: Job
) -> None:
    with serving(Rule(kind="left_open")) as upstream:
        answer = await ask(upstream, pointing_at, job)
        assert isinstance(answer, Answer)
        assert (answer.text, answer.usage.cost_usd) == (ANSWER, 0.0015)


async def test_a_redirect_is_not_followed_and_takes_no_key_along(pointing_at: Pointing, job: Job) -> None:
    with serving() as other, serving(Rule(kind="redirect", body=other.url)) as upstream:
        error = await ask(upstream, pointing_at, job)
        assert type(error) is Rejected
        assert "redirect" in str(error)
        assert other.connections == 0


async def test_a_stray_second_answer_never_becomes_the_next_one(pointing_at: Pointing, job: Job) -> None:
    with serving(Rule(kind="stray")) as upstream:
        answer = await ask(upstream, pointing_at, job)
        assert isinstance(answer, Answer)
        assert answer.text == ANSWER


async def test_a_body_of_one_byte_a_second_ends_with_its_caller(pointing_at: Pointing, job: Job) -> None:
    with serving(Rule(kind="drip")) as upstream:
        async with open_backend(pointing_at(upstream)) as backend:
            with anyio.move_on_after(0.3) as scope:
                await backend.ask(job)
            assert scope.cancelled_caught
            upstream.rules = []
            assert (await backend.ask(job)).text == ANSWER


async def test_a_call_ends_by_itself_when_no_caller_ends_it(
    pointing_at: Pointing, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "CALL_S", 0.2)
    with serving(Rule(kind="hang")) as upstream:
        async with open_backend(pointing_at(upstream)) as backend:
            with pytest.raises(BackendError, match="not done after"):
                await backend.ask(job)


async def test_nobody_listening_is_unreachable(pointing_at: Pointing, job: Job) -> None:
    with serving() as upstream:
        settings = pointing_at(upstream)
    async with open_backend(settings) as backend:
        with pytest.raises(Unreachable):
            await backend.ask(job)
        price = await backend.price("maker/first")
    assert price is None
