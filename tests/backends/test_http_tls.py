"""The same calls over TLS: reused, cancelled, and refused where the certificate is nobody's."""

from __future__ import annotations

import ssl
import time
from collections.abc import Callable
from dataclasses import replace
from typing import NamedTuple

import anyio
import httpx2
import pytest

from fakes.certificate import certificate
from fakes.upstream import ANSWER, Rule, Upstream, serving, until
from fanout_mcp.backends.choose import open_backend
from fanout_mcp.errors import Unreachable
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Job

pytestmark = pytest.mark.both_loops

Pointing = Callable[[Upstream], Settings]


class Ends(NamedTuple):
    server: ssl.SSLContext
    client: ssl.SSLContext
    """Trusts that server alone."""


@pytest.fixture(scope="module")
def ends(tmp_path_factory: pytest.TempPathFactory) -> Ends:
    path = tmp_path_factory.mktemp("tls") / "both.pem"
    path.write_bytes(certificate())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(path)
    return Ends(server, ssl.create_default_context(cafile=path))


def over_tls(settings: Settings) -> Settings:
    return replace(settings, base_url=(settings.base_url or "").replace("http:", "https:"))


@pytest.fixture
def trusted(ends: Ends, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(httpx2, "create_ssl_context", lambda **_: ends.client)


@pytest.mark.usefixtures("trusted")
async def test_an_answer_comes_over_tls_and_the_connection_is_reused(
    ends: Ends, pointing_at: Pointing, job: Job
) -> None:
    with serving(tls=ends.server) as upstream, anyio.fail_after(30):
        async with open_backend(over_tls(pointing_at(upstream))) as backend:
            assert [(await backend.ask(job)).text for _ in range(3)] == [ANSWER] * 3
    assert upstream.connections == 1


@pytest.mark.usefixtures("trusted")
@pytest.mark.parametrize("kind", ["stray", "stray_record"])
async def test_what_comes_after_an_answer_over_tls_is_no_answer_to_the_next_question(
    kind: str, ends: Ends, pointing_at: Pointing, job: Job
) -> None:
    with serving(Rule(kind=kind, times=1), tls=ends.server) as upstream, anyio.fail_after(30):
        async with open_backend(over_tls(pointing_at(upstream))) as backend:
            assert [(await backend.ask(job)).text for _ in range(2)] == [ANSWER] * 2
    assert upstream.connections == 2


@pytest.mark.usefixtures("trusted")
async def test_cancelling_closes_the_stream_over_tls_too(ends: Ends, pointing_at: Pointing, job: Job) -> None:
    with serving(Rule(kind="hang"), tls=ends.server) as upstream, anyio.fail_after(30):
        async with open_backend(over_tls(pointing_at(upstream))) as backend:
            async with anyio.create_task_group() as calls:
                calls.start_soon(backend.ask, job)
                await until(lambda: upstream.in_flight == 1)
                cancelled = time.monotonic()
                calls.cancel_scope.cancel()
            await until(lambda: not upstream.in_flight)
            assert (upstream.log[0].aborted or float("inf")) - cancelled < 1
            upstream.rules.clear()
            assert (await backend.ask(job)).text == ANSWER


@pytest.mark.parametrize("model", ["maker/first", None], ids=["of a model", "of the first that is listed"])
async def test_a_certificate_that_nobody_vouches_for_gets_no_key(
    model: str | None, ends: Ends, pointing_at: Pointing, job: Job
) -> None:
    with serving(tls=ends.server) as upstream, anyio.fail_after(30):
        async with open_backend(replace(over_tls(pointing_at(upstream)), model=model)) as backend:
            with pytest.raises(
                Unreachable, match="TLS: its certificate is not trusted: self-signed certificate"
            ):
                await backend.ask(job)
    assert upstream.log == []
