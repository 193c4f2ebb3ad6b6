"""`http` hooks: the event is posted as the client posts it, and nobody but its server learns the tokens."""

from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from hooks.stage import Stage, pre_tool_use

DENIES = {
    "hookSpecificOutput": {
        "hookEventName": "PreToolUse",
        "permissionDecision": "deny",
        "permissionDecisionReason": "no",
    }
}


class Webhook(ThreadingHTTPServer):
    """Answers everything below /moved with a redirect, all else with a denial, and keeps what it was sent."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Answers)
        self.came: list[tuple[str, dict[str, str], Any]] = []
        self.command_lines: list[str] = []
        self.url = f"http://127.0.0.1:{self.server_port}"


class _Answers(BaseHTTPRequestHandler):
    server: Webhook

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["Content-Length"]))
        self.server.came.append((self.path, dict(self.headers), json.loads(body)))
        self.server.command_lines += _command_lines()
        if self.path.startswith("/moved"):
            self.send_response(302)
            self.send_header("Location", f"{self.server.url}/elsewhere")
            self.end_headers()
            return
        answer = json.dumps(DENIES).encode()
        self.send_response(200)
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002 - the name it has there
        """Keep quiet."""


def _command_lines() -> list[str]:
    """Return what every user of this machine can see of its processes."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace").replace("\0", " "))
        except OSError:
            continue  # it has ended
    return found


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with Webhook() as server:
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


def _hook(url: str) -> dict[str, Any]:
    headers = {"Authorization": "Bearer $TOKEN", "X-Literal": "literal-s3cret", "X-Other": "<${OTHER}>"}
    return {"type": "http", "url": url, "headers": headers, "allowedEnvVars": ["TOKEN"]}


def test_the_event_is_posted_with_the_headers_that_its_hook_may_fill(
    tmp_path: Path, webhook: Webhook
) -> None:
    stage = Stage(tmp_path, {"TOKEN": "t0ken", "OTHER": "not for you"})
    stage.hooks("PreToolUse", _hook(f"{webhook.url}/hook/url-s3cret?a=1"))
    with stage.running() as run:
        assert json.loads(run.event(pre_tool_use()).stdout) == DENIES
    ((path, headers, event),) = webhook.came
    assert path == "/hook/url-s3cret?a=1"
    assert headers["Authorization"] == "Bearer t0ken"
    assert headers["X-Literal"] == "literal-s3cret"
    assert headers["X-Other"] == "<>"
    assert event == stage.here(pre_tool_use())


def test_no_token_stands_in_a_command_line(tmp_path: Path, webhook: Webhook) -> None:
    stage = Stage(tmp_path, {"TOKEN": "t0ken"})
    stage.hooks("PreToolUse", _hook(f"{webhook.url}/hook/url-s3cret"))
    with stage.running() as run:
        run.event(pre_tool_use())
    assert any("post.py" in line for line in webhook.command_lines)
    assert [line for line in webhook.command_lines if "s3cret" in line or "t0ken" in line] == []


def test_a_redirect_is_a_failure_and_takes_no_token_along(tmp_path: Path, webhook: Webhook) -> None:
    stage = Stage(tmp_path, {"TOKEN": "t0ken"})
    stage.hooks("PreToolUse", _hook(f"{webhook.url}/moved"))
    with stage.running() as run:
        assert run.event(pre_tool_use()).stdout == "{}"
    assert [path for path, _, _ in webhook.came] == ["/moved"]
