"""A call that fails below HTTP, or in its encoding, names its cause, and never an exception."""

from __future__ import annotations

import gzip
import json
import re
import socket
import ssl
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import anyio
import pytest

from fakes.certificate import certificate
from fakes.upstream import Upstream, serving
from fanout_mcp.backends.choose import open_backend
from fanout_mcp.errors import BackendError, BadAnswer, Rejected, Unreachable
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Job

pytestmark = pytest.mark.anyio

Pointing = Callable[[Upstream], Settings]
EXCEPTION = re.compile(r"\b[A-Z]\w*(?:Error|Exception|Timeout)\b|_ssl\.c|Errno")
BODY = json.dumps({"choices": [{"message": {"content": "hello"}, "finish_reason": "stop"}]}).encode()


def http(body: bytes, status: str = "200 OK", **headers: str) -> bytes:
    fields = {"Content-Type": "application/json", "Content-Length": str(len(body)), **headers}
    lines = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in fields.items())
    return f"HTTP/1.1 {status}\r\n{lines}\r\n".encode() + body


@contextmanager
def saying(reply: bytes) -> Iterator[int]:
    """Serve a port that answers each connection's first bytes with `reply` and closes."""
    with socket.create_server(("127.0.0.1", 0)) as server:

        def serve() -> None:
            while True:
                try:
                    connection, _ = server.accept()
                except OSError:
                    return
                with connection, suppress(OSError):
                    connection.settimeout(20)
                    connection.recv(65_536)
                    connection.sendall(reply)
                    connection.shutdown(socket.SHUT_WR)
                    while connection.recv(65_536):  # to close on what wasn't read is a reset
                        pass

        thread = threading.Thread(target=serve, daemon=True)
        thread.start()
        yield server.getsockname()[1]
        server.shutdown(socket.SHUT_RDWR)
    thread.join(30)


async def failure(settings: Settings, job: Job) -> BackendError:
    with anyio.fail_after(20):
        async with open_backend(settings) as backend:
            with pytest.raises(BackendError) as caught:
                await backend.ask(job)
    assert not EXCEPTION.search(str(caught.value))
    return caught.value


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return Settings(
        root=tmp_path, config_dir=tmp_path / "config", base_url="http://127.0.0.1:9", model="maker/first"
    )


@pytest.mark.parametrize(
    ("reply", "kind", "words"),
    [
        (http(b"\x0b\x02\x80", Content_Encoding="br"), BadAnswer, "compressed with br"),
        (http(b"not gzip", Content_Encoding="gzip"), BadAnswer, "gzip that can't be unpacked"),
        (http(gzip.compress(BODY)), BadAnswer, "broken JSON, not UTF-8"),
        (http(b'{"choices": [}'), BadAnswer, "broken JSON (character 13)"),
        (http(b"[" * 100_000), BadAnswer, "nested too deeply"),
        (http(gzip.compress(b"no"), "400 Bad Request", Content_Encoding="gzip"), Rejected, "400"),
    ],
    ids=["br", "no gzip", "unnamed gzip", "broken", "deep", "a refusal"],
)
async def test_an_answer_in_no_form_that_was_asked_for_says_which_it_has(
    settings: Settings, job: Job, reply: bytes, kind: type[BackendError], words: str
) -> None:
    with saying(reply) as port:
        error = await failure(replace(settings, base_url=f"http://127.0.0.1:{port}"), job)
    assert type(error) is kind
    assert words in str(error)
    assert str(error).isprintable()


@pytest.mark.parametrize(
    "reply", [b"HTTP/1.1 400 Bad Request\r\n\r\n", b"", b"SSH-2.0\r\n"], ids=["HTTP", "nothing", "SSH"]
)
async def test_https_to_a_port_that_has_none_says_so(settings: Settings, job: Job, reply: bytes) -> None:
    with saying(reply) as port:
        error = await failure(replace(settings, base_url=f"https://127.0.0.1:{port}"), job)
    assert isinstance(error, Unreachable)
    assert "TLS: " in str(error) or "reset" in str(error)


async def test_a_certificate_for_another_name_is_named_as_that(
    settings: Settings, job: Job, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    import httpx2

    (tmp_path / "both.pem").write_bytes(certificate())
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "both.pem")
    trusting = ssl.create_default_context(cafile=tmp_path / "both.pem")
    monkeypatch.setattr(httpx2, "create_ssl_context", lambda **_: trusting)
    with serving(tls=server) as upstream:
        url = upstream.url.replace("http://127.0.0.1", "https://localhost")
        error = await failure(replace(settings, base_url=url), job)
    assert "TLS: its certificate is not trusted: Hostname mismatch" in str(error)


async def test_a_port_that_no_one_serves_is_refused(settings: Settings, job: Job) -> None:
    with socket.create_server(("127.0.0.1", 0)) as server:
        port = server.getsockname()[1]
    error = await failure(replace(settings, base_url=f"http://127.0.0.1:{port}"), job)
    assert isinstance(error, Unreachable)
    assert "connection refused" in str(error)
