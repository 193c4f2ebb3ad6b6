"""The real `claude` asked twice by one process: the second request holds nothing of the first question."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from e2e.client import Client
from fakes.model import Call, Request, Text, Turn, serving
from fanout_mcp.backends.clients import open_client
from fanout_mcp.panel.answer import SCHEMA, Position, parse
from fanout_mcp.state.settings import Settings
from fanout_mcp.types import Answer, Job, Prompt

pytestmark = [pytest.mark.e2e, pytest.mark.anyio]

POSITION = {"verdict": "PROCEED", "confidence": 80, "summary": "It holds.", "reasons": ["It was asked."]}
EMPTY = {"blocker": None, "smallest_change": None}


def script(request: Request) -> Turn:
    if request.turn:
        return [Text("done")]
    return [Call("StructuredOutput", {**POSITION, **EMPTY})]


async def test_the_next_question_holds_one_user_message_and_nothing_of_the_last(
    either_client: Client, tmp_path: Path
) -> None:
    settings = Settings(root=tmp_path, config_dir=tmp_path / "config", claude_api_key=True)
    with serving(script) as model:
        environment = either_client.environment(model)
        path = f"{Path(either_client.program).parent}:{environment['PATH']}"
        async with open_client("claude", settings, {**environment, "PATH": path}) as backend:

            async def ask(question: str) -> Answer:
                return await backend.ask(Job("judge", Prompt("You judge.", question), schema=SCHEMA))

            first = await ask("Is the amber plan wise?")
            assert len(backend.waiting) == 1
            asked = backend.waiting[0]
            before = len(model.requests)
            second = await ask("Is the violet plan wise?")
            assert backend.waiting == [asked]
    for answer in (first, second):
        assert isinstance(parse(answer.text, answer.data), Position)
    assert second.usage == first.usage
    own = [one for one in model.requests[before:] if one.tools]
    assert own
    for request in own:
        assert "violet" in json.dumps(request.messages)
        assert "amber" not in json.dumps(request.body)
    opening = own[0].messages
    assert [message["role"] for message in opening if message["role"] == "user"] == ["user"]
    assert not any(message["role"] == "assistant" for message in opening)
