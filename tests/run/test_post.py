"""`http` hooks: the event is posted as the client posts it, and only its server gets the tokens."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from fakes.sandbox import Sandbox, pre_tool_use
from fakes.webhook import Webhook, serving

DENIES = {
    "hookSpecificOutput": {
        "hookEventName": "PreToolUse",
        "permissionDecision": "deny",
        "permissionDecisionReason": "no",
    }
}


@pytest.fixture
def webhook() -> Iterator[Webhook]:
    with serving(DENIES) as server:
        yield server


def _hook(url: str) -> dict[str, Any]:
    headers = {"Authorization": "Bearer $TOKEN", "X-Literal": "literal-s3cret", "X-Other": "<${OTHER}>"}
    return {"type": "http", "url": url, "headers": headers, "allowedEnvVars": ["TOKEN"]}


def test_the_event_is_posted_with_the_headers_that_its_hook_may_fill(
    tmp_path: Path, webhook: Webhook
) -> None:
    sandbox = Sandbox(tmp_path, {"TOKEN": "t0ken", "OTHER": "not for you"})
    sandbox.hooks("PreToolUse", _hook(f"{webhook.url}/hook/url-s3cret?a=1"))
    with sandbox.running() as run:
        assert json.loads(run.event(pre_tool_use()).stdout) == DENIES
    ((path, headers, event),) = webhook.came
    assert path == "/hook/url-s3cret?a=1"
    assert headers["Authorization"] == "Bearer t0ken"
    assert headers["X-Literal"] == "literal-s3cret"
    assert headers["X-Other"] == "<>"
    assert event == sandbox.here(pre_tool_use())


def test_no_token_stands_in_a_command_line(tmp_path: Path, webhook: Webhook) -> None:
    sandbox = Sandbox(tmp_path, {"TOKEN": "t0ken"})
    sandbox.hooks("PreToolUse", _hook(f"{webhook.url}/hook/url-s3cret"))
    with sandbox.running() as run:
        run.event(pre_tool_use())
    assert any("post.py" in line for line in webhook.command_lines)
    assert [line for line in webhook.command_lines if "s3cret" in line or "t0ken" in line] == []


def test_a_redirect_is_a_failure_and_takes_no_token_along(tmp_path: Path, webhook: Webhook) -> None:
    sandbox = Sandbox(tmp_path, {"TOKEN": "t0ken"})
    sandbox.hooks("PreToolUse", _hook(f"{webhook.url}/moved"))
    with sandbox.running() as run:
        answer = json.loads(run.event(pre_tool_use()).stdout)
    assert list(answer) == ["systemMessage"]
    assert "HTTP 302" in answer["systemMessage"]
    assert "t0ken" not in answer["systemMessage"]
    assert [path for path, _, _ in webhook.came] == ["/moved"]
