"""What goes out, what comes back, and that a cancelled call leaves nothing behind."""

from __future__ import annotations

import json
import os
import socket
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path

import anyio
import pytest

from fakes.upstream import ANSWER, Rule, Upstream, serving, until
from fanout_mcp.backends.choose import MixedBackend, open_backend
from fanout_mcp.backends.http import HttpBackend
from fanout_mcp.backends.pool import FastPool
from fanout_mcp.errors import Rejected, SettingsError, Unreachable
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Answer, Backend, Job, ModelPrice, Prompt
from fanout_mcp.usage import Usage

pytestmark = pytest.mark.both_loops

Pointing = Callable[[Upstream], Settings]


def has_asked(upstream: Upstream, count: int) -> bool:
    return len(upstream.log) == count


def open_files() -> int:
    return len(os.listdir("/proc/self/fd"))  # noqa: PTH208 - a count, no paths


async def test_an_answer_comes_with_its_model_and_its_bill(pointing_at: Pointing, job: Job) -> None:
    with serving() as upstream:
        async with open_backend(pointing_at(upstream)) as backend:
            answer = await backend.ask(job)
    assert answer == Answer(ANSWER, "maker/first", Usage(100, 20, 0.0015))
    sent = upstream.log[0]
    assert sent.body["stream"] is True
    assert sent.body["stream_options"] == {"include_usage": True}
    assert sent.headers["authorization"].startswith("Bearer sk-or")
    assert sent.headers["accept-encoding"] == "identity"


async def test_a_schema_is_asked_for_once_where_the_endpoint_knows_none(
    pointing_at: Pointing, job: Job
) -> None:
    body = '{"error": {"message": "response_format is not supported"}}'
    job = replace(job, schema={"type": "object"})
    with serving(Rule(kind="status", status=400, body=body, times=1)) as upstream:
        async with open_backend(pointing_at(upstream)) as backend:
            await backend.ask(job)
            await backend.ask(job)
    assert ["response_format" in seen.body for seen in upstream.log] == [True, False, False]


@pytest.mark.parametrize(
    ("said", "asked"),
    [
        pytest.param("This model's maximum context length is 8192 tokens", [True, True], id="another cause"),
        pytest.param("Bad request", [True, False, True], id="no cause"),
        pytest.param("response_format is not supported", [True, False, True], id="though it names it"),
    ],
)
async def test_a_refusal_that_stays_without_the_schema_does_not_cost_the_next_call_its_own(
    said: str, asked: list[bool], pointing_at: Pointing, job: Job
) -> None:
    body = json.dumps({"error": {"message": said}})
    job = replace(job, schema={"type": "object"})
    with serving(Rule("refuse me", kind="status", status=400, body=body)) as upstream:
        async with open_backend(pointing_at(upstream)) as backend:
            with pytest.raises(Rejected):
                await backend.ask(replace(job, prompt=Prompt("", "refuse me")))
            await backend.ask(job)
    assert ["response_format" in seen.body for seen in upstream.log] == asked


async def test_connections_that_the_server_has_left_are_closed_by_the_next_call(
    pointing_at: Pointing, job: Job
) -> None:
    with serving(delay=0.05) as upstream, anyio.fail_after(30):
        async with open_backend(pointing_at(upstream)) as backend:
            async with anyio.create_task_group() as calls:
                for _ in range(20):
                    calls.start_soon(backend.ask, job)
            await backend.ask(job)
            assert idle(backend) == 20
            upstream.hang_up()
            await until(lambda: len(upstream.open) == 1)
            await backend.ask(job)
            assert (idle(backend), upstream.connections) == (1, 20)


def idle(backend: Backend) -> int:
    assert isinstance(backend, MixedBackend)
    assert isinstance(backend.primary, HttpBackend)
    assert isinstance(backend.primary.pool, FastPool)
    return backend.primary.pool.idle


async def test_the_newer_name_of_the_token_limit_is_learned(pointing_at: Pointing, job: Job) -> None:
    body = '{"error": {"message": "max_tokens is not supported, use max_completion_tokens"}}'
    with serving(Rule(kind="status", status=400, body=body, times=1)) as upstream:
        async with open_backend(pointing_at(upstream)) as backend:
            await backend.ask(job)
    assert upstream.log[1].body["max_completion_tokens"] == job.max_tokens
    assert "max_tokens" not in upstream.log[1].body


async def test_without_a_model_the_first_that_the_endpoint_lists_is_asked(
    pointing_at: Pointing, job: Job
) -> None:
    with serving() as upstream:
        async with open_backend(replace(pointing_at(upstream), model=None)) as backend:
            assert backend.default_model("judge") is None
            assert (await backend.ask(job)).model == "maker/first"


async def test_a_server_that_is_not_there_is_said_to_be_not_there(tmp_path: Path, job: Job) -> None:
    with socket.socket() as nobody_listens:
        nobody_listens.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{nobody_listens.getsockname()[1]}/v1"
        settings = Settings(root=tmp_path, config_dir=tmp_path, base_url=url)
        async with open_backend(settings) as backend:
            with pytest.raises(Unreachable, match=r"can't be reached \(connection refused\): does the"):
                await backend.ask(job)


async def test_an_endpoint_without_a_list_of_models_wants_one_named(pointing_at: Pointing, job: Job) -> None:
    with serving(models=[]) as upstream:
        async with open_backend(replace(pointing_at(upstream), model=None)) as backend:
            with pytest.raises(Rejected, match="lists no model: set FANOUT_MODEL"):
                await backend.ask(job)


