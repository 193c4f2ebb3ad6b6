"""What docs/service.md has an operator write: nginx with TLS in front of two replicas, and systemd's unit."""

from __future__ import annotations

import argparse
import http.client
import json
import re
import shlex
import socket
import ssl
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import pytest

from fakes.certificate import certificate
from fakes.proxy import MISSING, NGINX, block, configuration, nginx
from fakes.redis_server import free_port
from fakes.service import WAIT_S, Service, running
from fakes.upstream import Rule
from fanout_mcp.scale import serve

NAME = "mcp.example.com"
LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}


def test_the_unit_starts_the_service_with_flags_that_it_takes() -> None:
    [line] = re.findall(r"^ExecStart=(.*)$", block("ini"), re.MULTILINE)
    _, command, *words = shlex.split(line.replace("%i", "8080"))
    parser = argparse.ArgumentParser()
    serve.add_arguments(parser)
    given = parser.parse_args(words)
    assert (command, given.http, given.health) == ("serve", "127.0.0.1:8080", "127.0.0.1:18080")
    [stop] = re.findall(r"^TimeoutStopSec=(\d+)$", block("ini"), re.MULTILINE)
    assert int(stop) > serve.DRAIN_S


def test_the_units_let_service_and_workers_write_where_they_write() -> None:
    service, worker = block("ini"), block("ini", "operations")
    for unit in (service, worker):
        assert "\nStateDirectory=fanout\n" in unit
        assert "\nEnvironment=HOME=/var/lib/fanout\n" in unit
    [folder] = re.findall(r'^folder = "(.*)"$', block("toml", "policy"), re.MULTILINE)
    assert f"\nReadWritePaths=-{folder}\n" in service


@dataclass(frozen=True)
class Front:
    port: int
    context: ssl.SSLContext
    service: Service

    @contextmanager
    def sent(
        self, body: Any, host: str = NAME, *, sni: str = NAME, path: str = "/mcp", token: str = "alice"
    ) -> Iterator[http.client.HTTPResponse]:
        """Send over TLS, as a client of that name would; the answer is not read yet."""
        headers = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        headers |= {"Host": host, "Authorization": f"Bearer token-of-{token}"}
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        with (
            socket.create_connection(("127.0.0.1", self.port), WAIT_S) as plain,
            self.context.wrap_socket(plain, server_hostname=sni) as private,
            closing(http.client.HTTPConnection(host)) as connection,
        ):
            connection.sock = private
            connection.request("POST", path, data, headers)
            with connection.getresponse() as answer:
                yield answer

    def status(self, *given: Any, **more: Any) -> int:
        with self.sent(*given, **more) as answer:
            return answer.status


@pytest.fixture(scope="module")
def front(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Front]:
    if NGINX is None:
        pytest.skip(MISSING)
    folder = tmp_path_factory.mktemp("nginx")
    pem = folder / "pem"
    pem.write_bytes(certificate(NAME))
    port, gone = free_port(), f"127.0.0.1:{free_port()}"  # a replica that is down
    with running(folder, "--allow-host", NAME) as service:
        config = configuration(port, [gone, urlsplit(service.url).netloc], pem)
        with nginx(folder, config):
            yield Front(port, ssl.create_default_context(cafile=pem), service)


@pytest.mark.slow
def test_a_call_passes_through_tls_though_one_replica_is_down(front: Front) -> None:
    for _ in range(4):
        with front.sent(LIST) as answer:
            assert (answer.status, b"oracle_batch" in answer.read()) == (200, True)


@pytest.mark.slow
def test_progress_comes_through_before_the_answer(front: Front) -> None:
    front.service.upstream.rules.insert(0, Rule("You weigh a proposal"))  # the judge answers at once
    params = {
        "name": "oracle_batch",
        "arguments": {"question": "Is it slowly wise?", "deadline_s": 60},
        "_meta": {"progressToken": 1},
    }
    with front.sent({**LIST, "method": "tools/call", "params": params}) as answer:
        lines = iter(answer.readline, b"")
        assert any(b"notifications/progress" in line for line in lines)
        assert front.service.upstream.in_flight == 2  # the others are still being asked
        assert any(b"PROCEED" in line for line in lines)


@pytest.mark.slow
def test_a_body_over_the_limit_ends_at_the_proxy(front: Front) -> None:
    assert front.status(b" " * (serve.MAX_BODY + 1)) == 413


@pytest.mark.slow
@pytest.mark.parametrize("host", ["evil.example", f"{NAME}.evil.example", "127.0.0.1", f"x.{NAME}"])
def test_no_other_host_is_served(front: Front, host: str) -> None:
    assert front.status(LIST, host) == 421


@pytest.mark.slow
def test_no_other_name_gets_a_certificate(front: Front) -> None:
    with pytest.raises(ssl.SSLError):
        front.status(LIST, sni="evil.example")


@pytest.mark.slow
@pytest.mark.parametrize("path", ["/", "/metrics", "/mcp/", "/mcp/x", "/livez"])
def test_nothing_but_the_service_is_at_the_proxy(front: Front, path: str) -> None:
    assert front.status(LIST, path=path) == 404


@pytest.mark.slow
def test_a_stranger_is_turned_away_through_the_proxy_too(front: Front) -> None:
    assert front.status(LIST, token="nobody") == 401


@pytest.mark.slow
def test_ten_users_at_once_are_served_through_kept_connections(front: Front) -> None:
    with ThreadPoolExecutor(10) as at_once:
        statuses = list(at_once.map(lambda _: front.status(LIST), range(50)))
    assert set(statuses) == {200}
