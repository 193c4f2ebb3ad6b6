"""`fanout serve --http` as a process, for tests: its users, its project, its upstream, and a client.

with running(tmp_path) as service:
    service.call("oracle_batch", {"question": "..."}, TOKENS["bob"])
"""

from __future__ import annotations

import hashlib
import json
import os
import subprocess
import sys
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.client import HTTPConnection
from pathlib import Path
from typing import Any

from fakes.upstream import Rule, Upstream, serving

WAIT_S = 120
ROWS = {
    "alice": "max_parallel = 20\n",
    "bob": 'scopes = ["ask"]\nmax_parallel = 1\n',
    "carol": "max_usd_per_day = 0.001\n",
    "mallory": "max_parallel = 2\n",
}
TOKENS = {name: f"token-of-{name}" for name in ROWS}


def users_file(folder: Path) -> Path:
    path = folder / "users.toml"
    sha256 = {name: hashlib.sha256(token.encode()).hexdigest() for name, token in TOKENS.items()}
    path.write_text("".join(f'[{name}]\nsha256 = "{sha256[name]}"\n{ROWS[name]}' for name in ROWS))
    path.chmod(0o600)
    return path


@dataclass
class Service:
    process: subprocess.Popen[str]
    url: str
    health: str
    upstream: Upstream
    project: Path
    log: list[str] = field(default_factory=list)
    """What it wrote to stderr."""

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

    def send(
        self, body: bytes, headers: Sequence[tuple[str, str]], method: str = "POST", path: str = "/mcp"
    ) -> tuple[int, str]:
        """Send a request as it stands, headers twice too; return status and body."""
        connection = HTTPConnection(self.url.split("/")[2], timeout=WAIT_S)
        try:
            connection.putrequest(method, path)
            for name, value in (
                ("Content-Type", "application/json"),
                ("Accept", "application/json, text/event-stream"),
                ("Content-Length", str(len(body))),
                *headers,
            ):
                connection.putheader(name, value.encode("utf-8"))
            connection.endheaders(body)
            answer = connection.getresponse()
            return answer.status, answer.read().decode()
        finally:
            connection.close()

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


@contextmanager
def running(
    folder: Path, *more: str, env: Mapping[str, str] | None = None, tokens: bool = True
) -> Iterator[Service]:
    """Serve a project for the users of ROWS, or for those that `more` says."""
    project = folder / "project"
    project.mkdir(exist_ok=True)
    (project / "app.py").write_text("def main() -> None:\n    print(1)\n")
    (folder / "outside.py").write_text("SECRET_OF_THE_MACHINE = 1\n")
    with serving(Rule("slowly", delay=2.0)) as upstream:
        others = ("FANOUT", "OPENROUTER", "XDG_")
        plain = {name: value for name, value in os.environ.items() if not name.startswith(others)}
        plain |= {"HOME": str(folder / "home"), "FANOUT_BASE_URL": upstream.url}
        words = ["--http", "127.0.0.1:0", "--health", "127.0.0.1:0", "--project", str(project), *more]
        words += ["--tokens", str(users_file(folder))] if tokens else []
        process = subprocess.Popen(
            [sys.executable, "-I", "-m", "fanout_mcp", "serve", *words],
            env={**plain, **(env or {})},
            stderr=subprocess.PIPE,
            text=True,
        )
        assert process.stderr is not None
        try:
            first, second = process.stderr.readline(), process.stderr.readline()
            made = Service(process, first.split()[-1], second.split()[-1], upstream, project)
            with ThreadPoolExecutor(1) as reading:
                reading.submit(made.log.extend, process.stderr)
                try:
                    yield made
                finally:  # also after a failure: what reads waits for its end
                    process.terminate()
        finally:
            process.kill()
            process.wait()
            process.stderr.close()