async def test_prices_are_fetched_once_and_kept_for_the_next_process(pointing_at: Pointing) -> None:
    with serving() as upstream:
        for _ in range(2):
            async with open_backend(pointing_at(upstream)) as backend:
                assert await backend.price("maker/second") == ModelPrice(3.0, 15.0)
                assert await backend.price("maker/unknown") is None
    assert upstream.model_lists == 1


async def test_where_no_model_is_named_the_price_is_that_of_the_one_that_will_be_asked(
    pointing_at: Pointing,
) -> None:
    with serving() as upstream:
        async with open_backend(replace(pointing_at(upstream), model=None)) as backend:
            assert await backend.price(None) == ModelPrice(1.0, 2.0)
        async with open_backend(replace(pointing_at(upstream), model="maker/second")) as backend:
            assert await backend.price(None) == ModelPrice(3.0, 15.0)


async def test_the_users_table_prices_what_the_provider_does_not(pointing_at: Pointing) -> None:
    with serving() as upstream:
        settings = replace(pointing_at(upstream), prices={"mine": ModelPrice(1.5, 4.0)})
        async with open_backend(settings) as backend:
            assert await backend.price("mine") == ModelPrice(1.5, 4.0)


async def test_cancelling_closes_every_stream_within_a_tenth_of_a_second(
    pointing_at: Pointing, job: Job
) -> None:
    with serving(Rule(kind="hang")) as upstream, anyio.fail_after(30):
        async with open_backend(pointing_at(upstream)) as backend, anyio.create_task_group() as calls:
            for _ in range(8):
                calls.start_soon(backend.ask, job)
            await until(lambda: upstream.in_flight == 8)
            cancelled = time.monotonic()
            calls.cancel_scope.cancel()
        await until(lambda: not upstream.in_flight)
    assert max(seen.aborted or float("inf") for seen in upstream.log) - cancelled < 0.1


@pytest.mark.skipif(sys.platform != "linux", reason="counts descriptors in /proc")
async def test_a_thousand_cancelled_calls_leave_a_pool_that_answers(pointing_at: Pointing, job: Job) -> None:
    with serving(Rule("slow", "hang")) as upstream, anyio.fail_after(30):
        async with open_backend(replace(pointing_at(upstream), max_parallel=50)) as backend:
            await backend.ask(job)
            before = open_files()
            slow = replace(job, prompt=Prompt("", "slow"))
            for turn in range(1, 21):
                async with anyio.create_task_group() as calls:
                    for _ in range(50):
                        calls.start_soon(backend.ask, slow)
                    await until(partial(has_asked, upstream, 1 + 50 * turn))
                    calls.cancel_scope.cancel()
            assert sum([(await backend.ask(job)).text == ANSWER for _ in range(30)]) == 30
            await until(lambda: not upstream.in_flight)
            # The fake's own sockets are in this process too, so they must be gone as well.
            assert open_files() <= before + 4


async def test_calls_in_a_burst_reuse_the_connections_of_the_burst_before(
    pointing_at: Pointing, job: Job
) -> None:
    with serving(delay=0.05) as upstream:
        async with open_backend(pointing_at(upstream)) as backend:
            for _ in range(3):
                async with anyio.create_task_group() as calls:
                    for _ in range(40):
                        calls.start_soon(backend.ask, job)
    assert upstream.connections == 40


@pytest.mark.parametrize("key", ["two words", "line\nbreak", "ключ"])
async def test_a_key_that_no_header_can_carry_is_refused_without_showing_it(
    key: str, pointing_at: Pointing
) -> None:
    with serving() as upstream:
        with pytest.raises(SettingsError) as caught:
            async with open_backend(replace(pointing_at(upstream), api_key=key)):
                pass
        assert key not in str(caught.value)


async def test_a_proxy_in_the_environment_gets_nothing(
    pointing_at: Pointing, job: Job, monkeypatch: pytest.MonkeyPatch
) -> None:
    with serving() as proxy, serving() as upstream:
        for name in ("HTTP_PROXY", "http_proxy", "ALL_PROXY"):
            monkeypatch.setitem(os.environ, name, f"http://127.0.0.1:{proxy.port}")
        async with open_backend(pointing_at(upstream)) as backend:
            await backend.ask(job)
    assert proxy.connections == 0


async def test_a_proxy_that_is_no_address_is_refused_with_what_it_must_look_like(
    pointing_at: Pointing,
) -> None:
    with serving() as upstream:
        settings = pointing_at(upstream)
    settings = replace(settings, base_url="http://api.example.test/v1", proxy="mailto:me")
    with pytest.raises(SettingsError, match="http://host:port"):
        async with open_backend(settings):
            pass


async def test_a_proxy_in_the_users_own_file_is_used(pointing_at: Pointing, job: Job) -> None:
    with serving() as proxy:
        settings = replace(
            pointing_at(proxy),
            base_url="http://api.example.test/v1",
            proxy=f"http://127.0.0.1:{proxy.port}",
        )
        async with open_backend(settings) as backend:
            assert (await backend.ask(job)).text == ANSWER
    assert proxy.log[0].headers["host"] == "api.example.test"


async def test_a_proxy_takes_as_many_calls_at_once_as_the_provider_would(
    pointing_at: Pointing, job: Job
) -> None:
    with serving(Rule(kind="hang")) as proxy, anyio.fail_after(30):
        here = f"http://127.0.0.1:{proxy.port}"
        settings = replace(pointing_at(proxy), base_url="http://api.example.test/v1", proxy=here)
        async with open_backend(settings) as backend, anyio.create_task_group() as calls:
            for _ in range(20):
                calls.start_soon(backend.ask, job)
            await until(lambda: proxy.in_flight == 20)
            calls.cancel_scope.cancel()
