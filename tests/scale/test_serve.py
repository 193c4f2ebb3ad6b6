"""`fanout serve --http` as a process: who gets in, what a caller may do, and how it ends."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

import anyio
import pytest

from fakes.upstream import Rule, Upstream, serving, until
from fanout_mcp.cli import main
from fanout_mcp.scale import serve

pytestmark = pytest.mark.slow

WAIT_S = 120
TOKENS = {"alice": "token-of-alice", "bob": "token-of-bob", "carol": "token-of-carol"}


def users_file(folder: Path) -> Path:
    rows = {
        "alice": "max_parallel = 20\n",
        "bob": 'scopes = ["ask"]\nmax_parallel = 1\n',
        "carol": "max_usd_per_day = 0.001\n",
    }
    path = folder / "users.toml"
    sha256 = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    path.write_text("".join(f'[{name}]\nsha256 = "{sha256[name]}"\n{rows[name]}' for name in TOKENS))
    path.chmod(0o600)
    return path


@dataclass
class Service:
    process: subprocess.Popen[str]
    url: str
    health: str
    upstream: Upstream
    project: Path

    def post(
        self, body: object, token: str | None = "token-of-alice", **headers: str
    ) -> tuple[int, dict[str, str], Any]:
        """Send one JSON-RPC message; return status, headers and the last message of the answer."""
        data = body if isinstance(body, bytes) else json.dumps(body).encode()
        sent = {"Content-Type": "application/json", "Accept": "application/json, text/event-stream"}
        sent |= {"Authorization": f"Bearer {token}"} if token is not None else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        request = urllib.request.Request(self.url, data, sent)
        try:
            with urllib.request.urlopen(request, timeout=WAIT_S) as reply:
                return reply.status, dict(reply.headers), _message(reply.read().decode())
        except urllib.error.HTTPError as error:
            return error.code, dict(error.headers), error.read().decode()

    def call(self, tool: str, arguments: Mapping[str, Any], token: str = "token-of-alice") -> Any:
        params = {"name": tool, "arguments": arguments}
        status, _, message = self.post(
            {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}, token
        )
        assert status == 200, message
        return message["result"]

    def get(self, path: str) -> tuple[int, str]:
        try:
            with urllib.request.urlopen(self.health + path, timeout=WAIT_S) as reply:
                return reply.status, reply.read().decode()
        except urllib.error.HTTPError as error:
            return error.code, error.read().decode()


def _message(text: str) -> Any:
    data = [line[5:].strip() for line in text.splitlines() if line.startswith("data:")]
    found = [json.loads(one) for one in (data or [text]) if one]
    return found[-1] if found else None


def said(result: Any) -> str:
    return str(result["content"][0]["text"])


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Service]:
    with running(tmp_path_factory.mktemp("service")) as made:
        yield made


@contextmanager
def running(folder: Path, **more: str) -> Iterator[Service]:
    project = folder / "project"
    project.mkdir()
    (project / "app.py").write_text("def main() -> None:\n    print(1)\n")
    (folder / "outside.py").write_text("SECRET_OF_THE_MACHINE = 1\n")
    with serving(Rule("slowly", delay=2.0)) as upstream:
        env = {
            name: value for name, value in os.environ.items() if not name.startswith(("FANOUT", "OPENROUTER"))
        }
        env |= {"HOME": str(folder / "home"), "FANOUT_BASE_URL": upstream.url, **more}
        words = ["--http", "127.0.0.1:0", "--health", "127.0.0.1:0", "--project", str(project)]
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "fanout_mcp", "serve", *words, "--tokens", str(users_file(folder))],
            env=env,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        try:
            first, second = process.stderr.readline(), process.stderr.readline()
            made = Service(process, first.split()[-1], second.split()[-1], upstream, project)
            with ThreadPoolExecutor(1) as reading:
                reading.submit(process.stderr.read)
                try:
                    yield made
                finally:
                    process.terminate()
        finally:
            process.kill()
            process.wait()
            process.stderr.close()


LIST = {"jsonrpc": "2.0", "id": 1, "method": "tools/list"}
QUESTION = {"question": "Is it wise?", "deadline_s": 60}

STRANGERS: dict[str, dict[str, str | None]] = {
    "no token": {"token": None},
    "an empty token": {"token": ""},
    "a wrong token": {"token": "token-of-alicf"},
    "the hash instead of the token": {"token": hashlib.sha256(b"token-of-alice").hexdigest()},
    "a user's name": {"token": "alice"},
    "another scheme": {"token": None, "Authorization": "Basic token-of-alice"},
    "no scheme": {"token": None, "Authorization": "token-of-alice"},
    "a blank before it": {"token": " token-of-alice"},
    "more behind it": {"token": "token-of-alice, token-of-bob"},
    "in another header": {"token": None, "X-Api-Key": "token-of-alice"},
}


@pytest.mark.parametrize("who", STRANGERS)
def test_no_stranger_gets_in(service: Service, who: str) -> None:
    status, headers, text = service.post(LIST, **STRANGERS[who])  # type: ignore[arg-type]
    assert status == 401
    assert headers["www-authenticate"] == "Bearer"
    assert "a bearer token is required" in text


@pytest.mark.parametrize(
    ("header", "value", "status"),
    [
        ("Host", "evil.example", 421),
        ("Host", "localhost:1@evil.example", 421),
        ("Host", "127.0.0.1", 421),
        ("Origin", "http://evil.example", 403),
        ("Origin", "null", 403),
        ("Origin", "http://localhost:80.evil.example", 403),
        ("Content-Type", "text/plain", 400),
    ],
)
def test_only_exact_hosts_and_origins_are_served(
    service: Service, header: str, value: str, status: int
) -> None:
    assert service.post(LIST, **{header: value})[0] == status


def test_a_body_over_the_limit_is_refused_before_it_is_parsed(service: Service) -> None:
    connection = HTTPConnection(service.url.split("/")[2], timeout=WAIT_S)
    connection.putrequest("POST", "/mcp")
    for name, value in {
        "Authorization": "Bearer token-of-alice",
        "Content-Type": "application/json",
        "Accept": "application/json, text/event-stream",
        "Content-Length": str(serve.MAX_BODY + 1),
    }.items():
        connection.putheader(name, value)
    connection.endheaders()
    assert connection.getresponse().status == 413
    connection.close()


@pytest.mark.parametrize("method", ["GET", "DELETE", "PUT"])
def test_no_stream_is_kept_open_for_a_client_that_waits(service: Service, method: str) -> None:
    connection = HTTPConnection(service.url.split("/")[2], timeout=WAIT_S)
    headers = {"Authorization": "Bearer token-of-alice", "Accept": "text/event-stream"}
    connection.request(method, "/mcp", headers=headers)
    answer = connection.getresponse()
    assert (answer.status, answer.headers["allow"]) == (405, "POST")
    connection.close()


def test_a_known_user_lists_tools_and_asks_a_panel(service: Service) -> None:
    listed = service.post(LIST)[2]["result"]["tools"]
    assert "oracle_batch" in [tool["name"] for tool in listed]
    assert service.call("oracle_batch", QUESTION)["structuredContent"]["decision"] == "PROCEED"


def test_the_newer_era_of_the_protocol_is_served_too(service: Service) -> None:
    meta = {
        "io.modelcontextprotocol/protocolVersion": "2026-07-28",
        "io.modelcontextprotocol/clientInfo": {"name": "test", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    status, _, message = service.post(
        {**LIST, "params": {"_meta": meta}},
        Mcp_Protocol_Version="2026-07-28",
        Mcp_Method="tools/list",
    )
    assert status == 200, message
    assert message["result"]["tools"]


NOT_READ: dict[str, tuple[str, dict[str, Any]]] = {
    "attached from outside": ("oracle_batch", {**QUESTION, "files": ["../outside.py"]}),
    "attached by its whole path": ("oracle_batch", {**QUESTION, "files": ["{outside}"]}),
    "the machine's users": ("oracle_batch", {**QUESTION, "files": ["/etc/passwd"]}),
    "summarized from outside": ("summarize_files", {"paths": ["../outside.py"]}),
    "summarized by its whole path": ("summarize_files", {"paths": ["{outside}"]}),
    "reviewed from outside": ("batch_review", {"patterns": ["../outside.py"]}),
    "reviewed by its whole path": ("batch_review", {"patterns": ["{outside}"]}),
    "explored from outside": ("explore_modules", {"modules": [".."]}),
    "the report of hooks": ("hook_report", {}),
    "hooks": ("run_hooks", {"hook_event_name": "PreToolUse"}),
}


@pytest.mark.parametrize("way", NOT_READ)
def test_nothing_of_the_machine_is_read_but_the_project(service: Service, way: str) -> None:
    tool, arguments = NOT_READ[way]
    outside = str(service.project.parent / "outside.py")
    given = json.loads(json.dumps(arguments).replace("{outside}", outside))
    before = len(service.upstream.log)
    answer = service.call(tool, given)
    assert "SECRET_OF_THE_MACHINE" not in json.dumps(answer)
    assert not any("SECRET_OF_THE_MACHINE" in seen.prompt for seen in service.upstream.log[before:])
    assert answer.get("isError") or said(answer) == "" or "not" in said(answer)


def test_the_project_is_read_for_those_with_the_scope(service: Service) -> None:
    answer = service.call("summarize_files", {"paths": ["app.py"], "engine": "static"})
    assert "app.py" in said(answer)
    for tool, arguments in (
        ("summarize_files", {"paths": ["app.py"]}),
        ("oracle_batch", {**QUESTION, "files": ["app.py"]}),
    ):
        refused = service.call(tool, arguments, TOKENS["bob"])
        assert refused["isError"]
        assert "the scope 'read'" in said(refused) or "No file is read here" in said(refused)


def test_a_user_s_dollars_of_a_day_bind(service: Service) -> None:
    before = len(service.upstream.log)
    refused = service.call("oracle_batch", {**QUESTION, "max_cost_usd": 0.5}, TOKENS["carol"])
    assert "$0.001 a day are allowed to carol" in said(refused)
    assert len(service.upstream.log) == before


def test_over_a_user_s_bound_a_request_is_told_when_to_come_again(service: Service) -> None:
    slow = {"question": "Is it slowly wise?", "deadline_s": 60}
    params = {"name": "oracle_batch", "arguments": slow}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    with ThreadPoolExecutor(4) as at_once:
        replies = list(at_once.map(lambda _: service.post(body, TOKENS["bob"]), range(4)))
    refused = [headers for status, headers, _ in replies if status == 429]
    assert sorted({status for status, _, _ in replies}) == [200, 429]
    assert {headers["retry-after"] for headers in refused} == {"2"}
    assert service.post(LIST)[0] == 200  # others are not held up


def test_health_and_figures_are_on_a_port_of_their_own(service: Service) -> None:
    service.call("oracle_batch", QUESTION)
    assert service.get("/livez") == (200, "alive\n")
    assert service.get("/readyz") == (200, "ready\n")
    text = service.get("/metrics")[1]
    assert 'fanout_calls_total{tool="oracle_batch",verdict="PROCEED"}' in text
    assert "fanout_cost_usd_total" in text
    for word in (*TOKENS, "wise", str(service.project)):
        assert word not in text
    assert service.get("/mcp")[0] == 404


@pytest.mark.parametrize(
    "words",
    [
        ("--http", "0.0.0.0:0"),
        ("--http", "[::]:0"),
        ("--http", "192.0.2.1:0", "--allow-host", "mcp.example.com"),
        ("--http", "0.0.0.0:0", "--tokens", "{users}"),
    ],
)
def test_beyond_loopback_nothing_starts_without_users_and_hosts(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], words: tuple[str, ...]
) -> None:
    users = users_file(tmp_path)
    assert main(["serve", *(word.format(users=users) for word in words)]) == 2
    assert "is beyond this machine" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("text", "mode"),
    [
        ("[a]\nsha256 = 'x'\n", 0o600),
        (f"[a]\nsha256 = '{'0' * 64}'\nscopes = ['all']\n", 0o600),
        (f"[a]\nsha256 = '{'0' * 64}'\ntoken = 'x'\n", 0o600),
        ("[a]\n", 0o600),
        ("a = 1\n", 0o600),
        ("", 0o644),
    ],
)
def test_a_file_of_users_that_is_wrong_or_open_is_refused(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], text: str, mode: int
) -> None:
    path = tmp_path / "users.toml"
    path.write_text(text)
    path.chmod(mode)
    assert main(["serve", "--http", "127.0.0.1:0", "--tokens", str(path)]) == 2
    assert str(path) in capsys.readouterr().err


def test_at_sigterm_what_is_at_work_ends_and_then_the_process(tmp_path: Path) -> None:
    slow = {"question": "Is it slowly wise?", "deadline_s": 60}
    with running(tmp_path) as own, ThreadPoolExecutor(1) as calling:
        answer = calling.submit(own.call, "oracle_batch", slow)
        anyio.run(until, lambda: bool(own.upstream.log) or answer.done())
        own.process.send_signal(signal.SIGTERM)
        assert answer.result()["structuredContent"]["decision"] == "PROCEED"
        assert own.process.wait(WAIT_S) == 0
